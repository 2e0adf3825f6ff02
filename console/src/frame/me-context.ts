import { createContext, useContext } from 'react';
import type { Me } from '../api/types';

export const MeContext = createContext<Me | undefined>(undefined);

/** Who is logged in. Only inside the frame, which opens for nobody else. */
export function useMe(): Me {
  const me = useContext(MeContext);
  if (me === undefined) throw new Error('useMe is for pages inside the frame');
  return me;
}

export function useMaybeMe(): Me | undefined {
  return useContext(MeContext);
}
