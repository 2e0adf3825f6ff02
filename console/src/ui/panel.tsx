import { Group, Text, Title } from '@mantine/core';
import { useId, type ReactNode } from 'react';
import classes from './ui.module.css';

interface Props {
  title?: string;
  hint?: ReactNode;
  actions?: ReactNode;
  padded?: boolean;
  children: ReactNode;
}

/** A bordered block with an optional head. */
export function Panel({ title, hint, actions, padded = true, children }: Props) {
  const id = useId();
  return (
    <section className={classes.panel} {...(title === undefined ? {} : { 'aria-labelledby': id })}>
      {title !== undefined && (
        <Group className={classes.panelHead} justify="space-between" gap="xs">
          <div>
            <Title order={2} id={id} fz="md">
              {title}
            </Title>
            {hint !== undefined && (
              <Text size="xs" c="dimmed">
                {hint}
              </Text>
            )}
          </div>
          {actions}
        </Group>
      )}
      <div style={padded ? { padding: 16 } : undefined}>{children}</div>
    </section>
  );
}
