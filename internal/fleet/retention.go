package fleet

import (
	"context"
	"database/sql"
	"time"

	"lodge/internal/database"
)

const (
	pruneLease = "fleet.retention"
	// pruneEvery is how often old rows are looked for, pruneBatch how many go in one transaction.
	pruneEvery = 10 * time.Minute
	pruneBatch = 500
	// workKept is how long runs of schedules stay in the queue of work when they are over.
	workKept = 24 * time.Hour
)

// runPruning removes what is older than it should become, on one replica at a time.
func (s *Service) runPruning(ctx context.Context) error {
	return s.queue.Lease(pruneLease, time.Minute).Run(ctx, func(ctx context.Context) error {
		for {
			if err := s.prune(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "old rows could not be removed", "error", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pruneEvery):
			}
		}
	})
}

// analyze has SQLite look how its rows are spread, by which it chooses between indexes. The other
// databases do that by themselves.
func (s *store) analyze(ctx context.Context) error {
	if s.db.Dialect() != database.SQLite {
		return nil
	}
	for _, table := range []string{"fleet_tasks", "fleet_task_labels"} {
		if _, err := s.db.Exec(ctx, "ANALYZE "+table); err != nil {
			return err
		}
	}
	return nil
}

// prune removes everything that is too old, in small transactions with room for others in between.
func (s *Service) prune(ctx context.Context) error {
	now := s.now()
	type step struct {
		keep  time.Duration
		batch func(ctx context.Context, before time.Time) (int, error)
	}
	for _, st := range []step{
		{s.cfg.Retention.Tasks, s.store.pruneTasks},
		{s.cfg.Retention.Logs, s.store.pruneTaskLogs},
		{s.cfg.Retention.Logs, s.store.pruneFleetLogs},
		{s.cfg.Retention.Alerts, s.store.pruneAlerts},
		{s.cfg.Retention.Alerts, s.store.pruneDeliveries},
		{workKept, s.pruneWork},
	} {
		for removed := pruneBatch; st.keep > 0 && removed == pruneBatch; {
			var err error
			if removed, err = st.batch(ctx, now.Add(-st.keep)); err != nil {
				return err
			}
		}
	}
	return s.store.analyze(ctx)
}

// pruneTasks removes tasks that ended and were not heard of since, with all that belongs to them.
func (s *store) pruneTasks(ctx context.Context, before time.Time) (int, error) {
	rows, err := s.db.Query(ctx, `SELECT id FROM fleet_tasks WHERE updated_at < ? AND status IN ('completed', 'failed', 'canceled', 'killed')
		ORDER BY updated_at, id LIMIT ?`, database.Micros(before), pruneBatch)
	ids, err := collect(rows, err, scanText)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return len(ids), s.db.Tx(ctx, func(tx *database.Tx) error {
		for _, of := range []string{
			"fleet_task_labels WHERE task_id", "fleet_task_logs WHERE task_id", "fleet_task_log_places WHERE task_id",
			"fleet_task_requests WHERE id", "fleet_tasks WHERE id",
		} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+of+" IN "+places(len(ids)), anys(ids)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// pruneTaskLogs removes entries by their time; what phases and events there were stays with the task.
func (s *store) pruneTaskLogs(ctx context.Context, before time.Time) (int, error) {
	type key struct {
		task, phase, event string
		seq                int64
	}
	rows, err := s.db.Query(ctx, "SELECT task_id, phase, event, seq FROM fleet_task_logs WHERE at_ms < ? ORDER BY at_ms LIMIT ?", before.UnixMilli(), pruneBatch)
	keys, err := collect(rows, err, func(rows *sql.Rows) (k key, err error) { return k, rows.Scan(&k.task, &k.phase, &k.event, &k.seq) })
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	return len(keys), s.db.Tx(ctx, func(tx *database.Tx) error {
		for _, k := range keys {
			if _, err := tx.Exec(ctx, "DELETE FROM fleet_task_logs WHERE task_id = ? AND phase = ? AND event = ? AND seq = ?", k.task, k.phase, k.event, k.seq); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *store) pruneFleetLogs(ctx context.Context, before time.Time) (int, error) {
	type key struct {
		fleet, robot string
		at, seq      int64
	}
	rows, err := s.db.Query(ctx, "SELECT fleet, robot, at_ms, seq FROM fleet_logs WHERE at_ms < ? ORDER BY at_ms LIMIT ?", before.UnixMilli(), pruneBatch)
	keys, err := collect(rows, err, func(rows *sql.Rows) (k key, err error) { return k, rows.Scan(&k.fleet, &k.robot, &k.at, &k.seq) })
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	return len(keys), s.db.Tx(ctx, func(tx *database.Tx) error {
		for _, k := range keys {
			if _, err := tx.Exec(ctx, "DELETE FROM fleet_logs WHERE fleet = ? AND robot = ? AND at_ms = ? AND seq = ?", k.fleet, k.robot, k.at, k.seq); err != nil {
				return err
			}
		}
		return nil
	})
}

// pruneAlerts removes alerts, answered or not.
func (s *store) pruneAlerts(ctx context.Context, before time.Time) (int, error) {
	rows, err := s.db.Query(ctx, "SELECT id FROM fleet_alerts WHERE created_at < ? ORDER BY created_at LIMIT ?", database.Micros(before), pruneBatch)
	ids, err := collect(rows, err, scanText)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	_, err = s.db.Exec(ctx, "DELETE FROM fleet_alerts WHERE id IN "+places(len(ids)), anys(ids)...)
	return len(ids), err
}

// pruneDeliveries removes delivery alerts that were not heard of since.
func (s *store) pruneDeliveries(ctx context.Context, before time.Time) (int, error) {
	rows, err := s.db.Query(ctx, "SELECT id FROM fleet_states WHERE kind = ? AND updated_at < ? LIMIT ?", kindDelivery, database.Micros(before), pruneBatch)
	ids, err := collect(rows, err, scanText)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	_, err = s.db.Exec(ctx, "DELETE FROM fleet_states WHERE kind = ? AND id IN "+places(len(ids)), append([]any{kindDelivery}, anys(ids)...)...)
	return len(ids), err
}

// pruneWork removes runs of schedules that are over.
func (s *Service) pruneWork(ctx context.Context, before time.Time) (int, error) {
	rows, err := s.store.db.Query(ctx, "SELECT id FROM work WHERE kind = ? AND state IN ('done', 'failed') AND updated_at < ? LIMIT ?",
		scheduleKind, database.Micros(before), pruneBatch)
	ids, err := collect(rows, err, scanText)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return len(ids), s.store.db.Tx(ctx, func(tx *database.Tx) error {
		for _, id := range ids {
			if err := s.queue.Remove(ctx, tx, scheduleKind, id); err != nil {
				return err
			}
		}
		return nil
	})
}
