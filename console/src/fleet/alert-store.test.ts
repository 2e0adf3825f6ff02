import { expect, it } from 'vitest';
import { hear } from './alert-store';

it('keeps a delivery alert open until somebody acts on it', () => {
  const alert = { id: 'a', category: 'missing', tier: 'warning', task_id: 't', message: 'm', action: 'waiting' } as const;
  const open = hear([], alert, 5);
  expect(open).toEqual([{ ...alert, heardAt: 5 }]);
  expect(hear(open, alert, 9)).toHaveLength(1);
  expect(hear(open, { ...alert, id: 'b' }, 9)).toHaveLength(2);
  expect(hear(open, { ...alert, action: 'resume' }, 9)).toEqual([]);
});
