import { Badge, Switch, Table, Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Search, Settings2 } from 'lucide-react';
import { lodge } from '../api/lodge';
import { useFilters } from '../lib/address';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { DataTable, Row } from '../ui/table';
import classes from './site.module.css';

const defaults = { q: '', changed: '' };

/** The configuration in effect, secrets masked, with where each value came from. */
export default function Settings() {
  const [filters, change] = useFilters(defaults);
  const config = useQuery({ queryKey: ['site', 'config'], queryFn: () => lodge.config() });
  const wanted = filters.q.trim().toLowerCase();
  return (
    <PageView
      title="Settings"
      lead="The configuration in effect and where each value came from. It is changed in the file or the environment, and read at start."
      freshness={<Freshness updatedAt={config.dataUpdatedAt} failed={config.isError} />}
    >
      <Panel padded={false}>
        <div className={classes.filters}>
          <TextInput
            aria-label="Search settings"
            placeholder="Search settings"
            leftSection={<Search size={15} aria-hidden />}
            value={filters.q}
            onChange={(event) => change({ q: event.currentTarget.value })}
          />
          <Switch
            label="Only what differs from the default"
            checked={filters.changed === 'yes'}
            onChange={(event) => change({ changed: event.currentTarget.checked ? 'yes' : '' })}
          />
        </div>
        <Answer query={config} title="The configuration could not be read">
          {(data) => {
            const shown = data.items.filter(
              (c) =>
                (wanted === '' || c.key.toLowerCase().includes(wanted) || c.value.toLowerCase().includes(wanted)) &&
                (filters.changed === '' || c.source !== 'default'),
            );
            return shown.length === 0 ? (
              <Empty title="No setting matches" icon={Settings2}>
                Clear the search, or show the defaults as well.
              </Empty>
            ) : (
              <DataTable label="Settings" head={['Setting', 'Value', 'From']}>
                {shown.map((c) => (
                  <Row key={c.key}>
                    <Table.Td fw={550} className="code">
                      {c.key}
                    </Table.Td>
                    <Table.Td className={classes.value}>
                      {c.value === '' ? (
                        <Text size="sm" c="dimmed">
                          not set
                        </Text>
                      ) : (
                        <span className="code">{c.value}</span>
                      )}
                    </Table.Td>
                    <Table.Td>
                      {c.source === 'default' ? (
                        <Text size="xs" c="dimmed">
                          default
                        </Text>
                      ) : (
                        <Badge color="pine">{c.source}</Badge>
                      )}
                    </Table.Td>
                  </Row>
                ))}
              </DataTable>
            );
          }}
        </Answer>
      </Panel>
    </PageView>
  );
}
