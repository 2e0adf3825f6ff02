package work

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"lodge/internal/database"
)

// claim is an item that a worker holds, as long as it renews it.
type claim struct {
	kind, id string
	// token names this claim alone: whoever claims the item after us has another.
	token string
	// attempts counts this one too.
	attempts int
	until    time.Time
}

// candidate is an item that may be claimed.
type candidate struct {
	id       string
	state    State
	attempts int
}

// candidates lists items whose worker is gone, then those that are due.
func (q *Queue) candidates(ctx context.Context, kind string, limit int) ([]candidate, error) {
	now := database.Micros(q.now())
	all, err := q.list(ctx, nil, `SELECT id, state, attempts FROM work
		WHERE kind = ? AND state = ? AND lease_until <= ? ORDER BY id LIMIT ?`, kind, string(Running), now, limit)
	if err != nil || len(all) == limit {
		return all, err
	}
	return q.list(ctx, all, `SELECT id, state, attempts FROM work
		WHERE kind = ? AND state = ? AND due_at <= ? ORDER BY due_at, id LIMIT ?`, kind, string(Queued), now, limit-len(all))
}

func (q *Queue) list(ctx context.Context, all []candidate, query string, args ...any) ([]candidate, error) {
	rows, err := q.db.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c candidate
		if err := rows.Scan(&c.id, &c.state, &c.attempts); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// claim takes up to limit items that are due, in one transaction. contested says that
// others were faster with some, so that there may be more to claim.
func (q *Queue) claim(ctx context.Context, kind string, cfg WorkerConfig, limit int) (mine []claim, contested bool, err error) {
	found, err := q.candidates(ctx, kind, limit)
	if err != nil {
		return nil, false, fmt.Errorf("look for work %s: %w", kind, err)
	}
	if len(found) == 0 {
		return nil, false, nil
	}
	err = q.db.Tx(ctx, func(tx *database.Tx) error {
		mine = mine[:0]
		for _, item := range found {
			if item.state == Running && cfg.MaxAttempts > 0 && item.attempts >= cfg.MaxAttempts {
				if err := q.bury(ctx, tx, kind, item); err != nil {
					return err
				}
				continue
			}
			c := claim{
				kind: kind, id: item.id, token: uuid.NewString(), attempts: item.attempts + 1, until: q.now().Add(cfg.Lease),
			}
			if ok, err := q.take(ctx, tx, item, c); err != nil {
				return err
			} else if ok {
				mine = append(mine, c)
			}
		}
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("claim work %s: %w", kind, err)
	}
	return mine, len(mine) < len(found), nil
}

// take makes the claim true, unless the item is not what it was any more.
func (q *Queue) take(ctx context.Context, tx *database.Tx, item candidate, c claim) (bool, error) {
	now := database.Micros(q.now())
	return changed(ctx, tx, `UPDATE work SET state = ?, attempts = ?, lease_owner = ?, lease_until = ?, updated_at = ?
		WHERE kind = ? AND id = ? AND state = ? AND attempts = ? AND (state = ? AND due_at <= ? OR state = ? AND lease_until <= ?)`,
		string(Running), c.attempts, c.token, database.Micros(c.until), now,
		c.kind, c.id, string(item.state), item.attempts, string(Queued), now, string(Running), now)
}

// bury sets an item aside whose worker died in its last attempt.
func (q *Queue) bury(ctx context.Context, tx *database.Tx, kind string, item candidate) error {
	now := database.Micros(q.now())
	_, err := tx.Exec(ctx, `UPDATE work SET state = ?, last_error = ?, lease_owner = NULL, lease_until = NULL, updated_at = ?
		WHERE kind = ? AND id = ? AND state = ? AND attempts = ? AND lease_until <= ?`,
		string(Failed), fmt.Sprintf("nobody finished attempt %d: its worker stopped or was cut off", item.attempts), now,
		kind, item.id, string(Running), item.attempts, now)
	return err
}

// renew extends the claim. It is false when somebody else has the item, or nobody.
func (q *Queue) renew(ctx context.Context, c claim, until time.Time) (bool, error) {
	return changed(ctx, q.db, `UPDATE work SET lease_until = ? WHERE kind = ? AND id = ? AND state = ? AND lease_owner = ?`,
		database.Micros(until), c.kind, c.id, string(Running), c.token)
}

// settlement is what is written of an attempt that ended.
type settlement struct {
	state     State
	attempts  int
	lastError string
	due       time.Time
}

// settle ends the claim. It is false when the claim was lost before.
func (q *Queue) settle(ctx context.Context, c claim, s settlement) (bool, error) {
	return changed(ctx, q.db, `UPDATE work SET state = ?, attempts = ?, last_error = ?, due_at = ?, lease_owner = NULL, lease_until = NULL, updated_at = ?
		WHERE kind = ? AND id = ? AND state = ? AND lease_owner = ?`,
		string(s.state), s.attempts, storable(s.lastError), database.Micros(s.due), database.Micros(q.now()),
		c.kind, c.id, string(Running), c.token)
}

// changed runs a compare-and-set and reports whether it matched.
func changed(ctx context.Context, to database.Execer, query string, args ...any) (bool, error) {
	result, err := to.Exec(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// storable makes any error's text one that every database takes, and not too long.
func storable(text string) string {
	const most = 4000
	if len(text) > most {
		text = text[:most]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}
