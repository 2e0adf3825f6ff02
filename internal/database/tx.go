package database

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"
)

// attempts is how often a transaction that loses against others is run in all.
const attempts = 10

// conn is what a transaction runs on: *sql.Tx of a server, *sql.Conn of SQLite.
type conn interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tx is a write transaction. It ends with the function that it was given to, and is
// for one goroutine.
type Tx struct {
	db   *DB
	conn conn
	// lost is the conflict that ended the transaction. It is kept because a MySQL server
	// would run further statements each on its own.
	lost error
}

// Tx runs fn in a transaction, which is durable when Tx returns nil and undone when fn
// fails or panics. fn must use its *Tx alone, not the DB. It may run more than once
// and does nothing that cannot be repeated.
//
// On SQLite, calls at the same time share one commit.
func (db *DB) Tx(ctx context.Context, fn func(*Tx) error) error {
	if db.writer != nil {
		return explain(db.writer.do(ctx, db, fn))
	}
	wait := 2 * time.Millisecond
	for n := 1; ; n++ {
		err := db.try(ctx, fn)
		if ctx.Err() != nil && isAway(err) {
			// The driver tore the connection down because the caller went away, not the server.
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		if n == attempts || !isConflict(err) {
			return explain(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(wait)): //nolint:gosec // spreads retries, protects nothing
		}
		wait = min(2*wait, 200*time.Millisecond)
	}
}

// try runs fn in one transaction of a server.
func (db *DB) try(ctx context.Context, fn func(*Tx) error) error {
	var stx *sql.Tx
	err := onGoodConn(ctx, func() (err error) {
		stx, err = db.pool.BeginTx(ctx, nil)
		return err
	})
	if err != nil {
		return err
	}
	// After a commit this does nothing; after a panic it undoes.
	defer func() { _ = stx.Rollback() }()
	tx := &Tx{db: db, conn: stx}
	if err := fn(tx); err != nil {
		return err
	}
	if tx.lost != nil {
		return tx.lost
	}
	return stx.Commit()
}

// Exec runs a writing statement.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx, err := tx.context(ctx)
	if err != nil {
		return nil, err
	}
	result, err := tx.conn.ExecContext(ctx, rebind(tx.db.dialect, query), args...)
	return result, tx.noted(err)
}

// Query reads, and sees what the transaction has written. Close the rows before the
// next statement.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx, err := tx.context(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.conn.QueryContext(ctx, rebind(tx.db.dialect, query), args...)
	return rows, tx.noted(err)
}

// QueryRow reads one row, and sees what the transaction has written.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	free, err := tx.context(ctx)
	if err != nil {
		// The pool returns the context's error as a row, and runs nothing.
		return tx.db.pool.QueryRowContext(ctx, query)
	}
	return tx.conn.QueryRowContext(free, rebind(tx.db.dialect, query), args...)
}

// context keeps a cancelled caller from interrupting a statement on SQLite: that would
// roll back the whole group of transactions. The statement is not begun instead.
func (tx *Tx) context(ctx context.Context) (context.Context, error) {
	if tx.conn == nil {
		return nil, sql.ErrTxDone
	}
	if tx.db.writer == nil {
		return ctx, nil
	}
	return context.WithoutCancel(ctx), ctx.Err()
}

func (tx *Tx) noted(err error) error {
	if isConflict(err) {
		tx.lost = err
	}
	return explain(err)
}
