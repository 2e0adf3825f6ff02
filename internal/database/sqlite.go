package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	// The driver registers itself under the name sqlite.
	_ "modernc.org/sqlite"
)

// openSQLite opens the file at path: one connection that writes and a pool that reads.
func openSQLite(ctx context.Context, path string, now func() time.Time, log *slog.Logger) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := private(path); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	pragmas := url.Values{"_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		"temp_store(MEMORY)", "journal_size_limit(67108864)",
		// Rows of several kilobytes with many indexes touch more pages in a transaction than the defaults
		// hold: they would be written and read again, and copied into the file after nearly every commit.
		"cache_size(-16384)", "wal_autocheckpoint(4000)",
	}, "_txlock": {"immediate"}, "_dqs": {"0"}}
	write, err := sql.Open("sqlite", fileURL(path, pragmas))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	write.SetMaxOpenConns(1)
	// The first connection makes the file what readers expect.
	if err := write.PingContext(ctx); err != nil {
		_ = write.Close()
		return nil, fmt.Errorf("open database %s: %w", path, explain(err))
	}
	pragmas["_pragma"] = []string{"busy_timeout(10000)", "temp_store(MEMORY)", "query_only(1)"}
	pragmas.Del("_txlock")
	read, err := sql.Open("sqlite", fileURL(path, pragmas))
	if err != nil {
		_ = write.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return &DB{dialect: SQLite, pool: read, writer: newWriter(write, now), path: path, log: log}, nil
}

// private makes the file readable by its owner only, when it is not there yet. A file
// that is there is never opened here: closing it again would drop SQLite's locks on it.
func private(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func fileURL(path string, query url.Values) string {
	u := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	return u.String()
}
