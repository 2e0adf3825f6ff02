import { ActionIcon, Anchor, Indicator, Popover, Stack, Text } from '@mantine/core';
import { Bell } from 'lucide-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { useAlertFeed } from '../fleet/alert-store';
import { count } from '../lib/format';
import { Status } from '../ui/status';
import { useAlerts } from './alerts';

/** What needs somebody, one click away from every page. */
export function AlertsBell() {
  useAlertFeed();
  const alerts = useAlerts();
  const [opened, setOpened] = useState(false);
  const label = alerts.length === 0 ? 'No alerts' : count(alerts.length, 'alert');
  return (
    <Popover width={340} position="bottom-end" shadow="md" withArrow opened={opened} onChange={setOpened}>
      <Indicator label={alerts.length} size={16} color="red.8" disabled={alerts.length === 0} offset={5}>
        <Popover.Target>
          <ActionIcon size="lg" aria-label={label} onClick={() => setOpened(!opened)}>
            <Bell size={18} />
          </ActionIcon>
        </Popover.Target>
      </Indicator>
      <Popover.Dropdown>
        {alerts.length === 0 ? (
          <Text size="sm" c="dimmed">
            Nothing needs you. Robots that ask, apps about to close, failed uploads and systems that are away appear here.
          </Text>
        ) : (
          <Stack gap="sm">
            {alerts.map((a) => (
              <Stack key={a.id} gap={2} align="flex-start">
                <Status tone={a.tone}>{a.tone === 'bad' ? 'Needs you' : 'Waiting'}</Status>
                <Text size="sm">{a.text}</Text>
                <Anchor component={Link} to={a.link} size="sm" onClick={() => setOpened(false)}>
                  Look at it
                </Anchor>
              </Stack>
            ))}
          </Stack>
        )}
      </Popover.Dropdown>
    </Popover>
  );
}
