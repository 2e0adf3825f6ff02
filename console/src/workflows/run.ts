import type { Tone } from '../ui/status';

/** A run as its engine reports it: an Argo Workflow, as far as the console reads it. */
export interface RunObject {
  metadata?: { name?: string; namespace?: string; annotations?: Record<string, string> };
  spec?: { arguments?: { parameters?: { name: string; value?: string }[] } };
  status?: {
    phase?: string;
    message?: string;
    startedAt?: string | null;
    finishedAt?: string | null;
    progress?: string;
    nodes?: Record<string, StepStatus>;
  };
}

export interface StepParameter {
  name: string;
  value?: string;
}

export interface StepArtifact {
  name: string;
  path?: string;
  [more: string]: unknown;
}

export interface StepStatus {
  id: string;
  name: string;
  displayName: string;
  type: string;
  templateName?: string;
  phase?: string;
  message?: string;
  boundaryID?: string;
  startedAt?: string | null;
  finishedAt?: string | null;
  children?: string[];
  inputs?: { parameters?: StepParameter[]; artifacts?: StepArtifact[] };
  outputs?: { parameters?: StepParameter[]; artifacts?: StepArtifact[]; exitCode?: string };
}

/** One thing that happened in a run, with the way to it through nodes of the graph. */
export interface Step {
  readonly id: string;
  readonly status: StepStatus;
  /** The display names from the run down to it; a step of a loop carries its element. */
  readonly path: readonly string[];
  /** The same without elements: the slots of the graph. */
  readonly trail: readonly string[];
  readonly phase: string;
  readonly start: number | undefined;
  readonly end: number | undefined;
  /** It ran a container, so it has logs and files. */
  readonly pod: boolean;
}

/** Every step of a run, in the order of their beginning. */
export function stepsOf(run: RunObject | undefined): Step[] {
  const nodes = run?.status?.nodes ?? {};
  const paths = new Map<string, readonly string[]>();
  const pathOf = (id: string, depth = 0): readonly string[] => {
    const known = paths.get(id);
    if (known !== undefined) return known;
    const node = nodes[id];
    if (node === undefined || depth > 300) return [];
    const boundary = node.boundaryID;
    const path = boundary === undefined || boundary === '' || boundary === id ? [] : [...pathOf(boundary, depth + 1), node.displayName];
    paths.set(id, path);
    return path;
  };
  return Object.values(nodes)
    .map((status): Step => {
      const path = pathOf(status.id);
      return {
        id: status.id,
        status,
        path,
        trail: path.map(slotName),
        phase: status.phase ?? 'Pending',
        start: time(status.startedAt),
        end: time(status.finishedAt),
        pod: status.type === 'Pod',
      };
    })
    .sort((a, b) => (a.start ?? Infinity) - (b.start ?? Infinity) || a.path.length - b.path.length || a.path.join('/').localeCompare(b.path.join('/'), 'en', { numeric: true }));
}

/** Maps run their node as "mapnode", and each element has its own: "mapnode(3:x)". */
function slotName(display: string): string {
  const name = display.replace(/\(\d+:[\s\S]*\)$/, '');
  return name === 'mapnode' ? 'node' : name;
}

/** The element of a loop that a step was for, if it was. */
export function elementOf(step: Step): string | undefined {
  return /\((\d+):([\s\S]*)\)$/.exec(step.path.at(-1) ?? '')?.[2];
}

export function time(text: string | null | undefined): number | undefined {
  if (!text) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) || at <= 0 ? undefined : at;
}

const rank: Readonly<Record<string, number>> = { Failed: 0, Error: 1, Running: 2, Pending: 3, Succeeded: 4, Omitted: 5, Skipped: 6 };

/** What a slot of the graph shows: the worst of all steps that it stands for. */
export function phaseOfSlot(steps: readonly Step[], trail: readonly string[]): string | undefined {
  return stepsAt(steps, trail)
    .filter((s) => s.status.type !== 'TaskGroup' || s.phase !== 'Succeeded')
    .map((s) => s.phase)
    .sort((a, b) => (rank[a] ?? 9) - (rank[b] ?? 9))[0] ?? stepsAt(steps, trail)[0]?.phase;
}

/** The steps that a slot stands for: one, or one for each element. */
export function stepsAt(steps: readonly Step[], trail: readonly string[]): Step[] {
  return steps.filter((s) => s.trail.length === trail.length && trail.every((t, i) => s.trail[i] === t));
}

export function isFinal(phase: string | undefined): boolean {
  return phase === 'Succeeded' || phase === 'Failed' || phase === 'Error';
}

const looks: Readonly<Record<string, { tone: Tone; word: string }>> = {
  '': { tone: 'idle', word: 'waiting' },
  Pending: { tone: 'idle', word: 'waiting' },
  Running: { tone: 'busy', word: 'running' },
  Succeeded: { tone: 'good', word: 'succeeded' },
  Failed: { tone: 'bad', word: 'failed' },
  Error: { tone: 'bad', word: 'broken' },
  Skipped: { tone: 'idle', word: 'skipped' },
  Omitted: { tone: 'idle', word: 'left out' },
};

export function phaseLook(phase: string | undefined): { tone: Tone; word: string } {
  return looks[phase ?? ''] ?? { tone: 'idle', word: (phase ?? '').toLowerCase() };
}

/** Where a step's bar begins and how long it is, as parts of the whole run. */
export function barOf(step: Step, from: number, to: number): { left: number; width: number } | undefined {
  if (step.start === undefined || to <= from) return undefined;
  const end = step.end ?? to;
  const left = clamp((step.start - from) / (to - from));
  return { left, width: Math.max(clamp((end - from) / (to - from)) - left, 0) };
}

function clamp(x: number): number {
  return Math.min(1, Math.max(0, x));
}

/** "40 ms", "0.4 s", "12 s", "3 min 20 s", "2 h 5 min". */
export function duration(ms: number): string {
  if (ms < 100) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return s % 60 === 0 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 60)} min ${s % 60} s`;
  const min = Math.floor((s % 3600) / 60);
  return min === 0 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 3600)} h ${min} min`;
}

/** One line of a log with where the search was found in it. */
export interface LogLine {
  readonly number: number;
  readonly text: string;
}

/** The lines that contain what is searched for, in any case. */
export function searchLines(lines: readonly string[], wanted: string): LogLine[] {
  const all = lines.map((text, i) => ({ number: i + 1, text }));
  if (wanted === '') return all;
  const low = wanted.toLowerCase();
  return all.filter((l) => l.text.toLowerCase().includes(low));
}

/** A text cut where it was found, for marking: every second part is a hit. */
export function cutAt(text: string, wanted: string): string[] {
  if (wanted === '') return [text];
  const parts: string[] = [];
  const [low, hit] = [text.toLowerCase(), wanted.toLowerCase()];
  let from = 0;
  for (let at = low.indexOf(hit); at >= 0; at = low.indexOf(hit, from)) {
    parts.push(text.slice(from, at), text.slice(at, at + hit.length));
    from = at + hit.length;
  }
  parts.push(text.slice(from));
  return parts;
}
