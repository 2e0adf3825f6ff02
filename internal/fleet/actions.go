package fleet

import (
	"lodge/internal/access"
)

// What can be done here. The group is the authorization group of the thing, see groups.go.
const (
	ReadTasks      access.Action = "fleet.tasks.read"
	SubmitTasks    access.Action = "fleet.tasks.submit"
	CancelTasks    access.Action = "fleet.tasks.cancel"
	WriteSchedules access.Action = "fleet.schedules.write"
	ReadFleets     access.Action = "fleet.fleets.read"
	ControlFleets  access.Action = "fleet.fleets.control"
	ReadDoors      access.Action = "fleet.doors.read"
	ControlDoors   access.Action = "fleet.doors.control"
	ReadLifts      access.Action = "fleet.lifts.read"
	ControlLifts   access.Action = "fleet.lifts.control"
	ReadWorkcells  access.Action = "fleet.workcells.read"
	ReadAlerts     access.Action = "fleet.alerts.read"
	WriteAlerts    access.Action = "fleet.alerts.write"
	AnswerAlerts   access.Action = "fleet.alerts.respond"
	ReadBeacons    access.Action = "fleet.beacons.read"
	WriteBeacons   access.Action = "fleet.beacons.write"
	ReadRios       access.Action = "fleet.rios.read"
	WriteRios      access.Action = "fleet.rios.write"
	ReadMap        access.Action = "fleet.map.read"
	ResetAlarm     access.Action = "fleet.alarm.reset"
	Report         access.Action = "fleet.report"
	ReadGroups     access.Action = "fleet.groups.read"
	WriteGroups    access.Action = "fleet.groups.write"
)

// Actions is this part's share of the catalogue of actions.
func Actions() []access.ActionInfo {
	info := func(action access.Action, help string) access.ActionInfo {
		return access.ActionInfo{Action: action, Help: help, Part: "fleet"}
	}
	return []access.ActionInfo{
		info(ReadTasks, "See tasks, their logs, requests and schedules"),
		info(SubmitTasks, "Dispatch tasks, give them to robots, and schedule them"),
		info(CancelTasks, "Cancel, kill, interrupt, resume, rewind and skip tasks"),
		info(WriteSchedules, "Change and delete the schedules of others"),
		info(ReadFleets, "See fleets, their robots and logs"),
		info(ControlFleets, "Take robots out of service and back, and unlock mutex groups"),
		info(ReadDoors, "See doors"),
		info(ControlDoors, "Open and close doors"),
		info(ReadLifts, "See lifts"),
		info(ControlLifts, "Call lifts and end their sessions"),
		info(ReadWorkcells, "See dispensers and ingestors"),
		info(ReadAlerts, "See alerts"),
		info(WriteAlerts, "Raise alerts"),
		info(AnswerAlerts, "Answer alerts"),
		info(ReadBeacons, "See beacons"),
		info(WriteBeacons, "Report the state of beacons"),
		info(ReadRios, "See inputs and outputs"),
		info(WriteRios, "Report the state of inputs and outputs"),
		info(ReadMap, "See the building map and the fire alarm"),
		info(ResetAlarm, "Reset the fire alarm"),
		info(Report, "Report tasks and fleets, as fleet adapters and the dispatcher do"),
		info(ReadGroups, "See which things belong to which authorization group"),
		info(WriteGroups, "Put things into authorization groups"),
	}
}

// legacyActions are the original's names of actions, which its clients know.
var legacyActions = map[string]access.Action{
	"task_read": ReadTasks, "task_submit": SubmitTasks, "task_cancel": CancelTasks,
}

// actionNamed is the action that a client of the original means.
func actionNamed(name string) access.Action {
	if action, known := legacyActions[name]; known {
		return action
	}
	return access.Action(name)
}

// legacyName is the name by which clients of the original know an action.
func legacyName(action access.Action) string {
	for name, is := range legacyActions {
		if is == action {
			return name
		}
	}
	return string(action)
}

// The original's default group is "", the platform's is the site.

func groupNamed(name string) access.Group {
	if name == "" {
		return access.Site
	}
	return access.Group(name)
}

func legacyGroup(group access.Group) string {
	if group == access.Site {
		return ""
	}
	return string(group)
}
