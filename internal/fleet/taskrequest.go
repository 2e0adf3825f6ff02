package fleet

import (
	"encoding/json"

	"lodge/internal/fleet/fastapi"
)

// TaskRequest asks for a task. The description is RMF's affair.
type TaskRequest struct {
	UnixMillisEarliestStartTime *int64          `json:"unix_millis_earliest_start_time" required:"false"`
	UnixMillisRequestTime       *int64          `json:"unix_millis_request_time" required:"false"`
	Priority                    fastapi.Object  `json:"priority" required:"false"`
	Category                    string          `json:"category"`
	Description                 json.RawMessage `json:"description"`
	Labels                      []string        `json:"labels" required:"false"`
	Requester                   *string         `json:"requester" required:"false"`
	FleetName                   *string         `json:"fleet_name" required:"false"`
}

// DispatchTaskRequest asks the dispatcher to find a robot for a task.
type DispatchTaskRequest struct {
	Type    string      `json:"type" enum:"dispatch_task_request"`
	Request TaskRequest `json:"request"`
}

// RobotTaskRequest gives a task to one robot.
type RobotTaskRequest struct {
	Type    string      `json:"type"`
	Robot   string      `json:"robot"`
	Fleet   string      `json:"fleet"`
	Request TaskRequest `json:"request"`
}

// CancelTaskRequest ends a task in an orderly way.
type CancelTaskRequest struct {
	Type   string   `json:"type" enum:"cancel_task_request"`
	TaskID string   `json:"task_id"`
	Labels []string `json:"labels" required:"false"`
}

// TaskInterruptionRequest pauses a task.
type TaskInterruptionRequest struct {
	Type   string   `json:"type" enum:"interrupt_task_request"`
	TaskID string   `json:"task_id"`
	Labels []string `json:"labels" required:"false"`
}

// TaskKillRequest ends a task at once.
type TaskKillRequest struct {
	Type   string   `json:"type" enum:"kill_task_request"`
	TaskID string   `json:"task_id"`
	Labels []string `json:"labels" required:"false"`
}

// TaskResumeRequest ends pauses.
type TaskResumeRequest struct {
	Type      *string  `json:"type" required:"false" enum:"resume_task_request"`
	ForTask   *string  `json:"for_task" required:"false"`
	ForTokens []string `json:"for_tokens" required:"false" minItems:"1"`
	Labels    []string `json:"labels" required:"false"`
}

// TaskRewindRequest goes back to a phase.
type TaskRewindRequest struct {
	Type    string `json:"type" enum:"rewind_task_request"`
	TaskID  string `json:"task_id"`
	PhaseID int64  `json:"phase_id" minimum:"0"`
}

// TaskPhaseSkipRequest leaves out a phase.
type TaskPhaseSkipRequest struct {
	Type    string   `json:"type" enum:"skip_phase_request"`
	TaskID  string   `json:"task_id"`
	PhaseID int64    `json:"phase_id" minimum:"0"`
	Labels  []string `json:"labels" required:"false"`
}

// UndoPhaseSkipRequest takes requests to leave out a phase back.
type UndoPhaseSkipRequest struct {
	Type      *string  `json:"type" required:"false" enum:"undo_phase_skip_request"`
	ForTask   *string  `json:"for_task" required:"false"`
	ForTokens []string `json:"for_tokens" required:"false" minItems:"1"`
	Labels    []string `json:"labels" required:"false"`
}

// TaskDiscoveryRequest asks what tasks there can be.
type TaskDiscoveryRequest struct {
	Type string `json:"type" enum:"task_discovery_request"`
}

// RobotCommissionRequest changes what a robot may be used for.
type RobotCommissionRequest struct {
	Type                       string     `json:"type"`
	Robot                      string     `json:"robot"`
	Fleet                      string     `json:"fleet"`
	Commission                 Commission `json:"commission"`
	PendingDispatchTasksPolicy *string    `json:"pending_dispatch_tasks_policy" required:"false" enum:"reassign,complete,cancel"`
	PendingDirectTasksPolicy   *string    `json:"pending_direct_tasks_policy" required:"false" enum:"complete,cancel"`
}

// SimpleResponse is RMF's answer to most commands.
type SimpleResponse struct {
	Success bool    `json:"success"`
	Errors  []Error `json:"errors" required:"false"`
}

// TokenResponse is RMF's answer to commands that can be taken back.
type TokenResponse struct {
	Success bool    `json:"success"`
	Token   *string `json:"token" required:"false"`
	Errors  []Error `json:"errors" required:"false"`
}

// TaskDispatchResponse is the answer to a task that was taken.
type TaskDispatchResponse struct {
	Success bool            `json:"success"`
	State   json.RawMessage `json:"state"`
}

// taskRefusal is the answer to a task that was not.
type taskRefusal struct {
	Success *bool   `json:"success"`
	Errors  []Error `json:"errors"`
}

// RobotCommissionResponse is RMF's answer about a commission.
type RobotCommissionResponse struct {
	Commission                 *CommissionResult `json:"commission"`
	PendingDispatchTasksPolicy *CommissionResult `json:"pending_dispatch_tasks_policy" required:"false"`
	PendingDirectTasksPolicy   *CommissionResult `json:"pending_direct_tasks_policy" required:"false"`
}

// CommissionResult says whether a part of it was done.
type CommissionResult struct {
	Success bool    `json:"success"`
	Errors  []Error `json:"errors" required:"false"`
}

// TaskDiscovery lists what tasks there can be.
type TaskDiscovery struct {
	Type string            `json:"type" enum:"task_discovery_update"`
	Data TaskDiscoveryData `json:"data"`
}

// TaskDiscoveryData is one fleet's share of it.
type TaskDiscoveryData struct {
	FleetName *string `json:"fleet_name" required:"false"`
	Tasks     []struct {
		Category          string         `json:"category"`
		Detail            string         `json:"detail"`
		DescriptionSchema fastapi.Object `json:"description_schema" required:"false"`
	} `json:"tasks" required:"false"`
}
