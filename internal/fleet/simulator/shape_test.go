package simulator

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

// shapes.json holds the schemas of RMF's API messages, strict in the names of members.
//
//go:embed testdata/shapes.json
var shapes []byte

// A schema is the part of JSON Schema that RMF's messages need.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       string            `json:"type"`
	EnumType   []string          `json:"enum_type"`
	Enum       []any             `json:"enum"`
	OneOf      []schema          `json:"oneOf"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	Additional json.RawMessage   `json:"additionalProperties"`
	Items      *schema           `json:"items"`
	Minimum    *float64          `json:"minimum"`
	Maximum    *float64          `json:"maximum"`
	Defs       map[string]schema `json:"$defs"`
}

func loadShapes(t testing.TB) map[string]schema {
	t.Helper()
	var s schema
	if err := json.Unmarshal(shapes, &s); err != nil {
		t.Fatal(err)
	}
	return s.Defs
}

// check says where a message departs from the schema with this name.
func check(defs map[string]schema, name string, text []byte) error {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	return validate(defs, schema{Ref: name}, v, name)
}

func validate(defs map[string]schema, s schema, v any, at string) error {
	if s.Ref != "" {
		def, known := defs[s.Ref]
		if !known {
			return fmt.Errorf("no schema %s", s.Ref)
		}
		return validate(defs, def, v, at)
	}
	if len(s.OneOf) > 0 {
		var all []error
		for _, one := range s.OneOf {
			err := validate(defs, one, v, at)
			if err == nil {
				return nil
			}
			all = append(all, err)
		}
		return errors.Join(all...)
	}
	if s.Enum != nil {
		for _, e := range s.Enum {
			if e == v {
				return nil
			}
		}
		return fmt.Errorf("%s: %v is not one of %v", at, v, s.Enum)
	}
	kind := kindOf(v)
	if s.Type != "" && kind != s.Type && (s.Type != "number" || kind != "integer") {
		return fmt.Errorf("%s: is %s, not %s", at, kind, s.Type)
	}
	if s.EnumType != nil && !strings.Contains(strings.Join(s.EnumType, " "), kind) {
		return fmt.Errorf("%s: is %s", at, kind)
	}
	switch v := v.(type) {
	case float64:
		if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			return fmt.Errorf("%s: %v is out of range", at, v)
		}
	case []any:
		for i, item := range v {
			if err := validate(defs, *s.Items, item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		return validateObject(defs, s, v, at)
	}
	return nil
}

func validateObject(defs map[string]schema, s schema, v map[string]any, at string) error {
	for _, name := range s.Required {
		if _, there := v[name]; !there {
			return fmt.Errorf("%s: %s is missing", at, name)
		}
	}
	for name, member := range v {
		of, known := s.Properties[name]
		if !known {
			if string(s.Additional) == "false" {
				return fmt.Errorf("%s: %s is not known", at, name)
			}
			if len(s.Additional) == 0 {
				continue
			}
			if err := json.Unmarshal(s.Additional, &of); err != nil {
				return err
			}
		}
		if err := validate(defs, of, member, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	default:
		return "object"
	}
}

// Everything that adapters and the dispatcher say on a busy day has RMF's shape.
func TestMessagesHaveTheShapesOfRMF(t *testing.T) {
	t.Parallel()
	defs := loadShapes(t)
	w := newTestWorld(t, Options{Seed: 2, Trouble: 20, Rate: 5})
	kinds := map[string]string{"task_state_update": "TaskState", "task_log_update": "TaskEventLog", "fleet_state_update": "FleetState", "fleet_log_update": "FleetLog"}
	seen := map[string]int{}
	w.tap = func(kind string, text []byte) {
		for suffix, name := range kinds {
			if strings.HasSuffix(kind, suffix) {
				seen[name]++
				if err := check(defs, name, text); err != nil {
					t.Fatalf("%v in %s", err, text)
				}
			}
		}
		if strings.Contains(string(text), "null") {
			t.Fatalf("%s has a null: %s", kind, text)
		}
	}
	answers := func(name, text string) {
		t.Helper()
		if err := check(defs, name, []byte(text)); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	id := w.dispatch("compose", `{"phases":[{"activity":{"category":"go_to_place","description":"lobby"},"on_cancel":[{"category":"go_to_place","description":"reception"}]},{"activity":{"category":"perform_action","description":{"category":"wait","description":{}}}}]}`)
	w.dispatch("delivery", `{"pickup":{"place":"supply","payload":[]},"dropoff":{"place":"kitchen","payload":[]}}`)
	w.dispatch("clean", `{"zone":"nowhere"}`)
	w.live(4)
	answers("TokenResponse", w.ask(`{"type":"interrupt_task_request","task_id":"`+id+`"}`))
	answers("TokenResponse", w.ask(`{"type":"skip_phase_request","task_id":"`+id+`","phase_id":2}`))
	answers("SimpleResponse", w.ask(`{"type":"resume_task_request","for_task":"`+id+`","for_tokens":["x"]}`))
	answers("SimpleResponse", w.ask(`{"type":"cancel_task_request","task_id":"`+id+`","labels":["enough"]}`))
	answers("TaskResponse", w.ask(`{"type":"dispatch_task_request","request":{"category":"patrol","description":{"places":["lobby"]},"priority":{"type":"binary","value":1}}}`))
	answers("TaskResponse", w.ask(`{"type":"dispatch_task_request","request":{}}`))
	answers("TaskResponse", w.ask(`{"type":"robot_task_request","robot":"carrier_1","fleet":"carriers","request":{"category":"patrol","description":{"places":["lobby"]}}}`))
	answers("RobotCommissionResponse", w.ask(`{"type":"robot_commission_request","robot":"carrier_2","fleet":"carriers","commission":{"dispatch_tasks":false},"pending_dispatch_tasks_policy":"cancel"}`))
	w.live(900)
	for _, name := range kinds {
		if seen[name] == 0 {
			t.Errorf("no %s was seen", name)
		}
	}
}

// What the bridge sends has the members of the ROS types, named and counted by hand.
func TestROSMessagesHaveTheirMembers(t *testing.T) {
	t.Parallel()
	members := map[string]string{
		"/door_states":            "current_mode door_name door_time",
		"/lift_states":            "available_floors available_modes current_floor current_mode destination_floor door_state lift_name lift_time motion_state session_id",
		"/dispenser_states":       "guid mode request_guid_queue seconds_remaining time",
		"/ingestor_states":        "guid mode request_guid_queue seconds_remaining time",
		"/beacon_state":           "activated category id level online",
		"/alert":                  "alert_parameters display id message responses_available subtitle task_id tier title",
		"/delivery_alert_request": "action category id message task_id tier",
		"/task_api_responses":     "json_msg request_id type",
		"/clock":                  "clock",
	}
	w := newTestWorld(t, Options{})
	seen := map[string]bool{}
	w.tap = func(kind string, text []byte) {
		want, known := members[kind]
		if !known {
			return
		}
		seen[kind] = true
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Fields(want) {
			if _, there := m[name]; !there {
				t.Fatalf("%s has no %s: %s", kind, name, text)
			}
			delete(m, name)
		}
		if len(m) > 0 {
			t.Fatalf("%s has more members: %v", kind, reflect.ValueOf(m).MapKeys())
		}
		if kind == "/lift_states" && !strings.Contains(string(text), `"available_modes":"AQI="`) {
			t.Fatalf("modes are not base64: %s", text)
		}
	}
	w.dispatch("delivery", `{"pickup":{"place":"supply","payload":[]},"dropoff":{"place":"workshop","payload":[]}}`)
	w.live(10)
	for _, r := range w.robots {
		if r.task != nil {
			w.deliveryTrouble(r, deliveryWrong)
			break
		}
	}
	w.stick(w.robots[0], "a test")
	w.live(10)
	for topic := range members {
		if !seen[topic] {
			t.Errorf("nothing was sent on %s", topic)
		}
	}
}
