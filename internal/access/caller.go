// Package access answers one question: may this caller do this? It keeps users,
// roles and permissions (role × group × action), and decides.
package access

import "context"

// An Action is something that can be done, such as "audit.read".
type Action string

// A Group is a set of resources that are permitted together: a project, a
// fleet's authorization group, a workspace, or Site.
type Group string

// A Role is a name that permissions are given to.
type Role string

// Site is the group of whatever belongs to no group of its own. Everywhere is
// the group of a permission that holds on every group.
const (
	Site       Group = "site"
	Everywhere Group = "*"
)

// Credential says by what a caller was recognised.
type Credential struct {
	// Kind is "bearer", "session", "token" (a service token) or "header".
	Kind string
	// ID is the session's or token's id, or the bearer token's jti; never a secret.
	ID string
}

// Caller is who asks. It is found once per request and travels in the context.
type Caller struct {
	// UserID is the row in users; empty for service tokens, which are no users.
	UserID string
	// Issuer and Subject identify the caller for ever: what the issuer says, exactly.
	Issuer, Subject string
	// Name is for people: the preferred user name, e-mail or token name.
	Name, Email string
	Credential  Credential
	// Roles are those from the database and from the token's role claim.
	Roles []Role
	Admin bool
	// Grants are rights by a rule instead of a row, such as an analysis's on its own project.
	Grants []Grant
	// Claims are the verified token's claims; nil for sessions of the trusted header.
	Claims map[string]any
}

// Grant is a right that one role has: to do Action on Group.
type Grant struct {
	Role   Role
	Group  Group
	Action Action
}

type (
	callerKey   struct{}
	decisionKey struct{}
)

// WithCaller returns a context that carries the caller.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom gives the context's caller; nil is nobody.
func CallerFrom(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}

// WithGrants returns a context whose caller has the grants as well, by a rule of a part.
func WithGrants(ctx context.Context, grants ...Grant) context.Context {
	c := CallerFrom(ctx)
	if c == nil {
		return ctx
	}
	more := *c
	more.Grants = append(append([]Grant(nil), c.Grants...), grants...)
	return WithCaller(ctx, &more)
}

// WithDecision returns a context that carries what was decided, so that the
// audit record of what follows names the rule.
func WithDecision(ctx context.Context, d Decision) context.Context {
	return context.WithValue(ctx, decisionKey{}, d)
}

// DecisionFrom gives the context's decision; the zero Decision is none.
func DecisionFrom(ctx context.Context) Decision {
	d, _ := ctx.Value(decisionKey{}).(Decision)
	return d
}
