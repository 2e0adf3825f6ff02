package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lodge/internal/fault"
)

// testClock is moved by hand.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func newTestClock() *testClock {
	return &testClock{now: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func readyz(t *testing.T, c *Checks) (int, Readiness) {
	t.Helper()
	s := newServer(t, Config{}, Mount{Name: "platform", Routes: c.Routes()})
	w := do(s.Handler(), "GET", "/readyz")
	var got Readiness
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	return w.Code, got
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	log, lines := newLog()
	clock := newTestClock()
	c := NewChecks(clock.Now, log)
	var database, hub error
	var asked int
	c.Need("database", func(context.Context) error { asked++; return database })
	c.Watch("hub", func(context.Context) error { return hub })

	expect := func(status int, word, databaseState, databaseError, hubState string) {
		t.Helper()
		code, got := readyz(t, c)
		if code != status || got.Status != word || len(got.Checks) != 2 {
			t.Fatalf("got %d %+v, want %d %s", code, got, status, word)
		}
		db, hub := got.Checks[0], got.Checks[1]
		if db.Name != "database" || db.State != databaseState || db.Error != databaseError || !db.Needed || hub.Name != "hub" || hub.State != hubState || hub.Needed {
			t.Errorf("got %+v", got.Checks)
		}
	}
	start := clock.Now()
	expect(200, "ready", "ok", "", "ok")

	database, hub = fault.Wrap(errors.New("dial 10.0.0.5: password=hunter2"), fault.Unavailable, "the database does not answer"), errors.New("secret words")
	expect(200, "ready", "ok", "", "ok") // the answer is fresh
	if asked != 1 {
		t.Errorf("asked %d times within a second", asked)
	}
	clock.add(2 * time.Second)
	expect(503, "not ready", "failed", "the database does not answer", "failed")
	_, got := readyz(t, c)
	if got.Checks[1].Error != "failed; the log says why" || !got.Checks[0].Since.Equal(start.Add(2*time.Second)) {
		t.Errorf("got %+v", got.Checks)
	}
	clock.add(2 * time.Second)
	_, got = readyz(t, c)
	if !got.Checks[0].Since.Equal(start.Add(2 * time.Second)) {
		t.Errorf("failed since %s although nothing changed", got.Checks[0].Since)
	}
	if failed := lines.lines(t, "dependency failed"); len(failed) != 2 {
		t.Errorf("logged %d failures, want one for each: %s", len(failed), lines)
	}

	database = nil
	clock.add(2 * time.Second)
	expect(200, "ready", "ok", "", "failed") // the hub can be done without
	if back := lines.lines(t, "dependency is back"); len(back) != 1 || back[0]["name"] != "database" {
		t.Errorf("log: %s", lines)
	}
	c.Drain()
	expect(503, "draining", "ok", "", "failed")
}

func TestHealthz(t *testing.T) {
	t.Parallel()
	log, _ := newLog()
	c := NewChecks(time.Now, log)
	c.Need("database", func(context.Context) error { return errors.New("down") })
	h := newServer(t, Config{}, Mount{Name: "platform", Routes: c.Routes()}).Handler()
	if w := do(h, "GET", "/healthz"); w.Code != http.StatusOK || w.Body.String() != `{"status":"ok"}` {
		t.Errorf("got %d %s: a process lives also without its database", w.Code, w.Body)
	}
}

// TestHangingCheck: a dependency that hangs is reported in time, and is not asked again meanwhile.
func TestHangingCheck(t *testing.T) {
	t.Parallel()
	log, _ := newLog()
	c := NewChecks(time.Now, log)
	c.timeout = 20 * time.Millisecond
	release := make(chan struct{})
	defer close(release)
	var asked atomic.Int32
	c.Need("deaf", func(context.Context) error {
		asked.Add(1)
		<-release
		return nil
	})
	c.Need("polite", func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	c.Need("broken", func(context.Context) error { panic("oh") })
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			got := c.States(context.WithoutCancel(t.Context()))
			if got.Status != "not ready" {
				t.Errorf("got %+v", got)
			}
			for i, want := range []string{"does not answer within", "does not answer", "failed; the log says why"} {
				if !strings.Contains(got.Checks[i].Error, want) {
					t.Errorf("got %+v, want %q", got.Checks[i], want)
				}
			}
		})
	}
	all.Wait()
	if asked.Load() != 1 {
		t.Errorf("asked %d times at once", asked.Load())
	}
}
