import { describe, expect, it } from 'vitest';
import { localInput, toInstant } from './when';

describe('moments of the filters', () => {
  it('come back as they went, in any time zone', () => {
    const instant = toInstant('2026-11-22T12:30');
    expect(instant).toMatch(/Z$/);
    expect(localInput(instant)).toBe('2026-11-22T12:30');
  });
  it('are empty when there is none', () => {
    expect(toInstant('')).toBe('');
    expect(localInput('')).toBe('');
    expect(localInput('rubbish')).toBe('');
  });
});
