-- +goose Up
-- The beginning of a job's name: what MySQL can sort by with an index, and PostgreSQL whatever its length.
{{.AddColumn "wf_jobs" "sort_name" "VARCHAR(191) NULL"}};
UPDATE wf_jobs SET sort_name = SUBSTR(name, 1, 191) WHERE sort_name IS NULL;
-- Each has all that decides which jobs a page shows, and in which order.
{{.CreateIndex "wf_jobs_name" "wf_jobs" "sort_name, modified_at, uid, workspace"}};
{{.CreateIndex "wf_jobs_phase" "wf_jobs" "phase, modified_at, uid, workspace"}};
{{.CreateIndex "wf_jobs_started" "wf_jobs" "started_at, modified_at, uid, workspace"}};
{{.CreateIndex "wf_jobs_ended" "wf_jobs" "finished_at, modified_at, uid, workspace"}};
