// Package databasetest opens fresh databases for tests.
package databasetest

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"lodge/internal/database"
	"lodge/internal/drivertest/services"
)

// Each runs a test against fresh migrated databases of every kind, at the same time.
func Each(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) { test(t, migrated(t, url)) })
}

// EachURL runs a test against the URLs of fresh empty databases of every kind.
func EachURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	for _, kind := range []struct {
		name  string
		fresh func(t testing.TB) string
	}{
		{"SQLite", sqliteURL},
		// Few connections each, for many tests share one server.
		{"PostgreSQL", func(t testing.TB) string { return services.Postgres(t) + "&pool_max_conns=8" }},
		{"MariaDB", func(t testing.TB) string { return services.MariaDB(t) + "?pool_max_conns=8" }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			test(t, kind.fresh(t))
		})
	}
}

// SQLite is a fresh migrated SQLite database in a temporary folder.
func SQLite(t testing.TB) *database.DB {
	t.Helper()
	return migrated(t, sqliteURL(t))
}

func sqliteURL(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "lodge.db")
}

func migrated(t testing.TB, url string) *database.DB {
	t.Helper()
	db := Open(t, url)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// Open opens the database at the URL until the test ends.
func Open(t testing.TB, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url, time.Now, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	return db
}
