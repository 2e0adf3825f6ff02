import { Text, Tooltip } from '@mantine/core';
import { ago, moment, until } from '../lib/format';
import { useNow } from '../lib/now';

/** How long ago, with the exact moment on hover and for screen readers. */
export function Age({ time, never = 'never' }: { time: string | number | null | undefined; never?: string }) {
  const now = useNow();
  const at = new Date(time ?? 0);
  // The server writes the zero time, year 1, for what never happened.
  if (!time || at.getTime() <= 0) return <>{never}</>;
  return (
    <Tooltip label={moment(at)}>
      <Text component="time" inherit dateTime={at.toISOString()} className="nowrap">
        {ago(now - at.getTime())}
      </Text>
    </Tooltip>
  );
}

/** Counts down to a moment to come. */
export function Countdown({ time }: { time: string }) {
  const now = useNow();
  const at = new Date(time);
  return (
    <Tooltip label={moment(at)}>
      <Text component="time" inherit dateTime={at.toISOString()} className="nowrap">
        {until(at.getTime() - now)}
      </Text>
    </Tooltip>
  );
}
