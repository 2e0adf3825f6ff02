package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"lodge/internal/fault"
)

// IsDuplicate reports whether a row was refused because its key is there already.
func IsDuplicate(err error) bool {
	switch state, number, code := codes(err); {
	case state == "23505":
		return true
	case number == 1062 || number == 1169 || number == 1586:
		return true
	default:
		return code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY ||
			code == sqlite3.SQLITE_CONSTRAINT_ROWID
	}
}

// IsFull reports whether the database has no room left.
func IsFull(err error) bool {
	state, number, code := codes(err)
	return state == "53100" || number == 1021 || number == 1114 || code&0xff == sqlite3.SQLITE_FULL
}

// isConflict reports whether a transaction lost against another and may be tried again.
func isConflict(err error) bool {
	state, number, _ := codes(err)
	return state == "40001" || state == "40P01" || number == 1213 || number == 1205
}

// isAway reports whether the database could not be reached, broke off or is not ready.
func isAway(err error) bool {
	var network net.Error
	switch {
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errClosed):
		return true
	case errors.As(err, &network):
		return true
	}
	state, number, code := codes(err)
	switch number {
	case 1040, 1053, 1077, 1079, 1129, 1203, 1317, 1927:
		return true
	}
	return strings.HasPrefix(state, "08") || strings.HasPrefix(state, "57P") || state == "53300" ||
		code&0xff == sqlite3.SQLITE_BUSY
}

// isMisfit reports whether a value does not fit its column.
func isMisfit(err error) bool {
	state, number, _ := codes(err)
	return state == "22001" || state == "22021" || state == "22P05" || number == 1406 || number == 1366
}

// codes are what the servers and SQLite say of an error: PostgreSQL's state, MySQL's
// number, SQLite's code.
func codes(err error) (state string, number uint16, code int) {
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	var lite *sqlite.Error
	switch {
	case err == nil:
	case errors.As(err, &pg):
		state = pg.Code
	case errors.As(err, &my):
		number = my.Number
	case errors.As(err, &lite):
		code = lite.Code()
	}
	return state, number, code
}

// explain gives an error of the database its kind. Errors that have one, and those of
// a context that ended, stay as they are.
func explain(err error) error {
	var known *fault.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case IsFull(err):
		return fault.Wrap(err, fault.Full, "the database is full")
	case isAway(err):
		return fault.Wrap(err, fault.Unavailable, "the database cannot be reached")
	case isMisfit(err):
		return fault.Wrap(err, fault.Invalid, "a value is too long or cannot be stored")
	}
	return err
}
