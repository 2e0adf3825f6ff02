package work

import (
	"context"
	"fmt"

	"lodge/internal/database"
)

// Inherit ends the leases of all workers and duties, so that nothing waits for the leases of dead ones to
// run out. Only a server that is certainly alone on its database may call it, before it works itself:
// one that holds the lock of the folder that the database is in.
func (q *Queue) Inherit(ctx context.Context) error {
	err := q.db.Tx(ctx, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE leases SET until = 0 WHERE until > 0"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE work SET lease_until = 0 WHERE state = ?", string(Running))
		return err
	})
	if err != nil {
		return fmt.Errorf("inherit the work of an earlier server: %w", err)
	}
	return nil
}
