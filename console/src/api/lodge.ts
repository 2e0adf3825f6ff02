import { type BodyOf, call, link, type QueryOf } from './client';
import { address } from './http';
import type { Permission, ResultFile } from './types';

/** Every call that the console makes, in one place. */
export const lodge = {
  me: (signal?: AbortSignal) => call('get', '/api/v1/me', signal ? { signal } : {}),

  files: (query: QueryOf<'/results/files'>) => call('get', '/results/files', { query }),
  deleteFile: (id: string) => call('delete', '/results/files/{id}', { path: { id } }),
  projects: () => call('get', '/results/projects', { query: { limit: 200 } }),
  tags: (project_id: string) => call('get', '/results/local/tags', { query: { project_id } }),
  tag: (file: ResultFile, tag_name: string) =>
    call('post', '/results/local/tags', { query: { tag_name, object_id: file.id, filename: file.filename } }),
  uploads: (query: QueryOf<'/results/uploads'>) => call('get', '/results/uploads', { query }),
  retryUpload: (id: string) => call('post', '/results/uploads/{id}/retry', { path: { id } }),
  deleteUpload: (id: string) => call('delete', '/results/uploads/{id}', { path: { id } }),
  hub: () => call('get', '/results/hub'),

  users: (query: QueryOf<'/api/v1/users'>) => call('get', '/api/v1/users', { query }),
  user: (id: string) => call('get', '/api/v1/users/{id}', { path: { id } }),
  changeUser: (id: string, body: { admin?: boolean; disabled?: boolean }) =>
    call('patch', '/api/v1/users/{id}', { path: { id }, body }),
  giveRole: (id: string, role: string) => call('put', '/api/v1/users/{id}/roles/{role}', { path: { id, role } }),
  takeRole: (id: string, role: string) => call('delete', '/api/v1/users/{id}/roles/{role}', { path: { id, role } }),

  roles: (query: QueryOf<'/api/v1/roles'>) => call('get', '/api/v1/roles', { query }),
  role: (name: string) => call('get', '/api/v1/roles/{name}', { path: { name } }),
  createRole: (body: { name: string; description: string }) => call('post', '/api/v1/roles', { body }),
  describeRole: (name: string, body: { description: string }) =>
    call('patch', '/api/v1/roles/{name}', { path: { name }, body }),
  deleteRole: (name: string) => call('delete', '/api/v1/roles/{name}', { path: { name } }),

  actions: () => call('get', '/api/v1/actions'),
  permissions: (query: QueryOf<'/api/v1/permissions'>) => call('get', '/api/v1/permissions', { query }),
  permit: (body: Permission) => call('post', '/api/v1/permissions', { body }),
  forbid: (query: Permission) => call('delete', '/api/v1/permissions', { query }),

  tokens: (query: QueryOf<'/api/v1/tokens'>) => call('get', '/api/v1/tokens', { query }),
  createToken: (body: BodyOf<'post', '/api/v1/tokens'>) => call('post', '/api/v1/tokens', { body }),
  revokeToken: (id: string) => call('delete', '/api/v1/tokens/{id}', { path: { id } }),

  sessions: (query: QueryOf<'/api/v1/sessions'>) => call('get', '/api/v1/sessions', { query }),
  revokeSession: (id: string) => call('delete', '/api/v1/sessions/{id}', { path: { id } }),

  explain: (query: QueryOf<'/api/v1/access/explain'>) => call('get', '/api/v1/access/explain', { query }),

  audit: (query: Partial<AuditFilter> & { limit: number; offset: number }) =>
    call('get', '/api/v1/audit', { query: asQuery(query) }),
  verifyAudit: () => call('get', '/api/v1/audit/verify'),
  auditExport: (format: 'ndjson' | 'csv', filter: Partial<AuditFilter>) =>
    link('/api/v1/audit', { ...asQuery(filter), format }),

  health: () => call('get', '/api/v1/site/health'),
  config: () => call('get', '/api/v1/site/config'),

  logout: () => call('post', '/auth/logout'),
  loginAddress: (next: string) => address('/auth/login', { next }),
};

export interface AuditFilter {
  caller: string;
  action: string;
  group: string;
  object: string;
  outcome: string;
  request_id: string;
  since: string;
  until: string;
  q: string;
}

/** What stands in the address is text; the server says what it does not understand. */
function asQuery(filter: Partial<AuditFilter>): QueryOf<'/api/v1/audit'> {
  return filter as QueryOf<'/api/v1/audit'>;
}
