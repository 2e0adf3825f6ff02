package database_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/drivertest/services"
	"lodge/internal/fault"
)

// put writes the statement that most tests use.
func put(ctx context.Context, to database.Execer, name, value string) error {
	_, err := to.Exec(ctx, "INSERT INTO site_values (name, value, created_at) VALUES (?, ?, ?)", name, value, 1)
	return err
}

func names(t *testing.T, from database.Querier) []string {
	t.Helper()
	rows, err := from.Query(t.Context(), "SELECT name FROM site_values ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		all = append(all, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func wantNames(t *testing.T, from database.Querier, want ...string) {
	t.Helper()
	if got := names(t, from); strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("stored are %q, want %q", got, want)
	}
}

func TestTx(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		boom := errors.New("boom")
		if err := db.Tx(ctx, func(tx *database.Tx) error {
			if err := put(ctx, tx, "kept", "1"); err != nil {
				return err
			}
			wantNames(t, tx, "kept")
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.Tx(ctx, func(tx *database.Tx) error {
			return errors.Join(put(ctx, tx, "undone", "1"), boom)
		}); !errors.Is(err, boom) {
			t.Errorf("Tx returned %v, want the function's error", err)
		}
		func() {
			defer func() {
				if got := recover(); got != "panic in fn" {
					t.Errorf("recovered %v, want the function's panic", got)
				}
			}()
			_ = db.Tx(ctx, func(tx *database.Tx) error {
				if err := put(ctx, tx, "panicked", "1"); err != nil {
					t.Error(err)
				}
				panic("panic in fn")
			})
		}()
		if err := put(ctx, db, "single", "1"); err != nil {
			t.Fatal(err)
		}
		wantNames(t, db, "kept", "single")
	})
}

func TestTxIsOverAfterItsFunction(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		var leaked *database.Tx
		if err := db.Tx(t.Context(), func(tx *database.Tx) error { leaked = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := put(t.Context(), leaked, "late", "1"); err == nil {
			t.Error("a transaction that is over took a statement")
		}
	})
}

func TestConcurrentTx(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		if err := put(ctx, db, "counter", "0"); err != nil {
			t.Fatal(err)
		}
		refused := errors.New("refused")
		var group sync.WaitGroup
		for i := range 40 {
			group.Go(func() {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				err := db.Tx(ctx, func(tx *database.Tx) error {
					if _, err := tx.Exec(ctx, "UPDATE site_values SET created_at = created_at + 1 WHERE name = ?", "counter"); err != nil {
						return err
					}
					switch i % 4 {
					case 1:
						return refused
					case 2:
						cancel()
						_, err := tx.Exec(ctx, "UPDATE site_values SET value = ? WHERE name = ?", "cancelled", "counter")
						return err
					}
					return nil
				})
				want := map[int]error{1: refused, 2: context.Canceled}[i%4]
				if !errors.Is(err, want) {
					t.Errorf("call %d returned %v, want %v", i, err, want)
				}
			})
		}
		group.Wait()
		var count int
		var value string
		if err := db.QueryRow(ctx, "SELECT created_at, value FROM site_values WHERE name = ?", "counter").Scan(&count, &value); err != nil {
			t.Fatal(err)
		}
		if count != 21 || value != "0" {
			t.Errorf("the counter stands at %d %q, want 21 and untouched", count, value)
		}
	})
}

// Two transactions that take two rows in opposite order: a server ends one of them, and
// it is run again.
func TestConflictsAreRetried(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		for _, name := range []string{"a", "b"} {
			if err := put(ctx, db, name, "1"); err != nil {
				t.Fatal(err)
			}
		}
		add := func(tx *database.Tx, name string) error {
			_, err := tx.Exec(ctx, "UPDATE site_values SET created_at = created_at + 1 WHERE name = ?", name)
			return err
		}
		var runs atomic.Int32
		var group sync.WaitGroup
		both := make(chan struct{})
		for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
			group.Go(func() {
				err := db.Tx(ctx, func(tx *database.Tx) error {
					if err := add(tx, order[0]); err != nil {
						return err
					}
					// On SQLite the second does not begin before the first is through.
					if db.Dialect() != database.SQLite {
						switch runs.Add(1) {
						case 1:
							<-both
						case 2:
							close(both)
						}
					}
					return add(tx, order[1])
				})
				if err != nil {
					t.Errorf("Tx in the order %v: %v", order, err)
				}
			})
		}
		group.Wait()
		if db.Dialect() != database.SQLite && runs.Load() < 3 {
			t.Errorf("the functions ran %d times: there was no conflict to retry", runs.Load())
		}
		var sum int
		if err := db.QueryRow(ctx, "SELECT SUM(created_at) FROM site_values").Scan(&sum); err != nil {
			t.Fatal(err)
		}
		if sum != 6 {
			t.Errorf("the rows add up to %d, want 6", sum)
		}
	})
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		if err := put(ctx, db, "a", "1"); err != nil {
			t.Fatal(err)
		}
		if err := put(ctx, db, "a", "2"); !database.IsDuplicate(err) {
			t.Errorf("a key again: %v, want a duplicate", err)
		}
		user := `INSERT INTO users (id, issuer, subject, name, email, admin, disabled, created_at, seen_at) VALUES (?, ?, ?, '', '', 0, 0, 0, 0)`
		if _, err := db.Exec(ctx, user, "1", "i", "s"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(ctx, user, "2", "i", "s"); !database.IsDuplicate(err) {
			t.Errorf("a unique pair again: %v, want a duplicate", err)
		}
		_, err := db.Exec(ctx, "INSERT INTO user_roles (user_id, role) VALUES (?, ?)", "nobody", "none")
		if err == nil || database.IsDuplicate(err) {
			t.Errorf("a role of nobody: %v, want a refusal that is no duplicate", err)
		}
		if database.IsDuplicate(nil) || database.IsFull(nil) {
			t.Error("no error is taken for one")
		}
	})
}

func TestUpsertRuns(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		set := database.Upsert(db.Dialect(), "site_values", []string{"name"}, []string{"value", "created_at"})
		keep := database.InsertAbsent(db.Dialect(), "site_values", []string{"name"}, []string{"value", "created_at"})
		for _, value := range []string{"one", "two"} {
			if _, err := db.Exec(ctx, set, "k", value, 7); err != nil {
				t.Fatal(err)
			}
			var got string
			if err := db.QueryRow(ctx, "SELECT value FROM site_values WHERE name = ?", "k").Scan(&got); err != nil || got != value {
				t.Errorf("the value is %q (%v), want %q", got, err, value)
			}
		}
		if _, err := db.Exec(ctx, keep, "k", "three", 8); err != nil {
			t.Fatal(err)
		}
		var kept string
		if err := db.QueryRow(ctx, "SELECT value FROM site_values WHERE name = ?", "k").Scan(&kept); err != nil || kept != "two" {
			t.Errorf("the value became %q, %v, want it left as it was", kept, err)
		}
		pair := database.Upsert(db.Dialect(), "user_roles", []string{"user_id", "role"}, nil)
		if _, err := db.Exec(ctx, "INSERT INTO users (id, issuer, subject, name, email, admin, disabled, created_at, seen_at) VALUES ('u', '', '', '', '', 0, 0, 0, 0)"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(ctx, "INSERT INTO roles (name, description, created_at) VALUES ('r', '', 0)"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := db.Exec(ctx, pair, "u", "r"); err != nil {
				t.Errorf("a pair that may be there: %v", err)
			}
		}
	})
}

// Keys that other systems take for equal are different here, and all come back as written.
func TestTextsAreExact(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		texts := []string{
			"admin", "Admin", "admin ", " admin", "ädmin", "a\u0308dmin", "ａdmin", "ADMIN", "ß", "ss", "😀", "😁", "日本", `a\b`, "a'b", `a"b`, "a%b", "a?b", "",
		}
		for i, text := range texts {
			if err := put(ctx, db, text, fmt.Sprint(i)); err != nil {
				t.Fatalf("store %q: %v", text, err)
			}
		}
		for i, text := range texts {
			var name, value string
			err := db.QueryRow(ctx, "SELECT name, value FROM site_values WHERE name = ?", text).Scan(&name, &value)
			if err != nil || name != text || value != fmt.Sprint(i) {
				t.Errorf("%q came back as %q = %s, %v", text, name, value, err)
			}
		}
		var joined string
		if err := db.QueryRow(ctx, `SELECT name || '\' || "value" FROM site_values WHERE name = ?`, "Admin").Scan(&joined); err != nil || joined != `Admin\1` {
			t.Errorf("joined texts are %q, %v", joined, err)
		}
		var found int
		err := db.QueryRow(ctx, "SELECT COUNT(*) FROM site_values WHERE name LIKE ? ESCAPE '!'", database.Contains("a%")).Scan(&found)
		if err != nil || found != 1 {
			t.Errorf("a search for a%% found %d, %v, want 1", found, err)
		}
	})
}

func TestLongTexts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		long := strings.Repeat("日", 300_000)
		if err := put(t.Context(), db, "long", long); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := db.QueryRow(t.Context(), "SELECT value FROM site_values WHERE name = ?", "long").Scan(&got); err != nil || got != long {
			t.Errorf("a long text came back with %d bytes, %v, want %d", len(got), err, len(long))
		}
		err := put(t.Context(), db, strings.Repeat("x", 101), "")
		if db.Dialect() != database.SQLite && !fault.Is(err, fault.Invalid) {
			t.Errorf("a name that is too long: %v, want invalid and nothing cut off", err)
		}
	})
}

func TestTimes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		at := time.Date(2026, 2, 28, 23, 59, 59, 123456789, time.FixedZone("", 3600))
		if _, err := db.Exec(ctx, "INSERT INTO roles (name, description, created_at) VALUES ('r', '', ?)", database.Micros(at)); err != nil {
			t.Fatal(err)
		}
		var us int64
		if err := db.QueryRow(ctx, "SELECT created_at FROM roles").Scan(&us); err != nil {
			t.Fatal(err)
		}
		got := database.Time(us)
		if !got.Equal(at.Truncate(time.Microsecond)) || got.Location() != time.UTC {
			t.Errorf("the time came back as %v, want %v", got, at.UTC())
		}
	})
}

func TestMatchedRowsAreAffected(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		if err := put(t.Context(), db, "a", "same"); err != nil {
			t.Fatal(err)
		}
		result, err := db.Exec(t.Context(), "UPDATE site_values SET value = ? WHERE name = ?", "same", "a")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			t.Errorf("an update to the same value affected %d rows, %v, want 1", n, err)
		}
	})
}

func TestEndedContext(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := db.Tx(ctx, func(*database.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("Tx returned %v, want cancelled", err)
		}
		var n int
		if err := db.QueryRow(ctx, "SELECT 1").Scan(&n); !errors.Is(err, context.Canceled) {
			t.Errorf("QueryRow returned %v, want cancelled", err)
		}
		err := db.Tx(t.Context(), func(tx *database.Tx) error { return tx.QueryRow(ctx, "SELECT 1").Scan(&n) })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("QueryRow in a transaction returned %v, want cancelled", err)
		}
	})
}

func TestClosed(t *testing.T) {
	t.Parallel()
	databasetest.EachURL(t, func(t *testing.T, url string) {
		db, err := database.Open(t.Context(), url, time.Now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Tx(t.Context(), func(*database.Tx) error { return nil }); err == nil {
			t.Error("a closed database took a transaction")
		}
		if err := db.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
	})
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://u:hidden@127.0.0.1:1/x", "mysql://u:hidden@127.0.0.1:1/x"} {
		_, err := database.Open(t.Context(), url, time.Now, slog.New(slog.DiscardHandler))
		if !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("Open gave %v, want unavailable and no password", err)
		}
	}
}

func TestBadURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "/some/path", "oracle://x", "postgres://u:hidden@h:port/x", "postgres://u:hidden@h/x?pool_max_conns=1",
		"postgres://u:hidden@h/x?sslmode=maybe", "mysql://u:hidden@h/x?cache=1", "mysql://u:hidden@h/x?tls=maybe", "mysql://u:hid den@h/%zz",
	} {
		_, err := database.Open(t.Context(), url, time.Now, slog.New(slog.DiscardHandler))
		if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("Open(%q) gave %v, want invalid and no password", url, err)
		}
	}
}

func TestSQLiteFileIsPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a folder", "50%?#.db")
	db := databasetest.Open(t, "sqlite:"+path)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), db, "a", "1"); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("the folder holds %v, %v", files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s may be read by others: %v", filepath.Base(file), info.Mode())
		}
	}
}

func TestSQLiteKeepsWhatItAnswered(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1"} {
		err := db.Tx(t.Context(), func(tx *database.Tx) error {
			var got string
			if err := tx.QueryRow(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil {
				return err
			}
			if got != want {
				t.Errorf("%s is %s, want %s", pragma, got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// Readers do not write: that would be a second writer beside the group's.
	var name string
	err := db.QueryRow(t.Context(), "INSERT INTO site_values (name, value, created_at) VALUES ('x', '', 0) RETURNING name").Scan(&name)
	if err == nil {
		t.Error("a reading connection wrote")
	}
}

func TestSQLiteFull(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	ctx := t.Context()
	// The limit of pages stands in for the end of the disk.
	err := db.Tx(ctx, func(tx *database.Tx) error {
		var pages int
		return tx.QueryRow(ctx, "PRAGMA max_page_count = 1").Scan(&pages)
	})
	if err != nil {
		t.Fatal(err)
	}
	// In one group: the one without room fails, those before and after do not.
	var group sync.WaitGroup
	big := bytes.Repeat([]byte("x"), 1<<20)
	for i := range 12 {
		group.Go(func() {
			if i%4 == 0 {
				err := put(ctx, db, fmt.Sprintf("big%02d", i), string(big))
				if !fault.Is(err, fault.Full) || !database.IsFull(err) {
					t.Errorf("without room: %v, want full", err)
				}
				return
			}
			if _, err := db.Exec(ctx, "DELETE FROM site_values WHERE name = ?", fmt.Sprint(i)); err != nil {
				t.Errorf("beside the one without room: %v", err)
			}
		})
	}
	group.Wait()
	wantNames(t, db)
}

// Every way to use a server that went away says so, and none hangs.
func TestServerGoesAway(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(context.Context) (*services.Server, error){
		"PostgreSQL": services.StartPostgres, "MariaDB": services.StartMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			server, err := start(ctx)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Stop() })
			db := databasetest.Open(t, server.URL)
			ways := map[string]func() error{
				"Ping":     func() error { return db.Ping(ctx) },
				"Tx":       func() error { return db.Tx(ctx, func(*database.Tx) error { return nil }) },
				"QueryRow": func() error { var n int; return db.QueryRow(ctx, "SELECT 1").Scan(&n) },
				"Query": func() error {
					rows, err := db.Query(ctx, "SELECT 1")
					if err != nil {
						return err
					}
					defer func() { _ = rows.Close() }()
					return rows.Err()
				},
				"Exec": func() error { _, err := db.Exec(ctx, "DELETE FROM t"); return err },
			}
			if _, err := db.Exec(ctx, "CREATE TABLE t (n INTEGER)"); err != nil {
				t.Fatal(err)
			}
			during := db.Tx(ctx, func(tx *database.Tx) error {
				if err := server.Stop(); err != nil {
					t.Error(err)
				}
				_, err := tx.Exec(ctx, "DELETE FROM t")
				return err
			})
			if !fault.Is(during, fault.Unavailable) {
				t.Errorf("a transaction under way said %v, want unavailable", during)
			}
			for way, use := range ways {
				if err := use(); !fault.Is(err, fault.Unavailable) {
					t.Errorf("%s said %v, want unavailable", way, err)
				}
			}
		})
	}
}
