import { Alert, Anchor, Autocomplete, Button, Group, SegmentedControl, Stack, Table, Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { CircleCheck, CircleX, Info, SearchCheck } from 'lucide-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { lodge } from '../api/lodge';
import { queries } from '../api/queries';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { offsetOf, useFilters } from '../lib/address';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { DataTable, Row } from '../ui/table';
import { Rights } from './rights';

const LIMIT = 50;
const defaults = { by: 'action', user: '', action: '', group: '', offset: '0' };

/** Both directions of the same question: who can do this, and what can this person do? */
export default function WhoCan() {
  const [filters, change] = useFilters(defaults);
  const byPerson = filters.by === 'person' || (filters.user !== '' && filters.by !== 'action-only');
  return (
    <PageView
      title="Who can…?"
      lead="Who can do what, and by which rule. The address holds the question, so the answer can be sent to an auditor."
      actions={
        <SegmentedControl
          size="xs"
          aria-label="What to ask"
          value={byPerson ? 'person' : 'action'}
          onChange={(by) => change({ by, user: '', action: '', group: '' })}
          data={[
            { value: 'action', label: 'Who can do this?' },
            { value: 'person', label: 'What can they do?' },
          ]}
        />
      }
    >
      <Panel>
        <Question byPerson={byPerson} filters={filters} change={change} />
      </Panel>
      {byPerson ? <PersonAnswer filters={filters} /> : <ActionAnswer filters={filters} change={change} />}
    </PageView>
  );
}

type Filters = Record<keyof typeof defaults, string>;
type Change = (next: Partial<Filters>) => void;

function Question({ byPerson, filters, change }: { byPerson: boolean; filters: Filters; change: Change }) {
  const me = useMe();
  const [user, setUser] = useState(filters.user);
  const [action, setAction] = useState(filters.action);
  const [group, setGroup] = useState(filters.group);
  const [asked] = useDebouncedValue(user.trim(), 200);
  const actions = useQuery(queries.actions());
  const projects = useQuery({ ...queries.projects(), enabled: may(me, 'results.read') });
  const people = useQuery({
    queryKey: ['access', 'users', 'choice', asked],
    queryFn: () => lodge.users({ q: asked, limit: 10 }),
    enabled: byPerson && may(me, 'users.read'),
    placeholderData: keepPreviousData,
  });
  const ready = byPerson ? user.trim() !== '' : action.trim() !== '' || group.trim() !== '';
  const names = (people.data?.items ?? []).map((u) => u.name).filter((n) => n !== '');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        change({ user: byPerson ? user.trim() : '', action: action.trim(), group: group.trim() });
      }}
    >
      <Group align="flex-end" gap="sm">
        {byPerson && (
          <Autocomplete
            label="Person"
            placeholder="Name or id"
            data={[...new Set(names)]}
            filter={({ options }) => options}
            value={user}
            onChange={setUser}
            style={{ flex: '1 1 200px' }}
          />
        )}
        <Autocomplete
          label={byPerson ? 'Action (optional)' : 'Action'}
          placeholder="e.g. results.read"
          data={(actions.data?.items ?? []).map((a) => a.action)}
          value={action}
          onChange={setAction}
          style={{ flex: '1 1 200px' }}
        />
        <Autocomplete
          label={byPerson ? 'Group (optional)' : 'Group'}
          placeholder="site, or a project"
          data={[...new Set(['site', ...(projects.data?.items ?? []).map((p) => p.id)])]}
          value={group}
          onChange={setGroup}
          style={{ flex: '1 1 160px' }}
        />
        <Button type="submit" disabled={!ready} leftSection={<SearchCheck size={16} aria-hidden />}>
          Ask
        </Button>
      </Group>
    </form>
  );
}

function ActionAnswer({ filters, change }: { filters: Filters; change: Change }) {
  const { action, group } = filters;
  const offset = offsetOf(filters.offset);
  const asked = action !== '' || group !== '';
  const answer = useQuery({
    queryKey: ['access', 'explain', { action, group, offset }],
    queryFn: () => lodge.explain({ action, group, limit: LIMIT, offset }),
    enabled: asked,
    placeholderData: keepPreviousData,
  });
  if (!asked) {
    return (
      <Empty title="Ask a question" icon={SearchCheck}>
        Choose an action, such as results.read, and a group, such as a project: you see everybody who can, and why.
      </Empty>
    );
  }
  return (
    <Panel
      title={`Who can ${action || 'do anything'} on ${group || 'any group'}`}
      padded={false}
    >
      <Answer query={answer} title="The question could not be answered">
        {(a) => {
          const people = a.people;
          if (people === undefined || people.items.length === 0) {
            return (
              <Empty title="Nobody can" icon={SearchCheck}>
                No role with people in it has this permission, and there is no administrator.
              </Empty>
            );
          }
          return (
            <>
              <DataTable label="Who can" head={['Person', 'May', 'On', 'By']}>
                {people.items.map((h) => (
                  <Row key={`${h.user_id} ${h.rule} ${h.action} ${h.group}`}>
                    <Table.Td>
                      <Anchor component={Link} to={`/access/people/${encodeURIComponent(h.user_id)}`} size="sm" fw={550}>
                        {h.name || h.user_id}
                      </Anchor>
                      <Text size="xs" c="dimmed">
                        {h.email}
                      </Text>
                    </Table.Td>
                    <Table.Td className="code">{h.action || 'everything'}</Table.Td>
                    <Table.Td>{h.group === '*' ? 'everywhere' : h.group}</Table.Td>
                    <Table.Td>{h.rule}</Table.Td>
                  </Row>
                ))}
              </DataTable>
              <Paging
                total={people.total}
                limit={LIMIT}
                offset={offset}
                noun={people.total === 1 ? 'answer' : 'answers'}
                onChange={(next) => change({ offset: String(next) })}
              />
              <Note text={a.note} />
            </>
          );
        }}
      </Answer>
    </Panel>
  );
}

function PersonAnswer({ filters }: { filters: Filters }) {
  const { user, action, group } = filters;
  const exact = user !== '' && action !== '' && group !== '';
  const answer = useQuery({
    queryKey: ['access', 'explain', { user, action, group }],
    queryFn: () => lodge.explain({ user, action, group }),
    enabled: user !== '',
  });
  if (user === '') {
    return (
      <Empty title="Choose a person" icon={SearchCheck}>
        You see everything that they can do, and by which rule. With an action and a group you get a yes or a no.
      </Empty>
    );
  }
  return (
    <Answer query={answer} title="The question could not be answered">
      {(a) => (
        <Stack gap="md">
          {exact && a.allowed !== undefined && (
            <Alert
              color={a.allowed ? 'pine' : 'red'}
              icon={a.allowed ? <CircleCheck size={20} /> : <CircleX size={20} />}
              title={a.allowed ? 'Yes, they can' : 'No, they cannot'}
            >
              {a.user?.name} {a.allowed ? 'may' : 'may not'} <b>{action}</b> on <b>{group}</b>: {a.rule}.
            </Alert>
          )}
          {!exact && (
            <Panel
              title={`What ${a.user?.name ?? user} can do`}
              hint={a.rule ? `By the rule: ${a.rule}` : undefined}
              padded={false}
            >
              <Rights user={a.user?.id ?? user} action={action} group={group} />
            </Panel>
          )}
          <Note text={a.note} />
        </Stack>
      )}
    </Answer>
  );
}

function Note({ text }: { text: string | undefined }) {
  if (!text) return null;
  return (
    <Group gap={6} px="sm" pb="sm" wrap="nowrap" align="flex-start">
      <Info size={14} aria-hidden style={{ flex: 'none', marginTop: 2 }} />
      <Text size="xs" c="dimmed">
        {text}
      </Text>
    </Group>
  );
}
