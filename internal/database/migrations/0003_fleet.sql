-- +goose Up
-- What a deployment of Open-RMF looks like now, one row for each thing: doors, lifts, dispensers,
-- ingestors, beacons, fleets, rios, the building map and the fire alarm, as the JSON that clients get.
{{.CreateTable "fleet_states"}} (
  kind       VARCHAR(20)  NOT NULL,
  id         VARCHAR(255) NOT NULL,
  subtype    VARCHAR(255) NOT NULL,
  data       {{.Text}}    NOT NULL,
  updated_at BIGINT       NOT NULL,
  PRIMARY KEY (kind, id)
){{.Table}};

-- The authorization group of a thing; what is not here is in the site's.
{{.CreateTable "fleet_groups"}} (
  kind       VARCHAR(20)  NOT NULL,
  id         VARCHAR(255) NOT NULL,
  group_name VARCHAR(191) NOT NULL,
  PRIMARY KEY (kind, id)
){{.Table}};

{{.CreateTable "fleet_tasks"}} (
  id          VARCHAR(255) NOT NULL PRIMARY KEY,
  group_name  VARCHAR(191) NOT NULL,
  fleet       VARCHAR(255) NOT NULL,
  category    VARCHAR(255) NULL,
  assigned_to VARCHAR(255) NULL,
  status      VARCHAR(30)  NULL,
  requester   VARCHAR(255) NULL,
  start_ms    BIGINT       NULL,
  finish_ms   BIGINT       NULL,
  request_ms  BIGINT       NULL,
  data        {{.Text}}    NOT NULL,
  updated_at  BIGINT       NOT NULL
){{.Table}};
-- Each order ends with the start time and the id, so that one index serves the filter and the sorting.
{{.CreateIndex "fleet_tasks_start" "fleet_tasks" "start_ms, id"}};
{{.CreateIndex "fleet_tasks_finish" "fleet_tasks" "finish_ms, start_ms, id"}};
{{.CreateIndex "fleet_tasks_request" "fleet_tasks" "request_ms, start_ms, id"}};
{{.CreateIndex "fleet_tasks_status" "fleet_tasks" "status, start_ms, id"}};
{{.CreateIndex "fleet_tasks_category" "fleet_tasks" "category, start_ms, id"}};
{{.CreateIndex "fleet_tasks_robot" "fleet_tasks" "assigned_to, start_ms, id"}};
{{.CreateIndex "fleet_tasks_requester" "fleet_tasks" "requester, start_ms, id"}};
{{.CreateIndex "fleet_tasks_group" "fleet_tasks" "group_name, start_ms, id"}};
{{.CreateIndex "fleet_tasks_fleet" "fleet_tasks" "fleet, id"}};
{{.CreateIndex "fleet_tasks_updated" "fleet_tasks" "updated_at, id"}};

-- start_ms is the task's, so that the tasks with a label are found in order.
{{.CreateTable "fleet_task_labels"}} (
  task_id  VARCHAR(255) NOT NULL,
  name     VARCHAR(255) NOT NULL,
  value    VARCHAR(255) NOT NULL,
  start_ms BIGINT       NULL,
  PRIMARY KEY (task_id, name)
){{.Table}};
{{.CreateIndex "fleet_task_labels_value" "fleet_task_labels" "name, value, start_ms, task_id"}};

{{.CreateTable "fleet_task_requests"}} (
  id         VARCHAR(255) NOT NULL PRIMARY KEY,
  data       {{.Text}}    NOT NULL,
  created_at BIGINT       NOT NULL
){{.Table}};

-- The phases and events that a task's log has, also those without an entry; '' is the task itself,
-- or the phase itself.
{{.CreateTable "fleet_task_log_places"}} (
  task_id VARCHAR(255) NOT NULL,
  phase   VARCHAR(100) NOT NULL,
  event   VARCHAR(100) NOT NULL,
  PRIMARY KEY (task_id, phase, event)
){{.Table}};
{{.CreateTable "fleet_task_logs"}} (
  task_id VARCHAR(255) NOT NULL,
  phase   VARCHAR(100) NOT NULL,
  event   VARCHAR(100) NOT NULL,
  seq     BIGINT       NOT NULL,
  at_ms   BIGINT       NOT NULL,
  tier    VARCHAR(20)  NOT NULL,
  text    {{.Text}}    NOT NULL,
  PRIMARY KEY (task_id, phase, event, seq)
){{.Table}};
{{.CreateIndex "fleet_task_logs_at" "fleet_task_logs" "at_ms"}};

-- Entries of a fleet ('' for robot) and of its robots. Adapters count from 0 again when they start,
-- so the time belongs to the key.
{{.CreateTable "fleet_logs"}} (
  fleet VARCHAR(255) NOT NULL,
  robot VARCHAR(255) NOT NULL,
  at_ms BIGINT       NOT NULL,
  seq   BIGINT       NOT NULL,
  tier  VARCHAR(20)  NOT NULL,
  text  {{.Text}}    NOT NULL,
  PRIMARY KEY (fleet, robot, at_ms, seq)
){{.Table}};
{{.CreateIndex "fleet_logs_at" "fleet_logs" "at_ms"}};
{{.CreateTable "fleet_log_robots"}} (
  fleet VARCHAR(255) NOT NULL,
  robot VARCHAR(255) NOT NULL,
  PRIMARY KEY (fleet, robot)
){{.Table}};

{{.CreateTable "fleet_alerts"}} (
  id           VARCHAR(255) NOT NULL PRIMARY KEY,
  group_name   VARCHAR(191) NOT NULL,
  task_id      VARCHAR(255) NULL,
  -- Whether it waits for an answer.
  unanswered   SMALLINT     NOT NULL,
  data         {{.Text}}    NOT NULL,
  response     {{.Text}}    NULL,
  created_at   BIGINT       NOT NULL
){{.Table}};
{{.CreateIndex "fleet_alerts_task" "fleet_alerts" "task_id, created_at"}};
{{.CreateIndex "fleet_alerts_unanswered" "fleet_alerts" "unanswered, created_at, id"}};
{{.CreateIndex "fleet_alerts_created" "fleet_alerts" "created_at, id"}};

-- The floor plans of the building map by their address below /cache; the bytes are in the object store.
{{.CreateTable "fleet_map_images"}} (
  path       VARCHAR(600) NOT NULL PRIMARY KEY,
  object_key VARCHAR(255) NOT NULL,
  created_at BIGINT       NOT NULL
){{.Table}};

{{.CreateTable "fleet_favorites"}} (
  id         VARCHAR(255) NOT NULL PRIMARY KEY,
  owner      VARCHAR(512) NOT NULL,
  data       {{.Text}}    NOT NULL,
  created_at BIGINT       NOT NULL
){{.Table}};
{{.CreateIndex "fleet_favorites_owner" "fleet_favorites" "owner, created_at"}};

{{.CreateTable "fleet_schedules"}} (
  id           {{.AutoID}},
  token        VARCHAR(36)  NOT NULL,
  group_name   VARCHAR(191) NOT NULL,
  owner        VARCHAR(512) NOT NULL,
  owner_user   VARCHAR(36)  NOT NULL,
  created_by   VARCHAR(255) NOT NULL,
  request      {{.Text}}    NOT NULL,
  start_from   BIGINT       NULL,
  until_at     BIGINT       NULL,
  except_dates {{.Text}}    NOT NULL,
  last_ran     BIGINT       NULL,
  last_error   {{.Text}}    NOT NULL
){{.Table}};
{{.CreateUnique "fleet_schedules_token" "fleet_schedules" "token"}};

-- next_at is when an entry is due; null when it never is again.
{{.CreateTable "fleet_schedule_entries"}} (
  schedule_id {{.Int}}     NOT NULL,
  pos         {{.Int}}     NOT NULL,
  every       BIGINT       NULL,
  period      VARCHAR(20)  NOT NULL,
  at_time     VARCHAR(20)  NOT NULL,
  next_at     BIGINT       NULL,
  PRIMARY KEY (schedule_id, pos),
  CONSTRAINT fleet_schedule_entries_fkey FOREIGN KEY (schedule_id) REFERENCES fleet_schedules (id) ON DELETE CASCADE
){{.Table}};
{{.CreateIndex "fleet_schedule_entries_next" "fleet_schedule_entries" "next_at"}};
