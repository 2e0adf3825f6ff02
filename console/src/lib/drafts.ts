import { useCallback, useState } from 'react';

/**
 * A value that survives a reload, a login and a closed dialog: what was typed is never lost. It lives
 * in the tab's session storage until `clear` is called, after the server has taken it.
 */
export function useDraft<T>(name: string, initial: T): [T, (value: T) => void, () => void] {
  const key = `draft:${name}`;
  const [value, setValue] = useState<T>(() => (load(key) as T | undefined) ?? initial);
  const set = useCallback(
    (next: T) => {
      setValue(next);
      try {
        sessionStorage.setItem(key, JSON.stringify(next));
      } catch {
        // Storage is full or forbidden: the draft then lives as long as the page.
      }
    },
    [key],
  );
  const clear = useCallback(() => {
    setValue(initial);
    try {
      sessionStorage.removeItem(key);
    } catch {
      // As above.
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the first initial value is the empty form
  }, [key]);
  return [value, set, clear];
}

function load(key: string): unknown {
  try {
    const kept = sessionStorage.getItem(key);
    return kept === null ? undefined : JSON.parse(kept);
  } catch {
    return undefined;
  }
}
