package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
)

// allRights reads from the tables what every user can do, apart from the code
// under test: "action group", or "administrator".
func allRights(ctx context.Context, t *rapid.T, db *database.DB) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	read := func(query string) {
		rows, err := db.Query(ctx, query)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var user, right string
			if err := rows.Scan(&user, &right); err != nil {
				t.Fatal(err)
			}
			if all[user] == nil {
				all[user] = map[string]bool{}
			}
			all[user][right] = true
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	read(`SELECT u.id, p.action || ' ' || p.group_name FROM users u
		JOIN user_roles m ON m.user_id = u.id JOIN permissions p ON p.role = m.role WHERE u.disabled = 0`)
	read(`SELECT id, 'administrator' FROM users WHERE admin = 1 AND disabled = 0`)
	return all
}

// has tells whether rights include one, be it by a star.
func has(rights map[string]bool, right string) bool {
	action, _, _ := cut(right)
	return rights["administrator"] || rights[right] || rights[action+" *"]
}

func cut(right string) (action, group string, ok bool) {
	for i := range right {
		if right[i] == ' ' {
			return right[:i], right[i+1:], true
		}
	}
	return right, "", false
}

// No sequence of calls by people who are not administrators yields a right that
// whoever gave it lacked at that moment.
func TestNobodyGivesWhatTheyLack(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	roles := []Role{"a", "b", "c", "d"}
	groups := []Group{Site, Everywhere, "lab"}
	actions := []Action{"users.write", "results.read", "results.write"}
	// Role a is for those who look after people and roles: without it, hardly a call succeeds.
	keeper := []Action{"users.write", "roles.write", "permissions.write"}
	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		if err := db.Tx(ctx, func(tx *database.Tx) error {
			var err error
			for _, table := range []string{"user_roles", "permissions", "roles", "users"} {
				_, one := tx.Exec(ctx, "DELETE FROM "+table)
				err = errors.Join(err, one)
			}
			return err
		}); err != nil {
			rt.Fatal(err)
		}
		record := func(context.Context, *database.Tx, string, string, string) error { return nil }
		s := New(db, nil, record, catalogue, newClock().now, slog.New(slog.DiscardHandler))

		role, group, action := rapid.SampledFrom(roles), rapid.SampledFrom(groups), rapid.SampledFrom(actions)
		must := func(err error) {
			if err != nil {
				rt.Fatal(err)
			}
		}
		// Somebody set the site up: an administrator, roles, and people who may change this or that.
		for _, r := range roles {
			_, err := s.CreateRole(root(ctx), r, "")
			must(err)
			if r == "a" {
				for _, k := range keeper {
					_, err := s.Permit(root(ctx), Grant{r, Site, k})
					must(err)
				}
				continue
			}
			for range rapid.IntRange(0, 3).Draw(rt, "permissions") {
				_, err := s.Permit(root(ctx), Grant{r, group.Draw(rt, "group"), action.Draw(rt, "action")})
				must(err)
			}
		}
		var users []string
		for i := range 4 {
			own := rapid.SliceOfN(role, 0, 2).Draw(rt, "roles")
			if rapid.IntRange(0, 3).Draw(rt, "keeper") > 0 {
				own = append(own, "a")
			}
			u, err := s.CreateUser(root(ctx), NewUser{Issuer: "i", Subject: fmt.Sprint(i), Admin: i == 0, Roles: own})
			must(err)
			users = append(users, u.ID)
		}
		_, err := s.ChangeUser(root(ctx), users[3], UserChange{Disabled: yes()})
		must(err)

		user := rapid.Custom(func(rt *rapid.T) string { return rapid.SampledFrom(users).Draw(rt, "user") })
		calls := map[string]func(ctx context.Context) error{
			"create role": func(ctx context.Context) error { _, err := s.CreateRole(ctx, role.Draw(rt, "role"), ""); return err },
			"delete role": func(ctx context.Context) error { return s.DeleteRole(ctx, role.Draw(rt, "role")) },
			"permit": func(ctx context.Context) error {
				_, err := s.Permit(ctx, Grant{role.Draw(rt, "role"), group.Draw(rt, "group"), action.Draw(rt, "action")})
				return err
			},
			"forbid": func(ctx context.Context) error {
				return s.Forbid(ctx, Grant{role.Draw(rt, "role"), group.Draw(rt, "group"), action.Draw(rt, "action")})
			},
			"give": func(ctx context.Context) error { return s.GiveRole(ctx, user.Draw(rt, "user"), role.Draw(rt, "role")) },
			"take": func(ctx context.Context) error { return s.TakeRole(ctx, user.Draw(rt, "user"), role.Draw(rt, "role")) },
			"change": func(ctx context.Context) error {
				var c UserChange
				if rapid.Bool().Draw(rt, "set admin") {
					b := rapid.Bool().Draw(rt, "admin")
					c.Admin = &b
				}
				if rapid.Bool().Draw(rt, "set disabled") {
					b := rapid.Bool().Draw(rt, "disabled")
					c.Disabled = &b
				}
				if rapid.Bool().Draw(rt, "set roles") {
					list := rapid.SliceOfN(role, 0, 3).Draw(rt, "roles")
					c.Roles = &list
				}
				_, err := s.ChangeUser(ctx, user.Draw(rt, "user"), c)
				return err
			},
			"enable": func(ctx context.Context) error {
				_, err := s.ChangeUser(ctx, user.Draw(rt, "user"), UserChange{Disabled: no()})
				return err
			},
			"enter": func(ctx context.Context) error {
				u, err := s.CreateUser(ctx, NewUser{
					Issuer: "i", Subject: rapid.StringMatching("[a-z]{8}").Draw(rt, "subject"),
					Admin: rapid.Bool().Draw(rt, "admin"), Roles: rapid.SliceOfN(role, 0, 2).Draw(rt, "roles"),
				})
				if err == nil {
					users = append(users, u.ID)
				}
				return err
			},
		}
		names := slices.Sorted(maps.Keys(calls))
		before := allRights(ctx, rt, db)
		for range rapid.IntRange(1, 16).Draw(rt, "calls") {
			caller, rights := drawCaller(rt, s, users, role, before)
			name := rapid.SampledFrom(names).Draw(rt, "call")
			err := calls[name](WithCaller(ctx, caller))
			if fault.Is(err, fault.Internal) {
				rt.Fatalf("%s: %v", name, err)
			}
			after := allRights(ctx, rt, db)
			for u, has2 := range after {
				for right := range has2 {
					if !has(before[u], right) && !has(rights, right) {
						rt.Fatalf("%s by one who has %v gave %s the right %q", name, rights, u, right)
					}
				}
			}
			if before[users[0]]["administrator"] != after[users[0]]["administrator"] {
				rt.Fatalf("%s changed the administrator", name)
			}
			before = after
		}
	})
}

// drawCaller picks somebody who is no administrator: a user, or a service token
// with roles of its own and a right by a rule, which cannot be handed on.
func drawCaller(rt *rapid.T, s *Service, users []string, role *rapid.Generator[Role], all map[string]map[string]bool) (*Caller, map[string]bool) {
	if rapid.IntRange(0, 3).Draw(rt, "token") == 0 {
		c := &Caller{Issuer: "lodge", Subject: "token:1", Name: "token", Roles: rapid.SliceOfN(role, 0, 2).Draw(rt, "token's roles")}
		snap, err := s.current(context.Background())
		if err != nil {
			rt.Fatal(err)
		}
		rights := map[string]bool{}
		for action, groups := range snap.grants.roles {
			for group, having := range groups {
				if slices.ContainsFunc(having, func(r Role) bool { return slices.Contains(c.Roles, r) }) {
					rights[string(action)+" "+string(group)] = true
				}
			}
		}
		c.Grants = []Grant{{"own project", "lab", "results.read"}, {"own project", Site, "permissions.write"}}
		return c, rights
	}
	u, err := s.User(context.Background(), rapid.SampledFrom(users[1:]).Draw(rt, "caller"))
	if err != nil {
		rt.Fatal(err)
	}
	return &Caller{UserID: u.ID, Issuer: u.Issuer, Subject: u.Subject, Name: u.Name, Roles: u.Roles, Admin: u.Admin}, all[u.ID]
}

// The same rule, case by case, with what the refused are told.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	h := newHouse(t, databasetest.SQLite(t))
	h.role(t, "people", "users.write site", "roles.write site", "permissions.write site")
	h.role(t, "reader", "results.read lab")
	h.role(t, "reader everywhere", "results.read *")
	h.role(t, "empty")
	h.role(t, "spare")
	h.give(t, "ann", "people")
	h.give(t, "eve", "people", "reader")
	h.give(t, "max", "people", "reader everywhere")
	h.give(t, "bob", "reader")
	boss := h.user(t, "boss")
	other := h.user(t, "other")
	for _, u := range []User{boss, other} {
		if _, err := h.ChangeUser(root(t.Context()), u.ID, UserChange{Admin: yes()}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.ChangeUser(root(t.Context()), h.user(t, "bob").ID, UserChange{Disabled: yes()}); err != nil {
		t.Fatal(err)
	}
	bob, err := h.User(t.Context(), findID(t, h, "bob"))
	if err != nil {
		t.Fatal(err)
	}
	ann, eve, maxi := h.as(t, "ann"), h.as(t, "eve"), h.as(t, "max")
	self := CallerFrom(ann).UserID
	change := func(ctx context.Context, id string, c UserChange) func() error {
		return func() error { _, err := h.ChangeUser(ctx, id, c); return err }
	}
	permit := func(ctx context.Context, g Grant) func() error {
		return func() error { _, err := h.Permit(ctx, g); return err }
	}
	var refused []string
	h.OnRefusal(func(ctx context.Context, action Action, object string) error {
		if d := DecisionFrom(ctx); d.Allowed || d.Rule == "" || CallerFrom(ctx) == nil {
			t.Errorf("the refusal of %s carries %+v", object, d)
		}
		refused = append(refused, string(action)+" "+object)
		return nil
	})
	for _, c := range []struct {
		name       string
		call       func() error
		permission string
	}{
		{"making oneself administrator", change(ann, self, UserChange{Admin: yes()}), "administrator"},
		{"making another one administrator", change(ann, bob.ID, UserChange{Admin: yes()}), "administrator"},
		{"disabling an administrator", change(ann, boss.ID, UserChange{Disabled: yes()}), "administrator"},
		{"unmaking an administrator", change(ann, boss.ID, UserChange{Admin: no()}), "administrator"},
		{"changing an administrator's roles", change(ann, boss.ID, UserChange{Roles: &[]Role{"empty"}}), "administrator"},
		{"giving oneself a role", func() error { return h.GiveRole(ann, self, "reader") }, "results.read on lab"},
		{"giving oneself roles", change(ann, self, UserChange{Roles: &[]Role{"people", "reader"}}), "results.read on lab"},
		{"a right on one group is none everywhere", func() error { return h.GiveRole(eve, self, "reader everywhere") }, "results.read on *"},
		{"permitting one's own role more", permit(ann, Grant{"people", "lab", "results.read"}), "results.read on lab"},
		{"permitting everywhere", permit(eve, Grant{"people", Everywhere, "results.read"}), "results.read on *"},
		{"enabling somebody with more rights", change(ann, bob.ID, UserChange{Disabled: no()}), "results.read on lab"},
		{"entering somebody with more rights", func() error {
			_, err := h.CreateUser(ann, NewUser{Issuer: "i", Subject: "s", Roles: []Role{"reader"}})
			return err
		}, "results.read on lab"},
		{"entering an administrator", func() error {
			_, err := h.CreateUser(ann, NewUser{Issuer: "i", Subject: "s", Admin: true})
			return err
		}, "administrator"},
		{"a rule's right cannot be handed on", func() error {
			_, err := h.Permit(WithGrants(ann, Grant{"own", "lab", "results.read"}), Grant{"empty", "lab", "results.read"})
			return err
		}, "results.read on lab"},
		{"without users.write", func() error { return h.GiveRole(WithCaller(t.Context(), &Caller{}), self, "empty") }, "users.write on site"},
		{"a token with more rights", func() error {
			return h.db.Tx(t.Context(), func(tx *database.Tx) error { return h.MayGive(ann, tx, []Role{"reader"}, false) })
		}, "results.read on lab"},
		{"an administrator's token", func() error {
			return h.db.Tx(t.Context(), func(tx *database.Tx) error { return h.MayGive(ann, tx, nil, true) })
		}, "administrator"},
	} {
		err := c.call()
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Denied || f.Permission != c.permission {
			t.Errorf("%s: got %#v, want denied for %q", c.name, err, c.permission)
		}
	}
	// All but the two for tokens, which are recorded by whoever makes tokens.
	if len(refused) != 15 || refused[0] != "users.write users/"+self || refused[8] != "permissions.write permissions/people/lab/results.read" {
		t.Errorf("%d refusals are recorded: %v", len(refused), refused)
	}
	h.OnRefusal(func(context.Context, Action, string) error { return fault.New(fault.Full, "no room") })
	wantKind(t, h.GiveRole(ann, self, "reader"), fault.Full)
	for name, call := range map[string]func() error{
		"an empty role":                 func() error { return h.GiveRole(ann, self, "empty") },
		"a role whose rights one has":   func() error { return h.GiveRole(eve, self, "reader") },
		"everywhere covers each group":  func() error { return h.GiveRole(maxi, bob.ID, "reader") },
		"enabling with the same rights": change(eve, bob.ID, UserChange{Disabled: no()}),
		"permitting what one has":       permit(eve, Grant{"spare", "lab", "results.read"}),
		"a token with one's own rights": func() error {
			return h.db.Tx(t.Context(), func(tx *database.Tx) error { return h.MayGive(eve, tx, []Role{"reader", "people"}, false) })
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A request that began before its caller was disabled or lost administration
// changes nothing any more.
func TestALateRequestOfADisabledUserChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, databasetest.SQLite(t))
	h.role(t, "empty")
	boss := h.user(t, "boss")
	h.user(t, "ann")
	for _, c := range []UserChange{{Admin: no()}, {Admin: yes(), Disabled: yes()}} {
		if _, err := h.ChangeUser(root(t.Context()), h.user(t, "other").ID, UserChange{Admin: yes()}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.ChangeUser(root(t.Context()), boss.ID, UserChange{Admin: yes()}); err != nil {
			t.Fatal(err)
		}
		late := h.as(t, "boss")
		if _, err := h.ChangeUser(root(t.Context()), boss.ID, c); err != nil {
			t.Fatal(err)
		}
		_, err := h.ChangeUser(late, h.user(t, "ann").ID, UserChange{Admin: yes()})
		wantKind(t, err, fault.Denied)
	}
}

func findID(t testing.TB, h *house, subject string) string {
	t.Helper()
	list, _, err := h.Users(t.Context(), UserFilter{Text: subject, Limit: 1})
	if err != nil || len(list) != 1 {
		t.Fatalf("find %s: %v, %v", subject, list, err)
	}
	return list[0].ID
}
