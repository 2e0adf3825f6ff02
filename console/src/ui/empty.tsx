import { Text } from '@mantine/core';
import { Inbox, type LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import classes from './ui.module.css';

interface Props {
  title: string;
  icon?: LucideIcon;
  /** Why it is empty and what to do next. */
  children?: ReactNode;
  action?: ReactNode;
}

/** An empty place that explains itself. */
export function Empty({ title, icon: Icon = Inbox, children, action }: Props) {
  return (
    <div className={classes.empty}>
      <div className={classes.emptyIcon} aria-hidden="true">
        <Icon size={22} />
      </div>
      <Text fw={600}>{title}</Text>
      {children !== undefined && (
        <Text component="div" size="sm" c="dimmed" maw={460}>
          {children}
        </Text>
      )}
      {action}
    </div>
  );
}
