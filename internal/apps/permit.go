package apps

import (
	"context"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/fault"
)

// errHidden is the answer for what is missing, and for what is not the caller's to know of.
var errHidden = fault.New(fault.Missing, "no such app or app session, or not yours to see")

// hidden makes a refusal read like something missing.
func hidden(err error) error {
	if fault.Is(err, fault.Denied) {
		return errHidden
	}
	return err
}

// may decides whether the caller may use an app in one of the ways that people use their own. The
// entry's list gives that and narrows it: whoever is on it may, whoever is not may not, and an
// administrator always may. Without a list, permissions on the group decide.
func (s *Service) may(ctx context.Context, action access.Action, a App) (context.Context, error) {
	c := access.CallerFrom(ctx)
	if c == nil {
		return ctx, fault.New(fault.Unauthenticated, "log in first")
	}
	owner, _ := ownerOf(c)
	if owner.ID == "" && !c.Admin {
		return ctx, errHidden
	}
	listed, admitted := a.Allow.admits(c, s.cfg.AccountIssuer)
	switch {
	case c.Admin, !listed:
	case !admitted:
		if action != List {
			s.refused(ctx, action, a.Group, "app "+string(a.ID), access.Decision{Rule: "the app's own list"}, errHidden)
		}
		return ctx, errHidden
	default:
		ctx = access.WithGrants(ctx, access.Grant{Role: "allow of app " + access.Role(a.ID), Group: a.Group, Action: action})
	}
	d, err := s.access.Require(ctx, action, a.Group)
	// The grant was for this one question: the next app of the group has a list of its own.
	ctx = access.WithCaller(ctx, c)
	if err != nil {
		if action != List {
			s.refused(ctx, action, a.Group, "app "+string(a.ID), d, err)
		}
		return ctx, hidden(err)
	}
	return access.WithDecision(ctx, d), nil
}

// find gives an app session that the caller may see: their own, or anybody's with the action any.
func (s *Service) find(ctx context.Context, id string, own, others access.Action) (Session, context.Context, error) {
	c := access.CallerFrom(ctx)
	if c == nil {
		return Session{}, ctx, fault.New(fault.Unauthenticated, "log in first")
	}
	row, err := s.store.session(ctx, s.store.db, id)
	if err != nil {
		return Session{}, ctx, missing(err)
	}
	if owner, _ := ownerOf(c); owner.ID == row.OwnerID && owner.ID != "" {
		// Whoever may no longer start an app may still see and stop what is theirs.
		return row, access.WithDecision(ctx, access.Decision{Allowed: true, Rule: "own app session, " + string(own)}), nil
	}
	d, err := s.access.Require(ctx, others, row.Entry.Group)
	if err != nil {
		s.refused(ctx, others, row.Entry.Group, "app session "+row.ID, d, err)
		return Session{}, ctx, hidden(err)
	}
	return row, access.WithDecision(ctx, d), nil
}

// refused writes down that somebody was refused what they asked for, once a minute for the same
// thing: a forgotten tab asks every few seconds. That it could not be written must not turn a
// refusal into something else, so it is only logged.
func (s *Service) refused(ctx context.Context, action access.Action, group access.Group, object string, d access.Decision, why error) {
	c := access.CallerFrom(ctx)
	if c == nil || !fault.Is(why, fault.Denied) && !fault.Is(why, fault.Missing) {
		return
	}
	key := c.Issuer + "|" + c.Subject + " " + string(action) + " " + object
	if !s.noted.free(key, s.now()) {
		return
	}
	s.noted.note(key, s.now())
	entry := audit.Entry{Action: string(action), Group: string(group), Object: object, Outcome: audit.Denied, Rule: d.Rule}
	if err := s.audit.Refused(ctx, entry); err != nil {
		s.log.ErrorContext(ctx, "a refusal could not be written to the audit log", "error", err)
	}
}

func missing(err error) error {
	if err == errNoRow { //nolint:errorlint // the store gives it as it is
		return errHidden
	}
	return err
}
