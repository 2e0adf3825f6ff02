package fleet

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// The tests of this file and of original_schedule_test.go make the assertions of the original's own
// tests, area by area; README.md lists them beside those areas that other tests cover already.

// replays checks that whoever subscribes to a room gets this first.
func (s *site) replays(name, want string) {
	s.t.Helper()
	_, first, err := s.svc.Subscribe(admin(s.t), name)
	if err != nil || len(first) != 1 || !sameJSON(string(first[0]), want) {
		s.t.Errorf("%s begins with %s, %v", name, first, err)
	}
}

func TestOriginalROSTime(t *testing.T) {
	t.Parallel()
	for _, at := range []Time{{Sec: 1, Nanosec: 0}, {Sec: 1_700_000_000, Nanosec: 123_456_789}, {Sec: 0, Nanosec: 999_999_999}} {
		exact := time.Unix(int64(at.Sec), int64(at.Nanosec))
		if d := at.time().Sub(exact).Abs(); d > time.Microsecond {
			t.Errorf("%+v is %v off", at, d)
		}
		if back := rosTime(at.time()); back.Sec != at.Sec || back != at {
			t.Errorf("%+v comes back as %+v", at, back)
		}
	}
	s := newSite(t, withConfig(func(c *Config) { c.SimTime = true }))
	s.as("", "GET", "/time", "").is(t, 200, `0`)
	s.svc.FromROS("/clock", []byte(`{"clock":{"sec":12,"nanosec":345678901}}`))
	s.as("", "GET", "/time", "").is(t, 200, `12345`)
	s.post("/doors/d/request", `{"mode":2}`).is(t, 200, `null`)
	if sent := s.ros.took(topicDoorRequests); len(sent) != 1 || !strings.Contains(sent[0], `"request_time":{"sec":12,"nanosec":345678901}`) {
		t.Errorf("ROS heard %v", sent)
	}
}

// TestOriginalService has calls that are answered at once, together, and twice.
func TestOriginalService(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ros.on(func(request string) string { return request })
	text, err := s.svc.call(t.Context(), []byte("hello"))
	if err != nil || text != "hello" {
		t.Errorf("%q %v", text, err)
	}

	s.ros.on(nil)
	var asking sync.WaitGroup
	for _, id := range []string{"one", "two"} {
		asking.Go(func() {
			text, err := s.svc.callAs(t.Context(), id, []byte(id))
			if err != nil || text != "for "+id {
				t.Errorf("%s was answered %q, %v", id, text, err)
			}
		})
	}
	eventually(t, "both ask", func() bool { return len(s.ros.requests(t)) == 3 })
	for _, msg := range []string{
		`{"type":2,"json_msg":"for two","request_id":"two"}`, `{"type":2,"json_msg":"a duplicate","request_id":"two"}`,
		`{"type":2,"json_msg":"for one","request_id":"one"}`,
	} {
		s.svc.FromROS("/task_api_responses", []byte(msg))
	}
	asking.Wait()
}

func TestOriginalDoorsAndLifts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.svc.FromROS("/map", mapMessage("m", "L1", []byte("x")))
	s.hears("/building_map")
	if doors := parse[[]Door](t, s.get("/doors").is(t, 200, "").body); len(doors) != 1 || doors[0].Name != "main door" {
		t.Errorf("doors %+v", doors)
	}
	door := `{"door_time":{"sec":0,"nanosec":0},"door_name":"main door","current_mode":{"value":2}}`
	s.svc.FromROS("/door_states", []byte(door))
	s.get("/doors/main%20door/state").is(t, 200, door)
	s.replays("/doors/main door/state", door)
	s.post("/doors/main%20door/request", `{"mode":2}`).is(t, 200, `null`)

	if lifts := parse[[]Lift](t, s.get("/lifts").is(t, 200, "").body); len(lifts) != 1 || lifts[0].Name != "lift" {
		t.Errorf("lifts %+v", lifts)
	}
	lift := `{"lift_time":{"sec":0,"nanosec":0},"lift_name":"lift","available_floors":[],"current_floor":"L1","destination_floor":"L1",` +
		`"door_state":2,"motion_state":0,"available_modes":[],"current_mode":2,"session_id":"s"}`
	s.svc.FromROS("/lift_states", []byte(lift))
	s.get("/lifts/lift/state").is(t, 200, lift)
	s.replays("/lifts/lift/state", lift)
	s.post("/lifts/lift/request", `{"request_type":1,"door_mode":2,"destination":"L1"}`).is(t, 200, `null`)
	s.post("/lifts/lift/request", `{"request_type":1,"door_mode":2,"destination":"L1","additional_session_ids":["s1","s2"]}`).is(t, 200, `null`)
}

func TestOriginalWorkcells(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, kind := range []string{"dispenser", "ingestor"} {
		state := `{"time":{"sec":0,"nanosec":0},"guid":"` + kind + `_1","mode":0,"request_guid_queue":[],"seconds_remaining":0.0}`
		s.svc.FromROS("/"+kind+"_states", []byte(state))
		s.get("/"+kind+"s").is(t, 200, `[{"guid":"`+kind+`_1"}]`)
		s.get("/"+kind+"s/"+kind+"_1/state").is(t, 200, state)
		s.replays("/"+kind+"s/"+kind+"_1/state", state)
	}
}

func TestOriginalFireAlarm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	previous := func() bool {
		return parse[FireAlarmTriggerState](t, s.get("/building_map/previous_fire_alarm_trigger").is(t, 200, "").body).Trigger
	}
	s.svc.FromROS("/fire_alarm_trigger", []byte(`{"data":true}`))
	if !previous() {
		t.Error("the alarm was on")
	}
	s.svc.FromROS("/fire_alarm_trigger", []byte(`{"data":false}`))
	if previous() {
		t.Error("the alarm was off")
	}
	if reset := parse[FireAlarmTriggerState](t, s.post("/building_map/reset_fire_alarm_trigger", "").is(t, 200, "").body); reset.Trigger {
		t.Errorf("reset %+v", reset)
	}
}

func TestOriginalFleets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.report("fleet_state_update", `{"name":"fleet_0","robots":{"robot_0":{"name":"robot_0"}}}`)
	heard := s.hears("/fleets/fleet_0/state")
	s.get("/fleets/fleet_0/state").is(t, 200, heard)
	s.get("/fleets?fleet_name=fleet_0").is(t, 200, `[`+heard+`]`)
	s.get("/fleets?fleet_name=another").is(t, 200, `[`+heard+`]`)
	s.report("fleet_log_update", `{"name":"fleet_0","log":[{"seq":0,"tier":"info","unix_millis_time":0,"text":"x"}]}`)
	log := parse[FleetLog](t, s.hears("/fleets/fleet_0/log"))
	kept := parse[FleetLog](t, s.get("/fleets/fleet_0/log?between=0,1636388414500").is(t, 200, "").body)
	if fmt.Sprint(log.Log) != fmt.Sprint(kept.Log) || len(kept.Log) != 1 {
		t.Errorf("heard %+v, kept %+v", log, kept)
	}
}

func TestOriginalAlerts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	unresponded := func() int { return len(parse[[]AlertRequest](t, s.get("/alerts/unresponded_requests").body)) }
	ofTask := func(task, more string) int {
		return len(parse[[]AlertRequest](t, s.get("/alerts/requests/task/"+task+more).is(t, 200, "").body))
	}
	one := alertJSON("a1", `"t1"`, `["resume","cancel"]`)
	s.get("/alerts/request/a1").is(t, 404, "")
	s.post("/alerts/request", one).is(t, 201, one)
	s.post("/alerts/request", one).is(t, 409, "")
	s.get("/alerts/request/a1").is(t, 200, one)
	if heard := s.hears("/alerts/requests"); !sameJSON(heard, one) {
		t.Errorf("heard %s", heard)
	}
	if ofTask("wrong", "") != 0 || ofTask("t1", "") != 1 {
		t.Error("alerts by task before the answer")
	}
	s.post("/alerts/request", alertJSON("a2", `"t2"`, `["ok"]`)).is(t, 201, "")
	before := unresponded()
	answer := parse[AlertResponse](t, s.post("/alerts/request/a1/respond?response=resume", "").is(t, 201, "").body)
	if answer.ID != "a1" || answer.Response != "resume" {
		t.Errorf("%+v", answer)
	}
	if kept := parse[AlertResponse](t, s.get("/alerts/request/a1/response").is(t, 200, "").body); kept != answer {
		t.Errorf("kept %+v", kept)
	}
	if heard := parse[AlertResponse](t, s.hears("/alerts/responses")); heard != answer {
		t.Errorf("heard %+v", heard)
	}
	if after := unresponded(); after != before-1 {
		t.Errorf("%d unresponded before, %d after", before, after)
	}
	if ofTask("t1", "") != 0 || ofTask("t1", "?unresponded=false") != 1 {
		t.Error("alerts by task after the answer")
	}
}

func TestOriginalRios(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, rio := range []string{`{"id":"r0","type":"a","data":{}}`, `{"id":"r1","type":"a","data":{}}`, `{"id":"r2","type":"b","data":{}}`} {
		s.as("admin", "PUT", "/rios", rio).is(t, 201, `null`)
	}
	for query, want := range map[string]string{
		"?id=r0": "r0", "?id=r0,r2": "r0 r2", "?type=a": "r0 r1", "?type=a,b": "r0 r1 r2", "?id=r0,r2&type=b": "r2", "?id=r0&type=b": "", "": "r0 r1 r2",
	} {
		var got []string
		for _, rio := range parse[[]Rio](t, s.get("/rios"+query).is(t, 200, "").body) {
			got = append(got, rio.ID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q finds %v", query, got)
		}
	}
	s.as("admin", "PUT", "/rios", `{"id":"r0","type":"a","data":{"new":1}}`).is(t, 200, `null`)
	s.get("/rios?id=r0").is(t, 200, `[{"id":"r0","type":"a","data":{"new":1}}]`)
	if heard := s.hears("/rios"); !sameJSON(heard, `{"id":"r0","type":"a","data":{"new":1}}`) {
		t.Errorf("heard %s", heard)
	}
}

// labelled is a task with labels.
func labelled(id string, labels ...string) string {
	text, _ := json.Marshal(labels)
	return taskJSON(id, `,"labels":`+string(text)) + `,"status":"completed"}`
}

func TestOriginalTaskQueries(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, task := range []string{labelled("0", "a", "order=3", "size=1"), labelled("1", "a=", "order=1", "size=2"), labelled("2", "a=v", "order=2", "size=1"), labelled("3")} {
		s.report("task_state_update", task)
	}
	for id, want := range map[string]string{"0": `["a","order=3","size=1"]`, "1": `["a=","order=1","size=2"]`, "2": `["a=v","order=2","size=1"]`} {
		got, _ := json.Marshal(parse[TaskState](t, s.get("/tasks/"+id+"/state").is(t, 200, "").body).Booking.Labels)
		if string(got) != want {
			t.Errorf("task %s has the labels %s", id, got)
		}
	}
	for query, want := range map[string]string{
		"task_id=0":                     "0",
		"task_id=0,1":                   "0 1",
		"label=missing":                 "",
		"label=a":                       "0 1",
		"label=a%3D":                    "0 1",
		"label=a%3Dwrong":               "",
		"label=a%3Dv":                   "2",
		"label=order%3D3,size%3D1":      "0",
		"label=order%3D3,size%3D2":      "",
		"order_by=label%3Dorder":        "1 2 0 3",
		"order_by=-label%3Dorder":       "0 2 1 3",
		"order_by=label%3Dnobody_knows": "0 1 2 3",
	} {
		if got := ids(t, s.get("/tasks?"+query)); got != want {
			t.Errorf("%s finds %q, not %q", query, got, want)
		}
	}
	if got := ids(t, s.get("/tasks?order_by=label%3Dsize,-label%3Dorder")); got != "0 2 1 3" {
		t.Errorf("by two labels: %q", got)
	}
}

func TestOriginalTaskRooms(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.report("task_state_update", labelled("t", "a"))
	s.get("/tasks/t/state").is(t, 200, s.hears("/tasks/t/state"))
	s.report("task_log_update", sampleLog)
	if heard := s.hears("/tasks/t1/log"); !sameJSON(heard, sampleLog) {
		t.Errorf("heard %s", heard)
	}
}

// TestOriginalTaskLog has a phase with seven events, of which two have entries.
func TestOriginalTaskLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	entry := func(seq, at int, text string) string {
		return fmt.Sprintf(`{"seq":%d,"tier":"info","unix_millis_time":%d,"text":%q}`, seq, at, text)
	}
	log := func(task, phase, zero, one string) string {
		return `{"task_id":"t","log":[` + task + `],"phases":{"1":{"log":[` + phase + `],"events":{"0":[` + zero + `],"1":[` + one + `],"2":[],"3":[],"4":[],"5":[],"6":[]}}}}`
	}
	s.report("task_log_update", log(entry(0, 1000, "begun")+","+entry(1, 9000, "later"), entry(0, 1000, "phase"), entry(0, 1500, "go")+","+entry(1, 2500, "wait"), entry(0, 1700, "there")))
	s.get("/tasks/t/log?between=0,1636388414500").is(t, 200, log(entry(0, 1000, "begun")+","+entry(1, 9000, "later"), entry(0, 1000, "phase"), entry(0, 1500, "go")+","+entry(1, 2500, "wait"), entry(0, 1700, "there")))
	s.get("/tasks/t/log?between=1200,1700").is(t, 200, log("", "", entry(0, 1500, "go"), entry(0, 1700, "there")))
	got := parse[TaskEventLog](t, s.get("/tasks/t/log?between=20000,30000").is(t, 200, "").body)
	if len(got.Log) != 0 || len(got.Phases) != 1 || len(got.Phases["1"].Events) != 7 {
		t.Errorf("outside of the range: %+v", got)
	}
}

func TestOriginalFavorites(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	count := func() int { return len(parse[[]TaskFavorite](t, s.get("/favorite_tasks").is(t, 200, "").body)) }
	body := `{"id":"","name":"f","unix_millis_earliest_start_time":0,"priority":{"type":"binary","value":0},"category":"clean","description":{"zone":"a"},"user":"","task_definition_id":"clean"}`
	for range 2 {
		s.post("/favorite_tasks", body).is(t, 200, `null`)
	}
	before := count()
	first := parse[[]TaskFavorite](t, s.get("/favorite_tasks").body)[0].ID
	s.as("admin", "DELETE", "/favorite_tasks/"+first, "").is(t, 200, "")
	if after := count(); before != 2 || after != before-1 {
		t.Errorf("%d before, %d after", before, after)
	}
}
