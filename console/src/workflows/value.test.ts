import { describe, expect, it } from 'vitest';
import type { Data } from './document';
import { data } from './fixture';
import { elements, givenBy, givenFor, inputValues, valueProblem, volumeValue } from './value';

const integer: Data = { ...data('n'), mediatype: ['integer'] };

describe('the values of a run', () => {
  it('begin with what the inputs offer', () => {
    expect(givenFor([{ ...data('a'), userdata: { value: 7 } }, { ...data('l', 'parameter_array'), userdata: { value: ['x', 'y'] } }, data('b')])).toEqual({ a: '7', l: 'x\ny', b: '' });
  });
  it('are those of the run before, when it is repeated', () => {
    expect(givenBy([{ target: 'l', value: ['x', 'y'] }, { target: 'a', value: '1' }])).toEqual({ l: 'x\ny', a: '1' });
  });
  it('of lists are lines or JSON', () => {
    expect(elements('a\n\n b \n')).toEqual(['a', ' b']);
    expect(elements('["a", 2]')).toEqual(['a', '2']);
    expect(elements('[a\nb')).toEqual(['[a', 'b']);
    expect(elements('  ')).toEqual([]);
  });
  it('are sent as the server takes them', () => {
    const inputs = [data('p'), data('l', 'parameter_array'), data('s', 'env_secret'), data('v', 'volume'), data('f', 'artifact')];
    expect(inputValues(inputs, { p: '', l: 'x\ny', s: 'KEY', v: volumeValue({ name: 'v', emptyDir: {} }), f: 'no' })).toEqual([
      { target: 'p', value: '' },
      { target: 'l', value: ['x', 'y'] },
      { target: 's', value: 'KEY' },
      { target: 'v', value: '{"name":"v","emptyDir":{}}' },
    ]);
    expect(inputValues(inputs, {})).toEqual([{ target: 'p', value: '' }]);
  });
  it.each([
    [integer, '1.5', /whole number/],
    [integer, '12', undefined],
    [{ ...data('x'), mediatype: ['number'] }, 'many', /a number/],
    [{ ...data('x'), mediatype: ['number'] }, '1e3', undefined],
    [data('l', 'parameter_array'), '', /at least one/],
    [data('s', 'env_secret'), '', /a secret/],
    [data('v', 'volume'), '', /a volume/],
    [data('f', 'artifact'), '', /from outside/],
    [data('p'), '', undefined],
  ])('%o with %o is judged', (input, text, why) => {
    const problem = valueProblem(input, text);
    if (why === undefined) expect(problem).toBeUndefined();
    else expect(problem).toMatch(why);
  });
});
