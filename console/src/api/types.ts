/** The shapes that the server speaks. */

export interface Me {
  /** Empty for service tokens, which are no users. */
  id: string;
  name: string;
  email: string;
  admin: boolean;
  roles: string[];
  credential: { kind: string; id: string };
  /** What the caller may do, and on which groups. */
  actions: Record<string, string[]>;
}

export interface Page<T> {
  items: T[];
  total: number;
  limit: number;
  offset: number;
}

export interface ResultFile {
  id: string;
  kind: string;
  project_id: string;
  client_id: string;
  filename: string;
  content_type: string;
  size: number;
  sha256: string;
  created_at: string;
  tags: string[];
  url: string;
}

export interface Project {
  project_id: string;
  files: number;
  bytes: number;
  tags: { name: string; count: number }[];
}

export type UploadState = 'queued' | 'sending' | 'delivered' | 'failed';

export interface Upload {
  id: string;
  state: UploadState;
  filename: string;
  size: number;
  analysis_id: string;
  project_id: string;
  kind: string;
  attempts: number;
  last_error: string;
  next_attempt_at: string | null;
  created_at: string;
  delivered_at: string | null;
}

export interface Hub {
  configured: boolean;
  reachable: boolean;
  unreachable_since: string | null;
  last_error: string;
  waiting: number;
  failed: number;
}

export interface User {
  id: string;
  issuer: string;
  subject: string;
  name: string;
  email: string;
  admin: boolean;
  disabled: boolean;
  roles: string[];
  created_at: string;
  seen_at: string;
}

export interface Role {
  name: string;
  description: string;
  members: number;
  permissions: number;
  created_at: string;
}

export interface Permission {
  role: string;
  group: string;
  action: string;
}

export interface ActionInfo {
  action: string;
  help: string;
  part: string;
}

export interface Token {
  id: string;
  name: string;
  roles: string[];
  admin: boolean;
  claims: Record<string, unknown>;
  created_by: string;
  created_at: string;
  expires_at: string | null;
  used_at: string | null;
  revoked_at: string | null;
}

export interface Session {
  id: string;
  user_id: string;
  user_name: string;
  user_agent: string;
  address: string;
  created_at: string;
  seen_at: string;
  expires_at: string;
  current: boolean;
}

export interface AuditRecord {
  id: string;
  at: string;
  caller: string;
  credential: string;
  action: string;
  group: string;
  object: string;
  outcome: string;
  rule: string;
  detail: string;
  request_id: string;
  address: string;
  seq: number | null;
}

export interface AuditReport {
  ok: boolean;
  records: number;
  unsealed: number;
  problem: string;
}

export interface Holder {
  user_id: string;
  name: string;
  email: string;
  action: string;
  group: string;
  rule: string;
}

export interface Right {
  action: string;
  group: string;
  rule: string;
}

export interface Explanation {
  allowed?: boolean;
  rule?: string;
  user?: User;
  people?: Page<Holder>;
  rights?: Page<Right>;
  note?: string;
}

export interface Dependency {
  name: string;
  state: string;
  detail: string;
  checked_at: string;
}

export interface ConfigValue {
  key: string;
  value: string;
  source: string;
}
