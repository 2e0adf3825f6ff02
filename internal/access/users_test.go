package access

import (
	"context"
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

func TestUsersOnEveryDatabase(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHouse(t, db)
		h.role(t, "reader", "results.read lab")
		h.role(t, "writer", "results.write lab")
		for i := range 12 {
			h.user(t, fmt.Sprintf("user%02d", i))
		}
		h.give(t, "user03", "reader", "writer")
		h.give(t, "user04", "reader")
		id := h.user(t, "user05").ID
		if _, err := h.ChangeUser(root(t.Context()), id, UserChange{Disabled: yes()}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.CreateUser(root(t.Context()), NewUser{Issuer: "i", Subject: "100%", Name: "a_b!c", Admin: true, Roles: []Role{"writer", "writer"}}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name  string
			f     UserFilter
			want  string
			total int64
		}{
			{"first page", UserFilter{Limit: 3}, "a_b!c user00 user01", 13},
			{"last page", UserFilter{Limit: 3, Offset: 12}, "user11", 13},
			{"behind the end", UserFilter{Limit: 3, Offset: 99}, "", 13},
			{"by role", UserFilter{Role: "reader", Limit: 9}, "user03 user04", 2},
			{"by text in any case", UserFilter{Text: "USER1", Limit: 9}, "user10 user11", 2},
			{"by name", UserFilter{Name: "user03", Limit: 9}, "user03", 1},
			{"by half a name", UserFilter{Name: "user0", Limit: 9}, "", 0},
			{"by how the name begins", UserFilter{Prefix: "USER1", Limit: 9}, "user10 user11", 2},
			{"not in the middle", UserFilter{Prefix: "ser1", Limit: 9}, "", 0},
			{"backwards", UserFilter{Down: true, Limit: 2}, "user11 user10", 13},
			{"administrators first", UserFilter{AdminsFirst: true, Down: true, Limit: 2}, "a_b!c user11", 13},
			{"administrators last", UserFilter{AdminsLast: true, Limit: 1}, "user00", 13},
			{"by e-mail", UserFilter{Text: "ser03@exa", Limit: 9}, "user03", 1},
			{"signs of LIKE are letters", UserFilter{Text: "_b!", Limit: 9}, "a_b!c", 1},
			{"a per cent too", UserFilter{Text: "0%", Limit: 9}, "a_b!c", 1},
			{"disabled", UserFilter{Disabled: yes(), Limit: 9}, "user05", 1},
			{"not disabled", UserFilter{Disabled: no(), Text: "user0", Limit: 2}, "user00 user01", 9},
			{"administrators", UserFilter{Admin: yes(), Limit: 9}, "a_b!c", 1},
			{"nobody", UserFilter{Text: "' OR 1=1 --", Limit: 9}, "", 0},
		} {
			users, total, err := h.Users(t.Context(), c.f)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			var names []string
			for _, u := range users {
				names = append(names, u.Name)
			}
			if got := strings.Join(names, " "); got != c.want || total != c.total {
				t.Errorf("%s: got %q of %d, want %q of %d", c.name, got, total, c.want, c.total)
			}
		}
		u, err := h.User(t.Context(), findID(t, h, "user03"))
		if err != nil || !slices.Equal(u.Roles, []Role{"reader", "writer"}) || u.Issuer != "https://issuer" || u.Created != h.clock.now() {
			t.Errorf("got %+v, %v", u, err)
		}
		if err := h.TakeRole(root(t.Context()), u.ID, "reader"); err != nil {
			t.Fatal(err)
		}
		if roles, err := h.RolesOf(t.Context(), u.ID); err != nil || !slices.Equal(roles, []Role{"writer"}) {
			t.Errorf("roles are %v, %v", roles, err)
		}
		_, err = h.CreateUser(root(t.Context()), NewUser{Issuer: "i", Subject: "100%"})
		wantKind(t, err, fault.Conflict)
		_, err = h.User(t.Context(), "gone")
		wantKind(t, err, fault.Missing)
		err = h.GiveRole(root(t.Context()), u.ID, "ghost")
		wantKind(t, err, fault.Missing)
		_, err = h.CreateUser(root(t.Context()), NewUser{Issuer: "i", Subject: strings.Repeat("x", 256)})
		wantKind(t, err, fault.Invalid)
		_, err = h.Known(t.Context(), "gone")
		wantKind(t, err, fault.Unauthenticated)
	})
}

func TestEveryChangeIsRecordedAndNothingElse(t *testing.T) {
	t.Parallel()
	h := newHouse(t, databasetest.SQLite(t))
	u := h.user(t, "ann")
	h.role(t, "r")
	ctx := root(t.Context())
	for range 2 { // the second time changes nothing
		for _, c := range []UserChange{{Roles: &[]Role{"r"}}, {Admin: yes()}} {
			if _, err := h.ChangeUser(ctx, u.ID, c); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.GiveRole(ctx, u.ID, "r"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.DescribeRole(ctx, "r", "readers"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Permit(ctx, Grant{"r", "lab", "results.read"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Forbid(ctx, Grant{"r", "lab", "results.read"}); err != nil {
		t.Fatal(err)
	}
	if err := h.TakeRole(ctx, u.ID, "r"); err != nil {
		t.Fatal(err)
	}
	if err := h.DeleteRole(ctx, "r"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ann users.write users/" + u.ID + ": seen for the first time: ann (ann of https://issuer)",
		"root roles.write roles/r: created: ",
		"root users.write users/" + u.ID + ": ann: given r",
		"root users.write users/" + u.ID + ": ann: made administrator",
		"root roles.write roles/r: described: readers",
		"root permissions.write permissions/r/lab/results.read: permitted",
		"root permissions.write permissions/r/lab/results.read: forbidden",
		"root users.write users/" + u.ID + ": ann: taken r",
		"root roles.write roles/r: deleted, with 0 members and 0 permissions",
	}
	if got := h.noted(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAChangeThatCannotBeRecordedIsUndone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, databasetest.SQLite(t))
	u := h.user(t, "ann")
	h.record = func(context.Context, *database.Tx, string, string, string) error {
		return fault.New(fault.Full, "no room")
	}
	_, err := h.ChangeUser(root(t.Context()), u.ID, UserChange{Admin: yes()})
	wantKind(t, err, fault.Full)
	if u, err := h.User(t.Context(), u.ID); err != nil || u.Admin {
		t.Errorf("got %+v, %v", u, err)
	}
	_, err = h.FirstSight(t.Context(), "https://issuer", "new", "", "")
	wantKind(t, err, fault.Full)
}

func TestFirstSight(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHouse(t, db)
		var wait sync.WaitGroup
		ids := make([]string, 30)
		for i := range ids {
			wait.Go(func() {
				u, err := h.FirstSight(t.Context(), "https://issuer", "ann", "Ann\x00 Lee\n", strings.Repeat("é", 300))
				if err != nil {
					t.Error(err)
				}
				ids[i] = u.ID
			})
		}
		wait.Wait()
		if slices.Sort(ids); len(slices.Compact(ids)) != 1 {
			t.Error("one person became several users")
		}
		if n := len(h.noted()); n != 1 {
			t.Errorf("%d records", n)
		}
		u, err := h.User(t.Context(), ids[0])
		if err != nil || u.Name != "Ann  Lee" || len([]rune(u.Email)) != 255 || u.Admin || len(u.Roles) != 0 {
			t.Errorf("got %+v, %v", u, err)
		}
		// What differs in case or in a space behind is somebody else.
		for _, subject := range []string{"Ann", "ann ", "änn", "a\u0308nn"} {
			other, err := h.FirstSight(t.Context(), "https://issuer", subject, "", "")
			if err != nil || other.ID == u.ID || other.Subject != subject {
				t.Errorf("%q became %+v, %v", subject, other, err)
			}
		}
		other, err := h.FirstSight(t.Context(), "https://issuer/", "ann", "", "")
		if err != nil || other.ID == u.ID {
			t.Errorf("another issuer's became %+v, %v", other, err)
		}
		for _, bad := range []string{"", "a\x00b", "\xff", strings.Repeat("x", 256)} {
			_, err := h.FirstSight(t.Context(), "https://issuer", bad, "", "")
			wantKind(t, err, fault.Unauthenticated)
			_, err = h.FirstSight(t.Context(), bad, "ann", "", "")
			wantKind(t, err, fault.Unauthenticated)
		}
	})
}

func TestSeenAndRenamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, databasetest.SQLite(t))
	first := h.clock.now()
	u := h.user(t, "ann")
	seen := func() time.Time {
		got, err := h.User(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got.Seen
	}
	h.clock.move(59 * time.Second)
	h.user(t, "ann")
	h.writeSightings(t.Context())
	if got := seen(); got != first {
		t.Errorf("seen at %v, within the minute", got)
	}
	h.clock.move(time.Second)
	if _, err := h.FirstSight(t.Context(), "https://issuer", "ann", "Ann Lee", ""); err != nil {
		t.Fatal(err)
	}
	if got, _ := h.User(t.Context(), u.ID); got.Seen != first || got.Name != "Ann Lee" || got.Email != "ann@example.org" {
		t.Errorf("got %+v", got)
	}
	h.writeSightings(t.Context())
	if got := seen(); got != h.clock.now() {
		t.Errorf("seen at %v, want %v", got, h.clock.now())
	}
	if len(h.noted()) != 1 {
		t.Errorf("being seen is recorded: %v", h.noted())
	}
}

func TestDeleteUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHouse(t, db)
		h.role(t, "reader", "results.read lab")
		h.give(t, "anna", "reader")
		old := h.user(t, "anna")
		admin := h.user(t, "boss")
		if _, err := h.ChangeUser(root(t.Context()), admin.ID, UserChange{Admin: yes()}); err != nil {
			t.Fatal(err)
		}
		if err := h.DeleteUser(h.as(t, "anna"), admin.ID); !fault.Is(err, fault.Denied) {
			t.Errorf("anna deletes an administrator: %v", err)
		}
		if err := h.DeleteUser(root(t.Context()), admin.ID); !fault.Is(err, fault.Conflict) {
			t.Errorf("the last administrator is deleted: %v", err)
		}
		if err := h.DeleteUser(root(t.Context()), old.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := h.User(t.Context(), old.ID); !fault.Is(err, fault.Missing) {
			t.Errorf("the user is still there: %v", err)
		}
		again := h.user(t, "anna")
		if again.ID == old.ID || len(again.Roles) != 0 {
			t.Errorf("came back as %+v", again)
		}
		if err := h.DeleteUser(root(t.Context()), old.ID); !fault.Is(err, fault.Missing) {
			t.Errorf("deleted twice: %v", err)
		}
	})
}

func TestTheLastAdministratorStays(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHouse(t, db)
		ctx := root(t.Context())
		a, b := h.user(t, "a"), h.user(t, "b")
		for _, u := range []User{a, b} {
			if _, err := h.ChangeUser(ctx, u.ID, UserChange{Admin: yes()}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.ChangeUser(ctx, b.ID, UserChange{Disabled: yes()}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []UserChange{{Admin: no()}, {Disabled: yes()}, {Admin: no(), Disabled: yes()}} {
			_, err := h.ChangeUser(ctx, a.ID, c)
			wantKind(t, err, fault.Conflict)
		}
		if _, err := h.ChangeUser(ctx, b.ID, UserChange{Admin: no()}); err != nil {
			t.Errorf("a disabled administrator counts as the last one: %v", err)
		}
		// Two who remove each other at the same time: one stays.
		for range 10 {
			for _, u := range []User{a, b} {
				if _, err := h.ChangeUser(ctx, u.ID, UserChange{Admin: yes(), Disabled: no()}); err != nil {
					t.Fatal(err)
				}
			}
			var wait sync.WaitGroup
			for _, c := range []struct {
				ctx context.Context
				id  string
			}{{h.as(t, "a"), b.ID}, {h.as(t, "b"), a.ID}} {
				wait.Go(func() {
					if _, err := h.ChangeUser(c.ctx, c.id, UserChange{Admin: no()}); err != nil && !fault.Is(err, fault.Denied) && !fault.Is(err, fault.Conflict) {
						t.Error(err)
					}
				})
			}
			wait.Wait()
			if _, n, err := h.Users(t.Context(), UserFilter{Admin: yes(), Disabled: no(), Limit: 1}); err != nil || n != 1 {
				t.Fatalf("%d administrators are left, %v", n, err)
			}
		}
	})
}

func TestEnsureAdmins(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHouse(t, db)
		ctx := t.Context()
		there := h.user(t, "ann")
		h.user(t, "twin")
		if _, err := h.FirstSight(ctx, "https://other", "x", "twin", ""); err != nil {
			t.Fatal(err)
		}
		named := h.user(t, "bob")
		if err := h.EnsureAdmins(ctx, []string{"", "https://issuer|ann", "bob", "twin", "https://issuer|later", "someone"}); err != nil {
			t.Fatal(err)
		}
		admin := func(issuer, subject, name string) bool {
			u, err := h.FirstSight(ctx, issuer, subject, name, "")
			if err != nil {
				t.Fatal(err)
			}
			return u.Admin
		}
		for _, c := range []struct {
			why                   string
			issuer, subject, name string
			want                  bool
		}{
			{"known, by identity", "https://issuer", "ann", "ann", true},
			{"known, by name", "https://issuer", "bob", "bob", true},
			{"a name that two have", "https://issuer", "twin", "twin", false},
			{"first seen, by identity", "https://issuer", "later", "", true},
			{"the same subject elsewhere", "https://other", "ann", "Ann", false},
			{"called like somebody's identity", "https://other", "y", "https://issuer|ann", false},
			{"first seen, by name", "https://issuer", "1", "someone", true},
			{"the second of that name", "https://other", "2", "someone", false},
		} {
			if got := admin(c.issuer, c.subject, c.name); got != c.want {
				t.Errorf("%s: administrator is %v", c.why, got)
			}
		}
		records := len(h.noted())
		if err := h.EnsureAdmins(ctx, []string{"https://issuer|ann", "bob"}); err != nil || len(h.noted()) != records {
			t.Errorf("a second start changed something: %v, %v", err, h.noted()[records:])
		}
		_, err := h.ChangeUser(root(ctx), there.ID, UserChange{Admin: no()})
		wantKind(t, err, fault.Conflict)
		if _, err := h.ChangeUser(root(ctx), named.ID, UserChange{Admin: no()}); err != nil {
			t.Error(err)
		}
		// Nobody can enter somebody of a configured name, to be made administrator at the next start.
		h.role(t, "people", "users.write site")
		h.give(t, "eve", "people")
		for _, n := range []NewUser{{Issuer: "i", Subject: "s", Name: "bob"}, {Issuer: "https://issuer", Subject: "ann"}} {
			_, err = h.CreateUser(h.as(t, "eve"), n)
			wantKind(t, err, fault.Denied)
		}
	})
}

func TestRunKeepsTheSnapshotFreshAndStops(t *testing.T) {
	t.Parallel()
	h := newHouse(t, databasetest.SQLite(t))
	s := New(h.db, nil, h.note, catalogue, time.Now, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	for s.snap.Load() == nil {
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	u, err := s.FirstSight(ctx, "i", "s", "", "")
	if err != nil {
		t.Fatal(err)
	}
	s.seen.note(u.ID)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got, err := s.User(t.Context(), u.ID); err != nil || !got.Seen.After(u.Seen.Add(-time.Microsecond)) {
		t.Errorf("what was seen is not written at the end: %+v, %v", got, err)
	}
}
