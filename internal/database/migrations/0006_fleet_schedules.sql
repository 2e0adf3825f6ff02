-- +goose Up
-- What the original's schedules have not: a pause, a zone of their own (null is the site's), days of the
-- month. Without them they are as they were.
{{.AddColumn "fleet_schedules" "paused" "SMALLINT NOT NULL DEFAULT 0"}};
{{.AddColumn "fleet_schedules" "time_zone" "VARCHAR(64) NULL"}};
{{.AddColumn "fleet_schedule_entries" "on_day" "SMALLINT NULL"}};
