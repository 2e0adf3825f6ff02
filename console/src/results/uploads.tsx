import { Alert, Button, Group, SegmentedControl, Table, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { CloudOff, RotateCw, Trash2, UploadCloud } from 'lucide-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { lodge } from '../api/lodge';
import { queries } from '../api/queries';
import type { Hub, Upload } from '../api/types';
import { useMe } from '../frame/me-context';
import { may } from '../frame/may';
import { offsetOf, useFilters } from '../lib/address';
import { bytes, count, moment, sentence } from '../lib/format';
import { Age, Countdown } from '../ui/age';
import { Answer } from '../ui/answer';
import { Confirm } from '../ui/confirm';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import { DataTable, Row } from '../ui/table';
import { SendingList } from './sending-list';

const LIMIT = 50;
const defaults = { state: '', offset: '0' };
const states = [
  { value: '', label: 'All' },
  { value: 'queued', label: 'Waiting' },
  { value: 'sending', label: 'Sending' },
  { value: 'failed', label: 'Failed' },
  { value: 'delivered', label: 'Delivered' },
];

/** The queue to the hub: nothing in it is lost, and each line says what happens next. */
export default function Uploads() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const offset = offsetOf(filters.offset);
  const hub = useQuery(queries.hub());
  const uploads = useQuery({
    queryKey: ['results', 'uploads', { state: filters.state, offset }],
    queryFn: () => lodge.uploads({ state: stateOf(filters.state), limit: LIMIT, offset }),
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
  });
  return (
    <PageView
      title="Uploads to the hub"
      lead="Final results are stored here first and delivered to the hub in the background, across restarts, each once."
      freshness={<Freshness updatedAt={uploads.dataUpdatedAt} failed={uploads.isError} />}
      actions={
        may(me, 'results.write') && (
          <Button component={Link} to="/results/files?do=upload&to=hub" leftSection={<UploadCloud size={16} aria-hidden />}>
            Send a result
          </Button>
        )
      }
    >
      {hub.data !== undefined && <HubBanner hub={hub.data} />}
      <SendingList />
      <Panel padded={false}>
        <Group p="sm">
          <SegmentedControl
            aria-label="State"
            value={filters.state}
            onChange={(state) => change({ state })}
            data={states}
            size="xs"
          />
        </Group>
        <Answer query={uploads} title="The queue could not be read">
          {(page) =>
            page.items.length === 0 ? (
              <Empty title={filters.state === '' ? 'Nothing was sent to the hub yet' : 'No upload in this state'} icon={UploadCloud}>
                {filters.state === ''
                  ? 'A final result appears here the moment it is stored, and stays with its history after it is delivered.'
                  : 'Choose “All” to see every upload.'}
              </Empty>
            ) : (
              <>
                <DataTable
                  label="Uploads"
                  minWidth={860}
                  head={['File', 'Analysis', 'State', { label: 'Tries', align: 'right' }, 'What happens next', { label: 'Actions', hidden: true }]}
                >
                  {page.items.map((u) => (
                    <UploadRow key={u.id} upload={u} hub={hub.data} />
                  ))}
                </DataTable>
                <Paging
                  total={page.total}
                  limit={LIMIT}
                  offset={offset}
                  noun="uploads"
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

/** The state in the address, if there is such a state. */
function stateOf(value: string): Upload['state'] | undefined {
  return (['queued', 'sending', 'failed', 'delivered'] as const).find((s) => s === value);
}

function HubBanner({ hub }: { hub: Hub }) {
  if (!hub.configured) {
    return (
      <Alert color="gray" icon={<CloudOff size={18} />} title="No hub is set up">
        Final results are kept safely and wait. Set <span className="code">results.hub</span> in the configuration to deliver
        them; nothing has to be sent again.
      </Alert>
    );
  }
  if (hub.reachable) return null;
  return (
    <Alert
      color="yellow"
      icon={<CloudOff size={18} />}
      title={hub.unreachable_since === undefined ? 'The hub is unreachable' : `Hub unreachable since ${moment(hub.unreachable_since)}`}
    >
      <Text size="sm">
        {hub.reason === undefined ? '' : `${sentence(hub.reason)} `}
        {count(hub.waiting, 'upload waits', 'uploads wait')} and {hub.waiting === 1 ? 'is' : 'are'} tried again without end, with
        growing pauses.
      </Text>
    </Alert>
  );
}

function UploadRow({ upload, hub }: { upload: Upload; hub: Hub | undefined }) {
  const me = useMe();
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const write = may(me, 'results.uploads.write', upload.project_id);
  const fresh = () => client.invalidateQueries({ queryKey: ['results'] });
  const retry = useMutation({
    mutationFn: () => lodge.retryUpload(upload.id),
    onSuccess: fresh,
  });
  const remove = useMutation({
    mutationFn: () => lodge.deleteUpload(upload.id),
    onSuccess: async () => {
      setAsking(false);
      await fresh();
      notifications.show({ message: `${upload.filename} is out of the queue.`, color: 'pine' });
    },
  });
  return (
    <Row>
      <Table.Td maw={260}>
        <Text size="sm" fw={550} truncate title={upload.filename}>
          {upload.filename}
        </Text>
        <Text size="xs" c="dimmed" className="nowrap">
          {bytes(upload.size)} · stored <Age time={upload.created_at} />
        </Text>
      </Table.Td>
      <Table.Td maw={200}>
        <Text size="sm" truncate title={upload.analysis_id}>
          {upload.analysis_id}
        </Text>
        <Text size="xs" c="dimmed" truncate>
          {upload.project_id}
        </Text>
      </Table.Td>
      <Table.Td>
        <UploadStateBadge state={upload.state} />
      </Table.Td>
      <Table.Td ta="right">{upload.attempts}</Table.Td>
      <Table.Td maw={340}>
        <Next upload={upload} hub={hub} />
        {upload.last_error !== undefined && upload.state !== 'delivered' && (
          <Text size="xs" c="dimmed" lineClamp={3} title={upload.last_error}>
            Last error: {upload.last_error}
          </Text>
        )}
        {retry.error !== null && <Problem error={retry.error} title="It could not be retried" />}
      </Table.Td>
      <Table.Td>
        <Group gap={6} wrap="nowrap" justify="flex-end">
          {write && upload.state !== 'delivered' && upload.state !== 'sending' && (
            <Button
              size="compact-sm"
              variant="default"
              leftSection={<RotateCw size={14} aria-hidden />}
              loading={retry.isPending}
              onClick={() => retry.mutate()}
            >
              Retry now
            </Button>
          )}
          {write && (
            <Button
              size="compact-sm"
              variant="subtle"
              color="red"
              aria-label={`Delete ${upload.filename} from the queue`}
              onClick={() => setAsking(true)}
            >
              <Trash2 size={15} aria-hidden />
            </Button>
          )}
        </Group>
        <Confirm
          opened={asking}
          title="Delete from the queue"
          type={upload.state === 'delivered' ? undefined : upload.filename}
          action="Delete"
          busy={remove.isPending}
          error={remove.error}
          onConfirm={() => remove.mutate()}
          onClose={() => setAsking(false)}
        >
          {upload.state === 'delivered'
            ? 'The hub has it. Only the entry here goes away.'
            : 'It has not reached the hub. Deleting it destroys the only copy of this result; it cannot be undone.'}
        </Confirm>
      </Table.Td>
    </Row>
  );
}

function UploadStateBadge({ state }: { state: Upload['state'] }) {
  switch (state) {
    case 'queued':
      return <Status tone="idle">waiting</Status>;
    case 'sending':
      return <Status tone="busy">sending</Status>;
    case 'delivered':
      return <Status tone="good">delivered</Status>;
    case 'failed':
      return <Status tone="bad">failed</Status>;
  }
}

function Next({ upload, hub }: { upload: Upload; hub: Hub | undefined }) {
  switch (upload.state) {
    case 'delivered':
      return (
        <Text size="sm" component="div">
          Delivered <Age time={upload.delivered_at} />
        </Text>
      );
    case 'sending':
      return <Text size="sm">On its way to the hub</Text>;
    case 'failed':
      return <Text size="sm">Set aside: it is tried again only when you say so</Text>;
    case 'queued':
      if (hub?.configured === false) return <Text size="sm">{upload.waiting_for ?? 'Waits until a hub is set up'}</Text>;
      return (
        <>
          <Text size="sm" component="div">
            Next try {upload.next_attempt === undefined ? 'soon' : <Countdown time={upload.next_attempt} />}
          </Text>
          {upload.waiting_for !== undefined && upload.waiting_for !== upload.last_error && (
            <Text size="xs" c="dimmed">
              Waits for: {upload.waiting_for}
            </Text>
          )}
        </>
      );
  }
}
