package apps

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"lodge/internal/database"
)

// store has all SQL of this part. Methods that take a transaction belong to a change that the caller
// makes whole.
type store struct{ db *database.DB }

// errNoRow says that there is no such row, errStale that it has changed since it was read.
var (
	errNoRow = errors.New("no such row")
	errStale = errors.New("the row has changed")
)

const sessionColumns = `id, owner_id, app, name, host_label, state, cause, message, run, version, driver, entry, options, launched_by,
	cpu, memory, address, image_digest, step, percent, exit_info, log_tail, failures,
	created_at, queued_at, started_at, ready_at, ended_at, grace_until, extended, warned_at, active_at, active_by, idle_us, life_us, warn_us, probes`

// readColumns are those and what is written by itself.
const readColumns = sessionColumns + ", COALESCE(visitor, ''), visited_at"

func scanSession(row interface{ Scan(...any) error }) (Session, error) {
	var s Session
	var entry, options, by, exit, failures string
	var at [9]int64
	var extended int64
	var derived [4]int64
	err := row.Scan(&s.ID, &s.OwnerID, &s.App, &s.Name, &s.Host, &s.State, &s.Cause, &s.Message, &s.Run, &s.Version, &s.Driver, &entry, &options, &by,
		&s.CPU, &s.Memory, &s.Address, &s.ImageDigest, &s.Step, &s.Percent, &exit, &s.LogTail, &failures,
		&at[0], &at[1], &at[2], &at[3], &at[4], &at[5], &extended, &at[6], &at[7], &s.ActiveBy, &derived[0], &derived[1], &derived[2], &derived[3], &s.Visitor, &at[8])
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, errNoRow
	}
	if err != nil {
		return Session{}, err
	}
	for i, to := range []*time.Time{&s.Created, &s.Queued, &s.Started, &s.Ready, &s.Ended, &s.GraceUntil, &s.Warned, &s.Active, &s.Visited} {
		*to = moment(at[i])
	}
	s.Extended = time.Duration(extended) * time.Microsecond
	for _, column := range []struct {
		text string
		to   any
	}{{entry, &s.Entry}, {options, &s.Options}, {by, &s.By}, {exit, &s.Exit}, {failures, &s.Failures}} {
		if column.text == "" || column.text == "null" {
			continue
		}
		if err := json.Unmarshal([]byte(column.text), column.to); err != nil {
			return Session{}, fmt.Errorf("app session %s: %w", s.ID, err)
		}
	}
	return s, nil
}

// moment is the time of a column in which 0 is never.
func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return database.Time(us)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return database.Micros(t)
}

// values lists a row's columns but the first five, which never change.
func (s *Session) values() ([]any, error) {
	texts := make([]string, 0, 5)
	for _, v := range []any{s.Entry, s.Options, s.By, s.Exit, s.Failures} {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("app session %s: %w", s.ID, err)
		}
		texts = append(texts, string(text))
	}
	c := s.clock()
	probes := 0
	if c.probes {
		probes = 1
	}
	return []any{
		s.State, s.Cause, clip(s.Message, 1000), s.Run, s.Version, s.Driver, texts[0], texts[1], texts[2],
		s.CPU, s.Memory, s.Address, s.ImageDigest, s.Step, s.Percent, texts[3], storable(s.LogTail), texts[4],
		micros(s.Created), micros(s.Queued), micros(s.Started), micros(s.Ready), micros(s.Ended), micros(s.GraceUntil),
		s.Extended.Microseconds(), micros(s.Warned), micros(s.Active), s.ActiveBy,
		c.idle.Microseconds(), c.life.Microseconds(), c.warn.Microseconds(), probes,
	}, nil
}

func (st *store) session(ctx context.Context, q database.Querier, id string) (Session, error) {
	return scanSession(q.QueryRow(ctx, "SELECT "+readColumns+" FROM app_sessions WHERE id = ?", id))
}

func (st *store) sessionOf(ctx context.Context, q database.Querier, owner string, app AppID, name string) (Session, error) {
	return scanSession(q.QueryRow(ctx, "SELECT "+readColumns+" FROM app_sessions WHERE owner_id = ? AND app = ? AND name = ?", owner, string(app), name))
}

func (st *store) insertSession(ctx context.Context, tx *database.Tx, s *Session) error {
	values, err := s.values()
	if err != nil {
		return err
	}
	all := append([]any{s.ID, s.OwnerID, s.App, s.Name, s.Host}, values...)
	_, err = tx.Exec(ctx, "INSERT INTO app_sessions ("+sessionColumns+") VALUES (?"+strings.Repeat(", ?", len(all)-1)+")", all...)
	return err
}

// updateSession writes a row that was read as version s.Version; afterwards that is one more.
func (st *store) updateSession(ctx context.Context, tx *database.Tx, s *Session) error {
	was := s.Version
	s.Version++
	values, err := s.values()
	if err != nil {
		return err
	}
	result, err := tx.Exec(ctx, `UPDATE app_sessions SET state = ?, cause = ?, message = ?, run = ?, version = ?, driver = ?, entry = ?, options = ?, launched_by = ?,
		cpu = ?, memory = ?, address = ?, image_digest = ?, step = ?, percent = ?, exit_info = ?, log_tail = ?, failures = ?,
		created_at = ?, queued_at = ?, started_at = ?, ready_at = ?, ended_at = ?, grace_until = ?, extended = ?, warned_at = ?, active_at = ?, active_by = ?, idle_us = ?, life_us = ?, warn_us = ?, probes = ?
		WHERE id = ? AND version = ?`, append(values, s.ID, was)...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errStale)
	}
	return nil
}

// noteVisit keeps who used an app session last of those whose it is not. It is no change that a start or
// a stop would have to know of.
func (st *store) noteVisit(ctx context.Context, tx *database.Tx, id, visitor string, now time.Time) error {
	_, err := tx.Exec(ctx, "UPDATE app_sessions SET visitor = ?, visited_at = ? WHERE id = ?", clip(visitor, 255), micros(now), id)
	return err
}

func (st *store) deleteSession(ctx context.Context, tx *database.Tx, id string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM app_events WHERE session_id = ?", id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "DELETE FROM app_sessions WHERE id = ?", id)
	return err
}

// filter narrows a list of app sessions; zero fields do not.
type filter struct {
	owner, app, driver string
	states             []State
	host               string
	apps               []AppID
	limit, offset      int
}

func (f filter) where() (string, []any) {
	where, args := "1 = 1", []any{}
	add := func(column, value string) {
		if value != "" {
			where += " AND " + column + " = ?"
			args = append(args, value)
		}
	}
	add("owner_id", f.owner)
	add("app", f.app)
	add("driver", f.driver)
	add("host_label", f.host)
	if len(f.states) > 0 {
		where += " AND state IN (?" + strings.Repeat(", ?", len(f.states)-1) + ")"
		for _, s := range f.states {
			args = append(args, string(s))
		}
	}
	if len(f.apps) > 0 {
		where += " AND app IN (?" + strings.Repeat(", ?", len(f.apps)-1) + ")"
		for _, a := range f.apps {
			args = append(args, string(a))
		}
	}
	return where, args
}

func (st *store) sessions(ctx context.Context, q database.Querier, f filter) ([]Session, error) {
	where, args := f.where()
	query := "SELECT " + readColumns + " FROM app_sessions WHERE " + where + " ORDER BY queued_at DESC, id"
	if f.limit > 0 {
		query += " LIMIT ? OFFSET ?"
		args = append(args, f.limit, f.offset)
	}
	rows, err := q.Query(ctx, query, args...)
	return database.Collect(rows, err, func(rows *sql.Rows) (Session, error) { return scanSession(rows) })
}

func (st *store) countSessions(ctx context.Context, q database.Querier, f filter) (n int64, err error) {
	where, args := f.where()
	err = q.QueryRow(ctx, "SELECT COUNT(*) FROM app_sessions WHERE "+where, args...).Scan(&n)
	return n, err
}

// takeTurn makes launches on all replicas wait for one another until the transaction ends, so that
// counting and adding are one.
func (st *store) takeTurn(ctx context.Context, tx *database.Tx) error {
	result, err := tx.Exec(ctx, "UPDATE app_gate SET counter = counter + 1 WHERE id = 1")
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	// The very first time. Who inserts at the same time waits, and takes its turn then.
	if _, err = tx.Exec(ctx, database.InsertAbsent(st.db.Dialect(), "app_gate", []string{"id"}, []string{"counter"}), 1, 0); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE app_gate SET counter = counter + 1 WHERE id = 1")
	return err
}

// usage counts what is live, for one person and app and on the whole.
func (st *store) usage(ctx context.Context, q database.Querier, owner string, app AppID) (u usage, err error) {
	err = q.QueryRow(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN owner_id = ? THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN app = ? THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN state = 'queued' THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN owner_id = ? THEN cpu ELSE 0 END), 0), COALESCE(SUM(CASE WHEN owner_id = ? AND memory > 0 THEN memory ELSE 0 END), 0)
		FROM app_sessions WHERE state IN ('queued', 'starting', 'ready', 'stopping')`, owner, string(app), owner, owner).
		Scan(&u.all, &u.mine, &u.ofApp, &u.queued, &u.cpu, &u.memory)
	return u, err
}

// waiting lists app sessions in a state as the queue sees them.
func (st *store) waiting(ctx context.Context, q database.Querier, state State) ([]waiting, error) {
	rows, err := q.Query(ctx, "SELECT id, owner_id, app, queued_at FROM app_sessions WHERE state = ? ORDER BY queued_at, id LIMIT 10000", string(state))
	return database.Collect(rows, err, func(rows *sql.Rows) (w waiting, err error) {
		var since int64
		err = rows.Scan(&w.id, &w.owner, &w.app, &since)
		w.since = moment(since)
		return w, err
	})
}

// failingApps lists apps that have lately failed for many people.
func (st *store) failingApps(ctx context.Context, q database.Querier, since time.Time) (map[AppID]bool, error) {
	rows, err := q.Query(ctx, `SELECT app FROM app_sessions WHERE state = 'failed' AND ended_at > ?
		AND cause IN ('exited_early', 'crashed', 'not_answering', 'start_timeout', 'out_of_memory')
		GROUP BY app HAVING COUNT(DISTINCT owner_id) >= ?`, micros(since), failingPeople)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	failing := map[AppID]bool{}
	for rows.Next() {
		var app AppID
		if err := rows.Scan(&app); err != nil {
			return nil, err
		}
		failing[app] = true
	}
	return failing, rows.Err()
}

// addEvent keeps one event of an app session. Its number is the row's version, so it grows with it.
func (st *store) addEvent(ctx context.Context, tx *database.Tx, s *Session, at time.Time, p Progress) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO app_events (session_id, seq, at, body) VALUES (?, ?, ?, ?)", s.ID, s.Version, micros(at), string(body))
	return err
}

func (st *store) clearEvents(ctx context.Context, tx *database.Tx, id string) error {
	_, err := tx.Exec(ctx, "DELETE FROM app_events WHERE session_id = ?", id)
	return err
}

// storedEvent is an event with its number.
type storedEvent struct {
	seq  int64
	body Progress
}

func (st *store) events(ctx context.Context, q database.Querier, id string, after int64) ([]storedEvent, error) {
	rows, err := q.Query(ctx, "SELECT seq, at, body FROM app_events WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT 1000", id, after)
	return database.Collect(rows, err, func(rows *sql.Rows) (e storedEvent, err error) {
		var at int64
		var body string
		if err := rows.Scan(&e.seq, &at, &body); err != nil {
			return e, err
		}
		err = json.Unmarshal([]byte(body), &e.body)
		e.body.At = moment(at)
		return e, err
	})
}

// writeActivity moves the last activity on, never back.
func (st *store) writeActivity(ctx context.Context, id, by string, at time.Time) error {
	_, err := st.db.Exec(ctx, "UPDATE app_sessions SET active_at = ?, active_by = ?, version = version + 1 WHERE id = ? AND active_at < ?", micros(at), by, id, micros(at))
	return err
}

// clip makes a text fit a column.
func clip(text string, limit int) string {
	text = storable(text)
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit])
}

// storable makes any text one that every database takes.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
