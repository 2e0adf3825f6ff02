import { Button, Group, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { LockOpen } from 'lucide-react';
import { useState } from 'react';
import { fleetAPI } from '../api/fleet';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { Confirm } from '../ui/confirm';
import type { Robot } from './model';

/** What a robot keeps to itself, and the way to take it away where it forgot to let go. */
export function MutexGroups({ robot }: { robot: Robot }) {
  const locked = robot.mutex_groups?.locked ?? [];
  const waits = robot.mutex_groups?.requesting ?? [];
  if (locked.length === 0 && waits.length === 0) return null;
  return (
    <Stack gap={4}>
      {locked.map((group) => (
        <Locked key={group} robot={robot} group={group} />
      ))}
      {waits.length > 0 && (
        <Text size="sm" c="dimmed">
          Waits for {waits.join(', ')}
        </Text>
      )}
    </Stack>
  );
}

function Locked({ robot, group }: { robot: Robot; group: string }) {
  const me = useMe();
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const unlock = useMutation({
    mutationFn: () => fleetAPI.unlockMutex(robot.fleet, robot.name, group),
    onSuccess: async () => {
      setAsking(false);
      notifications.show({ message: `${robot.name} was told to let go of ${group}.`, color: 'pine' });
      await client.invalidateQueries({ queryKey: ['fleet', 'fleets'] });
    },
  });
  return (
    <Group justify="space-between" gap="xs">
      <Text size="sm">Holds {group}</Text>
      {may(me, 'fleet.fleets.control') && (
        <Button size="compact-sm" variant="default" leftSection={<LockOpen size={14} aria-hidden />} aria-label={`Unlock ${group}`} onClick={() => setAsking(true)}>
          Unlock
        </Button>
      )}
      <Confirm
        opened={asking}
        title={`Unlock ${group}`}
        action="Unlock it"
        busy={unlock.isPending}
        error={unlock.error}
        onConfirm={() => unlock.mutate()}
        onClose={() => {
          unlock.reset();
          setAsking(false);
        }}
      >
        Another robot may go there at once. Do it only when {robot.name} is not there, or cannot move: two robots might meet.
      </Confirm>
    </Group>
  );
}
