import type { TaskRequest } from '../api/types';
import { isRecord, placeName } from './model';

export type Kind = 'patrol' | 'delivery' | 'clean' | 'compose';

/** What the form for a task holds; all of it text, as it is typed. */
export interface Order {
  readonly kind: Kind;
  readonly places: string[];
  readonly rounds: number;
  readonly pickup: string;
  readonly pickupHandler: string;
  readonly dropoff: string;
  readonly dropoffHandler: string;
  readonly sku: string;
  readonly quantity: number;
  readonly zone: string;
  /** The category of what is described as JSON: compose, or any that a fleet understands. */
  readonly category: string;
  readonly json: string;
  /** '' for any robot, 'fleet:NAME' or 'robot:FLEET/NAME'. */
  readonly who: string;
  /** As an input for date and time has it, in the reader's time zone; '' for at once. */
  readonly start: string;
  readonly urgent: boolean;
}

export const example = `{
  "phases": [
    { "activity": { "category": "go_to_place", "description": "lab_bench" } }
  ]
}`;

export const noOrder: Order = {
  kind: 'patrol',
  places: [],
  rounds: 1,
  pickup: '',
  pickupHandler: '',
  dropoff: '',
  dropoffHandler: '',
  sku: '',
  quantity: 1,
  zone: '',
  category: 'compose',
  json: example,
  who: '',
  start: '',
  urgent: false,
};

export interface Checked {
  readonly request?: TaskRequest;
  /** What is missing or wrong, by field. */
  readonly problems: Partial<Record<'places' | 'pickup' | 'dropoff' | 'zone' | 'json' | 'category' | 'start', string>>;
}

/** The request that an order makes, or what is wrong with it. */
export function check(order: Order, requester: string): Checked {
  const problems: { -readonly [K in keyof Checked['problems']]: string } = {};
  let description: unknown;
  let category: string = order.kind;
  let destination = '';
  switch (order.kind) {
    case 'patrol':
      if (order.places.length === 0) problems.places = 'Choose at least one place.';
      description = { places: order.places, rounds: order.rounds };
      destination = order.places.at(-1) ?? '';
      break;
    case 'delivery':
      if (order.pickup === '') problems.pickup = 'Choose where the goods are.';
      if (order.dropoff === '') problems.dropoff = 'Choose where they go.';
      description = {
        pickup: transfer(order.pickup, order.pickupHandler, order),
        dropoff: transfer(order.dropoff, order.dropoffHandler, order),
      };
      destination = order.dropoff;
      break;
    case 'clean':
      if (order.zone.trim() === '') problems.zone = 'Name the zone.';
      description = { zone: order.zone.trim() };
      destination = order.zone.trim();
      break;
    case 'compose': {
      category = order.category.trim();
      if (category === '') problems.category = 'Name the category.';
      const read = readJSON(order.json, category);
      if (read.problem !== undefined) problems.json = read.problem;
      description = read.value;
      break;
    }
  }
  const start = order.start === '' ? 0 : new Date(order.start).getTime();
  if (Number.isNaN(start)) problems.start = 'This is no time.';
  if (Object.keys(problems).length > 0) return { problems };
  const fleet = order.who.startsWith('fleet:') ? order.who.slice('fleet:'.length) : undefined;
  const request: TaskRequest = {
    category,
    description,
    requester,
    unix_millis_earliest_start_time: start,
    ...(order.urgent ? { priority: { type: 'binary', value: 1 } } : {}),
    labels: [`task_definition_id=${category}`, ...(destination === '' ? [] : [`destination=${destination}`])],
    ...(fleet === undefined ? {} : { fleet_name: fleet }),
  };
  return { request, problems };
}

function transfer(place: string, handler: string, order: Order): object {
  const payload = order.sku.trim() === '' ? [] : [{ sku: order.sku.trim(), quantity: order.quantity }];
  return { place, ...(handler === '' ? {} : { handler }), payload };
}

/** The robot that an order names, if it names one. */
export function robotIn(who: string): { fleet: string; robot: string } | undefined {
  if (!who.startsWith('robot:')) return undefined;
  const [fleet = '', robot = ''] = who.slice('robot:'.length).split('/');
  return { fleet, robot };
}

/** Reads a description. A composed one must have phases with an activity each, as RMF wants them. */
export function readJSON(text: string, category: string): { value?: unknown; problem?: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { problem: `This is no JSON: ${error instanceof Error ? error.message : 'it cannot be read'}.` };
  }
  if (category !== 'compose') return { value };
  if (!isRecord(value)) return { problem: 'It must be an object with phases.' };
  const { phases } = value;
  if (!Array.isArray(phases) || phases.length === 0) return { problem: '“phases” must be a list with at least one phase.' };
  for (const [i, phase] of phases.entries()) {
    const activity = isRecord(phase) ? phase.activity : undefined;
    if (!isRecord(activity) || typeof activity.category !== 'string' || !('description' in activity)) {
      return { problem: `Phase ${i + 1} needs an “activity” with a “category” and a “description”.` };
    }
  }
  return { value };
}

/** The order that would make this request: for favourites and for schedules that are changed. */
export function orderOf(request: { category: string; description: unknown; fleet_name?: string | null | undefined; priority?: unknown }): Order {
  const d = request.description;
  const base: Order = {
    ...noOrder,
    who: request.fleet_name ? `fleet:${request.fleet_name}` : '',
    urgent: isRecord(request.priority) && request.priority.value === 1,
  };
  const inJSON: Order = { ...base, kind: 'compose', category: request.category, json: JSON.stringify(d, null, 2) };
  if (!isRecord(d)) return inJSON;
  if (request.category === 'patrol' && Array.isArray(d.places) && d.places.every((p) => typeof p === 'string')) {
    return { ...base, kind: 'patrol', places: d.places, rounds: typeof d.rounds === 'number' ? d.rounds : 1 };
  }
  if (request.category === 'clean' && typeof d.zone === 'string') return { ...base, kind: 'clean', zone: d.zone };
  const { pickup, dropoff } = d;
  if (request.category === 'delivery' && isRecord(pickup) && isRecord(dropoff)) {
    const goods: unknown = Array.isArray(pickup.payload) ? pickup.payload[0] : pickup.payload;
    return {
      ...base,
      kind: 'delivery',
      pickup: placeName(pickup.place),
      pickupHandler: typeof pickup.handler === 'string' ? pickup.handler : '',
      dropoff: placeName(dropoff.place),
      dropoffHandler: typeof dropoff.handler === 'string' ? dropoff.handler : '',
      sku: isRecord(goods) && typeof goods.sku === 'string' ? goods.sku : '',
      quantity: isRecord(goods) && typeof goods.quantity === 'number' ? goods.quantity : 1,
    };
  }
  return inJSON;
}
