import type { Schedule } from '../api/types';

export type Period = Schedule['period'];

export const weekdays = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const;

const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);

/** "a, b and c". */
function list(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1) ?? ''}`;
}

/** When a task runs, in words: "every Monday and Friday at 09:00". */
export function inWords(schedules: readonly Schedule[]): string {
  const parts: string[] = [];
  const byTime = new Map<string, Period[]>();
  for (const s of schedules) {
    if (isWeekday(s.period)) byTime.set(s.at, [...(byTime.get(s.at) ?? []), s.period]);
    else parts.push(one(s));
  }
  for (const [at, days] of byTime) {
    const inWeek = weekdays.filter((d) => days.includes(d));
    const named =
      inWeek.length === 7
        ? 'every day'
        : inWeek.join() === weekdays.slice(0, 5).join()
          ? 'every weekday'
          : `every ${list(inWeek.map(capital))}`;
    parts.push(`${named} at ${at}`);
  }
  return list(parts) || 'never';
}

function one({ every, period, at, on_day }: Schedule): string {
  const n = every ?? 1;
  const each = n === 1 ? `every ${period}` : `every ${n} ${period}s`;
  switch (period) {
    case 'hour': {
      // ":MM" is a minute, "MM:SS" a minute and a second.
      const [minute = '', second = ''] = at.startsWith(':') ? [at.slice(1)] : at.split(':');
      return `${each} at ${minute} min${second === '' || second === '00' ? '' : ` ${second} s`} past`;
    }
    case 'month':
      return `${each} on ${on_day === 31 ? 'the last day' : `day ${on_day ?? 1}`} at ${at}`;
    case 'minute':
      return `${each} at ${at.replace(/^:/, '')} s`;
    default:
      return `${each} at ${at}`;
  }
}

export function isWeekday(period: Period): boolean {
  return (weekdays as readonly Period[]).includes(period);
}

/** The form's half of a schedule: days at a time, or every so many months, days, hours or minutes. */
export interface Recurrence {
  readonly mode: 'days' | 'every';
  readonly days: readonly string[];
  readonly time: string;
  readonly every: number;
  readonly unit: 'month' | 'day' | 'hour' | 'minute';
  /** The day of the month; in a month that has no such day it is the last one. */
  readonly onDay: number;
  /** Dates as an input has them; '' for none. */
  readonly from: string;
  readonly until: string;
}

export const noRecurrence: Recurrence = { mode: 'days', days: weekdays.slice(0, 5), time: '09:00', every: 1, unit: 'day', onDay: 1, from: '', until: '' };

/** The schedules that the form makes, or what is wrong with it. */
export function schedulesOf(r: Recurrence): { schedules: Schedule[]; problem?: string } {
  if (r.until !== '' && r.from !== '' && r.until < r.from) return { schedules: [], problem: 'It would end before it begins.' };
  if (r.mode === 'days') {
    if (r.days.length === 0) return { schedules: [], problem: 'Choose at least one day.' };
    if (!/^\d\d:\d\d$/.test(r.time)) return { schedules: [], problem: 'Give a time of day.' };
    return { schedules: weekdays.filter((d) => r.days.includes(d)).map((period) => ({ period, at: r.time })) };
  }
  if (r.unit === 'month') return { schedules: [{ every: r.every, period: r.unit, at: r.time, on_day: r.onDay }] };
  const at = r.unit === 'day' ? r.time : r.unit === 'hour' ? `:${r.time.slice(3, 5)}` : ':00';
  return { schedules: [{ every: r.every, period: r.unit, at }] };
}

/** The form's half of what is stored, or nothing where the form has no field for it. */
export function recurrenceOf(schedules: readonly Schedule[], from: string | null | undefined, until: string | null | undefined): Recurrence | undefined {
  const ends = { from: from ? localDate(from) : '', until: until ? localDate(until) : '' };
  const [first, ...rest] = schedules;
  if (first === undefined) return undefined;
  if (schedules.every((s) => isWeekday(s.period) && s.at === first.at && (s.every ?? 1) === 1)) {
    return { ...noRecurrence, ...ends, mode: 'days', days: schedules.map((s) => s.period), time: first.at.slice(0, 5) };
  }
  if (rest.length > 0 || isWeekday(first.period)) return undefined;
  const unit = first.period as Recurrence['unit'];
  const every = first.every ?? 1;
  if (unit === 'month') return { ...noRecurrence, ...ends, mode: 'every', unit, every, onDay: first.on_day ?? 1, time: first.at.slice(0, 5) };
  if (unit === 'day') return { ...noRecurrence, ...ends, mode: 'every', unit, every, time: first.at.slice(0, 5) };
  if (unit === 'hour' && /^:\d\d$/.test(first.at)) return { ...noRecurrence, ...ends, mode: 'every', unit, every, time: `00${first.at}` };
  return unit === 'minute' && first.at === ':00' ? { ...noRecurrence, ...ends, mode: 'every', unit, every } : undefined;
}

/** The day of a moment in the reader's time zone, as an input for dates has it. */
export function localDate(time: string | number): string {
  const d = new Date(time);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

/** A schedule for one day alone: its day of the week, between the beginning and the end of the day. */
export function onlyOn(day: string, time: string): { schedules: Schedule[]; start_from: string; until: string } {
  const weekday = weekdays[(new Date(`${day}T12:00:00Z`).getUTCDay() + 6) % 7] ?? 'monday';
  return {
    schedules: [{ period: weekday, at: time }],
    start_from: new Date(`${day}T00:00:00`).toISOString(),
    until: new Date(`${day}T23:59:59`).toISOString(),
  };
}
