import { Anchor, Autocomplete, Button, Checkbox, Group, NativeSelect, Table, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Check, CircleDashed, LoaderCircle, ShieldCheck, TriangleAlert } from 'lucide-react';
import { Fragment, useState } from 'react';
import { Link } from 'react-router';
import { lodge } from '../api/lodge';
import { queries } from '../api/queries';
import type { ActionInfo, Permission, Role } from '../api/types';
import { EVERYWHERE, may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { offsetOf, useFilters } from '../lib/address';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { DataTable } from '../ui/table';
import classes from './access.module.css';
import { actionsFor } from './matrix';

/** Columns at a time; more roles are on the next page. */
const ROLES = 8;
/** The most permissions that one group may have to be shown as a matrix. */
const CELLS = 1000;
const defaults = { group: 'site', role: '', q: '', offset: '0' };

/** What each role may do: actions down, roles across, one group at a time. */
export default function Permissions() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const { group, role, q } = filters;
  const offset = offsetOf(filters.offset);
  const [refused, setRefused] = useState<Refused>();
  const actions = useQuery(queries.actions());
  const projects = useQuery({ ...queries.projects(), enabled: may(me, 'results.read') });
  const roles = useQuery({
    queryKey: ['access', 'roles', 'matrix', { role, offset }],
    queryFn: async () => {
      if (role === '') return lodge.roles({ limit: ROLES, offset });
      const one = await lodge.role(role);
      return { items: [one], total: 1, limit: ROLES, offset: 0 };
    },
  });
  const allRoles = useQuery({ queryKey: ['access', 'roles', 'choice'], queryFn: () => lodge.roles({ limit: 200 }) });
  const given = useQuery({
    queryKey: ['access', 'permissions', { group, role }],
    queryFn: () => lodge.permissions({ group, role, limit: CELLS }),
  });
  const everywhere = useQuery({
    queryKey: ['access', 'permissions', { group: EVERYWHERE, role }],
    queryFn: () => lodge.permissions({ group: EVERYWHERE, role, limit: CELLS }),
    enabled: group !== EVERYWHERE,
  });
  const shown = actionsFor(actions.data?.items ?? [], group, q);
  const parts = [...new Set(shown.map((a) => a.part))];
  return (
    <PageView
      title="Permissions"
      lead="What each role may do, group by group. A change takes effect at once; the cell says so when it has."
      freshness={<Freshness updatedAt={given.dataUpdatedAt} failed={given.isError} />}
    >
      {refused !== undefined && (
        <div>
          <Problem
            error={refused.error}
            title={`${refused.permission.role} was not changed: ${refused.permission.action} on ${refused.permission.group}`}
          />
          <Button size="compact-sm" variant="subtle" color="gray" onClick={() => setRefused(undefined)}>
            Close
          </Button>
        </div>
      )}
      <Panel padded={false}>
        <Group p="sm" gap="sm" align="flex-end">
          <Autocomplete
            key={group}
            label="Group"
            description="site, a project, or * for everywhere"
            data={[...new Set(['site', EVERYWHERE, ...(projects.data?.items ?? []).map((p) => p.id)])]}
            defaultValue={group}
            onOptionSubmit={(value) => change({ group: value })}
            onBlur={(event) => {
              const value = event.currentTarget.value.trim();
              if (value !== '' && value !== group) change({ group: value });
            }}
            onKeyDown={(event) => {
              const value = event.currentTarget.value.trim();
              if (event.key === 'Enter' && value !== '') change({ group: value });
            }}
            miw={200}
          />
          <NativeSelect
            label="Role"
            value={role}
            onChange={(event) => change({ role: event.currentTarget.value })}
            data={[{ value: '', label: 'All roles' }, ...(allRoles.data?.items ?? []).map((r) => r.name)]}
          />
          <TextInput
            label="Action"
            placeholder="Filter, e.g. audit"
            value={q}
            onChange={(event) => change({ q: event.currentTarget.value })}
          />
        </Group>
        <Answer query={actions} title="The actions could not be read">
          {() => (
            <Answer query={roles} title="The roles could not be read">
              {(page) => (
                <Answer query={given} title="The permissions could not be read">
                  {(permissions) => {
                    if (page.items.length === 0) {
                      return (
                        <Empty
                          title="No roles to give permissions to"
                          icon={ShieldCheck}
                          action={
                            may(me, 'roles.write') && (
                              <Button component={Link} to="/access/roles?do=create">
                                Create a role
                              </Button>
                            )
                          }
                        >
                          Permissions belong to roles. Create one first.
                        </Empty>
                      );
                    }
                    if (shown.length === 0) {
                      return (
                        <Empty title="No action matches" icon={ShieldCheck}>
                          Clear the filter, or choose another group: the site has the platform’s actions, projects have those of
                          the parts.
                        </Empty>
                      );
                    }
                    return (
                      <>
                        <DataTable label="Permissions" head={['Action', ...page.items.map((r) => r.name)]} minWidth={300 + page.items.length * 110} cards={false}>
                          {parts.map((part) => (
                            <Fragment key={part}>
                              <Table.Tr className={classes.part}>
                                <Table.Th colSpan={page.items.length + 1} scope="colgroup">
                                  {part}
                                </Table.Th>
                              </Table.Tr>
                              {shown
                                .filter((a) => a.part === part)
                                .map((a) => (
                                  <ActionRow
                                    key={a.action}
                                    action={a}
                                    group={group}
                                    roles={page.items}
                                    given={permissions.items}
                                    everywhere={everywhere.data?.items ?? []}
                                    onRefused={setRefused}
                                  />
                                ))}
                            </Fragment>
                          ))}
                        </DataTable>
                        <Paging
                          total={page.total}
                          limit={ROLES}
                          offset={offset}
                          noun={page.total === 1 ? 'role' : 'roles'}
                          onChange={(next) => change({ offset: String(next) })}
                        />
                      </>
                    );
                  }}
                </Answer>
              )}
            </Answer>
          )}
        </Answer>
      </Panel>
      <Text size="sm" c="dimmed">
        Nobody can give a right that they do not hold themselves.{' '}
        <Anchor component={Link} to="/access/who-can" size="sm" underline="always">
          See who can do what
        </Anchor>
        .
      </Text>
    </PageView>
  );
}

interface RowProps {
  action: ActionInfo;
  group: string;
  roles: readonly Role[];
  given: readonly Permission[];
  everywhere: readonly Permission[];
  onRefused: (refused: Refused) => void;
}

/** A change that did not happen, and why. */
interface Refused {
  permission: Permission;
  error: Error;
}

function ActionRow({ action, group, roles, given, everywhere, onRefused }: RowProps) {
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={400}>
        <Text size="sm" fw={550} className="code">
          {action.action}
        </Text>
        <Text size="xs" c="dimmed">
          {action.help}
        </Text>
      </Table.Th>
      {roles.map((role) => {
        const has = (list: readonly Permission[]) => list.some((p) => p.role === role.name && p.action === action.action);
        return (
          <Table.Td key={role.name}>
            <Cell
              permission={{ role: role.name, group, action: action.action }}
              given={has(given)}
              everywhere={group !== EVERYWHERE && has(everywhere)}
              onRefused={onRefused}
            />
          </Table.Td>
        );
      })}
    </Table.Tr>
  );
}

type Step = 'pressed' | 'accepted' | 'in effect';

interface CellProps {
  permission: Permission;
  given: boolean;
  everywhere: boolean;
  onRefused: (refused: Refused) => void;
}

/** One toggle that tells the truth: pressed, accepted by the server, in effect as read back from it. */
function Cell({ permission, given, everywhere, onRefused }: CellProps) {
  const me = useMe();
  const client = useQueryClient();
  const [step, setStep] = useState<Step>();
  const change = useMutation({
    mutationFn: async (give: boolean) => {
      setStep('pressed');
      await (give ? lodge.permit(permission) : lodge.forbid({ ...permission }));
      setStep('accepted');
      await client.invalidateQueries({ queryKey: ['access'] });
      const now = await lodge.permissions({ ...permission, limit: 1 });
      if (now.total > 0 !== give) throw new Error('Somebody else changed it back in the meantime.');
      setStep('in effect');
    },
    onError: (error) => {
      setStep(undefined);
      onRefused({ permission, error });
    },
  });
  return (
    <div className={classes.cell}>
      <Checkbox
        aria-label={`${permission.role} may ${permission.action} on ${permission.group}`}
        checked={change.isPending ? change.variables : given}
        disabled={!may(me, 'permissions.write') || change.isPending}
        onChange={(event) => change.mutate(event.currentTarget.checked)}
      />
      <span className={classes.step} role="status">
        {change.error !== null ? (
          <Text size="xs" c="red" className={classes.mark}>
            <TriangleAlert size={12} aria-hidden /> refused
          </Text>
        ) : step !== undefined ? (
          <StepMark step={step} />
        ) : everywhere ? (
          <Text size="xs" c="dimmed">
            by *
          </Text>
        ) : null}
      </span>
    </div>
  );
}

function StepMark({ step }: { step: Step }) {
  const Icon = step === 'pressed' ? CircleDashed : step === 'accepted' ? LoaderCircle : Check;
  return (
    <Text size="xs" c="dimmed" className={classes.mark}>
      <Icon size={12} aria-hidden /> {step}
    </Text>
  );
}
