-- +goose Up
-- Whoever has started an app, and how they are called in host names: that is given once.
{{.CreateTable "app_owners"}} (
  user_id    VARCHAR(36)  NOT NULL PRIMARY KEY,
  slug       VARCHAR(20)  NOT NULL,
  issuer     VARCHAR(255) NOT NULL,
  subject    VARCHAR(255) NOT NULL,
  name       VARCHAR(255) NOT NULL,
  email      VARCHAR(255) NOT NULL,
  created_at BIGINT       NOT NULL,
  CONSTRAINT app_owners_slug UNIQUE (slug)
){{.Table}};

-- Entries of the catalogue made by the API; those of the configuration are not here.
{{.CreateTable "app_entries"}} (
  id         VARCHAR(20)  NOT NULL PRIMARY KEY,
  entry      {{.Text}}    NOT NULL,
  version    BIGINT       NOT NULL,
  updated_at BIGINT       NOT NULL
){{.Table}};

-- One row for a person, app and name, whatever its state: the unique index is the lock.
{{.CreateTable "app_sessions"}} (
  id           VARCHAR(36)  NOT NULL PRIMARY KEY,
  owner_id     VARCHAR(36)  NOT NULL,
  app          VARCHAR(20)  NOT NULL,
  name         VARCHAR(15)  NOT NULL,
  host_label   VARCHAR(63)  NOT NULL,
  state        VARCHAR(10)  NOT NULL,
  cause        VARCHAR(30)  NOT NULL,
  message      VARCHAR(1000) NOT NULL,
  run          BIGINT       NOT NULL,
  -- Every change counts on: what was read and what is written are compared by it.
  version      BIGINT       NOT NULL,
  driver       VARCHAR(20)  NOT NULL,
  -- The catalogue's entry as it was at the launch, and the choices made in the form.
  entry        {{.Text}}    NOT NULL,
  options      {{.Text}}    NOT NULL,
  -- Who launched, as far as the start must know: owner, roles.
  launched_by  {{.Text}}    NOT NULL,
  cpu          BIGINT       NOT NULL,
  memory       BIGINT       NOT NULL,
  address      VARCHAR(255) NOT NULL,
  image_digest VARCHAR(255) NOT NULL,
  step         VARCHAR(20)  NOT NULL,
  percent      INTEGER      NOT NULL,
  exit_info    {{.Text}}    NOT NULL,
  log_tail     {{.Text}}    NOT NULL,
  failures     {{.Text}}    NOT NULL,
  created_at   BIGINT       NOT NULL,
  queued_at    BIGINT       NOT NULL,
  started_at   BIGINT       NOT NULL,
  ready_at     BIGINT       NOT NULL,
  ended_at     BIGINT       NOT NULL,
  -- After an outage nothing is culled as idle before this.
  grace_until  BIGINT       NOT NULL,
  extended     BIGINT       NOT NULL,
  warned_at    BIGINT       NOT NULL,
  active_at    BIGINT       NOT NULL,
  active_by    VARCHAR(20)  NOT NULL,
  -- Taken from the entry, so that the culler need not read it: microseconds, 0 for never.
  idle_us      BIGINT       NOT NULL,
  life_us      BIGINT       NOT NULL,
  warn_us      BIGINT       NOT NULL,
  probes       SMALLINT     NOT NULL,
  CONSTRAINT app_sessions_key UNIQUE (owner_id, app, name)
){{.Table}};
{{.CreateIndex "app_sessions_state" "app_sessions" "state, queued_at"}};
{{.CreateIndex "app_sessions_host" "app_sessions" "host_label"}};
{{.CreateIndex "app_sessions_app" "app_sessions" "app, state"}};

-- What happened to an app session since its last launch, for live views that come back.
{{.CreateTable "app_events"}} (
  session_id VARCHAR(36)  NOT NULL,
  seq        BIGINT       NOT NULL,
  at         BIGINT       NOT NULL,
  body       {{.Text}}    NOT NULL,
  PRIMARY KEY (session_id, seq)
){{.Table}};

-- One-time codes that lead a login from the main host to an app's; only their hash is kept.
{{.CreateTable "app_codes"}} (
  code_hash  VARCHAR(64)  NOT NULL PRIMARY KEY,
  body       {{.Text}}    NOT NULL,
  expires_at BIGINT       NOT NULL
){{.Table}};
{{.CreateIndex "app_codes_expires" "app_codes" "expires_at"}};

-- Launches take their turn here, so that limits hold on every database.
{{.CreateTable "app_gate"}} (
  id      SMALLINT NOT NULL PRIMARY KEY,
  counter BIGINT   NOT NULL
){{.Table}};
