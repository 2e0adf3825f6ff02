/** How long to wait before try number `attempt` (from 0): exponential with full jitter. */
export function backoff(attempt: number, random: () => number = Math.random, min = 500, max = 30_000): number {
  const ceiling = Math.min(max, min * 2 ** Math.min(attempt, 20));
  return Math.round(min / 2 + random() * (ceiling - min / 2));
}
