package workflows

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/work"
	"lodge/internal/workflows/spec"
)

// jobRow is a job as it is stored.
type jobRow struct {
	uid               uuid.UUID
	workspace         string
	phase             Phase
	finished          bool
	stopping          bool
	round             int
	started           sql.NullInt64
	body, library     string
	manifest, options string
}

// maxSortName is how much of a name the column holds that jobs are sorted by.
const maxSortName = 191

func (s *store) insertJob(ctx context.Context, tx *database.Tx, o Order) error {
	j, w := o.Job, o.Job.Workflow
	body, err := asJSON(j)
	if err != nil {
		return err
	}
	library, err := asJSON(o.Library.Bundle())
	if err != nil {
		return err
	}
	options, err := asJSON(o.Options)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO wf_jobs (uid, workspace, workflow_uid, workflow_version, workflow_name, name, description,
		author_oid, author_email, modified_at, tags, options, phase, message, sort_name)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		j.UID.String(), w.Workspace, w.UID.String(), w.Version.Current, w.Name, j.Name, j.Description,
		j.ModifiedBy.OID, j.ModifiedBy.Email, database.Micros(j.Timestamp.Time), "[]", options, string(Pending), "", clipTo(j.Name, maxSortName))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO wf_job_bodies (uid, body, library, manifest) VALUES (?, ?, ?, ?)", j.UID.String(), body, library, string(o.Manifest))
	return err
}

// head finds a stored job without its documents, which can be long.
func (s *store) head(ctx context.Context, q database.Querier, id uuid.UUID) (jobRow, error) {
	rows, err := q.Query(ctx, "SELECT workspace, phase, started_at, finished_at, stopping, round FROM wf_jobs WHERE uid = ?", id.String())
	r, err := one(rows, err, func(rows *sql.Rows) (r jobRow, err error) {
		var finished sql.NullInt64
		err = rows.Scan(&r.workspace, &r.phase, &r.started, &finished, &r.stopping, &r.round)
		r.uid, r.finished = id, finished.Valid
		return r, err
	})
	if errors.Is(err, errNoRow) {
		err = fault.New(fault.Missing, "no such job")
	}
	return r, err
}

// job finds a stored job with its documents.
func (s *store) job(ctx context.Context, q database.Querier, id uuid.UUID) (jobRow, error) {
	r, err := s.head(ctx, q, id)
	if err != nil {
		return r, err
	}
	rows, err := q.Query(ctx, "SELECT b.body, b.library, b.manifest, j.options FROM wf_job_bodies b JOIN wf_jobs j ON j.uid = b.uid WHERE b.uid = ?", id.String())
	r, err = one(rows, err, func(rows *sql.Rows) (jobRow, error) {
		return r, rows.Scan(&r.body, &r.library, &r.manifest, &r.options)
	})
	if errors.Is(err, errNoRow) {
		err = fault.New(fault.Missing, "no such job") // it was deleted meanwhile
	}
	return r, err
}

// order is the job as an engine runs it.
func (r jobRow) order() (Order, error) {
	job, findings := spec.ReadJob([]byte(r.body))
	if len(findings) > 0 {
		return Order{}, fmt.Errorf("the stored job %s cannot be read: %s", r.uid, findings)
	}
	library, findings := spec.ReadBundle([]byte(r.library))
	if len(findings) > 0 {
		return Order{}, fmt.Errorf("the stored components of job %s cannot be read: %s", r.uid, findings)
	}
	var options spec.JobOptions
	if err := json.Unmarshal([]byte(r.options), &options); err != nil {
		return Order{}, err
	}
	return Order{Job: job, Library: library, Options: options, Manifest: []byte(r.manifest), Round: r.round}, nil
}

// Each event is the whole state, so the last ones say all: of a long job only so many are kept, and of
// a large one so many bytes, give or take those between two times of pruning.
const (
	keptEvents = 100
	keptBytes  = 16 << 20
	pruneEvery = 20
)

// report writes down where a job stands. What has ended stays as it ended.
func (s *store) report(ctx context.Context, tx *database.Tx, id uuid.UUID, r State, now time.Time) (bool, error) {
	done, err := changed(tx.Exec(ctx, `UPDATE wf_jobs SET phase = ?, message = ?, started_at = COALESCE(started_at, ?), finished_at = ?
		WHERE uid = ? AND finished_at IS NULL`, string(r.Phase), r.Message, stampColumn(r.Started), stampColumn(r.Finished), id.String()))
	if err != nil || len(r.Object) == 0 {
		return done, err
	}
	if !done {
		// Nothing may have changed but the object; or the job has ended, or is gone.
		open, err := number(ctx, tx, "SELECT COUNT(*) FROM wf_jobs WHERE uid = ? AND finished_at IS NULL", id.String())
		if err != nil || open == 0 {
			return false, err
		}
	}
	last, err := number(ctx, tx, "SELECT COALESCE(MAX(seq), 0) FROM wf_job_events WHERE job = ?", id.String())
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, "INSERT INTO wf_job_events (job, seq, at, body) VALUES (?, ?, ?, ?)", id.String(), last+1, database.Micros(now), string(r.Object))
	kept := max(2, min(keptEvents, keptBytes/int64(len(r.Object))))
	if err != nil || last%min(pruneEvery, kept) != 0 {
		return true, err
	}
	_, err = tx.Exec(ctx, "DELETE FROM wf_job_events WHERE job = ? AND seq <= ?", id.String(), last-kept)
	return true, err
}

// jobEvent is one event of a job.
type jobEvent struct {
	seq  int64
	body json.RawMessage
}

// events lists a job's events after one of them.
func (s *store) events(ctx context.Context, q database.Querier, id uuid.UUID, after int64, limit int) ([]jobEvent, error) {
	rows, err := q.Query(ctx, "SELECT seq, body FROM wf_job_events WHERE job = ? AND seq > ? ORDER BY seq LIMIT ?", id.String(), after, limit)
	return database.Collect(rows, err, func(rows *sql.Rows) (e jobEvent, err error) {
		var body string
		err = rows.Scan(&e.seq, &body)
		e.body = json.RawMessage(body)
		return e, err
	})
}

// handed lists what has not ended and no work is queued to begin.
func (s *store) handed(ctx context.Context, q database.Querier) ([]Handed, error) {
	rows, err := q.Query(ctx, `SELECT j.uid, j.workspace FROM wf_jobs j LEFT JOIN work w ON w.kind = ? AND w.id = j.uid
		WHERE j.finished_at IS NULL AND (w.state IS NULL OR w.state = ?) ORDER BY j.uid`, jobKind, string(work.Done))
	return database.Collect(rows, err, func(rows *sql.Rows) (h Handed, err error) {
		var id string
		if err = rows.Scan(&id, &h.Workspace); err == nil {
			h.Job, err = uuid.Parse(id)
		}
		return h, err
	})
}

func (s *store) lastEvent(ctx context.Context, q database.Querier, id uuid.UUID) (int64, error) {
	return number(ctx, q, "SELECT COALESCE(MAX(seq), 0) FROM wf_job_events WHERE job = ?", id.String())
}

func (s *store) deleteJob(ctx context.Context, tx *database.Tx, id uuid.UUID) error {
	for _, statement := range []string{"DELETE FROM wf_logs WHERE job = ?", "DELETE FROM wf_job_events WHERE job = ?", "DELETE FROM wf_job_bodies WHERE uid = ?", "DELETE FROM wf_jobs WHERE uid = ?"} {
		if _, err := tx.Exec(ctx, statement, id.String()); err != nil {
			return err
		}
	}
	return nil
}
