import { Loader, MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClient, QueryClientProvider, useQuery } from '@tanstack/react-query';
import { lazy, type ReactNode, useEffect, useMemo } from 'react';
import { BrowserRouter, Navigate, Route, Routes } from 'react-router';
import { ApiError } from './api/errors';
import { Live } from './api/live';
import { queries, staleKeys } from './api/queries';
import { siteRooms } from './api/rooms';
import { RoomsContext } from './fleet/line';
import { Boundary } from './frame/boundary';
import { Frame } from './frame/frame';
import { LiveContext } from './frame/live-context';
import { MeContext } from './frame/me-context';
import { NeedsPermission } from './frame/needs-permission';
import { NotFound } from './frame/not-found';
import { SignIn } from './frame/sign-in';
import { SignedIn, SignInAgain } from './frame/sign-in-again';
import { resolveVariables, theme } from './theme';
import { Problem } from './ui/problem';

const Home = lazy(() => import('./home/home'));
const AppCatalogue = lazy(() => import('./apps/catalogue'));
const AppEditor = lazy(() => import('./apps/editor'));
const MyApps = lazy(() => import('./apps/mine'));
const AppSessions = lazy(() => import('./apps/all'));
const AppSession = lazy(() => import('./apps/session'));
const AppDrivers = lazy(() => import('./apps/drivers'));
const Files = lazy(() => import('./results/files'));
const Uploads = lazy(() => import('./results/uploads'));
const FleetMap = lazy(() => import('./fleet/map'));
const FleetRobots = lazy(() => import('./fleet/robots'));
const FleetAlerts = lazy(() => import('./fleet/alerts'));
const FleetDoors = lazy(() => import('./fleet/doors'));
const FleetLogs = lazy(() => import('./fleet/logs'));
const FleetSchedules = lazy(() => import('./fleet/schedules'));
const FleetTasks = lazy(() => import('./fleet/tasks'));
const FleetTask = lazy(() => import('./fleet/task'));
const Runs = lazy(() => import('./workflows/runs'));
const RunPage = lazy(() => import('./workflows/run-page'));
const Start = lazy(() => import('./workflows/start'));
const Library = lazy(() => import('./workflows/library'));
const LibraryItem = lazy(() => import('./workflows/library-item'));
const Editor = lazy(() => import('./workflows/editor'));
const Workspaces = lazy(() => import('./workflows/workspaces'));
const Workspace = lazy(() => import('./workflows/workspace'));
const People = lazy(() => import('./access/people'));
const Person = lazy(() => import('./access/person'));
const Roles = lazy(() => import('./access/roles'));
const Permissions = lazy(() => import('./access/permissions'));
const Tokens = lazy(() => import('./access/tokens'));
const Sessions = lazy(() => import('./access/sessions'));
const WhoCan = lazy(() => import('./access/who-can'));
const AuditLog = lazy(() => import('./activity/audit-log'));
const Health = lazy(() => import('./site/health'));
const Settings = lazy(() => import('./site/settings'));

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // A refusal does not get better by asking again.
      retry: (failures, error) =>
        failures < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
      refetchOnWindowFocus: true,
    },
  },
});

export function App({ nonce }: { nonce: string }) {
  return (
    <MantineProvider theme={theme} cssVariablesResolver={resolveVariables} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <Notifications position="bottom-right" containerWidth={380} />
      <QueryClientProvider client={client}>
        <Boundary>
          <BrowserRouter basename="/ui">
            <Routes>
              <Route path="/signed-in" element={<SignedIn />} />
              <Route path="*" element={<Entrance />} />
            </Routes>
          </BrowserRouter>
        </Boundary>
      </QueryClientProvider>
    </MantineProvider>
  );
}

/** Finds out who is there before anything is shown. */
function Entrance() {
  const me = useQuery(queries.me());
  if (me.data !== undefined) {
    return (
      <MeContext value={me.data}>
        <Pushed>
          <Pages />
          <SignInAgain />
        </Pushed>
      </MeContext>
    );
  }
  if (me.error instanceof ApiError && me.error.status === 401) return <SignIn />;
  if (me.error !== null) {
    return (
      <main style={{ maxWidth: 560, margin: '15vh auto', padding: 16 }}>
        <Problem error={me.error} title="Lodge cannot be reached" onRetry={() => void me.refetch()} />
      </main>
    );
  }
  return (
    <main style={{ display: 'grid', placeItems: 'center', minHeight: '100dvh' }}>
      <Loader aria-label="Loading" type="dots" />
    </main>
  );
}

/** Keeps the lines to the server open and marks as stale what it says has changed. */
function Pushed({ children }: { children: ReactNode }) {
  const live = useMemo(
    () =>
      new Live(
        '/api/v1/events',
        (event) => {
          for (const queryKey of staleKeys(topicOf(event.data))) void client.invalidateQueries({ queryKey });
        },
        () => void client.invalidateQueries(),
      ),
    [],
  );
  useEffect(() => live.start(), [live]);
  const rooms = useMemo(() => siteRooms(), []);
  useEffect(() => () => rooms.close(), [rooms]);
  return (
    <LiveContext value={live}>
      <RoomsContext value={rooms}>{children}</RoomsContext>
    </LiveContext>
  );
}

function topicOf(data: string): string {
  try {
    const value = JSON.parse(data) as { topic?: unknown };
    return typeof value.topic === 'string' ? value.topic : '';
  } catch {
    return '';
  }
}

function Pages() {
  return (
    <Routes>
      <Route element={<Frame />}>
        <Route index element={<Home />} />
        <Route path="apps" element={<Navigate to="/apps/catalogue" replace />} />
        <Route path="apps/catalogue" element={<AppCatalogue />} />
        <Route path="apps/catalogue/new" element={needs('apps.admin', <AppEditor />)} />
        <Route path="apps/catalogue/edit/:id" element={needs('apps.admin', <AppEditor />)} />
        <Route path="apps/mine" element={<MyApps />} />
        <Route path="apps/mine/:id" element={<AppSession />} />
        <Route path="apps/sessions" element={needs('apps.read-any', <AppSessions />)} />
        <Route path="apps/sessions/:id" element={<AppSession />} />
        <Route path="apps/drivers" element={needs('apps.admin', <AppDrivers />)} />
        <Route path="results" element={<Navigate to="/results/files" replace />} />
        <Route path="results/files" element={needs('results.read', <Files />)} />
        <Route path="results/uploads" element={needs('results.uploads.read', <Uploads />)} />
        <Route path="fleet" element={<Navigate to="/fleet/map" replace />} />
        <Route path="fleet/map" element={needs('fleet.map.read', <FleetMap />)} />
        <Route path="fleet/robots" element={needs('fleet.fleets.read', <FleetRobots />)} />
        <Route path="fleet/doors" element={needs('fleet.doors.read', <FleetDoors />)} />
        <Route path="fleet/alerts" element={needs('fleet.alerts.read', <FleetAlerts />)} />
        <Route path="fleet/schedules" element={needs('fleet.tasks.read', <FleetSchedules />)} />
        <Route path="fleet/logs" element={needs('fleet.tasks.read', <FleetLogs />)} />
        <Route path="fleet/tasks" element={needs('fleet.tasks.read', <FleetTasks />)} />
        <Route path="fleet/tasks/:id" element={needs('fleet.tasks.read', <FleetTask />)} />
        <Route path="workflows" element={<Navigate to="/workflows/runs" replace />} />
        <Route path="workflows/runs" element={<Runs />} />
        <Route path="workflows/runs/:id" element={<RunPage />} />
        <Route path="workflows/library/run/:id" element={<Start />} />
        <Route path="workflows/library" element={<Library />} />
        <Route path="workflows/library/:kind/:id" element={<LibraryItem />} />
        <Route path="workflows/library/edit/:kind/:id" element={<Editor />} />
        <Route path="workflows/workspaces" element={<Workspaces />} />
        <Route path="workflows/workspaces/:name" element={<Workspace />} />
        <Route path="access" element={<Navigate to="/access/people" replace />} />
        <Route path="access/people" element={needs('users.read', <People />)} />
        <Route path="access/people/:id" element={needs('users.read', <Person />)} />
        <Route path="access/roles" element={needs('roles.read', <Roles />)} />
        <Route path="access/permissions" element={needs('permissions.read', <Permissions />)} />
        <Route path="access/tokens" element={<Tokens />} />
        <Route path="access/sessions" element={<Sessions />} />
        <Route path="access/who-can" element={needs('access.explain', <WhoCan />)} />
        <Route path="activity" element={needs('audit.read', <AuditLog />)} />
        <Route path="site" element={<Navigate to="/site/health" replace />} />
        <Route path="site/health" element={<Health />} />
        <Route path="site/settings" element={needs('config.read', <Settings />)} />
        <Route path="*" element={<NotFound />} />
      </Route>
    </Routes>
  );
}

function needs(action: string, page: ReactNode): ReactNode {
  return <NeedsPermission action={action}>{page}</NeedsPermission>;
}
