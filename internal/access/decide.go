package access

import "slices"

// Self is the action of whatever one may do for oneself, such as ending one's
// own session: every known caller may.
const Self Action = "self"

// Decision is the answer and the rule that gave it, in words for the audit log.
type Decision struct {
	Allowed bool
	Rule    string
}

// Grants is an index of what roles have. It never changes once it is made, so
// that any number of requests can read it without a lock.
type Grants struct {
	roles map[Action]map[Group][]Role
}

// NewGrants indexes a list of grants.
func NewGrants(list ...Grant) *Grants {
	g := &Grants{roles: make(map[Action]map[Group][]Role)}
	for _, one := range list {
		g.add(one)
	}
	return g
}

func (g *Grants) add(one Grant) {
	groups := g.roles[one.Action]
	if groups == nil {
		groups = make(map[Group][]Role)
		g.roles[one.Action] = groups
	}
	groups[one.Group] = append(groups[one.Group], one.Role)
}

// find gives the role of those given that has the action, on the group itself
// before everywhere.
func (g *Grants) find(roles []Role, action Action, group Group) (Grant, bool) {
	groups := g.roles[action]
	for _, at := range [...]Group{group, Everywhere} {
		for _, r := range groups[at] {
			if slices.Contains(roles, r) {
				return Grant{Role: r, Group: at, Action: action}, true
			}
		}
	}
	return Grant{}, false
}

// groups lists where the roles have the action; everywhere says that it is not
// only there.
func (g *Grants) groups(roles []Role, action Action) (list []Group, everywhere bool) {
	for at, having := range g.roles[action] {
		if !slices.ContainsFunc(having, func(r Role) bool { return slices.Contains(roles, r) }) {
			continue
		}
		if at == Everywhere {
			return nil, true
		}
		list = append(list, at)
	}
	return list, false
}

// Decide is the whole of Lodge's permission model, without input or output: a
// caller may do an action on a group if they are an administrator, if a rule of
// a part says so, or if one of their roles has that action on that group or
// everywhere.
func Decide(c *Caller, grants *Grants, action Action, group Group) Decision {
	switch {
	case c == nil:
		return Decision{false, "nobody"}
	case action == "" || group == "":
		// A route that lost its action or its group must not open anything, not even to administrators.
		return Decision{false, "nothing is named that could be permitted"}
	case action == Self:
		return Decision{true, "oneself"}
	case c.Admin:
		return Decision{true, "administrator"}
	}
	for _, g := range c.Grants {
		// A rule's grant names one group: "*" is no pattern here, since groups may come from tokens.
		if g.Action == action && g.Group == group {
			return Decision{true, "rule " + string(g.Role) + " on " + string(g.Group)}
		}
	}
	if g, ok := grants.find(c.Roles, action, group); ok {
		return Decision{true, roleRule(g.Role, g.Group)}
	}
	return Decision{false, "no role of the caller has " + string(action) + " on " + string(group)}
}

func roleRule(role Role, group Group) string {
	if group == Everywhere {
		return "role " + string(role) + " everywhere"
	}
	return "role " + string(role) + " on " + string(group)
}
