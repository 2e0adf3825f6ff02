import type { Tone } from '../ui/status';

export interface Enforced {
  readonly key: string;
  readonly label: string;
  readonly tone: Tone;
  readonly word: string;
  readonly detail: string;
}

const labels: Readonly<Record<string, string>> = {
  cpu: 'CPU',
  memory: 'Memory',
  pids: 'Processes',
  disk: 'Disk',
  gpu: 'GPUs',
  egress: 'Where it may connect to',
  network: 'Apart from other people’s apps',
  read_only_root: 'Read-only file system',
};
const order = Object.keys(labels);

/** What becomes of each limit. A driver says "enforced", how far, or "not enforced" and why. */
export function enforcement(said: Readonly<Record<string, string>>): Enforced[] {
  const rank = (key: string) => (order.includes(key) ? order.indexOf(key) : order.length);
  return Object.entries(said)
    .sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b))
    .map(([key, text]) => {
      const no = /^not enforced\b[:;,. ]*/.exec(text);
      const yes = /^enforced\b[:;,. ]*/.exec(text);
      const detail = text.slice((no ?? yes)?.[0].length ?? 0);
      return {
        key,
        label: labels[key] ?? key.replaceAll('_', ' '),
        tone: no !== null ? 'bad' : yes !== null ? 'good' : 'warn',
        word: no !== null ? 'no' : yes !== null ? 'yes' : 'in part',
        detail,
      };
    });
}
