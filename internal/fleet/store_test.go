package fleet

import (
	"testing"
	"time"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
)

// TestOnEveryDatabase runs what is most about SQL on all of them.
func TestOnEveryDatabase(t *testing.T) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, *site)
	}{
		{"queries", queryTasks}, {"logs", logTasks}, {"fleets", fleetStates}, {"retention", prunes}, {"schedules", schedulesStored}, {"paused schedules", pausedStored}, {"groups", groupsFilter},
	} {
		t.Run(part.name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, db *database.DB) {
				part.run(t, newSite(t, func(set *setup) {
					set.db = db
					// Elsewhere the service's own duty would prune what a test stores with old times.
					if part.name == "retention" {
						set.cfg.Retention = Retention{Tasks: 48 * time.Hour, Logs: time.Hour, Alerts: time.Hour}
					}
				}))
			})
		})
	}
}
