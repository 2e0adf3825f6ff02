package access

import (
	"context"
	"slices"
	"testing"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	grants := NewGrants(
		Grant{"viewer", "lab", "results.read"},
		Grant{"auditor", Everywhere, "audit.read"},
		Grant{"keeper", Site, "users.read"},
		Grant{"star", Everywhere, "results.read"},
	)
	roles := func(r ...Role) *Caller { return &Caller{Subject: "s", Roles: r} }
	for _, c := range []struct {
		name   string
		caller *Caller
		action Action
		group  Group
		want   Decision
	}{
		{"nobody may nothing", nil, "results.read", "lab", Decision{false, "nobody"}},
		{"nobody is not oneself", nil, Self, Site, Decision{false, "nobody"}},
		{"anyone known may for themselves", roles(), Self, Site, Decision{true, "oneself"}},
		{"no role, no right", roles(), "results.read", "lab", Decision{false, "no role of the caller has results.read on lab"}},
		{"a role on its group", roles("viewer"), "results.read", "lab", Decision{true, "role viewer on lab"}},
		{"not on another group", roles("viewer"), "results.read", "barn", Decision{false, "no role of the caller has results.read on barn"}},
		{"not another action", roles("viewer"), "results.write", "lab", Decision{false, "no role of the caller has results.write on lab"}},
		{"everywhere", roles("auditor"), "audit.read", "lab", Decision{true, "role auditor everywhere"}},
		{"the nearer rule is named", roles("star", "viewer"), "results.read", "lab", Decision{true, "role viewer on lab"}},
		{"one group is not everywhere", roles("viewer"), "results.read", Everywhere, Decision{false, "no role of the caller has results.read on *"}},
		{"an unknown role grants nothing", roles("ghost"), "audit.read", "lab", Decision{false, "no role of the caller has audit.read on lab"}},
		{"a role's name is exact", roles("Viewer", "viewer "), "results.read", "lab", Decision{false, "no role of the caller has results.read on lab"}},
		{"administrators may everything", &Caller{Admin: true}, "robots.fly", "moon", Decision{true, "administrator"}},
		{"but not what has no name", &Caller{Admin: true}, "", "moon", Decision{false, "nothing is named that could be permitted"}},
		{"nor on no group", &Caller{Admin: true}, "audit.read", "", Decision{false, "nothing is named that could be permitted"}},
		{
			"a rule", &Caller{Grants: []Grant{{"analysis of this project", "p1", "results.read"}}}, "results.read", "p1",
			Decision{true, "rule analysis of this project on p1"},
		},
		{
			"a rule on a project called * stays there", &Caller{Grants: []Grant{{"analysis of this project", Everywhere, "results.read"}}}, "results.read", "p1",
			Decision{false, "no role of the caller has results.read on p1"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := Decide(c.caller, grants, c.action, c.group); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestGrantsGroups(t *testing.T) {
	t.Parallel()
	grants := NewGrants(Grant{"a", "g1", "x"}, Grant{"b", "g1", "x"}, Grant{"b", "g2", "x"}, Grant{"c", Everywhere, "x"}, Grant{"a", "g3", "y"})
	for _, c := range []struct {
		roles []Role
		want  []Group
		all   bool
	}{
		{nil, nil, false},
		{[]Role{"a"}, []Group{"g1"}, false},
		{[]Role{"a", "b"}, []Group{"g1", "g2"}, false},
		{[]Role{"a", "c"}, nil, true},
		{[]Role{"d"}, nil, false},
	} {
		got, all := grants.groups(c.roles, "x")
		slices.Sort(got)
		if all != c.all || !all && !slices.Equal(got, c.want) {
			t.Errorf("roles %v: got %v, %v; want %v, %v", c.roles, got, all, c.want, c.all)
		}
	}
}

func TestWithGrantsLeavesTheFirstCallerAlone(t *testing.T) {
	t.Parallel()
	first := &Caller{Subject: "s", Grants: make([]Grant, 1, 8)}
	ctx := WithCaller(t.Context(), first)
	one := WithGrants(ctx, Grant{"r", "g1", "x"})
	two := WithGrants(ctx, Grant{"r", "g2", "x"})
	if len(first.Grants) != 1 || CallerFrom(one).Grants[1].Group != "g1" || CallerFrom(two).Grants[1].Group != "g2" {
		t.Error("contexts of one caller share their grants")
	}
	if CallerFrom(WithGrants(context.Background(), Grant{})) != nil {
		t.Error("grants made a caller of nobody")
	}
}
