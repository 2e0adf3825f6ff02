import { useEffect, useState } from 'react';
import { eventsAddress, logAddress } from '../api/workflows';
import { send } from '../api/http';
import { EventParser, type ServerEvent } from '../api/sse';
import { backoff } from '../lib/backoff';
import { isFinal, type RunObject } from './run';

export type Line = 'connecting' | 'open' | 'waiting' | 'ended';

/**
 * Reads a stream until it ends by itself, and comes back to it where it broke. It gives the state of the line;
 * `done` says after an orderly end whether there is more to come.
 */
export async function follow(url: string, signal: AbortSignal, onEvent: (e: ServerEvent) => void, onLine: (l: Line, error?: unknown) => void, done: () => boolean): Promise<void> {
  let last = '';
  const stopped = () => signal.aborted;
  for (let attempt = 0; !stopped(); ) {
    try {
      onLine('connecting');
      const headers: Record<string, string> = { Accept: 'text/event-stream' };
      if (last !== '') headers['Last-Event-ID'] = last;
      const response = await send('GET', url, { headers, signal });
      onLine('open');
      const parser = new EventParser();
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const part = await reader?.read();
        if (part === undefined || part.done) break;
        attempt = 0;
        for (const event of parser.feed(part.value)) {
          if (event.id !== '') last = event.id;
          onEvent(event);
        }
      }
      if (done()) {
        onLine('ended');
        return;
      }
    } catch (error) {
      if (stopped()) return;
      onLine('waiting', error);
    }
    await pause(backoff(attempt++), signal);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}

export interface Followed {
  readonly run: RunObject | undefined;
  readonly line: Line;
  readonly at: number;
  readonly error: unknown;
}

const unheard: Followed = { run: undefined, line: 'connecting', at: 0, error: undefined };

/** A run as it goes on: its newest state, pushed by the server. `again` begins anew, after a retry. */
export function useRun(uid: string, again: number): Followed {
  const [state, setState] = useState(unheard);
  useEffect(() => {
    const abort = new AbortController();
    let phase: string | undefined;
    void follow(
      eventsAddress(uid),
      abort.signal,
      (event) => {
        try {
          const run = JSON.parse(event.data) as RunObject;
          phase = run.status?.phase;
          setState((s) => ({ ...s, run, at: Date.now(), error: undefined }));
        } catch {
          // Not what a run looks like: the next event is.
        }
      },
      (line, error) => setState((s) => ({ ...s, line, error: line === 'waiting' ? error : undefined })),
      // Without a single report there is nothing more to come from a run that was stopped before it began.
      () => phase === undefined || isFinal(phase),
    );
    return () => abort.abort();
  }, [uid, again]);
  return state;
}

export interface FollowedLog {
  readonly lines: readonly string[];
  readonly line: Line;
  readonly error: unknown;
  /** How many of the first lines are not kept. */
  readonly dropped: number;
}

/** How many lines the page keeps: the last ones. */
export const KEPT_LINES = 20_000;

const unread: FollowedLog = { lines: [], line: 'connecting', error: undefined, dropped: 0 };

/** What a step writes, as it writes it. Lines that come together are shown together. */
export function useLog(uid: string, step: string): FollowedLog {
  const [state, setState] = useState(unread);
  useEffect(() => {
    const abort = new AbortController();
    let waiting: string[] = [];
    let frame = 0;
    const show = () => {
      frame = 0;
      const more = waiting;
      waiting = [];
      setState((s) => {
        const all = [...s.lines, ...more];
        const over = Math.max(0, all.length - KEPT_LINES);
        return { ...s, lines: over === 0 ? all : all.slice(over), dropped: s.dropped + over };
      });
    };
    void follow(
      logAddress(uid, step),
      abort.signal,
      (event) => {
        waiting.push(contentOf(event.data));
        if (frame === 0) frame = requestAnimationFrame(show);
      },
      (line, error) => setState((s) => ({ ...s, line, error: line === 'waiting' ? error : undefined })),
      () => true,
    );
    return () => {
      abort.abort();
      cancelAnimationFrame(frame);
    };
  }, [uid, step]);
  return state;
}

function contentOf(data: string): string {
  try {
    const event = JSON.parse(data) as { result?: { content?: unknown } };
    return typeof event.result?.content === 'string' ? event.result.content : '';
  } catch {
    return data;
  }
}
