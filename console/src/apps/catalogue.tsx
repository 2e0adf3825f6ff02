import { Anchor, Button, Text, TextInput, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Clock, Cpu, LayoutGrid, Lock, Play, Plus, Search, Users } from 'lucide-react';
import { Link } from 'react-router';
import type { App } from '../api/types';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { useFilters } from '../lib/address';
import { useNow } from '../lib/now';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import classes from './apps.module.css';
import { AppIcon } from './icon';
import { asks, LaunchDialog, useLaunch } from './launch-form';
import { endOf, isLive, limitsOf, stateLook, whoMay } from './model';
import { OpenButton } from './open-button';
import { appsQueries } from './queries';

const defaults = { q: '', launch: '' };

/** Every app that the caller may see, each a click away. */
export default function Catalogue() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const query = useQuery(appsQueries.list());
  const apps = query.data ?? [];
  const wanted = filters.q.trim().toLowerCase();
  const found = apps.filter((a) => `${a.id} ${a.name} ${a.description}`.toLowerCase().includes(wanted));
  const admin = may(me, 'apps.admin');
  return (
    <PageView
      title="Catalogue"
      lead="Each app runs for you alone. It starts in a moment and closes by itself when nobody uses it."
      freshness={<Freshness updatedAt={query.dataUpdatedAt} failed={query.isError} />}
      actions={
        <>
          {apps.length > 6 && (
            <TextInput
              aria-label="Search apps"
              placeholder="Search apps"
              leftSection={<Search size={15} aria-hidden />}
              value={filters.q}
              onChange={(event) => change({ q: event.currentTarget.value })}
            />
          )}
          {admin && (
            <Button component={Link} to="/apps/catalogue/new" variant="default" leftSection={<Plus size={16} aria-hidden />}>
              New app
            </Button>
          )}
        </>
      }
    >
      <Answer query={query} title="The catalogue could not be read">
        {() =>
          found.length === 0 ? (
            <Panel padded={false}>
              {wanted !== '' ? (
                <Empty title="No app has this name" icon={LayoutGrid}>
                  Try a part of it.
                </Empty>
              ) : (
                <Empty title="No app is open to you yet" icon={LayoutGrid}>
                  {admin
                    ? 'Put the first one into the catalogue: an image or a command, and who may use it.'
                    : 'An administrator gives you a role that an app is open to. Your own roles are in the menu under your name.'}
                </Empty>
              )}
            </Panel>
          ) : (
            <ul className={classes.cards} aria-label="Apps">
              {found.map((a) => (
                <Card key={a.id} app={a} onLaunch={() => change({ launch: a.id })} />
              ))}
            </ul>
          )
        }
      </Answer>
      <LaunchDialog app={apps.find((a) => a.id === filters.launch)} onClose={() => change({ launch: '' })} />
    </PageView>
  );
}

function Card({ app, onLaunch }: { app: App; onLaunch: () => void }) {
  const launch = useLaunch(app.id);
  const now = useNow();
  const usual = app.sessions.find((s) => s.name === '');
  const live = app.sessions.filter((s) => isLive(s.state) || s.state === 'stopping');
  const runs = usual !== undefined && isLive(usual.state);
  const start = () => (asks(app) ? onLaunch() : launch.mutate({}));
  return (
    <li className={classes.card} data-testid={`app-${app.id}`}>
      <div className={classes.cardHead}>
        <AppIcon app={app} />
        <div>
          <Title order={2} fz="md">
            {app.name}
          </Title>
          {app.name !== app.id && (
            <Text size="xs" c="dimmed" className="code">
              {app.id}
            </Text>
          )}
        </div>
        {app.entry !== undefined && (
          <Anchor component={Link} size="sm" to={app.read_only ? `/apps/catalogue/new?from=${app.id}` : `/apps/catalogue/edit/${app.id}`} aria-label={app.read_only ? `Copy ${app.name}` : `Edit ${app.name}`}>
            {app.read_only ? 'Copy' : 'Edit'}
          </Anchor>
        )}
      </div>
      {app.description !== '' && <Text size="sm">{app.description}</Text>}
      <ul className={classes.small}>
        <li>
          <Users size={13} aria-label="Who may use it" />
          <span>{whoMay(app.allow, app.group)}</span>
        </li>
        <li>
          <Cpu size={13} aria-label="What one gets" />
          <span>{limitsOf(app)[0]}</span>
        </li>
        <li>
          <Clock size={13} aria-label="When it closes" />
          <span>{limitsOf(app).slice(1).join('; ')}</span>
        </li>
      </ul>
      {live.map((s) => {
        const look = stateLook(s.state);
        return (
          <div key={s.id} className={classes.running}>
            <Status tone={look.tone}>{look.word}</Status>
            <Anchor component={Link} to={`/apps/mine/${s.id}`} size="xs" fw={550}>
              {s.name === '' ? 'Yours' : `Yours, ${s.name}`}
            </Anchor>
            <Text span inherit c="dimmed">
              {endOf(s, now)}
            </Text>
          </div>
        );
      })}
      {launch.error !== null && <Problem error={launch.error} title={`${app.name} was not started`} />}
      <div className={classes.cardFoot}>
        {usual?.state === 'ready' ? (
          <OpenButton session={usual} />
        ) : runs ? (
          <Button component={Link} to={`/apps/mine/${usual.id}?open=1`} variant="default">
            Watch it start
          </Button>
        ) : (
          app.can_launch && (
            <Button leftSection={<Play size={15} aria-hidden />} loading={launch.isPending} disabled={usual?.state === 'stopping'} onClick={start} aria-label={`Start ${app.name}`}>
              {asks(app) ? 'Start…' : 'Start'}
            </Button>
          )
        )}
        {runs && app.named > 0 && app.can_launch && (
          <Button variant="default" onClick={onLaunch} leftSection={<Plus size={15} aria-hidden />}>
            Another…
          </Button>
        )}
        {!app.can_launch && !runs && (
          <Text size="sm" c="dimmed" role="status">
            <Lock size={13} aria-hidden /> {app.why_not}
          </Text>
        )}
      </div>
    </li>
  );
}
