package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lodge/internal/access"
	"lodge/internal/database"
)

var taskColumns = []string{"group_name", "fleet", "category", "assigned_to", "status", "requester", "start_ms", "request_ms", "finish_ms", "data", "updated_at"}

// sameAge is how old the time of a row may become while the task is heard of: it tells when tasks that
// ended may be removed, days later, and every change of it is one of its index.
const sameAge = int64(time.Minute / time.Microsecond)

// writeTasks writes states of tasks, and gives where they belong.
func (w *writer) writeTasks(ctx context.Context, tx *database.Tx, tasks map[string]taskRow) (map[string]taskPlace, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	known, err := w.knownTasks(ctx, tx, tasks)
	if err != nil {
		return nil, err
	}
	// In the order of their keys, so that two replicas do not wait for each other in a circle.
	ids := slices.Sorted(maps.Keys(tasks))
	rows := make([][]any, 0, len(ids))
	var same [][]any // those that are found as before
	placed := make(map[string]taskPlace, len(ids))
	var relabel []string
	now := database.Micros(w.now())
	for _, id := range ids {
		t := tasks[id].state
		before, there := known[id]
		at := placeTask(t, before)
		group, err := w.groups.ofFleet(ctx, at.fleet)
		if err != nil {
			return nil, err
		}
		if !there || at.labels != before.labels || at.start != before.start {
			relabel = append(relabel, id)
		}
		var robot *string
		if t.AssignedTo != nil {
			robot = &t.AssignedTo.Name
		}
		status := column(t.Status)
		if t.Status != nil && len(*t.Status) > 30 {
			status = nil
		}
		found := []any{
			id, string(group), at.fleet, column(t.Category), column(robot), status, column(t.Booking.Requester),
			millis(t.UnixMillisStartTime), millis(t.Booking.UnixMillisRequestTime),
		}
		at.indexed, at.updated = hashOf(w.seed, found), now
		unchanged := there && at.indexed == before.indexed && now-before.updated < sameAge
		if unchanged {
			at.updated = before.updated
		}
		placed[id] = at
		row := append(found, millis(t.UnixMillisFinishTime), string(tasks[id].data), at.updated)
		if unchanged && w.store.db.Dialect() == database.SQLite {
			same = append(same, row)
		} else {
			rows = append(rows, row)
		}
	}
	err = chunks(ctx, tx, rows, func(n int) string {
		return database.UpsertRows(w.store.db.Dialect(), "fleet_tasks", []string{"id"}, taskColumns, n)
	})
	if err != nil {
		return nil, err
	}
	if err := chunks(ctx, tx, same, putSame); err != nil {
		return nil, err
	}
	return placed, w.store.putLabels(ctx, tx, relabel, tasks)
}

// putSame writes the statement for rows whose other columns are as before. SQLite would take every row
// out of all indexes and put it in again; the others compare. It is safe there alone, as nobody else
// writes these rows: other databases have several replicas.
func putSame(n int) string {
	row := places(1 + len(taskColumns))
	return "INSERT INTO fleet_tasks (id, " + strings.Join(taskColumns, ", ") + ") VALUES " + row + strings.Repeat(", "+row, n-1) +
		" ON CONFLICT (id) DO UPDATE SET finish_ms = excluded.finish_ms, data = excluded.data"
}

// hashOf tells rows apart by texts, numbers and nil.
func hashOf(seed maphash.Seed, row []any) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, v := range row {
		maphash.WriteComparable(&h, v)
	}
	return h.Sum64()
}

// unknownLabels stands for labels that were not read, so that those of the next message are written.
const unknownLabels = "\x00?"

// millis is a time as its column has it: 0 is none, as in the original.
func millis(ms *int64) any {
	if ms == nil || *ms == 0 {
		return nil
	}
	return *ms
}

// knownTasks gives what the rows of the tasks have, from memory as far as possible.
func (w *writer) knownTasks(ctx context.Context, tx *database.Tx, tasks map[string]taskRow) (map[string]taskPlace, error) {
	known := make(map[string]taskPlace, len(tasks))
	var unknown []string
	w.mu.Lock()
	for id := range tasks {
		if p, there := w.fleets[id]; there {
			known[id] = p
		} else {
			unknown = append(unknown, id)
		}
	}
	w.mu.Unlock()
	err := eachChunk(unknown, func(ids []string) error {
		rows, err := tx.Query(ctx, "SELECT id, fleet FROM fleet_tasks WHERE id IN "+places(len(ids)), anys(ids)...)
		_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
			var id string
			p := taskPlace{labels: unknownLabels, start: -1}
			err = rows.Scan(&id, &p.fleet)
			known[id] = p
			return none, err
		})
		return err
	})
	return known, err
}

// placeTask says which fleet a task belongs to: that of its robot, that which the dispatcher chose, or
// the same as before.
func placeTask(t *TaskState, before taskPlace) taskPlace {
	at := taskPlace{fleet: before.fleet, labels: strings.Join(t.Booking.Labels, "\x00"), start: deref(t.UnixMillisStartTime)}
	fleet := ""
	switch {
	case t.AssignedTo != nil:
		fleet = t.AssignedTo.Group
	case t.Dispatch != nil && t.Dispatch.Assignment != nil:
		fleet = deref(t.Dispatch.Assignment.FleetName)
	}
	if keyable(fleet) {
		at.fleet = fleet
	}
	return at
}

// putLabels writes the labels of tasks anew.
func (s *store) putLabels(ctx context.Context, tx *database.Tx, ids []string, tasks map[string]taskRow) error {
	err := eachChunk(ids, func(ids []string) error {
		_, err := tx.Exec(ctx, "DELETE FROM fleet_task_labels WHERE task_id IN "+places(len(ids)), anys(ids)...)
		return err
	})
	if err != nil {
		return err
	}
	var rows [][]any
	for _, id := range ids {
		t := tasks[id].state
		labels := labelsOf(t.Booking.Labels)
		for _, name := range slices.Sorted(maps.Keys(labels)) {
			if value := labels[name]; indexable(name) && indexable(value) {
				rows = append(rows, []any{id, name, value, millis(t.UnixMillisStartTime)})
			}
		}
	}
	return chunks(ctx, tx, rows, func(n int) string {
		return database.UpsertRows(s.db.Dialect(), "fleet_task_labels", []string{"task_id", "name"}, []string{"value", "start_ms"}, n)
	})
}

// indexable says that a label's name or value fits into its column.
func indexable(text string) bool { return utf8.RuneCountInString(text) <= maxKey && storable(text) }

// putStates writes documents of things.
func (s *store) putStates(ctx context.Context, tx *database.Tx, states map[thing]stateRow) error {
	things := slices.SortedFunc(maps.Keys(states), func(a, b thing) int {
		return strings.Compare(a.kind+"\x00"+a.id, b.kind+"\x00"+b.id)
	})
	rows := make([][]any, 0, len(things))
	for _, t := range things {
		row := states[t]
		rows = append(rows, []any{t.kind, t.id, "", string(row.data), database.Micros(row.at)})
	}
	return chunks(ctx, tx, rows, func(n int) string {
		return database.UpsertRows(s.db.Dialect(), "fleet_states", []string{"kind", "id"}, []string{"subtype", "data", "updated_at"}, n)
	})
}

// putTaskLogs writes entries of logs; those that are there already stay as they are.
func (s *store) putTaskLogs(ctx context.Context, tx *database.Tx, where map[logPlace]struct{}, entries []taskLogRow) error {
	var rows [][]any
	for p := range where {
		rows = append(rows, []any{p.task, p.phase, p.event})
	}
	slices.SortFunc(rows, func(a, b []any) int { return compareKeys(a, b) })
	err := chunks(ctx, tx, rows, func(n int) string {
		return database.InsertAbsentRows(s.db.Dialect(), "fleet_task_log_places", []string{"task_id", "phase", "event"}, nil, n)
	})
	if err != nil {
		return err
	}
	rows = rows[:0]
	for _, e := range entries {
		rows = append(rows, []any{e.task, e.phase, e.event, e.Seq, e.UnixMillisTime, e.storedTier(), e.storedText()})
	}
	return chunks(ctx, tx, rows, func(n int) string {
		return database.InsertAbsentRows(s.db.Dialect(), "fleet_task_logs", []string{"task_id", "phase", "event", "seq"}, []string{"at_ms", "tier", "text"}, n)
	})
}

func compareKeys(a, b []any) int {
	for i := range a {
		x, _ := a[i].(string)
		y, _ := b[i].(string)
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// putFleetLogs writes entries of fleets and robots.
func (s *store) putFleetLogs(ctx context.Context, tx *database.Tx, where map[[2]string]struct{}, entries []fleetLogRow) error {
	var rows [][]any
	for p := range where {
		rows = append(rows, []any{p[0], p[1]})
	}
	slices.SortFunc(rows, func(a, b []any) int { return compareKeys(a, b) })
	err := chunks(ctx, tx, rows, func(n int) string {
		return database.InsertAbsentRows(s.db.Dialect(), "fleet_log_robots", []string{"fleet", "robot"}, nil, n)
	})
	if err != nil {
		return err
	}
	rows = rows[:0]
	for _, e := range entries {
		rows = append(rows, []any{e.fleet, e.robot, e.UnixMillisTime, e.Seq, e.storedTier(), e.storedText()})
	}
	return chunks(ctx, tx, rows, func(n int) string {
		return database.InsertAbsentRows(s.db.Dialect(), "fleet_logs", []string{"fleet", "robot", "at_ms", "seq"}, []string{"tier", "text"}, n)
	})
}

// task gives the state of a task.
func (s *store) task(ctx context.Context, id string) (json.RawMessage, error) {
	rows, err := s.db.Query(ctx, "SELECT data FROM fleet_tasks WHERE id = ?", id)
	return one(rows, err, scanDocument)
}

// taskGroup gives what commands need to know of a task: its group and status.
func (s *store) taskGroup(ctx context.Context, id string) (access.Group, string, error) {
	rows, err := s.db.Query(ctx, "SELECT group_name, COALESCE(status, '') FROM fleet_tasks WHERE id = ?", id)
	row, err := one(rows, err, func(rows *sql.Rows) (r [2]string, err error) { return r, rows.Scan(&r[0], &r[1]) })
	return access.Group(row[0]), row[1], err
}

// taskFleet gives the fleet of a task, "" for none.
func (s *store) taskFleet(ctx context.Context, id string) (string, error) {
	rows, err := s.db.Query(ctx, "SELECT fleet FROM fleet_tasks WHERE id = ?", id)
	return one(rows, err, scanText)
}

// taskRequest gives the request that a task came from.
func (s *store) taskRequest(ctx context.Context, id string) (json.RawMessage, error) {
	rows, err := s.db.Query(ctx, "SELECT data FROM fleet_task_requests WHERE id = ?", id)
	return one(rows, err, scanDocument)
}

func (s *store) putTaskRequest(ctx context.Context, tx *database.Tx, id string, data []byte, now time.Time) error {
	_, err := tx.Exec(ctx, database.Upsert(s.db.Dialect(), "fleet_task_requests", []string{"id"}, []string{"data", "created_at"}), id, string(data), database.Micros(now))
	return err
}

// taskRequests gives the requests of tasks that are visible, by id.
func (s *store) taskRequests(ctx context.Context, ids []string, visible string, args []any) ([]json.RawMessage, error) {
	var w condition
	w.and("r.id IN "+places(len(ids)), anys(ids)...)
	w.and(visible, args...)
	rows, err := s.db.Query(ctx, "SELECT r.data FROM fleet_task_requests r LEFT JOIN fleet_tasks t ON t.id = r.id"+w.String()+" ORDER BY r.id", w.args...)
	return collect(rows, err, scanDocument)
}

// taskLog reads the entries of a range of time, and where the log has something at all.
func (s *store) taskLog(ctx context.Context, id string, from, to int64) (*TaskEventLog, error) {
	rows, err := s.db.Query(ctx, "SELECT phase, event FROM fleet_task_log_places WHERE task_id = ?", id)
	where, err := collect(rows, err, func(rows *sql.Rows) (p place, err error) { return p, rows.Scan(&p.phase, &p.event) })
	if err == nil && len(where) == 0 {
		err = errNotFound
	}
	if err != nil {
		return nil, err
	}
	l := &TaskEventLog{TaskID: id, Log: []LogEntry{}, Phases: map[string]PhaseLog{}}
	entriesAt := map[place][]LogEntry{}
	rows, err = s.db.Query(ctx, `SELECT phase, event, seq, tier, at_ms, text FROM fleet_task_logs
		WHERE task_id = ? AND at_ms >= ? AND at_ms <= ? ORDER BY phase, event, seq`, id, from, to)
	_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var p place
		var e LogEntry
		err = rows.Scan(&p.phase, &p.event, &e.Seq, &e.Tier, &e.UnixMillisTime, &e.Text)
		entriesAt[p] = append(entriesAt[p], e)
		return none, err
	})
	if err != nil {
		return nil, err
	}
	for _, p := range where {
		if p.phase == "" {
			l.Log = orEmpty(entriesAt[p])
			continue
		}
		phase := l.Phases[p.phase]
		phase.Log = orEmpty(phase.Log)
		if phase.Events == nil {
			phase.Events = map[string][]LogEntry{}
		}
		if p.event == "" {
			phase.Log = orEmpty(entriesAt[p])
		} else {
			phase.Events[p.event] = orEmpty(entriesAt[p])
		}
		l.Phases[p.phase] = phase
	}
	return l, nil
}

// fleetLog reads the entries of a range of time; errNotFound when there never was one.
func (s *store) fleetLog(ctx context.Context, name string, from, to int64) (*FleetLog, error) {
	rows, err := s.db.Query(ctx, "SELECT robot FROM fleet_log_robots WHERE fleet = ?", name)
	robots, err := collect(rows, err, scanText)
	if err == nil && len(robots) == 0 {
		err = errNotFound
	}
	if err != nil {
		return nil, err
	}
	l := &FleetLog{Name: &name, Log: []LogEntry{}, Robots: map[string][]LogEntry{}}
	for _, robot := range robots {
		if robot != "" {
			l.Robots[robot] = []LogEntry{}
		}
	}
	rows, err = s.db.Query(ctx, "SELECT robot, seq, tier, at_ms, text FROM fleet_logs WHERE fleet = ? AND at_ms >= ? AND at_ms <= ? ORDER BY robot, at_ms, seq", name, from, to)
	_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var robot string
		var e LogEntry
		err = rows.Scan(&robot, &e.Seq, &e.Tier, &e.UnixMillisTime, &e.Text)
		if robot == "" {
			l.Log = append(l.Log, e)
		} else {
			l.Robots[robot] = append(l.Robots[robot], e)
		}
		return none, err
	})
	return l, err
}

// raiseAlerts enters those alerts that are new, and gives them.
func (s *store) raiseAlerts(ctx context.Context, tx *database.Tx, alerts map[string]AlertRequest, now time.Time) ([]AlertRequest, error) {
	var raised []AlertRequest
	for _, id := range slices.Sorted(maps.Keys(alerts)) {
		a := alerts[id]
		err := s.insertAlert(ctx, tx, a, now)
		if errors.Is(err, errAlertExists) {
			continue
		}
		if err != nil {
			return nil, err
		}
		raised = append(raised, a)
	}
	return raised, nil
}
