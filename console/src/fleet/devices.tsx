import { Button, Group, NativeSelect, Stack, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { fleetAPI } from '../api/fleet';
import type { Door, DoorState, Lift, LiftState } from '../api/types';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { span } from '../lib/format';
import { Facts } from '../ui/facts';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import { useRooms } from './line';
import { doorLook, liftModes } from './model';
import { useSiteNow } from './queries';

/** Doors and lifts report every second or so; this long without a word is too long. */
const SILENT = 30_000;

export function useDoorStates(names: readonly string[]): ReadonlyMap<string, DoorState> {
  const rooms = useMemo(() => names.map((n) => `/doors/${n}/state`), [names]);
  const pushed = useRooms<DoorState>(rooms);
  return useMemo(() => new Map([...pushed.values()].map((s) => [s.door_name, s])), [pushed]);
}

export function useLiftStates(names: readonly string[]): ReadonlyMap<string, LiftState> {
  const rooms = useMemo(() => names.map((n) => `/lifts/${n}/state`), [names]);
  const pushed = useRooms<LiftState>(rooms);
  return useMemo(() => new Map([...pushed.values()].map((s) => [s.lift_name, s])), [pushed]);
}

function useStale(sec: number | undefined): string | undefined {
  const now = useSiteNow();
  if (sec === undefined) return 'it has not reported yet';
  const age = now - sec * 1000;
  return age > SILENT ? `silent for ${span(age)}` : undefined;
}

/** Follows a request until the thing's own state shows it. */
function useWanted(reached: (wanted: string) => boolean) {
  const [wanted, setWanted] = useState('');
  const there = wanted !== '' && reached(wanted);
  useEffect(() => {
    if (!there) return undefined;
    const timer = setTimeout(() => setWanted(''), 0);
    return () => clearTimeout(timer);
  }, [there]);
  return [wanted, setWanted] as const;
}

export function DoorStatus({ state }: { state: DoorState | undefined }) {
  const stale = useStale(state?.door_time.sec);
  const look = doorLook(state?.current_mode.value);
  return <Status tone={stale === undefined ? look.tone : 'idle'}>{stale === undefined ? look.word : `${look.word}?`}</Status>;
}

/** A door's state and its two buttons. */
export function DoorControl({ door, state }: { door: Door; state: DoorState | undefined }) {
  const me = useMe();
  const mode = state?.current_mode.value;
  const stale = useStale(state?.door_time.sec);
  const [wanted, setWanted] = useWanted((w) => (w === 'open' ? mode === 2 : mode === 0));
  const move = useMutation({
    mutationFn: (to: 'open' | 'close') => fleetAPI.moveDoor(door.name, to === 'open' ? 2 : 0),
    onSuccess: (_, to) => setWanted(to),
  });
  return (
    <Stack gap="xs">
      {stale !== undefined && (
        <Text size="xs" c="dimmed">
          Stale: {stale}.
        </Text>
      )}
      {may(me, 'fleet.doors.control') && (
        <Group gap="xs">
          <Button size="compact-sm" variant="default" disabled={mode === 2} loading={move.isPending && move.variables === 'open'} onClick={() => move.mutate('open')}>
            Open
          </Button>
          <Button size="compact-sm" variant="default" disabled={mode === 0} loading={move.isPending && move.variables === 'close'} onClick={() => move.mutate('close')}>
            Close
          </Button>
        </Group>
      )}
      {wanted !== '' && (
        <Text size="xs" c="dimmed" role="status">
          Asked to {wanted}; waiting for the door.
        </Text>
      )}
      {move.error !== null && <Problem error={move.error} title="The door was not asked" />}
    </Stack>
  );
}

const doorWords = ['closed', 'moving', 'open'];
const motions = ['standing', 'going up', 'going down', 'unknown'];

export function LiftStatus({ state }: { state: LiftState | undefined }) {
  const stale = useStale(state?.lift_time.sec);
  if (state === undefined) return <Status tone="idle">unknown</Status>;
  const moving = state.motion_state === 1 || state.motion_state === 2;
  const bad = state.current_mode === 3 || state.current_mode === 4 || state.current_mode === 5;
  const word = moving ? `${motions[state.motion_state] ?? ''} to ${state.destination_floor}` : `at ${state.current_floor}`;
  return <Status tone={stale !== undefined ? 'idle' : bad ? 'bad' : moving ? 'busy' : 'good'}>{word}</Status>;
}

/** A lift's state and how to call it. */
export function LiftControl({ lift, state }: { lift: Lift; state: LiftState | undefined }) {
  const me = useMe();
  const stale = useStale(state?.lift_time.sec);
  const [floor, setFloor] = useState('');
  const floors = state?.available_floors ?? lift.levels;
  const to = floor === '' ? (floors.find((f) => f !== state?.current_floor) ?? '') : floor;
  const [wanted, setWanted] = useWanted((w) => state?.current_floor === w && state.door_state === 2);
  const call = useMutation({
    mutationFn: (destination: string) =>
      fleetAPI.callLift(lift.name, { request_type: 2, door_mode: 2, destination, additional_session_ids: [] }),
    onSuccess: (_, destination) => setWanted(destination),
  });
  const end = useMutation({
    mutationFn: () =>
      fleetAPI.callLift(lift.name, { request_type: 0, door_mode: 0, destination: state?.destination_floor ?? '', additional_session_ids: [] }),
  });
  return (
    <Stack gap="xs">
      {stale !== undefined && (
        <Text size="xs" c="dimmed">
          Stale: {stale}.
        </Text>
      )}
      {state !== undefined && (
        <Facts
          items={[
            ['Doors', doorWords[state.door_state] ?? 'unknown'],
            ['Mode', liftModes[state.current_mode] ?? 'unknown'],
            ...(state.session_id === '' ? [] : [['In use by', state.session_id] as const]),
          ]}
        />
      )}
      {may(me, 'fleet.lifts.control') && (
        <Group gap="xs" align="flex-end">
          <NativeSelect size="xs" aria-label={`Level for ${lift.name}`} value={to} onChange={(e) => setFloor(e.currentTarget.value)} data={floors} />
          <Button size="compact-sm" variant="default" disabled={to === ''} loading={call.isPending} onClick={() => call.mutate(to)}>
            Call to {to}
          </Button>
          {state?.session_id !== undefined && state.session_id !== '' && (
            <Button size="compact-sm" variant="subtle" loading={end.isPending} onClick={() => end.mutate()}>
              Let go
            </Button>
          )}
        </Group>
      )}
      {wanted !== '' && (
        <Text size="xs" c="dimmed" role="status">
          Called to {wanted}; it comes when nobody uses it.
        </Text>
      )}
      {(call.error ?? end.error) !== null && <Problem error={call.error ?? end.error} title="The lift was not called" />}
    </Stack>
  );
}
