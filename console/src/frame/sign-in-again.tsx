import { Button, Group, Modal, Stack, Text } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { LogIn } from 'lucide-react';
import { useContext, useEffect, useState } from 'react';
import { onSessionEnd } from '../api/http';
import { lodge } from '../api/lodge';
import { CHANNEL } from './channel';
import { LiveContext } from './live-context';


/**
 * Appears over the page when the session has ended. Signing in happens in a small window, so that the
 * page below, with everything typed into it, stays as it is.
 */
export function SignInAgain() {
  const [ended, setEnded] = useState(false);
  const [blocked, setBlocked] = useState(false);
  const client = useQueryClient();
  const live = useContext(LiveContext);

  useEffect(() => onSessionEnd(() => setEnded(true)), []);
  useEffect(() => {
    const channel = new BroadcastChannel(CHANNEL);
    channel.onmessage = (event: MessageEvent<unknown>) => {
      if (event.data === 'in') {
        setEnded(false);
        live?.retry();
        void client.invalidateQueries();
      }
      if (event.data === 'out') window.location.assign('/ui/');
    };
    return () => channel.close();
  }, [client, live]);

  const open = () => {
    const popup = window.open(lodge.loginAddress('/ui/signed-in'), 'lodge-login', 'popup,width=480,height=680');
    setBlocked(popup === null);
  };
  const here = `${window.location.pathname}${window.location.search}`;
  return (
    <Modal
      opened={ended}
      onClose={() => setEnded(false)}
      title="Your session has ended"
      closeOnClickOutside={false}
      zIndex={400}
    >
      <Stack gap="md">
        <Text size="sm">Sign in again to go on. Nothing that you typed is lost: the page below waits as it is.</Text>
        {blocked && (
          <Text size="sm">
            Your browser did not open the window. Sign in on this page instead: forms are kept and come back with it.
          </Text>
        )}
        <Group justify="flex-end" gap="xs">
          {blocked && (
            <Button component="a" href={lodge.loginAddress(here)} variant="default">
              Sign in on this page
            </Button>
          )}
          <Button onClick={open} leftSection={<LogIn size={16} aria-hidden />} data-autofocus>
            Sign in again
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

/** Where the small window ends up: it tells the page and closes itself. */
export function SignedIn() {
  useEffect(() => {
    const channel = new BroadcastChannel(CHANNEL);
    channel.postMessage('in');
    channel.close();
    window.close();
  }, []);
  return (
    <main style={{ padding: 32 }}>
      <Text>You are signed in. You can close this window.</Text>
    </main>
  );
}
