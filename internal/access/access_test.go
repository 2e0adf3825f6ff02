package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
)

var catalogue = []ActionInfo{
	{"users.read", "List people", "platform"},
	{"users.write", "Change people", "platform"},
	{"roles.write", "Change roles", "platform"},
	{"permissions.write", "Permit and forbid", "platform"},
	{"audit.read", "Read the audit log", "platform"},
	{"access.explain", "Ask who can do what", "platform"},
	{"results.read", "Read files", "results"},
	{"results.write", "Store files", "results"},
}

// clock is a time that only tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// house is a service with what a test wants to see of it.
type house struct {
	*Service
	db    *database.DB
	clock *clock

	mu      sync.Mutex
	records []string
}

func newHouse(t testing.TB, db *database.DB) *house {
	h := &house{db: db, clock: newClock()}
	h.Service = New(db, nil, h.note, catalogue, h.clock.now, slog.New(slog.DiscardHandler))
	return h
}

func (h *house) note(ctx context.Context, _ *database.Tx, action, object, detail string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	who := "nobody"
	if c := CallerFrom(ctx); c != nil {
		who = c.Name
	}
	h.records = append(h.records, fmt.Sprintf("%s %s %s: %s", who, action, object, detail))
	return nil
}

func (h *house) noted() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.records)
}

// root is an administrator who is no user, such as the operator at the machine.
func root(ctx context.Context) context.Context {
	return WithCaller(ctx, &Caller{Issuer: "lodge", Subject: "operator", Name: "root", Admin: true})
}

// as gives the context of a request by the user, as identity would make it.
func (h *house) as(t testing.TB, subject string) context.Context {
	t.Helper()
	u := h.user(t, subject)
	return WithCaller(t.Context(), &Caller{UserID: u.ID, Issuer: u.Issuer, Subject: u.Subject, Name: u.Name, Roles: u.Roles, Admin: u.Admin})
}

func (h *house) user(t testing.TB, subject string) User {
	t.Helper()
	u, err := h.FirstSight(t.Context(), "https://issuer", subject, subject, subject+"@example.org")
	if err != nil && !u.Disabled {
		t.Fatal(err)
	}
	return u
}

// role makes a role with permissions written "action group".
func (h *house) role(t testing.TB, name Role, permissions ...string) {
	t.Helper()
	if _, err := h.CreateRole(root(t.Context()), name, ""); err != nil {
		t.Fatal(err)
	}
	for _, p := range permissions {
		action, group, _ := strings.Cut(p, " ")
		if _, err := h.Permit(root(t.Context()), Grant{name, Group(group), Action(action)}); err != nil {
			t.Fatal(err)
		}
	}
}

func (h *house) give(t testing.TB, subject string, roles ...Role) {
	t.Helper()
	for _, r := range roles {
		if err := h.GiveRole(root(t.Context()), h.user(t, subject).ID, r); err != nil {
			t.Fatal(err)
		}
	}
}

func yes() *bool { b := true; return &b }
func no() *bool  { return new(bool) }

func wantKind(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("got error %v of kind %v, want %v", err, fault.KindOf(err), kind)
	}
}

func TestRequireNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, databasetest.SQLite(t))
	_, err := h.Require(t.Context(), "audit.read", Site)
	wantKind(t, err, fault.Unauthenticated)

	_, err = h.Require(h.as(t, "ann"), "audit.read", Site)
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Denied || f.Permission != "audit.read on site" {
		t.Fatalf("got %#v", err)
	}
	for _, word := range []string{"audit.read on site", "administrator", "permissions.write"} {
		if !strings.Contains(f.Detail, word) {
			t.Errorf("the refusal %q does not speak of %q", f.Detail, word)
		}
	}
	h.role(t, "auditor", "audit.read site")
	h.give(t, "ann", "auditor")
	d, err := h.Require(h.as(t, "ann"), "audit.read", Site)
	if err != nil || d != (Decision{true, "role auditor on site"}) {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestGroupsForLists(t *testing.T) {
	t.Parallel()
	h := newHouse(t, databasetest.SQLite(t))
	h.role(t, "lab", "results.read lab", "results.read barn")
	h.role(t, "all", "results.read *")
	h.give(t, "ann", "lab")
	h.give(t, "eve", "all")
	for _, c := range []struct {
		name string
		ctx  context.Context
		want []Group
		all  bool
	}{
		{"no role", h.as(t, "bob"), nil, false},
		{"two groups", h.as(t, "ann"), []Group{"barn", "lab"}, false},
		{"and one by a rule", WithGrants(h.as(t, "ann"), Grant{"own", "den", "results.read"}, Grant{"own", "lab", "results.read"}), []Group{"barn", "den", "lab"}, false},
		{"a rule on * is one group", WithGrants(h.as(t, "bob"), Grant{"own", Everywhere, "results.read"}), []Group{Everywhere}, false},
		{"everywhere", h.as(t, "eve"), nil, true},
		{"administrator", root(t.Context()), nil, true},
	} {
		groups, all, err := h.Groups(c.ctx, "results.read")
		if err != nil || all != c.all || !slices.Equal(groups, c.want) {
			t.Errorf("%s: got %v, %v, %v", c.name, groups, all, err)
		}
	}
	_, _, err := h.Groups(t.Context(), "results.read")
	wantKind(t, err, fault.Unauthenticated)
}

// A change made by one replica holds there at once, and on the others within a
// second even when every message is lost.
func TestAChangeHoldsWithinASecondEverywhere(t *testing.T) {
	t.Parallel()
	here := newHouse(t, databasetest.SQLite(t))
	there := newHouse(t, here.db)
	here.role(t, "auditor", "audit.read site")
	here.give(t, "ann", "auditor")
	ann := here.as(t, "ann")
	if _, err := there.Require(ann, "audit.read", Site); err != nil {
		t.Fatal(err)
	}
	if _, err := here.ChangeUser(root(t.Context()), here.user(t, "ann").ID, UserChange{Disabled: yes()}); err != nil {
		t.Fatal(err)
	}
	_, err := here.Require(ann, "audit.read", Site)
	wantKind(t, err, fault.Denied)
	_, err = here.FirstSight(t.Context(), "https://issuer", "ann", "ann", "")
	wantKind(t, err, fault.Denied)
	_, err = here.Known(t.Context(), CallerFrom(ann).UserID)
	wantKind(t, err, fault.Denied)
	_, _, err = here.Groups(ann, "audit.read")
	wantKind(t, err, fault.Denied)

	there.clock.move(maxAge + time.Millisecond)
	_, err = there.Require(ann, "audit.read", Site)
	wantKind(t, err, fault.Denied)
	_, err = there.FirstSight(t.Context(), "https://issuer", "ann", "ann", "")
	wantKind(t, err, fault.Denied)

	if _, err := here.ChangeUser(root(t.Context()), CallerFrom(ann).UserID, UserChange{Disabled: no()}); err != nil {
		t.Fatal(err)
	}
	if err := here.Forbid(root(t.Context()), Grant{"auditor", Site, "audit.read"}); err != nil {
		t.Fatal(err)
	}
	there.clock.move(maxAge + time.Millisecond)
	for _, s := range []*house{here, there} {
		_, err = s.Require(ann, "audit.read", Site)
		wantKind(t, err, fault.Denied)
		if _, err = s.Require(ann, Self, Site); err != nil {
			t.Errorf("an enabled user is refused: %v", err)
		}
	}
}

// Neither a decision nor a known user costs a query; and nobody is let in on
// permissions that cannot be read any more.
func TestDecisionsWithoutADatabase(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, "sqlite:"+t.TempDir()+"/lodge.db")
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, db)
	h.role(t, "auditor", "audit.read site")
	h.give(t, "ann", "auditor")
	ann := h.as(t, "ann")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	h.clock.move(maxAge)
	for range 3 {
		if _, err := h.Require(ann, "audit.read", Site); err != nil {
			t.Fatal(err)
		}
		if _, err := h.FirstSight(t.Context(), "https://issuer", "ann", "ann", "ann@example.org"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.RolesOf(t.Context(), CallerFrom(ann).UserID); err != nil {
			t.Fatal(err)
		}
	}
	h.clock.move(time.Millisecond)
	_, err := h.Require(ann, "audit.read", Site)
	wantKind(t, err, fault.Unavailable)
	_, err = h.FirstSight(t.Context(), "https://issuer", "ann", "ann", "ann@example.org")
	wantKind(t, err, fault.Unavailable)
}

func TestManyDecisionsWhileThingsChange(t *testing.T) {
	t.Parallel()
	h := newHouse(t, databasetest.SQLite(t))
	h.role(t, "auditor", "audit.read site")
	h.give(t, "ann", "auditor")
	ann := h.as(t, "ann")
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := h.Require(ann, "audit.read", Site); err != nil && !fault.Is(err, fault.Denied) {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 30 {
		if err := h.Forbid(root(t.Context()), Grant{"auditor", Site, "audit.read"}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Require(ann, "audit.read", Site); !fault.Is(err, fault.Denied) {
			t.Fatalf("after it was forbidden: %v", err)
		}
		if _, err := h.Permit(root(t.Context()), Grant{"auditor", Site, "audit.read"}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Require(ann, "audit.read", Site); err != nil {
			t.Fatalf("after it was permitted: %v", err)
		}
	}
	close(done)
	readers.Wait()
}

func BenchmarkRequire(b *testing.B) {
	h := newHouse(b, databasetest.SQLite(b))
	h.now = time.Now
	for i := range 50 {
		h.role(b, Role(fmt.Sprint("role", i)), fmt.Sprintf("results.read project-%d", i), "audit.read site")
	}
	ctx := WithCaller(b.Context(), &Caller{UserID: "u", Roles: []Role{"x", "y", "role49"}})
	if _, err := h.Require(ctx, "results.read", "project-49"); err != nil {
		b.Fatal(err)
	}
	h.clock = nil
	go func() { _ = h.Run(ctx) }()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Require(ctx, "results.read", "project-49"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFirstSightOfAKnownUser(b *testing.B) {
	h := newHouse(b, databasetest.SQLite(b))
	h.user(b, "ann")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.FirstSight(b.Context(), "https://issuer", "ann", "ann", "ann@example.org"); err != nil {
			b.Fatal(err)
		}
	}
}
