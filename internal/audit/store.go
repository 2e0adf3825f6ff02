package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lodge/internal/database"
	"lodge/internal/fault"
)

const (
	columns = "id, at, caller, caller_id, credential, action, group_name, object, outcome, rule, detail, request_id, address"
	values  = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	// one is the statement of most calls; it is written once.
	one = "INSERT INTO audit_records (" + columns + ") VALUES " + values
)

func insert(ctx context.Context, tx *database.Tx, records []Record) error {
	query := one
	if len(records) > 1 {
		query += strings.Repeat(", "+values, len(records)-1)
	}
	args := make([]any, 0, 13*len(records))
	for i := range records {
		r := &records[i]
		args = append(args, r.ID, database.Micros(r.At), r.Caller, r.CallerID, r.Credential, r.Action, r.Group, r.Object,
			r.Outcome, r.Rule, r.Detail, r.RequestID, r.Address)
	}
	_, err := tx.Exec(ctx, query, args...)
	return err
}

func scan(rows *sql.Rows) (r Record, err error) {
	var at int64
	var seq sql.NullInt64
	var prev, hash sql.NullString
	err = rows.Scan(&r.ID, &at, &r.Caller, &r.CallerID, &r.Credential, &r.Action, &r.Group, &r.Object,
		&r.Outcome, &r.Rule, &r.Detail, &r.RequestID, &r.Address, &seq, &prev, &hash)
	r.At, r.Seq, r.PrevHash, r.Hash = database.Time(at), seq.Int64, prev.String, hash.String
	return r, err
}

// read gives the records of a query that continues "SELECT … FROM audit_records ".
func read(ctx context.Context, q database.Querier, rest string, args ...any) (list []Record, err error) {
	rows, err := q.Query(ctx, "SELECT "+columns+", seq, prev_hash, hash FROM audit_records "+rest, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Filter says which records to list; zero values leave none out.
type Filter struct {
	// Caller is a name, or an id (issuer|subject).
	Caller                            string
	Credential, Action, Group, Object string
	Outcome, RequestID, Address       string
	// Since is the first moment that counts, Until the first that does not any more.
	Since, Until time.Time
	// Text is part of the caller, the object, the rule or the detail, in any case.
	Text string
}

func (f Filter) where() (terms []string, args []any) {
	and := func(term string, values ...any) {
		terms, args = append(terms, term), append(args, values...)
	}
	caller := "caller"
	if strings.Contains(f.Caller, "|") {
		caller = "caller_id"
	}
	for _, c := range []struct{ column, value string }{
		{caller, f.Caller},
		{"credential", f.Credential},
		{"action", f.Action},
		{"group_name", f.Group},
		{"object", f.Object},
		{"outcome", f.Outcome},
		{"request_id", f.RequestID},
		{"address", f.Address},
	} {
		if c.value != "" {
			and(c.column+" = ?", fit(c.value, maxObject))
		}
	}
	if !f.Since.IsZero() {
		and("at >= ?", database.Micros(f.Since))
	}
	if !f.Until.IsZero() {
		and("at < ?", database.Micros(f.Until))
	}
	if f.Text != "" {
		like := database.Contains(strings.ToLower(fit(f.Text, maxObject)))
		and("(LOWER(caller) LIKE ? ESCAPE '!' OR LOWER(object) LIKE ? ESCAPE '!' OR LOWER(rule) LIKE ? ESCAPE '!' OR LOWER(detail) LIKE ? ESCAPE '!')",
			like, like, like, like)
	}
	return terms, args
}

func clause(terms []string) string {
	if len(terms) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(terms, " AND ")
}

// Cursor marks a place in a list, from the newest record to the oldest.
type Cursor struct {
	at int64
	id string
}

// String is the cursor as it is handed out. The zero Cursor, which is before all records, is "".
func (c Cursor) String() string {
	if c.id == "" {
		return ""
	}
	return strconv.FormatInt(c.at, 10) + "-" + c.id
}

// ParseCursor reads a cursor that was handed out.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	at, id, found := strings.Cut(text, "-")
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil || !found || id == "" || len(id) > 36 || fit(id, 36) != id {
		return Cursor{}, fault.InvalidFields(fault.Field{
			Loc: []string{"query", "cursor"}, Type: "value", Message: "this is no cursor; take the one of the page before", Input: text,
		})
	}
	return Cursor{n, id}, nil
}

// List gives up to limit records after the cursor, the newest first, and the
// cursor of what follows; the zero one when nothing does.
func (l *Log) List(ctx context.Context, f Filter, after Cursor, limit int) ([]Record, Cursor, error) {
	return l.page(ctx, f, after, limit, 0)
}

// Page gives the records from offset on, the newest first, and how many there are in all.
func (l *Log) Page(ctx context.Context, f Filter, limit, offset int) ([]Record, Cursor, int64, error) {
	terms, args := f.where()
	var total int64
	if err := l.db.QueryRow(ctx, "SELECT COUNT(*) FROM audit_records "+clause(terms), args...).Scan(&total); err != nil {
		return nil, Cursor{}, 0, fmt.Errorf("count audit records: %w", err)
	}
	list, next, err := l.page(ctx, f, Cursor{}, limit, offset)
	return list, next, total, err
}

func (l *Log) page(ctx context.Context, f Filter, after Cursor, limit, offset int) ([]Record, Cursor, error) {
	terms, args := f.where()
	if after.id != "" {
		terms = append(terms, "at <= ?", "(at < ? OR id < ?)")
		args = append(args, after.at, after.at, after.id)
	}
	// One more than asked for tells whether anything follows.
	list, err := read(ctx, l.db, clause(terms)+" ORDER BY at DESC, id DESC LIMIT ? OFFSET ?", append(args, limit+1, offset)...)
	if err != nil {
		return nil, Cursor{}, fmt.Errorf("list audit records: %w", err)
	}
	if len(list) <= limit {
		return list, Cursor{}, nil
	}
	list = list[:limit]
	last := list[limit-1]
	return list, Cursor{database.Micros(last.At), last.ID}, nil
}

// streamPage is how many records an export holds in memory.
const streamPage = 500

// Stream gives every record to fn, the newest first. It reads page by page, so
// that a slow reader keeps neither a transaction open nor much in memory.
func (l *Log) Stream(ctx context.Context, f Filter, fn func(Record) error) error {
	var at Cursor
	for {
		list, next, err := l.List(ctx, f, at, streamPage)
		if err != nil {
			return err
		}
		for _, r := range list {
			if err := fn(r); err != nil {
				return err
			}
		}
		if next == (Cursor{}) {
			return nil
		}
		at = next
	}
}

// isNone reports that a row is not there.
func isNone(err error) bool { return errors.Is(err, sql.ErrNoRows) }
