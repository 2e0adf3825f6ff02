import { call, fill, type PathOf, type QueryOf } from './client';
import { ApiError, type FieldProblem } from './errors';
import { address, json, send } from './http';
import type { App, AppSession } from './types';

export type SessionQuery = NonNullable<QueryOf<'/api/v1/app-sessions'>>;
export type Choices = Record<string, unknown>;

/** An entry of the catalogue with the mark that a change of it must name. */
export interface Marked {
  readonly app: App;
  readonly etag: string;
}

const entryPath = '/api/v1/apps/{app}' satisfies PathOf<'put'>;

/** Every call of the app rooms, in one place. */
export const appsAPI = {
  list: async () => (await call('get', '/api/v1/apps')).items,
  app: async (id: string): Promise<Marked> => {
    const response = await send('GET', fill(entryPath, { app: id }), { headers: { Accept: 'application/json' } });
    return { app: (await response.json()) as App, etag: response.headers.get('ETag') ?? '' };
  },
  /** Writes an entry: a new one without a mark, another one only if it is still what was read. */
  put: async (id: string, entry: unknown, etag: string): Promise<App> => {
    const headers: Record<string, string> = { 'Content-Type': 'application/json', Accept: 'application/json' };
    if (etag !== '') headers['If-Match'] = etag;
    const response = await send('PUT', fill(entryPath, { app: id }), { headers, body: JSON.stringify(entry) });
    return (await response.json()) as App;
  },
  /** What is wrong with an entry, or what it would look like. */
  check: async (id: string, entry: unknown, signal: AbortSignal): Promise<{ app?: App; findings: readonly FieldProblem[] }> => {
    try {
      const app = await json<App>('PUT', address(fill(entryPath, { app: id }), { dry_run: true }), { body: entry, signal });
      return { app, findings: [] };
    } catch (error) {
      if (error instanceof ApiError && error.status === 422) return { findings: error.fields };
      throw error;
    }
  },
  remove: (app: string) => call('delete', entryPath, { path: { app } }),

  /** The answer is an app session whether it was there (200), is ready (201) or starts (202). */
  launch: (app: string, body: { name?: string; options?: Choices }) =>
    json<AppSession>('POST', fill('/api/v1/apps/{app}/sessions' satisfies PathOf<'post'>, { app }), { body }),
  sessions: (query: SessionQuery) => call('get', '/api/v1/app-sessions', { query }),
  session: (id: string) => call('get', '/api/v1/app-sessions/{id}', { path: { id } }),
  stop: (id: string) => call('delete', '/api/v1/app-sessions/{id}', { path: { id } }),
  forget: (id: string) => call('delete', '/api/v1/app-sessions/{id}', { path: { id }, query: { forget: true } }),
  restart: (id: string) => json<AppSession>('POST', fill('/api/v1/app-sessions/{id}/restart' satisfies PathOf<'post'>, { id })),
  extend: (id: string) => json<AppSession>('POST', fill('/api/v1/app-sessions/{id}/extend' satisfies PathOf<'post'>, { id })),
  stats: (id: string) => call('get', '/api/v1/app-sessions/{id}/stats', { path: { id } }),
  eventsAddress: (id: string) => fill('/api/v1/app-sessions/{id}/events', { id }),
  /** Reads what an app session writes, piece by piece, until it ends or the signal says so. */
  readLog: async (id: string, query: { tail: number; follow: boolean }, signal: AbortSignal, onText: (text: string) => void): Promise<void> => {
    const response = await send('GET', address(fill('/api/v1/app-sessions/{id}/logs', { id }), query), { signal });
    if (response.body === null) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onText(value);
    }
  },

  capacity: () => call('get', '/api/v1/app-capacity'),
  drivers: async () => (await call('get', '/api/v1/app-drivers')).items,
  reconcile: () => call('post', '/api/v1/apps/-/reconcile'),
};
