import { Anchor, Stack, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { HeartPulse } from 'lucide-react';
import { queries } from '../api/queries';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Facts } from '../ui/facts';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Status } from '../ui/status';
import { DataTable } from '../ui/table';
import { toneOf } from './tone';

/** Each system that Lodge needs, in words: how it is, since when, and what works without it. */
export default function Health() {
  const health = useQuery(queries.health());
  return (
    <PageView
      title="Health"
      lead="Each system that Lodge needs: how it is, since when, and what still works without it."
      freshness={<Freshness updatedAt={health.dataUpdatedAt} failed={health.isError} />}
    >
      <Panel padded={false}>
        <Answer query={health} title="The health could not be read">
          {(site) =>
            site.items.length === 0 ? (
              <Empty title="Nothing to report" icon={HeartPulse}>
                This server reports no dependencies.
              </Empty>
            ) : (
              <DataTable label="Dependencies" head={['System', 'State', 'Since', 'In words']}>
                {site.items.map((d) => (
                  <Table.Tr key={d.name}>
                    <Table.Td fw={600}>{d.name}</Table.Td>
                    <Table.Td>
                      <Status tone={toneOf(d.state)}>{d.state}</Status>
                    </Table.Td>
                    <Table.Td>
                      <Age time={d.checked_at} never="–" />
                    </Table.Td>
                    <Table.Td>
                      <Text size="sm">{d.detail}</Text>
                    </Table.Td>
                  </Table.Tr>
                ))}
              </DataTable>
            )
          }
        </Answer>
      </Panel>
      <Stack gap="xs">
        <Facts
          items={[
            ['Version', health.data?.version ?? '–'],
            [
              'For machines',
              <span key="m">
                <Anchor href="/readyz" size="sm">
                  /readyz
                </Anchor>
                {' · '}
                <Anchor href="/healthz" size="sm">
                  /healthz
                </Anchor>
                {' · '}
                <Anchor href="/metrics" size="sm">
                  /metrics
                </Anchor>
                {' · '}
                <Anchor href="/docs" size="sm">
                  the API’s documentation
                </Anchor>
              </span>,
            ],
          ]}
        />
      </Stack>
    </PageView>
  );
}
