import { useMantineColorScheme } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { Spotlight } from '@mantine/spotlight';
import { useQuery } from '@tanstack/react-query';
import { AppWindow, Boxes, CalendarClock, FileText, KeyRound, LogOut, Moon, Search, Send, Sun, Tags, Upload, User, Workflow } from 'lucide-react';
import type { ReactNode } from 'react';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { lodge } from '../api/lodge';
import { contains, newest, workflowsAPI } from '../api/workflows';
import { isMoving } from '../apps/model';
import { appsQueries } from '../apps/queries';
import { bytes } from '../lib/format';
import { logOut } from './log-out';
import { useMe } from './me-context';
import { may } from './may';
import { wingsFor } from './rooms';

interface Entry {
  id: string;
  label: string;
  description: string;
  words: string;
  icon: ReactNode;
  run: () => void;
}

/** Ctrl-K: every room, every action and every object that the caller may see, by name. */
export default function Palette() {
  const me = useMe();
  const navigate = useNavigate();
  const { setColorScheme } = useMantineColorScheme();
  const [query, setQuery] = useState('');
  const [asked] = useDebouncedValue(query.trim(), 180);
  const search = asked.length >= 2;
  const files = useQuery({
    queryKey: ['results', 'palette', asked],
    queryFn: () => lodge.files({ q: asked, limit: 5 }),
    enabled: search && may(me, 'results.read'),
  });
  const people = useQuery({
    queryKey: ['access', 'palette', asked],
    queryFn: () => lodge.users({ q: asked, limit: 5 }),
    enabled: search && may(me, 'users.read'),
  });
  const workflows = useQuery({
    queryKey: ['workflows', 'workflows', 'palette', asked],
    queryFn: () => workflowsAPI.list('workflow', { terms: [newest, contains('name', asked)], limit: 5 }),
    enabled: search,
    retry: false,
  });
  const apps = useQuery(appsQueries.list());
  const go = (to: string) => () => void navigate(to);

  const rooms: Entry[] = wingsFor(me).flatMap((wing) =>
    wing.rooms.map((r) => ({
      id: r.path,
      label: r.label,
      description: wing.label,
      words: r.words,
      icon: <r.icon size={18} aria-hidden />,
      run: go(r.path),
    })),
  );
  const actions: Entry[] = [
    entry('Make a workflow', 'Workflows', 'new graph editor create', <Boxes size={18} />, go('/workflows/library/edit/workflow/new')),
    ...(apps.data ?? []).flatMap((a) => {
      const usual = a.sessions.find((s) => s.name === '');
      if (usual?.state === 'ready') return [entry(`Open ${a.name}`, 'App', a.id, <AppWindow size={18} />, () => window.open(usual.url, '_blank', 'noopener'))];
      if (usual !== undefined && isMoving(usual.state)) return [entry(`Look at ${a.name}`, 'App', a.id, <AppWindow size={18} />, go(`/apps/mine/${usual.id}`))];
      return a.can_launch ? [entry(`Start ${a.name}`, 'App', `launch ${a.id}`, <AppWindow size={18} />, go(`/apps/catalogue?launch=${a.id}`))] : [];
    }),
    ...(may(me, 'fleet.tasks.submit')
      ? [
          entry('Send a robot', 'Fleet', 'new task dispatch patrol delivery', <Send size={18} />, go('/fleet/tasks?do=task')),
          entry('Schedule a task', 'Fleet', 'new repeat every', <CalendarClock size={18} />, go('/fleet/schedules?do=new')),
        ]
      : []),
    ...(may(me, 'results.write')
      ? [entry('Upload a file', 'Results', 'send put drag', <Upload size={18} />, go('/results/files?do=upload'))]
      : []),
    ...(may(me, 'roles.write')
      ? [entry('Create a role', 'Access', 'new', <Tags size={18} />, go('/access/roles?do=create'))]
      : []),
    entry('Create a service token', 'Access', 'new key', <KeyRound size={18} />, go('/access/tokens?do=create')),
    entry('Light theme', 'Appearance', 'mode colour', <Sun size={18} />, () => setColorScheme('light')),
    entry('Dark theme', 'Appearance', 'mode colour', <Moon size={18} />, () => setColorScheme('dark')),
    entry('Log out', 'You', 'sign out leave', <LogOut size={18} />, () => void logOut()),
  ];
  const objects: Entry[] = search
    ? [
        ...(workflows.data?.items ?? []).map((w) =>
          entry(w.name ?? 'unnamed', `Workflow · ${w.workspace ?? ''}`, '', <Workflow size={18} />, go(`/workflows/library/workflow/${w.uid}`)),
        ),
        ...(files.data?.items ?? []).map((f) =>
          entry(
            f.filename,
            `File · ${f.project_id} · ${bytes(f.size)}`,
            '',
            <FileText size={18} />,
            go(`/results/files?project=${encodeURIComponent(f.project_id)}&q=${encodeURIComponent(f.filename)}`),
          ),
        ),
        ...(people.data?.items ?? []).map((u) =>
          entry(u.name, `Person · ${u.email}`, '', <User size={18} />, go(`/access/people/${encodeURIComponent(u.id)}`)),
        ),
      ]
    : [];
  const wanted = query.trim().toLowerCase();
  const matches = (e: Entry) => `${e.label} ${e.description} ${e.words}`.toLowerCase().includes(wanted);
  const groups = [
    { label: 'Go to', entries: rooms.filter(matches) },
    { label: 'Do', entries: actions.filter(matches) },
    { label: 'Found', entries: objects },
  ].filter((g) => g.entries.length > 0);

  return (
    <Spotlight.Root query={query} onQueryChange={setQuery} shortcut={['mod + K', '/']} scrollable maxHeight={420} attributes={{ content: { 'aria-label': 'Search and commands' } }}>
      <Spotlight.Search
        placeholder="Search files, people, pages and actions"
        aria-label="Search files, people, pages and actions"
        leftSection={<Search size={18} aria-hidden />}
      />
      <Spotlight.ActionsList>
        {groups.map((g) => (
          <Spotlight.ActionsGroup key={g.label} label={g.label}>
            {g.entries.map((e) => (
              <Spotlight.Action
                key={e.id}
                label={e.label}
                description={e.description}
                leftSection={e.icon}
                onClick={e.run}
                highlightQuery
              />
            ))}
          </Spotlight.ActionsGroup>
        ))}
        {groups.length === 0 && <Spotlight.Empty>Nothing has this name. Try a part of it.</Spotlight.Empty>}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  );
}

function entry(label: string, description: string, words: string, icon: ReactNode, run: () => void): Entry {
  return { id: `${description}:${label}`, label, description, words, icon, run };
}
