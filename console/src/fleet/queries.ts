import { keepPreviousData, queryOptions, useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { fleetAPI, type TaskQuery } from '../api/fleet';
import type { FleetState, Task } from '../api/types';
import { useMe } from '../frame/me-context';
import { may } from '../frame/may';
import { span } from '../lib/format';
import { useNow } from '../lib/now';
import { useLineState, useRooms } from './line';
import { destinationsOf, type Destination, type Robot, robotsOf } from './model';

/** The fleet's queries. Rooms push what changes; asking again now and then finds what is new. */
export const fleetQueries = {
  map: () => queryOptions({ queryKey: ['fleet', 'map'], queryFn: fleetAPI.map, staleTime: 60_000, refetchInterval: 60_000 }),
  fleets: () => queryOptions({ queryKey: ['fleet', 'fleets'], queryFn: fleetAPI.fleets, refetchInterval: 15_000 }),
  tasks: (query: TaskQuery) =>
    queryOptions({
      queryKey: ['fleet', 'tasks', query],
      queryFn: () => fleetAPI.tasks(query),
      placeholderData: keepPreviousData,
      refetchInterval: 5_000,
    }),
  task: (id: string) => queryOptions({ queryKey: ['fleet', 'task', id], queryFn: () => fleetAPI.task(id), refetchInterval: 15_000 }),
  log: (id: string) => queryOptions({ queryKey: ['fleet', 'log', id], queryFn: () => fleetAPI.taskLog(id), refetchInterval: 15_000 }),
  alerts: () => queryOptions({ queryKey: ['fleet', 'alerts'], queryFn: fleetAPI.alerts, refetchInterval: 15_000 }),
  answered: (limit: number, offset: number) =>
    queryOptions({
      queryKey: ['fleet', 'alerts', 'answered', { limit, offset }],
      queryFn: () => fleetAPI.answered(limit, offset),
      placeholderData: keepPreviousData,
      refetchInterval: 15_000,
    }),
  logs: (text: string, limit: number, offset: number) =>
    queryOptions({
      queryKey: ['fleet', 'logs', { text, limit, offset }],
      // One more than is shown says whether there is another page: counting would read every log.
      queryFn: () => fleetAPI.searchLogs(text, limit + 1, offset),
      placeholderData: keepPreviousData,
      enabled: text.length >= 2,
    }),
  favorites: () => queryOptions({ queryKey: ['fleet', 'favorites'], queryFn: fleetAPI.favorites }),
  time: () =>
    queryOptions({
      queryKey: ['fleet', 'skew'],
      queryFn: async () => {
        const before = Date.now();
        const time = await fleetAPI.time();
        return time - (before + Date.now()) / 2;
      },
      staleTime: 300_000,
      refetchInterval: 300_000,
    }),
};

/** The fleet's own time, fresh every second: ages are told by its clock, not by the browser's. */
export function useSiteNow(): number {
  const skew = useQuery(fleetQueries.time());
  return useNow() + (skew.data ?? 0);
}

/** Why nothing comes over the fleet's line, if nothing does. */
export function useSilence(): string | undefined {
  const line = useLineState();
  const now = useNow();
  if (line.open || line.heardAt === 0) return undefined;
  return `no live line for ${span(now - line.heardAt)}`;
}

/** Every fleet with the newest state that was pushed. */
export function useFleets() {
  const me = useMe();
  const query = useQuery({ ...fleetQueries.fleets(), enabled: may(me, 'fleet.fleets.read') });
  const names = useMemo(() => (query.data ?? []).map((f) => f.name ?? ''), [query.data]);
  const rooms = useMemo(() => names.map((n) => `/fleets/${n}/state`), [names]);
  const pushed = useRooms<FleetState>(rooms);
  const robots: Robot[] = useMemo(
    () => robotsOf((query.data ?? []).map((f) => pushed.get(`/fleets/${f.name ?? ''}/state`) ?? f)),
    [query.data, pushed],
  );
  return { query, names, robots };
}

/** These tasks with what was pushed about them since. */
export function usePushed(tasks: readonly Task[]): Task[] {
  const rooms = useMemo(() => tasks.map((t) => `/tasks/${t.booking.id}/state`), [tasks]);
  const pushed = useRooms<Task>(rooms);
  return useMemo(() => tasks.map((t) => pushed.get(`/tasks/${t.booking.id}/state`) ?? t), [tasks, pushed]);
}

/** The places that a task can name. Without the map they are typed. */
export function useDestinations(): Destination[] {
  const me = useMe();
  const map = useQuery({ ...fleetQueries.map(), enabled: may(me, 'fleet.map.read') });
  return useMemo(() => destinationsOf(map.data), [map.data]);
}
