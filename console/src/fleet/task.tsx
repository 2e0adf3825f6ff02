import { ActionIcon, Alert, Anchor, Button, Group, Menu, Progress, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Ban, ChevronLeft, CircleCheck, CircleDashed, CircleDot, CircleSlash, MoreHorizontal, Pause, Play, Repeat, Skull } from 'lucide-react';
import { memo, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { Link, useParams } from 'react-router';
import { fleetAPI } from '../api/fleet';
import type { Phase, Task } from '../api/types';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { moment, span } from '../lib/format';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Confirm } from '../ui/confirm';
import { CopyIcon } from '../ui/copy';
import { Empty } from '../ui/empty';
import { Facts } from '../ui/facts';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import classes from './fleet.module.css';
import { useRoom } from './line';
import { LogList } from './log-list';
import {
  categoryWord,
  detailText,
  isOver,
  isRecord,
  logLines,
  openInterruptions,
  openSkips,
  phaseProgress,
  phasesOf,
  phaseState,
  type PhaseState,
  plain,
  progressOf,
  summaryOf,
  taskLook,
} from './model';
import { fleetQueries, usePushed, useSilence, useSiteNow } from './queries';

/** One task: its phases and events on a line of time, its log, and what can be done about it. */
export default function TaskPage() {
  const { id = '' } = useParams();
  const query = useQuery(fleetQueries.task(id));
  const known = useMemo(() => (query.data === undefined ? [] : [query.data]), [query.data]);
  const [task] = usePushed(known);
  const silent = useSilence();
  return (
    <PageView
      title={task === undefined ? 'Task' : `${categoryWord(task.category)} ${summaryOf({ ...task, labels: task.booking.labels ?? null })}`}
      lead={
        <Anchor component={Link} to="/fleet/tasks" size="sm">
          <ChevronLeft size={13} aria-hidden /> All tasks
        </Anchor>
      }
      freshness={<Freshness updatedAt={query.dataUpdatedAt} failed={query.isError} silent={silent} />}
    >
      <Answer query={query} title="The task could not be read">
        {(read) => <Whole task={task ?? read} />}
      </Answer>
    </PageView>
  );
}

function Whole({ task }: { task: Task }) {
  const id = task.booking.id;
  const client = useQueryClient();
  const log = useQuery({ ...fleetQueries.log(id), retry: false });
  // A busy task writes many lines a second: the log is read again once a second at most.
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const more = useCallback(() => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      void client.invalidateQueries({ queryKey: ['fleet', 'log', id] });
    }, 800);
  }, [client, id]);
  useEffect(() => () => clearTimeout(timer.current), []);
  useRoom(`/tasks/${id}/log`, more);
  const lines = useMemo(() => logLines(log.data), [log.data]);
  const commands = useCommands(task);
  const now = useSiteNow();
  return (
    <Stack gap="md">
      <Head task={task} commands={commands} />
      <div className={classes.columns}>
        <Panel title="Timeline" hint={estimateOf(task, now)} padded={false}>
          {phasesOf(task).length === 0 ? (
            <Empty title="No phases yet">
              {isOver(task.status)
                ? 'It ended before a robot began.'
                : 'They appear once a robot has taken the task: fleets bid for it, and the one that will be done first gets it.'}
            </Empty>
          ) : (
            <ol className={classes.timeline}>
              {phasesOf(task).map((p) => (
                <PhaseItem key={p.id} id={id} phase={p} state={phaseState(task, p)} over={isOver(task.status)} send={commands.send} />
              ))}
            </ol>
          )}
        </Panel>
        <Stack gap="md">
          <Panel title="About">
            <About task={task} />
          </Panel>
          <Panel title="Log" padded={false}>
            {lines.length === 0 ? <Empty title="Nothing logged yet">What the robot reports on its way appears here.</Empty> : <LogList label="Log" lines={lines} />}
          </Panel>
        </Stack>
      </div>
    </Stack>
  );
}

interface Command {
  /** What was asked for, as in "Cancel". */
  readonly what: string;
  readonly run: () => Promise<unknown>;
  /** Whether it shows in the task's state. */
  readonly done: (task: Task) => boolean;
}

/** Pressed, accepted, in effect: a command is followed until the task's own state shows it. */
function useCommands(task: Task) {
  const [accepted, setAccepted] = useState<{ command: Command; at: number }>();
  const client = useQueryClient();
  const send = useMutation({
    mutationFn: (command: Command) => command.run(),
    onSuccess: async (_, command) => {
      setAccepted({ command, at: Date.now() });
      await client.invalidateQueries({ queryKey: ['fleet', 'task', task.booking.id] });
    },
  });
  const inEffect = accepted?.command.done(task) === true;
  useEffect(() => {
    if (!inEffect) return undefined;
    // Seen to be in effect: said once, and then the state speaks for itself.
    const timer = setTimeout(() => {
      notifications.show({ message: `${accepted.command.what}: in effect.`, color: 'pine' });
      setAccepted(undefined);
    }, 0);
    return () => clearTimeout(timer);
  }, [inEffect, accepted]);
  return { send: send.mutate, busy: send.isPending, error: send.error, sent: send.variables, accepted, forget: send.reset };
}

type Commands = ReturnType<typeof useCommands>;

function Head({ task, commands }: { task: Task; commands: Commands }) {
  const me = useMe();
  const look = taskLook(task.status);
  const progress = progressOf(task, useSiteNow());
  const over = isOver(task.status);
  const paused = openInterruptions(task);
  const [asking, setAsking] = useState<'cancel' | 'kill'>();
  const id = task.booking.id;
  const command = (c: Command) => commands.send(c, { onSuccess: () => setAsking(undefined) });
  const errors = task.dispatch?.errors ?? [];
  return (
    <Panel>
      <Stack gap="sm">
        <Group justify="space-between" gap="sm">
          <Group gap="sm">
            <Status tone={paused.length > 0 && !over ? 'warn' : look.tone}>{paused.length > 0 && !over ? 'interrupted' : look.word}</Status>
            {task.assigned_to && (
              <Text size="sm">
                by{' '}
                <Anchor component={Link} to={`/fleet/robots?robot=${encodeURIComponent(`${task.assigned_to.group}/${task.assigned_to.name}`)}`}>
                  {task.assigned_to.name}
                </Anchor>
              </Text>
            )}
          </Group>
          {may(me, 'fleet.tasks.cancel') && !over && (
            <Group gap="xs">
              {paused.length === 0 ? (
                <Button
                  variant="default"
                  leftSection={<Pause size={15} aria-hidden />}
                  disabled={commands.busy || task.status === 'queued'}
                  onClick={() =>
                    command({ what: 'Interrupt', run: () => fleetAPI.interrupt(id, me.name), done: (t) => openInterruptions(t).length > 0 })
                  }
                >
                  Interrupt
                </Button>
              ) : (
                <Button
                  leftSection={<Play size={15} aria-hidden />}
                  disabled={commands.busy}
                  onClick={() =>
                    command({ what: 'Resume', run: () => fleetAPI.resume(id, paused, me.name), done: (t) => openInterruptions(t).length === 0 })
                  }
                >
                  Resume
                </Button>
              )}
              <Button variant="default" color="red" leftSection={<Ban size={15} aria-hidden />} onClick={() => setAsking('cancel')}>
                Cancel task
              </Button>
              <Menu position="bottom-end">
                <Menu.Target>
                  <ActionIcon size="lg" variant="default" aria-label="More commands">
                    <MoreHorizontal size={16} />
                  </ActionIcon>
                </Menu.Target>
                <Menu.Dropdown>
                  <Menu.Item color="red" leftSection={<Skull size={15} aria-hidden />} onClick={() => setAsking('kill')}>
                    Kill…
                  </Menu.Item>
                </Menu.Dropdown>
              </Menu>
            </Group>
          )}
          {over && may(me, 'fleet.tasks.submit') && <Again task={task} />}
        </Group>
        <Progress
          value={progress * 100}
          size="sm"
          color={look.tone === 'bad' ? 'red' : 'pine'}
          aria-label={`${Math.round(progress * 100)} percent done`}
        />
        {errors.length > 0 && (
          <Alert color="red" title="No fleet could take it">
            {errors.map((e) => e.detail ?? e.category ?? '').join('; ')}
          </Alert>
        )}
        {commands.accepted !== undefined && (
          <Text size="sm" role="status">
            <Status tone="busy">{commands.accepted.command.what}: accepted</Status> by the fleet; waiting until it is in effect.
          </Text>
        )}
        {commands.error !== null && asking === undefined && <Problem error={commands.error} title={`${commands.sent?.what ?? 'It'}: not done`} />}
      </Stack>
      <Confirm
        opened={asking === 'cancel'}
        title="Cancel this task"
        action="Cancel the task"
        busy={commands.busy}
        error={commands.error}
        onConfirm={() =>
          command({ what: 'Cancel', run: () => fleetAPI.cancel(id, me.name), done: (t) => t.status === 'canceled' || isOver(t.status) })
        }
        onClose={() => {
          commands.forget();
          setAsking(undefined);
        }}
      >
        The robot ends what it does in good order, as the task says, and is then free.
      </Confirm>
      <Confirm
        opened={asking === 'kill'}
        title="Kill this task"
        type={task.category ?? 'kill'}
        action="Kill"
        busy={commands.busy}
        error={commands.error}
        onConfirm={() => command({ what: 'Kill', run: () => fleetAPI.kill(id, me.name), done: (t) => t.status === 'killed' || isOver(t.status) })}
        onClose={() => {
          commands.forget();
          setAsking(undefined);
        }}
      >
        The robot drops it where it stands, without tidying up: goods may stay on it, and doors and lifts may stay reserved. Cancel does
        that in good order.
      </Confirm>
    </Panel>
  );
}

/** The same task once more, from the request that it came from. */
function Again({ task }: { task: Task }) {
  const me = useMe();
  const [sent, setSent] = useState<string>();
  const again = useMutation({
    mutationFn: async () => {
      const request = await fleetAPI.taskRequest(task.booking.id);
      return fleetAPI.dispatch({ ...request, requester: me.name, unix_millis_earliest_start_time: 0, unix_millis_request_time: null });
    },
    onSuccess: setSent,
  });
  return (
    <Group gap="xs">
      {sent !== undefined && (
        <Anchor component={Link} to={`/fleet/tasks/${encodeURIComponent(sent)}`} size="sm">
          Sent: look at the new one
        </Anchor>
      )}
      <Button variant="default" leftSection={<Repeat size={15} aria-hidden />} loading={again.isPending} onClick={() => again.mutate()}>
        Send again
      </Button>
      {again.error !== null && <Problem error={again.error} title="It could not be sent again" />}
    </Group>
  );
}

const marks: Record<PhaseState, typeof CircleDot> = { done: CircleCheck, active: CircleDot, pending: CircleDashed, skipped: CircleSlash };

interface PhaseProps {
  readonly id: string;
  readonly phase: Phase;
  readonly state: PhaseState;
  readonly over: boolean;
  readonly send: Commands['send'];
}

/** One of a task's phases, of which there may be hundreds: it is drawn again when it changes. */
const PhaseItem = memo(function PhaseItem(props: PhaseProps) {
  const { phase, state } = props;
  const Mark = marks[state];
  const events = Object.values(phase.events ?? {}).sort((a, b) => a.id - b.id);
  const detail = detailText(phase.detail);
  const name = categoryWord(phase.category);
  return (
    <li className={classes.phase} data-state={state} aria-current={state === 'active' ? 'step' : undefined}>
      <span className={classes.mark} data-state={state}>
        <Mark size={18} aria-label={state} />
      </span>
      <Group justify="space-between" wrap="nowrap" align="flex-start" gap="xs">
        <div>
          <Text size="sm" fw={600} className={classes.phaseName}>
            {detail === '' ? name : detail}
          </Text>
          <Text size="xs" c="dimmed" component="div">
            {detail === '' || detail.startsWith(name) ? '' : `${name} · `}
            {state === 'active' ? <TimeLeft phase={phase} /> : phaseTimes(phase, state)}
          </Text>
        </div>
        <PhaseMenu {...props} />
      </Group>
      {state === 'active' && <PhaseProgress phase={phase} />}
      {events.length > 0 && (state === 'active' || events.length > 1) && (
        <ul className={classes.events}>
          {events.map((e) => (
            <li key={e.id}>
              <Status tone={taskLook(e.status).tone}>{taskLook(e.status).word}</Status>
              <span>{plain(e.name ?? '')}</span>
              {detailText(e.detail) !== '' && <Text span inherit c="dimmed">{detailText(e.detail)}</Text>}
            </li>
          ))}
        </ul>
      )}
    </li>
  );
});

function TimeLeft({ phase }: { phase: Phase }) {
  const now = useSiteNow();
  const whole = phase.original_estimate_millis ?? 0;
  return whole > 0 ? `about ${span(whole * (1 - phaseProgress(phase, now)))} left` : 'now';
}

function PhaseProgress({ phase }: { phase: Phase }) {
  const progress = phaseProgress(phase, useSiteNow()) * 100;
  return <Progress value={progress} size={4} mt={6} aria-label={`${Math.round(progress)} percent of this phase`} />;
}

function PhaseMenu({ id, phase, state, over, send }: PhaseProps) {
  const me = useMe();
  if (!may(me, 'fleet.tasks.cancel') || over) return null;
  const skips = openSkips(phase);
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon size="sm" aria-label={`Commands for phase ${phase.id}`}>
          <MoreHorizontal size={15} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {(state === 'active' || state === 'pending') && (
          <Menu.Item
            onClick={() =>
              send({
                what: 'Skip the phase',
                run: () => fleetAPI.skip(id, phase.id, me.name),
                done: (t) => {
                  const p = t.phases?.[String(phase.id)];
                  return (p !== undefined && openSkips(p).length > 0) || t.completed?.includes(phase.id) === true || isOver(t.status);
                },
              })
            }
          >
            Skip this phase
          </Menu.Item>
        )}
        {state === 'skipped' && (
          <Menu.Item
            onClick={() =>
              send({
                what: 'Undo the skip',
                run: () => fleetAPI.undoSkip(id, skips, me.name),
                done: (t) => openSkips(t.phases?.[String(phase.id)] ?? phase).length === 0,
              })
            }
          >
            Do not skip it after all
          </Menu.Item>
        )}
        {state === 'done' && (
          <Menu.Item
            onClick={() =>
              send({
                what: 'Rewind',
                run: () => fleetAPI.rewind(id, phase.id),
                done: (t) => t.completed?.includes(phase.id) !== true,
              })
            }
          >
            Go back to this phase
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

function phaseTimes(phase: Phase, state: Exclude<PhaseState, 'active'>): string {
  const [start, end] = [phase.unix_millis_start_time ?? 0, phase.unix_millis_finish_time ?? 0];
  const whole = phase.original_estimate_millis ?? 0;
  switch (state) {
    case 'done':
      return end > start && start > 0 ? `took ${span(end - start)}` : 'done';
    case 'skipped':
      return 'will be skipped';
    case 'pending':
      return whole > 0 ? `about ${span(whole)}` : 'later';
  }
}

function estimateOf(task: Task, now: number): string | undefined {
  if (isOver(task.status)) {
    const [start, end] = [task.unix_millis_start_time ?? 0, task.unix_millis_finish_time ?? 0];
    return end > start && start > 0 ? `Took ${span(end - start)}` : undefined;
  }
  const left = (task.unix_millis_finish_time ?? 0) - now;
  return left > 0 ? `About ${span(left)} left` : undefined;
}

function About({ task }: { task: Task }) {
  const { booking } = task;
  const now = useSiteNow();
  const earliest = booking.unix_millis_earliest_start_time ?? 0;
  const marker = task.killed ?? task.cancellation;
  return (
    <Facts
      items={[
        [
          'Id',
          <Group gap={4} key="id" wrap="nowrap">
            <span className="code">{booking.id}</span>
            <CopyIcon value={booking.id} what="the id" />
          </Group>,
        ],
        ['Asked by', booking.requester ?? '–'],
        ['Asked', booking.unix_millis_request_time ? <Age key="asked" time={booking.unix_millis_request_time} /> : '–'],
        ...(earliest > now ? [['Not before', moment(earliest)] as const] : []),
        ['Robot', task.assigned_to ? `${task.assigned_to.name} of ${task.assigned_to.group}` : 'not chosen yet'],
        ['Started', task.unix_millis_start_time ? moment(task.unix_millis_start_time) : '–'],
        [isOver(task.status) ? 'Ended' : 'Ends about', task.unix_millis_finish_time ? moment(task.unix_millis_finish_time) : '–'],
        ...(isUrgent(booking.priority) ? [['Priority', 'urgent'] as const] : []),
        ...(marker ? [[task.killed ? 'Killed by' : 'Cancelled by', marker.labels.join(', ') || '–'] as const] : []),
        ...((booking.labels ?? []).length > 0 ? [['Labels', (booking.labels ?? []).join(', ')] as const] : []),
      ]}
    />
  );
}

function isUrgent(priority: unknown): boolean {
  return isRecord(priority) && priority.value === 1;
}
