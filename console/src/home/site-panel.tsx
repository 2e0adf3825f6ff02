import { Anchor, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { queries } from '../api/queries';
import { Answer } from '../ui/answer';
import { Panel } from '../ui/panel';
import { Status } from '../ui/status';
import { toneOf } from '../site/tone';
import classes from './home.module.css';

/** The site's systems in one glance. */
export function SitePanel() {
  const health = useQuery(queries.health());
  return (
    <Panel
      title="Site"
      padded={false}
      actions={
        <Anchor component={Link} to="/site/health" size="sm">
          Health
        </Anchor>
      }
    >
      <Answer query={health} title="The health could not be read">
        {(site) => (
          <ul className={classes.list}>
            {site.checks.map((d) => (
              <li key={d.name}>
                <Text size="sm" className={classes.grow}>
                  {d.name}
                </Text>
                <Status tone={toneOf(d)}>{d.state}</Status>
              </li>
            ))}
          </ul>
        )}
      </Answer>
    </Panel>
  );
}
