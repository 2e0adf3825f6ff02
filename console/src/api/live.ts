import { backoff } from '../lib/backoff';
import { address, onSessionEnd, sessionEnded } from './http';
import { EventParser, type ServerEvent } from './sse';

export type Phase = 'connecting' | 'open' | 'waiting' | 'signed-out';

export interface LiveState {
  readonly phase: Phase;
  /** When the server last proved that it is there; 0 before the first time. */
  readonly heardAt: number;
  /** When the next try begins, while waiting. */
  readonly retryAt: number;
}

/** The server sends a heartbeat every 15 s: two missed ones and the line counts as dead. */
export const SILENCE = 40_000;

/** How long a tab that nobody looks at keeps its connection. */
export const UNSEEN = 5_000;

/**
 * The connection that the server pushes changes through. It connects again by itself, with growing
 * pauses, and at once when the network comes back or the page is looked at again.
 */
export class Live {
  private state: LiveState = { phase: 'connecting', heardAt: 0, retryAt: 0 };
  private readonly listeners = new Set<() => void>();
  private attempt = 0;
  private lastId = '';
  private abort: AbortController | undefined;
  private wake: (() => void) | undefined;
  private stopped = true;
  private hidden = false;

  constructor(
    private readonly url: string,
    private readonly onEvent: (event: ServerEvent) => void,
    /** Called when the line is back after a gap: whatever was pushed meanwhile was missed. */
    private readonly onGap: () => void,
  ) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  };

  readonly snapshot = (): LiveState => this.state;

  start(): () => void {
    this.stopped = false;
    const now = () => this.wake?.();
    let unseen: ReturnType<typeof setTimeout> | undefined;
    const seen = () => {
      clearTimeout(unseen);
      if (document.visibilityState === 'visible') {
        this.hidden = false;
        now();
        return;
      }
      // A browser opens few connections to one server: tabs that nobody looks at leave theirs to the others.
      unseen = setTimeout(() => {
        this.hidden = true;
        this.abort?.abort();
      }, UNSEEN);
    };
    window.addEventListener('online', now);
    document.addEventListener('visibilitychange', seen);
    const forget = onSessionEnd(() => {
      this.set({ phase: 'signed-out' });
      this.abort?.abort();
    });
    void this.run();
    return () => {
      clearTimeout(unseen);
      this.stopped = true;
      forget();
      window.removeEventListener('online', now);
      document.removeEventListener('visibilitychange', seen);
      this.abort?.abort();
      this.wake?.();
    };
  }

  /** Tries at once: after signing in again, or because the person says so. */
  retry(): void {
    this.attempt = 0;
    if (this.state.phase === 'signed-out') this.set({ phase: 'connecting' });
    this.wake?.();
  }

  private async run(): Promise<void> {
    while (!this.isStopped()) {
      if (!this.hidden) await this.connect();
      if (this.isStopped()) return;
      if (this.hidden || this.state.phase === 'signed-out') {
        await this.pause(2 ** 31 - 1);
        continue;
      }
      const wait = backoff(this.attempt++);
      this.set({ phase: 'waiting', retryAt: Date.now() + wait });
      await this.pause(wait);
      this.set({ phase: 'connecting' });
    }
  }

  private isStopped(): boolean {
    return this.stopped;
  }

  private async connect(): Promise<void> {
    this.abort = new AbortController();
    const abort = this.abort;
    let silence: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE);
    };
    heard();
    try {
      const headers: Record<string, string> = { Accept: 'text/event-stream' };
      if (this.lastId !== '') headers['Last-Event-ID'] = this.lastId;
      const response = await fetch(address(this.url), { headers, signal: abort.signal, credentials: 'same-origin' });
      if (response.status === 401) sessionEnded();
      if (!response.ok || response.body === null) return;
      const missed = this.state.heardAt !== 0;
      this.attempt = 0;
      this.set({ phase: 'open', heardAt: Date.now() });
      if (missed) this.onGap();
      const parser = new EventParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        heard();
        this.set({ phase: 'open', heardAt: Date.now() });
        for (const event of parser.feed(value)) {
          if (event.id !== '') this.lastId = event.id;
          this.onEvent(event);
        }
      }
    } catch {
      // The line broke or was silent too long; run() tries again.
    } finally {
      clearTimeout(silence);
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      this.wake = done;
      function done() {
        clearTimeout(timer);
        resolve();
      }
    });
  }

  private set(change: Partial<LiveState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }
}
