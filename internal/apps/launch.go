package apps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
)

// Request asks for an app session.
type Request struct {
	App     AppID
	Name    string
	Options map[string]any
	// For is the id of another person; "" is the caller.
	For string
}

// Launch starts an app session, or gives the one that is live already: created says which. The row
// is durable when it returns; the start goes on by itself.
func (s *Service) Launch(ctx context.Context, req Request) (row Session, created bool, err error) {
	a, err := s.entry(ctx, req.App)
	if err != nil {
		return Session{}, false, err
	}
	owner, by, ctx, err := s.launchFor(ctx, a, req.For)
	if err != nil {
		return Session{}, false, err
	}
	if !validName(req.Name) {
		return Session{}, false, fault.InvalidFields(fault.Field{Loc: []string{"body", "name"}, Type: "invalid", Message: fmt.Sprintf("lower-case letters, digits and single hyphens, %d at most", maxSessionName)})
	}
	row, err = s.store.sessionOf(ctx, s.store.db, owner.ID, a.ID, req.Name)
	if err == nil && row.State.Live() {
		return row, false, nil
	}
	if err != nil && !errors.Is(err, errNoRow) {
		return Session{}, false, err
	}
	if s.isDraining() {
		return Session{}, false, fault.New(fault.Unavailable, "Lodge is about to restart; try again in a moment")
	}
	if owner, err = s.store.ensureOwner(ctx, owner, s.now()); err != nil {
		return Session{}, false, fmt.Errorf("enter the owner of an app session: %w", err)
	}
	if err := checkOptions(a, owner, req.Options); err != nil {
		return Session{}, false, err
	}
	if !s.launches.free(owner.ID, s.now()) {
		return Session{}, false, limitFault("launches", time.Minute, "too many launches in a minute; wait a moment")
	}
	row, created, err = s.enter(ctx, a, owner, by, req)
	if err != nil {
		s.metrics.refused(err)
		return Session{}, false, err
	}
	if created {
		s.launches.note(owner.ID, s.now())
		s.after(ctx, row)
	}
	return row, created, nil
}

// enter makes the row of a launch, or finds the live one, in one transaction.
func (s *Service) enter(ctx context.Context, a App, owner Owner, by launcher, req Request) (row Session, created bool, err error) {
	for try := 0; ; try++ {
		err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
			created = false
			if err := s.store.takeTurn(ctx, tx); err != nil {
				return err
			}
			var err error
			row, err = s.store.sessionOf(ctx, tx, owner.ID, a.ID, req.Name)
			switch {
			case errors.Is(err, errNoRow):
				row = Session{ID: uuid.NewString(), OwnerID: owner.ID, App: a.ID, Name: req.Name, Host: hostLabel(a.ID, owner.Slug, req.Name), Created: s.now()}
			case err != nil:
				return err
			case row.State.Live():
				return nil
			case row.State == Stopping:
				return fault.New(fault.Conflict, "this app is being stopped; try again in a moment")
			}
			if err := s.mayEnter(ctx, tx, a, row, by); err != nil {
				return err
			}
			created = true
			return s.begin(ctx, tx, &row, a, by, req)
		})
		if (errors.Is(err, errStale) || database.IsDuplicate(err)) && try < 20 {
			continue
		}
		if err != nil {
			return Session{}, false, err
		}
		if created {
			// The launch may have got a place at once.
			row, err = s.store.session(ctx, s.store.db, row.ID)
		}
		return row, created, err
	}
}

// mayEnter checks the limits within the launch's transaction.
func (s *Service) mayEnter(ctx context.Context, tx *database.Tx, a App, row Session, by launcher) error {
	if wait := crashLoop(row.Failures, s.now()); wait > 0 {
		return limitFault(string(CauseCrashLoop), wait, "this app keeps failing; look at its log, and try again in a minute (crash_loop)")
	}
	if row.Name != "" {
		var n int
		err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM app_sessions WHERE owner_id = ? AND app = ? AND name <> '' AND state IN ('queued', 'starting', 'ready', 'stopping')", row.OwnerID, string(a.ID)).Scan(&n)
		if err != nil {
			return err
		}
		if n >= a.Named {
			return limitFault("named", 30*time.Second, "this app allows %d named app sessions (limit named)", a.Named)
		}
	}
	u, err := s.store.usage(ctx, tx, row.OwnerID, a.ID)
	if err != nil {
		return err
	}
	cpu, memory := promised(a, nil)
	wait := 30*time.Second + rand.N(30*time.Second) //nolint:gosec // spreads those who come back
	return s.cfg.Limits.forRoles(by.Roles).check(u, cpu, memory, wait)
}

// begin fills in the row of a launch.
func (s *Service) begin(ctx context.Context, tx *database.Tx, row *Session, a App, by launcher, req Request) error {
	now := s.now()
	old := *row
	fresh := old.Version == 0
	row.State, _ = next(old.State, evLaunch)
	row.Run++
	row.Cause, row.Message, row.Step, row.Percent = "", "Waiting for a place", "queued", percents["queued"]
	row.Driver, row.Entry, row.Options, row.By = cmp.Or(a.Driver, s.cfg.Driver), a, maps.Clone(req.Options), by
	row.CPU, row.Memory = promised(a, req.Options)
	row.Exit, row.LogTail, row.Address, row.ImageDigest = nil, "", "", ""
	row.Failures = recent(old.Failures, now)
	row.Queued, row.Started, row.Ready, row.Ended, row.GraceUntil, row.Warned = now, time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	row.Active, row.ActiveBy, row.Extended = time.Time{}, "", 0
	if fresh {
		row.Version = 1
		if err := s.store.insertSession(ctx, tx, row); err != nil {
			return err
		}
	} else {
		if err := s.store.clearEvents(ctx, tx, row.ID); err != nil {
			return err
		}
		for _, kind := range []string{startKind, stopKind} {
			if err := s.queue.Remove(ctx, tx, kind, workID(old)); err != nil {
				return err
			}
		}
	}
	return s.settle(ctx, tx, row, evLaunch)
}

// promised is what an app session may use, as the limits count it.
func promised(a App, options map[string]any) (cpu, memory int64) {
	_, r, _ := a.choose(options)
	return int64(r.CPU * 1000), int64(r.Memory)
}

func checkOptions(a App, owner Owner, chosen map[string]any) error {
	_, wrong := a.resolve(place{owner: owner, host: "host", session: owner.ID}, chosen, true)
	if wrong == nil {
		return nil
	}
	fields := make([]fault.Field, 0, len(wrong.list))
	for _, one := range wrong.list {
		fields = append(fields, fault.Field{Loc: append([]string{"body"}, strings.Split(one.key, ".")...), Type: "invalid", Message: one.message})
	}
	return fault.InvalidFields(fields...)
}

func workID(row Session) string { return row.ID + "/" + strconv.FormatInt(row.Run, 10) }

func parseWorkID(text string) (id string, run int64) {
	id, number, _ := strings.Cut(text, "/")
	run, _ = strconv.ParseInt(number, 10, 64) // our own writing; 0 matches no row
	return id, run
}

// launchFor finds who an app session is for, and whether the caller may start it.
func (s *Service) launchFor(ctx context.Context, a App, other string) (Owner, launcher, context.Context, error) {
	c := access.CallerFrom(ctx)
	owner, by := ownerOf(c)
	if other == "" || other == owner.ID {
		ctx, err := s.may(ctx, Launch, a)
		return owner, by, ctx, err
	}
	d, err := s.access.Require(ctx, LaunchAny, a.Group)
	if err != nil {
		s.refused(ctx, LaunchAny, a.Group, "app "+string(a.ID), d, err)
		return Owner{}, launcher{}, ctx, hidden(err)
	}
	u, err := s.access.Known(ctx, other)
	if err != nil {
		return Owner{}, launcher{}, ctx, fault.Wrap(err, fault.Invalid, "there is no such person to start it for")
	}
	owner = Owner{ID: u.ID, Issuer: u.Issuer, Subject: u.Subject, Name: u.Name, Email: u.Email}
	by = launcher{Issuer: u.Issuer, Subject: u.Subject, Name: u.Name, Email: u.Email, Roles: u.Roles, Admin: u.Admin, Person: true}
	return owner, by, access.WithDecision(ctx, d), nil
}

// ownerOf is the caller as an owner. A service token is one too, so that programs can have apps.
func ownerOf(c *access.Caller) (Owner, launcher) {
	if c == nil {
		return Owner{}, launcher{}
	}
	o := Owner{ID: c.UserID, Issuer: c.Issuer, Subject: c.Subject, Name: c.Name, Email: c.Email}
	if o.ID == "" && c.Credential.Kind == "token" {
		o.ID = c.Credential.ID
	}
	return o, launcher{Issuer: c.Issuer, Subject: c.Subject, Name: c.Name, Email: c.Email, Roles: c.Roles, Admin: c.Admin, Person: c.UserID != "", Browser: c.Credential.Kind == "session"}
}

func (s *Service) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// pace counts what somebody did within a window.
type pace struct {
	most   int
	window time.Duration
	mu     sync.Mutex
	did    map[string][]time.Time
}

// maxPaced bounds how many are counted at a time.
const maxPaced = 10_000

func newPace(most int, window time.Duration) *pace {
	return &pace{most: most, window: window, did: map[string][]time.Time{}}
}

// free says whether there is one more within the window.
func (p *pace) free(who string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.did[who][:0]
	for _, at := range p.did[who] {
		if now.Sub(at) < p.window {
			kept = append(kept, at)
		}
	}
	if len(kept) == 0 {
		delete(p.did, who)
		return true
	}
	p.did[who] = kept
	return len(kept) < p.most
}

func (p *pace) note(who string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.did) >= maxPaced {
		for one, times := range p.did {
			if now.Sub(times[len(times)-1]) >= p.window {
				delete(p.did, one)
			}
		}
	}
	if len(p.did) < maxPaced {
		p.did[who] = append(p.did[who], now)
	}
}
