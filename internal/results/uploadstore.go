package results

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"lodge/internal/database"
	"lodge/internal/work"
)

// upload is a row of uploads with the work that stands behind it.
type upload struct {
	ID, FileID, Kind, Analysis, Project string
	Filename                            string
	Size                                int64
	// How far the upload has come on the hub: Bucket and Name are set once the name was found to be
	// free there, File once the file is there.
	HubBucket, HubName, HubFile string
	Created                     time.Time
	Delivered                   *time.Time

	WorkState work.State
	Attempts  int
	LastError string
	Due       time.Time
}

// The kinds of uploads.
const (
	uploadFinal  = "final"
	uploadNoised = "localdp"
)

// State is the upload's, on the wire. An upload whose work has vanished waits for nobody.
func (u upload) State() state {
	switch {
	case u.Delivered != nil:
		return stateDelivered
	case u.WorkState == work.Running:
		return stateSending
	case u.WorkState == work.Queued:
		return stateQueued
	default:
		return stateFailed
	}
}

const uploadColumns = "u.id, u.file_id, u.kind, u.analysis_id, u.project_id, u.filename, u.size, u.hub_bucket, u.hub_name, u.hub_file_id, " +
	"u.created_at, u.delivered_at, COALESCE(w.state, ''), COALESCE(w.attempts, 0), COALESCE(w.last_error, ''), COALESCE(w.due_at, 0)"

const uploadTables = " FROM uploads u LEFT JOIN work w ON w.kind = '" + uploadKind + "' AND w.id = u.id"

func scanUpload(rows *sql.Rows) (u upload, err error) {
	var created, due int64
	var delivered sql.NullInt64
	err = rows.Scan(&u.ID, &u.FileID, &u.Kind, &u.Analysis, &u.Project, &u.Filename, &u.Size, &u.HubBucket, &u.HubName, &u.HubFile,
		&created, &delivered, &u.WorkState, &u.Attempts, &u.LastError, &due)
	u.Created, u.Due = database.Time(created), database.Time(due)
	if delivered.Valid {
		at := database.Time(delivered.Int64)
		u.Delivered = &at
	}
	return u, err
}

func (s *store) insertUpload(ctx context.Context, tx *database.Tx, u upload) error {
	_, err := tx.Exec(ctx, `INSERT INTO uploads
		(id, file_id, kind, analysis_id, project_id, filename, size, hub_bucket, hub_name, hub_file_id, created_at, delivered_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, '', '', '', ?, NULL)`,
		u.ID, u.FileID, u.Kind, u.Analysis, u.Project, u.Filename, u.Size, database.Micros(u.Created))
	return err
}

// upload finds an upload; errNoRow if there is none.
func (s *store) upload(ctx context.Context, q database.Querier, id string) (upload, error) {
	rows, err := q.Query(ctx, "SELECT "+uploadColumns+uploadTables+" WHERE u.id = ?", id)
	return one(rows, err, scanUpload)
}

// namesLock is the row that serialises claimName among all replicas.
const namesLock = "results.hub_names"

// claimName remembers that the upload is about to be stored in the hub's bucket under the name. It
// claims nothing when another upload has claimed the same: the hub would overwrite one with the other.
func (s *store) claimName(ctx context.Context, u upload, bucket, name string) (claimed bool, err error) {
	err = s.db.Tx(ctx, func(tx *database.Tx) error {
		claimed = false
		lock := database.InsertAbsent(s.db.Dialect(), "site_values", []string{"name"}, []string{"value", "created_at"})
		if _, err := tx.Exec(ctx, lock, namesLock, "", database.Micros(u.Created)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE site_values SET value = ? WHERE name = ?", u.ID, namesLock); err != nil {
			return err
		}
		others, err := number(ctx, tx, "SELECT COUNT(*) FROM uploads WHERE analysis_id = ? AND hub_bucket = ? AND hub_name = ? AND id <> ?",
			u.Analysis, bucket, name, u.ID)
		if err != nil || others > 0 {
			return err
		}
		claimed = true
		_, err = tx.Exec(ctx, "UPDATE uploads SET hub_bucket = ?, hub_name = ? WHERE id = ?", bucket, name, u.ID)
		return err
	})
	return claimed, err
}

// setHubFile remembers that the hub has the file.
func (s *store) setHubFile(ctx context.Context, id, file string) error {
	_, err := s.db.Exec(ctx, "UPDATE uploads SET hub_file_id = ? WHERE id = ?", file, id)
	return err
}

func (s *store) setProject(ctx context.Context, u upload, project string) error {
	return s.db.Tx(ctx, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE uploads SET project_id = ? WHERE id = ?", project, u.ID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE result_files SET project_id = ? WHERE id = ?", project, u.FileID)
		return err
	})
}

// delivered ends an upload.
func (s *store) delivered(ctx context.Context, tx *database.Tx, id, file string, at time.Time) error {
	_, err := tx.Exec(ctx, "UPDATE uploads SET hub_file_id = ?, delivered_at = ? WHERE id = ?", file, database.Micros(at), id)
	return err
}

func (s *store) deleteUpload(ctx context.Context, tx *database.Tx, id string) error {
	_, err := tx.Exec(ctx, "DELETE FROM uploads WHERE id = ?", id)
	return err
}

// uploadFilter is what a list of uploads is narrowed to; empty fields do not narrow.
type uploadFilter struct {
	scope
	analysis, project string
	state             state
	limit, offset     int
}

// uploads lists uploads, newest first, and how many there are in all.
func (s *store) uploads(ctx context.Context, f uploadFilter) ([]upload, int64, error) {
	where, args := f.where()
	total, err := s.countUploads(ctx, f)
	if err != nil {
		return nil, 0, err
	}
	rows, err := s.db.Query(ctx, "SELECT "+uploadColumns+where+" ORDER BY u.created_at DESC, u.id DESC LIMIT ? OFFSET ?", append(args, f.limit, f.offset)...)
	list, err := database.Collect(rows, err, scanUpload)
	return list, total, err
}

// where is the filter as tables and conditions.
func (f uploadFilter) where() (string, []any) {
	conditions, args := f.scope.where("u.project_id", []string{"1 = 1"}, nil)
	if f.analysis != "" {
		// An analysis sees its own uploads, also those whose project is not known yet.
		last := len(conditions) - 1
		conditions[last] = "(" + conditions[last] + " OR u.analysis_id = ?)"
		args = append(args, f.analysis)
	}
	if f.project != "" {
		conditions, args = append(conditions, "u.project_id = ?"), append(args, f.project)
	}
	switch f.state {
	case "":
	case stateDelivered:
		conditions = append(conditions, "u.delivered_at IS NOT NULL")
	case stateWaiting:
		conditions = append(conditions, "u.delivered_at IS NULL")
	case stateFailed:
		conditions = append(conditions, "u.delivered_at IS NULL AND COALESCE(w.state, '') NOT IN (?, ?)")
		args = append(args, string(work.Queued), string(work.Running))
	default:
		conditions, args = append(conditions, "u.delivered_at IS NULL AND w.state = ?"), append(args, string(workStates[f.state]))
	}
	return uploadTables + " WHERE " + strings.Join(conditions, " AND "), args
}

// countUploads is how many uploads the filter leaves.
func (s *store) countUploads(ctx context.Context, f uploadFilter) (int64, error) {
	where, args := f.where()
	return number(ctx, s.db, "SELECT COUNT(*)"+where, args...)
}

// queuedUploads lists the ids of uploads that wait for their next attempt.
func (s *store) queuedUploads(ctx context.Context, limit int, after string) ([]string, error) {
	rows, err := s.db.Query(ctx, "SELECT u.id"+uploadTables+" WHERE u.delivered_at IS NULL AND w.state = ? AND w.attempts > 0 AND u.id > ? ORDER BY u.id LIMIT ?",
		string(work.Queued), after, limit)
	return database.Collect(rows, err, func(rows *sql.Rows) (id string, err error) { return id, rows.Scan(&id) })
}

// deliveredBefore lists uploads that were delivered before the time.
func (s *store) deliveredBefore(ctx context.Context, before time.Time, limit int) ([]upload, error) {
	rows, err := s.db.Query(ctx, "SELECT "+uploadColumns+uploadTables+" WHERE u.delivered_at IS NOT NULL AND u.delivered_at <= ? ORDER BY u.delivered_at LIMIT ?",
		database.Micros(before), limit)
	return database.Collect(rows, err, scanUpload)
}
