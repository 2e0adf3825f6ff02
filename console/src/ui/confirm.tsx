import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { useState, type ReactNode } from 'react';
import { Problem } from './problem';

interface Props {
  opened: boolean;
  title: string;
  /** What will be gone, in words. */
  children: ReactNode;
  /** The word that must be typed; without one a click is enough. */
  type?: string;
  action: string;
  busy: boolean;
  error: unknown;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks before something dangerous. What cannot be undone has to be typed. */
export function Confirm(props: Props) {
  return (
    <Modal opened={props.opened} onClose={props.onClose} title={props.title}>
      {props.opened && <Question {...props} />}
    </Modal>
  );
}

function Question({ children, type, action, busy, error, onConfirm, onClose }: Props) {
  const [typed, setTyped] = useState('');
  const ready = type === undefined || typed.trim() === type;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) onConfirm();
      }}
    >
      <Stack gap="md">
        <Text component="div" size="sm">
          {children}
        </Text>
        {type !== undefined && (
          <TextInput
            label={
              <>
                Type <b>{type}</b> to confirm
              </>
            }
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            autoComplete="off"
            data-autofocus
          />
        )}
        {error !== null && error !== undefined && <Problem error={error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Keep it
          </Button>
          <Button type="submit" color="red.9" disabled={!ready} loading={busy}>
            {action}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
