package work

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
)

// A server that is alone goes on at once where a killed one was; what that one still says is not heard.
func TestInherit(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		dead := NewQueue(db, nil, time.Now, slog.New(slog.DiscardHandler))
		give(t, dead, "one", 0)
		give(t, dead, "later", time.Hour)
		cfg := WorkerConfig{Lease: time.Hour}
		old, ok := claimOne(t, dead, cfg)
		if !ok {
			t.Fatal("there is nothing to claim")
		}
		if _, got, err := dead.Lease("duty", time.Hour).acquire(t.Context(), "dead"); err != nil || !got {
			t.Fatalf("the duty is not to be had: %v", err)
		}

		next := NewQueue(db, nil, time.Now, slog.New(slog.DiscardHandler))
		if _, ok := claimOne(t, next, cfg); ok {
			t.Fatal("what another has can be claimed")
		}
		if err := next.Inherit(t.Context()); err != nil {
			t.Fatal(err)
		}
		taken, ok := claimOne(t, next, cfg)
		if !ok || taken.id != "one" || taken.attempts != 2 {
			t.Fatalf("inherited %+v, want the second attempt at one", taken)
		}
		if ours, err := dead.renew(t.Context(), old, time.Now().Add(time.Hour)); err != nil || ours {
			t.Errorf("the dead one's claim can be renewed: %v", err)
		}
		if _, ok := claimOne(t, next, cfg); ok {
			t.Error("what is not due was inherited")
		}
		begun := false
		err := next.Lease("duty", time.Hour).Run(t.Context(), func(context.Context) error {
			begun = true
			return nil
		})
		if err != nil || !begun {
			t.Errorf("the duty did not begin: %v", err)
		}
	})
}
