package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// RMF's error codes, as its dispatcher and adapters give them.
const (
	codeUnsupported   = 4
	codeInvalid       = 5
	codeCircumstances = 6
	codeTokens        = 7
	codeInfeasible    = 9
)

func invalid(format string, args ...any) *apiError {
	return &apiError{codeInvalid, "Invalid request format", fmt.Sprintf(format, args...)}
}

// A request is one message of the task API. Which fields matter depends on its type.
type request struct {
	Type       string
	TaskID     string
	Labels     []string
	Tokens     []string
	PhaseID    int
	Robot      string
	Fleet      string
	Task       taskRequest
	Commission commissionRequest
	Dispatch   string // pending_dispatch_tasks_policy
	Direct     string // pending_direct_tasks_policy
}

type taskRequest struct {
	EarliestStart *int64
	RequestTime   *int64
	Priority      json.RawMessage
	Category      string
	Description   json.RawMessage
	Labels        []string
	Requester     string
	Fleet         string
}

type commissionRequest struct {
	DispatchTasks *bool `json:"dispatch_tasks"`
	DirectTasks   *bool `json:"direct_tasks"`
	IdleBehavior  *bool `json:"idle_behavior"`
}

// parseRequest reads a task API message. Nobody in RMF answers what is no request at all:
// then known is false. A request that is wrong in itself comes back with what is wrong.
func parseRequest(text string) (r request, known bool, wrong *apiError) {
	f, ok := parseFields(json.RawMessage(text))
	if !ok {
		return request{}, false, nil
	}
	if json.Unmarshal(f.values["type"], &r.Type) != nil {
		return request{}, false, nil
	}
	switch r.Type {
	case "dispatch_task_request":
		r.Task = taskRequestOf(f.object("request", true))
	case "robot_task_request":
		f.read("robot", &r.Robot, true)
		f.read("fleet", &r.Fleet, true)
		r.Task = taskRequestOf(f.object("request", true))
	case "cancel_task_request", "kill_task_request", "interrupt_task_request":
		f.read("task_id", &r.TaskID, true)
	case "rewind_task_request", "skip_phase_request":
		f.read("task_id", &r.TaskID, true)
		f.read("phase_id", &r.PhaseID, true)
		if r.PhaseID < 0 {
			f.complain("phase_id: must not be negative")
		}
	case "resume_task_request", "undo_phase_skip_request":
		f.read("for_task", &r.TaskID, true)
		f.read("for_tokens", &r.Tokens, true)
		if len(r.Tokens) == 0 {
			f.complain("for_tokens: must have at least one item")
		}
	case "robot_commission_request":
		r.commission(f)
	default:
		return request{}, false, nil
	}
	f.read("labels", &r.Labels, false)
	return r, true, f.err()
}

func (r *request) commission(f *fields) {
	f.read("robot", &r.Robot, true)
	f.read("fleet", &r.Fleet, true)
	f.read("commission", &r.Commission, true)
	f.read("pending_dispatch_tasks_policy", &r.Dispatch, false)
	f.read("pending_direct_tasks_policy", &r.Direct, false)
	if !strings.Contains("|reassign|complete|cancel|", "|"+r.Dispatch+"|") && r.Dispatch != "" {
		f.complain("pending_dispatch_tasks_policy: must be reassign, complete or cancel")
	}
	if !strings.Contains("|complete|cancel|", "|"+r.Direct+"|") && r.Direct != "" {
		f.complain("pending_direct_tasks_policy: must be complete or cancel")
	}
}

func taskRequestOf(f *fields) (t taskRequest) {
	f.read("category", &t.Category, true)
	f.read("unix_millis_earliest_start_time", &t.EarliestStart, false)
	f.read("unix_millis_request_time", &t.RequestTime, false)
	f.read("labels", &t.Labels, false)
	f.read("requester", &t.Requester, false)
	f.read("fleet_name", &t.Fleet, false)
	t.Description = f.values["description"]
	if t.Description == nil {
		f.complain("description: is required")
	}
	if p := f.values["priority"]; p != nil {
		if p = bytes.TrimSpace(p); len(p) > 0 && p[0] == '{' {
			t.Priority = p
		} else if string(p) != "null" {
			f.complain("priority: must be an object")
		}
	}
	return t
}

// fields reads the members of a JSON object and collects what is wrong with them.
type fields struct {
	path   string
	values map[string]json.RawMessage
	wrong  *[]string
}

func parseFields(text json.RawMessage) (*fields, bool) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil || values == nil {
		return nil, false
	}
	return &fields{values: values, wrong: new([]string)}, true
}

func (f *fields) complain(format string, args ...any) {
	*f.wrong = append(*f.wrong, f.path+fmt.Sprintf(format, args...))
}

func (f *fields) read(name string, into any, required bool) {
	text, there := f.values[name]
	if !there || string(text) == "null" {
		if required {
			f.complain("%s: is required", name)
		}
		return
	}
	if err := json.Unmarshal(text, into); err != nil {
		f.complain("%s: has the wrong type", name)
	}
}

// object is a member that is an object itself. When it is none, that is noted, and what
// comes back is empty, so that reading on is safe.
func (f *fields) object(name string, required bool) *fields {
	inner := &fields{path: f.path + name + "/", wrong: new([]string)}
	text, there := f.values[name]
	switch {
	case !there && required:
		f.complain("%s: is required", name)
	case there:
		if json.Unmarshal(text, &inner.values) != nil || inner.values == nil {
			f.complain("%s: must be an object", name)
		} else {
			inner.wrong = f.wrong
		}
	}
	return inner
}

func (f *fields) err() *apiError {
	if len(*f.wrong) == 0 {
		return nil
	}
	return invalid("%s", strings.Join(*f.wrong, "; "))
}
