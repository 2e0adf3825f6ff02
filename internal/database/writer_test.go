package database_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
)

// hold keeps the writer busy until it is released, so that callers gather behind it.
func hold(t *testing.T, db *database.DB) (release func()) {
	t.Helper()
	begun, let := make(chan struct{}, 2), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- db.Tx(t.Context(), func(*database.Tx) error {
			// It may run twice.
			begun <- struct{}{}
			<-let
			return nil
		})
	}()
	<-begun
	return func() {
		close(let)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// A caller's goroutine may end inside its function, as t.Fatal does, and the rest goes on.
func TestGroupSurvivesGoexit(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	ctx := t.Context()
	release := hold(t, db)
	var group sync.WaitGroup
	for i := range 9 {
		group.Go(func() {
			defer func() { _ = recover() }()
			err := db.Tx(ctx, func(tx *database.Tx) error {
				if err := put(ctx, tx, fmt.Sprint(i), "1"); err != nil {
					return err
				}
				switch i % 3 {
				case 0:
					runtime.Goexit()
				case 1:
					panic("on purpose")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	release()
	group.Wait()
	wantNames(t, db, "2", "5", "8")
}

// One of a group breaks the transaction that they share, and hides it: it alone fails,
// the others are run again.
func TestBrokenGroupIsRunAgain(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	ctx := t.Context()
	release := hold(t, db)
	var runs atomic.Int32
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			err := db.Tx(ctx, func(tx *database.Tx) error {
				runs.Add(1)
				if err := put(ctx, tx, fmt.Sprint(i), "1"); err != nil {
					return err
				}
				if i == 5 {
					_, err := tx.Exec(ctx, "ROLLBACK")
					return err
				}
				return nil
			})
			if (err != nil) != (i == 5) {
				t.Errorf("call %d returned %v", i, err)
			}
		})
	}
	release()
	group.Wait()
	wantNames(t, db, "0", "1", "2", "3", "4", "6", "7", "8", "9")
}

func TestWaitingCallerMayGiveUp(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	release := hold(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- db.Tx(ctx, func(*database.Tx) error { return nil }) }()
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller got %v, want cancelled", err)
	}
	release()
	if err := put(t.Context(), db, "after", "1"); err != nil {
		t.Error(err)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	t.Run("open and close", func(t *testing.T) {
		db := databasetest.SQLite(t)
		if err := put(t.Context(), db, "a", "1"); err != nil {
			t.Fatal(err)
		}
	})
	goleak.VerifyNone(t, ignore)
}

// BenchmarkTx shows what sharing commits is worth: with more callers at a time, the time
// for each falls, as one flush to disk serves them all.
func BenchmarkTx(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			db := databasetest.SQLite(b)
			ctx := b.Context()
			var n atomic.Int64
			b.SetParallelism(callers)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					err := db.Tx(ctx, func(tx *database.Tx) error {
						_, err := tx.Exec(ctx, "INSERT INTO roles (name, description, created_at) VALUES (?, ?, ?)",
							fmt.Sprint(n.Add(1)), "a row as usual", 1)
						return err
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkQueryRow(b *testing.B) {
	db := databasetest.SQLite(b)
	ctx := b.Context()
	if err := put(ctx, db, "a", "1"); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			var value string
			if err := db.QueryRow(ctx, "SELECT value FROM site_values WHERE name = ?", "a").Scan(&value); err != nil {
				b.Error(err)
			}
		}
	})
}
