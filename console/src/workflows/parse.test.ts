import { describe, expect, it } from 'vitest';
import { pair } from './fixture';
import { parseDocument } from './parse';

describe('reading a document as it is typed', () => {
  it('takes what the editor writes, and gives it back the same', () => {
    const parsed = parseDocument(JSON.stringify(pair()), 'component');
    expect('doc' in parsed && parsed.doc).toEqual(pair());
    expect('doc' in parseDocument(JSON.stringify({ type: 'workflow', workspace: 'ws', component: pair() }), 'workflow')).toBe(true);
  });
  it.each([
    ['{', /no JSON yet/],
    ['[]', /is an object/],
    ['{"type":"workflow"}', /must be "component"/],
    ['{"type":"component"}', /implementation must be an object/],
    ['{"type":"component","implementation":{"type":"nix"}}', /type must be/],
    ['{"type":"component","inputs":[{}],"implementation":{"type":"any"}}', /inputs\/0 needs a name/],
    ['{"type":"component","implementation":{"type":"graph","nodes":"x"}}', /nodes must be a list/],
    ['{"type":"component","implementation":{"type":"graph","nodes":[{"id":"a"}]}}', /nodes\/0\/node must be/],
    ['{"type":"component","implementation":{"type":"graph","nodes":[{"id":"a","node":{"type":"component","implementation":{}}}]}}', /nodes\/0\/node\/implementation\/type/],
    ['{"type":"component","implementation":{"type":"graph","edges":[{"source":{}}]}}', /edges\/0 needs a source/],
    ['{"type":"component","implementation":{"type":"brick","container":{"command":[1]}}}', /lists of texts/],
    ['{"type":"component","implementation":{"type":"brick","container":{},"args":[{"source":3}]}}', /args\/0 needs a source/],
    ['{"type":"component","implementation":{"type":"conditional","expression":{"left":1}}}', /expression needs/],
  ])('%s is refused in words', (text, why) => {
    const parsed = parseDocument(text, 'component');
    expect('problem' in parsed && parsed.problem).toMatch(why);
  });
});
