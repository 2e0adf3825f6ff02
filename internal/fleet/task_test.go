package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// taskJSON is a state as an adapter reports it.
func taskJSON(id, more string) string {
	return `{"booking":{"id":"` + id + `"` + more + `}`
}

func TestTaskState(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.get("/tasks/t1/state").says(t, 404, "Not Found")
	s.report("task_state_update", `{"booking":{"id":"t1","unix_millis_request_time":5,"labels":["a","a=","k=v=w"],"priority":{"type":"binary","value":1},"unknown":1},`+
		`"status":"underway","phases":{"1":{"id":1,"detail":{"b": 1,"a":"x"},"events":{"0":{"id":0,"deps":[]}},"skip_requests":{"tok":{"unix_millis_request_time":1}}}},`+
		`"detail":"text","interruptions":{"i":{"unix_millis_request_time":3,"labels":["me"],"resumed_by":{}}},"killed":null,"more":true}`)
	want := `{"booking":{"id":"t1","unix_millis_earliest_start_time":null,"unix_millis_request_time":5,"priority":{"type":"binary","value":1},"labels":["a","a=","k=v=w"],"requester":null},` +
		`"category":null,"detail":"text","unix_millis_start_time":null,"unix_millis_finish_time":null,"original_estimate_millis":null,"estimate_millis":null,"assigned_to":null,` +
		`"status":"underway","dispatch":null,"phases":{"1":{"id":1,"category":null,"detail":{"b":1,"a":"x"},"unix_millis_start_time":null,"unix_millis_finish_time":null,` +
		`"original_estimate_millis":null,"estimate_millis":null,"final_event_id":null,"events":{"0":{"id":0,"status":null,"name":null,"detail":null,"deps":[]}},` +
		`"skip_requests":{"tok":{"unix_millis_request_time":1,"labels":[],"undo":null}}}},"completed":null,"active":null,"pending":null,` +
		`"interruptions":{"i":{"unix_millis_request_time":3,"labels":["me"],"resumed_by":{"unix_millis_request_time":null,"labels":[]}}},"cancellation":null,"killed":null}`
	if a := s.get("/tasks/t1/state").is(t, 200, ""); a.body != want {
		t.Errorf("\n got %s\nwant %s", a.body, want)
	}
	if got := s.hears("/tasks/t1/state"); got != want {
		t.Errorf("heard %s", got)
	}
	s.get("/tasks/t1/booking_label").is(t, 200, `{"a":"","k":"v=w"}`)
	s.report("task_state_update", taskJSON("t2", "")+"}")
	s.get("/tasks/t2/booking_label").says(t, 404, "Not Found")
	s.get("/tasks/t2/request").says(t, 404, "Not Found")
	s.get("/tasks/requests").is(t, 200, `[]`)
	s.get("/tasks/requests?task_ids=t2").is(t, 200, `[]`)
}

// ids reads the ids of tasks in order.
func ids(t testing.TB, a response) string {
	t.Helper()
	a.is(t, 200, "")
	var list []string
	for _, task := range parse[[]TaskState](t, a.body) {
		list = append(list, task.Booking.ID)
	}
	return strings.Join(list, " ")
}

func TestTaskQuery(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	queryTasks(t, s)
}

// queryTasks is run on every database.
func queryTasks(t *testing.T, s *site) {
	t.Helper()
	now := s.clock.now().UnixMilli()
	for _, task := range []string{
		`{"booking":{"id":"a","labels":["pick=x","drop=1"],"requester":"ann","unix_millis_request_time":100},"category":"patrol","status":"completed","unix_millis_start_time":1000,"unix_millis_finish_time":2000,"assigned_to":{"group":"f","name":"r1"}}`,
		`{"booking":{"id":"b","labels":["pick=y","drop"],"requester":"bob","unix_millis_request_time":200},"category":"clean","status":"underway","unix_millis_start_time":3000,"assigned_to":{"group":"f","name":"r2"}}`,
		`{"booking":{"id":"c","labels":["pick=x"]},"category":"patrol","status":"queued","unix_millis_start_time":2000,"unix_millis_finish_time":9000}`,
		`{"booking":{"id":"d"},"unix_millis_start_time":` + fmt.Sprint(now-1000) + `}`,
		`{"booking":{"id":"e"}}`,
	} {
		s.report("task_state_update", task)
	}
	for query, want := range map[string]string{
		"":                                                         "a b c d e",
		"task_id=b,zz,a":                                           "a b",
		"category=patrol":                                          "a c",
		"category=patrol,clean&status=":                            "a b c",
		"requester=ann":                                            "a",
		"assigned_to=r1,r2":                                        "a b",
		"assigned_to=f":                                            "",
		"status=completed,queued":                                  "a c",
		"status=completed,nonsense":                                "a",
		"status=nonsense":                                          "",
		"label=pick%3Dx":                                           "a c",
		"label=pick%3Dx,drop%3D1":                                  "a",
		"label=drop":                                               "b",
		"label=drop%3D":                                            "b",
		"label=pick":                                               "",
		"label=nothing":                                            "",
		"label=pick%3Dx,pick%3Dy":                                  "b",
		"start_time_between=1000,2000":                             "a c",
		"start_time_between=-60000":                                "d",
		"request_time_between=150,1000":                            "b",
		"finish_time_between=0,9007199254740991":                   "a c",
		"order_by=-unix_millis_start_time":                         "d b c a e",
		"order_by=unix_millis_start_time":                          "a c b d e",
		"order_by=-unix_millis_finish_time":                        "c a e d b",
		"order_by=category":                                        "b a c e d",
		"order_by=-id_":                                            "e d c b a",
		"order_by=label%3Dpick":                                    "a c b d e",
		"order_by=-label%3Dpick":                                   "b c a d e",
		"order_by=label%3Dpick,-label%3Ddrop":                      "a c b d e",
		"order_by=label%3Dunknown":                                 "a b c d e",
		"order_by=-category,-id_":                                  "c a b e d",
		"order_by=-unix_millis_start_time&limit=2":                 "d b",
		"order_by=-unix_millis_start_time&limit=2&offset=3":        "a e",
		"order_by=-unix_millis_start_time&limit=2&offset=4":        "e",
		"order_by=-unix_millis_start_time&offset=9":                "",
		"order_by=-label%3Dpick&limit=2&offset=2":                  "a d",
		"order_by=-label%3Dpick&limit=2&offset=4":                  "e",
		"label=pick%3Dx&order_by=-unix_millis_start_time":          "c a",
		"category=patrol&order_by=-unix_millis_start_time&limit=1": "c",
	} {
		a := s.get("/tasks?" + query)
		got := ids(t, a)
		// What lacks the field is in no particular order of the contract's, but in one that holds.
		if strings.HasPrefix(query, "order_by=-unix_millis_finish") || strings.HasPrefix(query, "order_by=category") || query == "order_by=-category,-id_" {
			got, want = got[:3], want[:3]
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	if a := s.get("/tasks?category=patrol&limit=1&total=true"); a.Header.Get("X-Total-Count") != "2" {
		t.Errorf("total %v", a.Header)
	}
	for _, query := range []string{"start_time_between=abc", "start_time_between=5", "start_time_between=1,x", "order_by=nonsense", "order_by=label"} {
		a := s.get("/tasks?"+query).is(t, 422, "")
		if !strings.HasPrefix(a.body, `{"detail":"`) {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	s.get("/tasks?limit=1001").is(t, 422, "")
	s.get("/tasks?offset=-1").is(t, 422, "")

	// Labels follow the task.
	s.report("task_state_update", `{"booking":{"id":"c","labels":["pick=z"]},"unix_millis_start_time":2000}`)
	if got := ids(t, s.get("/tasks?label=pick%3Dx")); got != "a" {
		t.Errorf("after a change of labels: %q", got)
	}
	if got := ids(t, s.get("/tasks?label=pick%3Dz")); got != "c" {
		t.Errorf("after a change of labels: %q", got)
	}
}

func TestPagingIsStable(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 250 {
		s.report("task_state_update", fmt.Sprintf(`{"booking":{"id":"t%03d"},"status":"queued","unix_millis_start_time":%d}`, i, 1+i%3))
	}
	for _, order := range []string{"-unix_millis_start_time", "status", "-status", "category", ""} {
		seen := map[string]bool{}
		for offset := 0; ; offset += 100 {
			page := strings.Fields(ids(t, s.get(fmt.Sprintf("/tasks?limit=100&offset=%d&order_by=%s", offset, order))))
			if len(page) == 0 {
				break
			}
			for _, id := range page {
				if seen[id] {
					t.Errorf("%s: %s twice", order, id)
				}
				seen[id] = true
			}
		}
		if len(seen) != 250 {
			t.Errorf("%s: %d tasks", order, len(seen))
		}
	}
}

const sampleLog = `{"task_id":"t1","log":[{"seq":0,"tier":"info","unix_millis_time":10,"text":"begun"}],"phases":{` +
	`"1":{"log":[{"seq":0,"tier":"info","unix_millis_time":20,"text":"phase"}],"events":{"0":[{"seq":0,"tier":"warning","unix_millis_time":30,"text":"event"}],"1":[]}},` +
	`"2":{"log":[],"events":{}}}}`

func TestTaskLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	logTasks(t, s)
}

func logTasks(t *testing.T, s *site) {
	t.Helper()
	s.get("/tasks/t1/log").says(t, 404, "Not Found")
	s.report("task_log_update", sampleLog)
	const all = "/tasks/t1/log?between=0,9007199254740991"
	s.get(all).is(t, 200, sampleLog)
	if got := s.hears("/tasks/t1/log"); !sameJSON(got, sampleLog) {
		t.Errorf("heard %s", got)
	}
	// Sent again, with something new: nothing twice, nothing lost.
	s.report("task_log_update", strings.Replace(sampleLog, `"event"}]`, `"event"},{"seq":1,"tier":"error","unix_millis_time":31,"text":"more"}]`, 1))
	want := strings.Replace(sampleLog, `"event"}]`, `"event"},{"seq":1,"tier":"error","unix_millis_time":31,"text":"more"}]`, 1)
	s.get(all).is(t, 200, want)
	s.get("/tasks/t1/log?between=20,30").is(t, 200, `{"task_id":"t1","log":[],"phases":{`+
		`"1":{"log":[{"seq":0,"tier":"info","unix_millis_time":20,"text":"phase"}],"events":{"0":[{"seq":0,"tier":"warning","unix_millis_time":30,"text":"event"}],"1":[]}},"2":{"log":[],"events":{}}}}`)
	s.get("/tasks/t1/log").is(t, 200, `{"task_id":"t1","log":[],"phases":{"1":{"log":[],"events":{"0":[],"1":[]}},"2":{"log":[],"events":{}}}}`)
	s.get("/tasks/t1/log?between=soon").is(t, 422, "")

	// Any state of the task comes with it, and its logs are found by their text.
	found := parse[[]FoundEntry](t, s.get("/task_logs?q=EVEN").is(t, 200, "").body)
	if len(found) != 1 || found[0].TaskID != "t1" || found[0].Text != "event" || found[0].Event != "0" {
		t.Errorf("found %+v", found)
	}
}

func TestFleets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fleetStates(t, s)
}

func fleetStates(t *testing.T, s *site) {
	t.Helper()
	s.get("/fleets/f/state").says(t, 404, "Not Found")
	s.report("fleet_state_update", `{"name":"f","robots":{"r":{"name":"r","status":"idle","task_id":"","unix_millis_time":1,"location":{"map":"L1","x":1,"y":2.5,"yaw":null},"battery":1.02,"issues":[],"other":1}}}`)
	want := `{"name":"f","robots":{"r":{"name":"r","status":"idle","task_id":"","unix_millis_time":1,"location":{"map":"L1","x":1.0,"y":2.5,"yaw":0.0},"battery":1.0,"issues":[],"commission":null,"mutex_groups":null}}}`
	if a := s.get("/fleets/f/state").is(t, 200, ""); a.body != want {
		t.Errorf("%s", a.body)
	}
	s.get("/fleets?fleet_name=other").is(t, 200, `[`+want+`]`)
	if got := s.hears("/fleets/f/state"); got != want {
		t.Errorf("heard %s", got)
	}
	s.get("/fleets/f/log").says(t, 404, "Not Found")
	news := `{"name":"f","log":[{"seq":0,"tier":"info","unix_millis_time":10,"text":"x"}],"robots":{"r":[{"seq":0,"tier":"info","unix_millis_time":20,"text":"y"}]}}`
	s.report("fleet_log_update", news)
	s.report("fleet_log_update", news)
	s.get("/fleets/f/log?between=0,100").is(t, 200, news)
	s.get("/fleets/f/log?between=0,15").is(t, 200, `{"name":"f","log":[{"seq":0,"tier":"info","unix_millis_time":10,"text":"x"}],"robots":{"r":[]}}`)
	if got := s.hears("/fleets/f/log"); !sameJSON(got, news) {
		t.Errorf("heard %s", got)
	}
}

func TestEndAlerts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.report("task_state_update", taskJSON("t1", "")+`,"status":"completed"}`)
	s.report("task_state_update", taskJSON("t1", "")+`,"status":"completed"}`)
	s.report("task_state_update", taskJSON("t2", "")+`,"status":"failed","dispatch":{"status":"failed_to_assign","errors":[{"code":9,"category":"c"},{"detail":"<d>"}]}}`)
	s.report("task_state_update", taskJSON("t3", "")+`,"status":"canceled"}`)
	done := parse[[]AlertRequest](t, s.get("/alerts/requests/task/t1").is(t, 200, "").body)
	if len(done) != 1 || done[0].Title != "Task completed" || done[0].Subtitle != "ID: t1" || done[0].Tier != "info" || done[0].ResponsesAvailable[0] != "Acknowledge" || len(done[0].ID) != 36 {
		t.Errorf("%+v", done)
	}
	failed := parse[[]AlertRequest](t, s.get("/alerts/requests/task/t2").is(t, 200, "").body)
	const message = "Failed to assign\n{\"code\":9,\"category\":\"c\",\"detail\":null}\n{\"code\":null,\"category\":null,\"detail\":\"<d>\"}\n"
	if len(failed) != 1 || failed[0].Title != "Task failed" || failed[0].Tier != "error" || failed[0].Message != message {
		t.Errorf("%+v", failed)
	}
	s.get("/alerts/requests/task/t3").is(t, 200, `[]`)
	eventually(t, "both are heard of", func() bool { return len(s.live.heard("/alerts/requests")) == 2 })
}

func TestMessagesThatAreWrong(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, tt := range []struct{ message, want string }{
		{`nonsense`, "no JSON object"},
		{`[]`, "no JSON object"},
		{`{"data":{}}`, "no type"},
		{`{"type":5,"data":{}}`, "no type"},
		{`{"type":"other","data":{}}`, "unknown type"},
		{`{"type":"task_state_update"}`, "data must be an object"},
		{`{"type":"task_state_update","data":[]}`, "data must be an object"},
		{`{"type":"task_state_update","data":{}}`, "booking.id"},
		{`{"type":"task_state_update","data":{"booking":{"id":""}}}`, "booking.id"},
		{`{"type":"task_state_update","data":{"booking":{"id":7}}}`, "booking.id: Input should be a valid string"},
		{`{"type":"fleet_state_update","data":{"robots":{}}}`, "data.name"},
		{`{"type":"task_log_update","data":{"task_id":"t","log":[{"seq":"x"}]}}`, "log.0"},
	} {
		err := s.svc.TakeMessage(t.Context(), []byte(tt.message))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.message, err)
		}
	}
	// What can be kept is kept.
	s.report("task_state_update", taskJSON("odd", "")+`,"status":"dancing","unix_millis_start_time":1700000000000.0,"estimate_millis":-5}`)
	task := parse[TaskState](t, s.get("/tasks/odd/state").is(t, 200, "").body)
	if *task.UnixMillisStartTime != 1700000000000 {
		t.Errorf("%+v", task)
	}
}

// TestReadsWaitForWhatWasHeard is the promise that a state that passed can be read.
func TestReadsWaitForWhatWasHeard(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 200 {
		s.report("task_state_update", taskJSON("t", "")+fmt.Sprintf(`,"unix_millis_start_time":%d}`, i+1))
		task := parse[TaskState](t, s.get("/tasks/t/state").is(t, 200, "").body)
		if *task.UnixMillisStartTime != int64(i+1) {
			t.Fatalf("read %d after %d", *task.UnixMillisStartTime, i+1)
		}
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	s := newSite(t, withConfig(func(c *Config) {
		c.Retention = Retention{Tasks: 48 * time.Hour, Logs: time.Hour, Alerts: time.Hour}
	}))
	prunes(t, s)
}

func prunes(t *testing.T, s *site) {
	t.Helper()
	now := s.clock.now()
	for i := range 3 {
		s.report("task_state_update", taskJSON(fmt.Sprint("done", i), `,"labels":["x=y"]`)+`,"status":"completed"}`)
	}
	s.report("task_state_update", taskJSON("running", "")+`,"status":"underway"}`)
	s.report("task_log_update", fmt.Sprintf(`{"task_id":"running","log":[{"seq":0,"tier":"info","unix_millis_time":1,"text":"old"},{"seq":1,"tier":"info","unix_millis_time":%d,"text":"new"}]}`, now.UnixMilli()))
	s.report("fleet_log_update", `{"name":"f","log":[{"seq":0,"tier":"info","unix_millis_time":1,"text":"old"}]}`)
	s.get("/tasks").is(t, 200, "")
	noError(t, s.svc.prune(t.Context()))
	if got := ids(t, s.get("/tasks")); got != "done0 done1 done2 running" {
		t.Errorf("too early: %s", got)
	}
	l := parse[TaskEventLog](t, s.get("/tasks/running/log?between=0,9007199254740991").body)
	if len(l.Log) != 1 || l.Log[0].Text != "new" {
		t.Errorf("log %+v", l)
	}
	s.get("/fleets/f/log?between=0,100").is(t, 200, `{"name":"f","log":[],"robots":{}}`)
	s.clock.set(now.Add(72 * time.Hour))
	noError(t, s.svc.prune(t.Context()))
	if got := ids(t, s.get("/tasks")); got != "running" {
		t.Errorf("left: %s", got)
	}
	s.get("/alerts/unresponded_requests").is(t, 200, `[]`)
	for _, table := range []string{"fleet_task_labels", "fleet_alerts"} {
		var n int
		noError(t, s.db.QueryRow(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n))
		if n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
}
