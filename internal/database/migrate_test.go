package database_test

import (
	"database/sql"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/drivertest/services"
	"lodge/internal/fault"
)

func TestMigrateTwice(t *testing.T) {
	t.Parallel()
	databasetest.EachURL(t, func(t *testing.T, url string) {
		db := databasetest.Open(t, url)
		before, err := db.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		after, err := db.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(before) < 2 || len(before) != len(after) {
			t.Fatalf("status lists %d steps, then %d", len(before), len(after))
		}
		for i := range after {
			if before[i].Applied || !after[i].Applied || after[i].Name == "" || time.Since(after[i].At).Abs() > time.Hour {
				t.Errorf("step %+v became %+v", before[i], after[i])
			}
		}
	})
}

func TestReplicasMigrateAtTheSameTime(t *testing.T) {
	t.Parallel()
	databasetest.EachURL(t, func(t *testing.T, url string) {
		var group sync.WaitGroup
		for range 4 {
			db := databasetest.Open(t, url)
			group.Go(func() {
				if err := db.Migrate(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	})
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		if _, err := db.Exec(t.Context(), "INSERT INTO lodge_migrations (version_id, is_applied) VALUES (?, ?)", 9999, true); err != nil {
			t.Fatal(err)
		}
		err := db.Migrate(t.Context())
		if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "newer release of Lodge (schema 9999") {
			t.Errorf("Migrate gave %v, want a sentence about the newer release", err)
		}
		list, err := db.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if last := list[len(list)-1]; last.Version != 9999 || !last.Applied {
			t.Errorf("status ends with %+v, want the newer step", last)
		}
	})
}

// A MySQL server cannot undo half a migration: the next attempt completes it.
func TestHalfAMigrationIsCompleted(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, services.MariaDB(t))
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"DELETE FROM lodge_migrations WHERE version_id > 0", "DROP TABLE site_values", "DROP INDEX work_due ON work", "DROP TABLE uploads",
	} {
		if _, err := db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), db, "a", "1"); err != nil {
		t.Error(err)
	}
	var indexes int
	err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM information_schema.statistics
		WHERE table_schema = DATABASE() AND index_name = 'work_due'`).Scan(&indexes)
	if err != nil || indexes != 3 {
		t.Errorf("the index has %d columns, %v, want 3", indexes, err)
	}
}

// The tables of the service that the results part replaces, as its own code makes them,
// with rows in them.
const original = `
CREATE TABLE IF NOT EXISTS "tag" ("id" SERIAL NOT NULL PRIMARY KEY, "tag_name" VARCHAR(255) NOT NULL, "project_id" VARCHAR(255) NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS "tag_tag_name_project_id" ON "tag" ("tag_name", "project_id");
CREATE TABLE IF NOT EXISTS "result" ("id" SERIAL NOT NULL PRIMARY KEY, "client_id" VARCHAR(255) NOT NULL, "object_id" UUID NOT NULL, "filename" VARCHAR(255) NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS "result_client_id_object_id" ON "result" ("client_id", "object_id");
CREATE TABLE IF NOT EXISTS "taggedresult" ("id" SERIAL NOT NULL PRIMARY KEY, "tag_id" INTEGER NOT NULL, "result_id" INTEGER NOT NULL,
  FOREIGN KEY ("tag_id") REFERENCES "tag" ("id") ON DELETE CASCADE, FOREIGN KEY ("result_id") REFERENCES "result" ("id") ON DELETE CASCADE);
CREATE INDEX IF NOT EXISTS "taggedresult_tag_id" ON "taggedresult" ("tag_id");
CREATE INDEX IF NOT EXISTS "taggedresult_result_id" ON "taggedresult" ("result_id");
CREATE TABLE storage_service_migration_history (id SERIAL PRIMARY KEY, name VARCHAR(255) NOT NULL);
INSERT INTO tag (tag_name, project_id) VALUES ('old', 'p');
INSERT INTO result (client_id, object_id, filename) VALUES ('c', '0f0e2a2c-5d7c-4a2e-9a26-0a6f7c5d7c11', 'data.bin');
INSERT INTO taggedresult (tag_id, result_id) VALUES (1, 1);
INSERT INTO storage_service_migration_history (name) VALUES ('001_initial');
`

func TestOriginalDatabaseIsTakenOver(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url := services.Postgres(t)
	theirs, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	for statement := range strings.SplitSeq(strings.TrimSpace(original), ";\n") {
		if _, err := theirs.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	schema := func(of *sql.DB) string {
		var all string
		err := of.QueryRowContext(ctx, `SELECT string_agg(line, E'\n' ORDER BY line) FROM (
			SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || coalesce(character_maximum_length::text, '') || ' ' || is_nullable AS line
				FROM information_schema.columns WHERE table_schema = 'public' AND table_name IN ('tag', 'result', 'taggedresult', 'storage_service_migration_history')
			UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename IN ('tag', 'result', 'taggedresult')
			UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'taggedresult'::regclass) AS lines`).Scan(&all)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := schema(theirs)
	db, err := database.Open(ctx, url, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if after := schema(theirs); after != before {
		t.Errorf("the original's tables were changed:\n%s\nwere\n%s", after, before)
	}
	// What was there is there, and both can go on writing.
	const insert = "INSERT INTO tag (tag_name, project_id) VALUES ('%s', 'p')"
	if _, err := db.Exec(ctx, strings.Replace(insert, "%s", "ours", 1)); err != nil {
		t.Error(err)
	}
	if _, err := theirs.ExecContext(ctx, strings.Replace(insert, "%s", "theirs", 1)); err != nil {
		t.Error(err)
	}
	var tags, results, history int
	err = db.QueryRow(ctx, `SELECT (SELECT COUNT(*) FROM tag), (SELECT COUNT(*) FROM taggedresult tr JOIN result r ON r.id = tr.result_id
		JOIN tag t ON t.id = tr.tag_id WHERE t.tag_name = 'old' AND r.filename = 'data.bin'), (SELECT COUNT(*) FROM storage_service_migration_history)`).Scan(&tags, &results, &history)
	if err != nil || tags != 3 || results != 1 || history != 1 {
		t.Errorf("there are %d tags, %d tagged results, %d lines of history, %v, want 3, 1, 1", tags, results, history, err)
	}
	// A database that Lodge makes has the very same tables.
	fresh := services.Postgres(t)
	own := databasetest.Open(t, fresh)
	if err := own.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	look, err := sql.Open("pgx", fresh)
	if err != nil {
		t.Fatal(err)
	}
	made := schema(look)
	if err := look.Close(); err != nil {
		t.Error(err)
	}
	for line := range strings.SplitSeq(before, "\n") {
		if !strings.HasPrefix(line, "storage_service") && !strings.Contains(made, line) {
			t.Errorf("a fresh database lacks %s", line)
		}
	}
}
