import { expect, it } from 'vitest';
import { enforcement } from './enforced';

it('says of each limit whether it holds, how far, and why not', () => {
  const list = enforcement({ zeal: 'enforced', disk: 'not enforced: no quotas', memory: 'for each process, by RLIMIT_DATA', cpu: 'enforced, by cgroups' });
  expect(list.map((l) => [l.label, l.word, l.detail])).toEqual([
    ['CPU', 'yes', 'by cgroups'],
    ['Memory', 'in part', 'for each process, by RLIMIT_DATA'],
    ['Disk', 'no', 'no quotas'],
    ['zeal', 'yes', ''],
  ]);
});
