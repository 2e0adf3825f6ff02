package access

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"lodge/internal/database"
	"lodge/internal/fault"
)

const roleColumns = `r.name, r.description, r.created_at,
	(SELECT COUNT(*) FROM user_roles m WHERE m.role = r.name), (SELECT COUNT(*) FROM permissions p WHERE p.role = r.name)`

// Roles lists roles by name, those with the text in their name or description,
// and tells how many there are in all.
func (s *Service) Roles(ctx context.Context, text string, limit, offset int) ([]RoleInfo, int64, error) {
	var w where
	if text != "" {
		like := database.Contains(strings.ToLower(clean(text, maxText)))
		w.and("(LOWER(r.name) LIKE ? ESCAPE '!' OR LOWER(r.description) LIKE ? ESCAPE '!')", like, like)
	}
	total, err := count(ctx, s.db, "SELECT COUNT(*) FROM roles r"+w.String(), w.args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count roles: %w", err)
	}
	var roles []RoleInfo
	err = each(ctx, s.db, func(rows database.Rows) error {
		r, err := scanRole(rows)
		roles = append(roles, r)
		return err
	}, "SELECT "+roleColumns+" FROM roles r"+w.String()+" ORDER BY r.name LIMIT ? OFFSET ?", w.with(limit, offset)...)
	if err != nil {
		return nil, 0, fmt.Errorf("list roles: %w", err)
	}
	return roles, total, nil
}

// Role gives one role, or fault.Missing.
func (s *Service) Role(ctx context.Context, name Role) (RoleInfo, error) {
	return mustRole(ctx, s.db, name)
}

func mustRole(ctx context.Context, q database.Querier, name Role) (RoleInfo, error) {
	r, err := scanRole(q.QueryRow(ctx, "SELECT "+roleColumns+" FROM roles r WHERE r.name = ?", clean(string(name), maxRole)))
	if errors.Is(err, sql.ErrNoRows) {
		return RoleInfo{}, noSuchRole(name)
	}
	if err != nil {
		return RoleInfo{}, fmt.Errorf("read a role: %w", err)
	}
	return r, nil
}

func noSuchRole(name Role) error { return fault.New(fault.Missing, "there is no role %q", name) }

func scanRole(row interface{ Scan(dest ...any) error }) (r RoleInfo, err error) {
	var created int64
	err = row.Scan(&r.Name, &r.Description, &created, &r.Members, &r.Permissions)
	r.Created = database.Time(created)
	return r, err
}

// CreateRole makes a role, which carries nothing yet. It fails as fault.Conflict
// when there is one by that name.
func (s *Service) CreateRole(ctx context.Context, name Role, description string) (RoleInfo, error) {
	if err := checkRole(name); err != nil {
		return RoleInfo{}, err
	}
	r := RoleInfo{Name: name, Description: clean(description, maxDescription), Created: database.Time(database.Micros(s.now()))}
	err := s.change(ctx, "roles.write", "roles/"+string(name), func(ctx context.Context, tx *database.Tx, _ giver) error {
		// Tokens may carry a role that Lodge does not know. Whatever it had before it was deleted is gone.
		if _, err := tx.Exec(ctx, "INSERT INTO roles (name, description, created_at) VALUES (?, ?, ?)",
			string(r.Name), r.Description, database.Micros(r.Created)); err != nil {
			return err
		}
		return s.record(ctx, tx, "roles.write", "roles/"+string(name), "created: "+r.Description)
	})
	if database.IsDuplicate(err) {
		return RoleInfo{}, fault.Wrap(err, fault.Conflict, "there is a role %q already", name)
	}
	return r, err
}

// DescribeRole changes a role's description.
func (s *Service) DescribeRole(ctx context.Context, name Role, description string) (RoleInfo, error) {
	var r RoleInfo
	err := s.change(ctx, "roles.write", "roles/"+string(name), func(ctx context.Context, tx *database.Tx, _ giver) (err error) {
		if r, err = mustRole(ctx, tx, name); err != nil {
			return err
		}
		if description = clean(description, maxDescription); r.Description == description {
			return nil
		}
		r.Description = description
		if _, err := tx.Exec(ctx, "UPDATE roles SET description = ? WHERE name = ?", description, string(name)); err != nil {
			return fmt.Errorf("describe a role: %w", err)
		}
		return s.record(ctx, tx, "roles.write", "roles/"+string(name), "described: "+description)
	})
	return r, err
}

// DeleteRole deletes a role, takes it from everybody, and with it what it carried.
func (s *Service) DeleteRole(ctx context.Context, name Role) error {
	return s.change(ctx, "roles.write", "roles/"+string(name), func(ctx context.Context, tx *database.Tx, _ giver) error {
		r, err := mustRole(ctx, tx, name)
		if err != nil {
			return err
		}
		// Written out, because not every server honours ON DELETE CASCADE as it is declared.
		for _, statement := range []string{
			"DELETE FROM user_roles WHERE role = ?", "DELETE FROM permissions WHERE role = ?", "DELETE FROM roles WHERE name = ?",
		} {
			if _, err := tx.Exec(ctx, statement, string(name)); err != nil {
				return fmt.Errorf("delete a role: %w", err)
			}
		}
		return s.record(ctx, tx, "roles.write", "roles/"+string(name),
			fmt.Sprintf("deleted, with %d members and %d permissions", r.Members, r.Permissions))
	})
}

// PermissionFilter says which permissions to list; zero values leave none out.
type PermissionFilter struct {
	Role          Role
	Group         Group
	Action        Action
	Limit, Offset int
}

// Permissions lists permissions by role, group and action, and tells how many there are in all.
func (s *Service) Permissions(ctx context.Context, f PermissionFilter) ([]Permission, int64, error) {
	var w where
	if f.Role != "" {
		w.and("role = ?", clean(string(f.Role), maxRole))
	}
	if f.Group != "" {
		w.and("group_name = ?", clean(string(f.Group), maxGroup))
	}
	if f.Action != "" {
		w.and("action = ?", clean(string(f.Action), maxRole))
	}
	total, err := count(ctx, s.db, "SELECT COUNT(*) FROM permissions"+w.String(), w.args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count permissions: %w", err)
	}
	var list []Permission
	err = each(ctx, s.db, func(rows database.Rows) error {
		var p Permission
		var created int64
		err := rows.Scan(&p.Role, &p.Group, &p.Action, &created)
		p.Created = database.Time(created)
		list = append(list, p)
		return err
	}, "SELECT role, group_name, action, created_at FROM permissions"+w.String()+" ORDER BY role, group_name, action LIMIT ? OFFSET ?",
		w.with(f.Limit, f.Offset)...)
	if err != nil {
		return nil, 0, fmt.Errorf("list permissions: %w", err)
	}
	return list, total, nil
}

// Permit gives a role a right, which the caller must have themselves. Giving it
// twice changes nothing.
func (s *Service) Permit(ctx context.Context, g Grant) (Permission, error) {
	if err := errors.Join(checkRole(g.Role), checkGroup(g.Group), s.checkAction(g.Action)); err != nil {
		return Permission{}, together(err)
	}
	p := Permission{Role: g.Role, Group: g.Group, Action: g.Action, Created: database.Time(database.Micros(s.now()))}
	err := s.change(ctx, "permissions.write", g.object(), func(ctx context.Context, tx *database.Tx, by giver) error {
		if _, err := mustRole(ctx, tx, g.Role); err != nil {
			return err
		}
		if err := by.mayGrant(ctx, g.Action, g.Group); err != nil {
			return err
		}
		var created int64
		err := tx.QueryRow(ctx, "SELECT created_at FROM permissions WHERE role = ? AND group_name = ? AND action = ?",
			string(g.Role), string(g.Group), string(g.Action)).Scan(&created)
		if err == nil {
			p.Created = database.Time(created)
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("look up a permission: %w", err)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO permissions (role, group_name, action, created_at) VALUES (?, ?, ?, ?)",
			string(g.Role), string(g.Group), string(g.Action), database.Micros(p.Created)); err != nil {
			return fmt.Errorf("add a permission: %w", err)
		}
		return s.record(ctx, tx, "permissions.write", g.object(), "permitted")
	})
	return p, err
}

// Forbid takes a right from a role; fault.Missing when it has none.
func (s *Service) Forbid(ctx context.Context, g Grant) error {
	return s.change(ctx, "permissions.write", g.object(), func(ctx context.Context, tx *database.Tx, _ giver) error {
		done, err := tx.Exec(ctx, "DELETE FROM permissions WHERE role = ? AND group_name = ? AND action = ?",
			clean(string(g.Role), maxRole), clean(string(g.Group), maxGroup), clean(string(g.Action), maxRole))
		if err != nil {
			return fmt.Errorf("remove a permission: %w", err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fault.New(fault.Missing, "the role %q does not have %s on %s", g.Role, g.Action, g.Group))
		}
		return s.record(ctx, tx, "permissions.write", g.object(), "forbidden")
	})
}

func (g Grant) object() string {
	return "permissions/" + string(g.Role) + "/" + string(g.Group) + "/" + string(g.Action)
}

// together makes the findings of several checks one.
func together(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var fields []fault.Field
	for _, one := range joined.Unwrap() {
		var f *fault.Error
		if errors.As(one, &f) {
			fields = append(fields, f.Fields...)
		}
	}
	return fault.InvalidFields(fields...)
}
