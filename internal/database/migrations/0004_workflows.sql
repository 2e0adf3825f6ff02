-- +goose Up
{{.CreateTable "wf_workspaces"}} (
  name        VARCHAR(63)  NOT NULL PRIMARY KEY,
  description {{.Text}}    NOT NULL,
  -- A JSON list of lists: of one list a member has all roles.
  roles       {{.Text}}    NOT NULL,
  labels      {{.Text}}    NOT NULL,
  hidden      SMALLINT     NOT NULL,
  created_at  BIGINT       NOT NULL,
  updated_at  BIGINT       NOT NULL
){{.Table}};

-- Components and workflows, a row for each version. What lists show and filter by stands in
-- columns, and the document in wf_bodies, so that lists pass over short rows. Whether a version has
-- the tag latest is said by its column alone.
{{.CreateTable "wf_versions"}} (
  kind           VARCHAR(10)  NOT NULL,
  uid            VARCHAR(36)  NOT NULL,
  version        INTEGER      NOT NULL,
  latest         SMALLINT     NOT NULL,
  workspace      VARCHAR(63)  NOT NULL,
  name           {{.Text}}    NOT NULL,
  description    {{.Text}}    NOT NULL,
  implementation VARCHAR(12)  NOT NULL,
  author_oid     VARCHAR(255) NOT NULL,
  author_email   VARCHAR(255) NOT NULL,
  modified_at    BIGINT       NOT NULL,
  tags           {{.Text}}    NOT NULL,
  PRIMARY KEY (kind, uid, version)
){{.Table}};
{{.CreateIndex "wf_versions_modified" "wf_versions" "kind, modified_at, uid, version"}};
{{.CreateIndex "wf_versions_workspace" "wf_versions" "kind, workspace, modified_at, uid, version"}};
{{.CreateIndex "wf_versions_latest" "wf_versions" "kind, latest, modified_at, uid, version"}};

{{.CreateTable "wf_bodies"}} (
  kind        VARCHAR(10)  NOT NULL,
  uid         VARCHAR(36)  NOT NULL,
  version     INTEGER      NOT NULL,
  body        {{.Text}}    NOT NULL,
  PRIMARY KEY (kind, uid, version)
){{.Table}};

-- The highest number that a document's versions have had, so that none is given out again.
{{.CreateTable "wf_numbers"}} (
  kind        VARCHAR(10)  NOT NULL,
  uid         VARCHAR(36)  NOT NULL,
  highest     INTEGER      NOT NULL,
  PRIMARY KEY (kind, uid)
){{.Table}};

-- Which version refers to which component; to_version 0 is the newest.
{{.CreateTable "wf_references"}} (
  kind        VARCHAR(10)  NOT NULL,
  uid         VARCHAR(36)  NOT NULL,
  version     INTEGER      NOT NULL,
  to_uid      VARCHAR(36)  NOT NULL,
  to_version  INTEGER      NOT NULL,
  PRIMARY KEY (kind, uid, version, to_uid, to_version)
){{.Table}};
{{.CreateIndex "wf_references_to" "wf_references" "to_uid, to_version"}};

{{.CreateTable "wf_secrets"}} (
  workspace   VARCHAR(63)  NOT NULL,
  name        VARCHAR(191) NOT NULL,
  sealed      {{.Text}}    NOT NULL,
  updated_at  BIGINT       NOT NULL,
  PRIMARY KEY (workspace, name)
){{.Table}};

{{.CreateTable "wf_volumes"}} (
  uid         VARCHAR(36)  NOT NULL PRIMARY KEY,
  workspace   VARCHAR(63)  NOT NULL,
  body        {{.Text}}    NOT NULL,
  created_at  BIGINT       NOT NULL
){{.Table}};
{{.CreateIndex "wf_volumes_workspace" "wf_volumes" "workspace, created_at"}};

{{.CreateTable "wf_jobs"}} (
  uid              VARCHAR(36)  NOT NULL PRIMARY KEY,
  workspace        VARCHAR(63)  NOT NULL,
  workflow_uid     VARCHAR(36)  NOT NULL,
  workflow_version INTEGER      NOT NULL,
  workflow_name    {{.Text}}    NOT NULL,
  name             {{.Text}}    NOT NULL,
  description      {{.Text}}    NOT NULL,
  author_oid       VARCHAR(255) NOT NULL,
  author_email     VARCHAR(255) NOT NULL,
  modified_at      BIGINT       NOT NULL,
  tags             {{.Text}}    NOT NULL,
  options          {{.Text}}    NOT NULL,
  phase            VARCHAR(12)  NOT NULL,
  message          {{.Text}}    NOT NULL,
  started_at       BIGINT       NULL,
  finished_at      BIGINT       NULL,
  -- Whether it is to end before its time, and how often it was retried after it had ended.
  stopping         SMALLINT     NOT NULL DEFAULT 0,
  round            INTEGER      NOT NULL DEFAULT 0
){{.Table}};
{{.CreateIndex "wf_jobs_modified" "wf_jobs" "modified_at, uid, workspace"}};
{{.CreateIndex "wf_jobs_workspace" "wf_jobs" "workspace, modified_at, uid"}};
{{.CreateIndex "wf_jobs_finished" "wf_jobs" "finished_at"}};
{{.CreateIndex "wf_jobs_workflow" "wf_jobs" "workflow_uid, modified_at, uid"}};

-- A job as it was submitted, and as it is repeated: library holds every component that it refers
-- to, manifest what the engine made of it.
{{.CreateTable "wf_job_bodies"}} (
  uid         VARCHAR(36)  NOT NULL PRIMARY KEY,
  body        {{.Text}}    NOT NULL,
  library     {{.Text}}    NOT NULL,
  manifest    {{.Text}}    NOT NULL
){{.Table}};

-- What became of a job, as its listeners are told: each event is the whole state.
{{.CreateTable "wf_job_events"}} (
  job         VARCHAR(36)  NOT NULL,
  seq         BIGINT       NOT NULL,
  at          BIGINT       NOT NULL,
  body        {{.Text}}    NOT NULL,
  PRIMARY KEY (job, seq)
){{.Table}};

-- What steps write, in pieces of whole lines; line is the number of the first. upto counts the bytes
-- that the attempt had written. Long logs become objects when the step has ended.
{{.CreateTable "wf_logs"}} (
  job         VARCHAR(36)  NOT NULL,
  step        VARCHAR(64)  NOT NULL,
  line        BIGINT       NOT NULL,
  line_count  BIGINT       NOT NULL,
  attempt     INTEGER      NOT NULL,
  upto        BIGINT       NOT NULL,
  body        {{.Text}}    NOT NULL,
  PRIMARY KEY (job, step, line)
){{.Table}};

-- The local engine's steps that have begun, with their last attempt. What did not succeed in an
-- earlier round is run again.
{{.CreateTable "wf_steps"}} (
  job         VARCHAR(36)  NOT NULL,
  step        VARCHAR(64)  NOT NULL,
  round       INTEGER      NOT NULL,
  attempt     INTEGER      NOT NULL,
  failures    INTEGER      NOT NULL,
  lost        INTEGER      NOT NULL,
  phase       VARCHAR(12)  NOT NULL,
  message     {{.Text}}    NOT NULL,
  started_at  BIGINT       NOT NULL,
  finished_at BIGINT       NULL,
  outputs     {{.Text}}    NOT NULL,
  PRIMARY KEY (job, step)
){{.Table}};
