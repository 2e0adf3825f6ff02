import { Alert, Badge, Button, Checkbox, Group, Modal, MultiSelect, NativeSelect, SegmentedControl, Stack, Table, Text, TextInput, Textarea } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { KeyRound, Plus, TriangleAlert } from 'lucide-react';
import { useState } from 'react';
import { lodge } from '../api/lodge';
import type { Token } from '../api/types';
import { useMe } from '../frame/me-context';
import { may } from '../frame/may';
import { offsetOf, useFilters } from '../lib/address';
import { useDraft } from '../lib/drafts';
import { useNow } from '../lib/now';
import { Age, Countdown } from '../ui/age';
import { Answer } from '../ui/answer';
import { Confirm } from '../ui/confirm';
import { CopyButton } from '../ui/copy';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import { DataTable, Row } from '../ui/table';
import classes from './access.module.css';
import { parseClaims } from './claims';

const LIMIT = 50;
const defaults = { do: '', whose: 'mine', offset: '0' };

/** Service tokens: what programs log in with. */
export default function Tokens() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const offset = offsetOf(filters.offset);
  const all = may(me, 'tokens.read') && filters.whose === 'all';
  const tokens = useQuery({
    queryKey: ['access', 'tokens', { all, offset }],
    queryFn: () => lodge.tokens({ all, limit: LIMIT, offset }),
    placeholderData: keepPreviousData,
  });
  const create = (
    <Button leftSection={<Plus size={16} aria-hidden />} onClick={() => change({ do: 'create' })}>
      Create a token
    </Button>
  );
  return (
    <PageView
      title="Service tokens"
      lead="What programs log in with. Each is shown once, and refused from the moment it is revoked."
      freshness={<Freshness updatedAt={tokens.dataUpdatedAt} failed={tokens.isError} />}
      actions={
        <>
          {may(me, 'tokens.read') && (
            <SegmentedControl
              size="xs"
              aria-label="Whose tokens"
              value={filters.whose}
              onChange={(whose) => change({ whose })}
              data={[
                { value: 'mine', label: 'Mine' },
                { value: 'all', label: 'Everybody’s' },
              ]}
            />
          )}
          {create}
        </>
      }
    >
      <Panel padded={false}>
        <Answer query={tokens} title="The tokens could not be read">
          {(page) =>
            page.items.length === 0 ? (
              <Empty title="No service tokens yet" icon={KeyRound} action={create}>
                A program that talks to Lodge needs one. lodge token create makes them too.
              </Empty>
            ) : (
              <>
                <DataTable
                  label="Service tokens"
                  minWidth={820}
                  head={['Name', 'Roles', 'State', 'Created', 'Last used', { label: 'Actions', hidden: true }]}
                >
                  {page.items.map((t) => (
                    <TokenRow key={t.id} token={t} />
                  ))}
                </DataTable>
                <Paging
                  total={page.total}
                  limit={LIMIT}
                  offset={offset}
                  noun={page.total === 1 ? 'token' : 'tokens'}
                  onChange={(next) => change({ offset: String(next) })}
                />
              </>
            )
          }
        </Answer>
      </Panel>
      <CreateDialog opened={filters.do === 'create'} onClose={() => change({ do: '', offset: filters.offset })} />
    </PageView>
  );
}

function TokenRow({ token }: { token: Token }) {
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const revoke = useMutation({
    mutationFn: () => lodge.revokeToken(token.id),
    onSuccess: async () => {
      setAsking(false);
      await client.invalidateQueries({ queryKey: ['access'] });
      notifications.show({ message: `The token ${token.name} is revoked.`, color: 'pine' });
    },
  });
  const now = useNow();
  const expired = token.expires_at !== null && new Date(token.expires_at).getTime() < now;
  return (
    <Row>
      <Table.Td>
        <Text size="sm" fw={600}>
          {token.name}
        </Text>
        <Text size="xs" c="dimmed">
          {Object.entries(token.claims)
            .map(([k, v]) => `${k}=${typeof v === 'string' ? v : JSON.stringify(v)}`)
            .join(', ')}
        </Text>
      </Table.Td>
      <Table.Td>
        <Group gap={4}>
          {token.admin && <Badge color="yellow">administrator</Badge>}
          {token.roles.map((r) => (
            <Badge key={r} color="gray">
              {r}
            </Badge>
          ))}
          {!token.admin && token.roles.length === 0 && (
            <Text size="sm" c="dimmed">
              none
            </Text>
          )}
        </Group>
      </Table.Td>
      <Table.Td>
        {token.revoked_at !== null ? (
          <Status tone="bad">revoked</Status>
        ) : expired ? (
          <Status tone="idle">expired</Status>
        ) : (
          <>
            <Status tone="good">valid</Status>
            <Text size="xs" c="dimmed" component="div">
              {token.expires_at === null ? 'no end' : <>ends <Countdown time={token.expires_at} /></>}
            </Text>
          </>
        )}
      </Table.Td>
      <Table.Td>
        <Age time={token.created_at} />
        <Text size="xs" c="dimmed" truncate maw={180} title={token.created_by}>
          by {token.created_by}
        </Text>
      </Table.Td>
      <Table.Td>
        <Age time={token.used_at} />
      </Table.Td>
      <Table.Td ta="right">
        {token.revoked_at === null && (
          <Button size="compact-sm" variant="default" onClick={() => setAsking(true)} aria-label={`Revoke ${token.name}`}>
            Revoke
          </Button>
        )}
        <Confirm
          opened={asking}
          title={`Revoke ${token.name}`}
          type={token.name}
          action="Revoke"
          busy={revoke.isPending}
          error={revoke.error}
          onConfirm={() => revoke.mutate()}
          onClose={() => setAsking(false)}
        >
          Programs that use it are refused from now on. It cannot be undone; a new token takes its place.
        </Confirm>
      </Table.Td>
    </Row>
  );
}

const noToken = { name: '', roles: [] as string[], admin: false, ttl: '2160h', claims: '' };

function CreateDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const [created, setCreated] = useState<{ name: string; token: string }>();
  const close = () => {
    setCreated(undefined);
    onClose();
  };
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={created === undefined ? 'Create a service token' : `Token ${created.name}`}
      size="lg"
      closeOnClickOutside={created === undefined}
      closeOnEscape={created === undefined}
    >
      {opened &&
        (created === undefined ? <CreateForm onCreated={setCreated} onClose={close} /> : <Once {...created} onClose={close} />)}
    </Modal>
  );
}

function Once({ token, onClose }: { token: string; onClose: () => void }) {
  return (
    <Stack gap="md">
      <Alert color="yellow" icon={<TriangleAlert size={18} />} title="This is shown only now">
        Lodge does not keep it. Copy it to where your program reads it, then close this.
      </Alert>
      <div className={classes.secret} data-testid="token">
        {token}
      </div>
      <Group justify="flex-end" gap="xs">
        <CopyButton value={token} label="Copy the token" />
        <Button onClick={onClose}>I have it</Button>
      </Group>
    </Stack>
  );
}

function CreateForm(props: { onCreated: (created: { name: string; token: string }) => void; onClose: () => void }) {
  const me = useMe();
  const client = useQueryClient();
  const [draft, setDraft, clear] = useDraft('token', noToken);
  const claims = parseClaims(draft.claims);
  const roles = useQuery({
    queryKey: ['access', 'roles', 'choice'],
    queryFn: () => lodge.roles({ limit: 200 }),
    enabled: may(me, 'roles.read'),
  });
  const create = useMutation({
    mutationFn: () =>
      lodge.createToken({
        name: draft.name.trim(),
        roles: draft.roles,
        ...(me.admin ? { admin: draft.admin, claims: claims.claims } : {}),
        ttl: draft.ttl,
      }),
    onSuccess: async (answer) => {
      clear();
      props.onCreated({ name: answer.name, token: answer.token });
      await client.invalidateQueries({ queryKey: ['access', 'tokens'] });
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        create.mutate();
      }}
    >
      <Stack gap="md">
        <Group grow align="flex-start">
          <TextInput
            label="Name"
            description="For the list and the audit log"
            placeholder="nightly-report"
            required
            maxLength={100}
            data-autofocus
            value={draft.name}
            onChange={(event) => setDraft({ ...draft, name: event.currentTarget.value })}
          />
          <NativeSelect
            label="Valid for"
            description="After that it is refused"
            value={draft.ttl}
            onChange={(event) => setDraft({ ...draft, ttl: event.currentTarget.value })}
            data={[
              { value: '24h', label: 'a day' },
              { value: '720h', label: '30 days' },
              { value: '2160h', label: '90 days' },
              { value: '8760h', label: 'a year' },
              { value: '87600h', label: 'ten years' },
            ]}
          />
        </Group>
        <MultiSelect
          label="Roles"
          description="What it may do; you can give only what you hold"
          placeholder={draft.roles.length === 0 ? 'None: it may do nothing but what its claims give' : ''}
          data={(roles.data?.items ?? []).map((r) => r.name)}
          value={draft.roles}
          onChange={(value) => setDraft({ ...draft, roles: value })}
          searchable
          clearable
        />
        {me.admin && (
          <Textarea
            label="Claims"
            description="Optional, one k=v a line. client_id=… makes it an analysis; project_id=… names its project."
            placeholder={'client_id=analysis-1\nproject_id=project-1'}
            autosize
            minRows={2}
            value={draft.claims}
            error={claims.problem}
            onChange={(event) => setDraft({ ...draft, claims: event.currentTarget.value })}
            classNames={{ input: 'code' }}
          />
        )}
        {me.admin && (
          <Checkbox
            label="Administrator: it may do everything"
            checked={draft.admin}
            onChange={(event) => setDraft({ ...draft, admin: event.currentTarget.checked })}
          />
        )}
        {create.error !== null && <Problem error={create.error} title="The token was not created" />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={props.onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending} disabled={draft.name.trim() === '' || claims.problem !== undefined}>
            Create
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
