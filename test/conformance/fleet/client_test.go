package fleet_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// install fetches the generator that the lock file names, once.
var install = sync.OnceValue(func() error {
	if _, err := os.Stat(filepath.Join("node_modules", "@hey-api", "openapi-ts")); err == nil {
		return nil
	}
	if out, err := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error").CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return nil
})

// site is the built program with the fleet part alone, and its simulated building.
type site struct {
	url, token string
	doc        *document
	raw        []byte
}

// begin starts a program that ends with the test, and gives its output line by line.
func begin(t *testing.T, command ...string) (io.Writer, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	noError(t, err)
	out, err := cmd.StdoutPipe()
	noError(t, err)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	noError(t, err)
	cmd.Stderr = log
	noError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()
		_ = log.Close()
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%s ends with:\n%s", filepath.Base(command[0]), text[max(0, len(text)-3000):])
		}
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	return in, lines
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

func startSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	lodge, data := filepath.Join(dir, "lodge"), filepath.Join(dir, "data")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", lodge, "../../../cmd/lodge").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	_, said := begin(t, lodge, "serve", "fleet", "--data", data, "--listen", "127.0.0.1:0")
	s := &site{doc: new(document)}
	for s.url == "" && said.Scan() {
		s.url = address.FindString(said.Text())
	}
	if s.url == "" {
		t.Fatal("it ended before it was ready")
	}
	go func() { // it may say more
		for said.Scan() {
		}
	}()
	token, err := exec.CommandContext(t.Context(), lodge, "token", "create", "--data", data, "--name", "client", "--admin").Output()
	noError(t, err)
	s.token = strings.TrimSpace(string(token))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/openapi.json", nil)
	noError(t, err)
	resp, err := http.DefaultClient.Do(req)
	noError(t, err)
	defer func() { _ = resp.Body.Close() }()
	s.raw, err = io.ReadAll(resp.Body)
	noError(t, err)
	noError(t, json.Unmarshal(s.raw, s.doc))
	return s
}

// client is the generated client, in a Node process.
type client struct {
	t      *testing.T
	site   *site
	in     io.Writer
	out    *bufio.Scanner
	called map[string]bool
}

func newClient(t *testing.T, s *site) *client {
	t.Helper()
	noError(t, install())
	dir := t.TempDir()
	noError(t, os.WriteFile(filepath.Join(dir, "openapi.json"), s.raw, 0o600))
	c := &client{t: t, site: s, called: map[string]bool{}}
	c.in, c.out = begin(t, "node", "client.cjs", filepath.Join(dir, "openapi.json"), s.url, s.token, filepath.Join(dir, "client"))
	if !c.out.Scan() || c.out.Text() != `{"ready":true}` {
		t.Fatalf("the client was not generated: %s", c.out.Text())
	}
	return c
}

// args are those of one call.
type args struct {
	Op    string         `json:"op"`
	Path  map[string]any `json:"path,omitempty"`
	Query map[string]any `json:"query,omitempty"`
	Body  any            `json:"body,omitempty"`
}

// ask makes one call.
func (c *client) ask(a args) (int, any) {
	c.t.Helper()
	text, err := json.Marshal(a)
	noError(c.t, err)
	_, err = c.in.Write(append(text, '\n'))
	noError(c.t, err)
	if !c.out.Scan() {
		c.t.Fatalf("the client ended at %s", a.Op)
	}
	var answer struct {
		Status int
		Data   any
	}
	noError(c.t, json.Unmarshal(c.out.Bytes(), &answer))
	return answer.Status, answer.Data
}

// call makes a call until it is answered with the status: much of a site comes about by and by. What is
// answered must be as the document says.
func (c *client) call(status int, a args) any {
	c.t.Helper()
	c.called[a.Op] = true
	got, data := c.ask(a)
	for deadline := time.Now().Add(30 * time.Second); got != status && got != http.StatusInternalServerError && time.Now().Before(deadline); {
		pause := time.NewTimer(100 * time.Millisecond)
		<-pause.C
		got, data = c.ask(a)
	}
	if got != status {
		c.t.Fatalf("%s: status %d, want %d: %v", a.Op, got, status, data)
	}
	if wrong := c.site.doc.conforms(c.t, c.site.answerOf(c.t, a.Op, status), data, a.Op); len(wrong) > 0 && status < 300 {
		c.t.Errorf("%s", strings.Join(wrong, "\n"))
	}
	return data
}

// answerOf is the schema of an answer.
func (s *site) answerOf(t testing.TB, id string, status int) *schema {
	for _, methods := range s.doc.Paths {
		for _, op := range methods {
			if op.OperationID == id {
				if of := op.Responses[fmt.Sprint(status)].Content["application/json"].Schema; of != nil {
					return of
				}
			}
		}
	}
	t.Fatalf("%s has no answer %d", id, status)
	return nil
}

// field digs a value out of an answer.
func field(t testing.TB, v any, names ...string) any {
	t.Helper()
	for _, name := range names {
		object, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("no %s in %v", name, v)
		}
		v = object[name]
	}
	return v
}

type m = map[string]any

// TestGeneratedClient compares the document with the list of the API, and calls every operation of it
// through a client that is generated from the document.
func TestGeneratedClient(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	compareModels(t, s.doc)
	compareOperations(t, s.doc)

	c := newClient(t, s)
	c.call(200, args{Op: "get_user_user_get"})
	c.call(200, args{Op: "get_effective_permissions_permissions_get"})
	c.call(200, args{Op: "get_time_time_get"})
	c.call(200, args{Op: "_lambda__socket_io_get"})
	c.alerts()
	c.building()
	c.fleets()
	c.tasks()
	c.schedules()
	c.admin()
	for _, line := range lines(t, "operations.txt") {
		if id := strings.Fields(line)[2]; !c.called[id] {
			t.Errorf("%s was not called", id)
		}
	}
}

func (c *client) alerts() {
	alert := m{
		"id": "a1", "unix_millis_alert_time": 1, "title": "t", "subtitle": "s", "message": "m", "display": true, "tier": "info",
		"responses_available": []string{"ok"}, "alert_parameters": []m{{"name": "n", "value": "v"}}, "task_id": nil,
	}
	c.call(201, args{Op: "create_new_alert_alerts_request_post", Body: alert})
	c.call(200, args{Op: "get_alert_alerts_request__alert_id__get", Path: m{"alert_id": "a1"}})
	c.call(200, args{Op: "get_unresponded_alerts_alerts_unresponded_requests_get"})
	c.call(200, args{Op: "get_alerts_of_task_alerts_requests_task__task_id__get", Path: m{"task_id": "t"}, Query: m{"unresponded": false}})
	c.call(201, args{Op: "respond_to_alert_alerts_request__alert_id__respond_post", Path: m{"alert_id": "a1"}, Query: m{"response": "ok"}})
	c.call(200, args{Op: "get_alert_response_alerts_request__alert_id__response_get", Path: m{"alert_id": "a1"}})
	c.call(200, args{
		Op: "respond_to_delivery_alert_delivery_alerts__delivery_alert_id__response_post", Path: m{"delivery_alert_id": "d1"},
		Query: m{"category": "missing", "tier": "warning", "task_id": "t", "action": "resume", "message": "m"},
	})
	c.call(201, args{Op: "save_beacon_state_beacons_post", Query: m{"beacon_id": "b1", "online": true, "category": "c", "activated": false, "level": "L1"}})
	c.call(200, args{Op: "get_beacons_beacons_get"})
	c.call(200, args{Op: "get_beacon_beacons__beacon_id__get", Path: m{"beacon_id": "b1"}})
	for _, status := range []int{201, 200} {
		c.once(status, args{Op: "put_rio_rios_put", Body: m{"id": "r1", "type": "a", "data": m{"x": 1}}})
	}
	c.call(200, args{Op: "query_rios_rios_get", Query: m{"id": "r1,r2", "type": "a"}})
}

// once makes a call one time only, whose answer is not described: that of two good ones, or a refusal.
func (c *client) once(status int, a args) {
	c.t.Helper()
	c.called[a.Op] = true
	if got, data := c.ask(a); got != status {
		c.t.Errorf("%s: status %d, want %d: %v", a.Op, got, status, data)
	}
}

func (c *client) building() {
	c.call(200, args{Op: "get_building_map_building_map_get"})
	c.call(200, args{Op: "reset_fire_alarm_trigger_building_map_reset_fire_alarm_trigger_post"})
	c.call(200, args{Op: "get_previous_fire_alarm_trigger_building_map_previous_fire_alarm_trigger_get"})
	c.call(200, args{Op: "get_doors_doors_get"})
	c.call(200, args{Op: "get_door_state_doors__door_name__state_get", Path: m{"door_name": "lab_door"}})
	c.call(200, args{Op: "post_door_request_doors__door_name__request_post", Path: m{"door_name": "lab_door"}, Body: m{"mode": 2}})
	c.call(200, args{Op: "get_lifts_lifts_get"})
	c.call(200, args{Op: "get_lift_state_lifts__lift_name__state_get", Path: m{"lift_name": "lift_1"}})
	c.call(200, args{Op: "post_lift_request_lifts__lift_name__request_post", Path: m{"lift_name": "lift_1"}, Body: m{"request_type": 0, "door_mode": 0, "destination": "L1"}})
	c.call(200, args{Op: "get_dispenser_state_dispensers__guid__state_get", Path: m{"guid": "supply_dispenser"}})
	c.call(200, args{Op: "get_dispensers_dispensers_get"})
	c.call(200, args{Op: "get_ingestor_state_ingestors__guid__state_get", Path: m{"guid": "lab_ingestor"}})
	c.call(200, args{Op: "get_ingestors_ingestors_get"})
}

func (c *client) fleets() {
	cleaners := m{"name": "cleaners"}
	c.call(200, args{Op: "get_fleet_state_fleets__name__state_get", Path: cleaners})
	c.call(200, args{Op: "get_fleets_fleets_get"})
	robots, ok := field(c.t, c.call(200, args{Op: "get_fleet_state_fleets__name__state_get", Path: cleaners}), "robots").(m)
	if !ok || len(robots) == 0 {
		c.t.Fatal("no robots")
	}
	robot := ""
	for name := range robots {
		robot = max(robot, name)
	}
	c.call(200, args{Op: "decommission_robot_fleets__name__decommission_post", Path: cleaners, Query: m{"robot_name": robot, "reassign_tasks": true, "allow_idle_behavior": false}})
	c.call(200, args{Op: "recommission_robot_fleets__name__recommission_post", Path: cleaners, Query: m{"robot_name": robot}})
	c.once(400, args{Op: "unlock_mutex_group_fleets__name__unlock_mutex_group_post", Path: cleaners, Query: m{"robot_name": robot, "mutex_group": "none"}})
	c.call(200, args{Op: "get_fleet_log_fleets__name__log_get", Path: cleaners, Query: m{"between": "0,9007199254740991"}})
}

func (c *client) tasks() {
	t := c.t
	patrol := func(labels ...string) m {
		return m{"category": "patrol", "description": m{"places": []string{"lab_bench", "lobby"}, "rounds": 5}, "labels": labels}
	}
	dispatch := func() m {
		answer := c.call(200, args{Op: "post_dispatch_task_tasks_dispatch_task_post", Body: m{"type": "dispatch_task_request", "request": patrol("client=generated")}})
		return m{"task_id": field(t, answer, "state", "booking", "id")}
	}
	task, other := dispatch(), dispatch()
	underway := func(task m) {
		for deadline := time.Now().Add(30 * time.Second); ; {
			if field(t, c.call(200, args{Op: "get_task_state_tasks__task_id__state_get", Path: task}), "status") == "underway" {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%v is not underway", task)
			}
			pause := time.NewTimer(50 * time.Millisecond)
			<-pause.C
		}
	}
	underway(task)
	c.call(200, args{Op: "get_task_log_tasks__task_id__log_get", Path: task, Query: m{"between": "0,9007199254740991"}})
	c.call(200, args{Op: "get_task_request_tasks__task_id__request_get", Path: task})
	c.call(200, args{Op: "query_task_requests_tasks_requests_get", Query: m{"task_ids": task["task_id"]}})
	c.call(200, args{Op: "get_task_booking_label_tasks__task_id__booking_label_get", Path: task})
	found, _ := c.call(200, args{Op: "query_task_states_tasks_get", Query: m{"label": "client=generated", "order_by": "-unix_millis_start_time", "limit": 10}}).([]any)
	if len(found) != 2 {
		t.Errorf("%d tasks by their label", len(found))
	}
	command := func(kind string, more m) m {
		body := m{"type": kind, "labels": []string{"client"}}
		for name, value := range more {
			body[name] = value
		}
		return body
	}
	token := field(t, c.call(200, args{Op: "post_interrupt_task_tasks_interrupt_task_post", Body: command("interrupt_task_request", task)}), "token")
	c.call(200, args{Op: "post_resume_task_tasks_resume_task_post", Body: command("resume_task_request", m{"for_task": task["task_id"], "for_tokens": []any{token}})})
	skip := m{"task_id": task["task_id"], "phase_id": 3}
	token = field(t, c.call(200, args{Op: "post_skip_phase_tasks_skip_phase_post", Body: command("skip_phase_request", skip)}), "token")
	c.call(200, args{Op: "post_undo_skip_phase_tasks_undo_skip_phase_post", Body: command("undo_phase_skip_request", m{"for_task": task["task_id"], "for_tokens": []any{token}})})
	c.call(200, args{Op: "post_rewind_task_tasks_rewind_task_post", Body: m{"type": "rewind_task_request", "task_id": task["task_id"], "phase_id": 1}})
	c.call(200, args{Op: "post_cancel_task_tasks_cancel_task_post", Body: command("cancel_task_request", task)})
	underway(other)
	c.call(200, args{Op: "post_kill_task_tasks_kill_task_post", Body: command("kill_task_request", other)})
	c.call(200, args{Op: "post_robot_task_tasks_robot_task_post", Body: m{"type": "robot_task_request", "fleet": "carriers", "robot": "carrier_1", "request": patrol()}})
	// Nobody in RMF answers this one.
	c.once(500, args{Op: "post_task_discovery_tasks_task_discovery_post", Body: m{"type": "task_discovery_request"}})

	favorite := m{"id": "f1", "name": "f", "unix_millis_earliest_start_time": 0, "priority": nil, "category": "patrol", "description": m{}, "user": "", "task_definition_id": "p"}
	c.call(200, args{Op: "post_favorite_task_favorite_tasks_post", Body: favorite})
	c.call(200, args{Op: "get_favorites_tasks_favorite_tasks_get"})
	c.call(200, args{Op: "delete_favorite_task_favorite_tasks__favorite_task_id__delete", Path: m{"favorite_task_id": "f1"}})
}

func (c *client) schedules() {
	body := m{"task_request": m{"category": "patrol", "description": m{"places": []string{"lobby"}}}, "schedules": []m{{"period": "monday", "at": "08:00"}}}
	id := m{"task_id": field(c.t, c.call(201, args{Op: "post_scheduled_task_scheduled_tasks_post", Body: body}), "id")}
	c.call(200, args{Op: "get_scheduled_tasks_scheduled_tasks_get", Query: m{"start_before": "2099-01-01T00:00:00Z", "until_after": "2000-01-01T00:00:00Z"}})
	c.call(200, args{Op: "get_scheduled_task_scheduled_tasks__task_id__get", Path: id})
	c.call(201, args{Op: "add_except_date_scheduled_tasks__task_id__except_date_post", Path: id, Body: m{"except_date": "2099-01-05T00:00:00Z"}})
	c.call(200, args{Op: "update_schedule_task_scheduled_tasks__task_id__update_post", Path: id, Body: body})
	c.call(200, args{Op: "del_scheduled_tasks_scheduled_tasks__task_id__delete", Path: id})
}

func (c *client) admin() {
	anna, role := m{"username": "anna"}, m{"role": "watch"}
	permission := m{"authz_grp": "", "action": "task_read"}
	c.call(200, args{Op: "create_user_admin_users_post", Body: m{"username": "anna"}})
	c.call(200, args{Op: "get_users_admin_users_get", Query: m{"username": "an", "limit": 10}})
	c.call(200, args{Op: "get_user_admin_users__username__get", Path: anna})
	c.call(200, args{Op: "make_admin_admin_users__username__make_admin_post", Path: anna, Body: m{"admin": false}})
	c.call(200, args{Op: "create_role_admin_roles_post", Body: m{"name": "watch"}})
	c.call(200, args{Op: "get_roles_admin_roles_get"})
	c.call(200, args{Op: "add_user_role_admin_users__username__roles_post", Path: anna, Body: m{"name": "watch"}})
	c.call(200, args{Op: "set_user_roles_admin_users__username__roles_put", Path: anna, Body: []m{{"name": "watch"}}})
	c.call(200, args{Op: "delete_user_role_admin_users__username__roles__role__delete", Path: m{"username": "anna", "role": "watch"}})
	c.call(200, args{Op: "add_role_permission_admin_roles__role__permissions_post", Path: role, Body: permission})
	c.call(200, args{Op: "get_role_permissions_admin_roles__role__permissions_get", Path: role})
	c.call(200, args{Op: "remove_role_permission_admin_roles__role__permissions_remove_post", Path: role, Body: permission})
	c.call(200, args{Op: "delete_role_admin_roles__role__delete", Path: role})
	c.call(200, args{Op: "delete_user_admin_users__username__delete", Path: anna})
}
