import { Anchor, Badge, Button, Checkbox, Group, Menu, NativeSelect, SegmentedControl, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Boxes, ChevronDown, Play, Plus } from 'lucide-react';
import { Link, useNavigate } from 'react-router';
import { contains, type Item, newest, type Term } from '../api/workflows';
import { useMe } from '../frame/me-context';
import { offsetOf, useFilters } from '../lib/address';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { DataTable, Row } from '../ui/table';
import { TextFilter } from '../ui/text-filter';
import { type DocumentKind, type Kind, kindSays, kindWord } from './document';
import { KindIcon } from './mark';
import { workflowQueries } from './query';

const LIMIT = 25;
const defaults = { what: 'workflow', q: '', tag: '', kind: '', workspace: '', mine: '', sort: '-timestamp', offset: '0' };
const kinds: readonly Kind[] = ['brick', 'graph', 'map', 'conditional', 'any'];

/** Everything that can be run, and what it is made of; searched, sorted and paged by the server. */
export default function Library() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const what: DocumentKind = filters.what === 'component' ? 'component' : 'workflow';
  const offset = offsetOf(filters.offset);
  const terms = termsOf(what, filters, me.email);
  const found = useQuery(workflowQueries.list(what, { terms, sort: filters.sort, limit: LIMIT, offset }));
  const workspaces = useQuery(workflowQueries.workspaces());
  const filtered = terms.length > 1;
  return (
    <PageView
      title="Library"
      lead="Workflows, which are run, and components, of which they are built."
      freshness={<Freshness updatedAt={found.dataUpdatedAt} failed={found.isError} />}
      actions={<New workspace={(workspaces.data ?? []).find((w) => w.roles.includes('ws-collaborator'))?.name} />}
    >
      <Panel padded={false}>
        <Group p="sm" gap="sm" align="center">
          <SegmentedControl
            aria-label="What"
            size="xs"
            value={what}
            onChange={(next) => change({ what: next, kind: '', workspace: '' })}
            data={[
              { value: 'workflow', label: 'Workflows' },
              { value: 'component', label: 'Components' },
            ]}
          />
          <TextFilter label="Name" value={filters.q} onChange={(q) => change({ q })} search />
          <TextFilter label="Tag" value={filters.tag} onChange={(tag) => change({ tag })} />
          {what === 'component' ? (
            <NativeSelect
              aria-label="Kind"
              size="xs"
              value={filters.kind}
              onChange={(e) => change({ kind: e.currentTarget.value })}
              data={[{ value: '', label: 'Every kind' }, ...kinds.map((k) => ({ value: k, label: kindWord(k) }))]}
            />
          ) : (
            <NativeSelect
              aria-label="Workspace"
              size="xs"
              value={filters.workspace}
              onChange={(e) => change({ workspace: e.currentTarget.value })}
              data={[{ value: '', label: 'Every workspace' }, ...(workspaces.data ?? []).map((w) => ({ value: w.name, label: w.name }))]}
            />
          )}
          <NativeSelect
            aria-label="Order"
            size="xs"
            value={filters.sort}
            onChange={(e) => change({ sort: e.currentTarget.value })}
            data={[
              { value: '-timestamp', label: 'Newest first' },
              { value: '+name', label: 'By name' },
            ]}
          />
          <Checkbox label="Mine" size="xs" checked={filters.mine === '1'} onChange={(e) => change({ mine: e.currentTarget.checked ? '1' : '' })} />
        </Group>
        <Answer query={found} title="The library could not be read">
          {(page) =>
            page.items.length === 0 ? (
              <Empty title={filtered ? 'Nothing here is like that' : `No ${what} yet`} icon={Boxes}>
                {filtered
                  ? 'Clear a filter to see more. Names are searched by any part of them, tags must be whole.'
                  : what === 'workflow'
                    ? 'A workflow is a component in a workspace. Make one here, or push one from a file with “lodge workflow push”.'
                    : 'A component is a building block: a program in a container, or a graph of others.'}
              </Empty>
            ) : (
              <>
                <DataTable label={what === 'workflow' ? 'Workflows' : 'Components'} minWidth={760} head={['Name', 'Kind', what === 'workflow' ? 'Workspace' : 'Tags', 'Version', 'Changed', { label: 'Do', hidden: true, align: 'right' }]}>
                  {page.items.map((item) => (
                    <ItemRow key={`${item.uid}/${item.version?.current ?? 0}`} kind={what} item={item} />
                  ))}
                </DataTable>
                <Paging total={page.total} limit={LIMIT} offset={offset} noun={page.total === 1 ? what : `${what}s`} onChange={(next) => change({ offset: String(next) })} />
              </>
            )
          }
        </Answer>
      </Panel>
    </PageView>
  );
}

/** The server's question for what stands in the address. */
export function termsOf(what: DocumentKind, filters: Record<keyof typeof defaults, string>, email: string): Term[] {
  const terms: Term[] = [newest];
  if (filters.q.trim() !== '') terms.push(contains('name', filters.q));
  if (filters.tag.trim() !== '') terms.push({ field: 'version.tags', op: '==', value: filters.tag.trim() });
  if (what === 'component' && filters.kind !== '') terms.push({ field: 'implementation.type', op: '==', value: filters.kind });
  if (what === 'workflow' && filters.workspace !== '') terms.push({ field: 'workspace', op: '==', value: filters.workspace });
  if (filters.mine === '1') terms.push({ field: 'modifiedBy.email', op: '==', value: email });
  return terms;
}

function ItemRow({ kind, item }: { kind: DocumentKind; item: Item }) {
  const name = item.name === undefined || item.name === '' ? 'unnamed' : item.name;
  const tags = (item.version?.tags ?? []).filter((t) => t !== 'latest');
  return (
    <Row>
      <Table.Td maw={320}>
        <Anchor component={Link} to={`/workflows/library/${kind}/${item.uid}`} size="sm" fw={550}>
          {name}
        </Anchor>
        {item.description !== undefined && (
          <Text size="xs" c="dimmed" lineClamp={1}>
            {item.description}
          </Text>
        )}
        {kind === 'workflow' && <Tags tags={tags} />}
      </Table.Td>
      <Table.Td>
        <Group gap={6} wrap="nowrap">
          <KindIcon kind={item.implementation} size={14} />
          {kindWord(item.implementation)}
        </Group>
      </Table.Td>
      <Table.Td>{kind === 'workflow' ? item.workspace : tags.length === 0 ? '–' : <Tags tags={tags} />}</Table.Td>
      <Table.Td>{item.version?.current ?? 1}</Table.Td>
      <Table.Td>
        <Age time={item.timestamp} />
        <Text size="xs" c="dimmed" truncate maw={180}>
          {item.modifiedBy?.email ?? ''}
        </Text>
      </Table.Td>
      <Table.Td ta="right">
        <Group gap={4} justify="flex-end" wrap="nowrap">
          <Button component={Link} to={`/workflows/library/edit/${kind}/${item.uid}`} size="compact-sm" variant="default" aria-label={`Edit ${name}`}>
            Edit
          </Button>
          {kind === 'workflow' && (
            <Button component={Link} to={`/workflows/library/run/${item.uid}`} size="compact-sm" variant="light" leftSection={<Play size={13} aria-hidden />} aria-label={`Run ${name}`}>
              Run
            </Button>
          )}
        </Group>
      </Table.Td>
    </Row>
  );
}

export function Tags({ tags }: { tags: readonly string[] }) {
  if (tags.length === 0) return null;
  return (
    <Group gap={4} mt={2}>
      {tags.map((t) => (
        <Badge key={t} color="pine">
          {t}
        </Badge>
      ))}
    </Group>
  );
}

function New({ workspace }: { workspace: string | undefined }) {
  const navigate = useNavigate();
  return (
    <Group gap="xs">
      <Menu position="bottom-end">
        <Menu.Target>
          <Button variant="default" rightSection={<ChevronDown size={14} aria-hidden />}>
            New component
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {(['brick', 'graph', 'map', 'conditional'] as const).map((k) => (
            <Menu.Item key={k} leftSection={<KindIcon kind={k} size={15} />} onClick={() => void navigate(`/workflows/library/edit/component/new?as=${k}`)}>
              {kindWord(k)}
              <Text size="xs" c="dimmed">
                {kindSays(k)}
              </Text>
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
      <Button component={Link} to={`/workflows/library/edit/workflow/new${workspace === undefined ? '' : `?workspace=${encodeURIComponent(workspace)}`}`} leftSection={<Plus size={16} aria-hidden />}>
        New workflow
      </Button>
    </Group>
  );
}
