import type { ActionInfo } from '../api/types';
import { EVERYWHERE } from '../frame/may';

/**
 * The actions that make sense on a group: the platform's belong to the site, the parts' to their
 * own groups, and everywhere has them all.
 */
export function actionsFor(actions: readonly ActionInfo[], group: string, search: string): ActionInfo[] {
  const wanted = search.trim().toLowerCase();
  return actions.filter((a) => {
    if (group !== EVERYWHERE && (a.part === 'platform') !== (group === 'site')) return false;
    return wanted === '' || `${a.action} ${a.help}`.toLowerCase().includes(wanted);
  });
}
