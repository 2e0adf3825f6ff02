import { describe, expect, it } from 'vitest';
import { check, noOrder, orderOf, readJSON, robotIn } from './order';

describe('an order', () => {
  it('says what is missing', () => {
    expect(Object.keys(check(noOrder, 'me').problems)).toEqual(['places']);
    expect(Object.keys(check({ ...noOrder, kind: 'delivery' }, 'me').problems)).toEqual(['pickup', 'dropoff']);
    expect(Object.keys(check({ ...noOrder, kind: 'clean', zone: ' ' }, 'me').problems)).toEqual(['zone']);
    expect(Object.keys(check({ ...noOrder, kind: 'compose', category: '', json: '{' }, 'me').problems)).toEqual(['category', 'json']);
  });
  it('becomes a request', () => {
    const { request } = check({ ...noOrder, places: ['a', 'b'], rounds: 3, who: 'fleet:f', urgent: true, start: '2030-01-01T10:00' }, 'me');
    expect(request).toEqual({
      category: 'patrol',
      description: { places: ['a', 'b'], rounds: 3 },
      requester: 'me',
      unix_millis_earliest_start_time: new Date('2030-01-01T10:00').getTime(),
      priority: { type: 'binary', value: 1 },
      labels: ['task_definition_id=patrol', 'destination=b'],
      fleet_name: 'f',
    });
  });
  it('names the machines of a delivery and its goods', () => {
    const order = { ...noOrder, kind: 'delivery' as const, pickup: 'a', pickupHandler: 'd1', dropoff: 'b', sku: 'tubes', quantity: 4 };
    expect(check(order, 'me').request?.description).toEqual({
      pickup: { place: 'a', handler: 'd1', payload: [{ sku: 'tubes', quantity: 4 }] },
      dropoff: { place: 'b', payload: [{ sku: 'tubes', quantity: 4 }] },
    });
  });
  it.each([
    { ...noOrder, places: ['a', 'b'], rounds: 2, who: 'fleet:x', urgent: true },
    { ...noOrder, kind: 'delivery' as const, pickup: 'a', pickupHandler: 'd', dropoff: 'b', dropoffHandler: 'i', sku: 's', quantity: 2 },
    { ...noOrder, kind: 'clean' as const, zone: 'ward' },
  ])('comes back from its request: $kind', (order) => {
    const { request } = check(order, 'me');
    expect(request && orderOf(request)).toEqual(order);
  });
  it('keeps as JSON what the form has no field for', () => {
    const order = orderOf({ category: 'patrol', description: { places: [{ waypoint: 'a', orientation: 1 }] } });
    expect(order).toMatchObject({ kind: 'compose', category: 'patrol' });
    expect(check(order, 'me').request).toMatchObject({ category: 'patrol', description: { places: [{ waypoint: 'a', orientation: 1 }] } });
  });
  it('names a robot', () => {
    expect(robotIn('robot:f/r')).toEqual({ fleet: 'f', robot: 'r' });
    expect(robotIn('fleet:f')).toBeUndefined();
  });
});

describe('a composed task', () => {
  it.each([
    ['{', 'no JSON'],
    ['[]', 'an object'],
    ['{"phases":[]}', 'at least one'],
    ['{"phases":[{"activity":{"category":"x","description":1}},{}]}', 'Phase 2'],
  ])('%s is wrong: %s', (text, words) => expect(readJSON(text, 'compose').problem).toContain(words));
  it('is right with an activity in each phase', () => expect(readJSON(noOrder.json, 'compose').problem).toBeUndefined());
});
