package access

import (
	"errors"
	"strings"
	"testing"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
)

func TestRolesAndPermissionsOnEveryDatabase(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHouse(t, db)
		ctx := root(t.Context())
		if _, err := h.CreateRole(ctx, "reader", "Reads files"); err != nil {
			t.Fatal(err)
		}
		_, err := h.CreateRole(ctx, "reader", "")
		wantKind(t, err, fault.Conflict)
		h.role(t, "Reader", "results.read lab", "results.read *", "results.write lab")
		h.role(t, "analysten:führende", "results.read projekt-ü")
		h.give(t, "ann", "reader", "Reader")
		h.give(t, "bob", "Reader")

		list, total, err := h.Roles(t.Context(), "READ", 1, 1)
		if err != nil || total != 2 || len(list) != 1 || list[0].Name != "reader" || list[0].Members != 1 || list[0].Permissions != 0 {
			t.Errorf("got %+v of %d, %v", list, total, err)
		}
		r, err := h.Role(t.Context(), "Reader")
		if err != nil || r.Members != 2 || r.Permissions != 3 {
			t.Errorf("got %+v, %v", r, err)
		}
		for _, c := range []struct {
			f     PermissionFilter
			want  string
			total int64
		}{
			{PermissionFilter{Limit: 2, Offset: 1}, "Reader lab results.read, Reader lab results.write", 4},
			{PermissionFilter{Role: "Reader", Group: "lab", Limit: 9}, "Reader lab results.read, Reader lab results.write", 2},
			{PermissionFilter{Action: "results.write", Limit: 9}, "Reader lab results.write", 1},
			{PermissionFilter{Group: "projekt-ü", Limit: 9}, "analysten:führende projekt-ü results.read", 1},
			{PermissionFilter{Role: "ghost", Limit: 9}, "", 0},
		} {
			got, total, err := h.Permissions(t.Context(), c.f)
			if err != nil {
				t.Fatal(err)
			}
			var words []string
			for _, p := range got {
				words = append(words, string(p.Role)+" "+string(p.Group)+" "+string(p.Action))
			}
			if text := strings.Join(words, ", "); text != c.want || total != c.total {
				t.Errorf("%+v: got %q of %d", c.f, text, total)
			}
		}
		if err := h.Forbid(ctx, Grant{"Reader", "lab", "results.read"}); err != nil {
			t.Fatal(err)
		}
		wantKind(t, h.Forbid(ctx, Grant{"Reader", "lab", "results.read"}), fault.Missing)
		if err := h.DeleteRole(ctx, "Reader"); err != nil {
			t.Fatal(err)
		}
		wantKind(t, h.DeleteRole(ctx, "Reader"), fault.Missing)
		if _, n, err := h.Permissions(t.Context(), PermissionFilter{Limit: 1}); err != nil || n != 1 {
			t.Errorf("%d permissions are left, %v", n, err)
		}
		// Made anew, the role has neither members nor rights.
		if r, err := h.CreateRole(ctx, "Reader", ""); err != nil || r.Members != 0 {
			t.Error(err)
		}
		if r, err := h.Role(t.Context(), "Reader"); err != nil || r.Members != 0 || r.Permissions != 0 {
			t.Errorf("got %+v, %v", r, err)
		}
		_, err = h.Permit(ctx, Grant{"ghost", "lab", "results.read"})
		wantKind(t, err, fault.Missing)
		_, err = h.DescribeRole(ctx, "ghost", "")
		wantKind(t, err, fault.Missing)
	})
}

func TestExplainOnEveryDatabase(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHouse(t, db)
		h.role(t, "reader", "results.read lab")
		h.role(t, "all", "results.read *", "audit.read site")
		h.give(t, "ann", "reader", "all")
		h.give(t, "bob", "reader")
		h.give(t, "off", "reader")
		h.user(t, "twin")
		if _, err := h.FirstSight(t.Context(), "https://other", "x", "twin", ""); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]UserChange{"off": {Disabled: yes()}, "zoe": {Admin: yes()}} {
			if _, err := h.ChangeUser(root(t.Context()), h.user(t, name).ID, c); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			name string
			q    Question
			want string
		}{
			{"a yes", Question{User: "ann", Action: "results.read", Group: "lab"}, "true: role reader on lab"},
			{"by id", Question{User: h.user(t, "ann").ID, Action: "results.read", Group: "barn"}, "true: role all everywhere"},
			{"a no", Question{User: "bob", Action: "results.read", Group: "barn"}, "false: no role of the caller has results.read on barn"},
			{"disabled", Question{User: "off", Action: "results.read", Group: "lab"}, "false: the account is disabled"},
			{"administrator", Question{User: "zoe", Action: "results.read", Group: "lab"}, "true: administrator"},
			{
				"who can",
				Question{Action: "results.read", Group: "lab", Limit: 9},
				"zoe results.read * administrator; ann results.read * role all everywhere; ann results.read lab role reader on lab; bob results.read lab role reader on lab; of 4",
			},
			{"the second page", Question{Action: "results.read", Group: "lab", Limit: 1, Offset: 1}, "ann results.read * role all everywhere; of 4"},
			{"who can anywhere", Question{Action: "audit.read", Limit: 9}, "zoe audit.read * administrator; ann audit.read site role all on site; of 2"},
			{"who can what here", Question{Group: "site", Limit: 9}, "zoe  * administrator; ann results.read * role all everywhere; ann audit.read site role all on site; of 3"},
			{"all that one can", Question{User: "ann", Limit: 9}, "audit.read site role all on site; results.read * role all everywhere; results.read lab role reader on lab; of 3"},
			{"on one group", Question{User: "ann", Group: "lab", Limit: 9}, "results.read * role all everywhere; results.read lab role reader on lab; of 2"},
			{"one action", Question{User: "ann", Action: "audit.read", Limit: 9}, "audit.read site role all on site; of 1"},
			{"who has no role", Question{User: h.user(t, "nix").ID, Limit: 9}, "of 0"},
			{"all that the disabled can", Question{User: "off", Limit: 9}, "of 0"},
			{"all that administrators can", Question{User: "zoe", Limit: 2, Offset: 1}, "audit.read * administrator; permissions.write * administrator; of 8"},
		} {
			e, err := h.Explain(t.Context(), c.q)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if got := summary(e); got != c.want {
				t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
			}
		}
		_, err := h.Explain(t.Context(), Question{})
		wantKind(t, err, fault.Invalid)
		_, err = h.Explain(t.Context(), Question{User: "ghost"})
		wantKind(t, err, fault.Missing)
		_, err = h.Explain(t.Context(), Question{User: "twin"})
		wantKind(t, err, fault.Conflict)
	})
}

func summary(e Explanation) string {
	var b strings.Builder
	if e.Allowed != nil {
		if *e.Allowed {
			return "true: " + e.Rule
		}
		return "false: " + e.Rule
	}
	total := int64(-1)
	if e.People != nil {
		total = e.People.Total
		for _, h := range e.People.Items {
			b.WriteString(h.Name + " " + string(h.Action) + " " + string(h.Group) + " " + h.Rule + "; ")
		}
	}
	if e.Rights != nil {
		total = e.Rights.Total
		for _, r := range e.Rights.Items {
			b.WriteString(string(r.Action) + " " + string(r.Group) + " " + r.Rule + "; ")
		}
	}
	return b.String() + "of " + string(rune('0'+total))
}

func TestWhatPermissionsMayName(t *testing.T) {
	t.Parallel()
	h := newHouse(t, databasetest.SQLite(t))
	h.role(t, "r")
	for _, c := range []struct {
		g    Grant
		says string
	}{
		{Grant{"r", "lab", "results.raed"}, "did you mean results.read"},
		{Grant{"r", "lab", "result.read"}, "did you mean results.read"},
		{Grant{"r", "lab", "results"}, "did you mean results.read, results.write?"},
		{Grant{"r", "lab", "read"}, "results.read"},
		{Grant{"r", "lab", "entirely.different"}, "GET /api/v1/actions"},
		{Grant{"r", "lab", ""}, "no such action"},
		{Grant{"r", "lab", Self}, "no such action"},
		{Grant{"r", "lab", "results.read "}, "no such action"},
		{Grant{"r", "", "results.read"}, "group must not be empty"},
		{Grant{"r", "lab*", "results.read"}, `"*" alone`},
		{Grant{"r", "a b", "results.read"}, `must not contain ' '`},
		{Grant{"r", "a\nb", "results.read"}, `must not contain '\n'`},
		{Grant{"r", "a\u202eb", "results.read"}, `must not contain '\u202e'`},
		{Grant{"r", "a\xffb", "results.read"}, `must not contain`},
		{Grant{"r", Group(strings.Repeat("g", 192)), "results.read"}, "too long"},
		{Grant{"", "lab", "results.read"}, "role must not be empty"},
		{Grant{" r", "lab", "results.read"}, "begin or end with a space"},
		{Grant{"r\x00", "lab", "results.read"}, `must not contain '\x00'`},
	} {
		_, err := h.Permit(root(t.Context()), c.g)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || len(f.Fields) != 1 || !strings.Contains(f.Fields[0].Message, c.says) {
			t.Errorf("%q: got %v, want it to say %q", c.g, f, c.says)
		}
	}
	for _, g := range []Group{Everywhere, Site, "2b1e5f0c-8a0e-4bb4-9d52-0d3c0f6f6a01", "fleet/north:1", "a.b_c@d+e~f=g", "über"} {
		if _, err := h.Permit(root(t.Context()), Grant{"r", g, "results.read"}); err != nil {
			t.Errorf("group %q: %v", g, err)
		}
	}
	_, err := h.Permit(root(t.Context()), Grant{"", "a b", "x"})
	var f *fault.Error
	if !errors.As(err, &f) || len(f.Fields) != 3 {
		t.Errorf("not all findings at once: %v", err)
	}
}
