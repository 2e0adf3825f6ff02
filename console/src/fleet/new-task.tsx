import { ActionIcon, Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Send, Star, X } from 'lucide-react';
import { useState } from 'react';
import { useNavigate, useSearchParams } from 'react-router';
import { fleetAPI } from '../api/fleet';
import type { TaskFavorite } from '../api/types';
import { useMe } from '../frame/me-context';
import { useDraft } from '../lib/drafts';
import { Problem } from '../ui/problem';
import classes from './fleet.module.css';
import { check, noOrder, type Order, orderOf, robotIn } from './order';
import { fleetQueries } from './queries';
import { TaskFields } from './task-fields';

/** The address that opens the form for a task, on a page that has it. */
export function newTaskAt(path: string, given: { place?: string; robot?: string } = {}): string {
  const search = new URLSearchParams({ do: 'task', ...given });
  return `${path}?${search.toString()}`;
}

/** The form for a task, opened by ?do=task, with a place or a robot from the address. */
export function NewTaskDialog() {
  const [search, setSearch] = useSearchParams();
  const opened = search.get('do') === 'task';
  const close = () =>
    setSearch(
      (old) => {
        const next = new URLSearchParams(old);
        for (const key of ['do', 'place', 'robot']) next.delete(key);
        return next;
      },
      { replace: true },
    );
  const place = search.get('place') ?? '';
  const robot = search.get('robot') ?? '';
  return (
    <Modal opened={opened} onClose={close} title="New task" size="lg">
      {opened && <TaskForm place={place} robot={robot} onClose={close} />}
    </Modal>
  );
}

function TaskForm({ place, robot, onClose }: { place: string; robot: string; onClose: () => void }) {
  const me = useMe();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [kept, keep, clear] = useDraft<Order>('fleet-task', noOrder);
  // A place or a robot that was pointed at stands for a new thought: it begins anew.
  const [pointed, setPointed] = useState<Order | undefined>(() =>
    place === '' && robot === ''
      ? undefined
      : { ...noOrder, places: place === '' ? [] : [place], who: robot === '' ? '' : `robot:${robot}` },
  );
  const order = pointed ?? kept;
  const setOrder = pointed === undefined ? keep : setPointed;
  const [strict, setStrict] = useState(false);
  const { request, problems } = check(order, me.name);
  const send = useMutation({
    mutationFn: (ready: NonNullable<typeof request>) => {
      const one = robotIn(order.who);
      return one === undefined ? fleetAPI.dispatch(ready) : fleetAPI.robotTask(one.fleet, one.robot, ready);
    },
    onSuccess: async (id) => {
      if (pointed === undefined) clear();
      notifications.show({ message: 'The fleet took the task.', color: 'pine' });
      await client.invalidateQueries({ queryKey: ['fleet', 'tasks'] });
      await navigate(`/fleet/tasks/${encodeURIComponent(id)}`);
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setStrict(true);
        if (request !== undefined) send.mutate(request);
      }}
    >
      <Stack gap="md">
        <Favorites onChoose={(favorite) => setOrder(orderOf(favorite))} />
        <TaskFields order={order} onChange={setOrder} problems={problems} strict={strict} />
        {send.error !== null && <Problem error={send.error} title="The task was not taken" />}
        <Group justify="space-between" gap="xs">
          <SaveFavorite order={order} onIncomplete={() => setStrict(true)} />
          <Group gap="xs">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={send.isPending} leftSection={<Send size={15} aria-hidden />}>
              Send
            </Button>
          </Group>
        </Group>
      </Stack>
    </form>
  );
}

function Favorites({ onChoose }: { onChoose: (favorite: TaskFavorite) => void }) {
  const client = useQueryClient();
  const favorites = useQuery(fleetQueries.favorites());
  const remove = useMutation({
    mutationFn: (favorite: TaskFavorite) => fleetAPI.deleteFavorite(favorite.id),
    onSuccess: () => client.invalidateQueries({ queryKey: ['fleet', 'favorites'] }),
  });
  const list = favorites.data ?? [];
  if (list.length === 0) return null;
  return (
    <div>
      <Text size="xs" c="dimmed" mb={4}>
        Favourites
      </Text>
      <ul className={classes.chips} aria-label="Favourites">
        {list.map((f) => (
          <li key={f.id}>
            <Button size="compact-sm" variant="default" leftSection={<Star size={13} aria-hidden />} onClick={() => onChoose(f)}>
              {f.name}
            </Button>
            <ActionIcon size="sm" aria-label={`Forget ${f.name}`} onClick={() => remove.mutate(f)}>
              <X size={13} />
            </ActionIcon>
          </li>
        ))}
      </ul>
      {remove.error !== null && <Problem error={remove.error} title="The favourite was not forgotten" />}
    </div>
  );
}

function SaveFavorite({ order, onIncomplete }: { order: Order; onIncomplete: () => void }) {
  const me = useMe();
  const client = useQueryClient();
  const [name, setName] = useState<string>();
  const save = useMutation({
    mutationFn: (as: string) => {
      const { request } = check(order, me.name);
      return fleetAPI.saveFavorite({
        id: '',
        name: as,
        category: request?.category ?? '',
        description: (request?.description ?? {}) as Record<string, unknown>,
        priority: request?.priority ?? {},
        unix_millis_earliest_start_time: 0,
        user: me.name,
        task_definition_id: request?.category ?? '',
      });
    },
    onSuccess: async () => {
      setName(undefined);
      await client.invalidateQueries({ queryKey: ['fleet', 'favorites'] });
      notifications.show({ message: 'Saved as a favourite.', color: 'pine' });
    },
  });
  if (name === undefined) {
    return (
      <Button
        variant="subtle"
        size="compact-sm"
        leftSection={<Star size={14} aria-hidden />}
        onClick={() => (check(order, me.name).request === undefined ? onIncomplete() : setName(''))}
      >
        Save as favourite
      </Button>
    );
  }
  const keep = () => {
    if (name.trim() !== '') save.mutate(name.trim());
  };
  return (
    <Group gap={6}>
      <TextInput
        size="xs"
        aria-label="Name of the favourite"
        placeholder="Name"
        value={name}
        error={save.error?.message}
        onChange={(event) => setName(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter') return;
          event.preventDefault();
          keep();
        }}
      />
      <Button size="compact-sm" variant="default" loading={save.isPending} disabled={name.trim() === ''} onClick={keep}>
        Save
      </Button>
    </Group>
  );
}
