import { expect, it } from 'vitest';
import { lastLines } from './lines';

it.each([
  ['', 2, ''],
  ['a\nb\nc\n', 2, 'b\nc\n'],
  ['a\nb\nc', 2, 'b\nc'],
  ['a\nb', 2, 'a\nb'],
  ['a\nb\n', 3, 'a\nb\n'],
  ['\n\n\n', 1, '\n'],
])('of %j the last %i are %j', (text, most, end) => expect(lastLines(text, most)).toBe(end));
