package workflows

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/database"
)

const (
	retireEvery = 10 * time.Minute
	retireBatch = 100
)

// retire removes jobs that were kept long enough, again and again.
func (s *Service) retire(ctx context.Context) error {
	look := time.NewTicker(retireEvery)
	defer look.Stop()
	for {
		if err := s.retireOnce(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "old jobs could not be removed; trying again later", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// retireOnce removes every job that ended long enough ago.
func (s *Service) retireOnce(ctx context.Context) error {
	type old struct{ id, workspace string }
	for {
		rows, err := s.db.Query(ctx, "SELECT uid, workspace FROM wf_jobs WHERE finished_at < ? ORDER BY finished_at LIMIT ?",
			database.Micros(s.now().Add(-s.cfg.Retention)), retireBatch)
		list, err := database.Collect(rows, err, func(rows *sql.Rows) (o old, err error) { return o, rows.Scan(&o.id, &o.workspace) })
		if err != nil || len(list) == 0 {
			return err
		}
		for _, o := range list {
			id, err := uuid.Parse(o.id)
			if err != nil {
				return err
			}
			err = s.removeJob(ctx, id, func(tx *database.Tx) error {
				return s.record(access.WithCaller(ctx, &access.Caller{Name: "retention"}), tx, Run, o.workspace, "job "+o.id, "removed: it was kept long enough")
			})
			if err != nil {
				return err
			}
		}
	}
}
