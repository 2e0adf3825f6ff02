package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"lodge/internal/access"
	"lodge/internal/database"
)

// errAlertExists says that there is an alert with the id.
var errAlertExists = errors.New("the alert exists")

// storedAlert is an alert with its answer, if it has one.
type storedAlert struct {
	group    access.Group
	data     json.RawMessage
	response json.RawMessage
}

// insertAlert enters an alert, unless there is one with the id. It belongs to the group of its task.
func (s *store) insertAlert(ctx context.Context, tx *database.Tx, a AlertRequest, now time.Time) error {
	switch _, err := s.alert(ctx, tx, a.ID); {
	case err == nil:
		return errAlertExists
	case !errors.Is(err, errNotFound):
		return err
	}
	group := access.Site
	if a.TaskID != nil {
		rows, err := tx.Query(ctx, "SELECT group_name FROM fleet_tasks WHERE id = ?", *a.TaskID)
		name, err := one(rows, err, scanText)
		if err == nil {
			group = access.Group(name)
		} else if !errors.Is(err, errNotFound) {
			return err
		}
	}
	unanswered := 0
	if len(a.ResponsesAvailable) > 0 {
		unanswered = 1
	}
	statement := database.InsertAbsent(s.db.Dialect(), "fleet_alerts", []string{"id"}, []string{"group_name", "task_id", "unanswered", "data", "created_at"})
	_, err := tx.Exec(ctx, statement, a.ID, string(group), column(a.TaskID), unanswered, string(document(a)), database.Micros(now))
	return err
}

// alert finds an alert.
func (s *store) alert(ctx context.Context, q database.Querier, id string) (storedAlert, error) {
	rows, err := q.Query(ctx, "SELECT group_name, data, COALESCE(response, '') FROM fleet_alerts WHERE id = ?", id)
	return one(rows, err, func(rows *sql.Rows) (a storedAlert, err error) {
		var data, response string
		err = rows.Scan(&a.group, &data, &response)
		a.data = json.RawMessage(data)
		if response != "" {
			a.response = json.RawMessage(response)
		}
		return a, err
	})
}

// answerAlert writes the answer down, unless there is one; then it reports false.
func (s *store) answerAlert(ctx context.Context, tx *database.Tx, r AlertResponse) (bool, error) {
	done, err := tx.Exec(ctx, "UPDATE fleet_alerts SET response = ?, unanswered = 0 WHERE id = ? AND response IS NULL", string(document(r)), r.ID)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n == 1, err
}

// alerts lists alerts, oldest first.
func (s *store) alerts(ctx context.Context, w condition, order string, p page) ([]json.RawMessage, error) {
	query := "SELECT data FROM fleet_alerts" + w.String() + " ORDER BY " + order
	args := w.args
	if p.limit > 0 {
		query += " LIMIT ? OFFSET ?"
		args = append(args, p.limit, p.offset)
	}
	rows, err := s.db.Query(ctx, query, args...)
	return collect(rows, err, scanDocument)
}

// answeredAlerts lists alerts with their answers, the newest first.
func (s *store) answeredAlerts(ctx context.Context, w condition, p page) ([]AnsweredAlert, error) {
	rows, err := s.db.Query(ctx, "SELECT data, COALESCE(response, 'null') FROM fleet_alerts"+w.String()+" ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?",
		append(w.args, p.limit, p.offset)...)
	return collect(rows, err, func(rows *sql.Rows) (a AnsweredAlert, err error) {
		var request, response string
		err = rows.Scan(&request, &response)
		a.Request, a.Response = json.RawMessage(request), json.RawMessage(response)
		return a, err
	})
}

func (s *store) countAlerts(ctx context.Context, w condition) (int64, error) {
	rows, err := s.db.Query(ctx, "SELECT COUNT(*) FROM fleet_alerts"+w.String(), w.args...)
	return one(rows, err, scanNumber)
}
