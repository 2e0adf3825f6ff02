import { createContext, useContext, useSyncExternalStore } from 'react';
import type { Live, LiveState } from '../api/live';

export const LiveContext = createContext<Live | undefined>(undefined);

const none: LiveState = { phase: 'connecting', heardAt: 0, retryAt: 0 };

/** The state of the connection that pushes changes. */
export function useLive(): LiveState {
  const live = useContext(LiveContext);
  return useSyncExternalStore(live?.subscribe ?? nothing, live?.snapshot ?? (() => none));
}

function nothing(): () => void {
  return () => undefined;
}
