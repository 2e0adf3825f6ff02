import { keepPreviousData, queryOptions, useQueries } from '@tanstack/react-query';
import { useMemo } from 'react';
import { type ListQuery, workflowsAPI } from '../api/workflows';
import { type Component, type DocumentKind, isInline, type Ref, referenceOf, refKey, type VersionRef } from './document';
import { referencesIn, type Resolve } from './graph';

/** The workflows' queries. A key's second word is what the server says has changed. */
export const workflowQueries = {
  list: (kind: DocumentKind, query: ListQuery) =>
    queryOptions({ queryKey: ['workflows', `${kind}s`, 'list', query], queryFn: () => workflowsAPI.list(kind, query), placeholderData: keepPreviousData }),
  document: (kind: DocumentKind, uid: string, version = 0) =>
    queryOptions({ queryKey: ['workflows', `${kind}s`, 'one', uid, version], queryFn: () => workflowsAPI.get(kind, uid, version) }),
  versions: (kind: DocumentKind, uid: string) =>
    queryOptions({ queryKey: ['workflows', `${kind}s`, 'versions', uid], queryFn: () => workflowsAPI.versions(kind, uid) }),
  /** A component as others refer to it. A numbered version may still be saved over while it is the newest. */
  component: ({ uid, version = 0 }: VersionRef) =>
    queryOptions({ queryKey: ['workflows', 'components', 'ref', uid, version], queryFn: () => workflowsAPI.component(uid, version), staleTime: 30_000 }),
  runs: (query: ListQuery) =>
    queryOptions({ queryKey: ['workflows', 'jobs', 'list', query], queryFn: () => workflowsAPI.runs(query), placeholderData: keepPreviousData, refetchInterval: 15_000 }),
  run: (uid: string) => queryOptions({ queryKey: ['workflows', 'job', uid], queryFn: () => workflowsAPI.run(uid), staleTime: Infinity }),
  runStatus: (uid: string) => queryOptions({ queryKey: ['workflows', 'jobs', 'status', uid], queryFn: () => workflowsAPI.runStatus(uid) }),
  workspaces: () => queryOptions({ queryKey: ['workflows', 'workspaces'], queryFn: workflowsAPI.workspaces, staleTime: 30_000 }),
  workspace: (name: string) => queryOptions({ queryKey: ['workflows', 'workspaces', name], queryFn: () => workflowsAPI.workspace(name) }),
  secrets: (workspace: string) => queryOptions({ queryKey: ['workflows', 'secrets', workspace], queryFn: () => workflowsAPI.secrets(workspace) }),
  volumes: (workspace: string) => queryOptions({ queryKey: ['workflows', 'volumes', workspace], queryFn: () => workflowsAPI.volumes(workspace) }),
};

/** Finds what a component refers to, however deep, reading from the library what is not known yet. */
export function useResolve(root: Component | undefined): Resolve {
  const wanted = useWanted(root);
  return useMemo(() => {
    const found = new Map(wanted.refs.map((r, i) => [refKey(r), wanted.components[i]]));
    return (ref: Ref | undefined) => {
      if (isInline(ref)) return ref;
      const named = referenceOf(ref);
      return named === undefined ? undefined : found.get(refKey(named));
    };
  }, [wanted]);
}

function useWanted(root: Component | undefined): { refs: VersionRef[]; components: (Component | undefined)[] } {
  // One level is read after the other; what one level refers to is known once it is there.
  const first = useMemo(() => unique(root === undefined ? [] : referencesIn(root)), [root]);
  const one = useComponents(first);
  const second = useMemo(() => unique(one.flatMap((c) => (c === undefined ? [] : referencesIn(c))), first), [one, first]);
  const two = useComponents(second);
  const third = useMemo(() => unique(two.flatMap((c) => (c === undefined ? [] : referencesIn(c))), [...first, ...second]), [two, first, second]);
  const three = useComponents(third);
  return useMemo(() => ({ refs: [...first, ...second, ...third], components: [...one, ...two, ...three] }), [first, second, third, one, two, three]);
}

function useComponents(refs: readonly VersionRef[]): (Component | undefined)[] {
  return useQueries({ queries: refs.map((r) => workflowQueries.component(r)), combine: dataOf });
}

function dataOf(results: readonly { data: Component | undefined }[]): (Component | undefined)[] {
  return results.map((r) => r.data);
}

function unique(refs: readonly Ref[], known: readonly VersionRef[] = []): VersionRef[] {
  const seen = new Set(known.map(refKey));
  return refs.flatMap((ref) => {
    const named = referenceOf(ref);
    if (named === undefined || seen.has(refKey(named))) return [];
    seen.add(refKey(named));
    return [named];
  });
}
