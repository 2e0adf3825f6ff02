import { describe, expect, it } from 'vitest';
import { offsetOf, readFilters, writeFilters } from './address';

const defaults = { q: '', whose: 'mine', offset: '0' };

describe('filters in the address', () => {
  it('reads what is there and fills in the rest', () => {
    expect(readFilters(new URLSearchParams('q=a%26b&other=1'), defaults)).toEqual({ q: 'a&b', whose: 'mine', offset: '0' });
  });
  it('goes back to the first page when a filter changes', () => {
    const next = writeFilters(new URLSearchParams('offset=50&q=x'), defaults, { q: 'y' });
    expect(next.toString()).toBe('q=y');
  });
  it('keeps the filters when only the page changes, and keeps what is not its own', () => {
    const next = writeFilters(new URLSearchParams('q=x&theme=dark'), defaults, { offset: '50' });
    expect(Object.fromEntries(next)).toEqual({ q: 'x', theme: 'dark', offset: '50' });
  });
  it('leaves defaults out', () => {
    expect(writeFilters(new URLSearchParams('whose=all'), defaults, { whose: 'mine' }).toString()).toBe('');
  });
});

describe('offsetOf', () => {
  it.each([
    ['50', 50],
    ['-3', 0],
    ['abc', 0],
    ['', 0],
  ])('%j is %d', (text, n) => expect(offsetOf(text)).toBe(n));
});
