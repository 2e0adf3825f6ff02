package access

import "slices"

// Decision is the answer and the rule that gave it, in words for the audit log.
type Decision struct {
	Allowed bool
	Rule    string
}

// Decide is the whole of Lodge's permission model, without input or output: a
// caller may do an action on a group if they are an administrator, or if one of
// their roles has that action on that group or everywhere.
func Decide(c *Caller, grants []Grant, action Action, group Group) Decision {
	if c == nil {
		return Decision{false, "nobody"}
	}
	if c.Admin {
		return Decision{true, "administrator"}
	}
	for _, g := range c.Grants {
		if g.Action == action && g.Group == group {
			return Decision{true, "rule " + string(g.Role) + " on " + string(g.Group)}
		}
	}
	for _, g := range grants {
		if g.Action == action && (g.Group == group || g.Group == Everywhere) && slices.Contains(c.Roles, g.Role) {
			return Decision{true, "role " + string(g.Role) + " on " + string(g.Group)}
		}
	}
	return Decision{false, "no role of the caller has " + string(action) + " on " + string(group)}
}
