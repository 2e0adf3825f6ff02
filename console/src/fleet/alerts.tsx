import { Anchor, Button, Group, SegmentedControl, Stack, Table, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { BellRing, MessageSquareReply, Package } from 'lucide-react';
import { Link } from 'react-router';
import { fleetAPI } from '../api/fleet';
import type { FleetAlert } from '../api/types';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { offsetOf, useFilters } from '../lib/address';
import { count } from '../lib/format';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Status, type Tone } from '../ui/status';
import { DataTable, Row } from '../ui/table';
import { type Heard, useDeliveryAlerts } from './alert-store';
import classes from './fleet.module.css';
import { fleetQueries, useSilence } from './queries';

const tones: Record<FleetAlert['tier'], { tone: Tone; word: string }> = {
  error: { tone: 'bad', word: 'error' },
  warning: { tone: 'warn', word: 'warning' },
  info: { tone: 'idle', word: 'information' },
};
const rank = { error: 0, warning: 1, info: 2 };

const LIMIT = 50;
const defaults = { show: 'waiting', offset: '0' };

/** What robots ask people, and what they were answered. */
export default function Alerts() {
  const [filters, change] = useFilters(defaults);
  const query = useQuery(fleetQueries.alerts());
  const silent = useSilence();
  return (
    <PageView
      title="Alerts"
      lead="What robots ask, and what they report. An answer reaches the robot at once."
      freshness={<Freshness updatedAt={query.dataUpdatedAt} failed={query.isError} silent={silent} />}
      actions={
        <SegmentedControl
          size="xs"
          aria-label="Which"
          value={filters.show}
          onChange={(show) => change({ show })}
          data={[
            { value: 'waiting', label: 'Waiting' },
            { value: 'answered', label: 'Answered' },
          ]}
        />
      }
    >
      {filters.show === 'answered' ? (
        <Answered offset={offsetOf(filters.offset)} onOffset={(offset) => change({ offset: String(offset) })} />
      ) : (
        <Waiting />
      )}
    </PageView>
  );
}

/** What waits for an answer, the worst first and the newest before the older. */
function Waiting() {
  const query = useQuery(fleetQueries.alerts());
  const delivery = useDeliveryAlerts();
  return (
    <>
      {delivery.length > 0 && (
        <Panel title="Deliveries that wait" hint="The robot stays where it is until somebody answers" padded={false}>
          <ul className={classes.alerts}>
            {delivery.map((a) => (
              <DeliveryItem key={a.id} alert={a} />
            ))}
          </ul>
        </Panel>
      )}
      <Panel title="Waiting for an answer" hint={query.data === undefined ? undefined : count(query.data.length, 'alert')} padded={false}>
        <Answer query={query} title="The alerts could not be read">
          {(alerts) =>
            alerts.length === 0 ? (
              <Empty title="Nothing waits for you" icon={BellRing}>
                A robot that is stuck, a task that failed or goods that are missing appear here, with what you can answer.
              </Empty>
            ) : (
              <ul className={classes.alerts}>
                {[...alerts]
                  .sort((a, b) => rank[a.tier] - rank[b.tier] || b.unix_millis_alert_time - a.unix_millis_alert_time)
                  .map((a) => (
                    <AlertItem key={a.id} alert={a} />
                  ))}
              </ul>
            )
          }
        </Answer>
      </Panel>
    </>
  );
}

/** What was answered, the newest alert first. */
function Answered({ offset, onOffset }: { offset: number; onOffset: (offset: number) => void }) {
  const query = useQuery(fleetQueries.answered(LIMIT, offset));
  return (
    <Panel title="Answered" padded={false}>
      <Answer query={query} title="The answers could not be read">
        {({ items, total }) =>
          items.length === 0 ? (
            <Empty title="Nothing was answered yet" icon={MessageSquareReply}>
              An alert is listed here as soon as somebody has answered it.
            </Empty>
          ) : (
            <>
              <DataTable label="Answered alerts" minWidth={680} head={['Alert', 'Raised', 'Answer', 'Answered']}>
                {items.map(({ request, response }) => (
                  <Row key={request.id}>
                    <Table.Td maw={320}>
                      <Group gap="xs">
                        <Status tone={tones[request.tier].tone}>{tones[request.tier].word}</Status>
                        <Text size="sm" fw={550}>
                          {request.title}
                        </Text>
                      </Group>
                      <Text size="xs" c="dimmed" lineClamp={2}>
                        {request.message !== '' ? request.message : request.subtitle}
                      </Text>
                      {request.task_id !== null && (
                        <Anchor component={Link} to={`/fleet/tasks/${encodeURIComponent(request.task_id)}`} size="xs">
                          Look at the task
                        </Anchor>
                      )}
                    </Table.Td>
                    <Table.Td>
                      <Age time={request.unix_millis_alert_time} />
                    </Table.Td>
                    <Table.Td>{response?.response}</Table.Td>
                    <Table.Td>
                      <Age time={response?.unix_millis_response_time} />
                    </Table.Td>
                  </Row>
                ))}
              </DataTable>
              <Paging total={total} limit={LIMIT} offset={offset} noun="alerts" onChange={onOffset} />
            </>
          )
        }
      </Answer>
    </Panel>
  );
}

function AlertItem({ alert }: { alert: FleetAlert }) {
  const me = useMe();
  const client = useQueryClient();
  const respond = useMutation({
    mutationFn: (response: string) => fleetAPI.answer(alert.id, response),
    onSuccess: async (_, response) => {
      notifications.show({ message: `${alert.title}: answered “${response}”.`, color: 'pine' });
      await client.invalidateQueries({ queryKey: ['fleet', 'alerts'] });
    },
  });
  const look = tones[alert.tier];
  const more = alert.alert_parameters.map((p) => `${p.name}: ${p.value}`).join(' · ');
  return (
    <li data-testid="alert">
      <Group justify="space-between" align="flex-start" gap="sm">
        <Stack gap={2} flex="1 1 280px">
          <Group gap="xs">
            <Status tone={look.tone}>{look.word}</Status>
            <Text fw={600} size="sm">
              {alert.title}
            </Text>
            <Text size="xs" c="dimmed">
              <Age time={alert.unix_millis_alert_time} />
            </Text>
          </Group>
          {alert.message !== '' && (
            <Text size="sm" className={classes.message}>
              {alert.message}
            </Text>
          )}
          <Text size="xs" c="dimmed">
            {[alert.subtitle, more].filter((t) => t !== '').join(' · ')}
          </Text>
          {alert.task_id !== null && (
            <Anchor component={Link} to={`/fleet/tasks/${encodeURIComponent(alert.task_id)}`} size="sm">
              Look at the task
            </Anchor>
          )}
        </Stack>
        {may(me, 'fleet.alerts.respond') && (
          <Group gap="xs">
            {alert.responses_available.map((r, i) => (
              <Button
                key={r}
                size="compact-sm"
                variant={i === 0 && alert.tier !== 'info' ? 'filled' : 'default'}
                loading={respond.isPending && respond.variables === r}
                disabled={respond.isPending}
                onClick={() => respond.mutate(r)}
              >
                {r}
              </Button>
            ))}
          </Group>
        )}
      </Group>
      {respond.error !== null && <Problem error={respond.error} title="It was not answered" />}
    </li>
  );
}

const categories = { missing: 'The goods are missing', wrong: 'The goods are wrong', obstructed: 'The way is blocked', cancelled: 'Cancelled' };
const actions = [
  { action: 'resume', label: 'Try again' },
  { action: 'override', label: 'Go on anyway' },
  { action: 'cancel', label: 'Cancel the delivery' },
] as const;

function DeliveryItem({ alert }: { alert: Heard }) {
  const me = useMe();
  const respond = useMutation({
    mutationFn: (action: string) =>
      fleetAPI.answerDelivery(alert.id, { category: alert.category, tier: alert.tier, task_id: alert.task_id, action, message: alert.message }),
    onSuccess: () => notifications.show({ message: 'The answer was given to the robot.', color: 'pine' }),
  });
  return (
    <li data-testid="delivery-alert">
      <Group justify="space-between" align="flex-start" gap="sm">
        <Stack gap={2} flex="1 1 280px">
          <Group gap="xs">
            <Status tone={alert.tier === 'error' ? 'bad' : 'warn'}>{alert.tier}</Status>
            <Package size={15} aria-hidden />
            <Text fw={600} size="sm">
              {categories[alert.category]}
            </Text>
            <Text size="xs" c="dimmed">
              <Age time={alert.heardAt} />
            </Text>
          </Group>
          <Text size="sm">{alert.message}</Text>
          <Anchor component={Link} to={`/fleet/tasks/${encodeURIComponent(alert.task_id)}`} size="sm">
            Look at the task
          </Anchor>
        </Stack>
        {may(me, 'fleet.alerts.respond') && (
          <Group gap="xs">
            {actions.map((a, i) => (
              <Button
                key={a.action}
                size="compact-sm"
                variant={i === 0 ? 'filled' : 'default'}
                disabled={respond.isPending}
                loading={respond.isPending && respond.variables === a.action}
                onClick={() => respond.mutate(a.action)}
              >
                {a.label}
              </Button>
            ))}
          </Group>
        )}
      </Group>
      {respond.error !== null && <Problem error={respond.error} title="It was not answered" />}
    </li>
  );
}
