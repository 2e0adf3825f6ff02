import { describe, expect, it } from 'vitest';
import { barOf, cutAt, duration, elementOf, phaseLook, phaseOfSlot, type RunObject, searchLines, stepsAt, stepsOf, type StepStatus } from './run';
import { labelOf } from './timeline';

const step = (id: string, displayName: string, boundaryID: string, type: string, phase: string, startedAt: string, finishedAt: string | null = null): StepStatus => ({
  id, name: id, displayName, boundaryID, type, phase, startedAt, finishedAt,
});
const at = (s: number) => new Date(Date.UTC(2026, 10, 22, 12, 0, s)).toISOString();
const run: RunObject = {
  status: {
    phase: 'Running',
    nodes: Object.fromEntries(
      [
        step('job', 'job', '', 'DAG', 'Running', at(0)),
        step('1', 'load', 'job', 'Pod', 'Succeeded', at(0), at(4)),
        step('2', 'each', 'job', 'DAG', 'Running', at(4)),
        step('3', 'mapnode', '2', 'TaskGroup', 'Running', at(4)),
        step('4', 'mapnode(0:a.b(c))', '2', 'Pod', 'Succeeded', at(4), at(6)),
        step('5', 'mapnode(1:x)', '2', 'Pod', 'Failed', at(4), at(8)),
        step('6', 'plot', 'job', 'Skipped', 'Omitted', at(8), at(8)),
      ].map((s) => [s.id, s]),
    ),
  },
};

describe('a run', () => {
  const steps = stepsOf(run);
  it('is a list of steps with their ways through the graph', () => {
    expect(steps.map((s) => s.trail.join('/'))).toEqual(['', 'load', 'each', 'each/node', 'each/node', 'each/node', 'plot']);
    expect(stepsAt(steps, ['each', 'node']).map((s) => s.id)).toEqual(['3', '4', '5']);
  });
  it('knows the elements of loops, whatever is in them', () => {
    expect(steps.map(elementOf)).toEqual([undefined, undefined, undefined, undefined, 'a.b(c)', 'x', undefined]);
    expect(steps.map(labelOf)).toEqual(['the whole run', 'load', 'each', 'each', 'each › 0: a.b(c)', 'each › 1: x', 'plot']);
  });
  it('colours a node by the worst of its steps', () => {
    expect(phaseOfSlot(steps, ['each', 'node'])).toBe('Failed');
    expect(phaseOfSlot(steps, ['load'])).toBe('Succeeded');
    expect(phaseOfSlot(steps, ['nix'])).toBeUndefined();
  });
  it('is none before the engine has said anything', () => {
    expect(stepsOf(undefined)).toEqual([]);
    expect(stepsOf({ status: { nodes: { a: { ...step('a', 'a', 'b', 'DAG', 'Running', at(0)) }, b: { ...step('b', 'b', 'a', 'DAG', 'Running', at(0)) } } } }).length).toBe(2);
  });
  it('draws bars as parts of the whole', () => {
    const load = steps[1];
    expect(load !== undefined && barOf(load, Date.parse(at(0)), Date.parse(at(8)))).toEqual({ left: 0, width: 0.5 });
    expect(load !== undefined && barOf({ ...load, start: undefined }, 0, 1)).toBeUndefined();
  });
  it.each([
    [420, '0.4 s'], [12_000, '12 s'], [200_000, '3 min 20 s'], [180_000, '3 min'], [7_500_000, '2 h 5 min'], [7_200_000, '2 h'], [-5, '0 ms'], [42, '42 ms'],
  ])('took %i ms: %s', (ms, words) => expect(duration(ms)).toBe(words));
  it('has a word and a tone for every phase, known or not', () => {
    expect(phaseLook('Succeeded')).toEqual({ tone: 'good', word: 'succeeded' });
    expect(phaseLook(undefined).word).toBe('waiting');
    expect(phaseLook('Daemoned')).toEqual({ tone: 'idle', word: 'daemoned' });
  });
});

describe('a log', () => {
  it('is searched in any case, and keeps its numbers', () => expect(searchLines(['one', 'Two', 'TWO more'], 'two')).toEqual([{ number: 2, text: 'Two' }, { number: 3, text: 'TWO more' }]));
  it('is cut where it was found, every second part a hit', () => {
    expect(cutAt('a.b.c', '.')).toEqual(['a', '.', 'b', '.', 'c']);
    expect(cutAt('abc', '')).toEqual(['abc']);
    expect(cutAt('Abc', 'a')).toEqual(['', 'A', 'bc']);
  });
});
