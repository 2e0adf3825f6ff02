import { Anchor, Button, Group, Table, Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ScrollText, Search } from 'lucide-react';
import { Link } from 'react-router';
import { offsetOf, useFilters } from '../lib/address';
import { moment } from '../lib/format';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Status, type Tone } from '../ui/status';
import { DataTable, Row } from '../ui/table';
import { plain } from './model';
import { fleetQueries } from './queries';

const LIMIT = 50;
const defaults = { q: '', offset: '0' };
const tones: Record<string, Tone> = { error: 'bad', warning: 'warn', info: 'idle', uninitialized: 'idle' };

/** What robots wrote down while they worked, found by its words. */
export default function Logs() {
  const [filters, change] = useFilters(defaults);
  const offset = offsetOf(filters.offset);
  const text = filters.q.trim();
  const query = useQuery(fleetQueries.logs(text, LIMIT, offset));
  return (
    <PageView title="Task logs" lead="Everything that robots wrote down while they worked, the newest first.">
      <TextInput
        type="search"
        label="Words in the log"
        placeholder="such as stuck, or lab_door"
        leftSection={<Search size={15} aria-hidden />}
        value={filters.q}
        onChange={(e) => change({ q: e.currentTarget.value })}
        maw={420}
      />
      <Panel padded={false}>
        {text.length < 2 ? (
          <Empty title="What are you looking for?" icon={ScrollText}>
            Two letters are enough. Upper and lower case are the same.
          </Empty>
        ) : (
          <Answer query={query} title="The logs could not be searched">
            {(found) =>
              found.length === 0 ? (
                <Empty title={`Nothing says “${text}”`} icon={ScrollText}>
                  Logs are kept as long as the site says; what is older is gone.
                </Empty>
              ) : (
                <>
                  <DataTable label="Found in task logs" minWidth={640} head={['When', 'Task', 'What']}>
                    {found.slice(0, LIMIT).map((e) => (
                      <Row key={`${e.task_id}:${e.phase}:${e.event}:${e.seq}`}>
                        <Table.Td>
                          <Text size="sm">{moment(e.unix_millis_time)}</Text>
                        </Table.Td>
                        <Table.Td>
                          <Anchor component={Link} to={`/fleet/tasks/${encodeURIComponent(e.task_id)}`} size="sm">
                            {e.task_id}
                          </Anchor>
                        </Table.Td>
                        <Table.Td>
                          <Group gap="xs">
                            {e.tier !== 'info' && <Status tone={tones[e.tier] ?? 'idle'}>{e.tier}</Status>}
                            <Text size="sm">{plain(e.text)}</Text>
                          </Group>
                        </Table.Td>
                      </Row>
                    ))}
                  </DataTable>
                  {(offset > 0 || found.length > LIMIT) && (
                    <Group p="sm" justify="flex-end" gap="xs">
                      <Button size="compact-sm" variant="default" disabled={offset === 0} onClick={() => change({ offset: String(Math.max(0, offset - LIMIT)) })}>
                        Newer
                      </Button>
                      <Button size="compact-sm" variant="default" disabled={found.length <= LIMIT} onClick={() => change({ offset: String(offset + LIMIT) })}>
                        Older
                      </Button>
                    </Group>
                  )}
                </>
              )
            }
          </Answer>
        )}
      </Panel>
    </PageView>
  );
}
