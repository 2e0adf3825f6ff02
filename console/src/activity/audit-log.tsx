import { Anchor, Button, Drawer, Group, Menu, NativeSelect, Stack, Table, Text, TextInput, UnstyledButton } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Activity, Download, Link2, Search, ShieldCheck } from 'lucide-react';
import { useState } from 'react';
import { lodge } from '../api/lodge';
import type { AuditRecord } from '../api/types';
import { offsetOf, useFilters } from '../lib/address';
import { count, moment, sentence, short } from '../lib/format';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Facts } from '../ui/facts';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import { DataTable, Row } from '../ui/table';
import { localInput, toInstant } from './when';

const LIMIT = 50;
const defaults = {
  q: '',
  caller: '',
  action: '',
  group: '',
  object: '',
  outcome: '',
  request_id: '',
  since: '',
  until: '',
  offset: '0',
};

/** Everything that was decided and changed: who, with what, did what to what, and by which rule. */
export default function AuditLog() {
  const [filters, change] = useFilters(defaults);
  const { offset: _, ...filter } = filters;
  const offset = offsetOf(filters.offset);
  const [open, setOpen] = useState<AuditRecord>();
  const log = useQuery({
    queryKey: ['audit', 'list', filter, offset],
    queryFn: () => lodge.audit({ ...filter, limit: LIMIT, offset }),
    placeholderData: keepPreviousData,
  });
  const filtered = Object.values(filter).some((v) => v !== '');
  return (
    <PageView
      title="Audit log"
      lead="Every refusal and every change, sealed into a chain that shows if a record is altered or missing."
      freshness={<Freshness updatedAt={log.dataUpdatedAt} failed={log.isError} />}
      actions={
        <Menu position="bottom-end">
          <Menu.Target>
            <Button variant="default" leftSection={<Download size={16} aria-hidden />}>
              Export
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Label>What the filters leave, all of it</Menu.Label>
            <Menu.Item component="a" href={lodge.auditExport('csv', filter)} download="audit.csv">
              CSV, for a spreadsheet
            </Menu.Item>
            <Menu.Item component="a" href={lodge.auditExport('ndjson', filter)} download="audit.ndjson">
              NDJSON, for a program
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      }
    >
      <Chain />
      <Panel padded={false}>
        <Filters key={JSON.stringify(filter)} filters={filters} filtered={filtered} change={change} />
        <Answer query={log} title="The audit log could not be read">
          {(page) =>
            page.items.length === 0 ? (
              <Empty title={filtered ? 'No record matches' : 'Nothing happened yet'} icon={Activity}>
                {filtered ? 'Widen the time or clear a filter.' : 'Logins, refusals and changes appear here as they happen.'}
              </Empty>
            ) : (
              <>
                <DataTable label="Audit records" minWidth={860} head={['When', 'Who', 'Did', 'To', 'Outcome', 'Rule']}>
                  {page.items.map((r) => (
                    <Row key={r.id}>
                      <Table.Td>
                        <UnstyledButton fz="sm" c="pine" fw={550} onClick={() => setOpen(r)}>
                          <Age time={r.at} />
                          <span className="visually-hidden">: open the record</span>
                        </UnstyledButton>
                      </Table.Td>
                      <Table.Td maw={160}>
                        <Text size="sm" truncate title={r.caller}>
                          {r.caller || 'nobody'}
                        </Text>
                      </Table.Td>
                      <Table.Td className="code">{r.action}</Table.Td>
                      <Table.Td maw={240}>
                        <Text size="sm" truncate title={r.object}>
                          {r.object || r.group}
                        </Text>
                        {r.object !== '' && (
                          <Text size="xs" c="dimmed" truncate>
                            on {r.group}
                          </Text>
                        )}
                      </Table.Td>
                      <Table.Td>
                        <Outcome outcome={r.outcome} />
                      </Table.Td>
                      <Table.Td maw={240}>
                        <Text size="xs" c="dimmed" lineClamp={2} title={r.rule}>
                          {r.rule}
                        </Text>
                      </Table.Td>
                    </Row>
                  ))}
                </DataTable>
                <Paging
                  total={page.total}
                  limit={LIMIT}
                  offset={offset}
                  noun={page.total === 1 ? 'record' : 'records'}
                  onChange={(next) => change({ offset: String(next) })}
                />
              </>
            )
          }
        </Answer>
      </Panel>
      <Drawer opened={open !== undefined} onClose={() => setOpen(undefined)} position="right" title="Audit record">
        {open !== undefined && (
          <RecordView
            record={open}
            onRequest={(request_id) => {
              setOpen(undefined);
              change({ ...defaults, request_id });
            }}
          />
        )}
      </Drawer>
    </PageView>
  );
}

/** Whether the chain holds, by the server's last look at every record; it can be asked to look again. */
function Chain() {
  const check = useQuery({
    queryKey: ['verify'],
    queryFn: () => lodge.verifyAudit(),
    refetchInterval: (query) => (query.state.data?.running === true ? 2_000 : 120_000),
  });
  const report = check.data?.report;
  const running = check.isFetching || check.data?.running === true;
  return (
    <Group gap="sm" role="status">
      {report === undefined ? (
        <Status tone="busy">being verified</Status>
      ) : report.ok ? (
        <Status tone="good">chain verified</Status>
      ) : (
        <Status tone="bad">chain broken</Status>
      )}
      {report !== undefined && (
        <Text size="sm" c={report.ok ? 'dimmed' : 'red'}>
          {report.ok
            ? `${count(report.records, 'record')} sealed, in order and unaltered`
            : sentence(report.first?.message ?? count(report.faults, 'fault'))}
          {report.unsealed > 0 && `, ${report.unsealed} waiting for the seal`}, checked <Age time={report.at} />
        </Text>
      )}
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<ShieldCheck size={14} aria-hidden />}
        loading={running}
        onClick={() => void check.refetch()}
      >
        Verify again
      </Button>
      {check.data?.error !== undefined && <Text size="sm">{sentence(check.data.error)}</Text>}
      {check.error !== null && <Problem error={check.error} title="The chain could not be verified" />}
    </Group>
  );
}

interface FiltersProps {
  filters: typeof defaults;
  filtered: boolean;
  change: (next: Partial<typeof defaults>) => void;
}

function Filters({ filters, filtered, change }: FiltersProps) {
  const later = useDebouncedCallback(change, 400);
  const field = (name: 'caller' | 'action' | 'group' | 'object', label: string, placeholder: string) => (
    <TextInput
      label={label}
      placeholder={placeholder}
      defaultValue={filters[name]}
      onChange={(event) => later({ [name]: event.currentTarget.value.trim() })}
      style={{ flex: '1 1 130px' }}
    />
  );
  const moment = (name: 'since' | 'until', label: string) => (
    <TextInput
      label={label}
      type="datetime-local"
      defaultValue={localInput(filters[name])}
      onBlur={(event) => change({ [name]: toInstant(event.currentTarget.value) })}
      style={{ flex: '0 1 200px' }}
    />
  );
  return (
    <Stack p="sm" gap="xs">
      <Group gap="xs" align="flex-end">
        <TextInput
          label="Search"
          placeholder="Who, object, rule or detail"
          leftSection={<Search size={15} aria-hidden />}
          defaultValue={filters.q}
          onChange={(event) => later({ q: event.currentTarget.value.trim() })}
          style={{ flex: '1 1 200px' }}
        />
        <NativeSelect
          label="Outcome"
          value={filters.outcome}
          onChange={(event) => change({ outcome: event.currentTarget.value })}
          data={[
            { value: '', label: 'Any' },
            { value: 'allowed', label: 'Allowed' },
            { value: 'denied', label: 'Denied' },
            { value: 'failed', label: 'Failed' },
          ]}
        />
        {moment('since', 'Since')}
        {moment('until', 'Until')}
      </Group>
      <Group gap="xs" align="flex-end">
        {field('caller', 'Who', 'Name')}
        {field('action', 'Action', 'e.g. roles.write')}
        {field('group', 'Group', 'e.g. site')}
        {field('object', 'Object', 'e.g. roles/operator')}
        {filtered && (
          <Button variant="subtle" color="gray" onClick={() => change(defaults)}>
            {filters.request_id === '' ? 'Clear filters' : `Clear filters (request ${short(filters.request_id)})`}
          </Button>
        )}
      </Group>
    </Stack>
  );
}

function Outcome({ outcome }: { outcome: string }) {
  switch (outcome) {
    case 'allowed':
      return <Status tone="good">allowed</Status>;
    case 'denied':
      return <Status tone="warn">denied</Status>;
    default:
      return <Status tone="bad">{outcome}</Status>;
  }
}

function RecordView({ record, onRequest }: { record: AuditRecord; onRequest: (id: string) => void }) {
  return (
    <Stack gap="md">
      <Group gap="xs">
        <Outcome outcome={record.outcome} />
        {record.seq === undefined ? (
          <Status tone="idle">waits for its seal</Status>
        ) : (
          <Status tone="good">sealed as number {record.seq}</Status>
        )}
      </Group>
      <Facts
        items={[
          ['When', moment(record.at)],
          ['Who', record.caller || 'nobody'],
          ['With', record.credential || '–'],
          ['From', record.address || '–'],
          ['Action', <span className="code" key="a">{record.action}</span>],
          ['Group', record.group],
          ['Object', record.object || '–'],
          ['Rule', record.rule || '–'],
          ['Detail', record.detail || '–'],
          [
            'Request',
            record.request_id === '' ? (
              '–'
            ) : (
              <Anchor key="r" component="button" size="sm" onClick={() => onRequest(record.request_id)}>
                <Link2 size={13} aria-hidden /> <span className="code">{record.request_id}</span>
              </Anchor>
            ),
          ],
        ]}
      />
    </Stack>
  );
}
