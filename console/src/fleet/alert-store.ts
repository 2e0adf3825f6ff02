import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback } from 'react';
import type { DeliveryAlert } from '../api/types';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { useRoom } from './line';
import { fleetQueries } from './queries';

export interface Heard extends DeliveryAlert {
  readonly heardAt: number;
}

const KEPT = 'fleet-delivery-alerts';

/** What is still open of delivery alerts after one more was heard. An action other than waiting closes it. */
export function hear(open: readonly Heard[], alert: DeliveryAlert, now: number): Heard[] {
  const others = open.filter((a) => a.id !== alert.id);
  return alert.action === 'waiting' ? [...others, { ...alert, heardAt: now }].slice(-100) : others;
}

/** Delivery alerts that wait. Whoever comes into their room hears of all of them first. */
export function useDeliveryAlerts(): readonly Heard[] {
  const query = useQuery<Heard[]>({ queryKey: [KEPT], queryFn: () => [], initialData: [], staleTime: Infinity, gcTime: Infinity });
  return query.data;
}

/** Listens for alerts on every page, for the badge. */
export function useAlertFeed(): void {
  const me = useMe();
  const client = useQueryClient();
  const listening = may(me, 'fleet.alerts.read');
  const changed = useCallback(() => void client.invalidateQueries({ queryKey: ['fleet', 'alerts'] }), [client]);
  const delivery = useCallback(
    (data: unknown) => {
      client.setQueryData<Heard[]>([KEPT], (open) => hear(open ?? [], data as DeliveryAlert, Date.now()));
    },
    [client],
  );
  useRoom('/alerts/requests', changed, listening);
  useRoom('/alerts/responses', changed, listening);
  useRoom('/delivery_alerts', delivery, listening);
}

/** How many alerts of the fleet wait for an answer. */
export function useWaitingAlerts(): { waiting: number; worst: 'warn' | 'bad' } {
  const me = useMe();
  const query = useQuery({ ...fleetQueries.alerts(), enabled: may(me, 'fleet.alerts.read') });
  const delivery = useDeliveryAlerts();
  const urgent = (query.data ?? []).filter((a) => a.tier !== 'info');
  return { waiting: urgent.length + delivery.length, worst: urgent.some((a) => a.tier === 'error') ? 'bad' : 'warn' };
}
