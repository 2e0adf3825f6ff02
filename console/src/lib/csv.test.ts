import { describe, expect, it } from 'vitest';
import { guessSeparator, parseCSV } from './csv';

describe('parseCSV', () => {
  it('reads quoted separators, quotes and line ends', () => {
    expect(parseCSV('a,"b,""c""\nd",e\r\n1,2,3\r\n', 10)).toEqual([
      ['a', 'b,"c"\nd', 'e'],
      ['1', '2', '3'],
    ]);
  });
  it('keeps empty fields and a last line without its end', () => {
    expect(parseCSV('a,,c\n,', 10)).toEqual([
      ['a', '', 'c'],
      ['', ''],
    ]);
  });
  it('stops after the rows that it was asked for', () => {
    expect(parseCSV('a\n'.repeat(1000), 3)).toHaveLength(3);
  });
  it('bears a quote that never ends, as a cut file has', () => {
    expect(parseCSV('a,"b', 10)).toEqual([['a', 'b']]);
  });
});

describe('guessSeparator', () => {
  it.each([
    ['a;b;c\n1,2', ';'],
    ['a\tb', '\t'],
    ['one', ','],
  ])('of %j is %j', (text, separator) => expect(guessSeparator(text)).toBe(separator));
});
