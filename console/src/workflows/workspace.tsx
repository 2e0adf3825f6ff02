import { ActionIcon, Anchor, Badge, Button, Group, NativeSelect, PasswordInput, SegmentedControl, Stack, Switch, Table, Text, Textarea, TextInput, Title } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { ChevronLeft, HardDrive, KeyRound, Plus, Trash2, Users } from 'lucide-react';
import { useState } from 'react';
import { Link, useNavigate, useParams } from 'react-router';
import { workflowsAPI } from '../api/workflows';
import { useFilters } from '../lib/address';
import { Answer } from '../ui/answer';
import { Confirm } from '../ui/confirm';
import { Empty } from '../ui/empty';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { DataTable, Row } from '../ui/table';
import type { Volume } from './document';
import { emailProblem, groupsOf, peopleOf, type Roles, type Standing, withGroup, withoutGroup, withoutPerson, withPerson } from './member';
import { workflowQueries } from './query';
import { volumeKind, volumeProblem, type VolumeSource, volumeOf, volumeSources } from './volume';

const defaults = { tab: 'members' };

/** One workspace: who belongs to it, and what its runs may use. */
export default function WorkspacePage() {
  const { name = '' } = useParams();
  const [filters, change] = useFilters(defaults);
  const workspaces = useQuery(workflowQueries.workspaces());
  const mine = workspaces.data?.find((w) => w.name === name);
  const admin = mine?.roles.includes('ws-owner') === true;
  return (
    <PageView
      title={name}
      lead={mine?.description}
      actions={
        <>
          <Button component={Link} to={`/workflows/library?workspace=${name}`} variant="default">
            Workflows
          </Button>
          <Button component={Link} to={`/workflows/runs?workspace=${name}`} variant="default">
            Runs
          </Button>
        </>
      }
    >
      <div>
        <Anchor component={Link} to="/workflows/workspaces" size="sm">
          <Group gap={4} component="span">
            <ChevronLeft size={14} aria-hidden /> Workspaces
          </Group>
        </Anchor>
      </div>
      <SegmentedControl
        aria-label="Part"
        value={filters.tab}
        onChange={(tab) => change({ tab })}
        data={[
          { value: 'members', label: 'Members' },
          { value: 'secrets', label: 'Secrets' },
          { value: 'volumes', label: 'Volumes' },
          ...(admin ? [{ value: 'settings', label: 'Settings' }] : []),
        ]}
        maw={460}
      />
      <Answer query={workspaces} title="The workspace could not be read">
        {() =>
          mine === undefined ? (
            <Panel>
              <Empty title="No such workspace">It was deleted, or it is not yours to see.</Empty>
            </Panel>
          ) : (
            <>
              {filters.tab === 'members' && (admin ? <Members name={name} /> : <MembersSeen roles={mine.roles} />)}
              {filters.tab === 'secrets' && <Secrets name={name} admin={admin} />}
              {filters.tab === 'volumes' && <Volumes name={name} admin={admin} />}
              {filters.tab === 'settings' && admin && <Settings name={name} />}
            </>
          )
        }
      </Answer>
    </PageView>
  );
}

function MembersSeen({ roles }: { roles: readonly string[] }) {
  return (
    <Panel title="Members">
      <Text size="sm">
        {roles.includes('ws-collaborator') ? 'You are a member: you see, change and run what is here.' : 'You may see that it is there, and nothing in it.'}
      </Text>
      <Text size="sm" c="dimmed" mt={4}>
        Its administrators see and decide who belongs to it.
      </Text>
    </Panel>
  );
}

function Members({ name }: { name: string }) {
  const client = useQueryClient();
  const detail = useQuery(workflowQueries.workspace(name));
  const [email, setEmail] = useState('');
  const [as, setAs] = useState<Standing>('collaborator');
  const [group, setGroup] = useState('');
  const [asking, setAsking] = useState<{ what: string; roles: string[][] }>();
  const edit = useMutation({
    mutationFn: (roles: string[][]) => workflowsAPI.editWorkspace({ name, roles }),
    onSuccess: async () => {
      setAsking(undefined);
      await client.invalidateQueries({ queryKey: ['workflows', 'workspaces'] });
      notifications.show({ message: 'Who belongs to it is changed, from now on.', color: 'pine' });
    },
  });
  return (
    <Panel title="Members" padded={false}>
      <Answer query={detail} title="The members could not be read">
        {(d) => {
          const roles: Roles = d.roles.map((r) => r ?? []);
          const people = peopleOf(roles);
          const groups = groupsOf(roles);
          return (
            <>
              {people.length + groups.length === 0 ? (
                <Empty title="Nobody belongs to it" icon={Users} />
              ) : (
                <DataTable label="Members" minWidth={520} head={['Who', 'May', { label: 'Do', hidden: true, align: 'right' }]}>
                  {people.map((p) => (
                    <Row key={p.email}>
                      <Table.Td>{p.email}</Table.Td>
                      <Table.Td>
                        <NativeSelect
                          aria-label={`What ${p.email} is`}
                          size="xs"
                          w={150}
                          value={p.as}
                          onChange={(e) => edit.mutate(withPerson(roles, p.email, e.currentTarget.value as Standing))}
                          data={[
                            { value: 'owner', label: 'owner' },
                            { value: 'collaborator', label: 'collaborator' },
                          ]}
                        />
                      </Table.Td>
                      <Table.Td ta="right">
                        <ActionIcon aria-label={`Remove ${p.email}`} onClick={() => setAsking({ what: p.email, roles: withoutPerson(roles, p.email) })}>
                          <Trash2 size={15} />
                        </ActionIcon>
                      </Table.Td>
                    </Row>
                  ))}
                  {groups.map((g) => (
                    <Row key={g.join(' ')}>
                      <Table.Td>
                        Everybody with{' '}
                        {g.map((r) => (
                          <Badge key={r} color="gray" mr={4}>
                            {r}
                          </Badge>
                        ))}
                      </Table.Td>
                      <Table.Td>
                        <Text size="sm">member; administrator with {g.map((r) => `${r}-admin`).join(' and ')}</Text>
                      </Table.Td>
                      <Table.Td ta="right">
                        <ActionIcon aria-label={`Remove ${g.join(' and ')}`} onClick={() => setAsking({ what: `everybody with ${g.join(' and ')}`, roles: withoutGroup(roles, g) })}>
                          <Trash2 size={15} />
                        </ActionIcon>
                      </Table.Td>
                    </Row>
                  ))}
                </DataTable>
              )}
              <Stack gap="md" p="md">
                {edit.error !== null && asking === undefined && <Problem error={edit.error} title="Nothing was changed" />}
                <form
                  onSubmit={(e) => {
                    e.preventDefault();
                    if (emailProblem(email) === undefined) edit.mutate(withPerson(roles, email.trim(), as), { onSuccess: () => setEmail('') });
                  }}
                >
                  <Group align="flex-end" gap="xs">
                    <TextInput label="Add a person" placeholder="ada@example.org" type="email" value={email} error={email === '' ? undefined : emailProblem(email)} onChange={(e) => setEmail(e.currentTarget.value)} />
                    <NativeSelect
                      aria-label="As"
                      value={as}
                      onChange={(e) => setAs(e.currentTarget.value as Standing)}
                      data={[
                        { value: 'collaborator', label: 'collaborator' },
                        { value: 'owner', label: 'owner' },
                      ]}
                    />
                    <Button type="submit" variant="default" leftSection={<Plus size={15} aria-hidden />} disabled={emailProblem(email) !== undefined} loading={edit.isPending}>
                      Add
                    </Button>
                  </Group>
                </form>
                <form
                  onSubmit={(e) => {
                    e.preventDefault();
                    if (group.trim() !== '') edit.mutate(withGroup(roles, group), { onSuccess: () => setGroup('') });
                  }}
                >
                  <Group align="flex-end" gap="xs">
                    <TextInput label="Add everybody with these roles" placeholder="e.g. oncology" value={group} onChange={(e) => setGroup(e.currentTarget.value)} />
                    <Button type="submit" variant="default" leftSection={<Plus size={15} aria-hidden />} disabled={group.trim() === ''}>
                      Add everybody
                    </Button>
                  </Group>
                </form>
              </Stack>
            </>
          );
        }}
      </Answer>
      <Confirm
        opened={asking !== undefined}
        title="Remove from the workspace"
        action="Remove"
        busy={edit.isPending}
        error={edit.error}
        onConfirm={() => asking !== undefined && edit.mutate(asking.roles)}
        onClose={() => {
          setAsking(undefined);
          edit.reset();
        }}
      >
        {asking?.what} no longer sees its workflows, runs, secrets and volumes. What they made stays.
      </Confirm>
    </Panel>
  );
}

function Secrets({ name, admin }: { name: string; admin: boolean }) {
  const client = useQueryClient();
  const secrets = useQuery(workflowQueries.secrets(name));
  const [key, setKey] = useState('');
  const [value, setValue] = useState('');
  const [asking, setAsking] = useState('');
  const fresh = () => client.invalidateQueries({ queryKey: ['workflows', 'secrets', name] });
  const put = useMutation({
    mutationFn: () => workflowsAPI.putSecret(name, key.trim(), value),
    onSuccess: async () => {
      notifications.show({ message: `${key.trim()} is set.`, color: 'pine' });
      setKey('');
      setValue('');
      await fresh();
    },
  });
  const remove = useMutation({
    mutationFn: (k: string) => workflowsAPI.deleteSecret(name, k),
    onSuccess: async () => {
      setAsking('');
      await fresh();
    },
  });
  return (
    <Panel title="Secrets" hint="Runs get them as variables. A value can be replaced and deleted, and never read back." padded={false}>
      <Answer query={secrets} title="The secrets could not be read">
        {(list) =>
          list.length === 0 ? (
            <Empty title="No secret yet" icon={KeyRound}>
              {admin ? 'Set one below: a component with an input of the type secret can then use it.' : 'Its administrators set them.'}
            </Empty>
          ) : (
            <DataTable label="Secrets" minWidth={360} head={['Name', { label: 'Do', hidden: true, align: 'right' }]}>
              {list.map((k) => (
                <Row key={k}>
                  <Table.Td>
                    <span className="code">{k}</span>
                  </Table.Td>
                  <Table.Td ta="right">
                    {admin && (
                      <Group gap={4} justify="flex-end" wrap="nowrap">
                        <Button size="compact-sm" variant="default" onClick={() => setKey(k)} aria-label={`Replace ${k}`}>
                          Replace
                        </Button>
                        <ActionIcon aria-label={`Delete ${k}`} onClick={() => setAsking(k)}>
                          <Trash2 size={15} />
                        </ActionIcon>
                      </Group>
                    )}
                  </Table.Td>
                </Row>
              ))}
            </DataTable>
          )
        }
      </Answer>
      {admin && (
        <form
          onSubmit={(e) => {
            e.preventDefault();
            if (key.trim() !== '') put.mutate();
          }}
        >
          <Stack gap="sm" p="md">
            <Group align="flex-end" gap="xs">
              <TextInput label="Secret" placeholder="API_KEY" value={key} onChange={(e) => setKey(e.currentTarget.value)} autoComplete="off" />
              <PasswordInput label="Value" value={value} onChange={(e) => setValue(e.currentTarget.value)} w={220} autoComplete="new-password" visibilityToggleButtonProps={{ 'aria-label': 'Show what is typed' }} />
              <Button type="submit" variant="default" loading={put.isPending} disabled={key.trim() === '' || value === ''}>
                {secrets.data?.includes(key.trim()) === true ? 'Replace it' : 'Set it'}
              </Button>
            </Group>
            {put.error !== null && <Problem error={put.error} title="The secret was not set" />}
          </Stack>
        </form>
      )}
      <Confirm
        opened={asking !== ''}
        title="Delete the secret"
        type={asking}
        action="Delete"
        busy={remove.isPending}
        error={remove.error}
        onConfirm={() => remove.mutate(asking)}
        onClose={() => {
          setAsking('');
          remove.reset();
        }}
      >
        Runs that need it can no longer be started. Its value cannot be had back.
      </Confirm>
    </Panel>
  );
}

function Volumes({ name, admin }: { name: string; admin: boolean }) {
  const client = useQueryClient();
  const volumes = useQuery(workflowQueries.volumes(name));
  const [asking, setAsking] = useState<Volume>();
  const remove = useMutation({
    mutationFn: (v: Volume) => workflowsAPI.deleteVolume(name, v.uid ?? ''),
    onSuccess: async () => {
      setAsking(undefined);
      await client.invalidateQueries({ queryKey: ['workflows', 'volumes', name] });
    },
  });
  return (
    <Panel title="Volumes" hint="Folders that runs may mount. Only what is listed here can be used." padded={false}>
      <Answer query={volumes} title="The volumes could not be read">
        {(list) =>
          list.length === 0 ? (
            <Empty title="No volume yet" icon={HardDrive}>
              {admin ? 'Register one below.' : 'Its administrators register them.'}
            </Empty>
          ) : (
            <DataTable label="Volumes" minWidth={460} head={['Name', 'What it is', { label: 'Do', hidden: true, align: 'right' }]}>
              {list.map((v) => (
                <Row key={v.uid}>
                  <Table.Td>{v.volume.name}</Table.Td>
                  <Table.Td>{volumeKind(v.volume)}</Table.Td>
                  <Table.Td ta="right">
                    {admin && (
                      <ActionIcon aria-label={`Remove ${v.volume.name}`} onClick={() => setAsking(v)}>
                        <Trash2 size={15} />
                      </ActionIcon>
                    )}
                  </Table.Td>
                </Row>
              ))}
            </DataTable>
          )
        }
      </Answer>
      {admin && <VolumeForm name={name} taken={(volumes.data ?? []).map((v) => v.volume.name)} />}
      <Confirm
        opened={asking !== undefined}
        title="Remove the volume"
        action="Remove"
        busy={remove.isPending}
        error={remove.error}
        onConfirm={() => asking !== undefined && remove.mutate(asking)}
        onClose={() => {
          setAsking(undefined);
          remove.reset();
        }}
      >
        Runs can no longer mount {asking?.volume.name}. What is in it stays where it is.
      </Confirm>
    </Panel>
  );
}

function VolumeForm({ name, taken }: { name: string; taken: readonly string[] }) {
  const client = useQueryClient();
  const [title, setTitle] = useState('');
  const [source, setSource] = useState<VolumeSource>('persistentVolumeClaim');
  const [where, setWhere] = useState('');
  const problem = volumeProblem(title, source, where, taken);
  const create = useMutation({
    mutationFn: () => workflowsAPI.createVolume({ workspace: name, volume: volumeOf(title.trim(), source, where) }),
    onSuccess: async () => {
      setTitle('');
      setWhere('');
      await client.invalidateQueries({ queryKey: ['workflows', 'volumes', name] });
    },
  });
  const chosen = volumeSources.find((s) => s.value === source);
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        if (problem === undefined) create.mutate();
      }}
    >
      <Stack gap="sm" p="md">
        <Title order={3} fz="sm">
          Register a volume
        </Title>
        <Group align="flex-start" gap="xs">
          <TextInput label="Name" placeholder="shared-data" value={title} onChange={(e) => setTitle(e.currentTarget.value)} />
          <NativeSelect label="What it is" value={source} onChange={(e) => setSource(e.currentTarget.value as VolumeSource)} data={volumeSources.map((s) => ({ value: s.value, label: s.label }))} />
          {chosen?.asks !== undefined &&
            (source === 'other' ? (
              <Textarea label={chosen.asks} placeholder={chosen.example} autosize minRows={3} w={320} value={where} onChange={(e) => setWhere(e.currentTarget.value)} />
            ) : (
              <TextInput label={chosen.asks} placeholder={chosen.example} value={where} onChange={(e) => setWhere(e.currentTarget.value)} />
            ))}
        </Group>
        {title !== '' && problem !== undefined && (
          <Text size="xs" c="dimmed">
            {problem}
          </Text>
        )}
        {create.error !== null && <Problem error={create.error} title="The volume was not registered" />}
        <div>
          <Button type="submit" variant="default" loading={create.isPending} disabled={problem !== undefined}>
            Register it
          </Button>
        </div>
      </Stack>
    </form>
  );
}

function Settings({ name }: { name: string }) {
  const detail = useQuery(workflowQueries.workspace(name));
  return (
    <Answer query={detail} title="The settings could not be read">
      {(d) => <SettingsForm key={`${d.description}/${d.hidden}`} name={name} description={d.description} hidden={d.hidden} />}
    </Answer>
  );
}

function SettingsForm({ name, description: before, hidden: wasHidden }: { name: string; description: string; hidden: boolean }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [description, setDescription] = useState(before);
  const [hidden, setHidden] = useState(wasHidden);
  const [asking, setAsking] = useState(false);
  const fresh = () => client.invalidateQueries({ queryKey: ['workflows', 'workspaces'] });
  const edit = useMutation({
    mutationFn: () => workflowsAPI.editWorkspace({ name, description, hideForUnauthorized: hidden }),
    onSuccess: async () => {
      await fresh();
      notifications.show({ message: 'Saved.', color: 'pine' });
    },
  });
  const remove = useMutation({
    mutationFn: () => workflowsAPI.deleteWorkspace(name),
    onSuccess: async () => {
      await fresh();
      void navigate('/workflows/workspaces');
    },
  });
  return (
    <Panel title="Settings">
      <form
        onSubmit={(e) => {
          e.preventDefault();
          edit.mutate();
        }}
      >
        <Stack gap="md" maw={560}>
          <Textarea label="Description" autosize minRows={2} value={description} onChange={(e) => setDescription(e.currentTarget.value)} />
          <Switch label="Only those who may use it see that it is there" checked={hidden} onChange={(e) => setHidden(e.currentTarget.checked)} />
          {edit.error !== null && <Problem error={edit.error} title="It was not saved" />}
          <Group justify="space-between">
            <Button type="submit" loading={edit.isPending} disabled={description === before && hidden === wasHidden}>
              Save
            </Button>
            <Button variant="subtle" color="red" leftSection={<Trash2 size={15} aria-hidden />} onClick={() => setAsking(true)}>
              Delete the workspace
            </Button>
          </Group>
        </Stack>
      </form>
      <Confirm opened={asking} title="Delete the workspace" type={name} action="Delete" busy={remove.isPending} error={remove.error} onConfirm={() => remove.mutate()} onClose={() => setAsking(false)}>
        Its workflows, runs, secrets and volumes go away for everybody. It cannot be undone.
      </Confirm>
    </Panel>
  );
}
