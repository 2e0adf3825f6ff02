package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/fleet/fastapi"
)

func (im *importer) tasks(ctx context.Context) (int, error) {
	return im.documents(ctx, "taskstate", "id", "data", func(k keyed) error {
		if _, _, err := im.service.store.taskGroup(ctx, k.id); !errors.Is(err, errNotFound) {
			return err // what is here is newer
		}
		return take(json.RawMessage(k.data), func(t *TaskState) error {
			if t.Booking.ID != k.id || !keyable(k.id) {
				return badKey(t.Booking.ID)
			}
			t.mend()
			return im.service.writer.addTask(ctx, t, document(t), nil)
		})
	}, im.flush(ctx))
}

func (im *importer) requests(ctx context.Context) (int, error) {
	none := func() error { return nil }
	return im.documents(ctx, "taskrequest", "id", "request", func(k keyed) error {
		var request TaskRequest
		if found := fastapi.Unmarshal([]byte(k.data), &request); len(found) > 0 || !keyable(k.id) {
			return fault.New(fault.Invalid, "the request cannot be read")
		}
		if _, err := im.service.store.taskRequest(ctx, k.id); !errors.Is(err, errNotFound) {
			return err
		}
		return im.service.store.db.Tx(ctx, func(tx *database.Tx) error {
			return im.service.store.putTaskRequest(ctx, tx, k.id, document(request), im.service.now())
		})
	}, none)
}

// logSource is where the entries of a kind of log stand, and where in the log.
type logSource struct{ columns, tables string }

// taskLogs takes the entries of tasks, phases and events, and the phases and events without any.
func (im *importer) taskLogs(ctx context.Context) (n int, err error) {
	const phases = " JOIN taskeventlogphases p ON p.id = "
	for _, from := range []string{
		"SELECT task_id, '', '' FROM taskeventlog WHERE task_id > ? ORDER BY task_id",
		"SELECT p.id, p.task_id, p.phase, '' FROM taskeventlogphases p WHERE p.id > ? ORDER BY p.id",
		"SELECT e.id, p.task_id, p.phase, e.event FROM taskeventlogphasesevents e" + phases + "e.phase_id WHERE e.id > ? ORDER BY e.id",
	} {
		if err := im.logPlaces(ctx, from); err != nil {
			return n, err
		}
	}
	for _, from := range []logSource{
		{"l.task_id, '', ''", "taskeventloglog l"},
		{"p.task_id, p.phase, ''", "taskeventlogphaseslog l" + phases + "l.phase_id"},
		{"p.task_id, p.phase, e.event", "taskeventlogphaseseventslog l JOIN taskeventlogphasesevents e ON e.id = l.event_id" + phases + "e.phase_id"},
	} {
		more, err := im.logEntries(ctx, from)
		if n += more; err != nil {
			return n, err
		}
	}
	return n, nil
}

// logPlaces takes phases and events.
func (im *importer) logPlaces(ctx context.Context, query string) error {
	var after any = int64(0)
	byTask := !strings.Contains(query, ".id")
	if byTask {
		after = ""
	}
	_, err := each(ctx, im, query, after, func(rows *sql.Rows) (last any, p logPlace, err error) {
		if byTask {
			err = rows.Scan(&p.task, &p.phase, &p.event)
			return p.task, p, err
		}
		var id int64
		err = rows.Scan(&id, &p.task, &p.phase, &p.event)
		return id, p, err
	}, func(piece []logPlace) error {
		b := newBatch()
		for _, p := range piece {
			b.places[p] = struct{}{}
		}
		return im.service.writer.write(ctx, b)
	})
	return err
}

func (im *importer) logEntries(ctx context.Context, from logSource) (int, error) {
	query := "SELECT l.id, " + from.columns + ", l.seq, l.tier, l.unix_millis_time, l." + im.name("text") + " FROM " + from.tables + " WHERE l.id > ? ORDER BY l.id"
	return each(ctx, im, query, int64(0), func(rows *sql.Rows) (last any, r taskLogRow, err error) {
		var id int64
		err = rows.Scan(&id, &r.task, &r.phase, &r.event, &r.Seq, &r.Tier, &r.UnixMillisTime, &r.Text)
		return id, r, err
	}, func(piece []taskLogRow) error {
		return im.service.store.db.Tx(ctx, func(tx *database.Tx) error { return im.service.store.putTaskLogs(ctx, tx, nil, piece) })
	})
}

func (im *importer) fleetLogs(ctx context.Context) (int, error) {
	query := "SELECT l.id, l.fleet_id, l.seq, l.tier, l.unix_millis_time, l." + im.name("text") + " FROM fleetloglog l WHERE l.id > ? ORDER BY l.id"
	return each(ctx, im, query, int64(0), func(rows *sql.Rows) (last any, r fleetLogRow, err error) {
		var id int64
		err = rows.Scan(&id, &r.fleet, &r.Seq, &r.Tier, &r.UnixMillisTime, &r.Text)
		return id, r, err
	}, func(piece []fleetLogRow) error {
		where := map[[2]string]struct{}{}
		for _, r := range piece {
			where[[2]string{r.fleet, ""}] = struct{}{}
		}
		return im.service.store.db.Tx(ctx, func(tx *database.Tx) error { return im.service.store.putFleetLogs(ctx, tx, where, piece) })
	})
}

func (im *importer) alerts(ctx context.Context) (int, error) {
	type answered struct{ id, data, response string }
	query := "SELECT a.id, a.data, COALESCE(r.data, '') FROM alertrequest a LEFT JOIN alertresponse r ON r.alert_request_id = a.id WHERE a.id > ? ORDER BY a.id"
	if im.from.Dialect() == database.Postgres {
		query = strings.Replace(query, "r.data, ''", "r.data::text, ''", 1)
	}
	return each(ctx, im, query, "", func(rows *sql.Rows) (any, answered, error) {
		var a answered
		err := rows.Scan(&a.id, &a.data, &a.response)
		return a.id, a, err
	}, func(piece []answered) error {
		return im.service.store.db.Tx(ctx, func(tx *database.Tx) error {
			for _, a := range piece {
				if err := im.alert(ctx, tx, a.data, a.response); err != nil {
					return fmt.Errorf("alert %s: %w", a.id, err)
				}
			}
			return nil
		})
	})
}

func (im *importer) alert(ctx context.Context, tx *database.Tx, data, response string) error {
	var a AlertRequest
	if err := json.Unmarshal([]byte(data), &a); err != nil {
		return err
	}
	a.ResponsesAvailable, a.AlertParameters = orEmpty(a.ResponsesAvailable), orEmpty(a.AlertParameters)
	err := im.service.store.insertAlert(ctx, tx, a, time.UnixMilli(a.UnixMillisAlertTime))
	if errors.Is(err, errAlertExists) || err != nil || response == "" {
		return ignore(err, errAlertExists)
	}
	var r AlertResponse
	if err := json.Unmarshal([]byte(response), &r); err != nil {
		return err
	}
	_, err = im.service.store.answerAlert(ctx, tx, r)
	return err
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
