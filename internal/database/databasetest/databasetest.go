// Package databasetest opens fresh databases for tests.
package databasetest

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"lodge/internal/database"
)

// SQLite is a fresh migrated SQLite database in a temporary folder.
func SQLite(t testing.TB) *database.DB {
	t.Helper()
	db := Open(t, "sqlite:"+filepath.Join(t.TempDir(), "lodge.db"))
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
