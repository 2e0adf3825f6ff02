import { Alert, Button, Group, Stack, Text } from '@mantine/core';
import { CloudOff, KeyRound, TriangleAlert } from 'lucide-react';
import { advice, ApiError } from '../api/errors';
import { useMaybeMe } from '../frame/me-context';
import { sentence } from '../lib/format';
import { CopyButton } from './copy';

interface Props {
  error: unknown;
  /** What was tried, as in "The files could not be read". */
  title?: string;
  onRetry?: () => void;
}

/** An error in words: what failed, what to do, and the request id to quote. */
export function Problem({ error, title, onRetry }: Props) {
  if (error instanceof ApiError && error.kind === 'denied') return <Refusal error={error} />;
  const api = error instanceof ApiError ? error : undefined;
  const message = error instanceof Error ? error.message : String(error);
  const Icon = api?.kind === 'unreachable' ? CloudOff : TriangleAlert;
  return (
    <Alert color="red" icon={<Icon size={18} />} title={title ?? message} role="alert">
      <Stack gap={6}>
        {title !== undefined && <Text size="sm">{message}</Text>}
        <Text size="sm">{advice(error)}</Text>
        <RequestId error={api} />
        {onRetry !== undefined && (
          <div>
            <Button size="compact-sm" variant="default" onClick={onRetry}>
              Try again
            </Button>
          </div>
        )}
      </Stack>
    </Alert>
  );
}

function Refusal({ error }: { error: ApiError }) {
  const me = useMaybeMe();
  const permission = error.permission;
  const who = me?.name ?? 'me';
  const request = `Please give ${who} the permission ${permission ?? '(see the request)'} in Lodge.${
    error.requestId === undefined ? '' : ` Refused request: ${error.requestId}.`
  }`;
  return (
    <Alert color="yellow" icon={<KeyRound size={18} />} title="You may not do this yet" role="alert">
      <Stack gap={6}>
        <Text size="sm">
          {sentence(error.message)}
          {permission !== undefined && (
            <>
              {' '}
              The permission <b>{permission}</b> is missing.
            </>
          )}
        </Text>
        <Text size="sm">
          An administrator can give it to you, and so can anyone who may change permissions and holds this one.
          {error.requestId !== undefined && ' The refusal is in the audit log.'}
        </Text>
        <RequestId error={error} />
        <Group gap="xs">
          <CopyButton value={request} label="Copy a request to send" />
        </Group>
      </Stack>
    </Alert>
  );
}

function RequestId({ error }: { error: ApiError | undefined }) {
  if (error?.requestId === undefined) return null;
  return (
    <Text size="xs" c="dimmed">
      Request id <span className="code">{error.requestId}</span>
    </Text>
  );
}
