import { describe, expect, it } from 'vitest';
import { backoff } from './backoff';

describe('backoff', () => {
  it('grows, and no further than its limit', () => {
    const most = (attempt: number) => backoff(attempt, () => 1);
    expect([0, 1, 2, 3].map(most)).toEqual([500, 1000, 2000, 4000]);
    expect(most(60)).toBe(30_000);
  });
  it('spreads, so that not everybody comes back at once', () => {
    expect(backoff(3, () => 0)).toBe(250);
    expect(backoff(3, () => 0.5)).toBe(2125);
  });
});
