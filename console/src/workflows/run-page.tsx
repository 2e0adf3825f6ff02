import { ActionIcon, Alert, Anchor, Button, Group, Menu, Progress, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { ChevronLeft, MoreHorizontal, OctagonX, Play, RotateCcw, TriangleAlert } from 'lucide-react';
import { useMemo, useState } from 'react';
import { Link, useNavigate, useParams } from 'react-router';
import { workflowsAPI } from '../api/workflows';
import { useFilters } from '../lib/address';
import { moment, sentence, short } from '../lib/format';
import { useNow } from '../lib/now';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Confirm } from '../ui/confirm';
import { Facts } from '../ui/facts';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Canvas, nothingPicked, type Picked } from './canvas';
import type { Component, Job } from './document';
import { startsWith } from './finding';
import { componentAt, slotsOf } from './graph';
import { PhaseMark } from './mark';
import { useResolve, workflowQueries } from './query';
import { duration, isFinal, phaseOfSlot, type RunObject, type Step, stepsAt, stepsOf, time } from './run';
import { StepPanel, ValuesView } from './step-panel';
import { type Followed, useRun } from './stream';
import { Timeline } from './timeline';
import classes from './workflows.module.css';

const defaults = { step: '', in: '' };

/** One run: what each of its steps did, does and gave. */
export default function RunPage() {
  const { id = '' } = useParams();
  const job = useQuery(workflowQueries.run(id));
  const [again, setAgain] = useState(0);
  const followed = useRun(id, again);
  const status = useQuery(workflowQueries.runStatus(id));
  const phase = followed.run?.status?.phase ?? status.data?.status;
  const name = job.data?.workflow.name ?? 'Run';
  const silent = followed.line === 'waiting' ? 'the run’s own line is broken; it is tried again' : undefined;
  return (
    <PageView
      title={`${name} ${short(id)}`}
      lead={job.data?.description}
      freshness={isFinal(phase) ? undefined : <Freshness updatedAt={Math.max(followed.at, status.dataUpdatedAt)} silent={silent} />}
      actions={job.data !== undefined && <Actions uid={id} job={job.data} phase={phase} onAgain={() => setAgain(again + 1)} />}
    >
      <div>
        <Anchor component={Link} to="/workflows/runs" size="sm">
          <Group gap={4} component="span">
            <ChevronLeft size={14} aria-hidden /> Runs
          </Group>
        </Anchor>
      </div>
      <Answer query={job} title="The run could not be read">
        {(j) => <Run uid={id} job={j} followed={followed} phase={phase} />}
      </Answer>
    </PageView>
  );
}

function Run({ uid, job, followed, phase }: { uid: string; job: Job; followed: Followed; phase: string | undefined }) {
  const [filters, change] = useFilters(defaults);
  const { run } = followed;
  const root = job.workflow.component;
  const resolve = useResolve(root);
  const steps = useMemo(() => stepsOf(run), [run]);
  const wanted = useMemo(() => filters.in.split('/').filter((s) => s !== ''), [filters.in]);
  const at = componentAt(root, wanted, resolve);
  const trail = at === undefined ? none : wanted;
  const component = at?.component ?? root;
  const chosen = steps.find((s) => s.id === filters.step);
  const whole = steps.find((s) => s.path.length === 0);
  const drawn = component.implementation.type !== 'brick' && component.implementation.type !== 'any';
  const over = isFinal(phase);
  const phases = useMemo(
    () => Object.fromEntries(slotsOf(component).map((s) => [s.id, phaseOfSlot(steps, [...trail, s.id]) ?? (over ? 'Omitted' : undefined)])),
    [component, steps, trail, over],
  );
  const slot = chosen !== undefined && startsWith(chosen.trail, trail) ? chosen.trail[trail.length] : undefined;
  const picked = useMemo<Picked>(() => (slot === undefined ? nothingPicked : { slots: [slot], links: [] }), [slot]);
  return (
    <>
      <Summary job={job} run={run} phase={phase} />
      <div className={classes.run}>
        <Panel
          title="Graph"
          padded={false}
          actions={
            trail.length > 0 && (
              <Group gap="xs">
                <Text size="xs" c="dimmed">
                  {trail.join(' › ')}
                </Text>
                <Button size="compact-xs" variant="default" onClick={() => change({ in: trail.slice(0, -1).join('/') })}>
                  Back out
                </Button>
              </Group>
            )
          }
        >
          <div className={classes.graph}>
            {drawn ? (
              <Canvas
                key={trail.join('/')}
                label="The run’s graph"
                component={component}
                resolve={resolve}
                trail={trail}
                phases={phases}
                picked={picked}
                onPick={(p) => change({ step: stepFor(steps, [...trail, p.slots.find((s) => s !== slot) ?? p.slots[0] ?? ''])?.id ?? '' })}
                onOpen={(s) => change({ in: [...trail, s].join('/') })}
              />
            ) : (
              <OneStep component={component} phase={phase} />
            )}
          </div>
        </Panel>
        <Panel title="Timeline" padded={false}>
          <Timeline steps={steps} whole={whole} chosen={chosen} over={over} onChoose={(id) => change({ step: id })} />
        </Panel>
      </div>
      {chosen === undefined ? (
        <Panel title="What it gave and was given" hint="Choose a step in the graph or the timeline to see what it did.">
          <div className={classes.two}>
            {whole?.status.outputs === undefined ? (
              <Text size="sm" c="dimmed">
                {over ? 'It gave nothing.' : 'Nothing yet.'}
              </Text>
            ) : (
              <ValuesView uid={uid} step={whole} side="outputs" />
            )}
            <Given job={job} />
          </div>
        </Panel>
      ) : (
        <StepPanel key={chosen.id} uid={uid} step={chosen} siblings={stepsAt(steps, chosen.trail)} onChoose={(id) => change({ step: id })} />
      )}
    </>
  );
}

const none: readonly string[] = [];

/** What choosing a node of the graph chooses: of many steps the one that needs looking at. */
function stepFor(steps: readonly Step[], trail: readonly string[]): Step | undefined {
  const here = stepsAt(steps, trail);
  return here.find((s) => s.pod && (s.phase === 'Failed' || s.phase === 'Error')) ?? here.find((s) => s.phase === 'Running' && s.pod) ?? here.find((s) => s.pod) ?? here[0];
}

function OneStep({ component, phase }: { component: Component; phase: string | undefined }) {
  return (
    <Stack align="center" justify="center" h="100%" gap="xs">
      <Text fw={600}>{component.name ?? 'One step'}</Text>
      <PhaseMark phase={phase} />
      <Text size="sm" c="dimmed">
        This run has a single step.
      </Text>
    </Stack>
  );
}

function Summary({ job, run, phase }: { job: Job; run: RunObject | undefined; phase: string | undefined }) {
  const now = useNow();
  const start = time(run?.status?.startedAt);
  const end = time(run?.status?.finishedAt) ?? now;
  const [done, all] = (run?.status?.progress ?? '').split('/').map(Number);
  const note = run?.metadata?.annotations?.['lodge/note'];
  const message = run?.status?.message;
  return (
    <Stack gap="xs">
      <Panel>
        <Group gap="xl" align="flex-start">
          <PhaseMark phase={phase} />
          <Fact name="Workflow">
            {job.workflow.uid === undefined ? (
              (job.workflow.name ?? '–')
            ) : (
              <Anchor component={Link} to={`/workflows/library/workflow/${job.workflow.uid}?version=${job.workflow.version?.current ?? 1}`} size="sm">
                {job.workflow.name ?? 'unnamed'}, version {job.workflow.version?.current ?? 1}
              </Anchor>
            )}
          </Fact>
          <Fact name="Workspace">{job.workflow.workspace}</Fact>
          <Fact name="Submitted">
            <Age time={job.timestamp} /> by {job.modifiedBy?.email ?? '–'}
          </Fact>
          <Fact name="Took">{start === undefined ? 'not begun' : duration(end - start)}</Fact>
          {all !== undefined && all > 0 && done !== undefined && !isFinal(phase) && (
            <Fact name={`${done} of ${all} steps`}>
              <Progress value={(done / all) * 100} w={120} mt={6} aria-label={`${done} of ${all} steps are done`} />
            </Fact>
          )}
        </Group>
      </Panel>
      {message !== undefined && message !== '' && isFinal(phase) && phase !== 'Succeeded' && (
        <Alert color="red" icon={<TriangleAlert size={18} />} title="Why it did not succeed">
          {message}
        </Alert>
      )}
      {note !== undefined && (
        <Text size="xs" c="dimmed">
          {sentence(note.charAt(0).toUpperCase() + note.slice(1))}
        </Text>
      )}
    </Stack>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <Text size="xs" c="dimmed">
        {name}
      </Text>
      <Text size="sm" component="div">
        {children}
      </Text>
    </div>
  );
}

function Given({ job }: { job: Job }) {
  const values = job.inputValues ?? [];
  return (
    <div>
      <Text size="sm" fw={600} mb={6}>
        Was given
      </Text>
      {values.length === 0 ? (
        <Text size="sm" c="dimmed">
          nothing
        </Text>
      ) : (
        <Facts items={values.map((v) => [v.target, Array.isArray(v.value) ? v.value.join(', ') : v.value] as const)} />
      )}
      <Text size="xs" c="dimmed" mt="sm">
        Submitted {job.timestamp === undefined ? '' : moment(job.timestamp)}
      </Text>
    </div>
  );
}

function Actions({ uid, job, phase, onAgain }: { uid: string; job: Job; phase: string | undefined; onAgain: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [asking, setAsking] = useState<'' | 'stop' | 'delete'>('');
  const fresh = () => client.invalidateQueries({ queryKey: ['workflows', 'jobs'] });
  const stop = useMutation({
    mutationFn: () => workflowsAPI.terminate(uid),
    onSuccess: async () => {
      setAsking('');
      notifications.show({ message: 'The run is being stopped. Its state says when it has.', color: 'pine' });
      await fresh();
    },
  });
  const retry = useMutation({
    mutationFn: () => workflowsAPI.retry(uid),
    onSuccess: async () => {
      notifications.show({ message: 'It goes on from what had succeeded.', color: 'pine' });
      onAgain();
      await fresh();
    },
  });
  const remove = useMutation({
    mutationFn: () => workflowsAPI.deleteRun(uid),
    onSuccess: async () => {
      await fresh();
      notifications.show({ message: 'The run is deleted.', color: 'pine' });
      void navigate('/workflows/runs');
    },
  });
  const over = isFinal(phase);
  return (
    <>
      {!over && (
        <Button color="red" variant="light" leftSection={<OctagonX size={16} aria-hidden />} onClick={() => setAsking('stop')}>
          Stop
        </Button>
      )}
      {(phase === 'Failed' || phase === 'Error') && (
        <Button leftSection={<RotateCcw size={16} aria-hidden />} onClick={() => retry.mutate()} loading={retry.isPending}>
          Retry
        </Button>
      )}
      <Button component={Link} to={`/workflows/library/run/${job.workflow.uid ?? 'none'}?again=${uid}`} variant="default" leftSection={<Play size={16} aria-hidden />}>
        Run again
      </Button>
      {over && (
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="default" size={34} aria-label="More">
              <MoreHorizontal size={16} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item color="red" onClick={() => setAsking('delete')}>
              Delete this run
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      )}
      {retry.error !== null && <Problem error={retry.error} title="It was not retried" />}
      <Confirm opened={asking === 'stop'} title="Stop the run" action="Stop it" busy={stop.isPending} error={stop.error} onConfirm={() => stop.mutate()} onClose={() => setAsking('')}>
        Steps that run are ended, others do not begin. What has succeeded is kept, and a retry goes on from there.
      </Confirm>
      <Confirm
        opened={asking === 'delete'}
        title="Delete the run"
        type={short(uid, 7).replace('…', '')}
        action="Delete"
        busy={remove.isPending}
        error={remove.error}
        onConfirm={() => remove.mutate()}
        onClose={() => setAsking('')}
      >
        Its logs and files go away for everybody. It cannot be undone.
      </Confirm>
    </>
  );
}
