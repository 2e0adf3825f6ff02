import { Alert, Anchor, Group, Progress, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useMemo, type ReactNode } from 'react';
import { Link } from 'react-router';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { Age } from '../ui/age';
import { Facts } from '../ui/facts';
import { Status } from '../ui/status';
import { Commission } from './commission';
import {
  battery,
  categoryWord,
  detailText,
  inService,
  isOver,
  phasesOf,
  phaseState,
  progressOf,
  type Robot,
  knownLook,
  staleReason,
  summaryOf,
} from './model';
import { MutexGroups } from './mutex';
import { fleetQueries, usePushed, useSiteNow } from './queries';

/** A robot's state with the word for it; grey once it is stale. */
export function RobotStatus({ robot }: { robot: Robot }) {
  const now = useSiteNow();
  const stale = staleReason(robot, now);
  const look = knownLook(robot, stale);
  return <Status tone={look.tone}>{look.word}</Status>;
}

/** What there is to know about a robot now, and what can be done with it. */
export function RobotView({ robot, children }: { robot: Robot; children?: ReactNode }) {
  const now = useSiteNow();
  const stale = staleReason(robot, now);
  const issues = robot.issues ?? [];
  return (
    <Stack gap="md">
      <Group gap="xs">
        <RobotStatus robot={robot} />
        {!inService(robot) && <Status tone="warn">out of service</Status>}
      </Group>
      {stale !== undefined && (
        <Text size="sm" c="dimmed">
          Stale: {stale}. What stands here is the last that was heard.
        </Text>
      )}
      {issues.map((issue, i) => (
        <Alert key={`${issue.category ?? ''}:${i}`} color="red" title={categoryWord(issue.category ?? 'issue')}>
          {issueText(issue.detail)}
        </Alert>
      ))}
      {robot.task_id ? <CurrentTask id={robot.task_id} /> : null}
      <div>
        <Group justify="space-between">
          <Text size="xs" c="dimmed">
            Battery
          </Text>
          <Text size="xs">{battery(robot)}</Text>
        </Group>
        <Progress value={(robot.battery ?? 0) * 100} size="sm" color={(robot.battery ?? 0) < 0.25 ? 'red' : 'pine'} aria-label={`Battery ${battery(robot)}`} />
      </div>
      <Facts
        items={[
          ['Fleet', robot.fleet],
          ['Level', robot.location?.map ?? 'not known'],
          ...(robot.location ? [['Position', `${robot.location.x.toFixed(1)} m, ${robot.location.y.toFixed(1)} m`] as const] : []),
          ['Heard', <Age key="heard" time={robot.unix_millis_time} />],
        ]}
      />
      <MutexGroups robot={robot} />
      <Group gap="xs">
        {children}
        <Commission robot={robot} />
      </Group>
    </Stack>
  );
}

function CurrentTask({ id }: { id: string }) {
  const me = useMe();
  const query = useQuery({ ...fleetQueries.task(id), enabled: may(me, 'fleet.tasks.read'), retry: false });
  const known = useMemo(() => (query.data === undefined ? [] : [query.data]), [query.data]);
  const [task] = usePushed(known);
  const now = useSiteNow();
  const active = task === undefined ? undefined : phasesOf(task).find((p) => phaseState(task, p) === 'active');
  return (
    <div>
      <Text size="xs" c="dimmed">
        Task
      </Text>
      <Anchor component={Link} to={`/fleet/tasks/${encodeURIComponent(id)}`} size="sm" fw={550}>
        {task === undefined ? id : `${categoryWord(task.category)} ${summaryOf({ ...task, labels: task.booking.labels ?? null })}`}
      </Anchor>
      {active !== undefined && (
        <Text size="xs" c="dimmed">
          {detailText(active.detail) || categoryWord(active.category)}
        </Text>
      )}
      {task !== undefined && !isOver(task.status) && (
        <Progress value={progressOf(task, now) * 100} size={4} mt={6} aria-label={`${Math.round(progressOf(task, now) * 100)} percent done`} />
      )}
    </div>
  );
}

function issueText(detail: unknown): string {
  if (typeof detail === 'string') return detail;
  return detail === null || detail === undefined ? '' : JSON.stringify(detail);
}
