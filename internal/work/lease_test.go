package work_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/work"
)

// runner makes a Lease with its duty something to start.
type runner struct {
	lease *work.Lease
	duty  func(ctx context.Context) error
}

func (r runner) Run(ctx context.Context) error { return r.lease.Run(ctx, r.duty) }

// One replica at a time has the duty; when it stops, the next one has it.
func TestDutyHandover(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		var busy, begun atomic.Int32
		holder := make(chan int, 3)
		var stops []func()
		for i := range 3 {
			stops = append(stops, start(t, runner{queue(t, db, time.Now).Lease("duty", 4*time.Second), func(ctx context.Context) error {
				if busy.Add(1) != 1 {
					t.Error("two replicas have the duty")
				}
				defer busy.Add(-1)
				begun.Add(1)
				holder <- i
				<-ctx.Done()
				return ctx.Err()
			}}))
		}
		for range 3 {
			stops[<-holder]()
		}
		if begun.Load() != 3 {
			t.Errorf("the duty began %d times, want 3", begun.Load())
		}
	})
}

// With a bus, the next replica need not wait for its next look.
func TestDutyHandoverByMessage(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	b, err := bus.Open(bus.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	q := work.NewQueue(db, b, time.Now, slog.New(slog.NewTextHandler(t.Output(), nil)))
	holder := make(chan int, 2)
	var stops []func()
	for i := range 2 {
		stops = append(stops, start(t, runner{q.Lease("duty", time.Hour), func(ctx context.Context) error {
			holder <- i
			<-ctx.Done()
			return nil
		}}))
	}
	stops[<-holder]()
	<-holder
}

func setLease(t *testing.T, db *database.DB, owner string, until time.Time) {
	t.Helper()
	set := database.Upsert(db.Dialect(), "leases", []string{"name"}, []string{"owner", "until"})
	if _, err := db.Exec(t.Context(), set, "duty", owner, database.Micros(until)); err != nil {
		t.Fatal(err)
	}
}

func TestDutyOfADeadReplica(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		c := newClock()
		setLease(t, db, "dead", c.now().Add(time.Minute))
		var begun atomic.Bool
		start(t, runner{queue(t, db, c.now).Lease("duty", 20*time.Millisecond), func(ctx context.Context) error {
			begun.Store(true)
			<-ctx.Done()
			return nil
		}})
		c.advance(time.Minute - time.Microsecond)
		if begun.Load() {
			t.Error("the duty began while another has the lease")
		}
		c.advance(time.Microsecond)
		until(t, "the duty is taken over", begun.Load)
	})
}

// A replica whose lease another has taken ends its duty, and waits for the lease again.
func TestLostDutyEnds(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		c := newClock()
		begun, ended := make(chan struct{}), make(chan struct{})
		start(t, runner{queue(t, db, c.now).Lease("duty", 400*time.Millisecond), func(ctx context.Context) error {
			begun <- struct{}{}
			<-ctx.Done()
			ended <- struct{}{}
			return nil
		}})
		<-begun
		setLease(t, db, "other", c.now().Add(time.Minute))
		<-ended
		c.advance(time.Minute)
		<-begun
		go func() { <-ended }()
	})
}

// A replica that is cut off from the database ends its duty before its lease ends.
func TestCutOffDutyEnds(t *testing.T) {
	t.Parallel()
	databasetest.EachURL(t, func(t *testing.T, url string) {
		watch := databasetest.Open(t, url)
		if err := watch.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		cut := databasetest.Open(t, url)
		begun, ended := make(chan struct{}), make(chan time.Time, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- queue(t, cut, time.Now).Lease("duty", 4*time.Second).Run(ctx, func(ctx context.Context) error {
				close(begun)
				<-ctx.Done()
				ended <- time.Now()
				return nil
			})
		}()
		<-begun
		if err := cut.Close(); err != nil {
			t.Fatal(err)
		}
		at := <-ended
		var lease int64
		if err := watch.QueryRow(t.Context(), "SELECT until FROM leases WHERE name = 'duty'").Scan(&lease); err != nil {
			t.Fatal(err)
		}
		if !at.Before(database.Time(lease)) {
			t.Errorf("the duty ended at %v, when the lease had ended at %v", at, database.Time(lease))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDutyThatEndsGivesTheLeaseBack(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	q := queue(t, db, time.Now)
	boom := errors.New("boom")
	if err := q.Lease("duty", time.Hour).Run(t.Context(), func(context.Context) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("Run returned %v, want the duty's error", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the duty's panic was swallowed")
			}
		}()
		_ = q.Lease("duty", time.Hour).Run(t.Context(), func(context.Context) error { panic("on purpose") })
	}()
	if err := q.Lease("duty", time.Hour).Run(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("Run returned %v", err)
	}
}
