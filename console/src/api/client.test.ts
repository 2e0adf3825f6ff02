import { afterEach, describe, expect, it, vi } from 'vitest';
import { fill } from './client';
import { lodge } from './lodge';

afterEach(() => vi.unstubAllGlobals());

describe('fill', () => {
  it('escapes what would lead elsewhere', () => {
    expect(fill('/api/v1/users/{id}/roles/{role}', { id: '../x', role: 'a/b?c' })).toBe('/api/v1/users/..%2Fx/roles/a%2Fb%3Fc');
  });
});

describe('lodge', () => {
  it('sends what its names say', async () => {
    const sent: string[] = [];
    vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
      sent.push(`${init.method ?? ''} ${url} ${typeof init.body === 'string' ? init.body : ''}`.trim());
      return Promise.resolve(new Response('{}'));
    });
    await lodge.giveRole('u1', 'night shift');
    await lodge.forbid({ role: 'r', group: '*', action: 'audit.read' });
    await lodge.permit({ role: 'r', group: 'site', action: 'audit.read' });
    await lodge.audit({ q: 'x', since: '', limit: 10, offset: 0 });
    expect(sent).toEqual([
      'PUT /api/v1/users/u1/roles/night%20shift',
      'DELETE /api/v1/permissions?role=r&group=*&action=audit.read',
      'POST /api/v1/permissions {"role":"r","group":"site","action":"audit.read"}',
      'GET /api/v1/audit?q=x&limit=10&offset=0',
    ]);
    expect(lodge.auditExport('csv', { action: 'roles.write' })).toBe('/api/v1/audit?action=roles.write&format=csv');
  });
});
