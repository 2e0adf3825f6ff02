import { Anchor, Button, Group, NativeSelect, Progress, SegmentedControl, Table, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { Download, ListChecks, Plus } from 'lucide-react';
import { useState } from 'react';
import { Link } from 'react-router';
import type { TaskQuery } from '../api/fleet';
import type { Task } from '../api/types';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { offsetOf, useFilters } from '../lib/address';
import { count, moment } from '../lib/format';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import { DataTable, Row } from '../ui/table';
import { TextFilter } from '../ui/text-filter';
import { download, exportTasks } from './export';
import { categoryWord, isOver, progressOf, statusGroups, summaryOf, taskLook } from './model';
import { NewTaskDialog } from './new-task';
import { fleetQueries, usePushed, useSilence, useSiteNow } from './queries';

const LIMIT = 25;
const defaults = { show: '', id: '', requester: '', robot: '', category: '', status: '', since: '', do: '', offset: '0' };
const groups = [
  { value: '', label: 'All' },
  { value: 'queue', label: 'Queue' },
  { value: 'running', label: 'Running' },
  { value: 'done', label: 'Done' },
];
const spans = [
  { value: '', label: 'Any time' },
  { value: '1h', label: 'Last hour' },
  { value: '24h', label: 'Last day' },
  { value: '7d', label: 'Last week' },
];
const lengths: Readonly<Record<string, number>> = { '1h': 3_600_000, '24h': 86_400_000, '7d': 604_800_000 };

/** What robots do, did and will do; found, sorted and paged by the server. */
export default function Tasks() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const offset = offsetOf(filters.offset);
  const wanted = wantedOf(filters);
  const tasks = useQuery(fleetQueries.tasks({ ...wanted, limit: LIMIT, offset }));
  const filtered = Object.keys(wanted).length > 1;
  const silent = useSilence();
  const create = may(me, 'fleet.tasks.submit') && (
    <Button leftSection={<Plus size={16} aria-hidden />} onClick={() => change({ do: 'task', offset: filters.offset })}>
      New task
    </Button>
  );
  return (
    <PageView
      title="Tasks"
      lead="What robots were asked to do: queued, running and done."
      freshness={<Freshness updatedAt={tasks.dataUpdatedAt} failed={tasks.isError} silent={silent} />}
      actions={
        <>
          <Export query={wanted} />
          {create}
        </>
      }
    >
      <Panel padded={false}>
        <Group p="sm" gap="sm" align="flex-end">
          <SegmentedControl
            aria-label="State"
            value={filters.show}
            onChange={(show) => change({ show, status: '' })}
            data={groups}
            size="xs"
          />
          <TextFilter label="Task id" value={filters.id} onChange={(id) => change({ id })} search />
          <TextFilter label="Requester" value={filters.requester} onChange={(requester) => change({ requester })} />
          <TextFilter label="Robot" value={filters.robot} onChange={(robot) => change({ robot })} />
          <NativeSelect
            aria-label="Kind"
            size="xs"
            value={filters.category}
            onChange={(event) => change({ category: event.currentTarget.value })}
            data={[
              { value: '', label: 'Every kind' },
              ...['patrol', 'delivery', 'clean', 'compose'].map((c) => ({ value: c, label: categoryWord(c) })),
            ]}
          />
          <NativeSelect
            aria-label="Status"
            size="xs"
            value={filters.status}
            onChange={(event) => change({ status: event.currentTarget.value })}
            data={[
              { value: '', label: 'Every status' },
              ...statusesIn(filters.show).map((s) => ({ value: s, label: taskLook(s).word })),
            ]}
          />
          <NativeSelect aria-label="Asked for" size="xs" value={filters.since} onChange={(event) => change({ since: event.currentTarget.value })} data={spans} />
        </Group>
        <Answer query={tasks} title="The tasks could not be read">
          {(page) =>
            page.items.length === 0 ? (
              <Empty title={filtered ? 'No task is like that' : 'No task yet'} icon={ListChecks} action={filtered ? undefined : create}>
                {filtered
                  ? 'Ids, requesters and robots must be given in full. Choose “All” or clear a filter to see more.'
                  : 'Send a robot somewhere: its task appears here, and says what the robot does at every step.'}
              </Empty>
            ) : (
              <>
                <Found tasks={page.items} />
                <Paging
                  total={page.total}
                  limit={LIMIT}
                  offset={offset}
                  noun={page.total === 1 ? 'task' : 'tasks'}
                  onChange={(next) => change({ offset: String(next) })}
                />
              </>
            )
          }
        </Answer>
      </Panel>
      {may(me, 'fleet.tasks.submit') && <NewTaskDialog />}
    </PageView>
  );
}

function statusesIn(show: string): readonly NonNullable<Task['status']>[] {
  return show === 'queue' || show === 'running' || show === 'done' ? statusGroups[show] : Object.values(statusGroups).flat();
}

/** The server's question for what stands in the address. */
export function wantedOf(filters: Record<keyof typeof defaults, string>): TaskQuery {
  const length = lengths[filters.since];
  const status = filters.status !== '' ? filters.status : filters.show === '' ? '' : statusesIn(filters.show).join(',');
  return {
    order_by: '-unix_millis_request_time',
    ...(filters.id.trim() === '' ? {} : { task_id: filters.id.trim() }),
    ...(filters.requester.trim() === '' ? {} : { requester: filters.requester.trim() }),
    ...(filters.robot.trim() === '' ? {} : { assigned_to: filters.robot.trim() }),
    ...(filters.category === '' ? {} : { category: filters.category }),
    ...(status === '' ? {} : { status }),
    ...(length === undefined ? {} : { request_time_between: `-${length}` }),
  };
}

function Found({ tasks }: { tasks: readonly Task[] }) {
  return (
    <DataTable label="Tasks" minWidth={820} head={['Task', 'State', 'Robot', 'Asked by', 'Time']}>
      {usePushed(tasks).map((t) => (
        <TaskRow key={t.booking.id} task={t} />
      ))}
    </DataTable>
  );
}

function TaskRow({ task }: { task: Task }) {
  const look = taskLook(task.status);
  const progress = progressOf(task, useSiteNow());
  const id = task.booking.id;
  return (
    <Row>
      <Table.Td maw={300}>
        <Anchor component={Link} to={`/fleet/tasks/${encodeURIComponent(id)}`} size="sm" fw={550}>
          {categoryWord(task.category)} {summaryOf({ ...task, labels: task.booking.labels ?? null })}
        </Anchor>
        <Text size="xs" c="dimmed" truncate title={id}>
          {id}
        </Text>
      </Table.Td>
      <Table.Td>
        <Status tone={look.tone}>{look.word}</Status>
        {!isOver(task.status) && progress > 0 && (
          <Progress value={progress * 100} size={4} mt={6} w={96} aria-label={`${Math.round(progress * 100)} percent done`} />
        )}
      </Table.Td>
      <Table.Td>
        {task.assigned_to ? (
          <Anchor component={Link} to={`/fleet/robots?robot=${encodeURIComponent(`${task.assigned_to.group}/${task.assigned_to.name}`)}`} size="sm">
            {task.assigned_to.name}
          </Anchor>
        ) : (
          <Text size="sm" c="dimmed">
            {task.dispatch?.status === 'failed_to_assign' ? 'nobody could' : 'not yet'}
          </Text>
        )}
      </Table.Td>
      <Table.Td>{task.booking.requester ?? '–'}</Table.Td>
      <Table.Td>
        <TaskTimes task={task} />
      </Table.Td>
    </Row>
  );
}

function TaskTimes({ task }: { task: Task }) {
  if (isOver(task.status) && task.unix_millis_finish_time) {
    return (
      <>
        ended <Age time={task.unix_millis_finish_time} />
      </>
    );
  }
  const earliest = task.booking.unix_millis_earliest_start_time ?? 0;
  if (task.status === 'queued' && earliest > (task.booking.unix_millis_request_time ?? 0)) return <>not before {moment(earliest)}</>;
  return (
    <>
      asked <Age time={task.booking.unix_millis_request_time} />
    </>
  );
}

function Export({ query }: { query: TaskQuery }) {
  const [done, setDone] = useState(0);
  const run = useMutation({
    mutationFn: () => exportTasks(query, setDone),
    onSuccess: (blob) => download(blob, `tasks-${new Date().toISOString().slice(0, 10)}.csv`),
  });
  return (
    <>
      <Button variant="default" leftSection={<Download size={16} aria-hidden />} onClick={() => run.mutate()} disabled={run.isPending}>
        {run.isPending ? count(done, 'task') : 'CSV'}
      </Button>
      {run.error !== null && <Problem error={run.error} title="The tasks could not be exported" />}
    </>
  );
}
