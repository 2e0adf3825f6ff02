package fleet

import (
	"strings"
	"testing"

	"lodge/internal/access"
)

func TestAdmin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.post("/admin/users", `{"username":"anna"}`).is(t, 200, `null`)
	s.post("/admin/users", `{"username":"anna"}`).says(t, 422, "User anna already exists")
	s.post("/admin/users", `{"username":"_x"}`).is(t, 422, "")
	s.post("/admin/users", `{"username":"ben","is_admin":true}`).is(t, 200, `null`)
	s.get("/admin/users").is(t, 200, `["admin","anna","ben"]`)
	s.get("/admin/users?username=AN").is(t, 200, `["anna"]`)
	s.get("/admin/users?is_admin=true&order_by=-username").is(t, 200, `["ben","admin"]`)
	s.get("/admin/users?limit=1&offset=1").is(t, 200, `["anna"]`)
	s.get("/admin/users?order_by=age").is(t, 422, "")
	s.get("/admin/users/anna").is(t, 200, `{"username":"anna","is_admin":false,"roles":[]}`)
	s.get("/admin/users/nobody").says(t, 404, "Not Found")

	s.post("/admin/roles", `{"name":"op"}`).is(t, 200, `null`)
	s.post("/admin/roles", `{"name":"op"}`).is(t, 422, "")
	s.post("/admin/roles", `{"name":"viewer"}`).is(t, 200, `null`)
	s.get("/admin/roles").is(t, 200, `["op","viewer"]`)
	s.post("/admin/users/anna/roles", `{"name":"op"}`).is(t, 200, `null`)
	s.post("/admin/users/anna/roles", `{"name":"op"}`).is(t, 200, `null`)
	s.post("/admin/users/anna/roles", `{"name":"none"}`).says(t, 404, "Not Found")
	s.post("/admin/users/nobody/roles", `{"name":"op"}`).says(t, 404, "Not Found")
	put := func(body string) response { return s.as("admin", "PUT", "/admin/users/anna/roles", body) }
	put(`[{"name":"viewer"},{"name":"op"}]`).is(t, 200, `null`)
	put(`[{"name":"viewer"},{"name":"none"}]`).says(t, 422, "one or more roles does not exist")
	put(`[{"name":"viewer"},{"name":"viewer"}]`).says(t, 422, "one or more roles does not exist")
	put(`{}`).is(t, 422, `{"detail":[{"type":"list_type","loc":["body"],"msg":"Input should be a valid list","input":{}}]}`)
	s.as("admin", "DELETE", "/admin/users/anna/roles/op", "").is(t, 200, `null`)
	s.as("admin", "DELETE", "/admin/users/anna/roles/op", "").is(t, 200, `null`)
	s.as("admin", "DELETE", "/admin/users/anna/roles/none", "").says(t, 404, "Not Found")
	s.get("/admin/users/anna").is(t, 200, `{"username":"anna","is_admin":false,"roles":["viewer"]}`)

	grant := `{"authz_grp":"","action":"task_read"}`
	s.get("/admin/roles/viewer/permissions").is(t, 200, `[]`)
	s.get("/admin/roles/none/permissions").says(t, 404, "Not Found")
	s.post("/admin/roles/viewer/permissions", grant).is(t, 200, `null`)
	s.post("/admin/roles/viewer/permissions", grant).is(t, 200, `null`)
	s.post("/admin/roles/viewer/permissions", `{"authz_grp":"x","action":"task_fly"}`).is(t, 422, "")
	s.get("/admin/roles/viewer/permissions").is(t, 200, `[`+grant+`]`)
	s.as("anna", "GET", "/permissions", "").is(t, 200, `[`+grant+`]`)
	s.as("anna", "GET", "/tasks", "").is(t, 200, `[]`)
	s.post("/admin/roles/viewer/permissions/remove", grant).is(t, 200, `null`)
	s.post("/admin/roles/viewer/permissions/remove", grant).is(t, 200, `null`)
	s.as("anna", "GET", "/tasks", "").is(t, 403, "")

	s.as("anna", "GET", "/admin/users", "").is(t, 403, `{"detail":"Forbidden","permission":"users.read on site"}`)
	s.post("/admin/users/anna/make_admin", `{"admin":true}`).is(t, 200, `null`)
	s.as("anna", "GET", "/admin/users", "").is(t, 200, "")
	s.post("/admin/users/anna/make_admin", `{"admin":false}`).is(t, 200, `null`)
	s.as("admin", "DELETE", "/admin/roles/viewer", "").is(t, 200, `null`)
	s.as("admin", "DELETE", "/admin/roles/viewer", "").says(t, 404, "Not Found")
	s.get("/admin/users/anna").is(t, 200, `{"username":"anna","is_admin":false,"roles":[]}`)
	s.as("admin", "DELETE", "/admin/users/anna", "").is(t, 200, `null`)
	s.get("/admin/users/anna").says(t, 404, "Not Found")
	s.as("anna", "GET", "/user", "").is(t, 200, `{"username":"anna","is_admin":false,"roles":[]}`)
}

func TestGroups(t *testing.T) {
	t.Parallel()
	groupsFilter(t, newSite(t))
}

// groupsFilter is about who sees what of lists and single things.
func groupsFilter(t *testing.T, s *site) {
	t.Helper()
	for _, a := range []access.Action{ReadTasks, CancelTasks, ReadFleets, ReadDoors, ControlDoors, ReadAlerts, SubmitTasks} {
		s.permit("lab", a, "lab")
	}
	assign := func(body string, status int) {
		t.Helper()
		s.as("admin", "PUT", "/admin/groups", body).is(t, status, "")
	}
	assign(`{"kind":"door","id":"d1","authz_grp":"lab"}`, 200)
	assign(`{"kind":"fleet","id":"f1","authz_grp":"lab"}`, 200)
	assign(`{"kind":"fleet","id":"","authz_grp":"lab"}`, 422)
	assign(`{"kind":"ship","id":"x","authz_grp":"lab"}`, 422)
	s.get("/admin/groups").is(t, 200, `[{"kind":"door","id":"d1","authz_grp":"lab"},{"kind":"fleet","id":"f1","authz_grp":"lab"}]`)
	for _, door := range []string{"d1", "d2"} {
		s.svc.FromROS("/door_states", []byte(`{"door_time":{"sec":0,"nanosec":0},"door_name":"`+door+`","current_mode":{"value":0}}`))
	}
	for _, fleet := range []string{"f1", "f2"} {
		s.report("fleet_state_update", `{"name":"`+fleet+`"}`)
		s.report("task_state_update", taskJSON("of-"+fleet, "")+`,"status":"completed","assigned_to":{"group":"`+fleet+`","name":"r"}}`)
	}
	s.report("task_state_update", taskJSON("of-none", "")+`}`)
	const anna = "anna lab"
	get := func(path string) response { return s.as(anna, "GET", path, "") }
	if got := ids(t, get("/tasks?total=1")); got != "of-f1" {
		t.Errorf("sees tasks %q", got)
	}
	if n := get("/tasks?total=1").Header.Get("X-Total-Count"); n != "1" {
		t.Errorf("counts %s", n)
	}
	get("/fleets").is(t, 200, `[{"name":"f1","robots":null}]`)
	get("/fleets/f1/state").is(t, 200, "")
	get("/fleets/f2/state").says(t, 404, "Not Found")
	get("/doors/d1/state").is(t, 200, "")
	get("/doors/d2/state").says(t, 404, "Not Found")
	get("/doors/unknown/state").says(t, 404, "Not Found")
	get("/tasks/of-f1/state").is(t, 200, "")
	get("/tasks/of-f2/state").says(t, 404, "Not Found")
	if list := parse[[]AlertRequest](t, get("/alerts/unresponded_requests").is(t, 200, "").body); len(list) != 1 || *list[0].TaskID != "of-f1" {
		t.Errorf("sees alerts %+v", list)
	}
	foreign := parse[[]AlertRequest](t, s.get("/alerts/requests/task/of-f2").body)[0].ID
	get("/alerts/request/"+foreign).says(t, 404, "Alert with ID "+foreign+" does not exists")
	s.as(anna, "POST", "/doors/d1/request", `{"mode":2}`).is(t, 200, `null`)
	s.as(anna, "POST", "/doors/d2/request", `{"mode":2}`).says(t, 404, "Not Found")
	s.ros.on(func(string) string { return `{"success":true}` })
	s.as(anna, "POST", "/tasks/cancel_task", `{"type":"cancel_task_request","task_id":"of-f1"}`).is(t, 200, "")
	s.as(anna, "POST", "/tasks/cancel_task", `{"type":"cancel_task_request","task_id":"of-f2"}`).says(t, 404, "Not Found")
	if n := len(s.ros.requests(t)); n != 1 {
		t.Errorf("RMF was asked %d times", n)
	}
	// A task is asked for in the name of a fleet, or of the site.
	s.as(anna, "POST", "/tasks/dispatch_task", dispatchBody).is(t, 403, "")
	s.ros.on(func(string) string { return `{"success":true,"state":{"booking":{"id":"mine"},"status":"queued"}}` })
	s.as(anna, "POST", "/tasks/dispatch_task", strings.Replace(dispatchBody, `"category"`, `"fleet_name":"f1","category"`, 1)).is(t, 200, "")
	get("/tasks/mine/state").is(t, 200, "")
	s.report("task_state_update", taskJSON("mine", "")+`,"status":"underway"}`)
	get("/tasks/mine/state").is(t, 200, "")

	things := parse[[]Thing](t, s.get("/admin/things").is(t, 200, "").body)
	if len(things) != 4 || things[0].Kind != "door" || things[0].Group != "lab" || things[1].Group != "" || things[0].Heard == 0 {
		t.Errorf("things %+v", things)
	}
	s.as(anna, "GET", "/admin/things", "").is(t, 403, "")
	s.as("admin", "DELETE", "/admin/things/door/d2", "").is(t, 200, `null`)
	s.as("admin", "DELETE", "/admin/things/door/d2", "").says(t, 404, "Not Found")
	s.get("/doors/d2/state").says(t, 404, "Not Found")

	// Another group for the fleet takes its tasks with it.
	assign(`{"kind":"fleet","id":"f1","authz_grp":""}`, 200)
	if got := ids(t, get("/tasks")); got != "" {
		t.Errorf("still sees %q", got)
	}
	s.get("/admin/groups").is(t, 200, `[{"kind":"door","id":"d1","authz_grp":"lab"}]`)
	labs := access.WithCaller(t.Context(), &access.Caller{Issuer: "stub", Subject: "anna", Name: "anna", Roles: []access.Role{"lab"}})
	noError(t, s.svc.MayListen(labs, "/doors/d1/state"))
	if err := s.svc.MayListen(labs, "/doors/d2/state"); sentence(err) != "404 Not Found" {
		t.Errorf("a foreign door: %v", err)
	}
	assign(`{"kind":"door","id":"d1","authz_grp":"other"}`, 200)
	if err := s.svc.MayListen(labs, "/doors/d1/state"); err == nil {
		t.Error("the right is gone, and the room is open still")
	}
}

func TestFavorites(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	favorite := func(id, description string) string {
		return `{"id":"` + id + `","name":"n","unix_millis_earliest_start_time":0,"priority":{},"category":"clean","description":` + description + `,"user":"somebody","task_definition_id":"d"}`
	}
	s.as("anna", "POST", "/favorite_tasks", favorite("", `{"a":1}`)).is(t, 200, `null`)
	mine := parse[[]TaskFavorite](t, s.as("anna", "GET", "/favorite_tasks", "").is(t, 200, "").body)
	if len(mine) != 1 || mine[0].User != "anna" || len(mine[0].ID) != 36 || mine[0].Priority != nil || string(*mine[0].Description) != `{"a":1}` {
		t.Fatalf("%+v", mine)
	}
	id := mine[0].ID
	s.as("ben", "GET", "/favorite_tasks", "").is(t, 200, `[]`)
	s.as("ben", "POST", "/favorite_tasks", favorite(id, `{}`)).says(t, 404, "Favorite task with id "+id+" does not exists")
	s.as("ben", "DELETE", "/favorite_tasks/"+id, "").says(t, 404, "Favorite task with id "+id+" does not exists")
	s.as("anna", "POST", "/favorite_tasks", favorite(id, `null`)).is(t, 200, `null`)
	s.as("anna", "POST", "/favorite_tasks", favorite("own", `{}`)).is(t, 200, `null`)
	s.as("anna", "DELETE", "/favorite_tasks/"+id, "").is(t, 200, `null`)
	if left := parse[[]TaskFavorite](t, s.as("anna", "GET", "/favorite_tasks", "").body); len(left) != 1 || left[0].ID != "own" {
		t.Errorf("%+v", left)
	}
	s.as("anna", "DELETE", "/favorite_tasks/"+id, "").is(t, 404, "")
}
