package local

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"lodge/internal/database"
	"lodge/internal/workflows"
)

// store has the rows of steps: one for each that has begun, with its last attempt.
type store struct{ db *database.DB }

// row is a step as it is stored.
type row struct {
	key               string
	round, attempt    int
	failures, lost    int
	phase             workflows.Phase
	message           string
	started, finished time.Time
	out               values
}

// outputs are a step's outputs as a column keeps them.
type outputs struct {
	Parameters map[string]string `json:"parameters,omitempty"`
	Files      map[string]file   `json:"files,omitempty"`
}

func (s *store) steps(ctx context.Context, job string) (map[string]*row, error) {
	rows, err := s.db.Query(ctx, `SELECT step, round, attempt, failures, lost, phase, message, started_at, finished_at, outputs
		FROM wf_steps WHERE job = ?`, job)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := map[string]*row{}
	for rows.Next() {
		r := &row{out: newValues()}
		var started int64
		var finished sql.NullInt64
		var text string
		if err := rows.Scan(&r.key, &r.round, &r.attempt, &r.failures, &r.lost, &r.phase, &r.message, &started, &finished, &text); err != nil {
			return nil, err
		}
		r.started = database.Time(started)
		if finished.Valid {
			r.finished = database.Time(finished.Int64)
		}
		if text != "" {
			var o outputs
			if err := json.Unmarshal([]byte(text), &o); err != nil {
				return nil, err
			}
			if o.Parameters != nil {
				r.out.params = o.Parameters
			}
			if o.Files != nil {
				r.out.files = o.Files
			}
		}
		all[r.key] = r
	}
	return all, rows.Err()
}

// put writes a step's row.
func (s *store) put(ctx context.Context, tx *database.Tx, job string, r *row) error {
	var finished sql.NullInt64
	if !r.finished.IsZero() {
		finished = sql.NullInt64{Int64: database.Micros(r.finished), Valid: true}
	}
	text := ""
	if len(r.out.params)+len(r.out.files) > 0 {
		encoded, err := json.Marshal(outputs{r.out.params, r.out.files})
		if err != nil {
			return err
		}
		text = string(encoded)
	}
	statement := database.Upsert(s.db.Dialect(), "wf_steps", []string{"job", "step"},
		[]string{"round", "attempt", "failures", "lost", "phase", "message", "started_at", "finished_at", "outputs"})
	_, err := tx.Exec(ctx, statement, job, r.key, r.round, r.attempt, r.failures, r.lost, string(r.phase), r.message, database.Micros(r.started), finished, text)
	return err
}

func (s *store) forget(ctx context.Context, tx *database.Tx, job string) error {
	_, err := tx.Exec(ctx, "DELETE FROM wf_steps WHERE job = ?", job)
	return err
}
