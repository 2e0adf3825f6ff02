import { replaceEqualDeep } from '@tanstack/react-query';
import { createContext, useContext, useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import type { LineState, Rooms } from '../api/rooms';

export const RoomsContext = createContext<Rooms | undefined>(undefined);

export function useLine(): Rooms {
  const rooms = useContext(RoomsContext);
  if (rooms === undefined) throw new Error('useLine is for pages inside the frame');
  return rooms;
}

export function useLineState(): LineState {
  const line = useLine();
  return useSyncExternalStore(line.subscribe, line.snapshot);
}

/**
 * The newest of each of these rooms. However often they change, a page is drawn a few times a second,
 * and what is as before stays the same object: only what changed is drawn again.
 */
export function useRooms<T>(names: readonly string[], every = 250): ReadonlyMap<string, T> {
  const line = useLine();
  const key = names.join('\n');
  const [values, setValues] = useState<ReadonlyMap<string, T>>(() => new Map());
  useEffect(() => {
    const newest = new Map<string, T>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      timer = undefined;
      setValues((before) => new Map([...newest].map(([name, value]) => [name, replaceEqualDeep(before.get(name), value)])));
    };
    const leave = (key === '' ? [] : key.split('\n')).map((name) =>
      line.listen(name, (data) => {
        newest.set(name, data as T);
        timer ??= setTimeout(draw, every);
      }),
    );
    return () => {
      clearTimeout(timer);
      for (const l of leave) l();
    };
  }, [line, key, every]);
  return useMemo(() => new Map([...values].filter(([name]) => key.split('\n').includes(name))), [values, key]);
}

/** Calls back with everything that comes to a room. */
export function useRoom(name: string, onData: (data: unknown) => void, enabled = true): void {
  const line = useLine();
  useEffect(() => {
    if (!enabled) return undefined;
    return line.listen(name, onData);
  }, [line, name, onData, enabled]);
}
