import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { appsAPI } from '../api/apps';
import type { AppSession } from '../api/types';
import { titleOf } from './model';

/** What can be done with an app session. What it did is read back from the server. */
export function useSessionActions(session: AppSession) {
  const client = useQueryClient();
  const fresh = () => client.invalidateQueries({ queryKey: ['apps'] });
  const title = titleOf(session);
  const said = (message: string) => notifications.show({ message, color: 'pine' });
  const stop = useMutation({
    mutationFn: () => appsAPI.stop(session.id),
    onSuccess: () => said(`${title} is being stopped.`),
    onSettled: fresh,
  });
  const extend = useMutation({
    mutationFn: () => appsAPI.extend(session.id),
    onSuccess: () => said(`${title} stays open longer.`),
    onSettled: fresh,
  });
  const restart = useMutation({ mutationFn: () => appsAPI.restart(session.id), onSettled: fresh });
  const forget = useMutation({
    mutationFn: () => appsAPI.forget(session.id),
    onSuccess: () => said(`${title} is forgotten.`),
    onSettled: fresh,
  });
  return { stop, extend, restart, forget, error: stop.error ?? extend.error ?? restart.error };
}
