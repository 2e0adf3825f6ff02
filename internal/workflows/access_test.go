package workflows

import (
	"testing"

	"lodge/internal/access"
)

// TestMembership is who may use a workspace, and who administers it.
func TestMembership(t *testing.T) {
	t.Parallel()
	list := func(alternatives ...[]string) [][]string { return alternatives }
	for name, test := range map[string]struct {
		roles         [][]string
		email         string
		has           []access.Role
		member, admin bool
	}{
		"one role":                      {list([]string{"a"}), "", []access.Role{"a"}, true, false},
		"all of an alternative":         {list([]string{"a", "b"}), "", []access.Role{"b", "a", "c"}, true, false},
		"not all of an alternative":     {list([]string{"a", "b"}), "", []access.Role{"a"}, false, false},
		"another alternative":           {list([]string{"a", "b"}, []string{"c"}), "", []access.Role{"c"}, true, false},
		"an administrator is no member": {list([]string{"a", "b"}), "", []access.Role{"a-admin", "b-admin"}, false, true},
		"half an administrator":         {list([]string{"a", "b"}), "", []access.Role{"a-admin", "b"}, false, false},
		"both":                          {list([]string{"a"}), "", []access.Role{"a", "a-admin"}, true, true},
		"an empty alternative":          {list([]string{}), "x@y", []access.Role{"a"}, false, false},
		"nothing at all":                {nil, "x@y", []access.Role{"a"}, false, false},
		"an owner":                      {list([]string{"x@y--$owner"}), "x@y", nil, true, true},
		"a collaborator":                {list([]string{"x@y--$collaborator"}), "x@y", nil, true, false},
		"somebody else":                 {list([]string{"x@y--$owner"}), "z@y", nil, false, false},
		"no address":                    {list([]string{"--$owner", "--$collaborator"}), "", nil, false, false},
		"an owner beside a role":        {list([]string{"a", "x@y--$owner"}), "x@y", nil, true, true},
		"a role beside an owner":        {list([]string{"a", "x@y--$owner"}), "", []access.Role{"a"}, true, false},
		"the custom role in a token":    {list([]string{"team--$collaborator"}), "", []access.Role{"team--$collaborator"}, true, false},
		"an administrator of nothing":   {list([]string{"x@y--$owner"}), "", []access.Role{"-admin"}, false, false},
	} {
		w, p := Workspace{Name: "w", Roles: test.roles}, person{test.email, test.has}
		if got := w.member(p); got != test.member {
			t.Errorf("%s: member %v", name, got)
		}
		if got := w.admin(p); got != test.admin {
			t.Errorf("%s: admin %v", name, got)
		}
		actions := map[access.Action]bool{}
		for _, g := range w.grants(p) {
			if g.Group != "w" {
				t.Errorf("%s: a right on %s", name, g.Group)
			}
			actions[g.Action] = true
		}
		if actions[Run] != test.member || actions[WriteSecrets] != test.admin || actions[ReadSecrets] != (test.member || test.admin) || actions[CreateWorkspace] {
			t.Errorf("%s: %v", name, actions)
		}
	}
}
