import { Group, Stack, Text, Title } from '@mantine/core';
import { useEffect, useRef, type ReactNode } from 'react';
import { useLocation } from 'react-router';
import classes from './ui.module.css';

interface Props {
  title: string;
  /** One line on what the page is for. */
  lead?: ReactNode;
  /** Age of what is shown. */
  freshness?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

/** The common top of every page; its heading takes the focus when the page opens. */
export function PageView({ title, lead, freshness, actions, children }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  const { key } = useLocation();
  // The first page leaves the focus at the top of the document.
  const followed = useRef(key !== 'default');
  useEffect(() => {
    if (followed.current) heading.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    document.title = `${title} · Lodge`;
  }, [title]);
  return (
    <Stack gap="lg">
      <Group justify="space-between" align="flex-end" gap="sm">
        <div>
          <Group gap="md" align="center">
            <Title ref={heading} order={1} id="page-title" tabIndex={-1} className={classes.title}>
              {title}
            </Title>
            {freshness}
          </Group>
          {lead !== undefined && (
            <Text c="dimmed" size="sm" mt={2} maw={720}>
              {lead}
            </Text>
          )}
        </div>
        {actions !== undefined && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </Stack>
  );
}
