package e2e

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFleetROS is a day at a building whose robots, doors and lifts are reached through rosbridge.
func TestFleetROS(t *testing.T) {
	t.Parallel()
	root, b := startBuilding(t, 40)
	requests(t, root)
	needsHelp(t, root, b)
	silence(t, root)
	bridgeAway(t, root, b)
}

// requests is the story of somebody who opens a door and calls the lift, and sees both happen.
func requests(t *testing.T, root caller) {
	door := root.listenTo("/fleet/events/doors/lab_door/state")
	lift := root.listenTo("/fleet/events/lifts/lift_1/state")
	root.send("POST", "/fleet/doors/lab_door/request", map[string]int{"mode": 2}).is(200, "null")
	eventually(t, "the door is told to be open", func() bool { return door.mentions(`"current_mode":{"value":2}`) })
	if !root.doorIs("lab_door", 2) {
		t.Error("who asks after being told of the open door is answered otherwise")
	}
	root.send("POST", "/fleet/doors/lab_door/request", map[string]int{"mode": 0}).is(200, "null")
	eventually(t, "the door is closed", func() bool { return root.doorIs("lab_door", 0) })

	call := map[string]any{"request_type": 1, "door_mode": 2, "destination": "L2"}
	root.send("POST", "/fleet/lifts/lift_1/request", call).is(200, "null")
	eventually(t, "the lift is on the second floor, open, and ours", func() bool {
		return lift.mentions(`"current_floor":"L2"`, `"door_state":2`, `"session_id":"rmf_api_server"`)
	})
	call["request_type"], call["door_mode"] = 0, 0
	root.send("POST", "/fleet/lifts/lift_1/request", call).is(200, "null")
	eventually(t, "the lift is anybody's again", func() bool {
		return !strings.Contains(root.get("/fleet/lifts/lift_1/state").is(200).body, `"session_id":"rmf_api_server"`)
	})
}

type alert struct {
	ID        string   `json:"id"`
	Title     string   `json:"title"`
	Responses []string `json:"responses_available"`
	TaskID    *string  `json:"task_id"`
}

// needsHelp is the story of robots that get stuck and ask for help: one goes on, one gives up.
func needsHelp(t *testing.T, root caller, b *building) {
	told, answers := root.listenTo("/fleet/events/alerts/requests"), root.listenTo("/fleet/events/alerts/responses")
	for _, c := range []struct{ answer, then string }{{"Try again", "completed"}, {"Give up", "failed"}} {
		task := root.dispatch(2, "lab_bench", "lobby")
		root.becomes(task, "underway")
		robot := root.task(task).AssignedTo
		b.control("robots/"+robot.Group+"/"+robot.Name+"/stick", `{"why":"A cat"}`)
		var asked alert
		eventually(t, "the robot asks for help", func() bool {
			list := parse[[]alert](root.get("/fleet/alerts/requests/task/" + task).is(200))
			i := slices.IndexFunc(list, func(a alert) bool { return a.Title == "Robot needs help" })
			if i >= 0 {
				asked = list[i]
			}
			return i >= 0
		})
		eventually(t, "everybody is told", func() bool { return told.mentions(asked.ID, "A cat") })
		equal(t, "robots in trouble", len(b.look().Troubles), 1)
		respond := "/fleet/alerts/request/" + asked.ID + "/respond?response="
		root.send("POST", respond+"Shrug", nil).is(400, "not a response option")
		root.send("POST", respond+strings.ReplaceAll(c.answer, " ", "%20"), nil).is(201, c.answer)
		root.send("POST", respond+"Give%20up", nil).is(409, "already has a response of "+c.answer)
		eventually(t, "the answer is told", func() bool { return answers.mentions(asked.ID, c.answer) })
		eventually(t, "the robot is free", func() bool { return len(b.look().Troubles) == 0 })
		root.becomes(task, c.then)
		for _, a := range parse[[]alert](root.get("/fleet/alerts/unresponded_requests").is(200)) {
			if a.ID == asked.ID {
				t.Error("the alert that was answered still waits for an answer")
			}
		}
	}
}

// silence is the story of a request that nobody at the building answers.
func silence(t *testing.T, root caller) {
	began := time.Now()
	root.send("POST", "/fleet/tasks/task_discovery", map[string]string{"type": "task_discovery_request"}).is(500, `{"detail":"rmf service timed out"}`)
	if took := time.Since(began); took < 5*time.Second || took > 20*time.Second {
		t.Errorf("that nobody answers is told after %s, not 5 s", took)
	}
	// What RMF would be silent about is known here.
	cancel := map[string]string{"type": "cancel_task_request", "task_id": "patrol.dispatch-none"}
	root.send("POST", "/fleet/tasks/cancel_task", cancel).is(404)
}

// bridgeAway is the story of a building that loses its power, and of how it comes back.
func bridgeAway(t *testing.T, root caller, b *building) {
	old := root.dispatch(1, "reception", "lobby")
	root.becomes(old, "completed")
	b.server.kill()
	nobody := root.nobody()
	eventually(t, "the server knows that ROS is away", func() bool {
		return strings.Contains(nobody.get("/readyz").body, `"name":"ros","state":"failed"`)
	})
	nobody.get("/readyz").is(200) // it does what it can
	root.get("/fleet/tasks/"+old+"/state").is(200, "completed")
	for path, body := range map[string]any{
		"/doors/lab_door/request": map[string]int{"mode": 2}, "/lifts/lift_1/request": map[string]any{"request_type": 1, "door_mode": 2, "destination": "L1"},
		"/tasks/dispatch_task": patrol(1, "lobby"), "/building_map/reset_fire_alarm_trigger": nil,
	} {
		began := time.Now()
		away := root.send("POST", "/fleet"+path, body).is(503, "the ROS bridge is not connected")
		if took := time.Since(began); took > 4*time.Second || away.header.Get("Retry-After") == "" {
			t.Errorf("%s: %s after %s: %v", path, away.body, took, away.header)
		}
	}

	door := root.listenTo("/fleet/events/doors/lab_door/state")
	b.start()
	eventually(t, "the server knows that ROS is back", func() bool {
		return strings.Contains(nobody.get("/readyz").body, `"name":"ros","state":"ok"`)
	})
	eventually(t, "a door opens on request", func() bool {
		return root.send("POST", "/fleet/doors/lab_door/request", map[string]int{"mode": 2}).status == 200 && door.mentions(`"current_mode":{"value":2}`)
	})
	b.isKnownTo(root)
	root.becomes(root.dispatch(1, "reception", "lobby"), "completed")

	// A connection that breaks is less than a power cut: the building goes on with its work meanwhile.
	task := root.dispatch(2, "lab_bench", "lobby")
	root.becomes(task, "underway")
	b.control("link", `{"bridge":false,"adapters":false}`)
	eventually(t, "the server knows that ROS is away", func() bool {
		return strings.Contains(nobody.get("/readyz").body, `"name":"ros","state":"failed"`)
	})
	eventually(t, "the building has done the task", func() bool { return b.look().Tasks == 0 })
	b.control("link", `{"bridge":true,"adapters":true}`)
	root.becomes(task, "completed")
}

// TestFleetCrash ends the server as a power cut does while fifty tasks run. The building notices a
// broken connection and nothing else; no task that was taken is lost, and none is there twice.
func TestFleetCrash(t *testing.T) {
	t.Parallel()
	root, b := startBuilding(t, 60)
	const tasks = 50
	trips := [][]string{{"lab_bench", "lobby"}, {"reception", "goods_out"}, {"ward_desk", "pantry"}}
	var ids []string
	for i := range tasks {
		ids = append(ids, root.dispatch(1, trips[i%len(trips)]...))
	}
	eventually(t, "some tasks are underway and some wait", func() bool {
		return len(root.tasks("status=underway")) > 1 && len(root.tasks("status=queued")) > tasks/2
	})
	asked := len(ids)
	for range map[bool]int{true: 8, false: 1}[*full] {
		// Somebody asks for one more task, and may never learn whether they got it.
		more := make(chan string, 1)
		go func() { more <- root.ask(trips[0]...) }()
		if *full {
			<-time.After(rand.N(30 * time.Millisecond))
		}
		root.kill()
		if id := <-more; id != "" {
			ids = append(ids, id)
		}
		asked++
		root.start()
		lost(t, ids, root.tasks(""))
		b.leadsTo(root.lodge)
	}
	completed := func() bool {
		return b.look().Tasks == 0 && slices.Equal(root.tasks("status=completed"), root.tasks(""))
	}
	within(t, 2*patience, "all tasks are completed", completed)
	got := root.tasks("")
	lost(t, ids, got)
	if len(got) > asked || len(slices.Compact(got)) != len(got) {
		t.Errorf("%d tasks were asked for, and there are %v", asked, got)
	}
	alerts := map[string]int{}
	for _, a := range parse[[]alert](root.get("/fleet/alerts/unresponded_requests").is(200)) {
		if a.Title == "Task completed" && a.TaskID != nil {
			alerts[*a.TaskID]++
		}
	}
	for _, id := range got {
		equal(t, "alerts about the end of "+id, alerts[id], 1)
		onceInTheLog(t, root, id)
	}
	for _, f := range parse[[]fleetState](root.get("/fleet/fleets").is(200)) {
		equal(t, "fleet after the crash", root.get("/fleet/fleets/"+f.Name+"/state").status, http.StatusOK)
	}
}

// ask asks for a task of a server that may die meanwhile, and gives its id if there is an answer.
func (c caller) ask(places ...string) string {
	text, err := json.Marshal(patrol(1, places...))
	if err != nil {
		return ""
	}
	a, err := c.try(c.t.Context(), http.MethodPost, "/fleet/tasks/dispatch_task", http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(text), int64(len(text)))
	var taken struct {
		State taskState `json:"state"`
	}
	if err != nil || a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &taken) != nil {
		return ""
	}
	return taken.State.Booking.ID
}

// lost demands that of these tasks all are among those that the server knows.
func lost(t testing.TB, ids, known []string) {
	t.Helper()
	for _, id := range ids {
		if !slices.Contains(known, id) {
			t.Fatalf("%s is lost", id)
		}
	}
}

// onceInTheLog demands that no entry of a task's log is there twice.
func onceInTheLog(t *testing.T, root caller, task string) {
	t.Helper()
	type entries []struct {
		Seq int `json:"seq"`
	}
	log := parse[struct {
		Log    entries `json:"log"`
		Phases map[string]struct {
			Log    entries            `json:"log"`
			Events map[string]entries `json:"events"`
		} `json:"phases"`
	}](root.get("/fleet/tasks/" + task + "/log?between=0,9007199254740991").is(200))
	once := func(list entries) {
		t.Helper()
		seen := map[int]bool{}
		for _, e := range list {
			if seen[e.Seq] {
				t.Errorf("entry %d of %s is there twice", e.Seq, task)
			}
			seen[e.Seq] = true
		}
	}
	if len(log.Phases) == 0 {
		t.Errorf("the log of %s is empty", task)
	}
	once(log.Log)
	for _, p := range log.Phases {
		once(p.Log)
		for _, e := range p.Events {
			once(e)
		}
	}
}
