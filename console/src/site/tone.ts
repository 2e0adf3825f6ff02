import type { Dependency } from '../api/types';
import type { Tone } from '../ui/status';

/** How a system's state looks: what Lodge can do without only warns. */
export function toneOf(d: Pick<Dependency, 'state' | 'needed'>): Tone {
  if (d.state === 'ok') return 'good';
  return d.needed ? 'bad' : 'warn';
}

/** What each system is for, and what still works while it is away. */
const words: Readonly<Record<string, { use: string; without: string }>> = {
  database: {
    use: 'Keeps users, rights, the audit log, and what is stored where.',
    without: 'Nothing works until it is back; nothing that was answered is lost.',
  },
  objects: { use: 'Keeps the files themselves.', without: 'Lists and rights work; files can be neither stored nor read.' },
  bus: {
    use: 'Carries news between replicas and to open pages.',
    without: 'Everything works; pages learn of changes later.',
  },
  hub: {
    use: 'Takes final results.',
    without: 'Final results are kept here and delivered when it is back; everything else works.',
  },
  issuer: { use: 'Says who people are.', without: 'Who is logged in stays so; nobody can log in anew.' },
};

export function wordsFor(d: Pick<Dependency, 'name' | 'state'>): string {
  const known = words[d.name] ?? words[d.name.split(/[ :/]/, 1)[0] ?? ''];
  if (known === undefined) return '';
  return d.state === 'ok' ? known.use : known.without;
}
