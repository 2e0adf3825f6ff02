import { describe, expect, it } from 'vitest';
import { toneOf, wordsFor } from './tone';

describe('the health in words', () => {
  it('tells what still works while a system is away', () => {
    expect(wordsFor({ name: 'hub', state: 'failed' })).toContain('delivered when it is back');
    expect(wordsFor({ name: 'issuer https://login.example.org', state: 'failed' })).toContain('stays so');
    expect(wordsFor({ name: 'something new', state: 'ok' })).toBe('');
  });
  it('only warns of what Lodge can do without', () => {
    expect(toneOf({ state: 'failed', needed: false })).toBe('warn');
    expect(toneOf({ state: 'failed', needed: true })).toBe('bad');
    expect(toneOf({ state: 'ok', needed: true })).toBe('good');
  });
});
