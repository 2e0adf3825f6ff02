package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"

	"lodge/internal/access"
	"lodge/internal/database"
)

// store has all SQL of this part. Methods that take a transaction belong to a change that the caller
// makes whole.
type store struct{ db *database.DB }

// one reads a single row; errNotFound if there is none.
func one[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) (v T, _ error) {
	all, err := collect(rows, err, scan)
	if err != nil {
		return v, err
	}
	if len(all) == 0 {
		return v, errNotFound
	}
	return all[0], nil
}

// collect reads all rows; a list of none is empty, as clients expect it.
func collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	all, err := database.Collect(rows, err, scan)
	if err == nil && all == nil {
		all = []T{}
	}
	return all, err
}

func scanDocument(rows *sql.Rows) (json.RawMessage, error) {
	var text string
	err := rows.Scan(&text)
	return json.RawMessage(text), err
}

func scanText(rows *sql.Rows) (text string, err error) { return text, rows.Scan(&text) }

func scanNumber(rows *sql.Rows) (n int64, err error) { return n, rows.Scan(&n) }

// places is "(?, ?, ?)".
func places(n int) string { return "(?" + strings.Repeat(", ?", max(n, 1)-1) + ")" }

func anys[T any](list []T) []any {
	all := make([]any, len(list))
	for i, v := range list {
		all[i] = v
	}
	return all
}

// condition is a WHERE clause in the making.
type condition struct {
	terms []string
	args  []any
}

// and adds a term; "" adds nothing.
func (c *condition) and(term string, args ...any) {
	if term != "" {
		c.terms = append(c.terms, term)
		c.args = append(c.args, args...)
	}
}

// String is the WHERE clause.
func (c *condition) String() string {
	if len(c.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.terms, " AND ")
}

// chunks writes rows of arguments with as few statements as possible. The numbers of rows are powers
// of two, so that a server sees few different statements.
func chunks(ctx context.Context, tx *database.Tx, rows [][]any, statement func(rows int) string) error {
	for size := 64; len(rows) > 0; {
		for size > len(rows) {
			size /= 2
		}
		args := make([]any, 0, size*len(rows[0]))
		for _, row := range rows[:size] {
			args = append(args, row...)
		}
		if _, err := tx.Exec(ctx, statement(size), args...); err != nil {
			return err
		}
		rows = rows[size:]
	}
	return nil
}

// eachChunk calls fn for parts of a list that fit into one statement.
func eachChunk[T any](list []T, fn func([]T) error) error {
	const most = 500
	for len(list) > 0 {
		n := min(len(list), most)
		if err := fn(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// state gives the document of a thing.
func (s *store) state(ctx context.Context, q database.Querier, t thing) (json.RawMessage, error) {
	rows, err := q.Query(ctx, "SELECT data FROM fleet_states WHERE kind = ? AND id = ?", t.kind, t.id)
	return one(rows, err, scanDocument)
}

// listed is which things to list.
type listed struct {
	kind          string
	ids, subtypes []string
	// visible is the condition on groups, see Service.visible with the column groupColumn.
	visible     string
	visibleArgs []any
	page        page
}

// groupColumn is the group of a row of fleet_states in listed.visible.
const groupColumn = "COALESCE(g.group_name, 'site')"

// states lists things by id.
func (s *store) states(ctx context.Context, l listed) ([]json.RawMessage, error) {
	return list(ctx, s, l, "s.data", scanDocument)
}

// stateIDs lists the ids of things.
func (s *store) stateIDs(ctx context.Context, l listed) ([]string, error) {
	return list(ctx, s, l, "s.id", scanText)
}

func list[T any](ctx context.Context, s *store, l listed, column string, scan func(*sql.Rows) (T, error)) ([]T, error) {
	var w condition
	w.and("s.kind = ?", l.kind)
	if len(l.ids) > 0 {
		w.and("s.id IN "+places(len(l.ids)), anys(l.ids)...)
	}
	if len(l.subtypes) > 0 {
		w.and("s.subtype IN "+places(len(l.subtypes)), anys(l.subtypes)...)
	}
	w.and(l.visible, l.visibleArgs...)
	query := "SELECT " + column + " FROM fleet_states s LEFT JOIN fleet_groups g ON g.kind = s.kind AND g.id = s.id" + w.String() + " ORDER BY s.id"
	if l.page.limit > 0 {
		query += " LIMIT ? OFFSET ?"
		w.args = append(w.args, l.page.limit, l.page.offset)
	}
	rows, err := s.db.Query(ctx, query, w.args...)
	return collect(rows, err, scan)
}

// page is a part of a list; a limit of 0 is all of it.
type page struct{ limit, offset int64 }

// putState writes the document of a thing.
func (s *store) putState(ctx context.Context, tx database.Execer, t thing, subtype string, data []byte, now time.Time) error {
	_, err := tx.Exec(ctx, database.Upsert(s.db.Dialect(), "fleet_states", []string{"kind", "id"}, []string{"subtype", "data", "updated_at"}),
		t.kind, t.id, subtype, string(data), database.Micros(now))
	return err
}

// deleteState forgets a thing, and tells whether it was known.
func (s *store) deleteState(ctx context.Context, tx *database.Tx, t thing) (bool, error) {
	done, err := tx.Exec(ctx, "DELETE FROM fleet_states WHERE kind = ? AND id = ?", t.kind, t.id)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n > 0, err
}

// things lists all that was heard of, and when.
func (s *store) things(ctx context.Context) ([]Thing, error) {
	rows, err := s.db.Query(ctx, `SELECT s.kind, s.id, `+groupColumn+`, s.updated_at FROM fleet_states s
		LEFT JOIN fleet_groups g ON g.kind = s.kind AND g.id = s.id WHERE s.kind NOT IN ('map', 'fire_alarm', 'delivery_alert') ORDER BY s.kind, s.id`)
	return collect(rows, err, func(rows *sql.Rows) (t Thing, err error) {
		var group access.Group
		err = rows.Scan(&t.Kind, &t.ID, &group, &t.Heard)
		t.Group, t.Heard = legacyGroup(group), t.Heard/1000
		return t, err
	})
}

// groups reads every assignment.
func (s *store) groups(ctx context.Context) (map[thing]access.Group, error) {
	rows, err := s.db.Query(ctx, "SELECT kind, id, group_name FROM fleet_groups")
	all := map[thing]access.Group{}
	_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var t thing
		var group access.Group
		err = rows.Scan(&t.kind, &t.id, &group)
		all[t] = group
		return none, err
	})
	return all, err
}

// assign puts a thing into a group, and a fleet's tasks with it.
func (s *store) assign(ctx context.Context, tx *database.Tx, t thing, group access.Group) error {
	var err error
	if group == access.Site {
		_, err = tx.Exec(ctx, "DELETE FROM fleet_groups WHERE kind = ? AND id = ?", t.kind, t.id)
	} else {
		_, err = tx.Exec(ctx, database.Upsert(s.db.Dialect(), "fleet_groups", []string{"kind", "id"}, []string{"group_name"}), t.kind, t.id, string(group))
	}
	if err != nil || t.kind != kindFleet {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE fleet_alerts SET group_name = ? WHERE task_id IN (SELECT id FROM fleet_tasks WHERE fleet = ?)`, string(group), t.id); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE fleet_tasks SET group_name = ? WHERE fleet = ?", string(group), t.id)
	return err
}
