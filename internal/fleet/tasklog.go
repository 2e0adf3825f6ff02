package fleet

import (
	"slices"
	"strings"
)

// LogEntry is a line of a log.
type LogEntry struct {
	Seq            int64  `json:"seq" minimum:"0" maximum:"4294967295"`
	Tier           string `json:"tier" enum:"uninitialized,info,warning,error"`
	UnixMillisTime int64  `json:"unix_millis_time"`
	Text           string `json:"text"`
}

// TaskEventLog is the log of a task, or news for it.
type TaskEventLog struct {
	TaskID string              `json:"task_id"`
	Log    []LogEntry          `json:"log" required:"false"`
	Phases map[string]PhaseLog `json:"phases" required:"false"`
}

// PhaseLog is the log of a phase.
type PhaseLog struct {
	Log    []LogEntry            `json:"log" required:"false"`
	Events map[string][]LogEntry `json:"events" required:"false"`
}

// FleetLog is the log of a fleet and its robots, or news for it.
//
//nolint:revive // the name that clients know
type FleetLog struct {
	Name   *string               `json:"name" required:"false"`
	Log    []LogEntry            `json:"log" required:"false"`
	Robots map[string][]LogEntry `json:"robots" required:"false"`
}

// place is where in a task's log an entry stands; empty for the task itself and the phase itself.
type place struct{ phase, event string }

// places lists where the log has something, in a fixed order, and the entries there.
func (l *TaskEventLog) places() []placedEntries {
	all := []placedEntries{}
	if len(l.Log) > 0 {
		all = append(all, placedEntries{place{}, l.Log})
	}
	for id, phase := range l.Phases {
		all = append(all, placedEntries{place{id, ""}, phase.Log})
		for event, entries := range phase.Events {
			all = append(all, placedEntries{place{id, event}, entries})
		}
	}
	slices.SortFunc(all, func(a, b placedEntries) int {
		if c := strings.Compare(a.phase, b.phase); c != 0 {
			return c
		}
		return strings.Compare(a.event, b.event)
	})
	return all
}

type placedEntries struct {
	place
	entries []LogEntry
}

// maxPlace is how long the id of a phase or an event can be.
const maxPlace = 100

// flaw says why a log cannot be kept, or "".
func (l *TaskEventLog) flaw() string {
	if !keyable(l.TaskID) {
		return "data.task_id must be a text of at most 255 characters"
	}
	for _, p := range l.places() {
		if len(p.phase) > maxPlace || len(p.event) > maxPlace || !storable(p.phase) || !storable(p.event) {
			return "the id of a phase or event is too long"
		}
	}
	return ""
}

// storedText is the text of an entry as a column can have it.
func (e LogEntry) storedText() string {
	return strings.ReplaceAll(strings.ToValidUTF8(e.Text, "\uFFFD"), "\x00", "")
}

// storedTier is the tier as a column can have it.
func (e LogEntry) storedTier() string {
	if len(e.Tier) > 20 || !storable(e.Tier) {
		return "info"
	}
	return e.Tier
}
