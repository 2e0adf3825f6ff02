import { Alert, Button, Group, NativeSelect, Stack, Switch, Text, TextInput, Title } from '@mantine/core';
import { Download, Search, TriangleAlert } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { artifactAddress, logTextAddress } from '../api/workflows';
import { bytes, count, moment } from '../lib/format';
import { useNow } from '../lib/now';
import { PreviewView } from '../results/preview-view';
import { Facts } from '../ui/facts';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { PhaseMark } from './mark';
import { cutAt, duration, elementOf, phaseLook, searchLines, type Step, type StepArtifact } from './run';
import { useLog } from './stream';
import { labelOf } from './timeline';
import classes from './workflows.module.css';

interface Props {
  uid: string;
  step: Step;
  /** The steps of the same node: one for each element of a loop. */
  siblings: readonly Step[];
  onChoose: (id: string) => void;
}

/** One step: how it went, what it took and gave, and what it wrote. */
export function StepPanel({ uid, step, siblings, onChoose }: Props) {
  const now = useNow();
  const { status } = step;
  const of = siblings.filter((s) => s.pod || s.status.type !== 'TaskGroup');
  const bad = step.phase === 'Failed' || step.phase === 'Error';
  const element = elementOf(step);
  return (
    <Panel
      title={labelOf(step)}
      actions={
        <Group gap="xs">
          {of.length > 1 && (
            <NativeSelect
              aria-label="Which of them"
              size="xs"
              maw={280}
              value={step.id}
              onChange={(e) => onChoose(e.currentTarget.value)}
              data={[...(of.some((s) => s.id === step.id) ? [] : [step]), ...of].map((s) => ({ value: s.id, label: `${labelOf(s)} (${phaseLook(s.phase).word})` }))}
            />
          )}
          <Button size="compact-sm" variant="default" onClick={() => onChoose('')}>
            The whole run
          </Button>
        </Group>
      }
    >
      <Stack gap="lg">
        <div className={classes.two}>
          <Stack gap="md">
            {status.message !== undefined && status.message !== '' && (
              <Alert color={bad ? 'red' : 'gray'} icon={<TriangleAlert size={18} />} title={bad ? 'Why it failed' : 'What happened'}>
                {status.message}
              </Alert>
            )}
            <div>
              <Title order={3} fz="sm" mb={6}>
                Outputs
              </Title>
              <ValuesView uid={uid} step={step} side="outputs" />
            </div>
            <div>
              <Title order={3} fz="sm" mb={6}>
                Inputs
              </Title>
              <ValuesView uid={uid} step={step} side="inputs" />
            </div>
          </Stack>
          <Facts
            items={[
              ['State', <PhaseMark key="state" phase={step.phase} />],
              ...(element === undefined ? [] : [['Element', element] as const]),
              ['Began', step.start === undefined ? 'not yet' : moment(step.start)],
              ['Ended', step.end === undefined ? 'not yet' : moment(step.end)],
              ['Took', step.start === undefined ? '–' : duration((step.end ?? now) - step.start)],
              ...(status.outputs?.exitCode === undefined ? [] : [['Exit code', status.outputs.exitCode] as const]),
              ['Id', <span key="id" className="code">{step.id}</span>],
            ]}
          />
        </div>
        {step.pod && <LogView uid={uid} step={step} />}
      </Stack>
    </Panel>
  );
}

/** What a step took or gave: texts as they are, files with a look inside. */
export function ValuesView({ uid, step, side }: { uid: string; step: Step; side: 'inputs' | 'outputs' }) {
  const { parameters = [], artifacts = [] } = step.status[side] ?? {};
  if (parameters.length + artifacts.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        {side === 'inputs' ? 'It took nothing.' : step.end === undefined ? 'Nothing yet.' : 'It gave nothing.'}
      </Text>
    );
  }
  return (
    <div className={classes.values}>
      {parameters.map((p) => (
        <div key={p.name}>
          <Text size="sm" fw={550}>
            {p.name}
          </Text>
          {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it scrolls */}
          <pre className={classes.value} tabIndex={0} role="region" aria-label={`Value of ${p.name}`}>
            {p.value ?? ''}
          </pre>
        </div>
      ))}
      {artifacts.map((a) => (
        <ArtifactView key={a.name} uid={uid} step={step} side={side} artifact={a} />
      ))}
    </div>
  );
}

function ArtifactView({ uid, step, side, artifact }: { uid: string; step: Step; side: 'inputs' | 'outputs'; artifact: StepArtifact }) {
  const [open, setOpen] = useState(side === 'outputs');
  const url = artifactAddress(uid, step.id, artifact.name, side);
  const filename = artifact.path?.split('/').pop() ?? artifact.name;
  const size = typeof artifact.size === 'number' ? artifact.size : undefined;
  return (
    <div data-testid={`artifact-${artifact.name}`}>
      <Group justify="space-between" gap="xs" mb={4}>
        <Text size="sm">
          <b>{artifact.name}</b>{' '}
          <Text span c="dimmed" size="sm">
            {filename}
            {size === undefined ? '' : `, ${bytes(size)}`}
          </Text>
        </Text>
        <Group gap={4}>
          <Button size="compact-xs" variant="subtle" onClick={() => setOpen(!open)} aria-expanded={open}>
            {open ? 'Hide' : 'Look inside'}
          </Button>
          <Button size="compact-xs" variant="default" component="a" href={url} download={filename} leftSection={<Download size={13} aria-hidden />}>
            Download<span className="visually-hidden"> {artifact.name}</span>
          </Button>
        </Group>
      </Group>
      {open && <PreviewView file={{ id: `${uid}/${step.id}/${side}/${artifact.name}`, url, filename, content_type: '', size: size ?? 1 }} />}
    </div>
  );
}

const SHOWN = 2_000;

/** What a step writes, line by line, as it comes; searched where it stands. */
function LogView({ uid, step }: { uid: string; step: Step }) {
  const log = useLog(uid, step.id);
  const [wanted, setWanted] = useState('');
  const [stick, setStick] = useState(true);
  const frame = useRef<HTMLDivElement>(null);
  const hits = searchLines(log.lines, wanted.trim());
  const shown = hits.slice(-SHOWN);
  const length = log.lines.length;
  useEffect(() => {
    const at = frame.current;
    if (stick && at !== null) at.scrollTop = at.scrollHeight;
  }, [length, stick, wanted]);
  return (
    <div>
      <Group justify="space-between" gap="xs" mb={6}>
        <Title order={3} fz="sm">
          Log
        </Title>
        <Group gap="sm">
          <Text size="xs" c="dimmed" role="status">
            {wanted.trim() === '' ? count(length + log.dropped, 'line') : `${count(hits.length, 'line')} of ${length.toLocaleString('en')}`}
            {log.line === 'open' && step.end === undefined ? ', following' : ''}
          </Text>
          <Switch size="xs" label="Keep to the end" checked={stick} onChange={(e) => setStick(e.currentTarget.checked)} />
          <TextInput aria-label="Search the log" placeholder="Search the log" size="xs" w={180} leftSection={<Search size={13} aria-hidden />} value={wanted} onChange={(e) => setWanted(e.currentTarget.value)} />
          <Button size="compact-sm" variant="default" component="a" href={logTextAddress(uid, step.id)} download={`${labelOf(step).replace(/[^\w.-]+/g, '-')}.log`} leftSection={<Download size={13} aria-hidden />}>
            Download
          </Button>
        </Group>
      </Group>
      {log.error !== undefined && length === 0 ? (
        <Problem error={log.error} title="The log cannot be read; it is tried again" />
      ) : (
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it scrolls
        <div className={classes.log} ref={frame} tabIndex={0} role="region" aria-label="Log">
          {length === 0 ? (
            <Text size="sm" c="dimmed" px={14}>
              {log.line === 'ended' ? 'It wrote nothing.' : 'Nothing yet.'}
            </Text>
          ) : (
            <ol>
              {hits.length > shown.length && (
                <li>
                  <span />
                  <span>…{(hits.length - shown.length).toLocaleString('en')} earlier lines: search, or download the log</span>
                </li>
              )}
              {shown.map((l) => (
                <li key={l.number}>
                  <span aria-hidden>{l.number + log.dropped}</span>
                  <span>{cutAt(l.text, wanted.trim()).map((part, i) => (i % 2 === 1 ? <mark key={i}>{part}</mark> : part))}</span>
                </li>
              ))}
            </ol>
          )}
        </div>
      )}
    </div>
  );
}
