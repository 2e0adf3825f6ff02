import { Button, Center, Stack, Text, Title } from '@mantine/core';
import { LogIn } from 'lucide-react';
import { useLocation } from 'react-router';
import { lodge } from '../api/lodge';
import { Logo } from '../ui/logo';
import classes from './frame.module.css';

/** The door: shown to nobody-yet. The provider's own page asks for the password. */
export function SignIn() {
  const location = useLocation();
  const next = `/ui${location.pathname === '/' ? '/' : location.pathname}${location.search}`;
  return (
    <Center component="main" className={classes.door} id="content">
      <Stack align="center" gap="lg" className={classes.doorCard}>
        <Logo size={56} />
        <div>
          <Title order={1} ta="center">
            Lodge
          </Title>
          <Text c="dimmed" ta="center" mt={4}>
            One place for your site’s results, access and activity.
          </Text>
        </div>
        <Button
          component="a"
          href={lodge.loginAddress(next)}
          size="md"
          fullWidth
          leftSection={<LogIn size={18} aria-hidden />}
        >
          Sign in
        </Button>
        <Text size="xs" c="dimmed" ta="center">
          You are taken to your site’s login page and back to where you wanted to go.
        </Text>
      </Stack>
    </Center>
  );
}
