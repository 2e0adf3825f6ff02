import type { App, AppAllow, AppOption, AppProgress, AppResources, AppSession, AppState } from '../api/types';
import { bytes, count, span } from '../lib/format';
import type { Tone } from '../ui/status';

const looks: Readonly<Record<AppState, { tone: Tone; word: string }>> = {
  queued: { tone: 'busy', word: 'waiting for a place' },
  starting: { tone: 'busy', word: 'starting' },
  ready: { tone: 'good', word: 'running' },
  stopping: { tone: 'busy', word: 'stopping' },
  stopped: { tone: 'idle', word: 'stopped' },
  failed: { tone: 'bad', word: 'failed' },
};

export const states = Object.keys(looks) as AppState[];

export function stateLook(state: AppState): { tone: Tone; word: string } {
  return looks[state];
}

/** Whether it runs or is about to. */
export function isLive(state: AppState): boolean {
  return state === 'queued' || state === 'starting' || state === 'ready';
}

/** Whether it changes by itself soon. */
export function isMoving(state: AppState): boolean {
  return state === 'queued' || state === 'starting' || state === 'stopping';
}

/** What people call an app session: the app, and its name where there are several. */
export function titleOf(session: Pick<AppSession, 'app_name' | 'name'>): string {
  return session.name === '' ? session.app_name : `${session.app_name} · ${session.name}`;
}

const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, 'µs': 0.001, us: 0.001, ns: 0.000_001 };

/** A time span of the server's, such as "1h30m0s", in milliseconds. */
export function millis(text: string): number {
  let sum = 0;
  for (const [, n, unit] of text.matchAll(/([\d.]+)(ms|µs|us|ns|h|m|s)/g)) sum += Number(n) * (units[unit ?? ''] ?? 0);
  return sum;
}

/** A time span in words with nothing lost that matters: "1 h 30 min", "45 s". */
export function spanInWords(ms: number): string {
  if (ms < 60_000) return span(ms);
  const minutes = Math.round(ms / 60_000);
  const [h, m] = [Math.floor(minutes / 60), minutes % 60];
  return [h > 0 ? `${h} h` : '', m > 0 ? `${m} min` : ''].filter((t) => t !== '').join(' ');
}

export function memory(n: number): string {
  return n < 0 ? 'unlimited memory' : `${bytes(n).replace(/\.0 /, ' ')} memory`;
}

export function cores(n: number): string {
  return count(Math.round(n * 100) / 100, 'core');
}

export function resourcesInWords(r: AppResources): string {
  return [r.cpu > 0 ? cores(r.cpu) : '', r.memory_bytes === 0 ? '' : memory(r.memory_bytes), r.gpu ? count(r.gpu, 'GPU') : '']
    .filter((t) => t !== '')
    .join(', ');
}

/** What an app session of the app gets, and when it ends by itself. */
export function limitsOf(app: Pick<App, 'resources' | 'idle_timeout' | 'max_lifetime'>): string[] {
  const idle = millis(app.idle_timeout);
  const life = millis(app.max_lifetime);
  return [
    resourcesInWords(app.resources),
    idle > 0 ? `closes after ${spanInWords(idle)} without use` : 'stays open without use',
    life > 0 ? `runs ${spanInWords(life)} at most` : '',
  ].filter((t) => t !== '');
}

/** Who may use an app, in one phrase. */
export function whoMay(allow: AppAllow, group: string): string {
  const but = allow.deny_roles.length === 0 ? '' : `, but not ${listed(allow.deny_roles)}`;
  if (allow.everyone) return `everybody${but}`;
  const who = [...allow.roles, ...(allow.people > 0 ? [count(allow.people, 'person by name', 'people by name')] : [])];
  if (who.length > 0) return `${listed([...who, 'administrators'])}${but}`;
  return `whoever may start apps of the group ${group}${but}`;
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1) ?? ''}`;
}

/** When an app session ends by itself, and why. */
export function endOf(session: Pick<AppSession, 'expires_at' | 'expires_why' | 'state'>, now: number): string {
  if (session.state !== 'ready') return '';
  if (session.expires_at === null) return 'stays open';
  const left = new Date(session.expires_at).getTime() - now;
  if (left <= 0) return 'closes now';
  const time = left < 3_600_000 ? span(left) : spanInWords(left);
  if (session.expires_why === 'lifetime') return `ends in ${time}, its longest time`;
  return session.expires_why === 'extended' ? `closes in ${time}, extended` : `closes in ${time} if unused`;
}

export type StepState = 'done' | 'now' | 'todo' | 'failed';

export interface Step {
  readonly name: string;
  readonly label: string;
  readonly state: StepState;
  /** How long it took, or takes so far. */
  readonly took?: number;
}

const labels = [
  ['queued', 'A place is free'],
  ['permitted', 'You may use it'],
  ['image', 'Its image is here'],
  ['create', 'It has its own room'],
  ['start', 'It runs'],
  ['answer', 'It answers'],
] as const;

const order = labels.map(([name]) => name as string);

/** The steps of a start as far as they were told. Only what the server said counts as done. */
export function stepsOf(events: readonly AppProgress[], now: number): Step[] {
  const last = events.at(-1);
  const told = events.filter((e) => e.at !== undefined && order.includes(e.step));
  const at = last?.ready === true ? order.length : order.indexOf(last?.step ?? '');
  const over = last !== undefined && (last.ready === true || last.failed === true || last.state === 'stopping' || last.state === 'stopped');
  return labels.map(([name, label], i) => {
    const state: StepState = i < at ? 'done' : i > at ? 'todo' : last?.failed === true ? 'failed' : over ? 'todo' : 'now';
    const began = told.find((e) => e.step === name)?.at;
    const ended = told.find((e) => e.step !== name && began !== undefined && time(e.at) >= time(began) && order.indexOf(e.step) > i)?.at;
    const end = ended === undefined ? (state === 'now' ? now : state === 'todo' ? undefined : time(last?.at)) : time(ended);
    const took = began === undefined || end === undefined || Number.isNaN(end) ? undefined : Math.max(0, end - time(began));
    return { name, label, state, ...(took === undefined ? {} : { took }) };
  });
}

function time(at: string | undefined): number {
  return at === undefined ? Number.NaN : new Date(at).getTime();
}

/** How long a step took: parts of a second matter here. */
export function tookInWords(ms: number): string {
  if (ms < 100) return 'at once';
  return ms < 9_950 ? `${(ms / 1000).toFixed(1)} s` : spanInWords(ms);
}

/** What an advice adds to a message that is there already. */
export function adviceBeside(advice: string, message: string): string {
  const [first = '', ...rest] = advice.replace(/ ?Its last lines are below\.$/, '').split(/(?<=\.) /);
  return message.startsWith(first.replace(/\.$/, '')) ? rest.join(' ') : [first, ...rest].join(' ');
}

/** The cores that were used between two measurements; nothing after a restart, when the count begins anew. */
export function coresBetween(before: Measured | undefined, after: Measured): number | undefined {
  if (before === undefined || after.at <= before.at || after.seconds < before.seconds) return undefined;
  return ((after.seconds - before.seconds) * 1000) / (after.at - before.at);
}

export interface Measured {
  readonly at: number;
  readonly seconds: number;
}

/** What the launch form begins with. */
export function defaultsOf(options: readonly AppOption[]): Record<string, unknown> {
  return Object.fromEntries(
    options.map((o) => [o.id, o.default ?? (o.type === 'boolean' ? false : o.type === 'choice' ? (o.choices?.[0]?.id ?? '') : '')]),
  );
}

/** The choices as the server takes them: what is empty is left to it. */
export function chosenOf(options: readonly AppOption[], values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(options.map((o) => [o.id, values[o.id]] as const).filter(([, v]) => v !== '' && v !== undefined));
}

/** What is wrong with the launch form, by option. The server looks again. */
export function optionProblems(options: readonly AppOption[], values: Readonly<Record<string, unknown>>): Record<string, string> {
  const problems: Record<string, string> = {};
  for (const o of options) {
    const value = values[o.id];
    if (value === '' || value === undefined) continue;
    if (o.type === 'number') {
      const n = Number(value);
      if (!Number.isFinite(n)) problems[o.id] = 'A number, please.';
      else if ((o.min !== undefined && n < o.min) || (o.max !== undefined && n > o.max)) problems[o.id] = bounds(o.min, o.max);
    } else if (o.type === 'text' && typeof value === 'string') {
      if (value.length > 255 || /[\n{}]/.test(value) || value.includes('..')) problems[o.id] = 'One line without braces or double dots, 255 characters at most.';
      else if (o.pattern !== undefined && !fits(o.pattern, value)) problems[o.id] = `It must fit ${o.pattern}.`;
    }
  }
  return problems;
}

function bounds(min: number | undefined, max: number | undefined): string {
  if (min !== undefined && max !== undefined) return `Between ${min} and ${max}.`;
  return min !== undefined ? `${min} or more.` : `${max ?? ''} or less.`;
}

/** The server's patterns are of another dialect: one that cannot be read here is left to it. */
function fits(pattern: string, value: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})$`, 'u').test(value);
  } catch {
    return true;
  }
}

export const NAME_RULE = 'Lower-case letters, digits and single hyphens, 15 at most.';

export function nameProblem(name: string): string | undefined {
  return name === '' || (name.length <= 15 && /^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) ? undefined : NAME_RULE;
}

/** Two letters that stand for an app without a picture. */
export function initials(name: string): string {
  const words = name.trim().split(/[\s_-]+/).filter((w) => w !== '');
  const [a = '?', b] = words;
  return (b === undefined ? a.slice(0, 2) : a.slice(0, 1) + b.slice(0, 1)).toUpperCase();
}

/** One of a few colours, the same for an app on every page. */
export function colourOf(id: string): 'pine' | 'blue' | 'grape' | 'amber' | 'gray' {
  const colours = ['pine', 'blue', 'grape', 'amber', 'gray'] as const;
  let sum = 0;
  for (const c of id) sum = (sum * 31 + (c.codePointAt(0) ?? 0)) % 9973;
  return colours[sum % colours.length] ?? 'pine';
}
