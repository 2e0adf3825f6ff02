import { Text } from '@mantine/core';
import { useNow } from '../lib/now';
import { Empty } from '../ui/empty';
import { barOf, duration, phaseLook, type Step } from './run';
import { CircleAlert, CircleCheck, CircleDashed, CircleX, Hourglass, LoaderCircle } from 'lucide-react';
import type { Tone } from '../ui/status';
import classes from './workflows.module.css';

/** More than this nobody reads; the graph and the loop's own list find the rest. */
const ROWS = 400;
const icons: Readonly<Record<Tone, typeof CircleCheck>> = { good: CircleCheck, busy: LoaderCircle, idle: CircleDashed, warn: CircleAlert, bad: CircleX };

interface Props {
  steps: readonly Step[];
  whole: Step | undefined;
  chosen: Step | undefined;
  over: boolean;
  onChoose: (id: string) => void;
}

/** What ran when, from the first step to the last. */
export function Timeline({ steps, whole, chosen, over, onChoose }: Props) {
  const now = useNow();
  const leaves = steps.filter((s) => s.status.type !== 'DAG' && s.status.type !== 'TaskGroup');
  if (leaves.length === 0) {
    return (
      <Empty title={over ? 'No step began' : 'No step has begun yet'} icon={Hourglass}>
        {over ? 'The run ended before its first step.' : 'They appear here as they begin.'}
      </Empty>
    );
  }
  const starts = leaves.flatMap((s) => (s.start === undefined ? [] : [s.start]));
  const from = whole?.start ?? Math.min(...starts);
  const to = Math.max(whole?.end ?? (over ? 0 : now), ...leaves.flatMap((s) => (s.end === undefined ? [] : [s.end])), from + 1);
  return (
    <ul className={classes.timeline} aria-label="Steps">
      {leaves.slice(0, ROWS).map((s) => (
        <Bar key={s.id} step={s} from={from} to={to} chosen={chosen !== undefined && isWithin(s, chosen)} onChoose={onChoose} />
      ))}
      {leaves.length > ROWS && (
        <li>
          <Text size="xs" c="dimmed" px={14} py={6}>
            …and {(leaves.length - ROWS).toLocaleString('en')} more steps
          </Text>
        </li>
      )}
    </ul>
  );
}

function isWithin(step: Step, chosen: Step): boolean {
  return step.id === chosen.id || (!chosen.pod && chosen.path.length > 0 && chosen.path.every((p, i) => step.path[i] === p));
}

function Bar({ step, from, to, chosen, onChoose }: { step: Step; from: number; to: number; chosen: boolean; onChoose: (id: string) => void }) {
  const look = phaseLook(step.phase);
  const bar = step.phase === 'Skipped' || step.phase === 'Omitted' ? undefined : barOf(step, from, to);
  const took = step.start !== undefined && bar !== undefined ? duration((step.end ?? to) - step.start) : look.word;
  const Icon = icons[look.tone];
  return (
    <li>
      <button type="button" className={classes.step} aria-pressed={chosen} onClick={() => onChoose(step.id)} data-testid={`step-${step.trail.join('.')}`}>
        <span className={classes.stepName}>
          <Icon size={14} role="img" aria-label={look.word} style={{ flex: 'none' }} color={`var(--mantine-color-${look.tone === 'bad' ? 'red' : look.tone === 'good' ? 'pine' : look.tone === 'busy' ? 'blue' : 'gray'}-6)`} />
          <span title={labelOf(step)}>{labelOf(step)}</span>
        </span>
        <span className={classes.track} aria-hidden>
          {bar !== undefined && <span className={classes.bar} data-tone={look.tone} style={{ left: `${bar.left * 100}%`, width: `${bar.width * 100}%` }} />}
        </span>
        <span className={classes.took}>{took}</span>
      </button>
    </li>
  );
}

/** The way to a step in words: "fit › 3: a.csv". */
export function labelOf(step: Step): string {
  if (step.path.length === 0) return 'the whole run';
  return step.path
    .map((p) => {
      const loop = /^(.*)\((\d+):([\s\S]*)\)$/.exec(p);
      const name = loop?.[1] ?? p;
      const plain = name === 'mapnode' ? '' : name === 'nodeTrue' ? 'if so' : name === 'nodeFalse' ? 'if not' : name;
      return loop === null ? plain : `${plain === '' ? '' : `${plain} `}${loop[2] ?? ''}: ${loop[3] ?? ''}`;
    })
    .filter((p) => p !== '')
    .join(' › ');
}
