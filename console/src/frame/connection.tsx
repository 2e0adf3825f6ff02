import { Button, Popover, Stack, Text, UnstyledButton } from '@mantine/core';
import { Wifi, WifiOff } from 'lucide-react';
import { useContext } from 'react';
import { span, until } from '../lib/format';
import { useNow } from '../lib/now';
import classes from './frame.module.css';
import { LiveContext, useLive } from './live-context';

/** Whether changes arrive by themselves, and if not, since when and when it is tried again. */
export function Connection() {
  const live = useContext(LiveContext);
  const state = useLive();
  const now = useNow();
  const open = state.phase === 'open';
  const words = open
    ? 'Live'
    : state.phase === 'connecting'
      ? 'Connecting'
      : state.phase === 'signed-out'
        ? 'Signed out'
        : 'Offline';
  const Icon = open || state.phase === 'connecting' ? Wifi : WifiOff;
  return (
    <Popover width={280} position="bottom-end" shadow="md" withArrow>
      <Popover.Target>
        <UnstyledButton className={classes.connection} data-state={state.phase} aria-label={`Connection: ${words}`}>
          <Icon size={15} aria-hidden />
          <span className={classes.connectionWord}>{words}</span>
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>
        <Stack gap={6}>
          <Text size="sm" fw={600}>
            {open ? 'Changes arrive by themselves' : 'What you see may be old'}
          </Text>
          <Text size="sm" c="dimmed">
            {open
              ? `The server was heard ${span(now - state.heardAt)} ago.`
              : state.phase === 'waiting'
                ? `The server was ${state.heardAt === 0 ? 'not heard yet' : `last heard ${span(now - state.heardAt)} ago`}. Next try ${until(state.retryAt - now)}.`
                : state.phase === 'signed-out'
                  ? 'Sign in again to go on.'
                  : 'Reaching the server…'}
          </Text>
          {state.phase === 'waiting' && (
            <Button size="compact-sm" variant="default" onClick={() => live?.retry()}>
              Try now
            </Button>
          )}
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}
