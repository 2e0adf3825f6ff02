import { expect, it } from 'vitest';
import { csvLine } from './export';

it('writes a task as CSV, and no formula', () => {
  const line = csvLine({
    booking: { id: '=cmd()', requester: 'Ada, "Countess"', unix_millis_request_time: 0 },
    category: 'patrol',
    detail: { places: ['a', 'b'] },
    status: 'completed',
    assigned_to: { group: 'f', name: 'r' },
    unix_millis_start_time: Date.UTC(2030, 0, 1),
  });
  expect(line).toBe(`'=cmd(),patrol,a → b,completed,f,r,"Ada, ""Countess""",,2030-01-01T00:00:00.000Z,`);
});
