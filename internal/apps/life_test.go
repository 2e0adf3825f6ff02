package apps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
)

func TestAWholeLife(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ana := s.as("ana")
	row := s.launch(ana, "demo")
	row = s.until(row.ID, Running)
	equal(t, row.Host, "demo--ana")
	equal(t, s.driver.count(), 1)
	stopped, err := s.StopSession(ana, row.ID, false)
	noError(t, err)
	equal(t, stopped.Cause, CauseUser)
	s.until(row.ID, Stopped)
	equal(t, s.driver.count(), 0)
	// Stopping again is the same answer; launching again is the same row.
	_, err = s.StopSession(ana, row.ID, false)
	noError(t, err)
	again := s.launch(ana, "demo")
	equal(t, again.ID, row.ID)
	equal(t, s.until(row.ID, Running).Run, 2)
	_, err = s.StopSession(ana, row.ID, true)
	noError(t, err)
	equal(t, s.count("SELECT COUNT(*) FROM app_sessions"), 0)
	for _, action := range []Cause{"apps.launch", "apps.stop"} {
		if n := s.count("SELECT COUNT(*) FROM audit_records WHERE action = ?", string(action)); n != 2 {
			t.Errorf("%d records of %s, want 2", n, action)
		}
	}
}

// Whoever races, and on whatever database: one row, one start, the same answer for all.
func TestOneStart(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, func(set *setup) { set.db = db })
		ana := s.as("ana")
		var group sync.WaitGroup
		ids := make([]string, 50)
		for i := range ids {
			group.Go(func() {
				row, _, err := s.Launch(ana, Request{App: "demo"})
				if err != nil {
					t.Error(err)
				}
				ids[i] = row.ID
			})
		}
		group.Wait()
		for _, id := range ids {
			equal(t, id, ids[0])
		}
		s.until(ids[0], Running)
		equal(t, s.count("SELECT COUNT(*) FROM app_sessions"), 1)
		equal(t, s.driver.starts.Load(), 1)
	})
}

func TestLimitHoldsUnderRaces(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		var list []App
		for i := range 8 {
			list = append(list, demo(func(a *App) { a.ID = AppID(fmt.Sprintf("app%d", i)) }))
		}
		s := newSite(t, func(set *setup) { set.db, set.cfg.Catalogue = db, list })
		ana := s.as("ana")
		var group sync.WaitGroup
		for _, a := range list {
			group.Go(func() {
				if _, _, err := s.Launch(ana, Request{App: a.ID}); err != nil && !isLimit(err) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		equal(t, s.count("SELECT COUNT(*) FROM app_sessions"), 5)
		_, _, err := s.Launch(ana, Request{App: "app0"})
		if err != nil && !strings.Contains(err.Error(), "sessions_per_user") {
			t.Errorf("the refusal does not name the limit: %v", err)
		}
	})
}

// Fifty people at once: all get their app, and never more start than may.
func TestTheQueue(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.cfg.Limits.StartsAtOnce = 3 })
	gate := make(chan struct{})
	s.driver.with(func() { s.driver.slow = gate })
	var ids []string
	for i := range 50 {
		ids = append(ids, s.launch(s.as(fmt.Sprintf("user%d", i)), "demo").ID)
	}
	equal(t, s.count("SELECT COUNT(*) FROM app_sessions WHERE state = 'starting'"), 3)
	last, err := s.position(t.Context(), ids[49])
	noError(t, err)
	equal(t, last, 47)
	close(gate)
	for _, id := range ids {
		s.until(id, Running)
	}
	if most := s.driver.most.Load(); most > 3 {
		t.Errorf("%d started at once", most)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	code := 3
	for name, row := range map[string]struct {
		break_ func(*fakeDriver)
		app    func(*App)
		cause  Cause
		says   string
	}{
		"no such image":   {func(d *fakeDriver) { d.prepare = fault.New(fault.Missing, "no image demo") }, nil, CauseImageMissing, "no image demo"},
		"exit":            {func(d *fakeDriver) { d.exits = &Exit{Code: &code} }, nil, CauseExitedEarly, "exit code 3"},
		"out of memory":   {func(d *fakeDriver) { d.exits = &Exit{OOM: true} }, nil, CauseOutOfMemory, "memory"},
		"deaf":            {func(d *fakeDriver) { d.deaf = true }, func(a *App) { a.Ready.Timeout = Duration(50 * time.Millisecond) }, CauseNotAnswering, "nothing listens"},
		"wrong status":    {func(*fakeDriver) {}, func(a *App) { a.Ready.Status, a.Ready.Timeout = []any{204.0}, Duration(50*time.Millisecond) }, CauseNotAnswering, "status 200"},
		"too long":        {func(d *fakeDriver) { d.slow = make(chan struct{}) }, func(a *App) { a.StartTimeout = Duration(50 * time.Millisecond) }, CauseStartTimeout, "longer than"},
		"a bad spec":      {func(d *fakeDriver) { d.start = fault.New(fault.Invalid, "cannot run this") }, nil, CauseSpec, "cannot run this"},
		"something else":  {func(d *fakeDriver) { d.start = errors.New("boom") }, nil, CauseInternalError, "could not be started"},
		"a secret is not": {func(*fakeDriver) {}, func(a *App) { a.SecretEnv = map[string]SecretSource{"KEY": {File: "/no/such/file"}} }, CauseSpec, "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := demo()
			if row.app != nil {
				row.app(&a)
			}
			s := newSite(t, func(set *setup) { set.cfg.Catalogue = []App{a} })
			s.driver.with(func() { row.break_(s.driver) })
			got := s.until(s.launch(s.as("ana"), "demo").ID, Failed)
			equal(t, got.Cause, row.cause)
			if !strings.Contains(got.Message, row.says) {
				t.Errorf("it says %q, want %q", got.Message, row.says)
			}
			equal(t, s.driver.count(), 0)
			equal(t, s.count("SELECT COUNT(*) FROM audit_records WHERE outcome = 'failed' AND rule = ?", "cause "+string(row.cause)), 1)
		})
	}
}

func TestTheFourthStartOfACrashingApp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := 1
	s.driver.with(func() { s.driver.exits = &Exit{Code: &code} })
	ana := s.as("ana")
	var id string
	for range 3 {
		id = s.launch(ana, "demo").ID
		s.until(id, Failed)
	}
	_, _, err := s.Launch(ana, Request{App: "demo"})
	if !isLimit(err) || !strings.Contains(err.Error(), "crash_loop") {
		t.Fatalf("the fourth start: %v", err)
	}
	s.ahead.Store(int64(61 * time.Second))
	s.driver.with(func() { s.driver.exits = nil })
	s.launch(ana, "demo")
	s.until(id, Running)
}

func TestADeath(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	noError(t, os.WriteFile(key, []byte("s3cret-value\n"), 0o600))
	s := newSite(t, func(set *setup) {
		set.cfg.Catalogue = []App{demo(func(a *App) { a.SecretEnv = map[string]SecretSource{"KEY": {File: key}} })}
	})
	ana := s.as("ana")
	row := s.until(s.launch(ana, "demo").ID, Running)
	eventually(t, "the watch has begun", func() bool {
		s.driver.mu.Lock()
		defer s.driver.mu.Unlock()
		return len(s.driver.watchers) > 0
	})
	s.driver.die(t, row.ID)
	row = s.until(row.ID, Failed)
	equal(t, row.Cause, CauseCrashed)
	equal(t, *row.Exit.Code, 9)
	equal(t, row.LogTail, "started demo run 1\nkey=***")
	s.launch(ana, "demo")
	s.until(row.ID, Running)
}

func TestStopDuringTheStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.driver.with(func() { s.driver.slow = make(chan struct{}) })
	ana := s.as("ana")
	row := s.until(s.launch(ana, "demo").ID, Starting)
	_, err := s.StopSession(ana, row.ID, false)
	noError(t, err)
	s.until(row.ID, Stopped)
	equal(t, s.driver.count(), 0)
	eventually(t, "the start has ended", func() bool { return s.driver.now.Load() == 0 })
}

func TestTheDaemonIsAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ana, ben := s.as("ana"), s.as("ben")
	running := s.until(s.launch(ana, "demo").ID, Running)
	s.driver.with(func() { s.driver.down = true })
	waits := s.launch(ben, "demo")
	eventually(t, "it says why it waits", func() bool {
		row, err := s.store.session(t.Context(), s.db, waits.ID)
		return err == nil && strings.Contains(row.Message, "does not answer")
	})
	_, err := s.StopSession(ana, running.ID, false)
	noError(t, err)
	if err := s.Reconcile(t.Context()); !fault.Is(err, fault.Unavailable) && err == nil {
		t.Error("reconciling with a daemon that is away went well")
	}
	s.driver.with(func() { s.driver.down = false })
	s.until(waits.ID, Running)
	s.until(running.ID, Stopped)
}

// Lodge ends and comes back: what ran runs, what was starting goes on.
func TestComingBack(t *testing.T) {
	t.Parallel()
	db, driver := databasetest.SQLite(t), newFakeDriver()
	s := newSite(t, func(set *setup) { set.db, set.driver = db, driver })
	ready := s.until(s.launch(s.as("ana"), "demo").ID, Running)
	lost := s.until(s.launch(s.as("ben"), "demo").ID, Running)
	gate := make(chan struct{})
	driver.with(func() { driver.slow = gate })
	starting := s.until(s.launch(s.as("cem"), "demo").ID, Starting)
	s.stop()
	driver.with(func() {
		driver.slow = nil
		driver.instances[lost.ID].server.Close()
		delete(driver.instances, lost.ID)
		driver.instances["stray"] = &fakeInstance{Instance: Instance{ID: "stray", Run: 1, Created: time.Now().Add(-time.Hour)}, server: driver.instances[ready.ID].server}
	})
	back := newSite(t, func(set *setup) { set.db, set.driver = db, driver })
	back.until(starting.ID, Running)
	equal(t, back.until(lost.ID, Failed).Cause, CauseLost)
	row, err := back.store.session(t.Context(), db, ready.ID)
	noError(t, err)
	equal(t, row.State, Running)
	equal(t, row.Run, 1)
	equal(t, driver.starts.Load(), 3)
	eventually(t, "the orphan goes", func() (gone bool) {
		driver.with(func() { gone = driver.instances["stray"] == nil })
		return gone
	})
}

func TestCulling(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.asleep = false
		set.cfg.Cull.Every = time.Hour // by hand
		set.cfg.Catalogue = []App{demo(), demo(func(a *App) { a.ID, a.MaxLifetime = "short", Duration(90*time.Minute) })}
	})
	ana := s.as("ana")
	idle := s.until(s.launch(ana, "demo").ID, Running)
	short := s.until(s.launch(ana, "short").ID, Running)
	cull := func(ahead time.Duration) {
		t.Helper()
		s.ahead.Store(int64(ahead))
		noError(t, s.cull(t.Context()))
	}
	state := func(id string) State {
		row, err := s.store.session(t.Context(), s.db, id)
		noError(t, err)
		return row.State
	}
	cull(54 * time.Minute)
	equal(t, state(idle.ID), Running)
	cull(56 * time.Minute)
	row, err := s.store.session(t.Context(), s.db, idle.ID)
	noError(t, err)
	if row.Warned.IsZero() {
		t.Error("nobody was warned")
	}
	// Another replica has seen a use that stands in no row yet.
	s.tracker.of(short.ID).note(&byRequest, s.now())
	row, err = s.Extend(ana, idle.ID, time.Time{})
	noError(t, err)
	equal(t, row.Extended, time.Hour)
	cull(61 * time.Minute)
	equal(t, state(idle.ID), Running)
	equal(t, state(short.ID), Running)
	cull(91 * time.Minute)
	s.until(short.ID, Stopped)
	cull(121 * time.Minute)
	equal(t, s.until(idle.ID, Stopped).Cause, CauseIdle)
	_, err = s.Extend(ana, idle.ID, time.Time{})
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("extending what has ended: %v", err)
	}
}

func TestGraceAfterAnOutage(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.cfg.Cull.Every = time.Hour })
	row := s.until(s.launch(s.as("ana"), "demo").ID, Running)
	noError(t, s.store.beat(t.Context(), s.now()))
	s.ahead.Store(int64(3 * time.Hour))
	noError(t, s.graceAfterOutage(t.Context()))
	noError(t, s.cull(t.Context()))
	s.until(row.ID, Running)
	s.ahead.Store(int64(3*time.Hour + 6*time.Minute))
	noError(t, s.cull(t.Context()))
	s.until(row.ID, Stopped)
}

func TestWhoMay(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.cfg.Catalogue = []App{
			demo(func(a *App) { a.ID, a.Allow = "listed", Allow{Roles: []AccessRole{"app-user"}} }),
			demo(func(a *App) { a.ID, a.Allow = "open", Allow{} }),
		}
	})
	ana, ben := s.as("ana", "app-user"), s.as("ben")
	row := s.launch(ana, "listed")
	for name, try := range map[string]func() error{
		"launch":                 func() error { _, _, err := s.Launch(ben, Request{App: "listed"}); return err },
		"no list, no permission": func() error { _, _, err := s.Launch(ana, Request{App: "open"}); return err },
		"no such app":            func() error { _, _, err := s.Launch(ana, Request{App: "nothing"}); return err },
		"stop another's":         func() error { _, err := s.StopSession(ben, row.ID, false); return err },
		"extend another's":       func() error { _, err := s.Extend(ben, row.ID, time.Time{}); return err },
		"for another":            func() error { _, _, err := s.Launch(ben, Request{App: "listed", For: row.OwnerID}); return err },
	} {
		if err := try(); !errors.Is(err, errHidden) {
			t.Errorf("%s: %v, want what a missing one gets", name, err)
		}
	}
	equal(t, s.count("SELECT COUNT(*) FROM audit_records WHERE outcome = 'denied'"), 4)
	_, _, err := s.Launch(s.admin(), Request{App: "open"})
	noError(t, err)
	stopped, err := s.StopSession(s.admin(), s.until(row.ID, Running).ID, false)
	noError(t, err)
	equal(t, stopped.Cause, CauseAdmin)
}

func TestTheRoleIsGoneAtTheStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.asleep = true })
	ana := s.as("ana")
	row := s.launch(ana, "demo")
	s.setDisabled(row.OwnerID)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	equal(t, s.until(row.ID, Failed).Cause, CauseDeniedNow)
	cancel()
	noError(t, <-done)
}
