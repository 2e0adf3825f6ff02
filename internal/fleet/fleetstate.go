package fleet

import (
	"encoding/json"

	"lodge/internal/fleet/fastapi"
)

// FleetState is what is known of a fleet.
//
//nolint:revive // the name that clients know
type FleetState struct {
	Name   *string               `json:"name" required:"false"`
	Robots map[string]RobotState `json:"robots" required:"false"`
}

// RobotState is what is known of a robot. The time is when the robot said so.
type RobotState struct {
	Name           *string        `json:"name" required:"false"`
	Status         *string        `json:"status" required:"false" enum:"uninitialized,offline,shutdown,idle,charging,working,error"`
	TaskID         *string        `json:"task_id" required:"false"`
	UnixMillisTime *int64         `json:"unix_millis_time" required:"false"`
	Location       *Location      `json:"location" required:"false"`
	Battery        *fastapi.Float `json:"battery" required:"false" minimum:"0" maximum:"1"`
	Issues         []Issue        `json:"issues" required:"false"`
	Commission     *Commission    `json:"commission" required:"false"`
	MutexGroups    *MutexGroups   `json:"mutex_groups" required:"false"`
}

// Location is where a robot stands.
type Location struct {
	Map string        `json:"map"`
	X   fastapi.Float `json:"x"`
	Y   fastapi.Float `json:"y"`
	Yaw fastapi.Float `json:"yaw"`
}

// Issue is a trouble of a robot.
type Issue struct {
	Category *string         `json:"category" required:"false"`
	Detail   json.RawMessage `json:"detail" required:"false"`
}

// Commission says what a robot may be used for.
type Commission struct {
	DispatchTasks *bool `json:"dispatch_tasks" required:"false"`
	DirectTasks   *bool `json:"direct_tasks" required:"false"`
	IdleBehavior  *bool `json:"idle_behavior" required:"false"`
}

// MutexGroups are what a robot has to itself or waits for.
type MutexGroups struct {
	Locked     []string `json:"locked" required:"false"`
	Requesting []string `json:"requesting" required:"false"`
}

// mend keeps what can be kept of values out of range.
func (f *FleetState) mend() {
	for _, r := range f.Robots {
		if r.Battery != nil {
			*r.Battery = min(max(*r.Battery, 0), 1)
		}
	}
}
