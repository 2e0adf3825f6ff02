import { afterEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from './errors';
import { address, json, onSessionEnd } from './http';

function answer(status: number, body: unknown, headers: Record<string, string> = {}) {
  const fetch = vi.fn((_url: string, _init: RequestInit) =>
    Promise.resolve(new Response(body === undefined ? null : JSON.stringify(body), { status, headers })),
  );
  vi.stubGlobal('fetch', fetch);
  return fetch;
}

afterEach(() => vi.unstubAllGlobals());

describe('json', () => {
  it('proves that a write comes from here, and leaves reads alone', async () => {
    const fetch = answer(200, { ok: true });
    await json('POST', '/api/v1/roles', { body: { name: 'x' } });
    await json('GET', '/api/v1/roles');
    const headers = fetch.mock.calls.map(([, init]) => new Headers(init.headers));
    expect(headers[0]?.get('X-Lodge-CSRF')).toBe('1');
    expect(headers[0]?.get('Content-Type')).toBe('application/json');
    expect(headers[1]?.get('X-Lodge-CSRF')).toBeNull();
  });
  it('gives undefined for an answer without a body', async () => {
    answer(200, undefined);
    await expect(json('DELETE', '/api/v1/roles/x')).resolves.toBeUndefined();
  });
  it('throws what the server said, with the request id of the header when the body has none', async () => {
    answer(404, { detail: 'gone' }, { 'X-Request-Id': 'r9' });
    await expect(json('GET', '/results/files')).rejects.toMatchObject({ status: 404, message: 'gone', requestId: 'r9' });
  });
  it('tells once that the session has ended, for both shapes of refusal', async () => {
    const ended = vi.fn();
    const forget = onSessionEnd(ended);
    answer(401, { error: { kind: 'unauthenticated', message: 'log in' } });
    await expect(json('GET', '/api/v1/me')).rejects.toBeInstanceOf(ApiError);
    answer(403, { detail: 'Not authenticated' });
    await expect(json('GET', '/results/files')).rejects.toBeInstanceOf(ApiError);
    answer(403, { error: { kind: 'denied', message: 'no' } });
    await expect(json('GET', '/api/v1/users')).rejects.toBeInstanceOf(ApiError);
    expect(ended).toHaveBeenCalledTimes(2);
    forget();
  });
  it('says that the server does not answer', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
    await expect(json('GET', '/api/v1/me')).rejects.toMatchObject({ kind: 'unreachable' });
  });
});

describe('address', () => {
  it('leaves out what is empty and escapes the rest', () => {
    expect(address('/x', { q: 'a&b', tag: '', all: false, n: 0, none: undefined })).toBe('/x?q=a%26b&all=false&n=0');
    expect(address('/x')).toBe('/x');
  });
});
