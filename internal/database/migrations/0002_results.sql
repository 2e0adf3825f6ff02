-- +goose Up
-- tag, result and taggedresult have the names and types of the service that this part
-- replaces, so that a database of its is taken over as it is.
CREATE TABLE IF NOT EXISTS tag (
  id         {{.AutoID}},
  tag_name   VARCHAR(255) NOT NULL,
  project_id VARCHAR(255) NOT NULL
){{.Table}};
{{.CreateUnique "tag_tag_name_project_id" "tag" "tag_name, project_id"}};

CREATE TABLE IF NOT EXISTS result (
  id        {{.AutoID}},
  client_id VARCHAR(255) NOT NULL,
  object_id {{.UUID}}    NOT NULL,
  filename  VARCHAR(255) NOT NULL
){{.Table}};
{{.CreateUnique "result_client_id_object_id" "result" "client_id, object_id"}};

CREATE TABLE IF NOT EXISTS taggedresult (
  id        {{.AutoID}},
  tag_id    {{.Int}} NOT NULL,
  result_id {{.Int}} NOT NULL,
  CONSTRAINT taggedresult_tag_id_fkey FOREIGN KEY (tag_id) REFERENCES tag (id) ON DELETE CASCADE,
  CONSTRAINT taggedresult_result_id_fkey FOREIGN KEY (result_id) REFERENCES result (id) ON DELETE CASCADE
){{.Table}};
{{.CreateIndex "taggedresult_tag_id" "taggedresult" "tag_id"}};
{{.CreateIndex "taggedresult_result_id" "taggedresult" "result_id"}};

-- Every stored file, tagged or not: local results, and final ones until they are delivered.
{{.CreateTable "result_files"}} (
  id           VARCHAR(36)  NOT NULL PRIMARY KEY,
  kind         VARCHAR(12)  NOT NULL,
  project_id   VARCHAR(255) NOT NULL,
  client_id    VARCHAR(255) NOT NULL,
  object_key   VARCHAR(255) NOT NULL,
  filename     VARCHAR(1000) NOT NULL,
  content_type VARCHAR(255) NOT NULL,
  size         BIGINT       NOT NULL,
  sha256       VARCHAR(64)  NOT NULL,
  created_at   BIGINT       NOT NULL
){{.Table}};
{{.CreateIndex "result_files_project" "result_files" "project_id, kind, created_at"}};
{{.CreateIndex "result_files_key" "result_files" "object_key"}};

-- The queue to the hub. State, attempts and next try stand in work (kind 'upload', same id);
-- the columns hub_* remember how far an upload came, so that it is completed and not repeated.
{{.CreateTable "uploads"}} (
  id            VARCHAR(36)  NOT NULL PRIMARY KEY,
  file_id       VARCHAR(36)  NOT NULL,
  kind          VARCHAR(12)  NOT NULL,
  analysis_id   VARCHAR(255) NOT NULL,
  project_id    VARCHAR(255) NOT NULL,
  filename      VARCHAR(1000) NOT NULL,
  size          BIGINT       NOT NULL,
  hub_bucket    VARCHAR(64)  NOT NULL,
  hub_name      VARCHAR(1000) NOT NULL,
  hub_file_id   VARCHAR(64)  NOT NULL,
  created_at    BIGINT       NOT NULL,
  delivered_at  BIGINT       NULL
){{.Table}};
{{.CreateIndex "uploads_created" "uploads" "created_at"}};
{{.CreateIndex "uploads_analysis" "uploads" "analysis_id, created_at"}};
