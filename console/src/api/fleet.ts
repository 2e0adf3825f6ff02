import { type BodyOf, call, type QueryOf } from './client';
import { ApiError } from './errors';
import { address, send } from './http';
import type { AnsweredAlert, FoundEntry, Task, TaskRequest } from './types';

/** A part of a list. The count stands in a header, for clients of the original know only the list. */
export interface Counted<T> {
  readonly items: T[];
  readonly total: number;
}

export type TaskPage = Counted<Task>;

async function counted<T>(path: string, query: object): Promise<Counted<T>> {
  const response = await send('GET', address(path, { ...query, total: true }), { headers: { Accept: 'application/json' } });
  const items = (await response.json()) as T[];
  return { items, total: Number(response.headers.get('X-Total-Count') ?? items.length) };
}

export type TaskQuery = NonNullable<QueryOf<'/fleet/tasks'>>;

/** Everything that was ever logged. */
const ALWAYS = '0,9007199254740991';

/** Every call of the fleet's rooms, in one place. */
export const fleetAPI = {
  time: () => call('get', '/fleet/time'),
  map: () => call('get', '/fleet/building_map'),

  fleets: () => call('get', '/fleet/fleets'),
  fleetLog: (name: string, between: string) => call('get', '/fleet/fleets/{name}/log', { path: { name }, query: { between } }),
  decommission: (name: string, robot_name: string, reassign_tasks: boolean, allow_idle_behavior: boolean) =>
    asked(
      call('post', '/fleet/fleets/{name}/decommission', { path: { name }, query: { robot_name, reassign_tasks, allow_idle_behavior } }),
    ),
  recommission: (name: string, robot_name: string) =>
    asked(call('post', '/fleet/fleets/{name}/recommission', { path: { name }, query: { robot_name } })),

  unlockMutex: (name: string, robot_name: string, mutex_group: string) =>
    call('post', '/fleet/fleets/{name}/unlock_mutex_group', { path: { name }, query: { robot_name, mutex_group } }),

  tasks: (query: TaskQuery) => counted<Task>('/fleet/tasks', query),
  task: (task_id: string) => call('get', '/fleet/tasks/{task_id}/state', { path: { task_id } }),
  taskLog: (task_id: string) => call('get', '/fleet/tasks/{task_id}/log', { path: { task_id }, query: { between: ALWAYS } }),
  searchLogs: (q: string, limit: number, offset: number): Promise<FoundEntry[]> => call('get', '/fleet/task_logs', { query: { q, limit, offset } }),
  taskRequest: (task_id: string) => call('get', '/fleet/tasks/{task_id}/request', { path: { task_id } }),

  dispatch: async (request: TaskRequest): Promise<string> =>
    idOf(await asked(call('post', '/fleet/tasks/dispatch_task', { body: { type: 'dispatch_task_request', request } }))),
  robotTask: async (fleet: string, robot: string, request: TaskRequest): Promise<string> =>
    idOf(await asked(call('post', '/fleet/tasks/robot_task', { body: { type: 'robot_task_request', fleet, robot, request } }))),
  cancel: (task_id: string, by: string) =>
    asked(call('post', '/fleet/tasks/cancel_task', { body: { type: 'cancel_task_request', task_id, labels: [by] } })),
  kill: (task_id: string, by: string) =>
    asked(call('post', '/fleet/tasks/kill_task', { body: { type: 'kill_task_request', task_id, labels: [by] } })),
  interrupt: (task_id: string, by: string) =>
    asked(call('post', '/fleet/tasks/interrupt_task', { body: { type: 'interrupt_task_request', task_id, labels: [by] } })),
  resume: (for_task: string, for_tokens: string[], by: string) =>
    asked(call('post', '/fleet/tasks/resume_task', { body: { type: 'resume_task_request', for_task, for_tokens, labels: [by] } })),
  rewind: (task_id: string, phase_id: number) =>
    asked(call('post', '/fleet/tasks/rewind_task', { body: { type: 'rewind_task_request', task_id, phase_id } })),
  skip: (task_id: string, phase_id: number, by: string) =>
    asked(call('post', '/fleet/tasks/skip_phase', { body: { type: 'skip_phase_request', task_id, phase_id, labels: [by] } })),
  undoSkip: (for_task: string, for_tokens: string[], by: string) =>
    asked(
      call('post', '/fleet/tasks/undo_skip_phase', { body: { type: 'undo_phase_skip_request', for_task, for_tokens, labels: [by] } }),
    ),

  favorites: () => call('get', '/fleet/favorite_tasks'),
  saveFavorite: (body: BodyOf<'post', '/fleet/favorite_tasks'>) => call('post', '/fleet/favorite_tasks', { body }),
  deleteFavorite: (favorite_task_id: string) =>
    call('delete', '/fleet/favorite_tasks/{favorite_task_id}', { path: { favorite_task_id } }),

  schedules: (query: QueryOf<'/fleet/scheduled_tasks'>) => call('get', '/fleet/scheduled_tasks', { query }),
  createSchedule: (body: BodyOf<'post', '/fleet/scheduled_tasks'>) => call('post', '/fleet/scheduled_tasks', { body }),
  updateSchedule: (id: number, body: BodyOf<'post', '/fleet/scheduled_tasks'>) =>
    call('post', '/fleet/scheduled_tasks/{task_id}/update', { path: { task_id: id }, body }),
  skipDate: (id: number, except_date: string) =>
    call('post', '/fleet/scheduled_tasks/{task_id}/except_date', { path: { task_id: id }, body: { except_date } }),
  deleteSchedule: (id: number) => call('delete', '/fleet/scheduled_tasks/{task_id}', { path: { task_id: id } }),

  alerts: () => call('get', '/fleet/alerts/unresponded_requests', { query: { limit: 200 } }),
  answered: (limit: number, offset: number) => counted<AnsweredAlert>('/fleet/alerts', { answered: true, limit, offset }),
  answer: (alert_id: string, response: string) =>
    call('post', '/fleet/alerts/request/{alert_id}/respond', { path: { alert_id }, query: { response } }),
  answerDelivery: (id: string, query: { category: string; tier: string; task_id: string; action: string; message: string }) =>
    call('post', '/fleet/delivery_alerts/{delivery_alert_id}/response', { path: { delivery_alert_id: id }, query: query as never }),

  doors: () => call('get', '/fleet/doors'),
  lifts: () => call('get', '/fleet/lifts'),
  moveDoor: (door_name: string, mode: number) =>
    call('post', '/fleet/doors/{door_name}/request', { path: { door_name }, body: { mode } }),
  callLift: (lift_name: string, body: BodyOf<'post', '/fleet/lifts/{lift_name}/request'>) =>
    call('post', '/fleet/lifts/{lift_name}/request', { path: { lift_name }, body }),
};

interface Said {
  readonly success?: boolean | null;
  readonly errors?: unknown;
}

/**
 * A request that the fleet answers for itself. It may refuse with a success of HTTP, and it stays
 * silent where nobody feels addressed; both are said in words.
 */
export async function asked<T>(answer: Promise<T>): Promise<T> {
  let said: T;
  try {
    said = await answer;
  } catch (error) {
    if (error instanceof ApiError && error.status === 500 && error.message === 'rmf service timed out') {
      throw new ApiError(
        500,
        'silent',
        'No fleet answered within five seconds. It may be away, or the task is over or not assigned yet.',
        undefined,
        error.requestId,
      );
    }
    throw error;
  }
  const { success, errors } = said as Said;
  if (success === false) throw new ApiError(200, 'refused', refusalOf(errors));
  return said;
}

function refusalOf(errors: unknown): string {
  const list = Array.isArray(errors) ? (errors as { category?: string | null; detail?: string | null }[]) : [];
  const text = list.map((e) => e.detail ?? e.category ?? '').filter((t) => t !== '');
  return text.length === 0 ? 'The fleet refused, without a reason.' : `The fleet refused: ${text.join('; ')}`;
}

function idOf(answer: unknown): string {
  return (answer as { state: Task }).state.booking.id;
}
