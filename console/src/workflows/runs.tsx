import { Anchor, Button, Checkbox, Group, NativeSelect, SegmentedControl, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Library, Workflow as WorkflowIcon } from 'lucide-react';
import { Link } from 'react-router';
import { contains, type RunItem, type Term } from '../api/workflows';
import { useMe } from '../frame/me-context';
import { offsetOf, useFilters } from '../lib/address';
import { short } from '../lib/format';
import { useNow } from '../lib/now';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { DataTable, Row } from '../ui/table';
import { TextFilter } from '../ui/text-filter';
import { PhaseMark } from './mark';
import { workflowQueries } from './query';
import { duration, isFinal, time } from './run';

const LIMIT = 25;
const defaults = { state: '', workflow: '', id: '', workspace: '', words: '', mine: '', since: '', sort: '-timestamp', offset: '0' };
const states: readonly { value: string; label: string }[] = [
  { value: '', label: 'All' },
  { value: 'Pending', label: 'Waiting' },
  { value: 'Running', label: 'Running' },
  { value: 'Succeeded', label: 'Succeeded' },
  { value: 'Failed', label: 'Failed' },
];
const spans: Readonly<Record<string, number>> = { '1h': 3_600_000, '24h': 86_400_000, '7d': 604_800_000 };

/** What runs, ran and will run; found, sorted and paged by the server. */
export default function Runs() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const offset = offsetOf(filters.offset);
  // The moment moves by whole minutes, so that the question stays the same for a while.
  const terms = termsOf(filters, me.email, Math.floor(useNow() / 60_000) * 60_000);
  const runs = useQuery(workflowQueries.runs({ terms, sort: filters.sort, limit: LIMIT, offset }));
  const workspaces = useQuery(workflowQueries.workspaces());
  return (
    <PageView
      title="Runs"
      lead="What runs now, and what ran before, with how it ended."
      freshness={<Freshness updatedAt={runs.dataUpdatedAt} failed={runs.isError} />}
      actions={
        <Button component={Link} to="/workflows/library" leftSection={<Library size={16} aria-hidden />}>
          Choose what to run
        </Button>
      }
    >
      <Panel padded={false}>
        <Group p="sm" gap="sm" align="center">
          <SegmentedControl aria-label="State" size="xs" value={filters.state} onChange={(state) => change({ state })} data={[...states]} />
          <TextFilter label="Workflow" value={filters.workflow} onChange={(workflow) => change({ workflow })} search />
          <TextFilter label="Description" value={filters.words} onChange={(words) => change({ words })} />
          <NativeSelect
            aria-label="Workspace"
            size="xs"
            value={filters.workspace}
            onChange={(e) => change({ workspace: e.currentTarget.value })}
            data={[{ value: '', label: 'Every workspace' }, ...(workspaces.data ?? []).map((w) => ({ value: w.name, label: w.name }))]}
          />
          <NativeSelect
            aria-label="Submitted"
            size="xs"
            value={filters.since}
            onChange={(e) => change({ since: e.currentTarget.value })}
            data={[
              { value: '', label: 'Any time' },
              { value: '1h', label: 'Last hour' },
              { value: '24h', label: 'Last day' },
              { value: '7d', label: 'Last week' },
            ]}
          />
          <NativeSelect
            aria-label="Order"
            size="xs"
            value={filters.sort}
            onChange={(e) => change({ sort: e.currentTarget.value })}
            data={[
              { value: '-timestamp', label: 'Newest first' },
              { value: '+timestamp', label: 'Oldest first' },
              { value: '-finished', label: 'Last ended first' },
              { value: '+workflow.name', label: 'By workflow' },
            ]}
          />
          <Checkbox label="Mine" size="xs" checked={filters.mine === '1'} onChange={(e) => change({ mine: e.currentTarget.checked ? '1' : '' })} />
        </Group>
        <Answer query={runs} title="The runs could not be read">
          {(page) =>
            page.items.length === 0 ? (
              <Empty
                title={terms.length > 0 ? 'No run is like that' : 'Nothing has run yet'}
                icon={WorkflowIcon}
                action={
                  terms.length === 0 && (
                    <Button component={Link} to="/workflows/library">
                      Open the library
                    </Button>
                  )
                }
              >
                {terms.length > 0 ? 'Clear a filter to see more.' : 'Choose a workflow in the library and start it: it appears here at once, and says what each of its steps does.'}
              </Empty>
            ) : (
              <>
                <DataTable label="Runs" minWidth={820} head={['Run', 'State', 'Workspace', 'By', 'Submitted', 'Took']}>
                  {page.items.map((r) => (
                    <RunRow key={r.uid} run={r} />
                  ))}
                </DataTable>
                <Paging total={page.total} limit={LIMIT} offset={offset} noun={page.total === 1 ? 'run' : 'runs'} onChange={(next) => change({ offset: String(next) })} />
              </>
            )
          }
        </Answer>
      </Panel>
    </PageView>
  );
}

/** The server's question for what stands in the address. */
export function termsOf(filters: Record<keyof typeof defaults, string>, email: string, now: number): Term[] {
  const terms: Term[] = [];
  const is = (field: string, value: string) => {
    if (value.trim() !== '') terms.push({ field, op: '==', value: value.trim() });
  };
  is('status', filters.state);
  is('workspace', filters.workspace);
  is('workflow.uid', filters.id);
  if (filters.workflow.trim() !== '') terms.push(contains('workflow.name', filters.workflow));
  if (filters.words.trim() !== '') terms.push(contains('description', filters.words));
  if (filters.mine === '1') is('modifiedBy.email', email);
  const span = spans[filters.since];
  if (span !== undefined) terms.push({ field: 'timestamp', op: '>=', value: new Date(now - span).toISOString() });
  return terms;
}

function RunRow({ run }: { run: RunItem }) {
  return (
    <Row>
      <Table.Td maw={320}>
        <Anchor component={Link} to={`/workflows/runs/${run.uid}`} size="sm" fw={550}>
          {run.workflow?.name ?? run.name ?? 'Run'} <span className="code">{short(run.uid)}</span>
        </Anchor>
        {run.description !== undefined && (
          <Text size="xs" c="dimmed" lineClamp={1}>
            {run.description}
          </Text>
        )}
      </Table.Td>
      <Table.Td>
        <PhaseMark phase={run.status} />
      </Table.Td>
      <Table.Td>{run.workspace}</Table.Td>
      <Table.Td>{run.modifiedBy?.email ?? '–'}</Table.Td>
      <Table.Td>
        <Age time={run.timestamp} />
      </Table.Td>
      <Table.Td>
        <Took run={run} />
      </Table.Td>
    </Row>
  );
}

function Took({ run }: { run: RunItem }) {
  const now = useNow();
  const start = time(run.started);
  if (start === undefined) return <>–</>;
  const end = time(run.finished) ?? (isFinal(run.status) ? start : now);
  return <>{duration(end - start)}</>;
}
