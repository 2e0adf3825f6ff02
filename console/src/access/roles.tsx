import { Anchor, Button, Group, Modal, Stack, Table, Text, Textarea, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Pencil, Plus, ShieldCheck, Tags, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { Link, useNavigate } from 'react-router';
import { ApiError } from '../api/errors';
import { lodge } from '../api/lodge';
import type { Role } from '../api/types';
import { useMe } from '../frame/me-context';
import { may } from '../frame/may';
import { offsetOf, useFilters } from '../lib/address';
import { useDraft } from '../lib/drafts';
import { count } from '../lib/format';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Confirm } from '../ui/confirm';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { DataTable, Row } from '../ui/table';

const LIMIT = 50;
const defaults = { do: '', q: '', offset: '0' };

/** The roles: names that permissions are given to, and that are given to people. */
export default function Roles() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const offset = offsetOf(filters.offset);
  const roles = useQuery({
    queryKey: ['access', 'roles', { offset, q: filters.q }],
    queryFn: () => lodge.roles({ q: filters.q, limit: LIMIT, offset }),
    placeholderData: keepPreviousData,
  });
  const create = may(me, 'roles.write') && (
    <Button leftSection={<Plus size={16} aria-hidden />} onClick={() => change({ do: 'create' })}>
      Create a role
    </Button>
  );
  return (
    <PageView
      title="Roles"
      lead="A role is a name for what a kind of person does. Permissions are given to roles, and roles to people."
      freshness={<Freshness updatedAt={roles.dataUpdatedAt} failed={roles.isError} />}
      actions={create}
    >
      <Panel padded={false}>
        <Answer query={roles} title="The roles could not be read">
          {(page) =>
            page.items.length === 0 ? (
              <Empty title="No roles yet" icon={Tags} action={create}>
                Create the first one, such as “operator” or “reader”, then choose what it may do.
              </Empty>
            ) : (
              <>
                <DataTable
                  label="Roles"
                  head={[
                    'Role',
                    'Who has it',
                    'May do',
                    'Created',
                    { label: 'Actions', hidden: true },
                  ]}
                >
                  {page.items.map((r) => (
                    <RoleRow key={r.name} role={r} />
                  ))}
                </DataTable>
                <Paging
                  total={page.total}
                  limit={LIMIT}
                  offset={offset}
                  noun={page.total === 1 ? 'role' : 'roles'}
                  onChange={(next) => change({ offset: String(next) })}
                />
              </>
            )
          }
        </Answer>
      </Panel>
      <Modal
        opened={filters.do === 'create'}
        onClose={() => change({ do: '', offset: filters.offset })}
        title="Create a role"
      >
        {filters.do === 'create' && <CreateRole onClose={() => change({ do: '', offset: filters.offset })} />}
      </Modal>
    </PageView>
  );
}

const noRole = { name: '', description: '' };

function CreateRole({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [draft, setDraft, clear] = useDraft('role', noRole);
  const create = useMutation({
    mutationFn: () => lodge.createRole({ name: draft.name.trim(), description: draft.description.trim() }),
    onSuccess: async (role) => {
      clear();
      await client.invalidateQueries({ queryKey: ['access'] });
      notifications.show({
        color: 'pine',
        title: `The role ${role.name} exists`,
        message: 'Now choose what it may do.',
      });
      void navigate(`/access/permissions?role=${encodeURIComponent(role.name)}`);
    },
  });
  const taken = create.error instanceof ApiError && create.error.kind === 'conflict';
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        create.mutate();
      }}
    >
      <Stack gap="md">
        <TextInput
          label="Name"
          description="Short and lasting: tokens may carry it"
          placeholder="operator"
          required
          maxLength={100}
          data-autofocus
          value={draft.name}
          error={taken ? 'A role of this name exists' : undefined}
          onChange={(event) => setDraft({ ...draft, name: event.currentTarget.value })}
        />
        <Textarea
          label="Description"
          placeholder="What people with this role do"
          maxLength={1000}
          autosize
          minRows={2}
          value={draft.description}
          onChange={(event) => setDraft({ ...draft, description: event.currentTarget.value })}
        />
        {create.error !== null && !taken && <Problem error={create.error} title="The role was not created" />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending} disabled={draft.name.trim() === ''}>
            Create
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function RoleRow({ role }: { role: Role }) {
  const me = useMe();
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const [editing, setEditing] = useState(false);
  const write = may(me, 'roles.write');
  const remove = useMutation({
    mutationFn: () => lodge.deleteRole(role.name),
    onSuccess: async () => {
      setAsking(false);
      await client.invalidateQueries({ queryKey: ['access'] });
      notifications.show({ message: `The role ${role.name} is gone.`, color: 'pine' });
    },
  });
  return (
    <Row>
      <Table.Td maw={380}>
        <Text size="sm" fw={600}>
          {role.name}
        </Text>
        <Text size="xs" c="dimmed">
          {role.description || 'No description'}
        </Text>
      </Table.Td>
      <Table.Td>
        <Anchor component={Link} to={`/access/people?role=${encodeURIComponent(role.name)}`} size="sm">
          {count(role.members, 'person', 'people')}
        </Anchor>
      </Table.Td>
      <Table.Td>
        <Anchor component={Link} to={`/access/permissions?role=${encodeURIComponent(role.name)}`} size="sm">
          {count(role.permissions, 'permission')}
        </Anchor>
      </Table.Td>
      <Table.Td>
        <Age time={role.created_at} />
      </Table.Td>
      <Table.Td>
        <Group gap={4} justify="flex-end" wrap="nowrap">
          {may(me, 'permissions.read') && (
            <Button
              component={Link}
              to={`/access/permissions?role=${encodeURIComponent(role.name)}`}
              size="compact-sm"
              variant="default"
              leftSection={<ShieldCheck size={14} aria-hidden />}
            >
              Permissions
            </Button>
          )}
          {write && (
            <>
              <Button
                size="compact-sm"
                variant="subtle"
                color="gray"
                aria-label={`Describe ${role.name}`}
                onClick={() => setEditing(true)}
              >
                <Pencil size={15} aria-hidden />
              </Button>
              <Button
                size="compact-sm"
                variant="subtle"
                color="red"
                aria-label={`Delete ${role.name}`}
                onClick={() => setAsking(true)}
              >
                <Trash2 size={15} aria-hidden />
              </Button>
            </>
          )}
        </Group>
        <Modal opened={editing} onClose={() => setEditing(false)} title={`Describe ${role.name}`}>
          {editing && <DescribeRole role={role} onClose={() => setEditing(false)} />}
        </Modal>
        <Confirm
          opened={asking}
          title={`Delete the role ${role.name}`}
          type={role.name}
          action="Delete"
          busy={remove.isPending}
          error={remove.error}
          onConfirm={() => remove.mutate()}
          onClose={() => setAsking(false)}
        >
          {count(role.members, 'person loses', 'people lose')} it at once, with its {count(role.permissions, 'permission')}. It
          cannot be undone; the audit log keeps what it was.
        </Confirm>
      </Table.Td>
    </Row>
  );
}

function DescribeRole({ role, onClose }: { role: Role; onClose: () => void }) {
  const client = useQueryClient();
  const [text, setText] = useState(role.description);
  const save = useMutation({
    mutationFn: () => lodge.describeRole(role.name, { description: text.trim() }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['access', 'roles'] });
      onClose();
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Stack gap="md">
        <Textarea
          label="Description"
          autosize
          minRows={3}
          maxLength={1000}
          data-autofocus
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        {save.error !== null && <Problem error={save.error} title="The description was not saved" />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending}>
            Save
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
