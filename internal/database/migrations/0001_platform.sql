-- +goose Up
CREATE TABLE users (
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
CREATE INDEX users_name ON users (name);

CREATE TABLE roles (
  name        VARCHAR(100) NOT NULL PRIMARY KEY,
  description VARCHAR(1000) NOT NULL,
  created_at  BIGINT       NOT NULL
){{.Table}};

CREATE TABLE user_roles (
  user_id VARCHAR(36)  NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role    VARCHAR(100) NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
  PRIMARY KEY (user_id, role)
){{.Table}};
CREATE INDEX user_roles_role ON user_roles (role);

CREATE TABLE permissions (
  role        VARCHAR(100) NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
  group_name  VARCHAR(191) NOT NULL,
  action      VARCHAR(100) NOT NULL,
  created_at  BIGINT       NOT NULL,
  PRIMARY KEY (role, group_name, action)
){{.Table}};
CREATE INDEX permissions_action ON permissions (action, group_name);

CREATE TABLE sessions (
  id          VARCHAR(36)  NOT NULL PRIMARY KEY,
  -- The cookie's value is a secret: only its SHA-256 is kept.
  secret_hash VARCHAR(64)  NOT NULL,
  user_id     VARCHAR(36)  NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  claims      {{.Text}}    NOT NULL,
  user_agent  VARCHAR(255) NOT NULL,
  address     VARCHAR(64)  NOT NULL,
  created_at  BIGINT       NOT NULL,
  seen_at     BIGINT       NOT NULL,
  expires_at  BIGINT       NOT NULL,
  revoked_at  BIGINT       NULL,
  CONSTRAINT sessions_secret UNIQUE (secret_hash)
){{.Table}};
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires_at);

CREATE TABLE tokens (
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
CREATE INDEX tokens_name ON tokens (name);

-- Everything that happened. seq, prev_hash and hash are set when a record is sealed.
CREATE TABLE audit_records (
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
CREATE INDEX audit_at ON audit_records (at);
CREATE INDEX audit_caller ON audit_records (caller, at);
CREATE INDEX audit_action ON audit_records (action, at);
CREATE INDEX audit_request ON audit_records (request_id);

CREATE TABLE audit_checkpoints (
  seq         BIGINT       NOT NULL PRIMARY KEY,
  at          BIGINT       NOT NULL,
  hash        VARCHAR(64)  NOT NULL,
  key_id      VARCHAR(100) NOT NULL,
  signature   {{.Text}}    NOT NULL
){{.Table}};

CREATE TABLE work (
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
CREATE INDEX work_due ON work (kind, state, due_at);

CREATE TABLE leases (
  name        VARCHAR(100) NOT NULL PRIMARY KEY,
  owner       VARCHAR(36)  NOT NULL,
  until       BIGINT       NOT NULL
){{.Table}};

-- What the embedded identity provider keeps, by kind: clients, codes, refresh tokens, passwords, keys.
CREATE TABLE idp_records (
  kind        VARCHAR(30)  NOT NULL,
  id          VARCHAR(255) NOT NULL,
  version     BIGINT       NOT NULL,
  expires_at  BIGINT       NULL,
  body        {{.Text}}    NOT NULL,
  PRIMARY KEY (kind, id)
){{.Table}};
CREATE INDEX idp_records_expires ON idp_records (kind, expires_at);

-- Keys and other values that every replica shares.
CREATE TABLE site_values (
  name        VARCHAR(100) NOT NULL PRIMARY KEY,
  value       {{.Text}}    NOT NULL,
  created_at  BIGINT       NOT NULL
){{.Table}};
