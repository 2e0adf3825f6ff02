// Package work does durable work: rows of the table work with a state, a time
// for the next attempt and a lease. A Worker claims due rows by compare-and-set,
// calls the part's function, and settles the outcome. Everything resumes from the
// rows after a restart; the bus only wakes workers earlier.
package work

import (
	"context"
	"time"

	"lodge/internal/database"
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
	Kind, ID  string
	State     State
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

// Queue gives work and asks after it. All methods take the transaction of the
// change that they belong to.
type Queue struct {
	db  *database.DB
	now func() time.Time
}
