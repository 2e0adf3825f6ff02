package simulator

import "encoding/json"

// These are the messages of rmf_api_msgs as fleet adapters and the dispatcher send them.
// Absent values are left out, never null: that is how the adapters write them.

type status string

const (
	uninitialized status = "uninitialized"
	blocked       status = "blocked"
	failing       status = "error"
	failed        status = "failed"
	queued        status = "queued"
	standby       status = "standby"
	underway      status = "underway"
	delayed       status = "delayed"
	skipped       status = "skipped"
	canceled      status = "canceled"
	killed        status = "killed"
	completed     status = "completed"
)

// ended says whether nothing will happen to a task any more.
func (s status) ended() bool {
	return s == failed || s == canceled || s == killed || s == completed
}

type taskState struct {
	Booking          booking                  `json:"booking"`
	Category         string                   `json:"category,omitempty"`
	Detail           json.RawMessage          `json:"detail,omitempty"`
	Start            int64                    `json:"unix_millis_start_time,omitempty"`
	Finish           int64                    `json:"unix_millis_finish_time,omitempty"`
	OriginalEstimate int64                    `json:"original_estimate_millis,omitempty"`
	Estimate         int64                    `json:"estimate_millis,omitempty"`
	AssignedTo       *assignedTo              `json:"assigned_to,omitempty"`
	Status           status                   `json:"status,omitempty"`
	Dispatch         *dispatchState           `json:"dispatch,omitempty"`
	Phases           map[string]phaseState    `json:"phases,omitempty"`
	Completed        []int                    `json:"completed,omitempty"`
	Active           *int                     `json:"active,omitempty"`
	Pending          []int                    `json:"pending,omitempty"`
	Interruptions    map[string]*interruption `json:"interruptions,omitempty"`
	Cancellation     *stamp                   `json:"cancellation,omitempty"`
	Killed           *stamp                   `json:"killed,omitempty"`
}

type booking struct {
	ID            string          `json:"id"`
	EarliestStart *int64          `json:"unix_millis_earliest_start_time,omitempty"`
	RequestTime   *int64          `json:"unix_millis_request_time,omitempty"`
	Priority      json.RawMessage `json:"priority,omitempty"`
	Labels        []string        `json:"labels,omitempty"`
	Requester     string          `json:"requester,omitempty"`
}

type assignedTo struct {
	Group string `json:"group"`
	Name  string `json:"name"`
}

type dispatchState struct {
	Status     string      `json:"status"`
	Assignment *assignment `json:"assignment,omitempty"`
	Errors     []apiError  `json:"errors,omitempty"`
}

type assignment struct {
	Fleet string `json:"fleet_name,omitempty"`
	Robot string `json:"expected_robot_name,omitempty"`
}

type apiError struct {
	Code     int    `json:"code"`
	Category string `json:"category"`
	Detail   string `json:"detail"`
}

type phaseState struct {
	ID               int                     `json:"id"`
	Category         string                  `json:"category"`
	Detail           string                  `json:"detail,omitempty"`
	Start            int64                   `json:"unix_millis_start_time,omitempty"`
	Finish           int64                   `json:"unix_millis_finish_time,omitempty"`
	OriginalEstimate int64                   `json:"original_estimate_millis,omitempty"`
	Estimate         int64                   `json:"estimate_millis,omitempty"`
	FinalEvent       *int                    `json:"final_event_id,omitempty"`
	Events           map[string]eventState   `json:"events,omitempty"`
	SkipRequests     map[string]*skipRequest `json:"skip_requests,omitempty"`
}

type eventState struct {
	ID     int    `json:"id"`
	Status status `json:"status"`
	Name   string `json:"name"`
	Detail string `json:"detail"`
	Deps   []int  `json:"deps"`
}

// A stamp is when somebody asked for something, and the labels that they gave.
type stamp struct {
	Time   int64    `json:"unix_millis_request_time"`
	Labels []string `json:"labels"`
}

type interruption struct {
	stamp
	ResumedBy *stamp `json:"resumed_by,omitempty"`
}

type skipRequest struct {
	stamp
	Undo *stamp `json:"undo,omitempty"`
}

type logEntry struct {
	Seq  uint32 `json:"seq"`
	Tier string `json:"tier"`
	Time int64  `json:"unix_millis_time"`
	Text string `json:"text"`
}

type taskLog struct {
	TaskID string              `json:"task_id"`
	Phases map[string]phaseLog `json:"phases,omitempty"`
}

type phaseLog struct {
	Log    []logEntry            `json:"log,omitempty"`
	Events map[string][]logEntry `json:"events,omitempty"`
}

type fleetState struct {
	Name   string                `json:"name"`
	Robots map[string]robotState `json:"robots"`
}

type robotState struct {
	Name       string      `json:"name"`
	Status     string      `json:"status"`
	TaskID     string      `json:"task_id"`
	Time       int64       `json:"unix_millis_time"`
	Location   location    `json:"location"`
	Battery    float64     `json:"battery"`
	Issues     []issue     `json:"issues"`
	Commission commission  `json:"commission"`
	Mutexes    mutexGroups `json:"mutex_groups"`
}

type location struct {
	Map string  `json:"map"`
	X   float64 `json:"x"`
	Y   float64 `json:"y"`
	Yaw float64 `json:"yaw"`
}

type issue struct {
	Category string `json:"category"`
	Detail   string `json:"detail"`
}

type commission struct {
	DispatchTasks bool `json:"dispatch_tasks"`
	DirectTasks   bool `json:"direct_tasks"`
	IdleBehavior  bool `json:"idle_behavior"`
}

type mutexGroups struct {
	Locked     []string `json:"locked"`
	Requesting []string `json:"requesting"`
}

type fleetLog struct {
	Name   string                `json:"name"`
	Robots map[string][]logEntry `json:"robots"`
}

// These are the ROS messages that pass the bridge.

type rosTime struct {
	Sec     int32  `json:"sec"`
	Nanosec uint32 `json:"nanosec"`
}

type value struct {
	Value uint32 `json:"value"`
}

type doorState struct {
	Time rosTime `json:"door_time"`
	Name string  `json:"door_name"`
	Mode value   `json:"current_mode"`
}

type liftState struct {
	Time        rosTime  `json:"lift_time"`
	Name        string   `json:"lift_name"`
	Floors      []string `json:"available_floors"`
	Floor       string   `json:"current_floor"`
	Destination string   `json:"destination_floor"`
	Door        uint8    `json:"door_state"`
	Motion      uint8    `json:"motion_state"`
	Modes       []byte   `json:"available_modes"` // base64, as rosbridge writes uint8[]
	Mode        uint8    `json:"current_mode"`
	Session     string   `json:"session_id"`
}

type cellState struct {
	Time      rosTime  `json:"time"`
	GUID      string   `json:"guid"`
	Mode      int32    `json:"mode"`
	Queue     []string `json:"request_guid_queue"`
	Remaining float64  `json:"seconds_remaining"`
}

type beaconState struct {
	ID        string `json:"id"`
	Online    bool   `json:"online"`
	Category  string `json:"category"`
	Activated bool   `json:"activated"`
	Level     string `json:"level"`
}

type alert struct {
	ID         string           `json:"id"`
	Title      string           `json:"title"`
	Subtitle   string           `json:"subtitle"`
	Message    string           `json:"message"`
	Display    bool             `json:"display"`
	Tier       uint8            `json:"tier"`
	Responses  []string         `json:"responses_available"`
	Parameters []alertParameter `json:"alert_parameters"`
	TaskID     string           `json:"task_id"`
}

type alertParameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type alertResponse struct {
	ID       string `json:"id"`
	Response string `json:"response"`
}

type deliveryAlert struct {
	ID       string `json:"id"`
	Category value  `json:"category"`
	Tier     value  `json:"tier"`
	TaskID   string `json:"task_id"`
	Action   value  `json:"action"`
	Message  string `json:"message"`
}

type boolean struct {
	Data bool `json:"data"`
}

type doorRequest struct {
	Time      json.RawMessage `json:"request_time"`
	Requester string          `json:"requester_id"`
	Door      string          `json:"door_name"`
	Mode      value           `json:"requested_mode"`
}

type liftRequest struct {
	Lift        string          `json:"lift_name"`
	Time        json.RawMessage `json:"request_time"`
	Session     string          `json:"session_id"`
	Type        uint8           `json:"request_type"`
	Destination string          `json:"destination_floor"`
	Door        uint8           `json:"door_state"`
}

type cellRequest struct {
	Time        json.RawMessage `json:"time"`
	Request     string          `json:"request_guid"`
	Target      string          `json:"target_guid"`
	Transporter string          `json:"transporter_type"`
	Items       json.RawMessage `json:"items"`
}

type mutexRelease struct {
	Groups []string `json:"release_mutex_groups"`
	Fleet  string   `json:"fleet"`
	Robot  string   `json:"robot"`
}

type apiMessage struct {
	JSON    string `json:"json_msg"`
	Request string `json:"request_id"`
}

type apiAnswer struct {
	Type    uint8  `json:"type"`
	JSON    string `json:"json_msg"`
	Request string `json:"request_id"`
}

type clockMessage struct {
	Clock rosTime `json:"clock"`
}
