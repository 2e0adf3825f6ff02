-- +goose Up
-- Who used an app session last of those whose it is not; visited_at 0 is nobody.
{{.AddColumn "app_sessions" "visitor" "VARCHAR(255) NULL"}};
{{.AddColumn "app_sessions" "visited_at" "BIGINT NOT NULL DEFAULT 0"}};
