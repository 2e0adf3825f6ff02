// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { onSessionEnd } from './http';
import { Live, SILENCE, UNSEEN } from './live';
import type { ServerEvent } from './sse';

/** A server whose streams the test feeds and ends. */
function server() {
  const streams: { send: (text: string) => void; end: () => void; headers: Headers }[] = [];
  const status = { next: 200 };
  const fetch = vi.fn((_url: string, init: RequestInit) => {
    if (status.next !== 200) return Promise.resolve(new Response('{}', { status: status.next }));
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        init.signal?.addEventListener('abort', () => controller.error(new DOMException('', 'AbortError')));
        streams.push({
          send: (text) => controller.enqueue(encoder.encode(text)),
          end: () => controller.close(),
          headers: new Headers(init.headers),
        });
      },
    });
    return Promise.resolve(new Response(body));
  });
  vi.stubGlobal('fetch', fetch);
  return { streams, status, fetch };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('Live', () => {
  it('hands events on, comes back after a break and says that there was a gap', async () => {
    const { streams } = server();
    const events: ServerEvent[] = [];
    const gap = vi.fn();
    const live = new Live('/events', (e) => events.push(e), gap);
    const stop = live.start();
    await vi.waitFor(() => expect(live.snapshot().phase).toBe('open'));
    streams[0]?.send('id: 41\ndata: {}\n\n');
    await vi.waitFor(() => expect(events).toHaveLength(1));
    expect(gap).not.toHaveBeenCalled();

    streams[0]?.end();
    await vi.waitFor(() => expect(live.snapshot().phase).toBe('waiting'));
    await vi.advanceTimersByTimeAsync(1000);
    await vi.waitFor(() => expect(live.snapshot().phase).toBe('open'));
    expect(gap).toHaveBeenCalledOnce();
    expect(streams[1]?.headers.get('Last-Event-ID')).toBe('41');
    stop();
  });

  it('takes a silent line for dead, while heartbeats keep it alive', async () => {
    const { streams, fetch } = server();
    const live = new Live('/events', () => undefined, () => undefined);
    const stop = live.start();
    await vi.waitFor(() => expect(live.snapshot().phase).toBe('open'));
    await vi.advanceTimersByTimeAsync(SILENCE - 5000);
    streams[0]?.send(': \n\n');
    await vi.advanceTimersByTimeAsync(SILENCE - 5000);
    expect(live.snapshot().phase).toBe('open');
    expect(fetch).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(6000);
    await vi.waitFor(() => expect(fetch.mock.calls.length).toBeGreaterThan(1));
    stop();
  });

  it('leaves its connection to other tabs while nobody looks, and comes back with a gap', async () => {
    const { fetch } = server();
    const gap = vi.fn();
    const live = new Live('/events', () => undefined, gap);
    const stop = live.start();
    await vi.waitFor(() => expect(live.snapshot().phase).toBe('open'));
    const look = (state: DocumentVisibilityState) => {
      Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    };
    look('hidden');
    await vi.advanceTimersByTimeAsync(UNSEEN + 120_000);
    expect(fetch).toHaveBeenCalledOnce();
    look('visible');
    await vi.waitFor(() => expect(fetch).toHaveBeenCalledTimes(2));
    await vi.waitFor(() => expect(gap).toHaveBeenCalledOnce());
    stop();
  });

  it('does not knock again and again once the session has ended, until told to', async () => {
    const { status, fetch } = server();
    status.next = 401;
    const ended = vi.fn();
    const forget = onSessionEnd(ended);
    const live = new Live('/events', () => undefined, () => undefined);
    const stop = live.start();
    await vi.waitFor(() => expect(live.snapshot().phase).toBe('signed-out'));
    expect(ended).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(fetch).toHaveBeenCalledOnce();
    status.next = 200;
    live.retry();
    await vi.waitFor(() => expect(live.snapshot().phase).toBe('open'));
    stop();
    forget();
  });
});
