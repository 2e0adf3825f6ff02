package e2e

import (
	"net/url"
	"os/exec"
	"strings"
	"testing"
)

// fleetState is what a story reads of a fleet.
type fleetState struct {
	Name   string `json:"name"`
	Robots map[string]struct {
		Status  string  `json:"status"`
		Battery float64 `json:"battery"`
	} `json:"robots"`
}

// taskState is what a story reads of a task.
type taskState struct {
	Booking struct {
		ID string `json:"id"`
	} `json:"booking"`
	Status     string `json:"status"`
	AssignedTo *struct {
		Group string `json:"group"`
		Name  string `json:"name"`
	} `json:"assigned_to"`
}

// TestFleet dispatches a task a moment after the start, as somebody new would, and sees simulated
// robots carry it out. Who has no right learns which one; the site ends with its server.
func TestFleet(t *testing.T) {
	t.Parallel()
	l := startLodge(t, simulated)
	site := l.administrator()
	eventually(t, "both fleets with their eight robots report", func() bool {
		robots := 0
		fleets := parse[[]fleetState](site.get("/fleet/fleets").is(200))
		for _, f := range fleets {
			robots += len(f.Robots)
		}
		return len(fleets) == 2 && robots == 8
	})
	eventually(t, "the building map is there", func() bool { return site.get("/fleet/building_map").status == 200 })
	eventually(t, "five doors and a lift are there", func() bool {
		return len(parse[[]any](site.get("/fleet/doors").is(200))) == 5 && len(parse[[]any](site.get("/fleet/lifts").is(200))) == 1
	})

	patrol := map[string]any{"type": "dispatch_task_request", "request": map[string]any{
		"category": "patrol", "unix_millis_earliest_start_time": 0,
		"description": map[string]any{"places": []string{"lobby", "reception"}, "rounds": 1},
	}}
	visitor := l.token("visitor")
	visitor.send("POST", "/fleet/tasks/dispatch_task", patrol).is(403, "fleet.tasks.submit")
	visitor.get("/fleet/tasks").is(403, "fleet.tasks.read")

	answer := parse[struct {
		Success bool      `json:"success"`
		State   taskState `json:"state"`
	}](site.send("POST", "/fleet/tasks/dispatch_task", patrol).is(200))
	id := answer.State.Booking.ID
	if !answer.Success || id == "" {
		t.Fatalf("the task was not taken: %+v", answer)
	}
	var done taskState
	eventually(t, "a robot has carried the task out", func() bool {
		done = parse[taskState](site.get("/fleet/tasks/" + url.PathEscape(id) + "/state").is(200))
		return done.Status == "completed"
	})
	if done.AssignedTo == nil || done.AssignedTo.Name == "" {
		t.Errorf("nobody knows who did it: %+v", done)
	}
	site.get("/fleet/tasks/"+url.PathEscape(id)+"/log").is(200, "phases")

	// The state and the log are kept, and the site goes with its server, however that ends.
	l.kill()
	eventually(t, "the simulated site has ended", func() bool {
		out, _ := exec.CommandContext(t.Context(), "pgrep", "-af", "simulate site").Output()
		return !strings.Contains(string(out), "--lodge "+l.url()+"/fleet")
	})
	l.start()
	again := parse[taskState](site.get("/fleet/tasks/" + url.PathEscape(id) + "/state").is(200))
	equal(t, "the task's state after a crash", again.Status, "completed")
}
