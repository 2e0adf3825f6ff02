package fleet

import (
	"strings"
	"testing"
)

func TestPassThroughCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ros.on(func(string) string { return `{"success": true, "odd" :[1 ]}` })
	for _, tt := range []struct{ path, body, sent string }{
		{"cancel_task", `{"type":"cancel_task_request","task_id":"t","labels":null,"x":1}`, `{"type":"cancel_task_request","task_id":"t"}`},
		{"interrupt_task", `{"type":"interrupt_task_request","task_id":"t","labels":["me"]}`, `{"type":"interrupt_task_request","task_id":"t","labels":["me"]}`},
		{"kill_task", `{"type":"kill_task_request","task_id":"t","labels":[]}`, `{"type":"kill_task_request","task_id":"t","labels":[]}`},
		{"resume_task", `{}`, `{"type":"resume_task_request"}`},
		{"resume_task", `{"for_task":"t","for_tokens":["a"]}`, `{"type":"resume_task_request","for_task":"t","for_tokens":["a"]}`},
		{"rewind_task", `{"type":"rewind_task_request","task_id":"t","phase_id":0}`, `{"type":"rewind_task_request","task_id":"t","phase_id":0}`},
		{"skip_phase", `{"type":"skip_phase_request","task_id":"t","phase_id":"3"}`, `{"type":"skip_phase_request","task_id":"t","phase_id":3}`},
		{"task_discovery", `{"type":"task_discovery_request"}`, `{"type":"task_discovery_request"}`},
		{"undo_skip_phase", `{}`, `{"type":"undo_phase_skip_request"}`},
	} {
		a := s.post("/tasks/"+tt.path, tt.body).is(t, 200, "")
		if a.body != `{"success": true, "odd" :[1 ]}` {
			t.Errorf("%s: %s", tt.path, a.body)
		}
		if sent := s.ros.requests(t); sent[len(sent)-1] != tt.sent {
			t.Errorf("%s sent %s", tt.path, sent[len(sent)-1])
		}
	}
	s.ros.on(func(string) string { return `{"success":false,"errors":[]}` })
	s.post("/tasks/cancel_task", `{"type":"cancel_task_request","task_id":"t"}`).is(t, 200, `{"success":false,"errors":[]}`)
	s.ros.on(func(string) string { return "no JSON" })
	s.post("/tasks/cancel_task", `{"type":"cancel_task_request","task_id":"t"}`).says(t, 502, "RMF gave an answer that cannot be read")
	s.post("/tasks/cancel_task", `{"type":"kill_task_request","task_id":"t"}`).is(t, 422,
		`{"detail":[{"type":"literal_error","loc":["body","type"],"msg":"Input should be 'cancel_task_request'","input":"kill_task_request","ctx":{"expected":"'cancel_task_request'"}}]}`)
	s.post("/tasks/resume_task", `{"for_tokens":[]}`).is(t, 422, "")
	s.post("/tasks/rewind_task", `{"type":"rewind_task_request","task_id":"t","phase_id":-1}`).is(t, 422, "")
	s.ros.on(nil)
	s.post("/tasks/cancel_task", `{"type":"cancel_task_request","task_id":"t"}`).says(t, 500, "rmf service timed out")
	s.ros.setAway(true)
	s.post("/tasks/cancel_task", `{"type":"cancel_task_request","task_id":"t"}`).says(t, 503, "the ROS bridge is not connected")
	if n := len(s.svc.calls.waiting); n != 0 {
		t.Errorf("%d calls are still waited for", n)
	}
}

const dispatchBody = `{"type":"dispatch_task_request","request":{"category":"patrol","description":{"places":["a","b"],"rounds":null},"labels":["x=1"],"requester":"me","priority":null,"unix_millis_earliest_start_time":0}}`

func TestDispatch(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ros.on(func(string) string {
		return `{"success":true,"state":{"booking":{"id":"patrol.1","labels":["x=1"]},"status":"queued"}}`
	})
	a := s.post("/tasks/dispatch_task", dispatchBody).is(t, 200, "")
	if !strings.HasPrefix(a.body, `{"success":true,"state":{"booking":{"id":"patrol.1","unix_millis_earliest_start_time":null`) {
		t.Errorf("%s", a.body)
	}
	want := `{"type":"dispatch_task_request","request":{"unix_millis_earliest_start_time":0,"category":"patrol","description":{"places":["a","b"],"rounds":null},"labels":["x=1"],"requester":"me"}}`
	if sent := s.ros.requests(t); sent[0] != want {
		t.Errorf("sent %s", sent[0])
	}
	s.get("/tasks/patrol.1/state").is(t, 200, "")
	s.get("/tasks/patrol.1/request").is(t, 200, `{"unix_millis_earliest_start_time":0,"unix_millis_request_time":null,"priority":null,"category":"patrol",`+
		`"description":{"places":["a","b"],"rounds":null},"labels":["x=1"],"requester":"me","fleet_name":null}`)
	if list := parse[[]TaskRequest](t, s.get("/tasks/requests?task_ids=patrol.1,none").is(t, 200, "").body); len(list) != 1 {
		t.Errorf("%+v", list)
	}
	if got := ids(t, s.get("/tasks?label=x%3D1")); got != "patrol.1" {
		t.Errorf("by label: %s", got)
	}
	s.hears("/tasks/patrol.1/state")

	s.ros.on(func(string) string {
		return `{"success":false,"errors":[{"code":1,"category":"c","detail":"d"},{"code":2}]}`
	})
	s.post("/tasks/dispatch_task", dispatchBody).is(t, 400, `{"success":false,"errors":[{"code":1,"category":"c","detail":"d"},{"code":2,"category":null,"detail":null}]}`)
	s.ros.on(func(string) string { return `{}` })
	s.post("/tasks/dispatch_task", dispatchBody).is(t, 400, `{"success":null,"errors":null}`)
	s.ros.on(func(string) string { return `{"success":false,"errors":["text"]}` })
	s.post("/tasks/dispatch_task", dispatchBody).is(t, 502, "")
	s.ros.on(nil)
	s.post("/tasks/dispatch_task", dispatchBody).says(t, 500, "rmf service timed out")
	s.post("/tasks/dispatch_task", `{"type":"dispatch_task_request","request":{"category":"patrol"}}`).is(t, 422,
		`{"detail":[{"type":"missing","loc":["body","request","description"],"msg":"Field required","input":{"category":"patrol"}}]}`)
}

func TestRobotTask(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ros.on(func(string) string {
		return `{"success":true,"state":{"booking":{"id":"direct.1"},"assigned_to":{"group":"f","name":"r"}}}`
	})
	s.post("/tasks/robot_task", `{"type":"robot_task_request","robot":"r","fleet":"f","request":{"category":"clean","description":"zone"}}`).is(t, 200, "")
	s.get("/tasks/direct.1/state").is(t, 200, "")
	s.get("/tasks/direct.1/request").says(t, 404, "Not Found")
	if sent := s.ros.requests(t); sent[0] != `{"type":"robot_task_request","robot":"r","fleet":"f","request":{"category":"clean","description":"zone"}}` {
		t.Errorf("sent %s", sent[0])
	}
}

// TestAnswersOfRMF is about the correlation of requests and answers.
func TestAnswersOfRMF(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	// An acknowledgement is not the answer, strangers' answers are nobody's, and the first one counts.
	s.ros.on(func(string) string { return "" })
	type result struct {
		text string
		err  error
	}
	results := make(chan result, 2)
	ask := func(id, payload string) {
		text, err := s.svc.callAs(t.Context(), id, []byte(payload))
		results <- result{text, err}
	}
	go ask("1", "a")
	go ask("2", "b")
	eventually(t, "both ask", func() bool { return len(s.ros.requests(t)) == 2 })
	for _, msg := range []string{
		`{"type":1,"json_msg":"wait","request_id":"1"}`, `{"type":2,"json_msg":"x","request_id":"3"}`,
		`{"type":2,"json_msg":"for one","request_id":"1"}`, `{"type":2,"json_msg":"late","request_id":"1"}`, `{"type":0,"json_msg":"","request_id":"2"}`,
	} {
		s.svc.FromROS("/task_api_responses", []byte(msg))
	}
	one, two := <-results, <-results
	if one.err != nil {
		one, two = two, one
	}
	if one.text != "for one" || one.err != nil || two.err == nil || two.text != "" {
		t.Errorf("%+v %+v", one, two)
	}
}

func TestCommission(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const q = "?robot_name=r&reassign_tasks=true&allow_idle_behavior=false"
	s.post("/fleets/f/decommission"+q, "").says(t, 404, "Fleet f not found")
	s.report("fleet_state_update", `{"name":"f","robots":{"other":{},"r":{"mutex_groups":{"locked":["m"],"requesting":[]}}}}`)
	s.post("/fleets/f/decommission?robot_name=x&reassign_tasks=true&allow_idle_behavior=false", "").says(t, 404, "Robot x not found in fleet f")
	s.ros.on(func(string) string { return `{"commission":{"success":true}}` })
	s.post("/fleets/f/decommission"+q, "").is(t, 200, `{"commission":{"success":true,"errors":null},"pending_dispatch_tasks_policy":null,"pending_direct_tasks_policy":null}`)
	s.post("/fleets/f/recommission?robot_name=r", "").is(t, 200, "")
	want := []string{
		`{"type":"robot_commission_request","robot":"r","fleet":"f","commission":{"dispatch_tasks":false,"direct_tasks":false,"idle_behavior":false},"pending_dispatch_tasks_policy":"reassign","pending_direct_tasks_policy":"cancel"}`,
		`{"type":"robot_commission_request","robot":"r","fleet":"f","commission":{"dispatch_tasks":true,"direct_tasks":true,"idle_behavior":true},"pending_dispatch_tasks_policy":"complete","pending_direct_tasks_policy":"complete"}`,
	}
	if sent := s.ros.requests(t); len(sent) != 2 || sent[0] != want[0] || sent[1] != want[1] {
		t.Errorf("sent %v", sent)
	}
	s.ros.on(func(string) string { return `{"commission":{"success":false,"errors":[{"code":1}]}}` })
	s.post("/fleets/f/recommission?robot_name=r", "").is(t, 400,
		`{"detail":{"commission":{"success":false,"errors":[{"code":1,"category":null,"detail":null}]},"pending_dispatch_tasks_policy":null,"pending_direct_tasks_policy":null}}`)
	s.post("/fleets/f/recommission", "").is(t, 422, "")

	s.post("/fleets/f/unlock_mutex_group?robot_name=r&mutex_group=n", "").says(t, 400, "Robot r in fleet f does not have mutex group n locked")
	s.post("/fleets/f/unlock_mutex_group?robot_name=r&mutex_group=m", "").is(t, 200, `null`)
	if sent := s.ros.took(topicMutexRelease); len(sent) != 1 || sent[0] != `{"release_mutex_groups":["m"],"fleet":"f","robot":"r"}` {
		t.Errorf("ROS heard %v", sent)
	}
}

func TestCheckTasks(t *testing.T) {
	t.Parallel()
	s := newSite(t, withConfig(func(c *Config) { c.CheckTasks = true }))
	s.ros.on(func(string) string { return `{"success":true}` })
	cancel := func(id string) response {
		return s.post("/tasks/cancel_task", `{"type":"cancel_task_request","task_id":"`+id+`"}`)
	}
	cancel("none").says(t, 404, "Task none not found")
	s.report("task_state_update", taskJSON("done", "")+`,"status":"completed"}`)
	cancel("done").says(t, 409, "Task done has ended already: completed")
	s.report("task_state_update", taskJSON("runs", "")+`,"status":"underway"}`)
	cancel("runs").is(t, 200, "")
}
