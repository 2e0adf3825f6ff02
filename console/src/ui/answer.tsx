import { Skeleton, Stack } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Problem } from './problem';

interface Props<T> {
  query: UseQueryResult<T>;
  title: string;
  children: (data: T) => ReactNode;
}

/** What a query gave: a placeholder at first, then its data, with the reason on top when it cannot be refreshed. */
export function Answer<T>({ query, title, children }: Props<T>) {
  if (query.data === undefined) {
    if (query.error !== null) {
      return (
        <div style={{ padding: 12 }}>
          <Problem error={query.error} title={title} onRetry={() => void query.refetch()} />
        </div>
      );
    }
    return (
      <Stack gap="xs" p="md" aria-busy="true" aria-label="Loading">
        <Skeleton height={14} width="40%" />
        <Skeleton height={14} />
        <Skeleton height={14} width="80%" />
      </Stack>
    );
  }
  return (
    <>
      {query.error !== null && (
        <div style={{ padding: 12 }}>
          <Problem error={query.error} title={`${title}. What you see is older`} onRetry={() => void query.refetch()} />
        </div>
      )}
      {children(query.data)}
    </>
  );
}
