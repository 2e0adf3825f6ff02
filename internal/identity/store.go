package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
)

// tokenRow is a service token as stored. It is shared between requests and never changes.
type tokenRow struct {
	Token
	createdBy string
	// orphaned says that whoever created it is disabled.
	orphaned bool
}

//nolint:gosec // G101: names of columns
const tokenColumns = `t.id, t.name, t.roles, t.admin, t.claims, t.created_by, COALESCE(u.name, t.created_by), COALESCE(u.disabled, 0),
	t.created_at, t.expires_at, t.used_at, t.revoked_at FROM tokens t LEFT JOIN users u ON u.id = t.created_by`

func scanToken(row interface{ Scan(dest ...any) error }) (*tokenRow, error) {
	var t tokenRow
	var roles, claims string
	var admin, disabled int
	var created int64
	var expires, used, revoked sql.NullInt64
	err := row.Scan(&t.ID, &t.Name, &roles, &admin, &claims, &t.createdBy, &t.CreatedBy, &disabled, &created, &expires, &used, &revoked)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(roles), &t.Roles); err != nil {
		return nil, fmt.Errorf("roles of token %s: %w", t.ID, err)
	}
	if err := json.Unmarshal([]byte(claims), &t.Claims); err != nil {
		return nil, fmt.Errorf("claims of token %s: %w", t.ID, err)
	}
	t.Admin, t.orphaned = admin != 0, disabled != 0
	t.Created, t.Expires, t.Used, t.Revoked = database.Time(created), optionalTime(expires), optionalTime(used), optionalTime(revoked)
	return &t, nil
}

func optionalTime(us sql.NullInt64) *time.Time {
	if !us.Valid {
		return nil
	}
	t := database.Time(us.Int64)
	return &t
}

func readToken(ctx context.Context, q database.Querier, id string) (*tokenRow, error) {
	t, err := scanToken(q.QueryRow(ctx, "SELECT "+tokenColumns+" WHERE t.id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.Missing, "there is no such token")
	}
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	return t, nil
}

func insertToken(ctx context.Context, tx *database.Tx, t Token, createdBy string) error {
	roles, err := json.Marshal(t.Roles)
	if err != nil {
		return err
	}
	claims, err := json.Marshal(t.Claims)
	if err != nil {
		return err
	}
	admin := 0
	if t.Admin {
		admin = 1
	}
	_, err = tx.Exec(ctx, "INSERT INTO tokens (id, name, roles, admin, claims, created_by, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		t.ID, t.Name, string(roles), admin, string(claims), createdBy, database.Micros(t.Created), database.Micros(*t.Expires))
	return err
}

// listTokens gives a page of tokens, the newest first; of one creator when by is not empty.
func listTokens(ctx context.Context, q database.Querier, by string, limit, offset int) (list []Token, total int64, err error) {
	where, args := "", []any{}
	if by != "" {
		where, args = " WHERE t.created_by = ?", []any{by}
	}
	if err := q.QueryRow(ctx, "SELECT COUNT(*) FROM tokens t"+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count tokens: %w", err)
	}
	rows, err := q.Query(ctx, "SELECT "+tokenColumns+where+" ORDER BY t.created_at DESC, t.id LIMIT ? OFFSET ?", append(args, limit, offset)...)
	if err != nil {
		return nil, 0, fmt.Errorf("list tokens: %w", err)
	}
	defer func() { _ = rows.Close() }()
	list = []Token{}
	for rows.Next() {
		t, err := scanToken(rows)
		if err != nil {
			return nil, 0, fmt.Errorf("list tokens: %w", err)
		}
		list = append(list, t.Token)
	}
	return list, total, rows.Err()
}

// sessionRow is a session as stored. It is shared between requests and never changes.
type sessionRow struct {
	Session
	hash   string
	claims sessionClaims
	// renewAt is set of a session that is about to be written; null when there is nothing to renew it by.
	renewAt sql.NullInt64
}

// sessionClaims is what a session remembers of the login.
type sessionClaims struct {
	Issuer  string         `json:"issuer"`
	Subject string         `json:"subject"`
	Roles   []access.Role  `json:"roles,omitempty"`
	Claims  map[string]any `json:"claims,omitempty"`
	// Hint is the provider's ID token, sealed with the cookie's value, which is stored nowhere: it
	// is needed to log out there, and must be of no use to whoever reads the database.
	Hint []byte `json:"hint,omitempty"`
	// Refresh is the provider's refresh token, sealed with the site's key; see renew.go.
	Refresh []byte `json:"refresh,omitempty"`
}

const sessionColumns = `s.id, s.secret_hash, s.user_id, COALESCE(u.name, ''), s.claims, s.user_agent, s.address, s.created_at, s.seen_at, s.expires_at, s.revoked_at
	FROM sessions s LEFT JOIN users u ON u.id = s.user_id`

func scanSession(row interface{ Scan(dest ...any) error }) (*sessionRow, error) {
	var s sessionRow
	var claims string
	var created, seen, expires int64
	var revoked sql.NullInt64
	err := row.Scan(&s.ID, &s.hash, &s.UserID, &s.UserName, &claims, &s.UserAgent, &s.Address, &created, &seen, &expires, &revoked)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(claims), &s.claims); err != nil {
		return nil, fmt.Errorf("claims of session %s: %w", s.ID, err)
	}
	s.Created, s.Seen, s.Expires, s.Revoked = database.Time(created), database.Time(seen), database.Time(expires), optionalTime(revoked)
	return &s, nil
}

func readSession(ctx context.Context, q database.Querier, id string) (*sessionRow, error) {
	s, err := scanSession(q.QueryRow(ctx, "SELECT "+sessionColumns+" WHERE s.id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.Missing, "there is no such session")
	}
	if err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	return s, nil
}

func insertSession(ctx context.Context, tx *database.Tx, s *sessionRow) error {
	claims, err := json.Marshal(s.claims)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO sessions (id, secret_hash, user_id, claims, user_agent, address, created_at, seen_at, expires_at, renew_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, s.ID, s.hash, s.UserID, string(claims), s.UserAgent, s.Address,
		database.Micros(s.Created), database.Micros(s.Seen), database.Micros(s.Expires), s.renewAt)
	return err
}

// liveSessions is the condition for sessions that still let somebody in.
func liveSessions(now time.Time, idle time.Duration) (string, []any) {
	return "s.revoked_at IS NULL AND s.expires_at > ? AND s.seen_at > ?", []any{database.Micros(now), database.Micros(now.Add(-idle))}
}

func listSessions(ctx context.Context, q database.Querier, user, live string, args []any, limit, offset int) (list []Session, total int64, err error) {
	terms := []string{live}
	if user != "" {
		terms, args = append(terms, "s.user_id = ?"), append(args, user)
	}
	where := " WHERE " + strings.Join(terms, " AND ")
	if err := q.QueryRow(ctx, "SELECT COUNT(*) FROM sessions s"+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count sessions: %w", err)
	}
	rows, err := q.Query(ctx, "SELECT "+sessionColumns+where+" ORDER BY s.seen_at DESC, s.id LIMIT ? OFFSET ?", append(args, limit, offset)...)
	if err != nil {
		return nil, 0, fmt.Errorf("list sessions: %w", err)
	}
	defer func() { _ = rows.Close() }()
	list = []Session{}
	for rows.Next() {
		s, err := scanSession(rows)
		if err != nil {
			return nil, 0, fmt.Errorf("list sessions: %w", err)
		}
		list = append(list, s.Session)
	}
	return list, total, rows.Err()
}

// revoke marks rows of a table revoked that are not yet, and tells whether there was one.
func revoke(ctx context.Context, tx *database.Tx, table, id string, now time.Time) (bool, error) {
	result, err := tx.Exec(ctx, "UPDATE "+table+" SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", database.Micros(now), id)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}
