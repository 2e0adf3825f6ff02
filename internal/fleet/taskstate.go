package fleet

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// The statuses of a task that matter here.
const (
	statusFailed    = "failed"
	statusCompleted = "completed"
	statusCanceled  = "canceled"
	statusKilled    = "killed"
)

// taskStatuses are all that a task or an event can have.
const taskStatuses = "uninitialized,blocked,error,failed,queued,standby,underway,delayed,skipped,canceled,killed,completed"

// TaskState is what is known of a task, as the fleet adapter or the dispatcher says.
type TaskState struct {
	Booking                Booking                 `json:"booking"`
	Category               *string                 `json:"category" required:"false"`
	Detail                 json.RawMessage         `json:"detail" required:"false"`
	UnixMillisStartTime    *int64                  `json:"unix_millis_start_time" required:"false"`
	UnixMillisFinishTime   *int64                  `json:"unix_millis_finish_time" required:"false"`
	OriginalEstimateMillis *int64                  `json:"original_estimate_millis" required:"false" minimum:"0"`
	EstimateMillis         *int64                  `json:"estimate_millis" required:"false" minimum:"0"`
	AssignedTo             *AssignedTo             `json:"assigned_to" required:"false"`
	Status                 *string                 `json:"status" required:"false" enum:"uninitialized,blocked,error,failed,queued,standby,underway,delayed,skipped,canceled,killed,completed"`
	Dispatch               *Dispatch               `json:"dispatch" required:"false"`
	Phases                 map[string]Phase        `json:"phases" required:"false"`
	Completed              []int64                 `json:"completed" required:"false"`
	Active                 *int64                  `json:"active" required:"false"`
	Pending                []int64                 `json:"pending" required:"false"`
	Interruptions          map[string]Interruption `json:"interruptions" required:"false"`
	Cancellation           *Marker                 `json:"cancellation" required:"false"`
	Killed                 *Marker                 `json:"killed" required:"false"`
}

// Booking is how a task was asked for.
type Booking struct {
	ID                          string          `json:"id"`
	UnixMillisEarliestStartTime *int64          `json:"unix_millis_earliest_start_time" required:"false"`
	UnixMillisRequestTime       *int64          `json:"unix_millis_request_time" required:"false"`
	Priority                    json.RawMessage `json:"priority" required:"false"`
	Labels                      []string        `json:"labels" required:"false"`
	Requester                   *string         `json:"requester" required:"false"`
}

// AssignedTo is the robot that does a task.
type AssignedTo struct {
	Group string `json:"group"`
	Name  string `json:"name"`
}

// Dispatch is how far the dispatcher came.
type Dispatch struct {
	Status     string      `json:"status" enum:"queued,selected,dispatched,failed_to_assign,canceled_in_flight"`
	Assignment *Assignment `json:"assignment" required:"false"`
	Errors     []Error     `json:"errors" required:"false"`
}

// Assignment is whom the dispatcher chose.
type Assignment struct {
	FleetName         *string `json:"fleet_name" required:"false"`
	ExpectedRobotName *string `json:"expected_robot_name" required:"false"`
}

// Error is what RMF says went wrong.
type Error struct {
	Code     *int64  `json:"code" required:"false" minimum:"0"`
	Category *string `json:"category" required:"false"`
	Detail   *string `json:"detail" required:"false"`
}

// Phase is a step of a task.
type Phase struct {
	ID                     int64                  `json:"id" minimum:"0"`
	Category               *string                `json:"category" required:"false"`
	Detail                 json.RawMessage        `json:"detail" required:"false"`
	UnixMillisStartTime    *int64                 `json:"unix_millis_start_time" required:"false"`
	UnixMillisFinishTime   *int64                 `json:"unix_millis_finish_time" required:"false"`
	OriginalEstimateMillis *int64                 `json:"original_estimate_millis" required:"false" minimum:"0"`
	EstimateMillis         *int64                 `json:"estimate_millis" required:"false" minimum:"0"`
	FinalEventID           *int64                 `json:"final_event_id" required:"false" minimum:"0"`
	Events                 map[string]EventState  `json:"events" required:"false"`
	SkipRequests           map[string]SkipRequest `json:"skip_requests" required:"false"`
}

// EventState is a part of a phase.
type EventState struct {
	ID     int64           `json:"id" minimum:"0"`
	Status *string         `json:"status" required:"false" enum:"uninitialized,blocked,error,failed,queued,standby,underway,delayed,skipped,canceled,killed,completed"`
	Name   *string         `json:"name" required:"false"`
	Detail json.RawMessage `json:"detail" required:"false"`
	Deps   []int64         `json:"deps" required:"false"`
}

// Interruption is a pause of a task.
type Interruption struct {
	UnixMillisRequestTime int64    `json:"unix_millis_request_time"`
	Labels                []string `json:"labels" nullable:"false"`
	ResumedBy             *Resumed `json:"resumed_by" required:"false"`
}

// Resumed says who ended a pause.
type Resumed struct {
	UnixMillisRequestTime *int64   `json:"unix_millis_request_time" required:"false"`
	Labels                []string `json:"labels" nullable:"false"`
}

// SkipRequest asks for a phase to be left out.
type SkipRequest struct {
	UnixMillisRequestTime int64    `json:"unix_millis_request_time"`
	Labels                []string `json:"labels" nullable:"false"`
	Undo                  *Marker  `json:"undo" required:"false"`
}

// Marker is when something was asked for, and by whom.
type Marker struct {
	UnixMillisRequestTime int64    `json:"unix_millis_request_time"`
	Labels                []string `json:"labels" nullable:"false"`
}

// mend makes lists of what clients expect to be one.
func (t *TaskState) mend() {
	for token, i := range t.Interruptions {
		i.Labels = orEmpty(i.Labels)
		if i.ResumedBy != nil {
			i.ResumedBy.Labels = orEmpty(i.ResumedBy.Labels)
		}
		t.Interruptions[token] = i
	}
	for id, p := range t.Phases {
		for token, skip := range p.SkipRequests {
			skip.Labels = orEmpty(skip.Labels)
			skip.Undo.mend()
			p.SkipRequests[token] = skip
		}
		t.Phases[id] = p
	}
	t.Cancellation.mend()
	t.Killed.mend()
}

func (m *Marker) mend() {
	if m != nil {
		m.Labels = orEmpty(m.Labels)
	}
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// ended says that a task with the status does nothing any more.
func ended(status string) bool {
	switch status {
	case statusFailed, statusCompleted, statusCanceled, statusKilled:
		return true
	default:
		return false
	}
}

// labelsOf reads labels as "name=value" or "name"; of a name that repeats the last counts.
func labelsOf(labels []string) map[string]string {
	all := make(map[string]string, len(labels))
	for _, label := range labels {
		name, value, _ := strings.Cut(label, "=")
		all[name] = value
	}
	return all
}

// maxKey is how long ids and names in the tables can be.
const maxKey = 255

// keyable says that a text can be a key: not empty, of bounded length, without what a database
// refuses.
func keyable(text string) bool {
	return text != "" && utf8.RuneCountInString(text) <= maxKey && storable(text)
}

// storable says that a column can hold the text.
func storable(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

// column is a text as an indexed column has it: null when it is absent or cannot be held. The
// document keeps it either way.
func column(text *string) any {
	if text == nil || utf8.RuneCountInString(*text) > maxKey || !storable(*text) {
		return nil
	}
	return *text
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
