package database

import (
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
// Without other columns it leaves an existing row as it is.
func Upsert(d Dialect, table string, keys, columns []string) string {
	all := append(append([]string(nil), keys...), columns...)
	var b strings.Builder
	b.WriteString("INSERT INTO " + table + " (" + strings.Join(all, ", ") + ") VALUES (?")
	b.WriteString(strings.Repeat(", ?", len(all)-1))
	b.WriteString(")")
	if d == MySQL {
		b.WriteString(" ON DUPLICATE KEY UPDATE ")
		if len(columns) == 0 {
			b.WriteString(keys[0] + " = " + keys[0])
		}
	} else {
		b.WriteString(" ON CONFLICT (" + strings.Join(keys, ", ") + ") DO ")
		if len(columns) == 0 {
			b.WriteString("NOTHING")
		} else {
			b.WriteString("UPDATE SET ")
		}
	}
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		if d == MySQL {
			b.WriteString(c + " = VALUES(" + c + ")")
		} else {
			b.WriteString(c + " = excluded." + c)
		}
	}
	return b.String()
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
