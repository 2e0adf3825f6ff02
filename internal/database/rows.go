package database

import "database/sql"

// Collect reads all rows of a query and closes them; nil when there is none. It takes what Query gives.
func Collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// Flag is a truth as its column has it: 0 or 1, which every database knows.
func Flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
