import { Badge } from '@mantine/core';
import { CircleAlert, CircleCheck, CircleDashed, CircleX, LoaderCircle, type LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';

export type Tone = 'good' | 'busy' | 'idle' | 'warn' | 'bad';

const looks: Record<Tone, { color: string; icon: LucideIcon }> = {
  good: { color: 'pine', icon: CircleCheck },
  busy: { color: 'blue', icon: LoaderCircle },
  idle: { color: 'gray', icon: CircleDashed },
  warn: { color: 'yellow', icon: CircleAlert },
  bad: { color: 'red', icon: CircleX },
};

/** A state with a shape and a word; the colour only helps. */
export function Status({ tone, children }: { tone: Tone; children: ReactNode }) {
  const { color, icon: Icon } = looks[tone];
  return (
    <Badge color={color} leftSection={<Icon size={13} aria-hidden />} className={`status-${tone}`}>
      {children}
    </Badge>
  );
}
