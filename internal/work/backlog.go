package work

import (
	"context"
	"fmt"
)

// Backlog is how many items of a kind are in a state other than done.
type Backlog struct {
	Kind  string
	State State
	Items int64
}

// Backlog counts what is not done, by kind and state.
func (q *Queue) Backlog(ctx context.Context) ([]Backlog, error) {
	rows, err := q.db.Query(ctx, "SELECT kind, state, COUNT(*) FROM work WHERE state <> ? GROUP BY kind, state", string(Done))
	if err != nil {
		return nil, fmt.Errorf("count the work: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var list []Backlog
	for rows.Next() {
		var b Backlog
		if err := rows.Scan(&b.Kind, &b.State, &b.Items); err != nil {
			return nil, fmt.Errorf("count the work: %w", err)
		}
		list = append(list, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count the work: %w", err)
	}
	return list, nil
}
