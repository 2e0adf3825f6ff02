package access

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"lodge/internal/database"
)

// markName is the row of site_values that every change rewrites. It tells
// replicas that something changed, and is the lock that lets one change at a
// time look at what it depends on, such as who else is an administrator.
const markName = "access.mark"

const userColumns = "u.id, u.issuer, u.subject, u.name, u.email, u.admin, u.disabled, u.created_at, u.seen_at"

func readMark(ctx context.Context, q database.Querier) (mark string, err error) {
	err = q.QueryRow(ctx, "SELECT value FROM site_values WHERE name = ?", markName).Scan(&mark)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return mark, err
}

func writeMark(ctx context.Context, tx *database.Tx, d database.Dialect, mark string, now int64) error {
	_, err := tx.Exec(ctx, database.Upsert(d, "site_values", []string{"name"}, []string{"value", "created_at"}), markName, mark, now)
	return err
}

func readGrants(ctx context.Context, q database.Querier) (*Grants, error) {
	grants := NewGrants()
	err := each(ctx, q, func(rows *sql.Rows) error {
		var g Grant
		if err := rows.Scan(&g.Role, &g.Group, &g.Action); err != nil {
			return err
		}
		grants.add(g)
		return nil
	}, "SELECT role, group_name, action FROM permissions ORDER BY role, group_name, action")
	return grants, err
}

func readDisabled(ctx context.Context, q database.Querier) (map[string]bool, error) {
	disabled := make(map[string]bool)
	err := each(ctx, q, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		disabled[id] = true
		return err
	}, "SELECT id FROM users WHERE disabled = 1")
	return disabled, err
}

// each calls scan for every row of the query.
func each(ctx context.Context, q database.Querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// count is the one number that the query answers.
func count(ctx context.Context, q database.Querier, query string, args ...any) (n int64, err error) {
	err = q.QueryRow(ctx, query, args...).Scan(&n)
	return n, err
}

// in writes the placeholders of a list and gives its arguments. The empty list
// is a list that nothing is in.
func in[T ~string](list []T) (string, []any) {
	if len(list) == 0 {
		return "(NULL)", nil
	}
	args := make([]any, len(list))
	for i, v := range list {
		args[i] = string(v)
	}
	return "(?" + strings.Repeat(", ?", len(list)-1) + ")", args
}

// where joins conditions with their arguments as they come.
type where struct {
	terms []string
	args  []any
}

func (w *where) and(term string, args ...any) {
	w.terms = append(w.terms, term)
	w.args = append(w.args, args...)
}

func (w *where) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

// with gives the arguments followed by more, for LIMIT and OFFSET.
func (w *where) with(more ...any) []any { return append(append([]any(nil), w.args...), more...) }

func scanUser(row interface{ Scan(dest ...any) error }) (u User, err error) {
	var admin, disabled int
	var created, seen int64
	err = row.Scan(&u.ID, &u.Issuer, &u.Subject, &u.Name, &u.Email, &admin, &disabled, &created, &seen)
	u.Admin, u.Disabled, u.Created = admin != 0, disabled != 0, database.Time(created)
	if seen != 0 {
		u.Seen = database.Time(seen)
	}
	u.Roles = []Role{}
	return u, err
}

// findUser reads the user that the condition names, with roles. found is false
// when there is none.
func findUser(ctx context.Context, q database.Querier, condition string, args ...any) (u User, found bool, err error) {
	u, err = scanUser(q.QueryRow(ctx, "SELECT "+userColumns+" FROM users u WHERE "+condition, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, false, nil
	}
	if err != nil {
		return User{}, false, fmt.Errorf("read a user: %w", err)
	}
	one := []User{u}
	if err := readRoles(ctx, q, one); err != nil {
		return User{}, false, err
	}
	return one[0], true, nil
}

// readRoles fills in the roles of all users given, with one query.
func readRoles(ctx context.Context, q database.Querier, users []User) error {
	at := make(map[string]*User, len(users))
	ids := make([]string, len(users))
	for i := range users {
		at[users[i].ID], ids[i] = &users[i], users[i].ID
	}
	list, args := in(ids)
	err := each(ctx, q, func(rows *sql.Rows) error {
		var id string
		var role Role
		if err := rows.Scan(&id, &role); err != nil {
			return err
		}
		at[id].Roles = append(at[id].Roles, role)
		return nil
	}, "SELECT user_id, role FROM user_roles WHERE user_id IN "+list+" ORDER BY user_id, role", args...)
	if err != nil {
		return fmt.Errorf("read roles of users: %w", err)
	}
	return nil
}

func insertUser(ctx context.Context, tx *database.Tx, u User) error {
	var seen int64
	if !u.Seen.IsZero() {
		seen = database.Micros(u.Seen)
	}
	_, err := tx.Exec(ctx, `INSERT INTO users (id, issuer, subject, name, email, admin, disabled, created_at, seen_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		u.ID, u.Issuer, u.Subject, u.Name, u.Email, database.Flag(u.Admin), database.Flag(u.Disabled), database.Micros(u.Created), seen)
	return err
}

// addRoles gives the user roles that exist and are not given yet.
func addRoles(ctx context.Context, tx *database.Tx, userID string, roles []Role) error {
	if len(roles) == 0 {
		return nil
	}
	args := make([]any, 0, 2*len(roles))
	for _, r := range roles {
		args = append(args, userID, string(r))
	}
	_, err := tx.Exec(ctx, "INSERT INTO user_roles (user_id, role) VALUES (?, ?)"+strings.Repeat(", (?, ?)", len(roles)-1), args...)
	return err
}

func removeRoles(ctx context.Context, tx *database.Tx, userID string, roles []Role) error {
	list, args := in(roles)
	_, err := tx.Exec(ctx, "DELETE FROM user_roles WHERE user_id = ? AND role IN "+list, append([]any{userID}, args...)...)
	return err
}

// missingRoles gives those of the roles that do not exist.
func missingRoles(ctx context.Context, q database.Querier, roles []Role) ([]Role, error) {
	there := make(map[Role]bool, len(roles))
	list, args := in(roles)
	err := each(ctx, q, func(rows *sql.Rows) error {
		var r Role
		err := rows.Scan(&r)
		there[r] = true
		return err
	}, "SELECT name FROM roles WHERE name IN "+list, args...)
	var missing []Role
	for _, r := range roles {
		if !there[r] {
			missing = append(missing, r)
		}
	}
	return missing, err
}

// otherAdmins counts the administrators that are not disabled, without the one named.
func otherAdmins(ctx context.Context, q database.Querier, without string) (int64, error) {
	return count(ctx, q, "SELECT COUNT(*) FROM users WHERE admin = 1 AND disabled = 0 AND id <> ?", without)
}
