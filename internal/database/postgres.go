package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"lodge/internal/fault"
)

// openPostgres connects to a PostgreSQL server. The URL's query may hold everything
// that libpq knows, such as sslmode and sslrootcert.
func openPostgres(ctx context.Context, u *url.URL, log *slog.Logger) (*DB, error) {
	query := u.Query()
	conns, err := takeConns(query)
	if err != nil {
		return nil, err
	}
	u.RawQuery = query.Encode()
	cfg, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the database's URL is not one of PostgreSQL")
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "lodge"
	}
	db := &DB{dialect: Postgres, pool: sql.OpenDB(connector{Connector: stdlib.GetConnector(*cfg)}), log: log}
	if err := db.connect(ctx, conns); err != nil {
		return nil, err
	}
	return db, nil
}

// takeConns removes pool_max_conns from the query.
func takeConns(query url.Values) (int, error) {
	text := query.Get("pool_max_conns")
	query.Del("pool_max_conns")
	if text == "" {
		return defaultConns, nil
	}
	n, err := strconv.Atoi(text)
	// Migrating takes two: one holds the lock, the other works.
	if err != nil || n < 2 {
		return 0, fault.New(fault.Invalid, "pool_max_conns in the database's URL must be a number from 2 on")
	}
	return n, nil
}

// connect bounds the pool and makes sure that the server answers.
func (db *DB) connect(ctx context.Context, conns int) error {
	db.pool.SetMaxOpenConns(conns)
	db.pool.SetMaxIdleConns(conns)
	db.pool.SetConnMaxIdleTime(5 * time.Minute)
	// Servers behind one name come and go: nobody stays with an old one for ever.
	db.pool.SetConnMaxLifetime(time.Hour)
	if err := db.pool.PingContext(ctx); err != nil {
		_ = db.pool.Close()
		return fmt.Errorf("open database: %w", explain(err))
	}
	return nil
}

// connector gives every failure to connect its kind, wherever it surfaces, and prepares
// each new connection.
type connector struct {
	driver.Connector
	prepare []string
}

// Connect makes a connection.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	made, err := c.Connector.Connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, fault.Wrap(err, fault.Unavailable, "the database cannot be reached")
	}
	for _, statement := range c.prepare {
		if _, err := made.(driver.ExecerContext).ExecContext(ctx, statement, nil); err != nil {
			_ = made.Close()
			return nil, err
		}
	}
	return made, nil
}
