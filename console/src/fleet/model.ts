import type { BuildingMap, FleetState, LogEntry, Phase, RobotState, Task, TaskLog, TaskStatus } from '../api/types';
import { span } from '../lib/format';
import type { Tone } from '../ui/status';

/** What the fleet's states mean, in words and tones. */

export const statusGroups = {
  queue: ['uninitialized', 'queued', 'standby'],
  running: ['underway', 'delayed', 'blocked', 'error'],
  done: ['completed', 'failed', 'canceled', 'killed', 'skipped'],
} as const satisfies Record<string, readonly TaskStatus[]>;

export type StatusGroup = keyof typeof statusGroups;

export function isOver(status: Task['status']): boolean {
  return status !== null && status !== undefined && (statusGroups.done as readonly TaskStatus[]).includes(status);
}

const taskLooks: Record<TaskStatus, { tone: Tone; word: string }> = {
  uninitialized: { tone: 'idle', word: 'new' },
  queued: { tone: 'idle', word: 'queued' },
  standby: { tone: 'idle', word: 'waiting' },
  underway: { tone: 'busy', word: 'under way' },
  delayed: { tone: 'warn', word: 'delayed' },
  blocked: { tone: 'warn', word: 'blocked' },
  error: { tone: 'bad', word: 'error' },
  failed: { tone: 'bad', word: 'failed' },
  canceled: { tone: 'idle', word: 'cancelled' },
  killed: { tone: 'bad', word: 'killed' },
  skipped: { tone: 'idle', word: 'skipped' },
  completed: { tone: 'good', word: 'completed' },
};

export function taskLook(status: Task['status']): { tone: Tone; word: string } {
  return taskLooks[status ?? 'uninitialized'];
}

export type RobotStatus = NonNullable<RobotState['status']>;

const robotLooks: Record<RobotStatus, { tone: Tone; word: string }> = {
  uninitialized: { tone: 'idle', word: 'starting' },
  offline: { tone: 'bad', word: 'offline' },
  shutdown: { tone: 'idle', word: 'shut down' },
  idle: { tone: 'good', word: 'idle' },
  charging: { tone: 'good', word: 'charging' },
  working: { tone: 'busy', word: 'working' },
  error: { tone: 'bad', word: 'error' },
};

export function robotLook(status: RobotState['status']): { tone: Tone; word: string } {
  return robotLooks[status ?? 'uninitialized'];
}

/** A robot by where it belongs; "fleet/name" is its id in addresses. */
export interface Robot extends RobotState {
  readonly id: string;
  readonly fleet: string;
  readonly name: string;
  /** When its fleet was last heard of, by any of its robots. */
  readonly heardAt: number;
}

export function robotsOf(fleets: readonly FleetState[]): Robot[] {
  return fleets
    .flatMap((f) => {
      const robots = Object.entries(f.robots ?? {});
      const heardAt = Math.max(0, ...robots.map(([, r]) => r.unix_millis_time ?? 0));
      const fleet = f.name ?? '';
      return robots.map(([name, r]): Robot => ({ ...r, id: `${fleet}/${name}`, fleet, name, heardAt }));
    })
    .sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }));
}

/** An adapter reports every second or so: after this long it counts as silent. */
export const STALE = 10_000;

/** Why what is shown of a robot is old, or nothing while it is fresh. */
export function staleReason(robot: Robot, now: number): string | undefined {
  const silent = now - robot.heardAt;
  if (silent > STALE) return `fleet ${robot.fleet} silent for ${span(silent)}`;
  const age = now - (robot.unix_millis_time ?? 0);
  return age > STALE ? `not reported for ${span(age)}` : undefined;
}

export function inService(robot: RobotState): boolean {
  return robot.commission?.dispatch_tasks !== false;
}

/** A robot's look, in doubt if what is known of it is stale. */
export function knownLook(robot: RobotState, stale: string | undefined): { tone: Tone; word: string } {
  const look = robotLook(robot.status);
  return stale === undefined ? look : { tone: 'idle', word: `${look.word}?` };
}

/** Whether somebody should look at it. */
export function needsHelp(robot: RobotState): boolean {
  return robot.status === 'error' || robot.status === 'offline' || (robot.issues ?? []).length > 0;
}

/** What a task is about, from its own description. Whatever else it holds is one click deeper. */
export function summaryOf(task: { category?: string | null; detail?: unknown; labels?: readonly string[] | null }): string {
  const d = task.detail;
  if (typeof d === 'string' && d !== '') return d;
  if (isRecord(d)) {
    if (Array.isArray(d.places)) {
      const rounds = typeof d.rounds === 'number' && d.rounds > 1 ? ` × ${d.rounds}` : '';
      return d.places.map(placeName).join(' → ') + rounds;
    }
    if (isRecord(d.pickup) && isRecord(d.dropoff)) return `${placeName(d.pickup.place)} → ${placeName(d.dropoff.place)}`;
    if (typeof d.zone === 'string') return d.zone;
    if (typeof d.detail === 'string' && d.detail !== '') return d.detail;
    if (Array.isArray(d.phases)) return `${d.phases.length} phases`;
  }
  return (task.labels ?? []).find((l) => l.startsWith('destination='))?.slice('destination='.length) ?? '';
}

export function placeName(place: unknown): string {
  if (typeof place === 'string') return place;
  if (typeof place === 'number') return `waypoint ${place}`;
  if (isRecord(place)) return placeName(place.waypoint ?? place.place);
  return '?';
}

export function categoryWord(category: string | null | undefined): string {
  const word = (category ?? 'task').replaceAll('_', ' ');
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** Phases in the order in which they are done. */
export function phasesOf(task: Task): Phase[] {
  return Object.values(task.phases ?? {}).sort((a, b) => a.id - b.id);
}

export type PhaseState = 'done' | 'active' | 'pending' | 'skipped';

export function phaseState(task: Task, phase: Phase): PhaseState {
  if (openSkips(phase).length > 0) return 'skipped';
  if (task.completed?.includes(phase.id)) return 'done';
  if (task.active === phase.id) return isOver(task.status) ? 'done' : 'active';
  return 'pending';
}

/** How much of a task is done, from 0 to 1, by the time that its phases were thought to take. */
export function progressOf(task: Task, now: number): number {
  if (task.status === 'completed') return 1;
  const phases = phasesOf(task);
  const weight = (p: Phase) => Math.max(p.original_estimate_millis ?? 0, 1000);
  const total = phases.reduce((sum, p) => sum + weight(p), 0);
  if (total === 0) return 0;
  const done = phases.reduce((sum, p) => {
    if (task.completed?.includes(p.id)) return sum + weight(p);
    return task.active === p.id ? sum + weight(p) * phaseProgress(p, now) : sum;
  }, 0);
  return done / total;
}

/** Estimates come now and then; between them time itself moves a phase on, but never to its end. */
export function phaseProgress(phase: Phase, now: number): number {
  if ((phase.unix_millis_finish_time ?? 0) > 0) return 1;
  const first = phase.original_estimate_millis ?? 0;
  if (first <= 0) return 0;
  const told = 1 - (phase.estimate_millis ?? first) / first;
  const start = phase.unix_millis_start_time ?? 0;
  const passed = start > 0 ? Math.min(0.95, (now - start) / first) : 0;
  return Math.min(1, Math.max(0, told, passed));
}

/** The tokens of interruptions that nobody has ended. */
export function openInterruptions(task: Task): string[] {
  return Object.entries(task.interruptions ?? {})
    .filter(([, i]) => !i.resumed_by)
    .map(([token]) => token);
}

/** The tokens of requests to skip a phase that nobody took back. */
export function openSkips(phase: Phase): string[] {
  return Object.entries(phase.skip_requests ?? {})
    .filter(([, s]) => !s.undo)
    .map(([token]) => token);
}

export interface Line extends LogEntry {
  readonly phase: number | undefined;
  readonly event: number | undefined;
}

/** A task's log as one list in the order of time, each line with where it belongs. */
export function logLines(log: TaskLog | undefined): Line[] {
  if (log === undefined) return [];
  const lines: Line[] = (log.log ?? []).map((e) => ({ ...e, phase: undefined, event: undefined }));
  for (const [id, phase] of Object.entries(log.phases ?? {})) {
    lines.push(...(phase.log ?? []).map((e) => ({ ...e, phase: Number(id), event: undefined })));
    for (const [event, entries] of Object.entries(phase.events ?? {})) {
      lines.push(...(entries ?? []).map((e) => ({ ...e, phase: Number(id), event: Number(event) })));
    }
  }
  return lines.sort((a, b) => a.unix_millis_time - b.unix_millis_time || (a.phase ?? 0) - (b.phase ?? 0) || a.seq - b.seq);
}

/** RMF writes places and doors as [place:name]; people read the name. */
export function plain(text: string): string {
  return text.replace(/\[(?:place|door|lift|task|robot|level|zone):([^\]]+)\]/g, '$1');
}

/** The detail of a phase or an event, where it is text that says something of its own. */
export function detailText(detail: unknown): string {
  return typeof detail === 'string' ? plain(detail) : '';
}

export interface Destination {
  readonly name: string;
  readonly level: string;
  readonly charger: boolean;
  /** The machine that gives or takes there, if one does. */
  readonly dispenser: string | undefined;
  readonly ingestor: string | undefined;
}

/** The places that tasks can name, in the order of the map. */
export function destinationsOf(map: BuildingMap | undefined): Destination[] {
  const found = new Map<string, Destination>();
  for (const level of map?.levels ?? []) {
    for (const node of level.nav_graphs.flatMap((g) => g.vertices)) {
      if (node.name === '' || found.has(node.name)) continue;
      const param = (name: string) => node.params.find((p) => p.name === name);
      found.set(node.name, {
        name: node.name,
        level: level.name,
        charger: isCharger(node),
        dispenser: param('pickup_dispenser')?.value_string,
        ingestor: param('dropoff_ingestor')?.value_string,
      });
    }
  }
  return [...found.values()];
}

/** Whether robots charge at a place of the map. */
export function isCharger(node: BuildingMap['levels'][number]['nav_graphs'][number]['vertices'][number]): boolean {
  return node.params.some((p) => p.name === 'is_charger' && p.value_bool);
}

export const doorModes: readonly { tone: Tone; word: string }[] = [
  { tone: 'idle', word: 'closed' },
  { tone: 'busy', word: 'moving' },
  { tone: 'good', word: 'open' },
  { tone: 'bad', word: 'offline' },
  { tone: 'warn', word: 'unknown' },
];

export function doorLook(mode: number | undefined): { tone: Tone; word: string } {
  return doorModes[mode ?? 4] ?? { tone: 'warn', word: 'unknown' };
}

export const liftModes = ['unknown', 'used by people', 'used by robots', 'fire alarm', 'offline', 'emergency'] as const;

export function battery(robot: RobotState): string {
  return typeof robot.battery === 'number' ? `${Math.round(robot.battery * 100)} %` : '–';
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
