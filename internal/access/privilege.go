package access

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/fault"
)

// giver is who makes a change, seen in the change's own transaction. Nobody can
// give a right that they do not have: what a giver may hand on are the rights of
// their roles. Rights by a rule of a part are bound to who has them and cannot
// be handed on.
type giver struct {
	tx    *database.Tx
	roles []Role
	admin bool
}

// change makes one change of an object by the context's caller: it requires the
// action on the site, lets no other change come between, makes it hold at once,
// and has a refusal recorded.
func (s *Service) change(ctx context.Context, action Action, object string, fn func(ctx context.Context, tx *database.Tx, by giver) error) error {
	err := s.attempt(ctx, action, fn)
	if s.refused == nil || !fault.Is(err, fault.Denied) {
		return err
	}
	if unrecorded := s.refused(WithDecision(ctx, Decision{false, err.Error()}), action, object); unrecorded != nil {
		return unrecorded
	}
	return err
}

func (s *Service) attempt(ctx context.Context, action Action, fn func(ctx context.Context, tx *database.Tx, by giver) error) error {
	d, err := s.Require(ctx, action, Site)
	if err != nil {
		return err
	}
	ctx = WithDecision(ctx, d)
	return s.write(ctx, func(tx *database.Tx) error {
		by, err := newGiver(ctx, tx, CallerFrom(ctx))
		if err != nil {
			return err
		}
		return fn(ctx, tx, by)
	})
}

// write runs fn in a transaction that holds the mark: it waits for all others
// that do, and sees what they did.
func (s *Service) write(ctx context.Context, fn func(tx *database.Tx) error) error {
	mark := uuid.NewString()
	err := s.db.Tx(ctx, func(tx *database.Tx) error {
		if err := writeMark(ctx, tx, s.db.Dialect(), mark, database.Micros(s.now())); err != nil {
			return err
		}
		return fn(tx)
	})
	if err != nil {
		// A commit may have arrived although its answer did not.
		s.wanted.Add(1)
		return err
	}
	s.changed(mark)
	return nil
}

// newGiver looks a caller up who is a user: the request may have begun before
// they were disabled or lost their administration.
func newGiver(ctx context.Context, tx *database.Tx, c *Caller) (giver, error) {
	by := giver{tx: tx, roles: c.Roles, admin: c.Admin}
	if c.UserID == "" {
		return by, nil
	}
	var admin, disabled int
	err := tx.QueryRow(ctx, "SELECT admin, disabled FROM users WHERE id = ?", c.UserID).Scan(&admin, &disabled)
	if errors.Is(err, sql.ErrNoRows) || err == nil && disabled != 0 {
		return giver{}, disabledFault()
	}
	by.admin = by.admin && admin != 0
	return by, err
}

// mustBeAdmin refuses everyone else.
func (by giver) mustBeAdmin(what string) error {
	if by.admin {
		return nil
	}
	return &fault.Error{Kind: fault.Denied, Permission: "administrator", Detail: "only an administrator can " + what}
}

// mayGive refuses to hand on roles that carry a right which the giver lacks.
func (by giver) mayGive(ctx context.Context, roles []Role) error {
	if by.admin || len(roles) == 0 {
		return nil
	}
	given, args := in(roles)
	own, more := in(by.roles)
	var role Role
	var action Action
	var group Group
	err := by.tx.QueryRow(ctx, `SELECT p.role, p.action, p.group_name FROM permissions p
		WHERE p.role IN `+given+` AND NOT EXISTS (
			SELECT 1 FROM permissions q
			WHERE q.role IN `+own+` AND q.action = p.action AND (q.group_name = p.group_name OR q.group_name = '*'))
		ORDER BY p.role, p.action, p.group_name LIMIT 1`, append(args, more...)...).Scan(&role, &action, &group)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return lacking(action, group, "the role "+string(role)+" carries "+string(action)+" on "+string(group))
}

// mayGrant refuses to hand on a single right that the giver lacks.
func (by giver) mayGrant(ctx context.Context, action Action, group Group) error {
	if by.admin {
		return nil
	}
	own, args := in(by.roles)
	n, err := count(ctx, by.tx, "SELECT COUNT(*) FROM permissions WHERE role IN "+own+" AND action = ? AND group_name IN (?, '*')",
		append(args, string(action), string(group))...)
	if err != nil || n > 0 {
		return err
	}
	return lacking(action, group, "you do not have "+string(action)+" on "+string(group))
}

func lacking(action Action, group Group, why string) error {
	return &fault.Error{
		Kind: fault.Denied, Permission: string(action) + " on " + string(group),
		Detail: "nobody can give a right that they do not have: " + why + "; an administrator can do this",
	}
}

// MayGive tells whether the context's caller may hand on these roles, and
// administration when admin is set, by other means than a user's roles: a
// service token, say. It fails as fault.Denied when they may not, and as
// fault.Invalid for roles that could not have a name. Roles that do not exist
// carry nothing yet, and may be given only by administrators.
func (s *Service) MayGive(ctx context.Context, tx *database.Tx, roles []Role, admin bool) error {
	c := CallerFrom(ctx)
	if c == nil {
		return fault.New(fault.Unauthenticated, "log in first")
	}
	by, err := newGiver(ctx, tx, c)
	if err != nil {
		return err
	}
	if admin {
		if err := by.mustBeAdmin("make an administrator"); err != nil {
			return err
		}
	}
	for _, r := range roles {
		if err := checkRole(r); err != nil {
			return err
		}
	}
	if !by.admin {
		missing, err := missingRoles(ctx, tx, roles)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return noSuchRole(missing[0])
		}
	}
	return by.mayGive(ctx, slices.Clone(roles))
}
