import { Group, Text, Tooltip } from '@mantine/core';
import { useLive } from '../frame/live-context';
import { ago, moment, span } from '../lib/format';
import { useNow } from '../lib/now';
import classes from './ui.module.css';

/**
 * Says how old what the page shows is. While the server pushes changes a value is as good as new;
 * once the line is silent it turns grey, with the reason. A page with a line of its own says by `silent`
 * why nothing comes over that one.
 */
export function Freshness({ updatedAt, failed, silent }: { updatedAt: number; failed?: boolean; silent?: string | undefined }) {
  const live = useLive();
  const now = useNow();
  if (updatedAt === 0) return null;
  const stale = live.phase !== 'open' || failed === true || silent !== undefined;
  const reason = failed === true ? 'the last check failed' : (silent ?? `no connection for ${span(now - live.heardAt)}`);
  return (
    <Tooltip label={`Read ${moment(updatedAt)}. ${stale ? `Stale: ${reason}.` : 'Changes arrive by themselves.'}`}>
      <Group gap={6} wrap="nowrap" className={stale ? classes.stale : classes.fresh} data-stale={stale}>
        <span className={classes.dot} aria-hidden="true" />
        <Text size="xs" c="dimmed" className="nowrap">
          {stale ? `Stale: ${reason}` : `Live · read ${ago(now - updatedAt)}`}
        </Text>
      </Group>
    </Tooltip>
  );
}
