package simulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	example "lodge/examples/building"
)

func TestRequestsAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{`nonsense`, "silence"},
		{`[]`, "silence"},
		{`null`, "silence"},
		{`{}`, "silence"},
		{`{"type":7}`, "silence"},
		{`{"type":"task_discovery_request"}`, "silence"},
		{`{"type":"dispatch_task_request"}`, "request: is required"},
		{`{"type":"dispatch_task_request","request":[]}`, "request: must be an object"},
		{`{"type":"dispatch_task_request","request":{}}`, "request/category: is required; request/description: is required"},
		{`{"type":"dispatch_task_request","request":{"category":1,"description":{}}}`, "request/category: has the wrong type"},
		{`{"type":"dispatch_task_request","request":{"category":"patrol","description":{},"priority":"high"}}`, "request/priority: must be an object"},
		{`{"type":"dispatch_task_request","request":{"category":"patrol","description":null}}`, ""},
		{`{"type":"dispatch_task_request","request":{"category":"patrol","description":{},"labels":["a=b"],"requester":"ann","fleet_name":"carriers"}}`, ""},
		{`{"type":"robot_task_request","request":{"category":"patrol","description":{}}}`, "robot: is required; fleet: is required"},
		{`{"type":"cancel_task_request"}`, "task_id: is required"},
		{`{"type":"cancel_task_request","task_id":"x","labels":"a"}`, "labels: has the wrong type"},
		{`{"type":"kill_task_request","task_id":"x","labels":["a"]}`, ""},
		{`{"type":"rewind_task_request","task_id":"x","phase_id":-1}`, "phase_id: must not be negative"},
		{`{"type":"skip_phase_request","task_id":"x","phase_id":1.5}`, "phase_id: has the wrong type"},
		{`{"type":"resume_task_request","for_task":"x","for_tokens":[]}`, "for_tokens: must have at least one item"},
		{`{"type":"undo_phase_skip_request","for_task":"x","for_tokens":["t"]}`, ""},
		{`{"type":"robot_commission_request","robot":"r","fleet":"f","commission":{},"pending_dispatch_tasks_policy":"burn"}`, "pending_dispatch_tasks_policy: must be reassign, complete or cancel"},
		{`{"type":"robot_commission_request","robot":"r","fleet":"f","commission":{},"pending_direct_tasks_policy":"reassign"}`, "pending_direct_tasks_policy: must be complete or cancel"},
	} {
		got := ""
		_, known, wrong := parseRequest(c.text)
		switch {
		case !known:
			got = "silence"
		case wrong != nil:
			got = wrong.Detail
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestDescriptionsAreChecked(t *testing.T) {
	t.Parallel()
	b, err := parseMap(example.Site())
	if err != nil {
		t.Fatal(err)
	}
	deep := strings.Repeat(`{"category":"sequence","description":[`, 40) + strings.Repeat(`]}`, 40)
	for _, c := range []struct{ fleet, category, description, want string }{
		{"carriers", "patrol", `{"places":["lobby"]}`, "1 phases"},
		{"carriers", "patrol", `{"places":["lobby",{"waypoint":"supply","orientation":1.5},0],"rounds":3}`, "9 phases"},
		{"carriers", "patrol", `{"places":[]}`, "places needs one item"},
		{"carriers", "patrol", `{"places":["lobby"],"rounds":0}`, "rounds must be at least 1"},
		{"carriers", "patrol", `{"places":["lobby"],"rounds":9223372036854775807}`, "more than 500 stops"},
		{"carriers", "patrol", `{"places":["moon"]}`, "waypoint name [moon] cannot be found"},
		{"carriers", "patrol", `{"places":[100000]}`, "must be the name or the index"},
		{"carriers", "patrol", `{"places":[null]}`, "must be the name or the index"},
		{"carriers", "patrol", `null`, "description: is missing"},
		{"carriers", "patrol", `"lobby"`, "description: is missing or has the wrong type"},
		{"carriers", "clean", `{"zone":"lobby_floor"}`, "Fleet [carriers] does not support task category [clean]"},
		{"cleaners", "clean", `{"zone":"moon"}`, "zone [moon] is not known"},
		{"cleaners", "clean", `{"zone":"lobby_floor"}`, "2 phases"},
		{"cleaners", "delivery", `{}`, "does not support task category"},
		{"carriers", "delivery", `{}`, "pickup: is missing"},
		{"carriers", "delivery", `{"pickup":{"place":"supply","handler":"nobody","payload":[]},"dropoff":{"place":"lobby","payload":[]}}`, "there is no handler [nobody]"},
		{"carriers", "delivery", `{"pickup":{"place":"supply","payload":{"sku":"a","quantity":2}},"dropoff":{"place":"lobby","payload":[]}}`, "4 phases"},
		{"carriers", "compose", `{"phases":[]}`, "the task has no phase"},
		{"carriers", "compose", `{"phases":[{"activity":{"category":"fly","description":{}}}]}`, "does not support activity [fly]"},
		{"carriers", "compose", `{"phases":[{"activity":{"category":"sequence","description":[]}}]}`, "has nothing to do"},
		{"carriers", "compose", `{"phases":[{"activity":{"category":"perform_action","description":{"category":"dance"}}}]}`, "does not support action [dance]"},
		{"carriers", "compose", `{"phases":[{"activity":` + deep + `}]}`, "too many activities, or too deep"},
		{"cleaners", "compose", `{"phases":[{"activity":{"category":"perform_action","description":{"category":"clean","description":{"zone":"lobby_floor"}}}}]}`, "1 phases"},
		{"carriers", "compose", `{"phases":[{"activity":{"category":"go_to_place","description":{"place":"lobby","followed_by":[]}},"on_cancel":[{"category":"go_to_place","description":"moon"}]}]}`, "[moon] cannot be found"},
	} {
		var f *fleetPlan
		for i := range b.fleets {
			if b.fleets[i].name == c.fleet {
				f = &b.fleets[i]
			}
		}
		phases, wrong := b.plan(f, c.category, json.RawMessage(c.description))
		got := fmt.Sprintf("%d phases", len(phases))
		if wrong != nil {
			got = wrong.Detail
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s %s\n got %s\nwant %s", c.category, c.description, got, c.want)
		}
	}
}

// Whatever is sent to the task API, the world goes on, and what it then tells has RMF's shape.
func FuzzRequests(f *testing.F) {
	for _, s := range []string{
		`{"type":"dispatch_task_request","request":{"category":"patrol","description":{"places":["lobby"]}}}`,
		`{"type":"dispatch_task_request","request":{"category":"compose","description":{"phases":[{"activity":{"category":"sequence","description":[{"category":"go_to_place","description":{"one_of":["lobby",3]}}]},"on_cancel":[]}]}}}`,
		`{"type":"dispatch_task_request","request":{"category":"delivery","description":{"pickup":{"place":"supply","payload":[]},"dropoff":{"place":{"waypoint":1},"payload":{"sku":"x","quantity":1e300}}}}}`,
		`{"type":"robot_task_request","robot":"carrier_1","fleet":"carriers","request":{"category":"patrol","description":{"places":[0],"rounds":2},"unix_millis_earliest_start_time":-5}}`,
		`{"type":"robot_commission_request","robot":"carrier_1","fleet":"carriers","commission":{"idle_behavior":null}}`,
		`{"type":"skip_phase_request","task_id":"t","phase_id":1}`,
	} {
		f.Add(s)
	}
	defs := loadShapes(f)
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // the wire is JSON text
		}
		w := newTestWorld(t, Options{Speed: 5})
		w.tap = func(kind string, text []byte) {
			if strings.HasSuffix(kind, "task_state_update") {
				if err := check(defs, "TaskState", text); err != nil {
					t.Errorf("%v in %s", err, text)
				}
			}
		}
		w.ask(`{"type":"robot_task_request","robot":"carrier_1","fleet":"carriers","request":{"category":"patrol","description":{"places":["lobby","supply"]}}}`)
		w.ask(text)
		w.live(5)
		w.ask(text)
		w.live(5)
	})
}
