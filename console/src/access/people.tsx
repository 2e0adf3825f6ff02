import { Anchor, Badge, Button, Group, NativeSelect, Table, Text, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Search, Users } from 'lucide-react';
import { Link } from 'react-router';
import { lodge } from '../api/lodge';
import { offsetOf, useFilters } from '../lib/address';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { Status } from '../ui/status';
import { DataTable, Row } from '../ui/table';

const LIMIT = 50;
const defaults = { q: '', role: '', state: '', offset: '0' };

/** Everybody whom Lodge has seen, or was told of. */
export default function People() {
  const [filters, change] = useFilters(defaults);
  const offset = offsetOf(filters.offset);
  const { q, role, state } = filters;
  const people = useQuery({
    queryKey: ['access', 'users', { q, role, state, offset }],
    queryFn: () =>
      lodge.users({
        q,
        role,
        limit: LIMIT,
        offset,
        ...(state === 'admin' ? { admin: true } : {}),
        ...(state === 'disabled' ? { disabled: true } : {}),
      }),
    placeholderData: keepPreviousData,
  });
  const search = useDebouncedCallback((text: string) => change({ q: text }), 300);
  const filtered = q !== '' || role !== '' || state !== '';
  return (
    <PageView
      title="People"
      lead="Everybody who has logged in. A new person has no rights until they are given a role."
      freshness={<Freshness updatedAt={people.dataUpdatedAt} failed={people.isError} />}
    >
      <Panel padded={false}>
        <Group p="sm" gap="xs">
          <TextInput
            key={q}
            aria-label="Search people"
            placeholder="Search by name or e-mail"
            leftSection={<Search size={15} aria-hidden />}
            defaultValue={q}
            onChange={(event) => search(event.currentTarget.value)}
            style={{ flex: '1 1 220px' }}
          />
          <NativeSelect
            aria-label="Which people"
            value={state}
            onChange={(event) => change({ state: event.currentTarget.value })}
            data={[
              { value: '', label: 'Everybody' },
              { value: 'admin', label: 'Administrators' },
              { value: 'disabled', label: 'Disabled' },
            ]}
          />
          {filtered && (
            <Button variant="subtle" color="gray" onClick={() => change({ q: '', role: '', state: '' })}>
              {role === '' ? 'Clear filters' : `Clear filters (role ${role})`}
            </Button>
          )}
        </Group>
        <Answer query={people} title="The people could not be read">
          {(page) =>
            page.items.length === 0 ? (
              <Empty title={filtered ? 'Nobody matches' : 'Nobody yet'} icon={Users}>
                {filtered
                  ? 'Clear the filters to see everybody.'
                  : 'People appear with their first login. lodge user add makes an account at the embedded provider.'}
              </Empty>
            ) : (
              <>
                <DataTable label="People" head={['Name', 'Roles', 'State', 'Last seen']}>
                  {page.items.map((u) => (
                    <Row key={u.id}>
                      <Table.Td>
                        <Anchor component={Link} to={`/access/people/${encodeURIComponent(u.id)}`} fw={550} size="sm">
                          {u.name || u.subject}
                        </Anchor>
                        <Text size="xs" c="dimmed">
                          {u.email}
                        </Text>
                      </Table.Td>
                      <Table.Td>
                        <Group gap={4}>
                          {u.admin && <Badge color="yellow">administrator</Badge>}
                          {u.roles.map((r) => (
                            <Badge key={r} color="gray">
                              {r}
                            </Badge>
                          ))}
                          {!u.admin && u.roles.length === 0 && (
                            <Text size="sm" c="dimmed">
                              none
                            </Text>
                          )}
                        </Group>
                      </Table.Td>
                      <Table.Td>
                        {u.disabled ? <Status tone="bad">disabled</Status> : <Status tone="good">active</Status>}
                      </Table.Td>
                      <Table.Td>
                        <Age time={u.seen_at} />
                      </Table.Td>
                    </Row>
                  ))}
                </DataTable>
                <Paging
                  total={page.total}
                  limit={LIMIT}
                  offset={offset}
                  noun={page.total === 1 ? 'person' : 'people'}
                  onChange={(next) => change({ offset: String(next) })}
                />
              </>
            )
          }
        </Answer>
      </Panel>
    </PageView>
  );
}
