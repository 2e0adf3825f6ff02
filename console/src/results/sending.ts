import { useSyncExternalStore } from 'react';
import { ApiError } from '../api/errors';
import { upload } from '../api/upload';

export type Destination = 'local' | 'hub';

export interface Job {
  readonly id: number;
  readonly name: string;
  readonly size: number;
  readonly destination: Destination;
  readonly sent: number;
  /** sending: bytes leave; storing: all sent, the server flushes; then done, queued or failed. */
  readonly state: 'sending' | 'storing' | 'done' | 'queued' | 'failed';
  readonly error?: ApiError;
}

export interface Target {
  readonly destination: Destination;
  /** The project of a local file, or the analysis of a final result. */
  readonly id: string;
  readonly tag: string;
}

/**
 * The files on their way from this tab. They belong to the tab and not to a page: going to another
 * page does not stop them.
 */
export class Sending {
  private jobs: readonly Job[] = [];
  private readonly cancels = new Map<number, () => void>();
  private readonly listeners = new Set<() => void>();
  private next = 1;

  constructor(private readonly start: typeof upload = upload) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  };

  readonly snapshot = (): readonly Job[] => this.jobs;

  /** Sends the files one after the other and calls `stored` after each that arrived. */
  async send(files: readonly File[], target: Target, stored: () => void): Promise<void> {
    const queue = files.map((file) => ({ file, id: this.next++ }));
    this.set([
      ...this.jobs,
      ...queue.map(({ file, id }): Job => ({
        id,
        name: file.name,
        size: file.size,
        destination: target.destination,
        sent: 0,
        state: 'sending',
      })),
    ]);
    for (const { file, id } of queue) {
      if (!this.jobs.some((j) => j.id === id)) continue;
      await this.sendOne(id, file, target);
      stored();
    }
  }

  private async sendOne(id: number, file: File, target: Target): Promise<void> {
    const hub = target.destination === 'hub';
    const running = this.start<unknown>(
      hub ? '/results/final' : '/results/local',
      hub ? { analysis_id: target.id } : { project_id: target.id },
      file,
      !hub && target.tag !== '' ? { tag: target.tag } : {},
      (sent, total) => this.change(id, { sent: Math.min(sent, file.size), state: sent >= total ? 'storing' : 'sending' }),
    );
    this.cancels.set(id, running.cancel);
    try {
      const { status } = await running.answer;
      this.change(id, { sent: file.size, state: status === 202 ? 'queued' : 'done' });
    } catch (error) {
      if (error instanceof ApiError) this.change(id, { state: 'failed', error });
      else throw error;
    } finally {
      this.cancels.delete(id);
    }
  }

  cancel(id: number): void {
    this.cancels.get(id)?.();
    this.set(this.jobs.filter((j) => j.id !== id));
  }

  /** Forgets what has ended. */
  clear(): void {
    this.set(this.jobs.filter((j) => j.state === 'sending' || j.state === 'storing'));
  }

  private isBusy(): boolean {
    return this.jobs.some((j) => j.state === 'sending' || j.state === 'storing');
  }

  /** Closing the tab stops what is on its way: the browser asks first. */
  private guard(on: boolean): void {
    if (typeof window === 'undefined') return;
    if (on) window.addEventListener('beforeunload', ask);
    else window.removeEventListener('beforeunload', ask);
  }

  private change(id: number, change: Partial<Job>): void {
    this.set(this.jobs.map((j) => (j.id === id ? { ...j, ...change } : j)));
  }

  private set(jobs: readonly Job[]): void {
    const before = this.isBusy();
    this.jobs = jobs;
    if (this.isBusy() !== before) this.guard(this.isBusy());
    for (const listener of this.listeners) listener();
  }
}

function ask(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

export const sending = new Sending();

export function useSending(): readonly Job[] {
  return useSyncExternalStore(sending.subscribe, sending.snapshot);
}
