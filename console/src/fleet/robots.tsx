import { Anchor, Button, Drawer, Group, NativeSelect, Progress, Stack, Table, Text, TextInput, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Bot, Map as MapIcon, Search, Send } from 'lucide-react';
import { Link } from 'react-router';
import { fleetAPI } from '../api/fleet';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { offsetOf, useFilters } from '../lib/address';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { Status } from '../ui/status';
import { DataTable, Row } from '../ui/table';
import { LogList } from './log-list';
import { battery, categoryWord, inService, needsHelp, type Robot, robotLook, staleReason, summaryOf, taskLook } from './model';
import { NewTaskDialog, newTaskAt } from './new-task';
import { fleetQueries, useFleets, useSilence, useSiteNow } from './queries';
import { RobotStatus, RobotView } from './robot-view';

const LIMIT = 50;
const defaults = { q: '', fleet: '', state: '', robot: '', offset: '0' };
const states = ['working', 'idle', 'charging', 'error', 'offline', 'shutdown', 'uninitialized'] as const;

/** Every robot of every fleet, as it is now. */
export default function Robots() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const { query, robots, names } = useFleets();
  const silent = useSilence();
  const offset = offsetOf(filters.offset);
  const found = robots.filter(matching(filters));
  const chosen = robots.find((r) => r.id === filters.robot);
  const close = () => change({ robot: '', offset: filters.offset });
  return (
    <PageView
      title="Robots"
      lead="Every robot that a fleet adapter reports, with the age of what it said."
      freshness={<Freshness updatedAt={query.dataUpdatedAt} failed={query.isError} silent={silent} />}
      actions={
        may(me, 'fleet.map.read') && (
          <Button component={Link} to="/fleet/map" variant="default" leftSection={<MapIcon size={16} aria-hidden />}>
            Map
          </Button>
        )
      }
    >
      <Panel padded={false}>
        <Group p="sm" gap="sm">
          <TextInput
            aria-label="Search by name"
            placeholder="Name"
            size="xs"
            leftSection={<Search size={14} aria-hidden />}
            value={filters.q}
            onChange={(e) => change({ q: e.currentTarget.value })}
          />
          <NativeSelect
            aria-label="Fleet"
            size="xs"
            value={filters.fleet}
            onChange={(e) => change({ fleet: e.currentTarget.value })}
            data={[{ value: '', label: 'Every fleet' }, ...names]}
          />
          <NativeSelect
            aria-label="State"
            size="xs"
            value={filters.state}
            onChange={(e) => change({ state: e.currentTarget.value })}
            data={[
              { value: '', label: 'Every state' },
              { value: 'help', label: 'needs help' },
              { value: 'out', label: 'out of service' },
              ...states.map((s) => ({ value: s, label: robotLook(s).word })),
            ]}
          />
        </Group>
        <Answer query={query} title="The fleets could not be read">
          {() =>
            found.length === 0 ? (
              <Empty title={robots.length === 0 ? 'No robots yet' : 'No robot is like that'} icon={Bot}>
                {robots.length === 0
                  ? 'No fleet adapter has reported. Connect one to /fleet/_internal with a token that may fleet.report, or start the simulated site.'
                  : 'Clear a filter to see more.'}
              </Empty>
            ) : (
              <>
                <DataTable label="Robots" minWidth={760} head={['Robot', 'State', { label: 'Battery' }, 'Task', 'Level', 'Heard']}>
                  {found.slice(offset, offset + LIMIT).map((r) => (
                    <RobotRow key={r.id} robot={r} onOpen={() => change({ robot: r.id, offset: filters.offset })} />
                  ))}
                </DataTable>
                <Paging
                  total={found.length}
                  limit={LIMIT}
                  offset={offset}
                  noun={found.length === 1 ? 'robot' : 'robots'}
                  onChange={(next) => change({ offset: String(next) })}
                />
              </>
            )
          }
        </Answer>
      </Panel>
      <Drawer opened={filters.robot !== ''} onClose={close} title={filters.robot.split('/').at(-1)} position="right" size="md">
        {chosen !== undefined ? (
          <RobotDrawer robot={chosen} />
        ) : (
          query.data !== undefined && filters.robot !== '' && <Empty title="No such robot">Its fleet does not report it, or not to you.</Empty>
        )}
      </Drawer>
      {may(me, 'fleet.tasks.submit') && <NewTaskDialog />}
    </PageView>
  );
}

function matching(filters: Record<keyof typeof defaults, string>): (r: Robot) => boolean {
  const q = filters.q.trim().toLowerCase();
  return (r) => {
    if (filters.fleet !== '' && r.fleet !== filters.fleet) return false;
    if (q !== '' && !r.name.toLowerCase().includes(q)) return false;
    switch (filters.state) {
      case '':
        return true;
      case 'help':
        return needsHelp(r);
      case 'out':
        return !inService(r);
      default:
        return r.status === filters.state;
    }
  };
}

function RobotRow({ robot, onOpen }: { robot: Robot; onOpen: () => void }) {
  const now = useSiteNow();
  const stale = staleReason(robot, now);
  return (
    <Row>
      <Table.Td>
        <Anchor component="button" type="button" size="sm" fw={550} onClick={onOpen}>
          {robot.name}
        </Anchor>
        <Text size="xs" c="dimmed">
          {robot.fleet}
        </Text>
      </Table.Td>
      <Table.Td>
        <Group gap={6}>
          <RobotStatus robot={robot} />
          {needsHelp(robot) && <Status tone="bad">needs help</Status>}
          {!inService(robot) && <Status tone="warn">out of service</Status>}
        </Group>
      </Table.Td>
      <Table.Td>
        <Group gap={8} wrap="nowrap">
          <Progress value={(robot.battery ?? 0) * 100} size="sm" w={64} color={(robot.battery ?? 0) < 0.25 ? 'red' : 'pine'} aria-label={`Battery ${battery(robot)}`} />
          <Text size="xs">{battery(robot)}</Text>
        </Group>
      </Table.Td>
      <Table.Td maw={220}>
        {robot.task_id ? (
          <Anchor component={Link} to={`/fleet/tasks/${encodeURIComponent(robot.task_id)}`} size="sm" truncate display="block">
            {robot.task_id}
          </Anchor>
        ) : (
          <Text size="sm" c="dimmed">
            none
          </Text>
        )}
      </Table.Td>
      <Table.Td>
        <Anchor component={Link} to={`/fleet/map?select=robot:${encodeURIComponent(robot.id)}&level=${encodeURIComponent(robot.location?.map ?? '')}`} size="sm">
          {robot.location?.map ?? '–'}
        </Anchor>
      </Table.Td>
      <Table.Td>
        {stale === undefined ? (
          <Age time={robot.unix_millis_time} />
        ) : (
          <Text size="xs" c="dimmed">
            {stale}
          </Text>
        )}
      </Table.Td>
    </Row>
  );
}

const DAY = 86_400_000;

function RobotDrawer({ robot }: { robot: Robot }) {
  const me = useMe();
  const log = useQuery({
    queryKey: ['fleet', 'fleet-log', robot.fleet],
    queryFn: () => fleetAPI.fleetLog(robot.fleet, `-${DAY}`),
    refetchInterval: 15_000,
    retry: false,
  });
  const tasks = useQuery({
    ...fleetQueries.tasks({ assigned_to: robot.name, limit: 5, order_by: '-unix_millis_start_time' }),
    enabled: may(me, 'fleet.tasks.read'),
  });
  const lines = [...(log.data?.robots?.[robot.name] ?? [])].reverse();
  return (
    <Stack gap="lg">
      <RobotView robot={robot}>
        {may(me, 'fleet.tasks.submit') && (
          <Button component={Link} to={newTaskAt('/fleet/tasks', { robot: robot.id })} size="compact-sm" leftSection={<Send size={14} aria-hidden />}>
            Send it…
          </Button>
        )}
      </RobotView>
      {(tasks.data?.items ?? []).length > 0 && (
        <div>
          <Title order={3}>Latest tasks</Title>
          {tasks.data?.items.map((t) => (
            <Group key={t.booking.id} justify="space-between" py={4} wrap="nowrap">
              <Anchor component={Link} to={`/fleet/tasks/${encodeURIComponent(t.booking.id)}`} size="sm" truncate>
                {categoryWord(t.category)} {summaryOf({ ...t, labels: t.booking.labels ?? null })}
              </Anchor>
              <Status tone={taskLook(t.status).tone}>{taskLook(t.status).word}</Status>
            </Group>
          ))}
        </div>
      )}
      <div>
        <Title order={3}>Log of the last day</Title>
        {lines.length === 0 ? (
          <Text size="sm" c="dimmed">
            {log.isLoading ? 'Reading…' : 'Nothing was logged.'}
          </Text>
        ) : (
          <LogList label={`Log of ${robot.name}`} lines={lines} />
        )}
      </div>
    </Stack>
  );
}
