import { Alert, Anchor, Button, SimpleGrid, Stack, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { AppWindow, LayoutGrid } from 'lucide-react';
import { Link } from 'react-router';
import type { AppCapacity, AppSession } from '../api/types';
import { bytes, count } from '../lib/format';
import { useNow } from '../lib/now';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Status } from '../ui/status';
import { DataTable, Row } from '../ui/table';
import classes from './apps.module.css';
import { AppIcon } from './icon';
import { cores, endOf, isMoving, resourcesInWords, stateLook, titleOf } from './model';
import { OpenButton } from './open-button';
import { appsQueries, MINE } from './queries';
import { SessionButtons } from './session-buttons';
import { Bar, UseBars } from './use-bars';

/** The caller's own app sessions: what runs, until when, what it uses, and what has ended. */
export default function MyApps() {
  const query = useQuery(appsQueries.sessions(MINE));
  const catalogue = useQuery(appsQueries.list());
  const capacity = useQuery(appsQueries.capacity());
  const icons = new Map((catalogue.data ?? []).map((a) => [a.id, a.icon]));
  const toCatalogue = (
    <Button component={Link} to="/apps/catalogue" variant="default" leftSection={<LayoutGrid size={16} aria-hidden />}>
      Catalogue
    </Button>
  );
  return (
    <PageView
      title="My apps"
      lead="What runs for you. An app closes by itself when nobody uses it; looking at it does not count, working in it does."
      freshness={<Freshness updatedAt={query.dataUpdatedAt} failed={query.isError} />}
      actions={toCatalogue}
    >
      {capacity.data !== undefined && <Room capacity={capacity.data} />}
      <Panel padded={false}>
        <Answer query={query} title="Your apps could not be read">
          {(page) =>
            page.items.length === 0 ? (
              <Empty title="You have started nothing yet" icon={AppWindow} action={toCatalogue}>
                Choose an app from the catalogue: it appears here, with what it uses and when it closes.
              </Empty>
            ) : (
              <DataTable label="My apps" minWidth={940} head={['App', 'State', 'Use', 'Started', { label: 'Actions', hidden: true }]}>
                {page.items.map((s) => (
                  <SessionRow key={s.id} session={s} icon={icons.get(s.app) ?? ''} />
                ))}
              </DataTable>
            )
          }
        </Answer>
      </Panel>
    </PageView>
  );
}

/** How much of what one may have is taken. */
function Room({ capacity: c }: { capacity: AppCapacity }) {
  const limited = [c.sessions_per_user > 0, c.cpu_millis_per_user > 0, c.memory_bytes_per_user > 0].filter(Boolean).length;
  if (limited === 0) return null;
  const full = c.sessions_per_user > 0 && c.mine >= c.sessions_per_user;
  return (
    <Panel title="What you may have" hint="Promised to your apps, whether they use it or not">
      <Stack gap="sm">
        <SimpleGrid cols={{ base: 1, sm: Math.max(2, limited) }} spacing="lg">
          {c.sessions_per_user > 0 && <Bar label="Apps at once" value={`${c.mine} of ${c.sessions_per_user}`} share={c.mine / c.sessions_per_user} />}
          {c.cpu_millis_per_user > 0 && (
            <Bar label="CPU" value={`${c.cpu_millis_used / 1000} of ${cores(c.cpu_millis_per_user / 1000)}`} share={c.cpu_millis_used / c.cpu_millis_per_user} />
          )}
          {c.memory_bytes_per_user > 0 && (
            <Bar label="Memory" value={`${bytes(c.memory_bytes_used)} of ${bytes(c.memory_bytes_per_user)}`} share={c.memory_bytes_used / c.memory_bytes_per_user} />
          )}
        </SimpleGrid>
        {full && (
          <Alert color="yellow" title="You cannot start another">
            {count(c.mine, 'app runs', 'apps run')}, which is as many as you may have. Stop one first, or ask an administrator for more.
          </Alert>
        )}
      </Stack>
    </Panel>
  );
}

function SessionRow({ session: s, icon }: { session: AppSession; icon: string }) {
  const now = useNow();
  const look = stateLook(s.state);
  const end = endOf(s, now);
  return (
    <Row>
      <Table.Td maw={260}>
        <div className={classes.name}>
          <AppIcon app={{ id: s.app, name: s.app_name, icon }} size={30} />
          <Anchor component={Link} to={`/apps/mine/${s.id}`} size="sm" fw={550}>
            {titleOf(s)}
          </Anchor>
        </div>
      </Table.Td>
      <Table.Td maw={240}>
        <Status tone={look.tone}>{look.word}</Status>
        <Text size="xs" c={s.extend?.soon === true ? 'red.8' : 'dimmed'} mt={2}>
          {end !== '' ? end : isMoving(s.state) ? s.progress.message : (s.message ?? s.advice ?? '')}
        </Text>
        {s.visitor !== undefined && (
          <Text size="xs" c="dimmed">
            {s.visitor.name} used it, <Age time={s.visitor.at} />.
          </Text>
        )}
        {s.restart_needed && (
          <Text size="xs" c="dimmed">
            Restart it to get the newer version.
          </Text>
        )}
      </Table.Td>
      <Table.Td>{s.state === 'ready' ? <UseBars session={s} /> : <Text size="xs" c="dimmed">{resourcesInWords(s.resources)} promised</Text>}</Table.Td>
      <Table.Td>
        <Age time={s.started_at ?? s.queued_at} />
      </Table.Td>
      <Table.Td ta="right">
        <div className={classes.actions}>
          {s.state === 'ready' && <OpenButton session={s} size="compact-sm" />}
          <SessionButtons session={s} />
        </div>
      </Table.Td>
    </Row>
  );
}
