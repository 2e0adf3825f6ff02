package audit

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"lodge/internal/database/databasetest"
)

func TestTheKeyIsMadeOnceAndCanComeFromAFile(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	first, err := LoadKey(t.Context(), db, "", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadKey(t.Context(), db, "", time.Now)
	if err != nil || !again.Equal(first) {
		t.Fatalf("another key: %v", err)
	}
	stored, err := db.SiteValue(t.Context(), keyName)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "audit.pem")
	if err := os.WriteFile(path, []byte(stored), 0o600); err != nil {
		t.Fatal(err)
	}
	if fromFile, err := LoadKey(t.Context(), databasetest.SQLite(t), path, time.Now); err != nil || !fromFile.Equal(first) {
		t.Fatalf("from the file: %v", err)
	}
	for _, bad := range []string{"", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(t.Context(), db, path, time.Now); err == nil {
			t.Errorf("%q was taken for a key", bad)
		}
	}
}
