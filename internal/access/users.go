package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/fault"
)

// UserFilter says which users to list; zero values leave nobody out.
type UserFilter struct {
	// Text is part of the name, the e-mail address or the subject.
	Text string
	// Name is the whole name, Prefix how it begins, in any case.
	Name, Prefix string
	Role         Role
	Disabled     *bool
	Admin        *bool
	// Down lists them from the last name to the first, AdminsLast by whether they are administrators
	// and then by name, AdminsFirst the other way round.
	Down, AdminsLast, AdminsFirst bool
	// Limit and Offset choose the page.
	Limit, Offset int
}

func (f UserFilter) order() string {
	order := "u.name, u.id"
	if f.Down {
		order = "u.name DESC, u.id DESC"
	}
	switch {
	case f.AdminsLast:
		order = "u.admin, " + order
	case f.AdminsFirst:
		order = "u.admin DESC, " + order
	}
	return order
}

// Users lists users by name, and tells how many there are in all.
func (s *Service) Users(ctx context.Context, f UserFilter) ([]User, int64, error) {
	var w where
	if f.Text != "" {
		like := database.Contains(strings.ToLower(clean(f.Text, 255)))
		w.and("(LOWER(u.name) LIKE ? ESCAPE '!' OR LOWER(u.email) LIKE ? ESCAPE '!' OR LOWER(u.subject) LIKE ? ESCAPE '!')", like, like, like)
	}
	if f.Name != "" {
		w.and("u.name = ?", f.Name)
	}
	if f.Prefix != "" {
		w.and("LOWER(u.name) LIKE ? ESCAPE '!'", strings.TrimPrefix(database.Contains(strings.ToLower(f.Prefix)), "%"))
	}
	if f.Role != "" {
		w.and("EXISTS (SELECT 1 FROM user_roles r WHERE r.user_id = u.id AND r.role = ?)", clean(string(f.Role), maxRole))
	}
	if f.Disabled != nil {
		w.and("u.disabled = ?", database.Flag(*f.Disabled))
	}
	if f.Admin != nil {
		w.and("u.admin = ?", database.Flag(*f.Admin))
	}
	total, err := count(ctx, s.db, "SELECT COUNT(*) FROM users u"+w.String(), w.args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count users: %w", err)
	}
	var users []User
	err = each(ctx, s.db, func(rows database.Rows) error {
		u, err := scanUser(rows)
		users = append(users, u)
		return err
	}, "SELECT "+userColumns+" FROM users u"+w.String()+" ORDER BY "+f.order()+" LIMIT ? OFFSET ?", w.with(f.Limit, f.Offset)...)
	if err != nil {
		return nil, 0, fmt.Errorf("list users: %w", err)
	}
	return users, total, readRoles(ctx, s.db, users)
}

// User gives one user as stored, or fault.Missing.
func (s *Service) User(ctx context.Context, id string) (User, error) {
	return mustUser(ctx, s.db, id)
}

func mustUser(ctx context.Context, q database.Querier, id string) (User, error) {
	u, found, err := findUser(ctx, q, "u.id = ?", clean(id, 36))
	if err == nil && !found {
		err = fault.New(fault.Missing, "there is no user %q", id)
	}
	return u, err
}

// NewUser is a user to enter before their first login.
type NewUser struct {
	Issuer, Subject, Name, Email string
	Admin                        bool
	Roles                        []Role
}

// CreateUser enters a user. It fails as fault.Conflict when the issuer's subject
// is known already, and as fault.Denied when the caller lacks a right that they
// would give.
func (s *Service) CreateUser(ctx context.Context, n NewUser) (User, error) {
	if err := checkIdentity(n.Issuer, n.Subject); err != nil {
		return User{}, err
	}
	u := User{
		ID: uuid.NewString(), Issuer: n.Issuer, Subject: n.Subject, Name: clean(n.Name, maxText), Email: clean(n.Email, maxText),
		Admin: n.Admin, Roles: uniqueRoles(n.Roles), Created: s.now().UTC(),
	}
	if u.Name == "" {
		u.Name = u.Subject
	}
	err := s.change(ctx, "users.write", object(u), func(ctx context.Context, tx *database.Tx, by giver) error {
		// Whom the configuration makes an administrator would become one at the next start.
		if u.Admin || s.configuredAdmin(u.Issuer, u.Subject, u.Name) != notConfigured {
			if err := by.mustBeAdmin("make an administrator"); err != nil {
				return err
			}
		}
		if err := by.checkNewRoles(ctx, u.Roles, u.Roles); err != nil {
			return err
		}
		if err := insertUser(ctx, tx, u); err != nil {
			return err
		}
		if err := addRoles(ctx, tx, u.ID, u.Roles); err != nil {
			return err
		}
		return s.record(ctx, tx, "users.write", object(u), "entered "+describe(u))
	})
	if database.IsDuplicate(err) {
		return User{}, fault.Wrap(err, fault.Conflict, "the user %s of %s is known already", n.Subject, n.Issuer)
	}
	return u, err
}

// UserChange is what to change of a user; nil leaves it as it is.
type UserChange struct {
	Admin, Disabled *bool
	Roles           *[]Role
}

// ChangeUser changes a user. Only administrators change administrators or make
// one; the last one stays; and no role or account is given back by whoever lacks
// the rights that come with it.
func (s *Service) ChangeUser(ctx context.Context, id string, c UserChange) (User, error) {
	var u User
	err := s.change(ctx, "users.write", "users/"+id, func(ctx context.Context, tx *database.Tx, by giver) error {
		old, err := mustUser(ctx, tx, id)
		if err != nil {
			return err
		}
		u = old
		if c.Admin != nil {
			u.Admin = *c.Admin
		}
		if c.Disabled != nil {
			u.Disabled = *c.Disabled
		}
		if c.Roles != nil {
			u.Roles = uniqueRoles(*c.Roles)
		}
		return s.applyChange(ctx, tx, by, old, u)
	})
	return u, err
}

// GiveRole gives a user one more role. Giving it twice changes nothing.
func (s *Service) GiveRole(ctx context.Context, id string, role Role) error {
	return s.change(ctx, "users.write", "users/"+id, func(ctx context.Context, tx *database.Tx, by giver) error {
		old, err := mustUser(ctx, tx, id)
		if err != nil {
			return err
		}
		u := old
		u.Roles = uniqueRoles(append(slices.Clone(old.Roles), role))
		return s.applyChange(ctx, tx, by, old, u)
	})
}

// TakeRole takes a role from a user. Taking one that they do not have changes nothing.
func (s *Service) TakeRole(ctx context.Context, id string, role Role) error {
	return s.change(ctx, "users.write", "users/"+id, func(ctx context.Context, tx *database.Tx, by giver) error {
		old, err := mustUser(ctx, tx, id)
		if err != nil {
			return err
		}
		u := old
		u.Roles = without(old.Roles, []Role{role})
		return s.applyChange(ctx, tx, by, old, u)
	})
}

// DeleteUser forgets a user, with roles and sessions. Whoever still has a valid token comes to be
// again at the next sight, with no rights. The last administrator stays.
func (s *Service) DeleteUser(ctx context.Context, id string) error {
	return s.change(ctx, "users.write", "users/"+id, func(ctx context.Context, tx *database.Tx, by giver) error {
		u, err := mustUser(ctx, tx, id)
		if err != nil {
			return err
		}
		if u.Admin {
			if err := by.mustBeAdmin("delete an administrator"); err != nil {
				return err
			}
		}
		gone := u
		gone.Admin = false
		if err := s.checkAdminsLeft(ctx, tx, u, gone); err != nil {
			return err
		}
		for _, statement := range []string{
			"DELETE FROM sessions WHERE user_id = ?", "DELETE FROM user_roles WHERE user_id = ?", "DELETE FROM users WHERE id = ?",
		} {
			if _, err := tx.Exec(ctx, statement, u.ID); err != nil {
				return fmt.Errorf("delete a user: %w", err)
			}
		}
		return s.record(ctx, tx, "users.write", object(u), "deleted "+describe(u))
	})
}

// applyChange writes the difference between two states of a user, if it is permitted.
func (s *Service) applyChange(ctx context.Context, tx *database.Tx, by giver, old, u User) error {
	added, removed := without(u.Roles, old.Roles), without(old.Roles, u.Roles)
	if old.Admin == u.Admin && old.Disabled == u.Disabled && len(added) == 0 && len(removed) == 0 {
		return nil
	}
	if old.Admin || u.Admin {
		if err := by.mustBeAdmin("change an administrator or make one"); err != nil {
			return err
		}
	}
	given := added
	if old.Disabled && !u.Disabled {
		// Who is enabled again has all of their rights again.
		given = u.Roles
	}
	if err := by.checkNewRoles(ctx, added, given); err != nil {
		return err
	}
	if err := s.checkAdminsLeft(ctx, tx, old, u); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "UPDATE users SET admin = ?, disabled = ? WHERE id = ?", database.Flag(u.Admin), database.Flag(u.Disabled), u.ID); err != nil {
		return fmt.Errorf("change a user: %w", err)
	}
	if err := removeRoles(ctx, tx, u.ID, removed); err != nil {
		return fmt.Errorf("take roles: %w", err)
	}
	if err := addRoles(ctx, tx, u.ID, added); err != nil {
		return fmt.Errorf("give roles: %w", err)
	}
	return s.record(ctx, tx, "users.write", object(u), difference(old, u, added, removed))
}

// checkNewRoles makes sure that the added roles exist, and that the giver has what all given carry.
func (by giver) checkNewRoles(ctx context.Context, added, given []Role) error {
	for _, r := range added {
		if err := checkRole(r); err != nil {
			return err
		}
	}
	missing, err := missingRoles(ctx, by.tx, added)
	if err != nil {
		return fmt.Errorf("look up roles: %w", err)
	}
	if len(missing) > 0 {
		return noSuchRole(missing[0])
	}
	return by.mayGive(ctx, given)
}

// checkAdminsLeft keeps a site from losing its last administrator, and the
// configuration from being contradicted.
func (s *Service) checkAdminsLeft(ctx context.Context, tx *database.Tx, old, u User) error {
	if old.Admin && !u.Admin && s.configuredAdmin(u.Issuer, u.Subject, u.Name) == configuredExactly {
		return fault.New(fault.Conflict, "%s is an administrator by the configuration (identity.admins); remove them there", u.Name)
	}
	if !old.Admin || old.Disabled || u.Admin && !u.Disabled {
		return nil
	}
	n, err := otherAdmins(ctx, tx, u.ID)
	if err != nil {
		return fmt.Errorf("count administrators: %w", err)
	}
	if n == 0 {
		return fault.New(fault.Conflict, "%s is the last administrator; make another one first", u.Name)
	}
	return nil
}

func object(u User) string { return "users/" + u.ID }

func describe(u User) string {
	text := u.Name + " (" + u.Subject + " of " + u.Issuer + ")"
	if u.Admin {
		text += ", administrator"
	}
	if len(u.Roles) > 0 {
		text += ", roles " + join(u.Roles)
	}
	return text
}

// difference says in words what a change did.
func difference(old, u User, added, removed []Role) string {
	var words []string
	say := func(is, was bool, yes, no string) {
		if is && !was {
			words = append(words, yes)
		}
		if !is && was {
			words = append(words, no)
		}
	}
	say(u.Admin, old.Admin, "made administrator", "administrator no more")
	say(u.Disabled, old.Disabled, "disabled", "enabled")
	if len(added) > 0 {
		words = append(words, "given "+join(added))
	}
	if len(removed) > 0 {
		words = append(words, "taken "+join(removed))
	}
	return u.Name + ": " + strings.Join(words, ", ")
}
