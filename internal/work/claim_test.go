package work

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
)

// two gives the queues of two replicas over one clock, and what moves it.
func two(t *testing.T, db *database.DB) (a, b *Queue, advance func(time.Duration)) {
	t.Helper()
	var mu sync.Mutex
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}
	log := slog.New(slog.DiscardHandler)
	return NewQueue(db, nil, now, log), NewQueue(db, nil, now, log), func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		at = at.Add(d)
	}
}

func claimOne(t *testing.T, q *Queue, cfg WorkerConfig) (claim, bool) {
	t.Helper()
	claims, _, err := q.claim(t.Context(), "k", cfg.filled(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(claims) == 0 {
		return claim{}, false
	}
	return claims[0], true
}

func give(t *testing.T, q *Queue, id string, in time.Duration) {
	t.Helper()
	err := q.db.Tx(t.Context(), func(tx *database.Tx) error { return q.Add(t.Context(), tx, "k", id, q.now().Add(in)) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestClaimWaitsUntilDue(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		a, _, advance := two(t, db)
		give(t, a, "x", time.Minute)
		advance(time.Minute - time.Microsecond)
		if _, ok := claimOne(t, a, WorkerConfig{}); ok {
			t.Error("claimed before it was due")
		}
		advance(time.Microsecond)
		if _, ok := claimOne(t, a, WorkerConfig{}); !ok {
			t.Error("not claimed when due")
		}
	})
}

// A worker that comes back from the dead cannot touch what another has taken over.
func TestTakeover(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		a, b, advance := two(t, db)
		give(t, a, "x", 0)
		dead, ok := claimOne(t, a, WorkerConfig{})
		if !ok {
			t.Fatal("not claimed")
		}
		if _, ok := claimOne(t, b, WorkerConfig{}); ok {
			t.Fatal("claimed twice")
		}
		advance(30 * time.Second)
		if ok, err := a.renew(ctx, dead, a.now().Add(time.Minute)); !ok || err != nil {
			t.Fatalf("renew: %v, %v", ok, err)
		}
		advance(time.Minute - time.Microsecond)
		if _, ok := claimOne(t, b, WorkerConfig{}); ok {
			t.Fatal("taken over before the renewed lease ended")
		}
		advance(time.Microsecond)
		heir, ok := claimOne(t, b, WorkerConfig{})
		if !ok || heir.attempts != 2 {
			t.Fatalf("not taken over: %+v", heir)
		}
		if ok, err := a.renew(ctx, dead, a.now().Add(time.Hour)); ok || err != nil {
			t.Errorf("the dead worker renewed: %v, %v", ok, err)
		}
		if ok, err := a.settle(ctx, dead, settlement{state: Failed}); ok || err != nil {
			t.Errorf("the dead worker settled: %v, %v", ok, err)
		}
		if ok, err := b.settle(ctx, heir, settlement{state: Done, attempts: 2}); !ok || err != nil {
			t.Errorf("the heir did not settle: %v, %v", ok, err)
		}
		item, err := b.Get(ctx, db, "k", "x")
		if err != nil || item.State != Done {
			t.Errorf("it stands as %+v, %v", item, err)
		}
	})
}

// An item that kills every worker is set aside.
func TestPoison(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		a, _, advance := two(t, db)
		give(t, a, "x", 0)
		cfg := WorkerConfig{MaxAttempts: 2}
		for range 2 {
			if _, ok := claimOne(t, a, cfg); !ok {
				t.Fatal("not claimed")
			}
			advance(2 * time.Minute)
		}
		if c, ok := claimOne(t, a, cfg); ok {
			t.Fatalf("claimed again: %+v", c)
		}
		item, err := a.Get(ctx, db, "k", "x")
		if err != nil || item.State != Failed || item.LastError == "" {
			t.Errorf("it stands as %+v, %v", item, err)
		}
		if err := db.Tx(ctx, func(tx *database.Tx) error { return a.Retry(ctx, tx, "k", "x") }); err != nil {
			t.Fatal(err)
		}
		if c, ok := claimOne(t, a, cfg); !ok || c.attempts != 1 {
			t.Errorf("retried it was not claimed afresh: %+v", c)
		}
	})
}

func TestRetryLeavesARunningItemAlone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		a, b, _ := two(t, db)
		give(t, a, "x", 0)
		c, ok := claimOne(t, a, WorkerConfig{})
		if !ok {
			t.Fatal("not claimed")
		}
		if err := db.Tx(ctx, func(tx *database.Tx) error { return b.Retry(ctx, tx, "k", "x") }); err != nil {
			t.Fatal(err)
		}
		if _, ok := claimOne(t, b, WorkerConfig{}); ok {
			t.Error("a running item was claimed")
		}
		if ok, err := a.settle(ctx, c, settlement{state: Done}); !ok || err != nil {
			t.Errorf("its worker could not settle it: %v, %v", ok, err)
		}
	})
}

// Claims at the same time never give an item to two.
func TestClaimRace(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		a, b, _ := two(t, db)
		for range 10 {
			give(t, a, "x", 0)
			var claims [2][]claim
			var group sync.WaitGroup
			for i, q := range []*Queue{a, b} {
				group.Go(func() {
					var err error
					if claims[i], _, err = q.claim(t.Context(), "k", WorkerConfig{}.filled(), 4); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			if n := len(claims[0]) + len(claims[1]); n != 1 {
				t.Fatalf("%d claims on one item", n)
			}
			if err := db.Tx(t.Context(), func(tx *database.Tx) error { return a.Remove(t.Context(), tx, "k", "x") }); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestJudge(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	boom := errors.New("boom")
	w := NewQueue(nil, nil, func() time.Time { return at }, nil).Worker("k", WorkerConfig{MaxAttempts: 3}, nil)
	for _, tt := range []struct {
		name     string
		attempts int
		outcome  *Outcome
		want     settlement
	}{
		{"done", 1, nil, settlement{Done, 1, "", at}},
		{"told when", 2, &Outcome{Err: boom, After: time.Hour}, settlement{Queued, 2, "boom", at.Add(time.Hour)}},
		{"told when, without an error", 1, &Outcome{After: time.Hour}, settlement{Queued, 1, "", at.Add(time.Hour)}},
		{"the last attempt", 3, &Outcome{Err: boom, After: time.Hour}, settlement{Failed, 3, "boom", at}},
		{"hopeless", 1, &Outcome{Err: boom, Final: true}, settlement{Failed, 1, "boom", at}},
	} {
		if got := w.judge(t.Context(), claim{attempts: tt.attempts}, tt.outcome); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := Backoff{Min: time.Second, Max: 10 * time.Second}
	for attempts, want := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 1 << 20: 10 * time.Second,
	} {
		if got := b.bound(attempts); got != want {
			t.Errorf("after %d attempts the longest wait is %v, want %v", attempts, got, want)
		}
	}
	long := Backoff{Min: 1, Max: 1<<63 - 1}
	if got := long.bound(1 << 20); got != 1<<63-1 {
		t.Errorf("the wait overflowed to %v", got)
	}
	low, high := b.Max, time.Duration(0)
	for range 1000 {
		w := b.wait(3)
		low, high = min(low, w), max(high, w)
	}
	if low < 0 || low > time.Second || high < 3*time.Second || high > 4*time.Second {
		t.Errorf("waits lie between %v and %v, want them spread from 0 to 4 s", low, high)
	}
}
