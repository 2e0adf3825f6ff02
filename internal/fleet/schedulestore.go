package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"lodge/internal/access"
	"lodge/internal/database"
)

const scheduleColumns = "token, group_name, owner, owner_user, created_by, request, start_from, until_at, except_dates, last_ran, last_error, paused, time_zone"

// insertSchedule enters a scheduled task and gives its id.
func (s *store) insertSchedule(ctx context.Context, tx *database.Tx, t ScheduledTask) (int64, error) {
	_, err := tx.Exec(ctx, "INSERT INTO fleet_schedules ("+scheduleColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		t.token, string(t.group), t.owner, t.ownerUser, t.CreatedBy, string(t.TaskRequest), microsOrNull(t.StartFrom), microsOrNull(t.Until),
		string(document(t.ExceptDates)), nil, "", database.Flag(t.Paused), t.TimeZone)
	if err != nil {
		return 0, err
	}
	rows, err := tx.Query(ctx, "SELECT id FROM fleet_schedules WHERE token = ?", t.token)
	id, err := one(rows, err, scanNumber)
	if err != nil {
		return 0, err
	}
	return id, s.insertEntries(ctx, tx, id, t)
}

func (s *store) insertEntries(ctx context.Context, tx *database.Tx, id int64, t ScheduledTask) error {
	for i, e := range t.Schedules {
		_, err := tx.Exec(ctx, "INSERT INTO fleet_schedule_entries (schedule_id, pos, every, period, at_time, on_day, next_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
			id, i, e.Every, e.Period, e.At, e.OnDay, microsOrNull(t.occurrence[i]))
		if err != nil {
			return err
		}
	}
	return nil
}

// updateSchedule writes a scheduled task, and its schedules if they are others.
func (s *store) updateSchedule(ctx context.Context, tx *database.Tx, t *ScheduledTask, entries bool) error {
	_, err := tx.Exec(ctx, "UPDATE fleet_schedules SET group_name = ?, request = ?, start_from = ?, until_at = ?, except_dates = ?, paused = ?, time_zone = ? WHERE id = ?",
		string(t.group), string(t.TaskRequest), microsOrNull(t.StartFrom), microsOrNull(t.Until), string(document(t.ExceptDates)), database.Flag(t.Paused), t.TimeZone, t.ID)
	if err != nil || !entries {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM fleet_schedule_entries WHERE schedule_id = ?", t.ID); err != nil {
		return err
	}
	return s.insertEntries(ctx, tx, t.ID, *t)
}

func (s *store) deleteSchedule(ctx context.Context, tx *database.Tx, id int64) error {
	if _, err := tx.Exec(ctx, "DELETE FROM fleet_schedule_entries WHERE schedule_id = ?", id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "DELETE FROM fleet_schedules WHERE id = ?", id)
	return err
}

func microsOrNull(t *time.Time) any {
	if t == nil {
		return nil
	}
	return database.Micros(*t)
}

func timeOrNil(us sql.NullInt64) *time.Time {
	if !us.Valid {
		return nil
	}
	t := database.Time(us.Int64)
	return &t
}

// schedule finds a scheduled task.
func (s *store) schedule(ctx context.Context, q database.Querier, id int64) (ScheduledTask, error) {
	var where condition
	where.and("id = ?", id)
	list, err := s.schedules(ctx, q, where, "id", page{})
	if err == nil && len(list) == 0 {
		err = errNotFound
	}
	if err != nil {
		return ScheduledTask{}, err
	}
	return list[0], nil
}

// schedules lists scheduled tasks with their schedules: two queries, however many there are.
func (s *store) schedules(ctx context.Context, q database.Querier, where condition, order string, p page) ([]ScheduledTask, error) {
	query := "SELECT id, " + scheduleColumns + " FROM fleet_schedules" + where.String() + " ORDER BY " + order
	if p.limit > 0 {
		query += " LIMIT ? OFFSET ?"
		where.args = append(where.args, p.limit, p.offset)
	}
	rows, err := q.Query(ctx, query, where.args...)
	list, err := collect(rows, err, scanSchedule)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64]int, len(list))
	ids := make([]int64, len(list))
	for i, t := range list {
		byID[t.ID], ids[i] = i, t.ID
	}
	err = eachChunk(ids, func(ids []int64) error {
		rows, err := q.Query(ctx, `SELECT schedule_id, every, period, at_time, on_day, next_at FROM fleet_schedule_entries
			WHERE schedule_id IN `+places(len(ids))+" ORDER BY schedule_id, pos", anys(ids)...)
		_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
			var id int64
			var next sql.NullInt64
			var e Schedule
			err = rows.Scan(&id, &e.Every, &e.Period, &e.At, &e.OnDay, &next)
			t := &list[byID[id]]
			t.Schedules, t.occurrence = append(t.Schedules, e), append(t.occurrence, timeOrNil(next))
			return none, err
		})
		return err
	})
	return list, err
}

func (s *store) countSchedules(ctx context.Context, where condition) (int64, error) {
	rows, err := s.db.Query(ctx, "SELECT COUNT(*) FROM fleet_schedules"+where.String(), where.args...)
	return one(rows, err, scanNumber)
}

func scanSchedule(rows *sql.Rows) (t ScheduledTask, err error) {
	var request, except, lastError string
	var zone sql.NullString
	var group access.Group
	var from, until, ran sql.NullInt64
	err = rows.Scan(&t.ID, &t.token, &group, &t.owner, &t.ownerUser, &t.CreatedBy, &request, &from, &until, &except, &ran, &lastError, &t.Paused, &zone)
	if err != nil {
		return t, err
	}
	t.group, t.TaskRequest, t.Schedules, t.TimeZone = group, json.RawMessage(request), []Schedule{}, zone.String
	t.StartFrom, t.Until, t.LastRan = timeOrNil(from), timeOrNil(until), timeOrNil(ran)
	if lastError != "" {
		t.LastError = &lastError
	}
	t.ExceptDates = []string{}
	return t, json.Unmarshal([]byte(except), &t.ExceptDates)
}

// dueEntry is a schedule whose time has come.
type dueEntry struct {
	id  int64
	pos int
	at  time.Time
}

func (s *store) dueEntries(ctx context.Context, now time.Time) ([]dueEntry, error) {
	rows, err := s.db.Query(ctx, "SELECT schedule_id, pos, next_at FROM fleet_schedule_entries WHERE next_at <= ? ORDER BY next_at LIMIT 200", database.Micros(now))
	return collect(rows, err, func(rows *sql.Rows) (e dueEntry, err error) {
		var at int64
		err = rows.Scan(&e.id, &e.pos, &at)
		e.at = database.Time(at)
		return e, err
	})
}

// advance sets the next occurrence of an entry, unless somebody else did.
func (s *store) advance(ctx context.Context, tx *database.Tx, e dueEntry, next *time.Time) (bool, error) {
	done, err := tx.Exec(ctx, "UPDATE fleet_schedule_entries SET next_at = ? WHERE schedule_id = ? AND pos = ? AND next_at = ?",
		microsOrNull(next), e.id, e.pos, database.Micros(e.at))
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n == 1, err
}

// ran writes down how a run ended; at is nil when it did not reach RMF.
func (s *store) ran(ctx context.Context, id int64, at *time.Time, problem string) error {
	if at == nil {
		_, err := s.db.Exec(ctx, "UPDATE fleet_schedules SET last_error = ? WHERE id = ?", problem, id)
		return err
	}
	_, err := s.db.Exec(ctx, "UPDATE fleet_schedules SET last_ran = ?, last_error = ? WHERE id = ?", database.Micros(*at), problem, id)
	return err
}
