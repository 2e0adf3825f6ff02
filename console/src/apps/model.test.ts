import { describe, expect, it } from 'vitest';
import type { AppOption, AppProgress } from '../api/types';
import {
  adviceBeside,
  chosenOf,
  colourOf,
  coresBetween,
  defaultsOf,
  endOf,
  initials,
  limitsOf,
  millis,
  nameProblem,
  optionProblems,
  resourcesInWords,
  spanInWords,
  stepsOf,
  tookInWords,
  whoMay,
} from './model';

const now = Date.parse('2026-11-22T12:00:00Z');
const at = (s: number) => new Date(now + s * 1000).toISOString();
const event = (step: string, s: number, more: Partial<AppProgress> = {}): AppProgress => ({
  progress: 0,
  step,
  message: '',
  state: 'starting',
  at: at(s),
  ...more,
});

describe('time spans', () => {
  it.each([
    ['1h0m0s', 3_600_000, '1 h'],
    ['1h30m0s', 5_400_000, '1 h 30 min'],
    ['45s', 45_000, '45 s'],
    ['5m', 300_000, '5 min'],
    ['1.5s', 1500, '2 s'],
    ['0s', 0, '0 s'],
  ])('%s is %i ms, %s', (text, ms, words) => {
    expect(millis(text)).toBe(ms);
    expect(spanInWords(ms)).toBe(words);
  });
  it('tells short steps by the tenth of a second', () => {
    expect(tookInWords(240)).toBe('0.2 s');
    expect(tookInWords(75_000)).toBe('1 min');
    expect(tookInWords(40)).toBe('at once');
  });
});

describe('limits', () => {
  it('say what one gets and when it ends', () => {
    expect(limitsOf({ resources: { cpu: 1, memory_bytes: 2 ** 31 }, idle_timeout: '1h0m0s', max_lifetime: '12h0m0s' })).toEqual([
      '1 core, 2 GiB memory',
      'closes after 1 h without use',
      'runs 12 h at most',
    ]);
    expect(limitsOf({ resources: { cpu: 0.5, memory_bytes: -1 }, idle_timeout: '0s', max_lifetime: '0s' })).toEqual([
      '0.5 cores, unlimited memory',
      'stays open without use',
    ]);
  });
  it('name only what a choice changes', () => {
    expect(resourcesInWords({ cpu: 0, memory_bytes: 2 ** 33 })).toBe('8 GiB memory');
    expect(resourcesInWords({ cpu: 0, memory_bytes: 0, gpu: 2 })).toBe('2 GPUs');
  });
});

describe('who may use an app', () => {
  const nobody = { roles: [], deny_roles: [], people: 0, everyone: false };
  it.each([
    [{ ...nobody, roles: ['app-user'] }, 'app-user and administrators'],
    [{ ...nobody, roles: ['a', 'b'], people: 2 }, 'a, b, 2 people by name and administrators'],
    [{ ...nobody, everyone: true, deny_roles: ['guest'] }, 'everybody, but not guest'],
    [nobody, 'whoever may start apps of the group lab'],
  ])('%o: %s', (allow, words) => expect(whoMay(allow, 'lab')).toBe(words));
});

describe('the end of an app session', () => {
  it.each([
    [{ state: 'ready', expires_at: at(1800), expires_why: 'idle' }, 'closes in 30 min if unused'],
    [{ state: 'ready', expires_at: at(5400), expires_why: 'extended' }, 'closes in 1 h 30 min, extended'],
    [{ state: 'ready', expires_at: at(7200), expires_why: 'lifetime' }, 'ends in 2 h, its longest time'],
    [{ state: 'ready', expires_at: at(-1), expires_why: 'idle' }, 'closes now'],
    [{ state: 'ready', expires_at: null }, 'stays open'],
    [{ state: 'stopped', expires_at: null }, ''],
  ] as const)('%o: %s', (session, words) => expect(endOf(session, now)).toBe(words));
});

describe('the steps of a start', () => {
  const state = (events: AppProgress[]) => stepsOf(events, now + 10_000).map((s) => s.state);
  it('are all to be done before anything was said', () => {
    expect(state([])).toEqual(['todo', 'todo', 'todo', 'todo', 'todo', 'todo']);
  });
  it('are done when the server has said so, and no sooner', () => {
    const events = [event('queued', 0, { state: 'queued' }), event('permitted', 1), event('image', 2), event('create', 5)];
    expect(state(events)).toEqual(['done', 'done', 'done', 'now', 'todo', 'todo']);
    const steps = stepsOf(events, now + 10_000);
    expect(steps.map((s) => s.took)).toEqual([1000, 1000, 3000, 5000, undefined, undefined]);
  });
  it('are all done once it is ready', () => {
    expect(state([event('answer', 3), event('answer', 4, { ready: true, state: 'ready' })])).toEqual(Array(6).fill('done'));
  });
  it('show where it failed', () => {
    const steps = stepsOf([event('start', 1), event('start', 4, { failed: true, state: 'failed' })], now + 60_000);
    expect(steps.map((s) => s.state)).toEqual(['done', 'done', 'done', 'done', 'failed', 'todo']);
    expect(steps[4]?.took).toBe(3000);
  });
  it('stand still when it was cancelled', () => {
    expect(state([event('image', 1), event('image', 2, { state: 'stopping' })])).toEqual(['done', 'done', 'todo', 'todo', 'todo', 'todo']);
  });
});

describe('the launch form', () => {
  const options: AppOption[] = [
    { id: 'size', label: 'Size', type: 'choice', default: 'small', choices: [{ id: 'small', resources: { cpu: 1, memory_bytes: 0 } }] },
    { id: 'n', label: 'Count', type: 'number', min: 1, max: 4 },
    { id: 'branch', label: 'Branch', type: 'text', pattern: '[a-z]+' },
    { id: 'gpu', label: 'GPU', type: 'boolean' },
  ];
  it('begins with the defaults and leaves out what is empty', () => {
    const values = defaultsOf(options);
    expect(values).toEqual({ size: 'small', n: '', branch: '', gpu: false });
    expect(chosenOf(options, { ...values, n: 2, other: 'x' })).toEqual({ size: 'small', n: 2, gpu: false });
  });
  it('names what does not fit', () => {
    expect(optionProblems(options, { n: 5, branch: 'A' })).toEqual({ n: 'Between 1 and 4.', branch: 'It must fit [a-z]+.' });
    expect(optionProblems(options, { n: 4, branch: 'main' })).toEqual({});
    expect(optionProblems([{ id: 'p', label: '', type: 'text', pattern: '(?i)x' }], { p: 'y' })).toEqual({});
  });
  it.each([['', true], ['second', true], ['a-1', true], ['A', false], ['a--b', false], ['sixteen-letters-x', false]])(
    'takes the name %j: %s',
    (name, fine) => expect(nameProblem(name) === undefined).toBe(fine),
  );
});

describe('use', () => {
  it('is what was computed between two measurements', () => {
    expect(coresBetween({ at: 1000, seconds: 1 }, { at: 5000, seconds: 3 })).toBe(0.5);
    expect(coresBetween(undefined, { at: 5000, seconds: 3 })).toBeUndefined();
    expect(coresBetween({ at: 1000, seconds: 9 }, { at: 5000, seconds: 3 })).toBeUndefined();
  });
});

describe('an advice', () => {
  it.each([
    ['The app ended before it answered. Its last lines are below.', 'The app ended before it answered, with the exit code 3.', ''],
    ['The app ended by itself. Its last lines are below.', 'Killed.', 'The app ended by itself.'],
    ['Starting took too long.', 'Starting took too long.', ''],
    ['It does not fit. Choose a larger size.', 'It does not fit.', 'Choose a larger size.'],
    ['', 'Gone.', ''],
  ])('%j beside %j is %j', (advice, message, rest) => expect(adviceBeside(advice, message)).toBe(rest));
});

describe('pictures', () => {
  it('are two letters and a colour of their own', () => {
    expect([initials('JupyterLab'), initials('Plot studio'), initials('')]).toEqual(['JU', 'PS', '?']);
    expect(colourOf('demo')).toBe(colourOf('demo'));
  });
});
