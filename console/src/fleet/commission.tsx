import { Button, Checkbox, Stack } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { PowerOff, RotateCcw } from 'lucide-react';
import { useState } from 'react';
import { fleetAPI } from '../api/fleet';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { Confirm } from '../ui/confirm';
import { Problem } from '../ui/problem';
import { inService, type Robot } from './model';

/** Takes a robot out of service and back. */
export function Commission({ robot }: { robot: Robot }) {
  const me = useMe();
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const [reassign, setReassign] = useState(true);
  const [idle, setIdle] = useState(true);
  const told = async (message: string) => {
    setAsking(false);
    notifications.show({ message, color: 'pine' });
    await client.invalidateQueries({ queryKey: ['fleet', 'fleets'] });
  };
  const out = useMutation({
    mutationFn: () => fleetAPI.decommission(robot.fleet, robot.name, reassign, idle),
    onSuccess: () => told(`${robot.name} gets no new tasks: accepted by ${robot.fleet}.`),
  });
  const back = useMutation({
    mutationFn: () => fleetAPI.recommission(robot.fleet, robot.name),
    onSuccess: () => told(`${robot.name} takes tasks again: accepted by ${robot.fleet}.`),
  });
  if (!may(me, 'fleet.fleets.control')) return null;
  return (
    <>
      {inService(robot) ? (
        <Button size="compact-sm" variant="default" leftSection={<PowerOff size={14} aria-hidden />} onClick={() => setAsking(true)}>
          Decommission
        </Button>
      ) : (
        <Button size="compact-sm" leftSection={<RotateCcw size={14} aria-hidden />} loading={back.isPending} onClick={() => back.mutate()}>
          Recommission
        </Button>
      )}
      {back.error !== null && <Problem error={back.error} title="It was not recommissioned" />}
      <Confirm
        opened={asking}
        title={`Decommission ${robot.name}`}
        action="Decommission"
        busy={out.isPending}
        error={out.error}
        onConfirm={() => out.mutate()}
        onClose={() => {
          out.reset();
          setAsking(false);
        }}
      >
        <Stack gap="sm">
          It ends what it does and takes no new tasks until it is recommissioned.
          <Checkbox label="Give its waiting tasks to others" checked={reassign} onChange={(e) => setReassign(e.currentTarget.checked)} />
          <Checkbox label="Let it charge and park by itself" checked={idle} onChange={(e) => setIdle(e.currentTarget.checked)} />
        </Stack>
      </Confirm>
    </>
  );
}
