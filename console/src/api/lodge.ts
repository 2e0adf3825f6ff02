import { address, json } from './http';
import type {
  ActionInfo,
  AuditRecord,
  ConfigValue,
  Dependency,
  Explanation,
  Hub,
  Me,
  Page,
  Permission,
  Project,
  ResultFile,
  Role,
  Session,
  Token,
  Upload,
  User,
  Verification,
} from './types';

const id = encodeURIComponent;
interface Paging { limit?: number; offset?: number }

/** Every call that the console makes, in one place. */
export const lodge = {
  me: (signal?: AbortSignal) => json<Me>('GET', '/api/v1/me', opt(signal)),

  files: (query: Paging & { project?: string; tag?: string; q?: string }) =>
    json<Page<ResultFile>>('GET', '/results/files', { query }),
  tag: (file: ResultFile, tag_name: string) =>
    json<undefined>('POST', '/results/local/tags', {
      query: { tag_name, object_id: file.id, filename: file.filename },
    }),
  deleteFile: (file: string) => json<undefined>('DELETE', `/results/files/${id(file)}`),
  projects: () => json<Page<Project>>('GET', '/results/projects', { query: { limit: 200 } }),
  tags: (project_id: string) =>
    json<{ tags: { name: string }[] }>('GET', '/results/local/tags', { query: { project_id } }),
  uploads: (query: Paging & { state?: string }) => json<Page<Upload>>('GET', '/results/uploads', { query }),
  retryUpload: (upload: string) => json<undefined>('POST', `/results/uploads/${id(upload)}/retry`),
  deleteUpload: (upload: string) => json<undefined>('DELETE', `/results/uploads/${id(upload)}`),
  hub: () => json<Hub>('GET', '/results/hub'),

  users: (query: Paging & { q?: string; role?: string; admin?: boolean; disabled?: boolean }) => json<Page<User>>('GET', '/api/v1/users', { query }),
  user: (user: string) => json<User>('GET', `/api/v1/users/${id(user)}`),
  changeUser: (user: string, body: { admin?: boolean; disabled?: boolean }) =>
    json<User>('PATCH', `/api/v1/users/${id(user)}`, { body }),
  giveRole: (user: string, role: string) => json<undefined>('PUT', `/api/v1/users/${id(user)}/roles/${id(role)}`),
  takeRole: (user: string, role: string) => json<undefined>('DELETE', `/api/v1/users/${id(user)}/roles/${id(role)}`),

  roles: (query: Paging & { q?: string }) => json<Page<Role>>('GET', '/api/v1/roles', { query }),
  role: (role: string) => json<Role>('GET', `/api/v1/roles/${id(role)}`),
  createRole: (body: { name: string; description: string }) => json<Role>('POST', '/api/v1/roles', { body }),
  describeRole: (role: string, body: { description: string }) =>
    json<Role>('PATCH', `/api/v1/roles/${id(role)}`, { body }),
  deleteRole: (role: string) => json<undefined>('DELETE', `/api/v1/roles/${id(role)}`),

  actions: () => json<{ items: ActionInfo[] }>('GET', '/api/v1/actions'),
  permissions: (query: Paging & { role?: string; group?: string; action?: string }) =>
    json<Page<Permission>>('GET', '/api/v1/permissions', { query }),
  permit: (body: Permission) => json<Permission>('POST', '/api/v1/permissions', { body }),
  forbid: (query: { role: string; group: string; action: string }) =>
    json<undefined>('DELETE', '/api/v1/permissions', { query }),

  tokens: (query: Paging & { all?: boolean }) => json<Page<Token>>('GET', '/api/v1/tokens', { query }),
  createToken: (body: { name: string; roles: string[]; admin?: boolean; claims?: Record<string, string>; ttl?: string }) =>
    json<Token & { token: string }>('POST', '/api/v1/tokens', { body }),
  revokeToken: (token: string) => json<undefined>('DELETE', `/api/v1/tokens/${id(token)}`),

  sessions: (query: Paging & { all?: boolean }) =>
    json<Page<Session>>('GET', '/api/v1/sessions', { query }),
  revokeSession: (session: string) => json<undefined>('DELETE', `/api/v1/sessions/${id(session)}`),

  explain: (query: Paging & { user?: string; action?: string; group?: string }) =>
    json<Explanation>('GET', '/api/v1/access/explain', { query }),

  audit: (query: Paging & Partial<AuditFilter>) => json<Page<AuditRecord>>('GET', '/api/v1/audit', { query }),
  verifyAudit: () => json<Verification>('GET', '/api/v1/audit/verify'),
  auditExport: (format: 'ndjson' | 'csv', filter: Partial<AuditFilter>) =>
    address('/api/v1/audit', { ...filter, format }),

  health: () => json<{ items: Dependency[]; version: string }>('GET', '/api/v1/site/health'),
  config: () => json<{ items: ConfigValue[] }>('GET', '/api/v1/site/config'),

  logout: () => json<{ location: string }>('POST', '/auth/logout'),
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

function opt(signal?: AbortSignal): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}
