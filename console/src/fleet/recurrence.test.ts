import { describe, expect, it } from 'vitest';
import { inWords, localDate, noRecurrence, onlyOn, recurrenceOf, schedulesOf, weekdays } from './recurrence';

describe('a schedule in words', () => {
  it.each([
    [[{ period: 'monday' as const, at: '09:00' }], 'every Monday at 09:00'],
    [
      [
        { period: 'friday' as const, at: '09:00' },
        { period: 'monday' as const, at: '09:00' },
      ],
      'every Monday and Friday at 09:00',
    ],
    [weekdays.map((period) => ({ period, at: '08:00' })), 'every day at 08:00'],
    [weekdays.slice(0, 5).map((period) => ({ period, at: '08:00' })), 'every weekday at 08:00'],
    [
      [
        { period: 'monday' as const, at: '09:00' },
        { period: 'tuesday' as const, at: '10:00' },
      ],
      'every Monday at 09:00 and every Tuesday at 10:00',
    ],
    [[{ every: 3, period: 'day' as const, at: '06:30' }], 'every 3 days at 06:30'],
    [[{ period: 'hour' as const, at: ':15' }], 'every hour at 15 min past'],
    [[{ period: 'hour' as const, at: '30:05' }], 'every hour at 30 min 05 s past'],
    [[{ every: 5, period: 'minute' as const, at: ':00' }], 'every 5 minutes at 00 s'],
    [[{ period: 'month' as const, at: '09:00', on_day: 15 }], 'every month on day 15 at 09:00'],
    [[{ every: 3, period: 'month' as const, at: '09:00', on_day: 31 }], 'every 3 months on the last day at 09:00'],
    [[], 'never'],
  ])('%j', (schedules, words) => expect(inWords(schedules)).toBe(words));
});

describe('the form', () => {
  it('says what is wrong', () => {
    expect(schedulesOf({ ...noRecurrence, days: [] }).problem).toContain('day');
    expect(schedulesOf({ ...noRecurrence, time: '' }).problem).toContain('time');
    expect(schedulesOf({ ...noRecurrence, from: '2030-02-01', until: '2030-01-01' }).problem).toContain('end');
  });
  it.each([
    noRecurrence,
    { ...noRecurrence, days: ['monday'], time: '23:59' },
    { ...noRecurrence, mode: 'every' as const, unit: 'day' as const, every: 3, time: '06:30' },
    { ...noRecurrence, mode: 'every' as const, unit: 'month' as const, every: 2, onDay: 31, time: '06:30' },
  ])('comes back from what it stores: %j', (r) => expect(recurrenceOf(schedulesOf(r).schedules, null, null)).toEqual(r));
  it('leaves alone what it has no field for', () => {
    expect(recurrenceOf([{ period: 'monday', at: '09:00' }, { period: 'friday', at: '10:00' }], null, null)).toBeUndefined();
    expect(recurrenceOf([], null, null)).toBeUndefined();
  });
});

it('makes a schedule of a single day', () => {
  const one = onlyOn('2031-05-05', '10:15');
  expect(one.schedules).toEqual([{ period: 'monday', at: '10:15' }]);
  expect(localDate(one.start_from)).toBe('2031-05-05');
  expect(localDate(one.until)).toBe('2031-05-05');
  expect(onlyOn('2031-05-11', '10:15').schedules[0]?.period).toBe('sunday');
});
