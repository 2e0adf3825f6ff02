import { describe, expect, it } from 'vitest';
import type { Me } from '../api/types';
import { staleKeys } from '../api/queries';
import { alertsFrom } from './alerts';
import { may } from './may';
import { wingsFor } from './rooms';

const reader: Me = {
  id: 'u',
  name: 'Ravi',
  email: '',
  issuer: 'https://login.example.org',
  subject: 'ravi',
  admin: false,
  roles: ['reader'],
  credential: { kind: 'session', id: 's' },
  actions: { 'results.read': ['oncology'], 'audit.read': ['*'] },
};

describe('may', () => {
  it.each([
    ['results.read', undefined, true],
    ['results.read', 'oncology', true],
    ['results.read', 'cardio', false],
    ['audit.read', 'site', true],
    ['users.read', undefined, false],
  ])('%s on %s is %s', (action, group, allowed) => expect(may(reader, action, group)).toBe(allowed));
  it('lets administrators do everything', () => {
    expect(may({ ...reader, admin: true, actions: {} }, 'anything', 'anywhere')).toBe(true);
  });
});

describe('the navigation', () => {
  const labels = (me: Me) => wingsFor(me).flatMap((w) => w.rooms.map((r) => r.label));
  it('shows what the caller may use, and no empty wing', () => {
    expect(labels(reader)).toEqual(['Home', 'Catalogue', 'My apps', 'Runs', 'Library', 'Workspaces', 'Files', 'Tokens', 'Sessions', 'Audit log', 'Health']);
    expect(wingsFor(reader).every((w) => w.rooms.length > 0)).toBe(true);
  });
  it('shows administrators every room', () => {
    expect(labels({ ...reader, admin: true })).toContain('Permissions');
  });
});

describe('alerts', () => {
  const now = Date.parse('2026-11-22T12:00:00Z');
  const hub = { configured: true, reachable: true, waiting: 0 };
  const well = { name: 'database', state: 'ok' as const, since: '', latency_ms: 1, needed: true };
  it('are none when all is well', () => {
    expect(alertsFrom(hub, 0, [well], now)).toEqual([]);
    expect(alertsFrom(undefined, 0, undefined, now)).toEqual([]);
    expect(alertsFrom({ ...hub, configured: false, reachable: false }, 0, [], now)).toEqual([]);
  });
  it('say what failed, what waits and what is away', () => {
    const alerts = alertsFrom(
      { ...hub, reachable: false, unreachable_since: '2026-11-22T11:00:00Z', waiting: 3 },
      1,
      [{ ...well, state: 'failed', error: 'connection refused' }],
      now,
    );
    expect(alerts.map((a) => [a.tone, a.text])).toEqual([
      ['bad', '1 upload to the hub failed and will not be tried again by itself.'],
      ['warn', 'The hub is unreachable for 1 h; 3 uploads wait.'],
      ['bad', 'database: connection refused.'],
    ]);
  });
});

describe('alerts of the fleet', () => {
  it('come first', () => {
    expect(alertsFrom(undefined, 2, [], 0, { waiting: 1, worst: 'bad' }).map((a) => [a.tone, a.link])).toEqual([
      ['bad', '/fleet/alerts'],
      ['bad', '/results/uploads?state=failed'],
    ]);
  });
});

describe('staleKeys', () => {
  it('knows what an event makes stale', () => {
    expect(staleKeys('results.uploads')).toEqual([['results']]);
    expect(staleKeys('roles')).toContainEqual(['me']);
    expect(staleKeys('something.new')).toEqual([]);
  });
});
