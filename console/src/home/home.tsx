import { Anchor, Button, Group, SimpleGrid, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { FileUp, SearchCheck, Send, UserPlus } from 'lucide-react';
import { Link } from 'react-router';
import { HomeApps } from '../apps/home-apps';
import { HomeFleet } from '../fleet/home-fleet';
import { lodge } from '../api/lodge';
import { queries } from '../api/queries';
import { useAlerts } from '../frame/alerts';
import { useMe } from '../frame/me-context';
import { may } from '../frame/may';
import { bytes, count } from '../lib/format';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Status } from '../ui/status';
import { Checklist } from './checklist';
import { SitePanel } from './site-panel';
import classes from './home.module.css';

/** What runs for me, what needs me, and where to begin. */
export default function Home() {
  const me = useMe();
  const files = may(me, 'results.read');
  const uploads = may(me, 'results.uploads.read');
  const projects = useQuery({ ...queries.projects(), enabled: files });
  const hub = useQuery({ ...queries.hub(), enabled: uploads });
  const failed = useQuery({ ...queries.failed(), enabled: uploads });
  const recent = useQuery({
    queryKey: ['results', 'files', 'recent'],
    queryFn: () => lodge.files({ limit: 5 }),
    enabled: files,
  });
  const stored = projects.data?.items.reduce((sum, p) => sum + p.files, 0);
  const size = projects.data?.items.reduce((sum, p) => sum + p.size, 0);
  const first = me.name.split(/[\s@]/)[0];
  return (
    <PageView
      title={first ? `Welcome, ${first}` : 'Welcome'}
      freshness={<Freshness updatedAt={Math.max(recent.dataUpdatedAt, hub.dataUpdatedAt)} />}
      actions={
        <>
          {may(me, 'access.explain') && (
            <Button component={Link} to="/access/who-can" variant="default" leftSection={<SearchCheck size={16} aria-hidden />}>
              Who can…?
            </Button>
          )}
          {may(me, 'roles.write') && (
            <Button component={Link} to="/access/roles?do=create" variant="default" leftSection={<UserPlus size={16} aria-hidden />}>
              Create a role
            </Button>
          )}
          {may(me, 'fleet.tasks.submit') && (
            <Button component={Link} to="/fleet/tasks?do=task" leftSection={<Send size={16} aria-hidden />}>
              Send a robot
            </Button>
          )}
          {may(me, 'results.write') && (
            <Button component={Link} to="/results/files?do=upload" leftSection={<FileUp size={16} aria-hidden />}>
              Upload a file
            </Button>
          )}
        </>
      }
    >
      {(files || uploads) && (
        <SimpleGrid cols={{ base: 2, md: 4 }} spacing="md">
          {files && <Figure label="Files" value={stored} note={size === undefined ? '' : bytes(size)} to="/results/files" />}
          {files && <Figure label="Projects" value={projects.data?.items.length} note="with files" to="/results/files" />}
          {uploads && (
            <Figure
              label="Waiting for the hub"
              value={hub.data?.waiting}
              note={hub.data === undefined ? '' : !hub.data.configured ? 'no hub set up' : hub.data.reachable ? 'hub reachable' : 'hub unreachable'}
              to="/results/uploads"
            />
          )}
          {uploads && <Figure label="Failed uploads" value={failed.data} note={failed.data ? 'need you' : 'none'} to="/results/uploads?state=failed" />}
        </SimpleGrid>
      )}
      <div className={classes.columns}>
        <Stack gap="md">
          <NeedsMe />
          <HomeApps />
          <HomeFleet />
          {files && (
            <Panel
              title="Latest files"
              padded={false}
              actions={
                <Anchor component={Link} to="/results/files" size="sm">
                  All files
                </Anchor>
              }
            >
              <Answer query={recent} title="The files could not be read">
                {(page) =>
                  page.items.length === 0 ? (
                    <Empty title="No files yet" icon={FileUp}>
                      What an analysis stores, or you upload, appears here.
                    </Empty>
                  ) : (
                    <ul className={classes.list}>
                      {page.items.map((f) => (
                        <li key={f.id}>
                          <Anchor
                            component={Link}
                            to={`/results/files?file=${encodeURIComponent(f.id)}&project=${encodeURIComponent(f.project_id)}`}
                            fw={550}
                            className={classes.name}
                          >
                            {f.filename}
                          </Anchor>
                          <Text size="xs" c="dimmed" className={classes.meta}>
                            {f.project_id} · {bytes(f.size)} · <Age time={f.created_at} />
                          </Text>
                        </li>
                      ))}
                    </ul>
                  )
                }
              </Answer>
            </Panel>
          )}
        </Stack>
        <Stack gap="md">
          <Checklist />
          <SitePanel />
        </Stack>
      </div>
    </PageView>
  );
}

function Figure({ label, value, note, to }: { label: string; value: number | undefined; note: string; to: string }) {
  return (
    <Link to={to} className={classes.figure}>
      <Text size="xs" c="dimmed">
        {label}
      </Text>
      <Text fz={26} fw={650} lh={1.2}>
        {value === undefined ? '–' : value.toLocaleString('en')}
      </Text>
      <Text size="xs" c="dimmed">
        {note || '\u00a0'}
      </Text>
    </Link>
  );
}

function NeedsMe() {
  const alerts = useAlerts();
  return (
    <Panel title="Needs you" hint={alerts.length === 0 ? undefined : count(alerts.length, 'thing')} padded={false}>
      {alerts.length === 0 ? (
        <Group p="md" gap="sm">
          <Status tone="good">All well</Status>
          <Text size="sm" c="dimmed">
            No robot asks, no app of yours is about to close, no upload failed, and every system that Lodge needs answers.
          </Text>
        </Group>
      ) : (
        <ul className={classes.list}>
          {alerts.map((a) => (
            <li key={a.id} className={classes.alert}>
              <Status tone={a.tone}>{a.tone === 'bad' ? 'Needs you' : 'Waiting'}</Status>
              <Text size="sm" className={classes.grow}>
                {a.text}
              </Text>
              <Anchor component={Link} to={a.link} size="sm" className="nowrap">
                Look at it
              </Anchor>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
