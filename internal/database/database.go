// Package database keeps rows in SQLite, PostgreSQL or MariaDB/MySQL, behind one
// small door, so that the queries of every part read the same and run on all of them.
//
// SQL is written out beside each part, with ? for every value. What to keep in mind
// so that it runs everywhere:
//
//   - Times are BIGINT microseconds (Micros, Time), truths are SMALLINT 0 and 1.
//   - Identifiers are compared exactly: case and trailing spaces count.
//   - LIKE needs its ESCAPE clause, see Contains.
//   - There is no LastInsertId and no RETURNING: make the key yourself or select it.
//   - In a transaction, read all rows and close them before the next statement.
//   - In a transaction, an error of a statement is the end of it on PostgreSQL: use
//     Upsert instead of trying an INSERT and looking at IsDuplicate. IsDuplicate is
//     for the error that Tx returns.
//   - Rows affected are the rows that matched, changed or not.
package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"lodge/internal/fault"
	"lodge/internal/secret"
)

// Config is what an operator sets.
type Config struct {
	// URL is "sqlite:PATH", "postgres://USER:PASSWORD@HOST:PORT/NAME" or
	// "mysql://USER:PASSWORD@HOST:PORT/NAME" (MariaDB too). Empty means SQLite in
	// the data folder. pool_max_conns in its query bounds the connections to a server.
	URL secret.String `yaml:"url"`
}

// Dialect is the kind of database.
type Dialect string

// The dialects. MySQL stands for MariaDB too.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
	MySQL    Dialect = "mysql"
)

// defaultConns bounds the connections to a database server, unless its URL says otherwise.
const defaultConns = 20

// Querier reads. Both *DB and *Tx are one.
type Querier interface {
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row
}

// Execer reads and writes. Both *DB and *Tx are one.
type Execer interface {
	Querier
	Exec(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Rows is the result of a query.
type Rows = *sql.Rows

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect Dialect
	// pool serves all statements of a server, and the reads of SQLite.
	pool *sql.DB
	// writer serves the writes of SQLite; nil for a server.
	writer *writer
	// path is the file of SQLite.
	path string
	// collation is how a MySQL or MariaDB server compares texts exactly.
	collation string
	log       *slog.Logger
}

// Open connects to the database at the URL; see Config. It makes the file of SQLite
// when there is none, and migrates nothing. A server that does not answer is
// fault.Unavailable.
func Open(ctx context.Context, address string, now func() time.Time, log *slog.Logger) (*DB, error) {
	scheme, rest, _ := strings.Cut(address, ":")
	if scheme == "sqlite" {
		return openSQLite(ctx, rest, now, log)
	}
	// The cause is left out: it would quote the URL with its password.
	u, err := url.Parse(address)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the database's URL cannot be read")
	}
	switch u.Scheme {
	case "postgres", "postgresql":
		return openPostgres(ctx, u, log)
	case "mysql", "mariadb":
		return openMySQL(ctx, u, log)
	}
	return nil, fault.New(fault.Invalid, "the database's URL must begin with sqlite:, postgres:// or mysql://")
}

// Dialect tells the kind of database, for the few queries that differ.
func (db *DB) Dialect() Dialect { return db.dialect }

// Ping asks the database for a sign of life.
func (db *DB) Ping(ctx context.Context) error {
	return explain(db.pool.PingContext(ctx))
}

// Close ends all connections. Transactions that have begun are finished first.
func (db *DB) Close() error {
	if db.writer != nil {
		// Readers first: the last connection to close tidies the write-ahead log away.
		if err := db.pool.Close(); err != nil {
			return fmt.Errorf("close database: %w", err)
		}
		return db.writer.close()
	}
	return db.pool.Close()
}

// Exec runs a single writing statement in a transaction of its own.
func (db *DB) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if db.writer == nil {
		var result sql.Result
		err := onGoodConn(ctx, func() (err error) {
			result, err = db.pool.ExecContext(ctx, rebind(db.dialect, query), args...)
			return err
		})
		return result, explain(err)
	}
	var result sql.Result
	err := db.Tx(ctx, func(tx *Tx) (err error) {
		result, err = tx.Exec(ctx, query, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// Query reads what is committed. The rows must be closed.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	var rows *sql.Rows
	err := onGoodConn(ctx, func() (err error) {
		rows, err = db.pool.QueryContext(ctx, rebind(db.dialect, query), args...) //nolint:rowserrcheck,sqlclosecheck // whoever asked reads and closes them
		return err
	})
	return rows, explain(err)
}

// QueryRow reads one row of what is committed.
func (db *DB) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	var row *sql.Row
	_ = onGoodConn(ctx, func() error {
		row = db.pool.QueryRowContext(ctx, rebind(db.dialect, query), args...)
		return row.Err()
	}) // the row tells
	return row
}

// onGoodConn runs fn again while the pool gives it connections that are dead. The driver finds that
// out before it has sent anything. database/sql does so itself, but gives up after three: a full
// pool has more of them after the server restarted, or many callers went away at once.
func onGoodConn(ctx context.Context, fn func() error) error {
	for n := 1; ; n++ {
		err := fn()
		if n == attempts || !errors.Is(err, driver.ErrBadConn) || ctx.Err() != nil {
			return err
		}
	}
}

// writing is the pool whose connections may write.
func (db *DB) writing() *sql.DB {
	if db.writer != nil {
		return db.writer.pool
	}
	return db.pool
}
