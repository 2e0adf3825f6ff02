import { Anchor, Progress, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Circle, CircleCheck } from 'lucide-react';
import { Link } from 'react-router';
import { lodge } from '../api/lodge';
import { queries } from '../api/queries';
import { useMe } from '../frame/me-context';
import { may } from '../frame/may';
import { Panel } from '../ui/panel';
import classes from './home.module.css';

interface Step {
  readonly title: string;
  readonly how: string;
  readonly link?: string;
  readonly done: boolean;
}

/** The first day, ticked off by what is really there. It goes away once everything is done. */
export function Checklist() {
  const me = useMe();
  const files = may(me, 'results.read');
  const projects = useQuery({ ...queries.projects(), enabled: files });
  const tagged = useQuery({
    queryKey: ['results', 'files', 'tagged'],
    queryFn: async () => (await lodge.files({ limit: 100 })).items.some((f) => f.tags.length > 0),
    enabled: files,
  });
  const sent = useQuery({
    queryKey: ['results', 'uploads', 'any'],
    queryFn: () => lodge.uploads({ limit: 1 }),
    enabled: may(me, 'results.uploads.read'),
  });
  const roles = useQuery({
    queryKey: ['access', 'roles', 'any'],
    queryFn: () => lodge.roles({ limit: 1 }),
    enabled: may(me, 'roles.read'),
  });
  const items = projects.data?.items ?? [];
  const steps: Step[] = [
    { title: 'Log in', how: `You are ${me.name}.`, done: true },
    {
      title: 'Upload a file',
      how: 'Drag one onto Results › Files, or run lodge put FILE.',
      link: '/results/files?do=upload',
      done: items.some((p) => p.files > 0),
    },
    {
      title: 'Tag it',
      how: 'Give a file a tag, so that analyses find it by name.',
      link: '/results/files?do=upload',
      done: tagged.data ?? false,
    },
    {
      title: 'Send one to the hub',
      how: 'Choose “to the hub” when you upload, and watch it in the queue.',
      link: '/results/files?do=upload&to=hub',
      done: (sent.data?.total ?? 0) > 0,
    },
    {
      title: 'Create a role',
      how: 'Give it permissions, and give it to a person.',
      link: '/access/roles?do=create',
      done: (roles.data?.total ?? 0) > 0,
    },
  ];
  const ready = [projects, tagged, sent, roles].every((q) => !q.isLoading);
  const done = steps.filter((s) => s.done).length;
  if (!ready || done === steps.length) return null;
  return (
    <Panel title="Your first day" hint={`${done} of ${steps.length} done`}>
      <Progress value={(done / steps.length) * 100} size="sm" aria-label={`${done} of ${steps.length} steps done`} mb={6} />
      <div>
        {steps.map((s) => (
          <div key={s.title} className={classes.step} data-done={s.done}>
            <span className={classes.stepIcon}>
              {s.done ? <CircleCheck size={18} aria-label="Done:" /> : <Circle size={18} aria-label="To do:" />}
            </span>
            <div>
              {s.link !== undefined && !s.done ? (
                <Anchor component={Link} to={s.link} fw={550} size="sm">
                  {s.title}
                </Anchor>
              ) : (
                <Text fw={550} size="sm" {...(s.done ? { c: 'dimmed' } : {})}>
                  {s.title}
                </Text>
              )}
              <Text size="xs" c="dimmed">
                {s.how}
              </Text>
            </div>
          </div>
        ))}
      </div>
    </Panel>
  );
}
