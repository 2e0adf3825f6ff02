import { isWell } from '../frame/alerts';
import type { Tone } from '../ui/status';

/** How a system's state looks. */
export function toneOf(state: string): Tone {
  if (!isWell(state)) return 'bad';
  return state === 'ok' || state === 'ready' ? 'good' : 'idle';
}
