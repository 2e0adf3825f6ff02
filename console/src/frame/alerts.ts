import { useQuery } from '@tanstack/react-query';
import { queries } from '../api/queries';
import type { App, Dependency, Hub } from '../api/types';
import { endOf, titleOf } from '../apps/model';
import { appsQueries } from '../apps/queries';
import { useWaitingAlerts } from '../fleet/alert-store';
import { count, sentence, span } from '../lib/format';
import { useNow } from '../lib/now';
import { useMe } from './me-context';
import { may } from './may';

export interface Alert {
  readonly id: string;
  readonly tone: 'warn' | 'bad';
  readonly text: string;
  readonly link: string;
}

/** What needs somebody, from real data: robots that ask, apps that are about to close, the hub queue and the health of the site. */
export function alertsFrom(
  hub: Hub | undefined,
  failed: number,
  dependencies: readonly Dependency[] | undefined,
  now: number,
  fleet: { waiting: number; worst: 'warn' | 'bad' } = { waiting: 0, worst: 'warn' },
  apps: readonly App[] = [],
): Alert[] {
  const alerts: Alert[] = [];
  for (const s of apps.flatMap((a) => a.sessions)) {
    if (s.state !== 'ready' || s.extend?.soon !== true) continue;
    alerts.push({ id: `app:${s.id}`, tone: 'warn', text: sentence(`${titleOf(s)} ${endOf(s, now)}`), link: `/apps/mine/${s.id}` });
  }
  if (fleet.waiting > 0) {
    alerts.push({
      id: 'fleet',
      tone: fleet.worst,
      text: `${count(fleet.waiting, 'robot or task waits', 'robots and tasks wait')} for an answer.`,
      link: '/fleet/alerts',
    });
  }
  if (failed > 0) {
    alerts.push({
      id: 'failed',
      tone: 'bad',
      text: `${count(failed, 'upload')} to the hub failed and will not be tried again by ${failed === 1 ? 'itself' : 'themselves'}.`,
      link: '/results/uploads?state=failed',
    });
  }
  if (hub?.configured === true && !hub.reachable) {
    const since = hub.unreachable_since;
    alerts.push({
      id: 'hub',
      tone: 'warn',
      text: `The hub is unreachable${since ? ` for ${span(now - new Date(since).getTime())}` : ''}; ${count(hub.waiting, 'upload waits', 'uploads wait')}.`,
      link: '/results/uploads',
    });
  }
  for (const d of dependencies ?? []) {
    // The hub has its own line above, with more in it.
    if (d.state === 'ok' || d.name === 'hub') continue;
    alerts.push({
      id: `dependency:${d.name}`,
      tone: d.needed ? 'bad' : 'warn',
      text: sentence(`${d.name}: ${d.error ?? 'does not answer'}`),
      link: '/site/health',
    });
  }
  return alerts;
}

export function useAlerts(): Alert[] {
  const me = useMe();
  const hub = useQuery({ ...queries.hub(), enabled: may(me, 'results.uploads.read') });
  const failed = useQuery({ ...queries.failed(), enabled: may(me, 'results.uploads.read') });
  const health = useQuery(queries.health());
  const apps = useQuery(appsQueries.list());
  return alertsFrom(hub.data, failed.data ?? 0, health.data?.checks, useNow(), useWaitingAlerts(), apps.data);
}
