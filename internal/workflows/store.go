package workflows

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/workflows/spec"
)

// store has the SQL of workspaces, secrets and volumes, and of versions and jobs in files of their
// own. Methods that take a transaction belong to a change that the caller makes whole.
type store struct{ db *database.DB }

var errNoRow = errors.New("no such row")

// one reads the first row; errNoRow if there is none.
func one[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) (v T, _ error) {
	all, err := database.Collect(rows, err, scan)
	if err == nil && len(all) == 0 {
		err = errNoRow
	}
	if err != nil {
		return v, err
	}
	return all[0], nil
}

func number(ctx context.Context, q database.Querier, query string, args ...any) (int64, error) {
	rows, err := q.Query(ctx, query, args...)
	return one(rows, err, func(rows *sql.Rows) (n int64, err error) { return n, rows.Scan(&n) })
}

// changed says whether a statement changed a row.
func changed(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// asJSON writes what a column keeps as JSON.
func asJSON(v any) (string, error) {
	text, err := spec.Encode(v)
	return string(text), err
}

const workspaceColumns = "name, description, roles, labels, hidden"

func scanWorkspace(rows *sql.Rows) (w Workspace, err error) {
	var roles, labels string
	var hidden int
	if err := rows.Scan(&w.Name, &w.Description, &roles, &labels, &hidden); err != nil {
		return w, err
	}
	w.Hidden = hidden != 0
	return w, errors.Join(json.Unmarshal([]byte(roles), &w.Roles), json.Unmarshal([]byte(labels), &w.Labels))
}

// workspaces lists all by name.
func (s *store) workspaces(ctx context.Context, q database.Querier) ([]Workspace, error) {
	rows, err := q.Query(ctx, "SELECT "+workspaceColumns+" FROM wf_workspaces ORDER BY name")
	return database.Collect(rows, err, scanWorkspace)
}

func (s *store) workspace(ctx context.Context, q database.Querier, name string) (Workspace, error) {
	rows, err := q.Query(ctx, "SELECT "+workspaceColumns+" FROM wf_workspaces WHERE name = ?", name)
	w, err := one(rows, err, scanWorkspace)
	if errors.Is(err, errNoRow) {
		err = fault.New(fault.Missing, "there is no workspace (%s)", clip(name))
	}
	return w, err
}

func (w Workspace) columns() (roles, labels string, err error) {
	if roles, err = asJSON(w.Roles); err != nil {
		return "", "", err
	}
	labels, err = asJSON(w.Labels)
	return roles, labels, err
}

func (s *store) insertWorkspace(ctx context.Context, tx *database.Tx, w Workspace, now time.Time) error {
	roles, labels, err := w.columns()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO wf_workspaces ("+workspaceColumns+", created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
		w.Name, w.Description, roles, labels, database.Flag(w.Hidden), database.Micros(now), database.Micros(now))
	return err
}

// putWorkspace inserts a workspace, or updates the one that is there.
func (s *store) putWorkspace(ctx context.Context, tx *database.Tx, w Workspace, now time.Time) error {
	there, err := number(ctx, tx, "SELECT COUNT(*) FROM wf_workspaces WHERE name = ?", w.Name)
	if err != nil {
		return err
	}
	if there > 0 {
		return s.updateWorkspace(ctx, tx, w, now)
	}
	return s.insertWorkspace(ctx, tx, w, now)
}

func (s *store) updateWorkspace(ctx context.Context, tx *database.Tx, w Workspace, now time.Time) error {
	roles, labels, err := w.columns()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE wf_workspaces SET description = ?, roles = ?, labels = ?, hidden = ?, updated_at = ? WHERE name = ?",
		w.Description, roles, labels, database.Flag(w.Hidden), database.Micros(now), w.Name)
	return err
}

// deleteWorkspace removes a workspace with all that is in it: who makes one of the same name later
// must not find it.
func (s *store) deleteWorkspace(ctx context.Context, tx *database.Tx, name string) error {
	for _, statement := range []string{
		"DELETE FROM wf_references WHERE kind = 'workflow' AND uid IN (SELECT uid FROM wf_versions WHERE kind = 'workflow' AND workspace = ?)",
		"DELETE FROM wf_bodies WHERE kind = 'workflow' AND uid IN (SELECT uid FROM wf_versions WHERE kind = 'workflow' AND workspace = ?)",
		"DELETE FROM wf_versions WHERE kind = 'workflow' AND workspace = ?",
		"DELETE FROM wf_job_events WHERE job IN (SELECT uid FROM wf_jobs WHERE workspace = ?)",
		"DELETE FROM wf_job_bodies WHERE uid IN (SELECT uid FROM wf_jobs WHERE workspace = ?)",
		"DELETE FROM wf_jobs WHERE workspace = ?",
		"DELETE FROM wf_secrets WHERE workspace = ?",
		"DELETE FROM wf_volumes WHERE workspace = ?",
		"DELETE FROM wf_workspaces WHERE name = ?",
	} {
		if _, err := tx.Exec(ctx, statement, name); err != nil {
			return err
		}
	}
	return nil
}

// secretNames lists a workspace's secrets by name.
func (s *store) secretNames(ctx context.Context, q database.Querier, workspace string) ([]string, error) {
	rows, err := q.Query(ctx, "SELECT name FROM wf_secrets WHERE workspace = ? ORDER BY name", workspace)
	return database.Collect(rows, err, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) })
}

func (s *store) sealedSecret(ctx context.Context, q database.Querier, workspace, name string) (string, error) {
	rows, err := q.Query(ctx, "SELECT sealed FROM wf_secrets WHERE workspace = ? AND name = ?", workspace, name)
	return one(rows, err, func(rows *sql.Rows) (sealed string, err error) { return sealed, rows.Scan(&sealed) })
}

// putSecret says whether the secret is new.
func (s *store) putSecret(ctx context.Context, tx *database.Tx, workspace, name, sealed string, now time.Time) (isNew bool, err error) {
	if _, err = s.sealedSecret(ctx, tx, workspace, name); errors.Is(err, errNoRow) {
		isNew, err = true, nil
	}
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, database.Upsert(s.db.Dialect(), "wf_secrets", []string{"workspace", "name"}, []string{"sealed", "updated_at"}),
		workspace, name, sealed, database.Micros(now))
	return isNew, err
}

func (s *store) deleteSecret(ctx context.Context, tx *database.Tx, workspace, name string) (bool, error) {
	return changed(tx.Exec(ctx, "DELETE FROM wf_secrets WHERE workspace = ? AND name = ?", workspace, name))
}

func scanVolume(rows *sql.Rows) (*spec.Volume, error) {
	var uid, workspace, body string
	if err := rows.Scan(&uid, &workspace, &body); err != nil {
		return nil, err
	}
	id, err := uuid.Parse(uid)
	if err != nil {
		return nil, err
	}
	volume, findings := spec.ReadKubeVolume([]byte(body))
	if len(findings) > 0 {
		return nil, fmt.Errorf("the stored volume %s cannot be read: %s", uid, findings)
	}
	return &spec.Volume{UID: id, Workspace: workspace, Volume: volume}, nil
}

// volumes lists a page of a workspace's volumes, oldest first; without a limit all of them.
func (s *store) volumes(ctx context.Context, q database.Querier, workspace string, limit, offset int) ([]*spec.Volume, error) {
	rows, err := q.Query(ctx, "SELECT uid, workspace, body FROM wf_volumes WHERE workspace = ? ORDER BY created_at, uid LIMIT ? OFFSET ?",
		workspace, cmp.Or(limit, 1<<30), offset)
	return database.Collect(rows, err, scanVolume)
}

// volume finds one of a workspace: those of others are not there.
func (s *store) volume(ctx context.Context, q database.Querier, workspace string, id uuid.UUID) (*spec.Volume, error) {
	rows, err := q.Query(ctx, "SELECT uid, workspace, body FROM wf_volumes WHERE uid = ? AND workspace = ?", id.String(), workspace)
	v, err := one(rows, err, scanVolume)
	if errors.Is(err, errNoRow) {
		err = fault.New(fault.Missing, "there is no volume %s in workspace %s", id, clip(workspace))
	}
	return v, err
}

func (s *store) insertVolume(ctx context.Context, tx *database.Tx, v *spec.Volume, now time.Time) error {
	body, err := asJSON(v.Volume)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO wf_volumes (uid, workspace, body, created_at) VALUES (?, ?, ?, ?)", v.UID.String(), v.Workspace, body, database.Micros(now))
	return err
}

func (s *store) updateVolume(ctx context.Context, tx *database.Tx, v *spec.Volume) (bool, error) {
	body, err := asJSON(v.Volume)
	if err != nil {
		return false, err
	}
	there, err := number(ctx, tx, "SELECT COUNT(*) FROM wf_volumes WHERE uid = ? AND workspace = ?", v.UID.String(), v.Workspace)
	if err != nil || there == 0 {
		return false, err
	}
	_, err = tx.Exec(ctx, "UPDATE wf_volumes SET body = ? WHERE uid = ? AND workspace = ?", body, v.UID.String(), v.Workspace)
	return true, err
}

func (s *store) deleteVolume(ctx context.Context, tx *database.Tx, workspace string, id uuid.UUID) (bool, error) {
	return changed(tx.Exec(ctx, "DELETE FROM wf_volumes WHERE uid = ? AND workspace = ?", id.String(), workspace))
}
