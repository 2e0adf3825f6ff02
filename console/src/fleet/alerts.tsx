import { Anchor, Button, Group, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { BellRing, Package } from 'lucide-react';
import { Link } from 'react-router';
import { fleetAPI } from '../api/fleet';
import type { FleetAlert } from '../api/types';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { count } from '../lib/format';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Status, type Tone } from '../ui/status';
import { type Heard, useDeliveryAlerts } from './alert-store';
import classes from './fleet.module.css';
import { fleetQueries, useSilence } from './queries';

const tones: Record<FleetAlert['tier'], { tone: Tone; word: string }> = {
  error: { tone: 'bad', word: 'error' },
  warning: { tone: 'warn', word: 'warning' },
  info: { tone: 'idle', word: 'information' },
};
const rank = { error: 0, warning: 1, info: 2 };

/** What robots ask people, the worst first and the newest before the older. */
export default function Alerts() {
  const query = useQuery(fleetQueries.alerts());
  const delivery = useDeliveryAlerts();
  const silent = useSilence();
  return (
    <PageView
      title="Alerts"
      lead="What robots ask, and what they report. An answer reaches the robot at once."
      freshness={<Freshness updatedAt={query.dataUpdatedAt} failed={query.isError} silent={silent} />}
    >
      {delivery.length > 0 && (
        <Panel title="Deliveries that wait" hint="Heard since this tab was opened" padded={false}>
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
    </PageView>
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
