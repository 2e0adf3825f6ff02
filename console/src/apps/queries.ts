import { keepPreviousData, queryOptions, useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { appsAPI, type SessionQuery } from '../api/apps';
import type { AppProgress, AppSession, AppStats } from '../api/types';
import { coresBetween, isMoving, type Measured } from './model';

/** The app rooms' queries. Changes are pushed; what only grows older is asked for again now and then. */
export const appsQueries = {
  list: () => queryOptions({ queryKey: ['apps', 'list'], queryFn: appsAPI.list, refetchInterval: 30_000 }),
  entry: (id: string) => queryOptions({ queryKey: ['apps', 'entry', id], queryFn: () => appsAPI.app(id) }),
  sessions: (query: SessionQuery) =>
    queryOptions({
      queryKey: ['apps', 'sessions', query],
      queryFn: () => appsAPI.sessions(query),
      placeholderData: keepPreviousData,
      refetchInterval: (q) => (q.state.data?.items.some((s) => isMoving(s.state)) === true ? 2_000 : 15_000),
    }),
  session: (id: string) =>
    queryOptions({
      queryKey: ['apps', 'session', id],
      queryFn: () => appsAPI.session(id),
      refetchInterval: (q) => (q.state.data !== undefined && isMoving(q.state.data.state) ? 2_000 : 15_000),
    }),
  capacity: () => queryOptions({ queryKey: ['apps', 'capacity'], queryFn: appsAPI.capacity, refetchInterval: 30_000 }),
  drivers: () => queryOptions({ queryKey: ['apps', 'drivers'], queryFn: appsAPI.drivers, refetchInterval: 15_000 }),
};

/** The caller's own app sessions. */
export const MINE: SessionQuery = { limit: 100 };

/** What a running app session uses: cores since the last look, and memory. */
export function useUse(session: AppSession): { stats: AppStats | undefined; cores: number | undefined; failed: boolean } {
  const before = useRef<Measured>(undefined);
  const query = useQuery({
    // A start later it is another process, with another count.
    queryKey: ['app-stats', session.id, session.ready_at],
    queryFn: async () => {
      const stats = await appsAPI.stats(session.id);
      const now = { at: Date.now(), seconds: stats.cpu_seconds };
      const cores = coresBetween(before.current, now);
      before.current = now;
      return { stats, cores };
    },
    enabled: session.state === 'ready',
    refetchInterval: 4_000,
    retry: false,
  });
  const running = session.state === 'ready';
  return { stats: running ? query.data?.stats : undefined, cores: running ? query.data?.cores : undefined, failed: query.isError };
}

export interface StartLine {
  readonly events: readonly AppProgress[];
  /** Whether the line is broken; the browser connects again by itself. */
  readonly broken: boolean;
}

const noLine: StartLine = { events: [], broken: false };

/**
 * How a start goes on, as the server tells it. It begins anew with every launch, which `launch` marks,
 * and ends by itself once the app session is ready, has failed or has stopped.
 */
export function useStart(id: string, launch: string, onChange: () => void): StartLine {
  const [line, setLine] = useState<{ of: string; line: StartLine }>({ of: '', line: noLine });
  const of = `${id} ${launch}`;
  useEffect(() => {
    let events: AppProgress[] = [];
    const show = (broken: boolean) => setLine({ of, line: { events, broken } });
    const source = new EventSource(appsAPI.eventsAddress(id));
    source.onopen = () => show(false);
    source.onerror = () => show(true);
    source.onmessage = (message: MessageEvent<string>) => {
      const event = JSON.parse(message.data) as AppProgress;
      const moved = event.state !== events.at(-1)?.state;
      events = [...events, event];
      show(false);
      if (event.ready === true || event.failed === true || event.state === 'stopped') source.close();
      if (moved) onChange();
    };
    return () => source.close();
  }, [id, of, onChange]);
  return line.of === of ? line.line : noLine;
}
