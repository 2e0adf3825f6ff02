package database

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// A group of transactions on SQLite is committed when nobody waits, after this many, or
// after this long: so one flush to disk serves many, and the first need not wait for ever.
const (
	groupSize = 128
	groupTime = 20 * time.Millisecond
)

var (
	errClosed    = errors.New("the database is closed")
	errAbandoned = errors.New("the transaction's function did not return")
)

// writer lets concurrent transactions on SQLite share commits. Its loop begins a
// transaction and gives the connection to one waiting caller after the other; each
// runs its function in its own goroutine, in a savepoint of its own, so that a failure
// undoes that function alone. Then one commit serves them all.
//
// Because functions run where they were called, a panic (or runtime.Goexit) unwinds
// the caller and never the loop.
type writer struct {
	pool     *sql.DB
	requests chan *request
	quit     chan struct{}
	done     chan struct{}
	now      func() time.Time
}

// request is one call of Tx that waits.
type request struct {
	turn   chan *sql.Conn // the connection, when it is this request's turn; possibly twice
	ran    chan error     // what the function said
	answer chan error     // what became of it
}

func newWriter(pool *sql.DB, now func() time.Time) *writer {
	w := &writer{
		pool: pool, requests: make(chan *request), quit: make(chan struct{}), done: make(chan struct{}), now: now,
	}
	go w.loop()
	return w
}

// close lets the group in progress finish.
func (w *writer) close() error {
	select {
	case <-w.quit:
	default:
		close(w.quit)
	}
	<-w.done
	return w.pool.Close()
}

// do waits for its turn, runs fn, and returns when it is committed or undone.
func (w *writer) do(ctx context.Context, db *DB, fn func(*Tx) error) error {
	r := &request{turn: make(chan *sql.Conn), ran: make(chan error), answer: make(chan error, 1)}
	select {
	case w.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return errClosed
	}
	// From here on the answer comes soon, whatever becomes of ctx, and it is the truth.
	for {
		select {
		case c := <-r.turn:
			r.run(ctx, &Tx{db: db, conn: c}, fn)
		case err := <-r.answer:
			return err
		}
	}
}

func (r *request) run(ctx context.Context, tx *Tx, fn func(*Tx) error) {
	err := errAbandoned
	defer func() {
		tx.conn = nil
		r.ran <- err
	}()
	if ended := ctx.Err(); ended != nil {
		err = ended
		return
	}
	err = fn(tx)
}

func (w *writer) loop() {
	defer close(w.done)
	for {
		select {
		case <-w.quit:
			return
		case r := <-w.requests:
			w.group(r)
		}
	}
}

// group runs first and whoever waits then, and commits them together. When the shared
// transaction breaks, each is run again on its own, so that only the one that cannot
// succeed fails.
func (w *writer) group(first *request) {
	c, err := w.begin()
	if err != nil {
		first.answer <- err
		return
	}
	defer func() { _ = c.Close() }()
	began := w.now()
	var ran []*request
	for r := first; r != nil; r = w.next(began, len(ran)) {
		failed, err := w.step(c, r)
		if failed != nil {
			r.answer <- failed
		} else {
			ran = append(ran, r)
		}
		if err != nil {
			w.alone(c, ran)
			return
		}
	}
	if err := control(c, "COMMIT"); err != nil {
		if len(ran) > 1 {
			w.alone(c, ran)
			return
		}
		_ = control(c, "ROLLBACK")
		for _, r := range ran {
			r.answer <- err
		}
		return
	}
	for _, r := range ran {
		r.answer <- nil
	}
}

// begin takes the connection and begins a transaction.
func (w *writer) begin() (*sql.Conn, error) {
	c, err := w.pool.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	if err := control(c, "BEGIN IMMEDIATE"); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// next is another request that waits already, or nil when it is time to commit.
func (w *writer) next(began time.Time, ran int) *request {
	if ran >= groupSize || w.now().Sub(began) > groupTime {
		return nil
	}
	select {
	case r := <-w.requests:
		return r
	default:
		return nil
	}
}

// step runs one request in a savepoint. failed is its own failure, which is undone;
// broken is set when the transaction around it cannot go on.
func (w *writer) step(c *sql.Conn, r *request) (failed, broken error) {
	if err := control(c, "SAVEPOINT one"); err != nil {
		return nil, err
	}
	r.turn <- c
	if failed = <-r.ran; failed == nil {
		return nil, control(c, "RELEASE one")
	}
	return failed, errors.Join(control(c, "ROLLBACK TO one"), control(c, "RELEASE one"))
}

// alone undoes the broken transaction and runs each request in one of its own.
func (w *writer) alone(c *sql.Conn, requests []*request) {
	// SQLite may have rolled back by itself, then there is nothing to undo.
	_ = control(c, "ROLLBACK")
	for _, r := range requests {
		err := control(c, "BEGIN IMMEDIATE")
		if err == nil {
			r.turn <- c
			if err = <-r.ran; err == nil {
				err = control(c, "COMMIT")
			}
			if err != nil {
				_ = control(c, "ROLLBACK")
			}
		}
		r.answer <- err
	}
}

// control runs a statement about the transaction itself, which nothing interrupts.
func control(c *sql.Conn, statement string) error {
	_, err := c.ExecContext(context.Background(), statement)
	return err
}
