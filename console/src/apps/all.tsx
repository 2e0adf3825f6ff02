import { Anchor, Button, Group, NativeSelect, Select, Table, Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { AppWindow } from 'lucide-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { lodge } from '../api/lodge';
import type { AppSession, AppState } from '../api/types';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { offsetOf, useFilters } from '../lib/address';
import { useNow } from '../lib/now';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { Status } from '../ui/status';
import { DataTable, Row } from '../ui/table';
import { endOf, isMoving, resourcesInWords, stateLook, states, titleOf } from './model';
import { appsQueries } from './queries';
import { SessionButtons } from './session-buttons';

const LIMIT = 50;
const defaults = { user: '', app: '', state: '', driver: '', offset: '0' };

/** Everybody's app sessions, found and paged by the server. */
export default function AllSessions() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const offset = offsetOf(filters.offset);
  const { app, state, driver } = filters;
  const query = useQuery(
    appsQueries.sessions({
      user: filters.user === '' ? '*' : filters.user,
      limit: LIMIT,
      offset,
      ...(app === '' ? {} : { app }),
      ...(state === '' ? {} : { state: state as AppState }),
      ...(driver === '' ? {} : { driver }),
    }),
  );
  const catalogue = useQuery(appsQueries.list());
  const drivers = useQuery({ ...appsQueries.drivers(), enabled: may(me, 'apps.admin') });
  const filtered = filters.user !== '' || app !== '' || state !== '' || driver !== '';
  return (
    <PageView
      title="App sessions"
      lead="What runs for whom, and what ran until it was forgotten."
      freshness={<Freshness updatedAt={query.dataUpdatedAt} failed={query.isError} />}
    >
      <Panel padded={false}>
        <Group p="sm" gap="sm">
          {may(me, 'users.read') && <PersonFilter value={filters.user} onChange={(user) => change({ user })} />}
          <NativeSelect
            aria-label="App"
            value={app}
            onChange={(event) => change({ app: event.currentTarget.value })}
            data={[{ value: '', label: 'Every app' }, ...(catalogue.data ?? []).map((a) => ({ value: a.id, label: a.name }))]}
          />
          <NativeSelect
            aria-label="State"
            value={state}
            onChange={(event) => change({ state: event.currentTarget.value })}
            data={[{ value: '', label: 'Every state' }, ...states.map((s) => ({ value: s, label: stateLook(s).word }))]}
          />
          {(drivers.data?.length ?? 0) > 1 && (
            <NativeSelect
              aria-label="Driver"
              value={driver}
              onChange={(event) => change({ driver: event.currentTarget.value })}
              data={[{ value: '', label: 'Every driver' }, ...(drivers.data ?? []).map((d) => d.name)]}
            />
          )}
          {filtered && (
            <Button variant="subtle" color="gray" onClick={() => change({ user: '', app: '', state: '', driver: '' })}>
              Clear filters
            </Button>
          )}
        </Group>
        <Answer query={query} title="The app sessions could not be read">
          {(page) =>
            page.items.length === 0 ? (
              <Empty title={filtered ? 'No app session is like that' : 'Nobody has started an app yet'} icon={AppWindow}>
                {filtered ? 'Clear a filter to see more.' : 'As soon as somebody does, it appears here, with its owner and its state.'}
              </Empty>
            ) : (
              <>
                <DataTable label="App sessions" minWidth={900} head={['App', 'Person', 'State', 'May use', 'Used last', { label: 'Actions', hidden: true }]}>
                  {page.items.map((s) => (
                    <SessionRow key={s.id} session={s} onPerson={() => change({ user: s.user.id })} />
                  ))}
                </DataTable>
                <Paging
                  total={page.total}
                  limit={LIMIT}
                  offset={offset}
                  noun={page.total === 1 ? 'app session' : 'app sessions'}
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

/** Finds a person by a part of their name; the server looks. */
function PersonFilter({ value, onChange }: { value: string; onChange: (id: string) => void }) {
  const [typed, setTyped] = useState('');
  const [asked] = useDebouncedValue(typed.trim(), 200);
  const people = useQuery({
    queryKey: ['access', 'users', 'of-apps', asked],
    queryFn: () => lodge.users({ q: asked, limit: 20 }),
    placeholderData: keepPreviousData,
  });
  const chosen = useQuery({ queryKey: ['access', 'user', value], queryFn: () => lodge.user(value), enabled: value !== '', retry: false });
  const found = (people.data?.items ?? []).map((u) => ({ value: u.id, label: u.name }));
  const data = value === '' || found.some((u) => u.value === value) ? found : [{ value, label: chosen.data?.name ?? 'one person' }, ...found];
  return (
    <Select
      aria-label="Person"
      placeholder="Everybody"
      searchable
      clearable
      clearButtonProps={{ 'aria-label': 'Everybody' }}
      data={data}
      filter={({ options }) => options}
      value={value === '' ? null : value}
      onChange={(id) => onChange(id ?? '')}
      onSearchChange={setTyped}
      nothingFoundMessage="Nobody has this name"
      comboboxProps={{ width: 260, position: 'bottom-start' }}
    />
  );
}

function SessionRow({ session: s, onPerson }: { session: AppSession; onPerson: () => void }) {
  const me = useMe();
  const now = useNow();
  const look = stateLook(s.state);
  const mine = s.user.id === me.id;
  const end = endOf(s, now);
  return (
    <Row>
      <Table.Td maw={240}>
        <Anchor component={Link} to={`/apps/sessions/${s.id}`} size="sm" fw={550}>
          {titleOf(s)}
        </Anchor>
        <Text size="xs" c="dimmed">
          {s.driver}
        </Text>
      </Table.Td>
      <Table.Td>
        <Anchor component="button" type="button" size="sm" onClick={onPerson} aria-label={`Only ${s.user.name}`}>
          {s.user.name}
        </Anchor>
      </Table.Td>
      <Table.Td maw={220}>
        <Status tone={look.tone}>{look.word}</Status>
        <Text size="xs" c="dimmed" mt={2}>
          {end !== '' ? end : isMoving(s.state) ? s.progress.message : (s.message ?? '')}
        </Text>
      </Table.Td>
      <Table.Td>
        <Text size="xs">{resourcesInWords(s.resources)}</Text>
      </Table.Td>
      <Table.Td>
        <Age time={s.last_activity ?? s.ready_at} never="not yet" />
      </Table.Td>
      <Table.Td ta="right">
        <Group gap={6} justify="flex-end">
          {(mine || may(me, 'apps.stop-any')) && <SessionButtons session={s} whose={mine ? undefined : s.user.name} />}
        </Group>
      </Table.Td>
    </Row>
  );
}
