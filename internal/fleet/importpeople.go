package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/fleet/fastapi"
)

func (im *importer) favorites(ctx context.Context) (int, error) {
	query := "SELECT id, name, COALESCE(unix_millis_earliest_start_time, 0), COALESCE(priority, 'null'), category, description, " + im.name("user") +
		", COALESCE(task_definition_id, '') FROM taskfavorite WHERE id > ? ORDER BY id"
	if im.from.Dialect() == database.Postgres {
		query = strings.Replace(query, "priority, ", "priority::text, ", 1)
	}
	return each(ctx, im, query, "", func(rows *sql.Rows) (any, TaskFavorite, error) {
		var f TaskFavorite
		var priority, description string
		err := rows.Scan(&f.ID, &f.Name, &f.UnixMillisEarliestStartTime, &priority, &f.Category, &description, &f.User, &f.TaskDefinitionID)
		f.Priority, f.Description = objectOrNil(priority), objectOrNil(description)
		return f.ID, f, err
	}, func(piece []TaskFavorite) error {
		return im.service.store.db.Tx(ctx, func(tx *database.Tx) error {
			for _, f := range piece {
				_, err := im.service.store.favoriteOwner(ctx, tx, f.ID)
				if errors.Is(err, errNotFound) {
					err = im.service.store.putFavorite(ctx, tx, f, im.owner(f.User), im.service.now())
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// owner is what tells callers apart, for one of whom the original knows the name.
func (im *importer) owner(name string) string { return im.service.cfg.UserIssuer + "|" + name }

func objectOrNil(text string) *fastapi.Object {
	if text == "" || text == "null" {
		return nil
	}
	o := fastapi.Object(text)
	return &o
}

// moment is a time as the drivers give it: a time, or a text of SQLite's.
func moment(v any) (*time.Time, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case time.Time:
		return &v, nil
	case []byte:
		return moment(string(v))
	case string:
		for _, layout := range []string{"2006-01-02 15:04:05.999999999-07:00", "2006-01-02 15:04:05.999999999", time.RFC3339Nano} {
			if at, err := time.Parse(layout, v); err == nil {
				return &at, nil
			}
		}
	}
	return nil, fault.New(fault.Invalid, "%v is no time", v)
}

func (im *importer) schedules(ctx context.Context) (int, error) {
	query := "SELECT id, task_request, created_by, last_ran, start_from, " + im.name("until") + ", except_dates FROM scheduledtask WHERE id > ? ORDER BY id"
	return each(ctx, im, query, int64(0), func(rows *sql.Rows) (any, ScheduledTask, error) {
		var t ScheduledTask
		var request, except string
		var ran, from, until any
		if err := rows.Scan(&t.ID, &request, &t.CreatedBy, &ran, &from, &until, &except); err != nil {
			return nil, t, err
		}
		var errs [3]error
		t.LastRan, errs[0] = moment(ran)
		t.StartFrom, errs[1] = moment(from)
		t.Until, errs[2] = moment(until)
		t.TaskRequest, t.ExceptDates = json.RawMessage(request), []string{}
		_ = json.Unmarshal([]byte(except), &t.ExceptDates) // none, then
		return t.ID, t, errors.Join(errs[:]...)
	}, func(piece []ScheduledTask) error {
		for _, t := range piece {
			if err := im.schedule(ctx, t); err != nil {
				return fmt.Errorf("schedule %d: %w", t.ID, err)
			}
		}
		return nil
	})
}

// schedule enters a scheduled task with its next occurrences; one whose time is over is listed still.
func (im *importer) schedule(ctx context.Context, t ScheduledTask) error {
	rows, err := im.from.Query(ctx, "SELECT every, period, "+im.name("at")+" FROM scheduledtaskschedule WHERE scheduled_task_id = ? ORDER BY id", t.ID)
	t.Schedules, err = collect(rows, err, func(rows *sql.Rows) (e Schedule, err error) { return e, rows.Scan(&e.Every, &e.Period, &e.At) })
	if err != nil {
		return err
	}
	s := im.service
	for _, e := range t.Schedules {
		r, err := e.understand()
		if err != nil {
			s.log.WarnContext(ctx, "a schedule can never run", "scheduled_task", t.ID, "error", err)
			t.occurrence = append(t.occurrence, nil)
			continue
		}
		t.occurrence = append(t.occurrence, t.until(r.first(s.now().In(s.cfg.TimeZone))))
	}
	var request TaskRequest
	if err := json.Unmarshal(t.TaskRequest, &request); err != nil {
		return err
	}
	if t.group, err = s.fleetGroup(ctx, request.FleetName); err != nil {
		return err
	}
	slices.Sort(t.ExceptDates)
	t.TaskRequest, t.owner = document(request), im.owner(t.CreatedBy)
	t.token = uuid.NewSHA1(uuid.NameSpaceURL, []byte("lodge:fleet:import:schedule:"+number(t.ID))).String()
	if u, err := s.userNamed(ctx, t.CreatedBy); err == nil {
		t.ownerUser = u.ID
	}
	return s.store.db.Tx(ctx, func(tx *database.Tx) error {
		rows, err := tx.Query(ctx, "SELECT id FROM fleet_schedules WHERE token = ?", t.token)
		if _, err = one(rows, err, scanNumber); !errors.Is(err, errNotFound) {
			return err // it was taken over before, and may have been changed since
		}
		if t.ID, err = s.store.insertSchedule(ctx, tx, t); err != nil || t.LastRan == nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE fleet_schedules SET last_ran = ? WHERE id = ?", database.Micros(*t.LastRan), t.ID)
		return err
	})
}

func (im *importer) roles(ctx context.Context) (int, error) {
	rows, err := im.from.Query(ctx, "SELECT name FROM "+im.name("role")+" ORDER BY name")
	roles, err := collect(rows, err, scanText)
	if err != nil {
		return 0, err
	}
	for _, role := range roles {
		if _, err := im.service.access.CreateRole(ctx, access.Role(role), ""); err != nil && !fault.Is(err, fault.Conflict) {
			return 0, err
		}
	}
	rows, err = im.from.Query(ctx, "SELECT role_id, authz_grp, action FROM resourcepermission ORDER BY id")
	grants, err := collect(rows, err, func(rows *sql.Rows) (g access.Grant, err error) {
		var group, action string
		err = rows.Scan(&g.Role, &group, &action)
		g.Group, g.Action = groupNamed(group), actionNamed(action)
		return g, err
	})
	if err != nil {
		return 0, err
	}
	for _, g := range grants {
		if _, err := im.service.access.Permit(ctx, g); fault.Is(err, fault.Invalid) {
			im.service.log.WarnContext(ctx, "a permission is for nothing that there is", "role", g.Role, "action", g.Action)
		} else if err != nil {
			return 0, err
		}
	}
	return len(roles), nil
}

func (im *importer) users(ctx context.Context) (int, error) {
	rows, err := im.from.Query(ctx, "SELECT user_id, role_id FROM user_role ORDER BY user_id, role_id")
	roles := map[string][]access.Role{}
	_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var user, role string
		err = rows.Scan(&user, &role)
		roles[user] = append(roles[user], access.Role(role))
		return none, err
	})
	if err != nil {
		return 0, err
	}
	query := "SELECT username, is_admin FROM " + im.name("user") + " WHERE username > ? ORDER BY username"
	return each(ctx, im, query, "", func(rows *sql.Rows) (any, User, error) {
		var u User
		err := rows.Scan(&u.Username, &u.IsAdmin)
		return u.Username, u, err
	}, func(piece []User) error {
		for _, u := range piece {
			if strings.HasPrefix(u.Username, "_") {
				continue // the original's own
			}
			_, err := im.service.access.CreateUser(ctx, access.NewUser{
				Issuer: im.service.cfg.UserIssuer, Subject: u.Username, Name: u.Username, Admin: u.IsAdmin, Roles: roles[u.Username],
			})
			if err != nil && !fault.Is(err, fault.Conflict) {
				return err
			}
		}
		return nil
	})
}
