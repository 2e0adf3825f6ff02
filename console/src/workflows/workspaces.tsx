import { Anchor, Badge, Button, Group, Modal, Stack, Table, Text, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { FolderKanban, Plus } from 'lucide-react';
import { useState } from 'react';
import { Link, useNavigate } from 'react-router';
import { workflowsAPI } from '../api/workflows';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { useFilters } from '../lib/address';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { DataTable, Row } from '../ui/table';
import { workflowQueries } from './query';

const defaults = { do: '' };
/** Roles that make workspaces unless the site says otherwise; the server decides. */
const makers: readonly string[] = ['admin', 'developer-admin', 'sandbox-developer'];

/** Who works together: each workspace has its workflows, runs, secrets and volumes. */
export default function Workspaces() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const workspaces = useQuery(workflowQueries.workspaces());
  const create = (may(me, 'workflows.workspaces.create') || me.roles.some((r) => makers.includes(r))) && (
    <Button leftSection={<Plus size={16} aria-hidden />} onClick={() => change({ do: 'create' })}>
      New workspace
    </Button>
  );
  return (
    <PageView
      title="Workspaces"
      lead="A workspace belongs to some people: its workflows, runs, secrets and volumes are theirs."
      freshness={<Freshness updatedAt={workspaces.dataUpdatedAt} failed={workspaces.isError} />}
      actions={create}
    >
      <Panel padded={false}>
        <Answer query={workspaces} title="The workspaces could not be read">
          {(list) =>
            list.length === 0 ? (
              <Empty title="No workspace that you may see" icon={FolderKanban} action={create}>
                Ask the owner of one to add you, or an administrator to make one.
              </Empty>
            ) : (
              <DataTable label="Workspaces" minWidth={600} head={['Workspace', 'You are', 'People', { label: 'Do', hidden: true, align: 'right' }]}>
                {list.map((w) => (
                  <Row key={w.name}>
                    <Table.Td maw={360}>
                      <Anchor component={Link} to={`/workflows/workspaces/${w.name}`} size="sm" fw={550}>
                        {w.name}
                      </Anchor>
                      {w.description !== undefined && (
                        <Text size="xs" c="dimmed" lineClamp={1}>
                          {w.description}
                        </Text>
                      )}
                    </Table.Td>
                    <Table.Td>
                      <Group gap={4}>
                        {w.roles.includes('ws-collaborator') && <Badge color="pine">member</Badge>}
                        {w.roles.includes('ws-owner') && <Badge color="blue">administrator</Badge>}
                        {!w.roles.includes('ws-collaborator') && !w.roles.includes('ws-owner') && (
                          <Text size="sm" c="dimmed">
                            nobody there yet
                          </Text>
                        )}
                      </Group>
                    </Table.Td>
                    <Table.Td>
                      {w.roles
                        .filter((r) => r.includes('--$'))
                        .map((r) => r.split('--$')[0])
                        .join(', ') || '–'}
                    </Table.Td>
                    <Table.Td ta="right">
                      <Group gap={4} justify="flex-end" wrap="nowrap">
                        <Button component={Link} to={`/workflows/library?workspace=${w.name}`} size="compact-sm" variant="default" aria-label={`Workflows of ${w.name}`}>
                          Workflows
                        </Button>
                        <Button component={Link} to={`/workflows/runs?workspace=${w.name}`} size="compact-sm" variant="default" aria-label={`Runs of ${w.name}`}>
                          Runs
                        </Button>
                      </Group>
                    </Table.Td>
                  </Row>
                ))}
              </DataTable>
            )
          }
        </Answer>
      </Panel>
      <Modal opened={filters.do === 'create'} onClose={() => change({ do: '' })} title="New workspace">
        {filters.do === 'create' && <CreateForm email={me.email} onClose={() => change({ do: '' })} />}
      </Modal>
    </PageView>
  );
}

const nameForm = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

function CreateForm({ email, onClose }: { email: string; onClose: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const [owner, setOwner] = useState(email);
  const problem = name === '' || nameForm.test(name) ? undefined : 'Small letters, digits and -, at most 63.';
  const create = useMutation({
    mutationFn: () => workflowsAPI.createWorkspace({ name, description, roles: [[`${owner.trim()}--$owner`]] }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['workflows', 'workspaces'] });
      notifications.show({ message: `${name} is there.`, color: 'pine' });
      void navigate(`/workflows/workspaces/${name}`);
    },
  });
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        if (nameForm.test(name) && owner.trim() !== '') create.mutate();
      }}
    >
      <Stack gap="md">
        <TextInput label="Name" description="It cannot be changed later" value={name} error={problem} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
        <TextInput label="Description" value={description} onChange={(e) => setDescription(e.currentTarget.value)} />
        <TextInput label="Owner" description="The address of whoever decides who belongs to it" type="email" value={owner} onChange={(e) => setOwner(e.currentTarget.value)} />
        {create.error !== null && <Problem error={create.error} title="The workspace was not made" />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending} disabled={!nameForm.test(name) || owner.trim() === ''}>
            Create
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
