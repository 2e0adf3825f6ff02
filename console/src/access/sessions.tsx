import { SegmentedControl } from '@mantine/core';
import { useMe } from '../frame/me-context';
import { may } from '../frame/may';
import { offsetOf, useFilters } from '../lib/address';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { SessionTable } from './session-table';

const defaults = { whose: 'mine', offset: '0' };

/** Where people are logged in: one's own sessions for everybody, all of them for who may see them. */
export default function Sessions() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const all = may(me, 'sessions.read') && filters.whose === 'all';
  return (
    <PageView
      title="Sessions"
      lead="Each login with a browser. Ending a session takes effect at once, in every tab of that browser."
      actions={
        may(me, 'sessions.read') && (
          <SegmentedControl
            size="xs"
            aria-label="Whose sessions"
            value={filters.whose}
            onChange={(whose) => change({ whose })}
            data={[
              { value: 'mine', label: 'Mine' },
              { value: 'all', label: 'Everybody’s' },
            ]}
          />
        )
      }
    >
      <Panel padded={false}>
        <SessionTable
          all={all}
          limit={50}
          offset={offsetOf(filters.offset)}
          onOffset={(next) => change({ offset: String(next) })}
        />
      </Panel>
    </PageView>
  );
}
