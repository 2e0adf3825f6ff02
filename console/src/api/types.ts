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
  project_id: string;
  client_id: string;
  filename: string;
  content_type: string;
  size: number;
  sha256: string;
  tags: string[];
  created_at: string;
  url: string;
}

export interface Project {
  id: string;
  files: number;
  size: number;
  latest_at: string;
}

export type UploadState = 'queued' | 'sending' | 'delivered' | 'failed';

export interface Upload {
  id: string;
  state: UploadState;
  kind: string;
  analysis_id: string;
  project_id: string;
  filename: string;
  size: number;
  attempts: number;
  last_error?: string;
  /** Why it is not on the hub yet. */
  waiting_for?: string;
  next_attempt?: string;
  created_at: string;
  delivered_at?: string;
}

export interface Hub {
  configured: boolean;
  reachable: boolean;
  unreachable_since?: string;
  reason?: string;
  waiting: number;
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
  caller_id: string;
  credential: string;
  action: string;
  group: string;
  object: string;
  outcome: string;
  rule: string;
  detail: string;
  request_id: string;
  address: string;
  /** The place in the sealed chain; absent until sealed. */
  seq?: number;
  hash?: string;
}

export interface Verification {
  report?: {
    ok: boolean;
    records: number;
    checkpoints: number;
    unsealed: number;
    faults: number;
    first?: { kind: string; seq: number; message: string };
    at: string;
  };
  running: boolean;
  error?: string;
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
