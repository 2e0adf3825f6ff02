package fleet

import (
	"net/url"
	"strings"
	"testing"
)

func alertJSON(id, task, responses string) string {
	return `{"id":"` + id + `","unix_millis_alert_time":7,"title":"t","subtitle":"s","message":"m","display":true,"tier":"info",` +
		`"responses_available":` + responses + `,"alert_parameters":[{"name":"n","value":"v"}],"task_id":` + task + `}`
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one := alertJSON("a1", `"task"`, `["resume","cancel"]`)
	s.get("/alerts/request/a1").says(t, 404, "Alert with ID a1 does not exists")
	s.post("/alerts/request", one).is(t, 201, one)
	s.post("/alerts/request", one).says(t, 409, "Alert with ID a1 already exists")
	s.get("/alerts/request/a1").is(t, 200, one)
	if got := s.hears("/alerts/requests"); !sameJSON(got, one) {
		t.Errorf("the room heard %s", got)
	}
	s.get("/alerts/request/a1/response").says(t, 404, "Response to alert with ID a1 does not exists")
	s.get("/alerts/requests/task/other").is(t, 200, `[]`)
	s.get("/alerts/requests/task/task").is(t, 200, `[`+one+`]`)

	silent := alertJSON("a2", `null`, `[]`)
	s.post("/alerts/request", silent).is(t, 201, silent)
	two := alertJSON("a3", `"task"`, `["ok"]`)
	s.post("/alerts/request", two).is(t, 201, two)
	// Oldest first, and nothing that wants no answer.
	s.get("/alerts/unresponded_requests").is(t, 200, `[`+one+`,`+two+`]`)
	s.get("/alerts/unresponded_requests?limit=1&offset=1").is(t, 200, `[`+two+`]`)
	s.as("admin", "GET", "/alerts/unresponded_requests", `{"limit":1,"offset":0,"order_by":["-id"]}`).is(t, 200, `[`+two+`]`)
	if a := s.as("admin", "GET", "/alerts/unresponded_requests", `{"limit":1}`); !strings.Contains(a.body, `"loc":["body","offset"]`) {
		t.Errorf("half a pagination: %s", a.body)
	}
	s.get("/alerts/unresponded_requests?order_by=nonsense").says(t, 422, "Unknown field to order by: nonsense")

	s.post("/alerts/request/nobody/respond?response=ok", "").says(t, 404, "Alert with ID nobody does not exists")
	s.post("/alerts/request/a1/respond?response=shrug", "").says(t, 400, "Response [shrug] is not a response option of alert with ID a1")
	s.post("/alerts/request/a1/respond", "").is(t, 422, `{"detail":[{"type":"missing","loc":["query","response"],"msg":"Field required","input":null}]}`)
	answer := parse[AlertResponse](t, s.post("/alerts/request/a1/respond?response=resume", "").is(t, 201, "").body)
	if answer.ID != "a1" || answer.Response != "resume" || answer.UnixMillisResponseTime == 0 {
		t.Errorf("answer %+v", answer)
	}
	s.post("/alerts/request/a1/respond?response=shrug", "").says(t, 409, "Alert with ID a1 already has a response of resume")
	if got := parse[AlertResponse](t, s.get("/alerts/request/a1/response").is(t, 200, "").body); got != answer {
		t.Errorf("the answer is %+v", got)
	}
	if got := parse[AlertResponse](t, s.hears("/alerts/responses")); got != answer {
		t.Errorf("the room heard %+v", got)
	}
	if got := s.ros.took(topicAlertResponse); len(got) != 1 || got[0] != `{"id":"a1","response":"resume"}` {
		t.Errorf("ROS heard %v", got)
	}
	s.get("/alerts/unresponded_requests").is(t, 200, `[`+two+`]`)
	s.get("/alerts/requests/task/task").is(t, 200, `[`+two+`]`)
	s.get("/alerts/requests/task/task?unresponded=false").is(t, 200, `[`+one+`,`+two+`]`)
	s.get("/alerts/requests/task/task?unresponded=NO&limit=1&offset=1").is(t, 200, `[`+two+`]`)
	answered := s.get("/alerts/request/a1/response").body
	s.get("/alerts").is(t, 200, `[{"request":`+two+`,"response":null},{"request":`+silent+`,"response":null},{"request":`+one+`,"response":`+answered+`}]`)
	if a := s.get("/alerts?answered=true&limit=1&total=true").is(t, 200, `[{"request":`+one+`,"response":`+answered+`}]`); a.Header.Get("X-Total-Count") != "1" {
		t.Errorf("total %v", a.Header)
	}
	if a := s.get("/alerts?answered=false&limit=1&total=true").is(t, 200, `[{"request":`+two+`,"response":null}]`); a.Header.Get("X-Total-Count") != "2" {
		t.Errorf("total %v", a.Header)
	}
}

func TestAlertInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.post("/alerts/request", strings.Replace(alertJSON("x", "null", "[]"), `,"task_id":null`, ``, 1)).is(t, 422, "")
	s.post("/alerts/request", strings.Replace(alertJSON("x", "null", "[]"), `"info"`, `"loud"`, 1)).is(t, 422,
		`{"detail":[{"type":"enum","loc":["body","tier"],"msg":"Input should be 'info', 'warning' or 'error'","input":"loud","ctx":{"expected":"'info', 'warning' or 'error'"}}]}`)
	s.post("/alerts/request", alertJSON(strings.Repeat("x", 256), "null", "[]")).is(t, 422, "")
}

func TestAlertsFromROS(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	msg := `{"id":"r1","title":"t","subtitle":"","message":"m","display":true,"tier":9,"responses_available":["ok"],"alert_parameters":[],"task_id":""}`
	s.svc.FromROS("/alert", []byte(msg))
	s.svc.FromROS("/alert", []byte(msg)) // latched topics repeat themselves
	got := parse[AlertRequest](t, s.get("/alerts/request/r1").is(t, 200, "").body)
	if got.Tier != "info" || got.TaskID != nil || got.UnixMillisAlertTime == 0 || got.ResponsesAvailable[0] != "ok" {
		t.Errorf("%+v", got)
	}
	if heard := s.live.heard("/alerts/requests"); len(heard) != 1 {
		t.Errorf("heard %d times", len(heard))
	}
	s.svc.FromROS("/alert_response", []byte(`{"id":"r1","response":"ok"}`))
	s.svc.FromROS("/alert_response", []byte(`{"id":"r1","response":"ok"}`))
	eventually(t, "the answer is stored", func() bool { return s.get("/alerts/request/r1/response").StatusCode == 200 })
	eventually(t, "the answer is told", func() bool { return len(s.live.heard("/alerts/responses")) > 0 })
	s.svc.FromROS("/alert_response", []byte(`{"id":"r1","response":"ok"}`))
	s.get("/alerts/request/r1/response").is(t, 200, "")
	if heard := s.live.heard("/alerts/responses"); len(heard) != 1 {
		t.Errorf("answers heard %d times", len(heard))
	}
}

func TestDeliveryAlerts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.svc.FromROS("/delivery_alert_request", []byte(`{"id":"d1","category":{"value":2},"tier":{"value":1},"task_id":"t","action":{"value":0},"message":"m"}`))
	want := `{"id":"d1","category":"obstructed","tier":"error","action":"waiting","task_id":"t","message":"m"}`
	if got := s.hears("/delivery_alerts"); got != want {
		t.Errorf("heard %s", got)
	}
	s.replays("/delivery_alerts", want) // as long as it waits
	s.svc.FromROS("/delivery_alert_request", []byte(`{"id":"d2","category":{"value":7},"tier":{"value":1},"task_id":"t","action":{"value":0},"message":"m"}`))
	if heard := s.live.heard("/delivery_alerts"); len(heard) != 1 {
		t.Errorf("an unknown category was passed on: %v", heard)
	}
	q := url.Values{"category": {"wrong"}, "tier": {"warning"}, "task_id": {"t"}, "action": {"override"}, "message": {"a & b"}}
	s.post("/delivery_alerts/d1/response?"+q.Encode(), "").is(t, 200, `{"id":"d1","category":"wrong","tier":"warning","action":"override","task_id":"t","message":"a & b"}`)
	sent := s.ros.took(topicDeliveryResponse)
	if len(sent) != 1 || !sameJSON(sent[0], `{"id":"d1","category":{"value":1},"tier":{"value":0},"task_id":"t","action":{"value":2},"message":"a & b"}`) {
		t.Errorf("ROS heard %v", sent)
	}
	// The topic is latched: what was answered is told again, and does not wait again.
	s.svc.FromROS("/delivery_alert_request", []byte(`{"id":"d1","category":{"value":2},"tier":{"value":1},"task_id":"t","action":{"value":0},"message":"m"}`))
	s.svc.FromROS("/delivery_alert_request", []byte(`{"id":"d3","category":{"value":0},"tier":{"value":0},"task_id":"t","action":{"value":0},"message":"m"}`))
	eventually(t, "the next one is heard", func() bool { return strings.Contains(s.hears("/delivery_alerts"), `"d3"`) })
	s.replays("/delivery_alerts", `{"id":"d3","category":"missing","tier":"warning","action":"waiting","task_id":"t","message":"m"}`)
	s.get("/admin/things").is(t, 200, `[]`)
	q.Set("action", "dance")
	s.post("/delivery_alerts/d1/response?"+q.Encode(), "").is(t, 422, "")
}
