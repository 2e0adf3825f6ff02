package e2e

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFleetStores tells the stories of a building on every kind of database.
func TestFleetStores(t *testing.T) {
	t.Parallel()
	for name, on := range map[string]func(t testing.TB) setting{
		"SQLite":     func(testing.TB) setting { return all() },
		"PostgreSQL": onPostgres,
		"MariaDB":    onMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, b := startBuilding(t, 30, on(t))
			oneDay(t, root, b)
			someDoors(t, root)
		})
	}
}

// oneDay is a day's work, and what is left of it after a power cut in the evening.
func oneDay(t *testing.T, root caller, b *building) {
	request := patrol(1, "lab_bench", "lobby")
	request["request"].(map[string]any)["labels"] = []string{"round=morning", "urgent"}
	request["request"].(map[string]any)["requester"] = "night watch"
	done := root.dispatchThis("/fleet", request)
	delivery := root.dispatchThis("/fleet", map[string]any{"type": "dispatch_task_request", "request": map[string]any{
		"category": "delivery", "unix_millis_earliest_start_time": 0, "description": map[string]any{
			"pickup":  map[string]any{"place": "supply", "handler": "supply_dispenser", "payload": map[string]any{"sku": "box", "quantity": 1}},
			"dropoff": map[string]any{"place": "lab_bench", "handler": "lab_ingestor", "payload": map[string]any{"sku": "box", "quantity": 1}},
		},
	}})
	canceled := root.dispatch(9, "ward_desk", "kitchen")
	root.becomes(canceled, "underway")
	root.send("POST", "/fleet/tasks/cancel_task", map[string]any{"type": "cancel_task_request", "task_id": canceled, "labels": []string{"night watch"}}).is(200, "true")
	root.becomes(canceled, "canceled")
	root.becomes(done, "completed")
	root.becomes(delivery, "completed")

	order := []string{done, delivery, canceled}
	slices.Sort(order)
	for query, want := range map[string][]string{
		"": order, "label=round%3Dmorning": {done}, "label=round%3Dmorning,urgent": {done}, "label=round": nil, "status=canceled,failed": {canceled},
		"category=delivery": {delivery}, "requester=night%20watch": {done}, "task_id=" + done + "," + canceled: sorted(done, canceled),
		"start_time_between=-3600000": order, "start_time_between=0,1": nil, "finish_time_between=0,9007199254740991": order,
	} {
		if got := root.tasks(query); !slices.Equal(got, want) {
			t.Errorf("tasks with %q: %v, want %v", query, got, want)
		}
	}
	first := parse[[]taskState](root.get("/fleet/tasks?order_by=-label=round&limit=1").is(200))
	if len(first) != 1 || first[0].Booking.ID != done {
		t.Errorf("by label, descending, the first is %v", first)
	}
	equal(t, "all tasks", root.get("/fleet/tasks?limit=1&total=true").is(200).header.Get("X-Total-Count"), "3")
	root.get("/fleet/tasks/"+done+"/request").is(200, `"category":"patrol"`)
	root.get("/fleet/task_logs?q="+url.QueryEscape("lobby")).is(200, done)
	onceInTheLog(t, root, done)
	for _, a := range parse[[]alert](root.get("/fleet/alerts/requests/task/" + done).is(200)) {
		root.send("POST", "/fleet/alerts/request/"+a.ID+"/respond?response=Acknowledge", nil).is(201)
	}
	root.get("/fleet/alerts/requests/task/"+done).is(200, "[]")
	root.get("/fleet/alerts/requests/task/"+done+"?unresponded=false").is(200, "Task completed")

	root.send("POST", "/fleet/favorite_tasks", map[string]any{
		"id": "", "name": "Naïve Röbel 🤖", "unix_millis_earliest_start_time": 0, "priority": nil, "category": "patrol",
		"description": map[string]any{"places": []string{"lobby"}}, "user": "", "task_definition_id": "patrol",
	}).is(200, "null")
	plan := parse[struct {
		ID int `json:"id"`
	}](root.send("POST", "/fleet/scheduled_tasks", map[string]any{
		"schedules":    []map[string]any{{"period": "monday", "at": "08:00"}, {"period": "day", "at": "23:30"}},
		"task_request": map[string]any{"category": "patrol", "description": map[string]any{"places": []string{"lobby"}, "rounds": 1}},
		"except_dates": []string{"2040-12-24T12:00:00Z"},
	}).is(201, "2040-12-24"))
	if plan.ID == 0 {
		t.Error("a schedule without an id")
	}
	root.send("POST", "/fleet/beacons?beacon_id=b1&online=true&category=fire&activated=false&level=L1", nil).is(201)
	root.send("PUT", "/fleet/rios", map[string]any{"id": "r1", "type": "lamp", "data": map[string]any{"on": true}}).is(201)

	paths := []string{
		"/tasks?order_by=id_", "/tasks/" + done + "/log?between=0,9007199254740991", "/tasks/" + done + "/request", "/alerts?limit=100", "/favorite_tasks",
		"/scheduled_tasks?start_before=2050-01-01&until_after=2020-01-01", "/beacons", "/rios", "/building_map", "/doors", "/lifts",
	}
	// What comes after the robots are home is not the day's.
	b.server.kill()
	read := func(path string) string { // the server is at another address after the power cut
		return strings.ReplaceAll(root.get("/fleet"+path).is(200).body, root.url(), "http://lodge")
	}
	before := map[string]string{}
	for _, path := range paths {
		before[path] = read(path)
	}
	root.kill()
	root.start()
	for _, path := range paths {
		equal(t, path+" after the power cut", read(path), before[path])
	}
	b.leadsTo(root.lodge)
	b.start()
	b.isKnownTo(root)
	began := time.Now()
	eventually(t, "ROS is back", func() bool {
		return root.send("POST", "/fleet/doors/kitchen_door/request", map[string]int{"mode": 0}).status == http.StatusOK
	})
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("ROS is back after %s", took)
	}
	if strings.Contains(root.get("/readyz").body, `"state":"failed"`) {
		t.Error("something is not ready")
	}
}

func sorted(list ...string) []string {
	slices.Sort(list)
	return list
}
