-- +goose Up
{{.CreateTable "users"}} (
  id          VARCHAR(36)  NOT NULL PRIMARY KEY,
  issuer      VARCHAR(255) NOT NULL,
  subject     VARCHAR(255) NOT NULL,
  name        VARCHAR(255) NOT NULL,
  email       VARCHAR(255) NOT NULL,
  admin       SMALLINT     NOT NULL,
  disabled    SMALLINT     NOT NULL,
  created_at  BIGINT       NOT NULL,
  seen_at     BIGINT       NOT NULL,
  CONSTRAINT users_identity UNIQUE (issuer, subject)
){{.Table}};
{{.CreateIndex "users_name" "users" "name"}};

{{.CreateTable "roles"}} (
  name        VARCHAR(100) NOT NULL PRIMARY KEY,
  description VARCHAR(1000) NOT NULL,
  created_at  BIGINT       NOT NULL
){{.Table}};

{{.CreateTable "user_roles"}} (
  user_id VARCHAR(36)  NOT NULL,
  role    VARCHAR(100) NOT NULL,
  PRIMARY KEY (user_id, role),
  CONSTRAINT user_roles_user_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT user_roles_role_fkey FOREIGN KEY (role) REFERENCES roles (name) ON DELETE CASCADE
){{.Table}};
{{.CreateIndex "user_roles_role" "user_roles" "role"}};

{{.CreateTable "permissions"}} (
  role        VARCHAR(100) NOT NULL,
  group_name  VARCHAR(191) NOT NULL,
  action      VARCHAR(100) NOT NULL,
  created_at  BIGINT       NOT NULL,
  PRIMARY KEY (role, group_name, action),
  CONSTRAINT permissions_role_fkey FOREIGN KEY (role) REFERENCES roles (name) ON DELETE CASCADE
){{.Table}};
{{.CreateIndex "permissions_action" "permissions" "action, group_name"}};

{{.CreateTable "sessions"}} (
  id          VARCHAR(36)  NOT NULL PRIMARY KEY,
  -- The cookie's value is a secret: only its SHA-256 is kept.
  secret_hash VARCHAR(64)  NOT NULL,
  user_id     VARCHAR(36)  NOT NULL,
  claims      {{.Text}}    NOT NULL,
  user_agent  VARCHAR(255) NOT NULL,
  address     VARCHAR(64)  NOT NULL,
  created_at  BIGINT       NOT NULL,
  seen_at     BIGINT       NOT NULL,
  expires_at  BIGINT       NOT NULL,
  revoked_at  BIGINT       NULL,
  CONSTRAINT sessions_secret UNIQUE (secret_hash),
  CONSTRAINT sessions_user_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
){{.Table}};
{{.CreateIndex "sessions_user" "sessions" "user_id"}};
{{.CreateIndex "sessions_expires" "sessions" "expires_at"}};

{{.CreateTable "tokens"}} (
  id          VARCHAR(36)  NOT NULL PRIMARY KEY,
  name        VARCHAR(100) NOT NULL,
  roles       {{.Text}}    NOT NULL,
  admin       SMALLINT     NOT NULL,
  claims      {{.Text}}    NOT NULL,
  created_by  VARCHAR(255) NOT NULL,
  created_at  BIGINT       NOT NULL,
  expires_at  BIGINT       NULL,
  used_at     BIGINT       NULL,
  revoked_at  BIGINT       NULL
){{.Table}};
{{.CreateIndex "tokens_name" "tokens" "name"}};

-- Everything that happened. seq, prev_hash and hash are set when a record is sealed.
{{.CreateTable "audit_records"}} (
  id          VARCHAR(36)  NOT NULL PRIMARY KEY,
  at          BIGINT       NOT NULL,
  caller      VARCHAR(255) NOT NULL,
  caller_id   VARCHAR(512) NOT NULL,
  credential  VARCHAR(255) NOT NULL,
  action      VARCHAR(100) NOT NULL,
  group_name  VARCHAR(191) NOT NULL,
  object      VARCHAR(512) NOT NULL,
  outcome     VARCHAR(20)  NOT NULL,
  rule        VARCHAR(512) NOT NULL,
  detail      {{.Text}}    NOT NULL,
  request_id  VARCHAR(64)  NOT NULL,
  address     VARCHAR(64)  NOT NULL,
  seq         BIGINT       NULL,
  prev_hash   VARCHAR(64)  NULL,
  hash        VARCHAR(64)  NULL,
  CONSTRAINT audit_seq UNIQUE (seq)
){{.Table}};
{{.CreateIndex "audit_at" "audit_records" "at"}};
{{.CreateIndex "audit_caller" "audit_records" "caller, at"}};
{{.CreateIndex "audit_action" "audit_records" "action, at"}};
{{.CreateIndex "audit_request" "audit_records" "request_id"}};

{{.CreateTable "audit_checkpoints"}} (
  seq         BIGINT       NOT NULL PRIMARY KEY,
  at          BIGINT       NOT NULL,
  hash        VARCHAR(64)  NOT NULL,
  key_id      VARCHAR(100) NOT NULL,
  signature   {{.Text}}    NOT NULL
){{.Table}};

{{.CreateTable "work"}} (
  kind        VARCHAR(50)  NOT NULL,
  id          VARCHAR(100) NOT NULL,
  state       VARCHAR(10)  NOT NULL,
  attempts    INTEGER      NOT NULL,
  last_error  {{.Text}}    NOT NULL,
  due_at      BIGINT       NOT NULL,
  lease_owner VARCHAR(36)  NULL,
  lease_until BIGINT       NULL,
  created_at  BIGINT       NOT NULL,
  updated_at  BIGINT       NOT NULL,
  PRIMARY KEY (kind, id)
){{.Table}};
{{.CreateIndex "work_due" "work" "kind, state, due_at"}};

{{.CreateTable "leases"}} (
  name        VARCHAR(100) NOT NULL PRIMARY KEY,
  owner       VARCHAR(36)  NOT NULL,
  until       BIGINT       NOT NULL
){{.Table}};

-- What the embedded identity provider keeps, by kind: clients, codes, refresh tokens, passwords, keys.
{{.CreateTable "idp_records"}} (
  kind        VARCHAR(30)  NOT NULL,
  id          VARCHAR(255) NOT NULL,
  version     BIGINT       NOT NULL,
  expires_at  BIGINT       NULL,
  body        {{.Text}}    NOT NULL,
  PRIMARY KEY (kind, id)
){{.Table}};
{{.CreateIndex "idp_records_expires" "idp_records" "kind, expires_at"}};

-- Keys and other values that every replica shares.
{{.CreateTable "site_values"}} (
  name        VARCHAR(100) NOT NULL PRIMARY KEY,
  value       {{.Text}}    NOT NULL,
  created_at  BIGINT       NOT NULL
){{.Table}};
