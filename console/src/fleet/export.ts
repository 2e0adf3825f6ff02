import { fleetAPI, type TaskQuery } from '../api/fleet';
import type { Task } from '../api/types';
import { summaryOf } from './model';

const PAGE = 1000;

const columns: readonly [string, (t: Task) => string][] = [
  ['id', (t) => t.booking.id],
  ['category', (t) => t.category ?? ''],
  ['about', (t) => summaryOf({ ...t, labels: t.booking.labels ?? null })],
  ['status', (t) => t.status ?? ''],
  ['fleet', (t) => t.assigned_to?.group ?? ''],
  ['robot', (t) => t.assigned_to?.name ?? ''],
  ['requester', (t) => t.booking.requester ?? ''],
  ['requested', (t) => iso(t.booking.unix_millis_request_time)],
  ['started', (t) => iso(t.unix_millis_start_time)],
  ['finished', (t) => iso(t.unix_millis_finish_time)],
];

/** All tasks that the filters let through, page by page, as CSV. */
export async function exportTasks(query: TaskQuery, onPage: (done: number, total: number) => void): Promise<Blob> {
  const lines = [columns.map(([name]) => name).join(',')];
  for (let offset = 0; ; offset += PAGE) {
    const page = await fleetAPI.tasks({ ...query, limit: PAGE, offset });
    lines.push(...page.items.map(csvLine));
    onPage(lines.length - 1, page.total);
    if (page.items.length < PAGE) break;
  }
  return new Blob([lines.join('\r\n'), '\r\n'], { type: 'text/csv' });
}

export function csvLine(task: Task): string {
  return columns.map(([, value]) => field(value(task))).join(',');
}

/** Quoted as RFC 4180 has it. What a spreadsheet would take for a formula is kept from being one. */
function field(value: string): string {
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function iso(millis: number | null | undefined): string {
  return millis === null || millis === undefined || millis === 0 ? '' : new Date(millis).toISOString();
}

export function download(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const a = document.createElement('a');
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
