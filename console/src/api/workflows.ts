import type { Component, Document, DocumentKind, InputValue, Job, Metadata, Volume, Workflow } from '../workflows/document';
import type { Finding } from '../workflows/finding';
import { call, fill } from './client';
import { json, send } from './http';

const base = '/workflows/api/v1';

/** A document as lists show it: without what is inside. */
export interface Item extends Metadata {
  uid: string;
  workspace?: string;
  implementation?: string;
}

export interface RunItem extends Item {
  status?: string;
  started?: string;
  finished?: string;
  workflow?: { uid: string; name?: string; version: number };
}

export interface Page<T> {
  readonly items: T[];
  readonly total: number;
}

/** A condition of a list: field[op]=value. */
export interface Term {
  readonly field: string;
  readonly op: '==' | '!=' | '<' | '<=' | '>' | '>=' | 'search';
  readonly value: string;
}

export interface ListQuery {
  readonly terms?: readonly Term[];
  /** "-timestamp", "+name" */
  readonly sort?: string;
  readonly limit: number;
  readonly offset?: number;
}

/** The newest version of each thing. */
export const newest: Term = { field: 'version.tags', op: '==', value: 'latest' };

/** What contains a text as it is typed: the server searches by expressions. */
export function contains(field: string, text: string): Term {
  return { field, op: 'search', value: text.trim().replace(/[.*+?^${}()|[\]\\]/g, '\\$&') };
}

export function listAddress(kind: string, { terms = [], sort, limit, offset = 0 }: ListQuery): string {
  const search = new URLSearchParams({ limit: String(limit) });
  if (offset > 0) search.set('offset', String(offset));
  for (const t of terms) search.append('filter', `${t.field}[${t.op}]=${t.value.replaceAll(',', '\\,')}`);
  if (sort !== undefined) search.set('sort', sort);
  return `${base}/${kind}/?${search.toString()}`;
}

async function list<T>(kind: string, query: ListQuery): Promise<Page<T>> {
  const page = await json<{ items?: T[]; pageInfo: { totalNumber: number } }>('GET', listAddress(kind, query));
  return { items: page.items ?? [], total: page.pageInfo.totalNumber };
}

function one(kind: DocumentKind, uid: string, version?: number): string {
  return version === undefined || version === 0 ? fill(`${base}/${kind}s/{uid}`, { uid }) : fill(`${base}/${kind}s/{uid}/{version}`, { uid, version: String(version) });
}

/** Every call of the workflow rooms, in one place. */
export const workflowsAPI = {
  list: (kind: DocumentKind, query: ListQuery) => list<Item>(`${kind}s`, query),
  get: (kind: DocumentKind, uid: string, version?: number) => json<Document>('GET', one(kind, uid, version)),
  component: async (uid: string, version?: number) => (await json<Component>('GET', one('component', uid, version))),
  workflow: (uid: string, version?: number) => json<Workflow>('GET', one('workflow', uid, version)),
  versions: (kind: DocumentKind, uid: string) => list<Item>(`${kind}s`, { terms: [{ field: 'uid', op: '==', value: uid }], sort: '-version.current', limit: 200 }),
  create: (doc: Document) => json<Document>('POST', `${base}/${doc.type}s/`, { body: { [doc.type]: doc } }),
  /** Writes over the newest version. */
  save: (doc: Document) => json<Document>('PATCH', one(doc.type, doc.uid ?? ''), { body: { [doc.type]: doc } }),
  /** Adds a version, and reads what it became. */
  publish: async (doc: Document): Promise<Document> => {
    await json('PUT', one(doc.type, doc.uid ?? ''), { body: { [doc.type]: doc } });
    return json<Document>('GET', one(doc.type, doc.uid ?? ''));
  },
  remove: (kind: DocumentKind, uid: string, version: number) => json<undefined>('DELETE', one(kind, uid, version)),
  validate: (doc: unknown, signal?: AbortSignal) =>
    json<{ valid: boolean; findings: Finding[] }>('POST', `${base}/validate/`, { body: doc, ...(signal ? { signal } : {}) }),

  runs: (query: ListQuery) => list<RunItem>('jobs', query),
  run: (uid: string) => json<Job>('GET', fill(`${base}/jobs/{uid}`, { uid })),
  runStatus: (id: string) => call('get', '/workflows/api/v1/jobs/{id}/status', { path: { id } }),
  /** Submits a run and gives its uid, which the answer says only in its address. */
  submit: async (workflow: Workflow, inputs: InputValue[], description: string, tags: string[]): Promise<string> => {
    const job = { type: 'job', workflow, inputValues: inputs, ...(description === '' ? {} : { description }) };
    const response = await send('POST', `${base}/jobs/`, {
      headers: { Accept: 'application/json', 'Content-Type': 'application/json' },
      body: JSON.stringify({ job, options: { tags } }),
    });
    return response.headers.get('Location')?.split('/').at(-1) ?? '';
  },
  terminate: (id: string) => call('post', '/workflows/api/v1/jobs/{id}/terminate', { path: { id } }),
  /** Goes on from what succeeded. */
  retry: (uid: string) => json<unknown>('POST', fill(`${base}/jobs/{uid}/retry`, { uid })),
  deleteRun: (id: string) => call('delete', '/workflows/api/v1/jobs/{id}', { path: { id } }),

  workspaces: async () => (await call('get', '/workflows/api/v1/workspaces/')).items,
  workspace: (name: string) => call('get', '/workflows/api/v1/workspaces/{name}', { path: { name } }),
  createWorkspace: (body: { name: string; description: string; roles: string[][] }) => json<unknown>('POST', `${base}/workspaces/`, { body }),
  editWorkspace: (body: { name: string; description?: string; roles?: string[][]; hideForUnauthorized?: boolean }) =>
    json<unknown>('PUT', `${base}/workspaces/`, { body }),
  deleteWorkspace: (name: string) => json<unknown>('DELETE', `${base}/workspaces/`, { body: { name } }),

  secrets: async (workspace: string) => (await call('get', '/workflows/api/v1/secrets/{workspace}/', { path: { workspace } })).items,
  putSecret: (workspace: string, key: string, value: string) =>
    json<unknown>('PUT', fill(`${base}/secrets/{workspace}/{key}`, { workspace, key }), { body: { key, value } }),
  deleteSecret: (workspace: string, key: string) => call('delete', '/workflows/api/v1/secrets/{workspace}/{key}', { path: { workspace, key } }),

  volumes: async (workspace: string) => (await json<{ items: Volume[] | null }>('GET', fill(`${base}/volumes/{workspace}/`, { workspace }) + '?limit=1000')).items ?? [],
  createVolume: (volume: Volume) => json<unknown>('POST', fill(`${base}/volumes/{workspace}/`, { workspace: volume.workspace }), { body: volume }),
  putVolume: (volume: Volume) =>
    json<unknown>('PUT', fill(`${base}/volumes/{workspace}/{uid}`, { workspace: volume.workspace, uid: volume.uid ?? '' }), { body: volume }),
  deleteVolume: (workspace: string, id: string) => call('delete', '/workflows/api/v1/volumes/{workspace}/{id}', { path: { workspace, id } }),
};

/** Where a run's changes are pushed. */
export function eventsAddress(uid: string): string {
  return fill(`${base}/jobs/{uid}/events/`, { uid });
}

/** Where the lines of a step's log are streamed. */
export function logAddress(uid: string, step: string): string {
  return fill(`${base}/jobs/{uid}/logs/{step}`, { uid, step });
}

/** Where the whole log of a step is, as a text to keep. */
export function logTextAddress(uid: string, step: string): string {
  return fill(`${base}/jobs/{uid}/logs/{step}/text`, { uid, step });
}

/** Where the contents of a file are that a step took or gave. */
export function artifactAddress(uid: string, step: string, name: string, side: 'inputs' | 'outputs'): string {
  return fill(`${base}/jobs/{uid}/${side === 'inputs' ? 'input-artifacts' : 'artifacts'}/{step}/{name}`, { uid, step, name });
}
