import { Anchor, Progress, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Bot } from 'lucide-react';
import { Link } from 'react-router';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import classes from '../home/home.module.css';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Panel } from '../ui/panel';
import { Status } from '../ui/status';
import { categoryWord, isOver, needsHelp, progressOf, staleReason, statusGroups, summaryOf, taskLook } from './model';
import { fleetQueries, useFleets, usePushed, useSiteNow } from './queries';
import { RobotStatus } from './robot-view';

/** The fleet in one glance: who needs help, and what runs. */
export function HomeFleet() {
  const me = useMe();
  return (
    <>
      {may(me, 'fleet.fleets.read') && <RobotsInNeed />}
      {may(me, 'fleet.tasks.read') && <RunningTasks />}
    </>
  );
}

function RobotsInNeed() {
  const { query, robots } = useFleets();
  const now = useSiteNow();
  const worried = robots.filter((r) => needsHelp(r) || staleReason(r, now) !== undefined);
  return (
    <Panel
      title="Robots"
      hint={robots.length === 0 ? undefined : `${robots.filter((r) => r.status === 'working').length} of ${robots.length} at work`}
      padded={false}
      actions={
        <Anchor component={Link} to="/fleet/map" size="sm">
          Map
        </Anchor>
      }
    >
      <Answer query={query} title="The fleets could not be read">
        {() =>
          robots.length === 0 ? (
            <Empty title="No robots yet" icon={Bot}>
              They appear as soon as a fleet adapter reports, or the simulated site runs.
            </Empty>
          ) : worried.length === 0 ? (
            <Text size="sm" c="dimmed" p="md">
              No robot needs help.
            </Text>
          ) : (
            <ul className={classes.list}>
              {worried.slice(0, 6).map((r) => (
                <li key={r.id}>
                  <Anchor component={Link} to={`/fleet/robots?robot=${encodeURIComponent(r.id)}`} size="sm" fw={550} className={classes.grow}>
                    {r.name}
                  </Anchor>
                  <Text size="xs" c="dimmed">
                    {staleReason(r, now) ?? (r.issues ?? []).map((i) => i.category ?? '').join(', ')}
                  </Text>
                  {needsHelp(r) ? <Status tone="bad">needs help</Status> : <RobotStatus robot={r} />}
                </li>
              ))}
            </ul>
          )
        }
      </Answer>
    </Panel>
  );
}

function RunningTasks() {
  const running = useQuery(
    fleetQueries.tasks({ status: [...statusGroups.running, ...statusGroups.queue].join(','), limit: 6, order_by: '-unix_millis_request_time' }),
  );
  const tasks = usePushed(running.data?.items ?? noTasks).filter((t) => !isOver(t.status));
  const now = useSiteNow();
  return (
    <Panel
      title="Running tasks"
      padded={false}
      actions={
        <Anchor component={Link} to="/fleet/tasks" size="sm">
          All tasks
        </Anchor>
      }
    >
      <Answer query={running} title="The tasks could not be read">
        {() =>
          tasks.length === 0 ? (
            <Text size="sm" c="dimmed" p="md">
              No task runs. Send a robot somewhere.
            </Text>
          ) : (
            <ul className={classes.list}>
              {tasks.map((t) => (
                <li key={t.booking.id}>
                  <Anchor component={Link} to={`/fleet/tasks/${encodeURIComponent(t.booking.id)}`} size="sm" fw={550} className={classes.grow}>
                    {categoryWord(t.category)} {summaryOf({ ...t, labels: t.booking.labels ?? null })}
                  </Anchor>
                  <Progress value={progressOf(t, now) * 100} size={4} w={72} aria-label={`${Math.round(progressOf(t, now) * 100)} percent done`} />
                  <Status tone={taskLook(t.status).tone}>{taskLook(t.status).word}</Status>
                </li>
              ))}
            </ul>
          )
        }
      </Answer>
    </Panel>
  );
}

const noTasks: never[] = [];
