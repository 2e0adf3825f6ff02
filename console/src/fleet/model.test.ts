import { describe, expect, it } from 'vitest';
import type { BuildingMap, Task } from '../api/types';
import {
  destinationsOf,
  isOver,
  logLines,
  needsHelp,
  openInterruptions,
  phaseProgress,
  phaseState,
  phasesOf,
  plain,
  progressOf,
  robotsOf,
  staleReason,
  summaryOf,
} from './model';

const task: Task = {
  booking: { id: 't1' },
  category: 'patrol',
  status: 'underway',
  completed: [1],
  active: 2,
  pending: [3],
  phases: {
    '10': { id: 10 },
    '1': { id: 1, original_estimate_millis: 10_000 },
    '2': { id: 2, original_estimate_millis: 20_000, estimate_millis: 5_000 },
    '3': { id: 3, original_estimate_millis: 9_000, skip_requests: { a: { labels: [], unix_millis_request_time: 1 } } },
  },
  interruptions: {
    a: { labels: [], unix_millis_request_time: 1, resumed_by: { labels: [] } },
    b: { labels: [], unix_millis_request_time: 2 },
  },
};

describe('a task', () => {
  it('has its phases in order, each with its state', () => {
    expect(phasesOf(task).map((p) => [p.id, phaseState(task, p)])).toEqual([
      [1, 'done'],
      [2, 'active'],
      [3, 'skipped'],
      [10, 'pending'],
    ]);
  });
  it('progresses by the time that its phases take', () => {
    expect(progressOf(task, 0)).toBeCloseTo(25 / 40);
    expect(progressOf({ booking: { id: 'x' } }, 0)).toBe(0);
    expect(progressOf({ ...task, status: 'completed' }, 0)).toBe(1);
  });
  it('moves on between two estimates, but not to the end', () => {
    const phase = { id: 1, original_estimate_millis: 10_000, estimate_millis: 10_000, unix_millis_start_time: 1_000 };
    expect([0, 6_000, 60_000].map((now) => phaseProgress(phase, now))).toEqual([0, 0.5, 0.95]);
  });
  it('knows which interruptions are open', () => expect(openInterruptions(task)).toEqual(['b']));
  it('is over in the end', () => {
    expect(isOver('completed')).toBe(true);
    expect(isOver('underway')).toBe(false);
    expect(isOver(null)).toBe(false);
  });
  it.each([
    [{ detail: { places: ['a', { waypoint: 'b' }, 7], rounds: 2 } }, 'a → b → waypoint 7 × 2'],
    [{ detail: { pickup: { place: 'shelf' }, dropoff: { place: 'desk' } } }, 'shelf → desk'],
    [{ detail: { zone: 'ward' } }, 'ward'],
    [{ detail: { phases: [1, 2] } }, '2 phases'],
    [{ detail: 'words' }, 'words'],
    [{ labels: ['x', 'destination=there'] }, 'there'],
    [{}, ''],
  ])('is about %j: %s', (given, words) => expect(summaryOf(given)).toBe(words));
  it('has one log in the order of time', () => {
    const entry = (unix_millis_time: number, text: string) => ({ seq: 0, tier: 'info' as const, unix_millis_time, text });
    const lines = logLines({
      task_id: 't1',
      log: [entry(2, 'b')],
      phases: { '1': { log: [entry(1, 'a')], events: { '4': [entry(3, 'c')] } } },
    });
    expect(lines.map((l) => [l.text, l.phase, l.event])).toEqual([
      ['a', 1, undefined],
      ['b', undefined, undefined],
      ['c', 1, 4],
    ]);
  });
  it('is told without brackets', () => expect(plain('Go to [place:lab] by [lift:a]')).toBe('Go to lab by a'));
});

describe('robots', () => {
  const robots = robotsOf([
    { name: 'b', robots: { r10: { unix_millis_time: 5_000 }, r2: { unix_millis_time: 90_000, issues: [{ category: 'stuck' }] } } },
    { name: 'a', robots: { x: { unix_millis_time: 70_000, status: 'idle' } } },
  ]);
  it('come in an order that people expect', () => expect(robots.map((r) => r.id)).toEqual(['a/x', 'b/r2', 'b/r10']));
  it('say why they are stale', () => {
    expect(robots.map((r) => staleReason(r, 95_000))).toEqual(['fleet a silent for 25 s', undefined, 'not reported for 1 min']);
  });
  it('need help when they say so', () => expect(robots.map(needsHelp)).toEqual([false, true, false]));
});

describe('destinations', () => {
  it('are the named waypoints with what stands there', () => {
    const node = (name: string, params: object[] = []) => ({ name, x: 0, y: 0, params });
    const map = {
      levels: [
        {
          name: 'L1',
          nav_graphs: [
            { vertices: [node(''), node('dock', [{ name: 'is_charger', value_bool: true }]), node('shelf', [{ name: 'pickup_dispenser', value_string: 'd1' }])] },
          ],
        },
        { name: 'L2', nav_graphs: [] },
      ],
    } as unknown as BuildingMap;
    expect(destinationsOf(map)).toEqual([
      { name: 'dock', level: 'L1', charger: true, dispenser: undefined, ingestor: undefined },
      { name: 'shelf', level: 'L1', charger: false, dispenser: 'd1', ingestor: undefined },
    ]);
    expect(destinationsOf(undefined)).toEqual([]);
  });
});
