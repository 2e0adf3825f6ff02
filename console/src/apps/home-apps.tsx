import { Anchor, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { LayoutGrid } from 'lucide-react';
import { Link } from 'react-router';
import classes from '../home/home.module.css';
import { useNow } from '../lib/now';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Panel } from '../ui/panel';
import { Status } from '../ui/status';
import { endOf, isLive, isMoving, stateLook, titleOf } from './model';
import { OpenButton } from './open-button';
import { appsQueries } from './queries';

/** The caller's apps in one glance. Whoever has none to choose from sees nothing of it. */
export function HomeApps() {
  const query = useQuery(appsQueries.list());
  const now = useNow();
  if (query.data?.length === 0 || query.data === undefined) return null;
  const running = query.data.flatMap((a) => a.sessions).filter((s) => isLive(s.state) || isMoving(s.state));
  return (
    <Panel
      title="My apps"
      padded={false}
      actions={
        <Anchor component={Link} to={running.length === 0 ? '/apps/catalogue' : '/apps/mine'} size="sm">
          {running.length === 0 ? 'Catalogue' : 'All my apps'}
        </Anchor>
      }
    >
      <Answer query={query} title="Your apps could not be read">
        {() =>
          running.length === 0 ? (
            <Empty title="Nothing runs for you" icon={LayoutGrid}>
              Start an app from the catalogue, and it is one click away here.
            </Empty>
          ) : (
            <ul className={classes.list}>
              {running.map((s) => {
                const look = stateLook(s.state);
                return (
                  <li key={s.id}>
                    <Anchor component={Link} to={`/apps/mine/${s.id}`} size="sm" fw={550} className={classes.grow}>
                      {titleOf(s)}
                    </Anchor>
                    <Status tone={look.tone}>{look.word}</Status>
                    <Text size="xs" c="dimmed">
                      {endOf(s, now)}
                    </Text>
                    {s.state === 'ready' && <OpenButton session={s} size="compact-sm" />}
                  </li>
                );
              })}
            </ul>
          )
        }
      </Answer>
    </Panel>
  );
}
