package database

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Micros is how a time is stored: microseconds since 1970.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// Time is the time that was stored as microseconds, in UTC.
func Time(us int64) time.Time { return time.UnixMicro(us).UTC() }

// Upsert writes the statement that inserts a row with the key columns and the other
// columns, in this order, or sets the other columns when the keys are there already.
func Upsert(d Dialect, table string, keys, columns []string) string {
	return insert(d, table, keys, columns, columns, 1)
}

// UpsertRows is Upsert of several rows at once, no two of which may have the same keys.
func UpsertRows(d Dialect, table string, keys, columns []string, rows int) string {
	return insert(d, table, keys, columns, columns, rows)
}

// InsertAbsent writes the statement that inserts a row with the key columns and the other
// columns, in this order, or leaves the row as it is when the keys are there already.
func InsertAbsent(d Dialect, table string, keys, columns []string) string {
	return insert(d, table, keys, columns, nil, 1)
}

// InsertAbsentRows is InsertAbsent of several rows at once. Of those with the same keys one is kept.
func InsertAbsentRows(d Dialect, table string, keys, columns []string, rows int) string {
	return insert(d, table, keys, columns, nil, rows)
}

// insert writes a statement that sets the columns in update when the keys are there already.
func insert(d Dialect, table string, keys, columns, update []string, rows int) string {
	all := slices.Concat(keys, columns)
	values := "(?" + strings.Repeat(", ?", len(all)-1) + ")"
	statement := "INSERT INTO " + table + " (" + strings.Join(all, ", ") + ") VALUES " + values + strings.Repeat(", "+values, rows-1)
	set := make([]string, len(update))
	for i, c := range update {
		if d == MySQL {
			set[i] = c + " = VALUES(" + c + ")"
		} else {
			set[i] = c + " = excluded." + c
		}
	}
	switch {
	case d == MySQL && len(set) == 0:
		// INSERT IGNORE would ignore more than that the keys are there.
		return statement + " ON DUPLICATE KEY UPDATE " + keys[0] + " = " + keys[0]
	case d == MySQL:
		return statement + " ON DUPLICATE KEY UPDATE " + strings.Join(set, ", ")
	case len(set) == 0:
		return statement + " ON CONFLICT (" + strings.Join(keys, ", ") + ") DO NOTHING"
	}
	return statement + " ON CONFLICT (" + strings.Join(keys, ", ") + ") DO UPDATE SET " + strings.Join(set, ", ")
}

// Contains is the pattern of texts that contain the given one, for LIKE ? ESCAPE '!'.
func Contains(text string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text) + "%"
}

// rebind numbers the placeholders for PostgreSQL. Question marks in quotes stay.
func rebind(d Dialect, query string) string {
	if d != Postgres || !strings.Contains(query, "?") {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 16)
	n := 0
	var quote byte
	for i := range len(query) {
		c := query[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '?':
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
