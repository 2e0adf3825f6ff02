import { Anchor, Badge, Button, Group, NativeSelect, Stack, Switch, Text } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { ArrowLeft, UserCheck, UserX, X } from 'lucide-react';
import { useState } from 'react';
import { Link, useParams } from 'react-router';
import { lodge } from '../api/lodge';
import type { User } from '../api/types';
import { useMe } from '../frame/me-context';
import { may } from '../frame/may';
import { moment } from '../lib/format';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Confirm } from '../ui/confirm';
import { Facts } from '../ui/facts';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import { Rights } from './rights';
import { SessionTable } from './session-table';

/** One person: roles, what they can do by them, and where they are logged in. */
export default function Person() {
  const { id = '' } = useParams();
  const me = useMe();
  const person = useQuery({ queryKey: ['access', 'user', id], queryFn: () => lodge.user(id) });
  const name = person.data === undefined ? 'Person' : person.data.name || person.data.subject;
  return (
    <PageView
      title={name}
      freshness={<Freshness updatedAt={person.dataUpdatedAt} failed={person.isError} />}
      lead={
        <Anchor component={Link} to="/access/people" size="sm">
          <ArrowLeft size={13} aria-hidden /> All people
        </Anchor>
      }
    >
      <Answer query={person} title="This person could not be read">
        {(u) => (
          <Stack gap="md">
            <Account user={u} />
            <Roles user={u} />
            {may(me, 'access.explain') && (
              <Panel title="What they can do" hint="Effective rights, and the rule that gives each" padded={false}>
                <Rights user={u.id} />
              </Panel>
            )}
            {may(me, 'sessions.read') && <WhereLoggedIn user={u.id} />}
          </Stack>
        )}
      </Answer>
    </PageView>
  );
}

function WhereLoggedIn({ user }: { user: string }) {
  const [offset, setOffset] = useState(0);
  return (
    <Panel title="Sessions" hint="Where they are logged in with a browser" padded={false}>
      <SessionTable user={user} limit={10} offset={offset} onOffset={setOffset} />
    </Panel>
  );
}

function Account({ user }: { user: User }) {
  const me = useMe();
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const write = may(me, 'users.write', 'site');
  const name = user.name || user.subject;
  const changed = async () => {
    setAsking(false);
    await client.invalidateQueries({ queryKey: ['access'] });
  };
  const disable = useMutation({ mutationFn: () => lodge.changeUser(user.id, { disabled: !user.disabled }), onSuccess: changed });
  const admin = useMutation({ mutationFn: () => lodge.changeUser(user.id, { admin: !user.admin }), onSuccess: changed });
  return (
    <Panel
      title="Account"
      actions={
        write &&
        (user.disabled ? (
          <Button
            variant="default"
            size="xs"
            leftSection={<UserCheck size={15} aria-hidden />}
            loading={disable.isPending}
            onClick={() => disable.mutate()}
          >
            Let in again
          </Button>
        ) : (
          <Button
            variant="light"
            color="red"
            size="xs"
            leftSection={<UserX size={15} aria-hidden />}
            onClick={() => setAsking(true)}
          >
            Disable
          </Button>
        ))
      }
    >
      <Stack gap="md">
        <Facts
          items={[
            ['State', user.disabled ? <Status tone="bad">disabled</Status> : <Status tone="good">active</Status>],
            ['E-mail', user.email || '–'],
            ['Issuer', user.issuer],
            ['Subject', <span className="code" key="s">{user.subject}</span>],
            ['Last seen', <Age key="seen" time={user.seen_at} />],
            ['Known since', moment(user.created_at)],
          ]}
        />
        {me.admin && (
          <Switch
            label="Administrator"
            description="May do everything, everywhere. Only administrators change this."
            checked={user.admin}
            disabled={admin.isPending}
            onChange={() => admin.mutate()}
          />
        )}
        {admin.error !== null && <Problem error={admin.error} title="That was not changed" />}
        {disable.error !== null && !asking && <Problem error={disable.error} title="That was not changed" />}
      </Stack>
      <Confirm
        opened={asking}
        title={`Disable ${name}`}
        type={name}
        action="Disable"
        busy={disable.isPending}
        error={disable.error}
        onConfirm={() => disable.mutate()}
        onClose={() => setAsking(false)}
      >
        {name} is logged out everywhere at once and cannot come back until somebody lets them in again. Nothing of theirs is
        deleted.
      </Confirm>
    </Panel>
  );
}

function Roles({ user }: { user: User }) {
  const me = useMe();
  const client = useQueryClient();
  const [chosen, setChosen] = useState('');
  const [pending, setPending] = useState<{ role: string; give: boolean }>();
  const write = may(me, 'users.write', 'site');
  const roles = useQuery({
    queryKey: ['access', 'roles', 'choice'],
    queryFn: () => lodge.roles({ limit: 200 }),
    enabled: may(me, 'roles.read'),
  });
  const change = useMutation({
    mutationFn: async ({ role, give }: { role: string; give: boolean }) => {
      setPending({ role, give });
      await (give ? lodge.giveRole(user.id, role) : lodge.takeRole(user.id, role));
      // In effect is what the server says now, not what was sent.
      await client.invalidateQueries({ queryKey: ['access'] });
    },
    onSuccess: () => setChosen(''),
    onSettled: () => setPending(undefined),
  });
  const free = (roles.data?.items ?? []).filter((r) => !user.roles.includes(r.name));
  return (
    <Panel title="Roles" hint="Each role carries its permissions; tokens from a login provider can carry more">
      <Stack gap="sm">
        <Group gap="xs">
          {user.roles.length === 0 && (
            <Text size="sm" c="dimmed">
              No roles{user.admin ? ', and none needed: administrators may do everything.' : ': this person may do nothing yet.'}
            </Text>
          )}
          {user.roles.map((r) => (
            <Badge
              key={r}
              size="lg"
              color="pine"
              rightSection={
                write && (
                  <Button
                    variant="transparent"
                    size="compact-xs"
                    px={2}
                    aria-label={`Take the role ${r} from ${user.name}`}
                    disabled={change.isPending}
                    onClick={() => change.mutate({ role: r, give: false })}
                  >
                    <X size={13} aria-hidden />
                  </Button>
                )
              }
            >
              {r}
            </Badge>
          ))}
        </Group>
        {write && (
          <Group align="flex-end" gap="xs">
            <NativeSelect
              label="Give a role"
              value={chosen}
              onChange={(event) => setChosen(event.currentTarget.value)}
              data={[{ value: '', label: free.length === 0 ? 'No other role exists' : 'Choose a role' }, ...free.map((r) => r.name)]}
              miw={220}
            />
            <Button
              disabled={chosen === ''}
              loading={change.isPending && pending?.give === true}
              onClick={() => change.mutate({ role: chosen, give: true })}
            >
              Give
            </Button>
            <Anchor component={Link} to="/access/roles?do=create" size="sm" pb={8}>
              Create a new role
            </Anchor>
          </Group>
        )}
        {change.error !== null && <Problem error={change.error} title="The roles stay as they were" />}
      </Stack>
    </Panel>
  );
}
