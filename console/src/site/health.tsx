import { Anchor, Stack, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { HeartPulse } from 'lucide-react';
import { queries } from '../api/queries';
import { sentence } from '../lib/format';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Facts } from '../ui/facts';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Status } from '../ui/status';
import { DataTable, Row } from '../ui/table';
import { toneOf, wordsFor } from './tone';

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
            site.checks.length === 0 ? (
              <Empty title="Nothing to report" icon={HeartPulse}>
                This server reports no dependencies.
              </Empty>
            ) : (
              <DataTable label="Dependencies" head={['System', 'State', 'Since', 'In words', { label: 'Answers in', align: 'right' }]}>
                {site.checks.map((d) => (
                  <Row key={d.name}>
                    <Table.Td fw={600}>{d.name}</Table.Td>
                    <Table.Td>
                      <Status tone={toneOf(d)}>{d.state}</Status>
                    </Table.Td>
                    <Table.Td>
                      <Age time={d.since} never="–" />
                    </Table.Td>
                    <Table.Td>
                      <Text size="sm">{d.error === undefined ? wordsFor(d) : sentence(d.error)}</Text>
                      {d.error !== undefined && (
                        <Text size="xs" c="dimmed">
                          {wordsFor(d)}
                        </Text>
                      )}
                    </Table.Td>
                    <Table.Td ta="right" className="nowrap">
                      {d.latency_ms < 1 ? '< 1' : Math.round(d.latency_ms)} ms
                    </Table.Td>
                  </Row>
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
