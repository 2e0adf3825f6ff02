import { expect, it } from 'vitest';
import { nameOfIcon } from './icons';

it.each([
  ['notebook', 'name'],
  ['Notebook.svg', 'name'],
  ['🔬', 'sign'],
  ['π', 'sign'],
  ['jupyter.svg', 'none'],
  ['https://example.org/x.png', 'none'],
  ['', 'none'],
])('%j is a %s', (icon, kind) => expect(nameOfIcon(icon).kind).toBe(kind));
