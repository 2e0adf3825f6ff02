import { Button, Checkbox, Group, Menu, Modal, NativeSelect, NumberInput, SegmentedControl, Select, Stack, Table, Text, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { CalendarClock, MoreHorizontal, Plus } from 'lucide-react';
import { useState } from 'react';
import { fleetAPI } from '../api/fleet';
import type { ScheduledTask, TaskRequest } from '../api/types';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { offsetOf, useFilters } from '../lib/address';
import { useDraft } from '../lib/drafts';
import { moment } from '../lib/format';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Confirm } from '../ui/confirm';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import { DataTable, Row } from '../ui/table';
import { categoryWord, summaryOf } from './model';
import { check, noOrder, type Order, orderOf } from './order';
import { inWords, localDate, noRecurrence, onlyOn, type Recurrence, recurrenceOf, schedulesOf, weekdays } from './recurrence';
import { TaskFields } from './task-fields';

const LIMIT = 50;
const defaults = { show: 'now', do: '', offset: '0' };

/** Tasks that robots get again and again. */
export default function Schedules() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const offset = offsetOf(filters.offset);
  const ended = filters.show === 'all';
  const query = useQuery({
    queryKey: ['fleet', 'schedules', { ended, offset }],
    // One more than is shown says whether there is another page: this list has no count.
    queryFn: () =>
      fleetAPI.schedules({
        start_before: '9999-01-01T00:00:00Z',
        until_after: ended ? '1970-01-01T00:00:00Z' : new Date().toISOString(),
        limit: LIMIT + 1,
        offset,
        order_by: 'id',
      }),
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
  });
  const create = may(me, 'fleet.tasks.submit') && (
    <Button leftSection={<Plus size={16} aria-hidden />} onClick={() => change({ do: 'new' })}>
      New schedule
    </Button>
  );
  const rows = query.data ?? [];
  return (
    <PageView
      title="Schedules"
      lead="Tasks that are sent again and again, at the time of the site, also while nobody is logged in."
      freshness={<Freshness updatedAt={query.dataUpdatedAt} failed={query.isError} />}
      actions={
        <>
          <SegmentedControl
            size="xs"
            aria-label="Which"
            value={filters.show}
            onChange={(show) => change({ show })}
            data={[
              { value: 'now', label: 'In force' },
              { value: 'all', label: 'Ended too' },
            ]}
          />
          {create}
        </>
      }
    >
      <Panel padded={false}>
        <Answer query={query} title="The schedules could not be read">
          {() =>
            rows.length === 0 ? (
              <Empty title="Nothing is scheduled" icon={CalendarClock} action={create}>
                A round every weekday at nine, a delivery every hour: describe the task once, and it is sent by itself.
              </Empty>
            ) : (
              <>
                <DataTable label="Schedules" minWidth={760} head={['Task', 'When', 'Ran last', 'By', { label: 'Actions', hidden: true }]}>
                  {rows.slice(0, LIMIT).map((s) => (
                    <ScheduleRow key={s.id} scheduled={s} />
                  ))}
                </DataTable>
                {(offset > 0 || rows.length > LIMIT) && (
                  <Group p="sm" justify="flex-end" gap="xs">
                    <Button size="compact-sm" variant="default" disabled={offset === 0} onClick={() => change({ offset: String(Math.max(0, offset - LIMIT)) })}>
                      Previous
                    </Button>
                    <Button size="compact-sm" variant="default" disabled={rows.length <= LIMIT} onClick={() => change({ offset: String(offset + LIMIT) })}>
                      Next
                    </Button>
                  </Group>
                )}
              </>
            )
          }
        </Answer>
      </Panel>
      <Modal opened={filters.do === 'new'} onClose={() => change({ do: '', offset: filters.offset })} title="New schedule" size="lg">
        {filters.do === 'new' && <NewSchedule onClose={() => change({ do: '', offset: filters.offset })} />}
      </Modal>
    </PageView>
  );
}

function requestOf(scheduled: ScheduledTask): TaskRequest {
  return scheduled.task_request as TaskRequest;
}

/** What is stored of a schedule, as a change of it sends it. */
function bodyOf(scheduled: ScheduledTask) {
  const { schedules, start_from, until, except_dates } = scheduled;
  return { task_request: requestOf(scheduled), schedules, start_from, until, except_dates: exceptOf(except_dates) };
}

/** Noon of a day by universal time is that day in nearly every time zone; the server reads its date in its own. */
function exceptOf(days: readonly string[]): string[] {
  return days.map((d) => `${d}T12:00:00Z`);
}

function ScheduleRow({ scheduled }: { scheduled: ScheduledTask }) {
  const me = useMe();
  const client = useQueryClient();
  const [asking, setAsking] = useState<'edit' | 'one' | 'skip' | 'delete'>();
  const request = requestOf(scheduled);
  const about = `${categoryWord(request.category)} ${summaryOf({ detail: request.description, labels: request.labels ?? null })}`;
  const mine = may(me, 'fleet.schedules.write') || (scheduled.created_by === me.name && may(me, 'fleet.tasks.submit'));
  const remove = useMutation({
    mutationFn: () => fleetAPI.deleteSchedule(scheduled.id),
    onSuccess: async () => {
      setAsking(undefined);
      await client.invalidateQueries({ queryKey: ['fleet', 'schedules'] });
      notifications.show({ message: `${about} is not scheduled any more.`, color: 'pine' });
    },
  });
  const pause = useMutation({
    mutationFn: (paused: boolean) => fleetAPI.updateSchedule(scheduled.id, { ...bodyOf(scheduled), paused }),
    onSuccess: async (_, paused) => {
      await client.invalidateQueries({ queryKey: ['fleet', 'schedules'] });
      notifications.show({ message: paused ? `${about} is paused.` : `${about} runs again.`, color: 'pine' });
    },
    onError: (error) => notifications.show({ message: `${about} was not changed: ${error.message}`, color: 'red' }),
  });
  const except = scheduled.except_dates;
  return (
    <Row>
      <Table.Td maw={260}>
        <Text size="sm" fw={550}>
          {about}
        </Text>
        {request.fleet_name && (
          <Text size="xs" c="dimmed">
            by any of {request.fleet_name}
          </Text>
        )}
      </Table.Td>
      <Table.Td maw={320}>
        <Text size="sm">{inWords(scheduled.schedules)}</Text>
        {scheduled.paused === true && <Status tone="warn">paused</Status>}
        <Text size="xs" c="dimmed">
          {[
            scheduled.time_zone ? `by the clock of ${scheduled.time_zone}` : '',
            scheduled.start_from ? `from ${moment(scheduled.start_from)}` : '',
            scheduled.until ? `until ${moment(scheduled.until)}` : '',
            except.length > 0 ? `not on ${except.join(', ')}` : '',
          ]
            .filter((t) => t !== '')
            .join(' · ')}
        </Text>
      </Table.Td>
      <Table.Td>
        <Age time={scheduled.last_ran} />
        {scheduled.last_error && (
          <Text size="xs" c="red.8" lineClamp={2} title={scheduled.last_error}>
            {scheduled.last_error}
          </Text>
        )}
      </Table.Td>
      <Table.Td>{scheduled.created_by}</Table.Td>
      <Table.Td ta="right">
        {mine && (
          <Menu position="bottom-end">
            <Menu.Target>
              <Button size="compact-sm" variant="default" aria-label={`Change ${about}`}>
                <MoreHorizontal size={15} aria-hidden />
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item onClick={() => setAsking('edit')}>Edit…</Menu.Item>
              <Menu.Item onClick={() => setAsking('one')}>Change one day…</Menu.Item>
              <Menu.Item onClick={() => setAsking('skip')}>Leave out one day…</Menu.Item>
              <Menu.Item onClick={() => pause.mutate(scheduled.paused !== true)}>{scheduled.paused === true ? 'Run again' : 'Pause'}</Menu.Item>
              <Menu.Item color="red" onClick={() => setAsking('delete')}>
                Delete the series…
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        )}
        <Modal opened={asking === 'edit'} onClose={() => setAsking(undefined)} title={`Edit ${about}`} size="lg">
          {asking === 'edit' && <EditSchedule scheduled={scheduled} onClose={() => setAsking(undefined)} />}
        </Modal>
        <Modal opened={asking === 'one'} onClose={() => setAsking(undefined)} title={`Change one day of ${about}`} size="lg">
          {asking === 'one' && <ChangeOne scheduled={scheduled} onClose={() => setAsking(undefined)} />}
        </Modal>
        <Modal opened={asking === 'skip'} onClose={() => setAsking(undefined)} title={`Leave out one day of ${about}`}>
          {asking === 'skip' && <LeaveOut scheduled={scheduled} onClose={() => setAsking(undefined)} />}
        </Modal>
        <Confirm
          opened={asking === 'delete'}
          title={`Delete ${about}`}
          type="delete"
          action="Delete the series"
          busy={remove.isPending}
          error={remove.error}
          onConfirm={() => remove.mutate()}
          onClose={() => setAsking(undefined)}
        >
          It runs {inWords(scheduled.schedules)}; it will not run again. Tasks that were sent already stay. To leave out one day, choose
          that instead.
        </Confirm>
      </Table.Td>
    </Row>
  );
}

function LeaveOut({ scheduled, onClose }: { scheduled: ScheduledTask; onClose: () => void }) {
  const client = useQueryClient();
  const [day, setDay] = useState(() => localDate(Date.now() + 86_400_000));
  const skip = useMutation({
    // Noon of the day by universal time is that day in nearly every time zone; the server reads its date in its own.
    mutationFn: () => fleetAPI.skipDate(scheduled.id, `${day}T12:00:00Z`),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['fleet', 'schedules'] });
      notifications.show({ message: `It does not run on ${day}.`, color: 'pine' });
      onClose();
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        skip.mutate();
      }}
    >
      <Stack gap="md">
        <TextInput type="date" label="Day" required value={day} onChange={(e) => setDay(e.currentTarget.value)} data-autofocus />
        {skip.error !== null && <Problem error={skip.error} title="The day was not left out" />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Keep it
          </Button>
          <Button type="submit" loading={skip.isPending} disabled={day === ''}>
            Leave it out
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** One day otherwise: the series leaves it out, and a schedule for that day alone takes its place. */
function ChangeOne({ scheduled, onClose }: { scheduled: ScheduledTask; onClose: () => void }) {
  const me = useMe();
  const client = useQueryClient();
  const [strict, setStrict] = useState(false);
  const [order, setOrder] = useState<Order>(() => orderOf(requestOf(scheduled)));
  const [day, setDay] = useState(() => localDate(Date.now() + 86_400_000));
  const [time, setTime] = useState(() => scheduled.schedules.find((s) => /^\d\d:\d\d/.test(s.at))?.at.slice(0, 5) ?? '09:00');
  const { request, problems } = check({ ...order, start: '' }, me.name);
  const save = useMutation({
    mutationFn: async (task_request: TaskRequest) => {
      const instead = await fleetAPI.createSchedule({ task_request, ...onlyOn(day, time) });
      try {
        await fleetAPI.skipDate(scheduled.id, `${day}T12:00:00Z`);
      } catch (error) {
        await fleetAPI.deleteSchedule(instead.id); // or it would run twice on that day
        throw error;
      }
    },
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['fleet', 'schedules'] });
      notifications.show({ message: `On ${day} it runs at ${time}; all other days stay as they are.`, color: 'pine' });
      onClose();
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setStrict(true);
        if (request !== undefined) save.mutate(request);
      }}
    >
      <Stack gap="md">
        <Group grow>
          <TextInput type="date" label="Day to change" required value={day} onChange={(e) => setDay(e.currentTarget.value)} data-autofocus />
          <TextInput type="time" label="At" required value={time} onChange={(e) => setTime(e.currentTarget.value)} />
        </Group>
        <TaskFields order={order} onChange={setOrder} problems={problems} strict={strict} recurring />
        {save.error !== null && <Problem error={save.error} title="The day was not changed" />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending} disabled={day === '' || time === ''}>
            Change this day
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

interface Plan {
  readonly order: Order;
  readonly when: Recurrence;
  /** Whose clock it goes by; '' is the site's. */
  readonly zone: string;
}

function NewSchedule({ onClose }: { onClose: () => void }) {
  const [plan, setPlan, clear] = useDraft<Plan>('fleet-schedules', { order: noOrder, when: noRecurrence, zone: '' });
  return <ScheduleForm plan={plan} onChange={setPlan} onClose={onClose} onSaved={clear} />;
}

function EditSchedule({ scheduled, onClose }: { scheduled: ScheduledTask; onClose: () => void }) {
  const known = recurrenceOf(scheduled.schedules, scheduled.start_from, scheduled.until);
  const [plan, setPlan] = useState<Plan>({ order: orderOf(requestOf(scheduled)), when: known ?? noRecurrence, zone: scheduled.time_zone ?? '' });
  return (
    <Stack gap="md">
      {known === undefined && (
        <Text size="sm" c="dimmed">
          It runs {inWords(scheduled.schedules)}, which this form has no field for: saving replaces that.
        </Text>
      )}
      <ScheduleForm plan={plan} onChange={setPlan} onClose={onClose} onSaved={() => undefined} scheduled={scheduled} />
    </Stack>
  );
}

/** The time zones that browser and server both know. */
function zones(): string[] {
  return Intl.supportedValuesOf('timeZone');
}

interface FormProps {
  plan: Plan;
  onChange: (plan: Plan) => void;
  onClose: () => void;
  onSaved: () => void;
  scheduled?: ScheduledTask;
}

function ScheduleForm({ plan, onChange, onClose, onSaved, scheduled }: FormProps) {
  const me = useMe();
  const client = useQueryClient();
  const [strict, setStrict] = useState(false);
  const { order, when } = plan;
  const { request, problems } = check({ ...order, start: '' }, me.name);
  const { schedules, problem } = schedulesOf(when);
  const set = (change: Partial<Recurrence>) => onChange({ ...plan, when: { ...when, ...change } });
  const save = useMutation({
    mutationFn: (task_request: TaskRequest) => {
      const body = {
        task_request,
        schedules,
        start_from: when.from === '' ? null : new Date(`${when.from}T00:00:00`).toISOString(),
        until: when.until === '' ? null : new Date(`${when.until}T23:59:59`).toISOString(),
        except_dates: exceptOf(scheduled?.except_dates ?? []),
        time_zone: plan.zone,
      };
      return scheduled === undefined ? fleetAPI.createSchedule(body) : fleetAPI.updateSchedule(scheduled.id, body);
    },
    onSuccess: async () => {
      onSaved();
      await client.invalidateQueries({ queryKey: ['fleet', 'schedules'] });
      notifications.show({ message: `It runs ${inWords(schedules)}.`, color: 'pine' });
      onClose();
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setStrict(true);
        if (request !== undefined && problem === undefined) save.mutate(request);
      }}
    >
      <Stack gap="md">
        <TaskFields order={order} onChange={(next) => onChange({ ...plan, order: next })} problems={problems} strict={strict} recurring />
        <SegmentedControl
          aria-label="How it repeats"
          fullWidth
          value={when.mode}
          onChange={(mode) => set({ mode: mode })}
          data={[
            { value: 'days', label: 'On days of the week' },
            { value: 'every', label: 'Every so often' },
          ]}
        />
        {when.mode === 'days' ? (
          <Group align="flex-end" justify="space-between" gap="sm">
            <Checkbox.Group label="Days" value={[...when.days]} onChange={(days) => set({ days })}>
              <Group gap="sm" mt={6}>
                {weekdays.map((d) => (
                  <Checkbox key={d} value={d} label={d.charAt(0).toUpperCase() + d.slice(1, 3)} aria-label={d} />
                ))}
              </Group>
            </Checkbox.Group>
            <TextInput type="time" label="At" value={when.time} onChange={(e) => set({ time: e.currentTarget.value })} w={120} />
          </Group>
        ) : (
          <Group align="flex-end" gap="sm">
            <NumberInput label="Every" min={1} max={1000} value={when.every} onChange={(v) => set({ every: Number(v) || 1 })} w={96} />
            <NativeSelect
              aria-label="Unit"
              value={when.unit}
              onChange={(e) => set({ unit: e.currentTarget.value as Recurrence['unit'] })}
              data={[
                { value: 'month', label: 'months' },
                { value: 'day', label: 'days' },
                { value: 'hour', label: 'hours' },
                { value: 'minute', label: 'minutes' },
              ]}
            />
            {when.unit === 'month' && (
              <NumberInput label="On day" min={1} max={31} value={when.onDay} onChange={(v) => set({ onDay: Number(v) || 1 })} w={96} />
            )}
            {when.unit !== 'minute' && (
              <TextInput
                type="time"
                label={when.unit === 'hour' ? 'At this minute' : 'At'}
                value={when.time}
                onChange={(e) => set({ time: e.currentTarget.value })}
                w={120}
              />
            )}
          </Group>
        )}
        <Group grow>
          <TextInput type="date" label="From" value={when.from} onChange={(e) => set({ from: e.currentTarget.value })} />
          <TextInput type="date" label="Until" value={when.until} onChange={(e) => set({ until: e.currentTarget.value })} />
        </Group>
        <Select
          label="Time zone"
          placeholder="The site's"
          searchable
          clearable
          nothingFoundMessage="No such zone"
          value={plan.zone === '' ? null : plan.zone}
          onChange={(zone) => onChange({ ...plan, zone: zone ?? '' })}
          data={zones()}
        />
        <Text size="sm" c={problem === undefined ? 'dimmed' : 'red.8'} role="status">
          {problem ?? `It runs ${inWords(schedules)}, by the clock of ${plan.zone === '' ? 'the site' : plan.zone}.`}
        </Text>
        {save.error !== null && <Problem error={save.error} title="It was not saved" />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending} disabled={problem !== undefined}>
            {scheduled === undefined ? 'Schedule it' : 'Save'}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
