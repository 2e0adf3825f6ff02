import { Progress, Text } from '@mantine/core';
import type { AppSession } from '../api/types';
import { bytes } from '../lib/format';
import classes from './apps.module.css';
import { useUse } from './queries';

/** What a running app session uses now, against what it may. */
export function UseBars({ session }: { session: AppSession }) {
  const { stats, cores, failed } = useUse(session);
  if (session.state !== 'ready') return null;
  if (stats === undefined) {
    return (
      <Text size="xs" c="dimmed">
        {failed ? 'not measured' : 'measuring…'}
      </Text>
    );
  }
  const limit = stats.memory_limit_bytes;
  return (
    <div className={classes.use}>
      <Bar
        label="CPU"
        value={cores === undefined ? '…' : `${cores.toFixed(cores < 10 ? 2 : 1)} of ${session.resources.cpu}`}
        share={cores === undefined || session.resources.cpu <= 0 ? 0 : cores / session.resources.cpu}
      />
      <Bar
        label="Memory"
        value={limit > 0 ? `${bytes(stats.memory_bytes)} of ${bytes(limit)}` : bytes(stats.memory_bytes)}
        share={limit > 0 ? stats.memory_bytes / limit : 0}
      />
    </div>
  );
}

/** One measure against its limit. */
export function Bar({ label, value, share }: { label: string; value: string; share: number }) {
  const percent = Math.min(100, Math.max(0, share * 100));
  return (
    <div>
      <div className={classes.useHead}>
        <Text span inherit c="dimmed">
          {label}
        </Text>
        <span>{value}</span>
      </div>
      <Progress value={percent} size={5} color={percent >= 90 ? 'red.8' : percent >= 75 ? 'yellow.6' : 'pine'} aria-label={`${label}: ${value}`} />
    </div>
  );
}
