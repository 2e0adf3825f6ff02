import { Alert, Button, SimpleGrid, Stack, Table, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { RefreshCw, Server, TriangleAlert } from 'lucide-react';
import { appsAPI } from '../api/apps';
import type { AppCapacity, AppDriver } from '../api/types';
import { sentence } from '../lib/format';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Facts } from '../ui/facts';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import { DataTable, Row } from '../ui/table';
import { enforcement } from './enforced';
import { appsQueries } from './queries';

/** What runs apps, how it is, and which limits it truly enforces. */
export default function Drivers() {
  const client = useQueryClient();
  const query = useQuery(appsQueries.drivers());
  const capacity = useQuery(appsQueries.capacity());
  const compare = useMutation({
    mutationFn: appsAPI.reconcile,
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['apps'] });
      notifications.show({ message: 'The app sessions agree with what runs.', color: 'pine' });
    },
  });
  return (
    <PageView
      title="Drivers"
      lead="What runs apps. A limit in the catalogue holds only where its driver enforces it: here is where it does."
      freshness={<Freshness updatedAt={query.dataUpdatedAt} failed={query.isError} />}
      actions={
        <Button variant="default" leftSection={<RefreshCw size={15} aria-hidden />} loading={compare.isPending} onClick={() => compare.mutate()}>
          Compare with what runs
        </Button>
      }
    >
      {compare.error !== null && <Problem error={compare.error} title="They could not all be compared" />}
      <Answer query={query} title="The drivers could not be read">
        {(drivers) =>
          drivers.length === 0 ? (
            <Empty title="There is no driver" icon={Server}>
              Set apps.driver in the configuration.
            </Empty>
          ) : (
            <SimpleGrid cols={{ base: 1, lg: 2 }} spacing="md">
              {drivers.map((d) => (
                <DriverPanel key={d.name} driver={d} />
              ))}
              {capacity.data !== undefined && <Site capacity={capacity.data} />}
            </SimpleGrid>
          )
        }
      </Answer>
    </PageView>
  );
}

function DriverPanel({ driver: d }: { driver: AppDriver }) {
  const limits = enforcement(d.enforced);
  return (
    <Panel
      title={d.name}
      hint={d.version === '' ? undefined : `version ${d.version}`}
      padded={false}
      actions={<Status tone={d.state === 'ok' ? 'good' : 'bad'}>{d.state === 'ok' ? 'answers' : 'away'}</Status>}
    >
      {(d.error !== undefined || d.warnings.length > 0) && (
        <Stack gap="xs" p="md">
          {d.error !== undefined && (
            <Alert color="red" icon={<TriangleAlert size={18} />} title={sentence(d.error)}>
              Apps that run already are not affected. New ones wait until it answers, and nothing is closed for being idle meanwhile.
            </Alert>
          )}
          {d.warnings.map((w) => (
            <Alert key={w} color="yellow" icon={<TriangleAlert size={18} />}>
              {sentence(w.charAt(0).toUpperCase() + w.slice(1))}
            </Alert>
          ))}
        </Stack>
      )}
      {limits.length > 0 && (
        <DataTable label={`Limits of ${d.name}`} minWidth={320} head={['Limit', 'Enforced']}>
          {limits.map((l) => (
            <Row key={l.key}>
              <Table.Td>{l.label}</Table.Td>
              <Table.Td>
                <Status tone={l.tone}>{l.word}</Status>
                {l.detail !== '' && (
                  <Text size="xs" c="dimmed" mt={2}>
                    {l.detail}
                  </Text>
                )}
              </Table.Td>
            </Row>
          ))}
        </DataTable>
      )}
    </Panel>
  );
}

function Site({ capacity: c }: { capacity: AppCapacity }) {
  return (
    <Panel title="The whole site" hint="What runs now">
      <Facts
        items={[
          ['Running', c.sessions > 0 ? `${c.running} of ${c.sessions}` : String(c.running)],
          ['Starting', `${c.starting} of ${c.starts_at_once} at a time`],
          ['Waiting', String(c.queued)],
          ['For one person', c.sessions_per_user > 0 ? `${c.sessions_per_user} at once` : 'no limit'],
        ]}
      />
    </Panel>
  );
}
