import { Avatar, Badge, Group, Menu, SegmentedControl, Stack, Text, UnstyledButton, useMantineColorScheme } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { KeyRound, LogOut, MonitorSmartphone, ShieldQuestion } from 'lucide-react';
import { Link } from 'react-router';
import { advice } from '../api/errors';
import { logOut } from './log-out';
import { useMe } from './me-context';
import { may } from './may';
import classes from './frame.module.css';

/** Who I am here, what I may do, and the way out. */
export function MeMenu() {
  const me = useMe();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const leave = () => {
    logOut().catch((error: unknown) => {
      notifications.show({ color: 'red', title: 'You are still logged in', message: advice(error) });
    });
  };
  const name = me.name || me.email || 'me';
  return (
    <Menu width={260} position="bottom-end" shadow="md" withArrow>
      <Menu.Target>
        <UnstyledButton className={classes.me} aria-label={`You: ${name}`}>
          <Avatar size={30} radius="xl" color="pine" name={name} alt="">
            {initials(name)}
          </Avatar>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Stack gap={4} px="sm" py="xs">
          <Text fw={600} truncate>
            {name}
          </Text>
          {me.email !== '' && me.email !== name && (
            <Text size="xs" c="dimmed" truncate>
              {me.email}
            </Text>
          )}
          <Group gap={4} mt={2}>
            {me.admin && <Badge color="yellow">administrator</Badge>}
            {me.roles.map((r) => (
              <Badge key={r} color="gray">
                {r}
              </Badge>
            ))}
            {!me.admin && me.roles.length === 0 && (
              <Text size="xs" c="dimmed">
                No roles yet: ask an administrator for one.
              </Text>
            )}
          </Group>
        </Stack>
        <Menu.Divider />
        <Menu.Item component={Link} to="/access/sessions" leftSection={<MonitorSmartphone size={16} aria-hidden />}>
          My sessions
        </Menu.Item>
        <Menu.Item component={Link} to="/access/tokens" leftSection={<KeyRound size={16} aria-hidden />}>
          My tokens
        </Menu.Item>
        {may(me, 'access.explain') && me.id !== '' && (
          <Menu.Item
            component={Link}
            to={`/access/who-can?user=${encodeURIComponent(me.id)}`}
            leftSection={<ShieldQuestion size={16} aria-hidden />}
          >
            What may I do?
          </Menu.Item>
        )}
        <Menu.Divider />
        <Stack gap={4} px="sm" py={6}>
          <Text size="xs" c="dimmed" id="theme-label">
            Theme
          </Text>
          <SegmentedControl
            size="xs"
            fullWidth
            aria-labelledby="theme-label"
            value={colorScheme}
            onChange={(value) => setColorScheme(value)}
            data={[
              { value: 'light', label: 'Light' },
              { value: 'dark', label: 'Dark' },
              { value: 'auto', label: 'System' },
            ]}
          />
        </Stack>
        <Menu.Divider />
        <Menu.Item onClick={leave} leftSection={<LogOut size={16} aria-hidden />}>
          Log out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function initials(name: string): string {
  const words = name.split(/[\s._@-]+/).filter((w) => w !== '');
  return words
    .slice(0, 2)
    .map((w) => w.charAt(0).toUpperCase())
    .join('');
}
