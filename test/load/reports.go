package main

import (
	"fmt"
	"strings"
	"time"
)

// firstStart is when the first task started, in milliseconds.
const firstStart = 1_700_000_000_000

var statuses = []string{"completed", "completed", "completed", "completed", "completed", "failed", "canceled", "underway", "standby", "queued"}

// taskText is the state of a task as fleet adapters report it, 3.3 kB. Its detail tells when it was due,
// and when it will be finished changes with that, as an estimate does.
func taskText(id string, number int, status string, due time.Time) string {
	start := int64(firstStart + number*7919%100_000*1000)
	var phases []string
	for p := range 4 {
		var events []string
		for e := range 4 {
			events = append(events, fmt.Sprintf(`"%d":{"id":%d,"status":"underway","name":"Go to [place:waypoint_%d]","detail":"Moving the robot to the place","deps":[]}`, e, e, e))
		}
		phases = append(phases, fmt.Sprintf(`"%d":{"id":%d,"category":"Go to","detail":"Going to waypoint_%d on level L1","unix_millis_start_time":%d,`+
			`"original_estimate_millis":60000,"estimate_millis":50000,"final_event_id":0,"events":{%s},"skip_requests":{}}`, p+1, p+1, p, start, strings.Join(events, ",")))
	}
	return fmt.Sprintf(`{"type":"task_state_update","data":{"booking":{"id":%q,"unix_millis_earliest_start_time":%d,"unix_millis_request_time":%d,`+
		`"priority":{"type":"binary","value":0},"labels":["task_definition_id=patrol","destination=place%d"],"requester":"admin"},`+
		`"category":"patrol","detail":"%s","unix_millis_start_time":%d,"unix_millis_finish_time":1%s,"original_estimate_millis":600000,"estimate_millis":500000,`+
		`"assigned_to":{"group":"fleet_%d","name":"robot_%d"},"status":%q,"phases":{%s},"completed":[1,2],"active":3,"pending":[4],"interruptions":{}}}`,
		id, start, start-60_000, number%20, stamp(due), start, digits(due), number%4, number%50, status, strings.Join(phases, ","))
}

// fleetText is the state of a fleet; the issue of its first robot tells when it was due.
func fleetText(name string, robots int, due time.Time) string {
	var all []string
	for i := range robots {
		issues := "[]"
		if i == 0 {
			issues = fmt.Sprintf(`[{"category":"load","detail":"%s"}]`, stamp(due))
		}
		all = append(all, fmt.Sprintf(`"robot_%03d":{"name":"robot_%03d","status":"working","task_id":"patrol_%d","unix_millis_time":%d,`+
			`"location":{"map":"L1","x":%d.2513,"y":12.1251,"yaw":0.5236},"battery":0.7531,"issues":%s,`+
			`"commission":{"dispatch_tasks":true,"direct_tasks":true,"idle_behavior":true},"mutex_groups":{"locked":[],"requesting":[]}}`,
			i, i, i, firstStart, i, issues))
	}
	return fmt.Sprintf(`{"type":"fleet_state_update","data":{"name":%q,"robots":{%s}}}`, name, strings.Join(all, ","))
}

func taskRoom(id string) string    { return "/tasks/" + id + "/state" }
func fleetRoom(name string) string { return "/fleets/" + name + "/state" }
