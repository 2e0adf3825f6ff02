import { ApiError, problemOf, unreachable } from './errors';

/** Values of a query: strings, numbers and booleans; what is empty is left out. */
export type Query = object;

/** Told once per refused request that nobody is logged in (any more). */
type SessionListener = () => void;
const ended = new Set<SessionListener>();

export function onSessionEnd(listener: SessionListener): () => void {
  ended.add(listener);
  return () => {
    ended.delete(listener);
  };
}

export function sessionEnded(): void {
  for (const listener of ended) listener();
}

export function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query) as [string, string | number | boolean | undefined][]) {
    if (value !== undefined && value !== '') search.set(key, String(value));
  }
  const tail = search.toString();
  return tail === '' ? path : `${path}?${tail}`;
}

/** Sends a request and gives the answer, or throws an ApiError. */
export async function send(method: string, url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (method !== 'GET' && method !== 'HEAD') headers.set('X-Lodge-CSRF', '1');
  let response: Response;
  try {
    response = await fetch(url, { ...init, method, headers, credentials: 'same-origin' });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw unreachable();
  }
  if (response.ok) return response;
  throw await failure(response);
}

/** As send, with JSON both ways. An answer without a body is undefined. */
export async function json<T>(
  method: string,
  path: string,
  options: { query?: Query; body?: unknown; signal?: AbortSignal } = {},
): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  const init: RequestInit = { headers };
  if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(options.body);
  }
  if (options.signal) init.signal = options.signal;
  const response = await send(method, address(path, options.query), init);
  const text = await response.text();
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

async function failure(response: Response): Promise<ApiError> {
  let body: unknown;
  try {
    body = await response.json();
  } catch {
    body = undefined;
  }
  const error = problemOf(response.status, body, response.headers.get('X-Request-Id') ?? undefined);
  if (isSessionEnd(error)) sessionEnded();
  return error;
}

/** The results part answers 403 "Not authenticated" where the platform answers 401. */
export function isSessionEnd(error: ApiError): boolean {
  return error.status === 401 || (error.status === 403 && error.message === 'Not authenticated');
}
