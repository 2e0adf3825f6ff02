import { Button } from '@mantine/core';
import { ExternalLink } from 'lucide-react';
import type { AppSession } from '../api/types';
import { titleOf } from './model';

/** Opens a running app in a tab of its own. It is another origin: nothing of this page reaches it. */
export function OpenButton({ session, size = 'sm' }: { session: AppSession; size?: 'sm' | 'compact-sm' }) {
  return (
    <Button
      component="a"
      href={session.url}
      target="_blank"
      rel="noopener"
      size={size}
      leftSection={<ExternalLink size={15} aria-hidden />}
      aria-label={`Open ${titleOf(session)} in a new tab`}
    >
      Open
    </Button>
  );
}
