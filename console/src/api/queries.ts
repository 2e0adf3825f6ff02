import { queryOptions } from '@tanstack/react-query';
import { lodge } from './lodge';

/** The queries that several pages share. A key begins with the topic whose events make it stale. */
export const queries = {
  me: () => queryOptions({ queryKey: ['me'], queryFn: ({ signal }) => lodge.me(signal), retry: false }),
  hub: () => queryOptions({ queryKey: ['results', 'hub'], queryFn: () => lodge.hub(), refetchInterval: 30_000 }),
  /** How many uploads are set aside, which only a person can change. */
  failed: () =>
    queryOptions({
      queryKey: ['results', 'uploads', 'failed'],
      queryFn: async () => (await lodge.uploads({ state: 'failed', limit: 1 })).total,
      refetchInterval: 30_000,
    }),
  tags: (project: string) =>
    queryOptions({
      queryKey: ['results', 'tags', project],
      queryFn: async () => (await lodge.tags(project)).tags.map((t) => t.name),
      enabled: project !== '',
    }),
  projects: () => queryOptions({ queryKey: ['results', 'projects'], queryFn: () => lodge.projects() }),
  health: () => queryOptions({ queryKey: ['site', 'health'], queryFn: () => lodge.health(), refetchInterval: 30_000 }),
  actions: () => queryOptions({ queryKey: ['actions'], queryFn: () => lodge.actions(), staleTime: Infinity }),
};

/** Which keys an event's topic makes stale: "results.uploads" → results, "access.roles" → access and me. */
export function staleKeys(topic: string): string[][] {
  const head = topic.split(/[./]/, 1)[0] ?? '';
  switch (head) {
    case 'results':
    case 'uploads':
    case 'files':
      return [['results']];
    case 'access':
    case 'users':
    case 'roles':
    case 'permissions':
    case 'tokens':
    case 'sessions':
    case 'identity':
      return [['access'], ['me'], ['audit']];
    case 'workflows':
      return [['workflows', topic.split(/[./]/)[1] ?? '']];
    case 'apps':
      return [['apps']];
    case 'audit':
      return [['audit']];
    case 'site':
    case 'health':
      return [['site']];
    default:
      return [];
  }
}
