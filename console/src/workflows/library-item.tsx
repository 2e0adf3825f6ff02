import { Anchor, Badge, Button, Group, NativeSelect, Stack, Table, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { ChevronLeft, Pencil, Play, Trash2 } from 'lucide-react';
import { lazy, Suspense, useState } from 'react';
import { Link, useNavigate, useParams } from 'react-router';
import { type Item, workflowsAPI } from '../api/workflows';
import { useFilters } from '../lib/address';
import { moment } from '../lib/format';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Confirm } from '../ui/confirm';
import { CopyIcon } from '../ui/copy';
import { Facts } from '../ui/facts';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { DataTable, Row } from '../ui/table';
import { commandLine } from './command';
import { differences } from './difference';
import { type Data, type Document, type DocumentKind, kindWord, rootOf, typeWord } from './document';
import { Tags } from './library';
import { TypeMark } from './mark';
import { workflowQueries } from './query';
import { hintOf } from './value';
import classes from './workflows.module.css';

const Picture = lazy(() => import('./picture'));

const defaults = { version: '', against: '' };

/** One component or workflow: what it is, its versions, and what changed between two of them. */
export default function LibraryItem() {
  const { kind = '', id = '' } = useParams();
  const what: DocumentKind = kind === 'workflow' ? 'workflow' : 'component';
  const [filters, change] = useFilters(defaults);
  const version = Number(filters.version) || 0;
  const doc = useQuery(workflowQueries.document(what, id, version));
  const versions = useQuery(workflowQueries.versions(what, id));
  const name = doc.data?.name === undefined || doc.data.name === '' ? (doc.data === undefined ? 'Library' : 'Unnamed') : doc.data.name;
  return (
    <PageView
      title={name}
      lead={doc.data?.description}
      actions={
        doc.data !== undefined && (
          <>
            {what === 'workflow' && (
              <Button component={Link} to={`/workflows/library/run/${id}${version === 0 ? '' : `?version=${version}`}`} leftSection={<Play size={16} aria-hidden />}>
                Run
              </Button>
            )}
            <Button component={Link} to={`/workflows/library/edit/${what}/${id}`} variant={what === 'workflow' ? 'default' : 'filled'} leftSection={<Pencil size={16} aria-hidden />}>
              Edit
            </Button>
          </>
        )
      }
    >
      <div>
        <Anchor component={Link} to={`/workflows/library?what=${what}`} size="sm">
          <Group gap={4} component="span">
            <ChevronLeft size={14} aria-hidden /> Library
          </Group>
        </Anchor>
      </div>
      <Answer query={doc} title={`The ${what} could not be read`}>
        {(d) => (
          <>
            <Overview doc={d} />
            <Answer query={versions} title="The versions could not be read">
              {({ items }) => (
                <>
                  <Versions kind={what} uid={id} items={items} shown={d.version?.current ?? 0} onShow={(v) => change({ version: v })} />
                  {items.length > 1 && <Changes kind={what} uid={id} items={items} after={d} against={filters.against} onAgainst={(v) => change({ against: v })} />}
                </>
              )}
            </Answer>
          </>
        )}
      </Answer>
    </PageView>
  );
}

function Overview({ doc }: { doc: Document }) {
  const root = rootOf(doc);
  const it = root.implementation;
  return (
    <div className={classes.two}>
      <Panel padded={false} title="Inside">
        {it.type === 'brick' ? (
          <Stack gap="xs" p="md">
            <Text size="sm">
              Runs in <b>{it.container.image ?? 'no image'}</b>:
            </Text>
            <pre className={classes.code}>{commandLine(root, it).join(' ')}</pre>
          </Stack>
        ) : (
          <div className={classes.picture}>
            <Suspense fallback={null}>
              <Picture component={root} label={`The inside of ${doc.name ?? 'it'}`} />
            </Suspense>
          </div>
        )}
      </Panel>
      <Panel title="About it">
        <Stack gap="md">
          <Facts
            items={[
              ['Kind', kindWord(it.type)],
              ...(doc.type === 'workflow' ? [['Workspace', doc.workspace] as const] : []),
              ['Version', `${doc.version?.current ?? 1}`],
              ['Changed', doc.timestamp === undefined ? '–' : moment(doc.timestamp)],
              ['By', doc.modifiedBy?.email ?? '–'],
              [
                'Id',
                <Group key="id" gap={4} wrap="nowrap">
                  <span className="code">{doc.uid}</span>
                  <CopyIcon value={doc.uid ?? ''} what="the id" />
                </Group>,
              ],
            ]}
          />
          <Tags tags={(doc.version?.tags ?? []).filter((t) => t !== 'latest')} />
          <Ports title="Takes" ports={root.inputs ?? []} none="nothing" />
          <Ports title="Gives" ports={root.outputs ?? []} none="nothing" />
        </Stack>
      </Panel>
    </div>
  );
}

function Ports({ title, ports, none }: { title: string; ports: readonly Data[]; none: string }) {
  return (
    <div>
      <Text size="sm" fw={600} mb={4}>
        {title}
      </Text>
      {ports.length === 0 ? (
        <Text size="sm" c="dimmed">
          {none}
        </Text>
      ) : (
        <ul className={classes.ports}>
          {ports.map((d) => (
            <li key={d.name}>
              <TypeMark type={d.type} size={13} /> <b>{d.name}</b> <span>{typeWord(d.type)}</span>
              {hintOf(d) !== undefined && <div className={classes.hint}>{hintOf(d)}</div>}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Versions({ kind, uid, items, shown, onShow }: { kind: DocumentKind; uid: string; items: readonly Item[]; shown: number; onShow: (version: string) => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [asking, setAsking] = useState<number>();
  const remove = useMutation({
    mutationFn: (version: number) => workflowsAPI.remove(kind, uid, version),
    onSuccess: async (_, version) => {
      setAsking(undefined);
      notifications.show({ message: `Version ${version} is deleted.`, color: 'pine' });
      if (items.length === 1) {
        void navigate(`/workflows/library?what=${kind}`);
        return;
      }
      onShow('');
      await client.invalidateQueries({ queryKey: ['workflows', `${kind}s`] });
    },
  });
  return (
    <Panel title="Versions" padded={false}>
      <DataTable label="Versions" minWidth={560} head={['Version', 'Changed', 'By', { label: 'Do', hidden: true, align: 'right' }]}>
        {items.map((v) => {
          const n = v.version?.current ?? 0;
          return (
            <Row key={n}>
              <Table.Td>
                <Group gap={6} wrap="nowrap">
                  <Text size="sm" fw={n === shown ? 650 : 400}>
                    {n}
                  </Text>
                  {(v.version?.tags ?? []).map((t) => (
                    <Badge key={t} color={t === 'latest' ? 'pine' : 'gray'}>
                      {t === 'latest' ? 'newest' : t}
                    </Badge>
                  ))}
                </Group>
              </Table.Td>
              <Table.Td>
                <Age time={v.timestamp} />
              </Table.Td>
              <Table.Td>{v.modifiedBy?.email ?? '–'}</Table.Td>
              <Table.Td ta="right">
                <Group gap={4} justify="flex-end" wrap="nowrap">
                  {n === shown ? (
                    <Text size="xs" c="dimmed">
                      shown above
                    </Text>
                  ) : (
                    <Button size="compact-sm" variant="default" onClick={() => onShow(String(n))} aria-label={`Show version ${n}`}>
                      Show
                    </Button>
                  )}
                  <Button size="compact-sm" variant="subtle" color="red" leftSection={<Trash2 size={13} aria-hidden />} onClick={() => setAsking(n)} aria-label={`Delete version ${n}`}>
                    Delete
                  </Button>
                </Group>
              </Table.Td>
            </Row>
          );
        })}
      </DataTable>
      <Confirm
        opened={asking !== undefined}
        title={`Delete version ${asking ?? 0}`}
        type={`version ${asking ?? 0}`}
        action="Delete"
        busy={remove.isPending}
        error={remove.error}
        onConfirm={() => asking !== undefined && remove.mutate(asking)}
        onClose={() => {
          setAsking(undefined);
          remove.reset();
        }}
      >
        It goes away for everybody. Its number is never given out again. What others refer to is not deleted: the server says who they are.
      </Confirm>
    </Panel>
  );
}

function Changes({ kind, uid, items, after, against, onAgainst }: { kind: DocumentKind; uid: string; items: readonly Item[]; after: Document; against: string; onAgainst: (v: string) => void }) {
  const shown = after.version?.current ?? 0;
  const others = items.map((i) => i.version?.current ?? 0).filter((n) => n !== shown);
  const chosen = others.includes(Number(against)) ? Number(against) : (others.find((n) => n < shown) ?? others.at(-1) ?? 0);
  const before = useQuery(workflowQueries.document(kind, uid, chosen));
  return (
    <Panel
      title="What changed"
      padded={false}
      actions={
        <Group gap="xs">
          <Text size="sm">from version</Text>
          <NativeSelect aria-label="Compare with version" size="xs" value={String(chosen)} onChange={(e) => onAgainst(e.currentTarget.value)} data={others.map(String)} />
          <Text size="sm">to {shown}</Text>
        </Group>
      }
    >
      <Answer query={before} title="The other version could not be read">
        {(b) => <DifferenceTable before={b} after={after} />}
      </Answer>
    </Panel>
  );
}

function DifferenceTable({ before, after }: { before: Document; after: Document }) {
  const found = differences(before, after);
  if (found.length === 0) {
    return (
      <Text size="sm" c="dimmed" p="md">
        Nothing but where things stand on the canvas, if that.
      </Text>
    );
  }
  return (
    <DataTable label="Differences" minWidth={620} head={['What', 'Before', 'After']}>
      {found.map((d, i) => (
        <Row key={i}>
          <Table.Td>
            <Badge color={d.what === 'added' ? 'pine' : d.what === 'removed' ? 'red' : 'blue'} mr={8}>
              {d.what}
            </Badge>
            {d.subject}
          </Table.Td>
          <Table.Td>
            <code className={classes.diff}>{d.before}</code>
          </Table.Td>
          <Table.Td>
            <code className={classes.diff}>{d.after}</code>
          </Table.Td>
        </Row>
      ))}
    </DataTable>
  );
}
