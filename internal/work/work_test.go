package work_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
	"lodge/internal/work"
)

const kind = "test.things"

// quick is a worker's configuration that makes tests quick: the clock of most stands still.
var quick = work.WorkerConfig{Poll: 5 * time.Millisecond, Backoff: work.Backoff{Min: time.Minute, Max: time.Minute}}

// clock is a clock that the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func queue(t *testing.T, db *database.DB, now func() time.Time) *work.Queue {
	t.Helper()
	return work.NewQueue(db, nil, now, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

func add(t *testing.T, db *database.DB, q *work.Queue, id string, due time.Time) {
	t.Helper()
	change(t, db, func(tx *database.Tx) error { return q.Add(t.Context(), tx, kind, id, due) })
}

func change(t *testing.T, db *database.DB, fn func(tx *database.Tx) error) {
	t.Helper()
	if err := db.Tx(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, db *database.DB, q *work.Queue, id string) work.Item {
	t.Helper()
	item, err := q.Get(t.Context(), db, kind, id)
	if err != nil {
		t.Fatal(err)
	}
	return item
}

// running is a worker or a duty.
type running interface {
	Run(ctx context.Context) error
}

// start runs a worker, and gives what stops it and waits for its end. It is stopped with the test.
func start(t *testing.T, w running) (stop func()) {
	t.Helper()
	// Not the test's context: it is to end before the database is closed.
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.After(30 * time.Second); !done(); {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func untilState(t *testing.T, db *database.DB, q *work.Queue, id string, want work.State) work.Item {
	t.Helper()
	var item work.Item
	until(t, fmt.Sprintf("%s is %s", id, want), func() bool {
		item = get(t, db, q, id)
		return item.State == want
	})
	return item
}

func TestItems(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, c := t.Context(), newClock()
		q := queue(t, db, c.now)
		due := c.now().Add(time.Hour)
		add(t, db, q, "a", due)
		want := work.Item{Kind: kind, ID: "a", State: work.Queued, Due: due, CreatedAt: c.now(), UpdatedAt: c.now()}
		if got := get(t, db, q, "a"); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		c.advance(time.Minute)
		add(t, db, q, "a", c.now())
		if got := get(t, db, q, "a"); got != want {
			t.Errorf("added again it became %+v", got)
		}
		if got, err := q.Backlog(ctx); err != nil || len(got) != 1 || got[0] != (work.Backlog{Kind: kind, State: work.Queued, Items: 1}) {
			t.Errorf("the backlog is %+v, %v", got, err)
		}
		change(t, db, func(tx *database.Tx) error { return q.Retry(ctx, tx, kind, "a") })
		if got := get(t, db, q, "a"); !got.Due.Equal(c.now()) {
			t.Errorf("retried it is due at %v, want now", got.Due)
		}
		change(t, db, func(tx *database.Tx) error { return q.Remove(ctx, tx, kind, "a") })
		change(t, db, func(tx *database.Tx) error { return q.Remove(ctx, tx, kind, "a") })
		if _, err := q.Get(ctx, db, kind, "a"); !fault.Is(err, fault.Missing) {
			t.Errorf("a removed item: %v, want missing", err)
		}
		err := db.Tx(ctx, func(tx *database.Tx) error { return q.Retry(ctx, tx, kind, "a") })
		if !fault.Is(err, fault.Missing) {
			t.Errorf("a removed item retried: %v, want missing", err)
		}
		boom := errors.New("boom")
		err = db.Tx(ctx, func(tx *database.Tx) error { return errors.Join(q.Add(ctx, tx, kind, "b", due), boom) })
		if _, missing := q.Get(ctx, db, kind, "b"); !errors.Is(err, boom) || !fault.Is(missing, fault.Missing) {
			t.Errorf("an item outlived its transaction: %v, %v", err, missing)
		}
	})
}

// Several replicas share the work: every item is done once, and no worker does more at a
// time than it may.
func TestReplicasShareWork(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		const items, parallel = 60, 3
		c := newClock()
		q := queue(t, db, c.now)
		change(t, db, func(tx *database.Tx) error {
			for i := range items {
				if err := q.Add(t.Context(), tx, kind, fmt.Sprint(i), c.now()); err != nil {
					return err
				}
			}
			return nil
		})
		var done sync.Map
		var calls, twice atomic.Int32
		for range 3 {
			var busy atomic.Int32
			cfg := quick
			cfg.Parallel = parallel
			start(t, queue(t, db, c.now).Worker(kind, cfg, func(_ context.Context, id string) *work.Outcome {
				if busy.Add(1) > parallel {
					t.Error("too many at a time")
				}
				defer busy.Add(-1)
				calls.Add(1)
				if _, again := done.LoadOrStore(id, true); again {
					twice.Add(1)
				}
				return nil
			}))
		}
		until(t, "all are done", func() bool {
			var left int
			if err := db.QueryRow(t.Context(), "SELECT COUNT(*) FROM work WHERE state <> 'done'").Scan(&left); err != nil {
				t.Fatal(err)
			}
			return left == 0
		})
		if calls.Load() != items || twice.Load() != 0 {
			t.Errorf("%d calls, %d of them again, want %d and none", calls.Load(), twice.Load(), items)
		}
		if item := get(t, db, q, "0"); item.Attempts != 1 || item.LastError != "" {
			t.Errorf("a done item says %+v", item)
		}
	})
}

func TestFailuresAreTriedAgainAndSetAside(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, c := t.Context(), newClock()
		q := queue(t, db, c.now)
		for _, id := range []string{"flaky", "never", "final", "later", "panics", "goes on"} {
			add(t, db, q, id, c.now())
		}
		var healed atomic.Bool
		cfg := quick
		cfg.MaxAttempts, cfg.Parallel = 2, 2
		start(t, q.Worker(kind, cfg, func(_ context.Context, id string) *work.Outcome {
			switch {
			case id == "flaky" && !healed.Load(), id == "never":
				return &work.Outcome{Err: errors.New("not now\x00 \xff" + id)}
			case id == "final":
				return &work.Outcome{Err: errors.New("never ever"), Final: true}
			case id == "later" && !healed.Load():
				return &work.Outcome{Err: errors.New("come back"), After: time.Hour}
			case id == "panics":
				panic("on purpose")
			}
			return nil
		}))
		untilState(t, db, q, "goes on", work.Done)
		until(t, "it is queued again", func() bool { i := get(t, db, q, "flaky"); return i.State == work.Queued && i.Attempts == 1 })
		item := get(t, db, q, "flaky")
		if wait := item.Due.Sub(c.now()); wait < 0 || wait > time.Minute || item.LastError != "not now flaky" {
			t.Errorf("after a failure it stands as %+v, %v from now", item, wait)
		}
		for id, want := range map[string]string{"final": "never ever", "panics": "panic: on purpose"} {
			if got := untilState(t, db, q, id, work.Failed); got.LastError != want || got.Attempts != 1 {
				t.Errorf("%s stands as %+v, want %q", id, got, want)
			}
		}
		until(t, "the later one waits", func() bool { return get(t, db, q, "later").Attempts == 1 })
		if later := untilState(t, db, q, "later", work.Queued); !later.Due.Equal(c.now().Add(time.Hour)) {
			t.Errorf("it is due at %v, want when the other side said", later.Due)
		}
		healed.Store(true)
		c.advance(time.Minute)
		if got := untilState(t, db, q, "flaky", work.Done); got.Attempts != 2 || got.LastError != "" {
			t.Errorf("the flaky one ended as %+v", got)
		}
		if got := untilState(t, db, q, "never", work.Failed); got.Attempts != 2 {
			t.Errorf("the hopeless one was set aside after %d attempts, want 2", got.Attempts)
		}
		if got := get(t, db, q, "later"); got.State != work.Queued {
			t.Errorf("the later one came back early: %+v", got)
		}
		change(t, db, func(tx *database.Tx) error { return q.Retry(ctx, tx, kind, "later") })
		untilState(t, db, q, "later", work.Done)
	})
}

// A function that runs for longer than the lease keeps the item, also while it is told to stop.
func TestLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		q := queue(t, db, time.Now)
		add(t, db, q, "long", time.Now())
		cfg := quick
		cfg.Lease = 1500 * time.Millisecond
		begun, let := make(chan struct{}), make(chan struct{})
		var calls atomic.Int32
		fn := func(context.Context, string) *work.Outcome {
			if calls.Add(1) == 1 {
				close(begun)
			}
			<-let
			return nil
		}
		stop := start(t, q.Worker(kind, cfg, fn))
		<-begun
		start(t, queue(t, db, time.Now).Worker(kind, cfg, fn))
		lease := func() (us int64) {
			if err := db.QueryRow(t.Context(), "SELECT lease_until FROM work").Scan(&us); err != nil {
				t.Fatal(err)
			}
			return us
		}
		first := lease()
		until(t, "it has run for longer than its lease", func() bool { return lease() > first+cfg.Lease.Microseconds() })
		stopped := make(chan struct{})
		go func() { defer close(stopped); stop() }()
		second := lease()
		until(t, "it has gone on for as long while stopping", func() bool { return lease() > second+cfg.Lease.Microseconds() })
		close(let)
		<-stopped
		if got := get(t, db, q, "long"); got.State != work.Done || calls.Load() != 1 {
			t.Errorf("after %d calls it stands as %+v", calls.Load(), got)
		}
	})
}

func TestRemovedWhileItRuns(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		q := queue(t, db, time.Now)
		add(t, db, q, "gone", time.Now())
		cfg := quick
		cfg.Lease = time.Second
		begun, ended := make(chan struct{}, 1), make(chan struct{}, 1)
		start(t, q.Worker(kind, cfg, func(ctx context.Context, _ string) *work.Outcome {
			begun <- struct{}{}
			<-ctx.Done()
			ended <- struct{}{}
			return nil
		}))
		<-begun
		change(t, db, func(tx *database.Tx) error { return q.Remove(ctx, tx, kind, "gone") })
		<-ended
		if _, err := q.Get(ctx, db, kind, "gone"); !fault.Is(err, fault.Missing) {
			t.Errorf("the removed item came back: %v", err)
		}
	})
}

// What is interrupted by a stop is due at once on another replica, and no attempt is lost.
func TestStop(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		c := newClock()
		q := queue(t, db, c.now)
		add(t, db, q, "interrupted", c.now())
		add(t, db, q, "finished", c.now())
		cfg := quick
		cfg.Parallel, cfg.MaxAttempts = 2, 1
		var begun sync.WaitGroup
		begun.Add(2)
		stop := start(t, q.Worker(kind, cfg, func(ctx context.Context, id string) *work.Outcome {
			begun.Done()
			<-ctx.Done()
			if id == "finished" {
				return nil
			}
			return &work.Outcome{Err: ctx.Err()}
		}))
		begun.Wait()
		stop()
		if got := get(t, db, q, "finished"); got.State != work.Done {
			t.Errorf("what finished stands as %+v", got)
		}
		if got := get(t, db, q, "interrupted"); got.State != work.Queued || got.Attempts != 0 || got.Due.After(c.now()) {
			t.Errorf("what was interrupted stands as %+v", got)
		}
		start(t, queue(t, db, c.now).Worker(kind, cfg, func(context.Context, string) *work.Outcome { return nil }))
		untilState(t, db, q, "interrupted", work.Done)
	})
}

func TestWakeUps(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	b, err := bus.Open(bus.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	q := work.NewQueue(db, b, time.Now, log)
	begun := make(chan string, 8)
	// Nobody looks by itself within this test.
	start(t, q.Worker(kind, work.WorkerConfig{Poll: time.Hour}, func(_ context.Context, id string) *work.Outcome {
		begun <- id
		return nil
	}))
	add(t, db, q, "first", time.Now())
	until(t, "the worker has woken up", func() bool {
		q.Wake(kind)
		return get(t, db, q, "first").State == work.Done
	})
	add(t, db, q, "second", time.Now())
	q.Wake(kind)
	untilState(t, db, q, "second", work.Done)

	// Without the bus the work is found by looking.
	start(t, q.Worker("polled", quick, func(context.Context, string) *work.Outcome { return nil }))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, db, func(tx *database.Tx) error { return q.Add(t.Context(), tx, "polled", "third", time.Now()) })
	q.Wake("polled")
	until(t, "the work is found", func() bool {
		item, err := q.Get(t.Context(), db, "polled", "third")
		return err == nil && item.State == work.Done
	})
}
