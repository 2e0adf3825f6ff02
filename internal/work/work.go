package work

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/fault"
)

// State is where an item stands.
type State string

// The states of an item.
const (
	Queued  State = "queued"  // waits for its time
	Running State = "running" // leased by a worker
	Done    State = "done"
	Failed  State = "failed" // set aside after its last attempt, or because it cannot succeed
)

// Item is one piece of work, as stored.
type Item struct {
	Kind, ID string
	State    State
	// Attempts counts those that have begun since the item was added or retried.
	Attempts  int
	LastError string
	// Due is when the next attempt may start.
	Due       time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Outcome is what a function says of an attempt that did not succeed.
type Outcome struct {
	// Err is kept as the item's last error.
	Err error
	// Final sets the item aside: no further attempts until someone retries it.
	Final bool
	// After overrides the backoff, when the other side said when to come back.
	After time.Duration
}

// Func does the item with the id and returns nil when it is done. It may be called again
// for an item that was done, and while another call for it is still running elsewhere.
type Func func(ctx context.Context, id string) *Outcome

// Queue gives work and asks after it. Its methods take the transaction of the change
// that they belong to.
type Queue struct {
	db  *database.DB
	bus *bus.Bus
	now func() time.Time
	log *slog.Logger
}

// NewQueue makes a queue on the database. Without a bus, workers find their work later.
func NewQueue(db *database.DB, b *bus.Bus, now func() time.Time, log *slog.Logger) *Queue {
	return &Queue{db: db, bus: b, now: now, log: log}
}

// Add puts an item into the queue, not to be done before due. One that is there already,
// in whatever state, stays as it is.
func (q *Queue) Add(ctx context.Context, tx *database.Tx, kind, id string, due time.Time) error {
	now := database.Micros(q.now())
	insert := database.InsertAbsent(q.db.Dialect(), "work", []string{"kind", "id"},
		[]string{"state", "attempts", "last_error", "due_at", "created_at", "updated_at"})
	if _, err := tx.Exec(ctx, insert, kind, id, string(Queued), 0, "", database.Micros(due), now, now); err != nil {
		return fmt.Errorf("add work %s %s: %w", kind, id, err)
	}
	return nil
}

// Get tells how an item stands, or fault.Missing.
func (q *Queue) Get(ctx context.Context, from database.Querier, kind, id string) (Item, error) {
	item := Item{Kind: kind, ID: id}
	var due, created, updated int64
	err := from.QueryRow(ctx, `SELECT state, attempts, last_error, due_at, created_at, updated_at FROM work WHERE kind = ? AND id = ?`,
		kind, id).Scan(&item.State, &item.Attempts, &item.LastError, &due, &created, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return Item{}, fault.New(fault.Missing, "there is no such work")
	}
	if err != nil {
		return Item{}, fmt.Errorf("read work %s %s: %w", kind, id, err)
	}
	item.Due, item.CreatedAt, item.UpdatedAt = database.Time(due), database.Time(created), database.Time(updated)
	return item, nil
}

// Retry makes an item due now, with all its attempts before it. One that is running
// is left to it. It fails as fault.Missing when there is no such item.
func (q *Queue) Retry(ctx context.Context, tx *database.Tx, kind, id string) error {
	now := database.Micros(q.now())
	result, err := tx.Exec(ctx, `UPDATE work SET state = ?, attempts = 0, due_at = ?, updated_at = ? WHERE kind = ? AND id = ? AND state <> ?`,
		string(Queued), now, now, kind, id, string(Running))
	if err != nil {
		return fmt.Errorf("retry work %s %s: %w", kind, id, err)
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = q.Get(ctx, tx, kind, id)
	return err
}

// Remove takes an item out. A function that runs for it sees its context end soon after.
func (q *Queue) Remove(ctx context.Context, tx *database.Tx, kind, id string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM work WHERE kind = ? AND id = ?", kind, id); err != nil {
		return fmt.Errorf("remove work %s %s: %w", kind, id, err)
	}
	return nil
}

// Wake tells the workers of a kind on all replicas to look for work now. Call it after
// the commit. Without it, or when it is lost, they look a little later.
func (q *Queue) Wake(kind string) { q.tell("work." + kind) }

func (q *Queue) tell(subject string) {
	if q.bus == nil {
		return
	}
	if err := q.bus.Publish(subject, nil); err != nil {
		q.log.Debug("wake-up not sent", slog.String("subject", subject), slog.Any("error", err))
	}
}

// listen gives the wake-ups of a subject: as one, however many they are. Without a bus
// there are none.
func (q *Queue) listen(ctx context.Context, subject string) <-chan bus.Message {
	if q.bus == nil {
		return nil
	}
	news, err := q.bus.Subscribe(ctx, subject, 1)
	if err != nil {
		q.log.Warn("no wake-ups, only polling", slog.String("subject", subject), slog.Any("error", err))
		return nil
	}
	return news
}
