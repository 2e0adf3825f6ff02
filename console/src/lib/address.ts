import { useCallback, useMemo } from 'react';
import { useSearchParams } from 'react-router';

/**
 * A view's filters, kept in the address so that every view is a link. Values that equal their default
 * are left out. Changing any filter but `offset` goes back to the first page.
 */
export function useFilters<K extends string>(
  defaults: Readonly<Record<K, string>>,
): [Record<K, string>, (change: Partial<Record<K, string>>) => void] {
  const [search, setSearch] = useSearchParams();
  const filters = useMemo(() => readFilters(search, defaults), [search, defaults]);
  const change = useCallback(
    (next: Partial<Record<K, string>>) => {
      setSearch((old) => writeFilters(old, defaults, next), { replace: true });
    },
    [setSearch, defaults],
  );
  return [filters, change];
}

export function readFilters<K extends string>(
  search: URLSearchParams,
  defaults: Readonly<Record<K, string>>,
): Record<K, string> {
  const values: Record<K, string> = { ...defaults };
  for (const key of Object.keys(defaults) as K[]) values[key] = search.get(key) ?? defaults[key];
  return values;
}

export function writeFilters<K extends string>(
  old: URLSearchParams,
  defaults: Readonly<Record<K, string>>,
  change: Partial<Record<K, string>>,
): URLSearchParams {
  const next = new URLSearchParams(old);
  if (!('offset' in change)) next.delete('offset');
  for (const [key, value] of Object.entries(change) as [K, string][]) {
    if (value === defaults[key] || value === '') next.delete(key);
    else next.set(key, value);
  }
  return next;
}

/** The offset in the address as a number that no hand-typed value can break. */
export function offsetOf(value: string): number {
  const n = Number.parseInt(value, 10);
  return Number.isFinite(n) && n > 0 ? n : 0;
}
