import type { Me } from '../api/types';

/** The group of a permission that holds on every group. */
export const EVERYWHERE = '*';

/**
 * Whether the caller may do the action on the group, or on any group when none is named. It only decides
 * what to show: the server decides what happens.
 */
export function may(me: Me, action: string, group?: string): boolean {
  if (me.admin) return true;
  const groups = me.actions[action] ?? [];
  return group === undefined ? groups.length > 0 : groups.includes(group) || groups.includes(EVERYWHERE);
}
