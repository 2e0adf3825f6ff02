package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"lodge/internal/database"
)

// A fleet adapter tells of every task at work about once a second. One that was restarted knows nothing of
// the tasks from before, and nobody ever ends them: in the original they stay underway for ever. Here a
// task counts as failed once nobody has told of it for long although its fleet reports all the time. Should
// somebody tell of it again after all, that holds.

const (
	lostLease = "fleet.lost"
	// lostEvery is how often lost tasks are looked for. A fleet must have reported at two looks in a row:
	// one that has come back a moment ago has not told of its tasks yet.
	lostEvery = time.Minute
	lostBatch = 200
)

// runLost fails lost tasks, on one replica at a time.
func (s *Service) runLost(ctx context.Context) error {
	if s.cfg.LostAfter <= 0 {
		return nil
	}
	return s.queue.Lease(lostLease, lostEvery/2).Run(ctx, func(ctx context.Context) error {
		reporting := map[string]bool{}
		for {
			now, err := s.failLost(ctx, reporting)
			if err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "lost tasks could not be looked for", "error", err)
			}
			reporting = now
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(lostEvery):
			}
		}
	})
}

// failLost fails the lost tasks of fleets that report now and did before, and gives those that do now.
func (s *Service) failLost(ctx context.Context, before map[string]bool) (reporting map[string]bool, err error) {
	now := s.now()
	rows, err := s.store.db.Query(ctx, "SELECT id FROM fleet_states WHERE kind = ? AND updated_at > ?", kindFleet, database.Micros(now.Add(-lostEvery)))
	fleets, err := collect(rows, err, scanText)
	if err != nil {
		return before, err
	}
	reporting = map[string]bool{}
	for _, fleet := range fleets {
		reporting[fleet] = true
	}
	lost, err := s.store.lostTasks(ctx, now.Add(-s.cfg.LostAfter-time.Duration(sameAge)*time.Microsecond))
	for _, t := range lost {
		if err == nil && before[t.fleet] && reporting[t.fleet] {
			err = s.failTask(ctx, t)
		}
	}
	return reporting, err
}

// lostTask is a task that was not heard of for long.
type lostTask struct {
	id, fleet string
	data      json.RawMessage
	heard     time.Time
}

// lostTasks lists tasks at work that were heard of last before a time.
func (s *store) lostTasks(ctx context.Context, before time.Time) ([]lostTask, error) {
	rows, err := s.db.Query(ctx, `SELECT id, fleet, data, updated_at FROM fleet_tasks
		WHERE status IN ('underway', 'delayed', 'blocked', 'error', 'standby') AND updated_at < ? AND fleet <> '' ORDER BY updated_at LIMIT ?`, database.Micros(before), lostBatch)
	return collect(rows, err, func(rows *sql.Rows) (t lostTask, err error) {
		var data string
		var heard int64
		err = rows.Scan(&t.id, &t.fleet, &data, &heard)
		t.data, t.heard = json.RawMessage(data), database.Time(heard)
		return t, err
	})
}

// failTask writes down and tells that a task has failed, with an alert that says why.
func (s *Service) failTask(ctx context.Context, lost lostTask) error {
	room := "/tasks/" + lost.id + "/state"
	if s.feed.last(room) != nil {
		return nil // somebody told of it a moment ago
	}
	t := new(TaskState)
	if err := json.Unmarshal(lost.data, t); err != nil {
		return err
	}
	failed, end := statusFailed, s.now().UnixMilli()
	t.Status, t.UnixMillisFinishTime = &failed, &end
	alert := s.endAlert(t)
	alert.Message = "Its fleet " + lost.fleet + " has not reported it since " + lost.heard.In(s.cfg.TimeZone).Format(time.DateTime) + ", as after a restart of its adapter."
	s.log.WarnContext(ctx, "a task counts as failed: its fleet does not report it any more", "task", lost.id, "fleet", lost.fleet, "heard", lost.heard)
	data := document(t)
	s.feed.publish(room, "", data)
	return s.writer.addTask(ctx, t, data, alert)
}
