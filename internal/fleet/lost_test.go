package fleet

import (
	"testing"
	"time"
)

// TestLostTasks has an adapter that was restarted, and knows nothing of the task that it was at.
func TestLostTasks(t *testing.T) {
	t.Parallel()
	start := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	s := newSite(t, func(set *setup) { set.at, set.cfg.LostAfter = start, 5*time.Minute })
	loses(t, s, start)
}

// loses is run on every database.
func loses(t *testing.T, s *site, start time.Time) {
	t.Helper()
	for id, status := range map[string]string{"lost": "underway", "told": "underway", "waits": "queued", "ended": "completed"} {
		s.report("task_state_update", taskJSON(id, "")+`,"status":"`+status+`","assigned_to":{"group":"f1","name":"r"}}`)
	}
	s.report("task_state_update", taskJSON("silent", "")+`,"status":"underway","assigned_to":{"group":"away","name":"r"}}`)
	s.get("/tasks").is(t, 200, "")
	reporting := map[string]bool{}
	// look tells what is known at a moment, and looks for lost tasks.
	look := func(at time.Duration, fleets ...string) {
		t.Helper()
		s.clock.set(start.Add(at))
		s.svc.feed.forget()
		for _, fleet := range fleets {
			s.report("fleet_state_update", `{"name":"`+fleet+`"}`)
		}
		s.report("task_state_update", taskJSON("told", "")+`,"status":"underway","assigned_to":{"group":"f1","name":"r"}}`)
		s.get("/tasks").is(t, 200, "")
		s.svc.feed.mu.Lock()
		clear(s.svc.feed.recent)
		s.svc.feed.mu.Unlock()
		var err error
		reporting, err = s.svc.failLost(t.Context(), reporting)
		noError(t, err)
	}
	look(2*time.Minute, "f1")
	look(20 * time.Minute) // nobody reports: nothing is known of the tasks
	look(21*time.Minute, "f1", "away")
	if got := ids(t, s.get("/tasks?status=failed")); got != "" {
		t.Errorf("too early: %s", got)
	}
	look(22*time.Minute, "f1")
	if got := ids(t, s.get("/tasks?status=failed")); got != "lost" {
		t.Errorf("failed: %q", got)
	}
	alerts := parse[[]AlertRequest](t, s.get("/alerts/requests/task/lost").is(t, 200, "").body)
	if len(alerts) != 1 || alerts[0].Title != "Task failed" || alerts[0].Message != "Its fleet f1 has not reported it since 2030-01-01 12:00:00, as after a restart of its adapter." {
		t.Errorf("%+v", alerts)
	}
	// It was not lost after all.
	s.report("task_state_update", taskJSON("lost", "")+`,"status":"underway","assigned_to":{"group":"f1","name":"r"}}`)
	if got := ids(t, s.get("/tasks?status=underway&order_by=id_")); got != "lost silent told" {
		t.Errorf("underway: %q", got)
	}
}
