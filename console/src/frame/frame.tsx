import { AppShell, Burger, Group, NavLink, ScrollArea, Text, UnstyledButton } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { spotlight } from '@mantine/spotlight';
import { Search } from 'lucide-react';
import { lazy, Suspense, useEffect } from 'react';
import { Link, Outlet, useLocation } from 'react-router';
import { Logo } from '../ui/logo';
import { AlertsBell } from './alerts-bell';
import { Connection } from './connection';
import { Boundary } from './boundary';
import classes from './frame.module.css';
import { useMe } from './me-context';
import { MeMenu } from './me-menu';
import { wingsFor } from './rooms';

const Palette = lazy(() => import('./palette'));

/** What stands around every page. */
export function Frame() {
  const [opened, { toggle, close }] = useDisclosure();
  const location = useLocation();

  useEffect(() => {
    close();
    window.scrollTo(0, 0);
  }, [location.pathname, close]);

  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 224, breakpoint: 'sm', collapsed: { mobile: !opened } }}
      padding={{ base: 'md', md: 'xl' }}
    >
      <a className={classes.skip} href="#content">
        Skip to the page
      </a>
      <AppShell.Header className={classes.header}>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap" gap="sm">
          <Group gap="sm" wrap="nowrap">
            <Burger
              opened={opened}
              onClick={toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label={opened ? 'Close the navigation' : 'Open the navigation'}
              aria-expanded={opened}
              aria-controls="navigation"
            />
            <Link to="/" className={classes.brand} aria-label="Lodge, home">
              <Logo size={28} />
              <Text component="span" fw={700} fz="lg" visibleFrom="xs">
                Lodge
              </Text>
            </Link>
          </Group>
          <UnstyledButton className={classes.search} onClick={() => spotlight.open()}>
            <Search size={15} aria-hidden />
            <span className={classes.searchWord}>Search or do…</span>
            <kbd className={classes.kbd} aria-hidden>Ctrl K</kbd>
          </UnstyledButton>
          <Group gap={6} wrap="nowrap">
            <Connection />
            <AlertsBell />
            <MeMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar className={classes.navbar} id="navigation" aria-label="Main">
        <AppShell.Section grow component={ScrollArea} type="hover" scrollbarSize={6}>
          <Navigation />
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1} className={classes.main}>
        <div className={classes.page}>
          <Boundary key={location.pathname}>
            <Suspense fallback={null}>
              <Outlet />
            </Suspense>
          </Boundary>
        </div>
      </AppShell.Main>
      <Suspense fallback={null}>
        <Palette />
      </Suspense>
    </AppShell>
  );
}

function Navigation() {
  const me = useMe();
  const { pathname } = useLocation();
  return (
    <div className={classes.wings}>
      {wingsFor(me).map((wing) => (
        <div key={wing.label} role="group" aria-label={wing.label || 'Start'}>
          {wing.label !== '' && <div className={classes.wingLabel}>{wing.label}</div>}
          {wing.rooms.map((room) => {
            const active = room.path === '/' ? pathname === '/' : pathname.startsWith(room.path);
            return (
              <NavLink
                key={room.path}
                component={Link}
                to={room.path}
                label={room.label}
                active={active}
                aria-current={active ? 'page' : undefined}
                leftSection={<room.icon size={17} aria-hidden />}
                className={classes.room}
              />
            );
          })}
        </div>
      ))}
    </div>
  );
}
