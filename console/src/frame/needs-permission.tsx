import type { ReactNode } from 'react';
import { ApiError } from '../api/errors';
import { PageView } from '../ui/page';
import { Problem } from '../ui/problem';
import { useMe } from './me-context';
import { may } from './may';

/** Shows the page, or explains which permission is missing and who gives it. */
export function NeedsPermission({ action, children }: { action: string; children: ReactNode }) {
  const me = useMe();
  if (may(me, action)) return children;
  const where = action.startsWith('results.') ? 'a project' : action.startsWith('apps.') ? 'apps' : 'site';
  return (
    <PageView title="Not open to you yet">
      <Problem error={new ApiError(403, 'denied', 'This page is for those who may use it.', `${action} on ${where}`)} />
    </PageView>
  );
}
