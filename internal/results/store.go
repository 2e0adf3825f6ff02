package results

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/work"
)

// store has all SQL of this part. Methods that take a transaction belong to a change that the caller
// makes whole.
type store struct{ db *database.DB }

// uploadKind is the kind of work that the queue to the hub is.
const uploadKind = "upload"

// The kinds of stored files.
const (
	kindLocal = "local"
	kindFinal = "final"
)

// storedFile is a row of result_files: an object with what is known about it.
type storedFile struct {
	ID, Kind, Project, Client, Key string
	Filename, ContentType          string
	Size                           int64
	SHA256                         string
	Created                        time.Time
	Tags                           []string
}

const fileColumns = "id, kind, project_id, client_id, object_key, filename, content_type, size, sha256, created_at"

func (s *store) insertFile(ctx context.Context, tx *database.Tx, f storedFile) error {
	_, err := tx.Exec(ctx, "INSERT INTO result_files ("+fileColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		f.ID, f.Kind, f.Project, f.Client, f.Key, f.Filename, f.ContentType, f.Size, f.SHA256, database.Micros(f.Created))
	return err
}

func scanFile(rows *sql.Rows) (f storedFile, err error) {
	var created int64
	err = rows.Scan(&f.ID, &f.Kind, &f.Project, &f.Client, &f.Key, &f.Filename, &f.ContentType, &f.Size, &f.SHA256, &created)
	f.Created = database.Time(created)
	return f, err
}

// file finds a stored file; errNoRow if there is none.
func (s *store) file(ctx context.Context, q database.Querier, kind, id string) (storedFile, error) {
	rows, err := q.Query(ctx, "SELECT "+fileColumns+" FROM result_files WHERE id = ? AND kind = ?", id, kind)
	return one(rows, err, scanFile)
}

func (s *store) deleteFile(ctx context.Context, tx *database.Tx, id string) error {
	_, err := tx.Exec(ctx, "DELETE FROM result_files WHERE id = ?", id)
	return err
}

// errNoRow says that there is no such row.
var errNoRow = errors.New("no such row")

// tagObject gives an object a tag of its project, and makes the tag if there is none of the name. The
// tables and the order are those of the service that this part replaces. Doing it again changes nothing.
func (s *store) tagObject(ctx context.Context, tx *database.Tx, tag, project, client, object, filename string) error {
	insertTag := database.InsertAbsent(s.db.Dialect(), "tag", []string{"tag_name", "project_id"}, nil)
	if _, err := tx.Exec(ctx, insertTag, tag, project); err != nil {
		return err
	}
	insertResult := database.Upsert(s.db.Dialect(), "result", []string{"client_id", "object_id"}, []string{"filename"})
	if _, err := tx.Exec(ctx, insertResult, client, object, filename); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO taggedresult (tag_id, result_id)
		SELECT t.id, r.id FROM tag t, result r
		WHERE t.tag_name = ? AND t.project_id = ? AND r.client_id = ? AND r.object_id = ?
		AND NOT EXISTS (SELECT 1 FROM taggedresult x WHERE x.tag_id = t.id AND x.result_id = r.id)`, tag, project, client, object)
	return err
}

// resultOf finds the client and the file name that a tagged object is recorded with.
func (s *store) resultOf(ctx context.Context, q database.Querier, object string) (client, filename string, err error) {
	rows, err := q.Query(ctx, "SELECT client_id, filename FROM result WHERE object_id = ? ORDER BY id LIMIT 1", object)
	pair, err := one(rows, err, func(rows *sql.Rows) (p [2]string, err error) { return p, rows.Scan(&p[0], &p[1]) })
	return pair[0], pair[1], err
}

// tags lists a project's tags in the order in which they came to be.
func (s *store) tags(ctx context.Context, project string) ([]string, error) {
	rows, err := s.db.Query(ctx, "SELECT tag_name FROM tag WHERE project_id = ? ORDER BY id", project)
	return database.Collect(rows, err, func(rows *sql.Rows) (name string, err error) {
		return name, rows.Scan(&name)
	})
}

// taggedObject is an object under a tag.
type taggedObject struct{ object, filename string }

// tagged lists what has the tag, in the order in which it was given.
func (s *store) tagged(ctx context.Context, project, tag string) ([]taggedObject, error) {
	rows, err := s.db.Query(ctx, `SELECT `+s.text("r.object_id")+`, r.filename FROM tag t
		JOIN taggedresult x ON x.tag_id = t.id JOIN result r ON r.id = x.result_id
		WHERE t.tag_name = ? AND t.project_id = ? ORDER BY x.id`, tag, project)
	return database.Collect(rows, err, func(rows *sql.Rows) (o taggedObject, err error) {
		return o, rows.Scan(&o.object, &o.filename)
	})
}

// text makes a text of an id, which is a type of its own on PostgreSQL.
func (s *store) text(column string) string {
	if s.db.Dialect() == database.Postgres {
		return "CAST(" + column + " AS VARCHAR(36))"
	}
	return column
}

// deleteProject removes all rows of a project's local results.
func (s *store) deleteProject(ctx context.Context, tx *database.Tx, project string) (files int64, err error) {
	for _, statement := range []string{
		`DELETE FROM result WHERE id IN (SELECT x.result_id FROM taggedresult x JOIN tag t ON t.id = x.tag_id WHERE t.project_id = ?)`,
		`DELETE FROM result WHERE ` + s.text("object_id") + ` IN (SELECT f.id FROM result_files f WHERE f.kind = 'local' AND f.project_id = ?)`,
		`DELETE FROM taggedresult WHERE tag_id IN (SELECT id FROM tag WHERE project_id = ?)`,
		`DELETE FROM tag WHERE project_id = ?`,
	} {
		if _, err := tx.Exec(ctx, statement, project); err != nil {
			return 0, err
		}
	}
	done, err := tx.Exec(ctx, "DELETE FROM result_files WHERE kind = 'local' AND project_id = ?", project)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// deleteLocal removes all rows of one local result. Tags that nothing has any more go with it.
func (s *store) deleteLocal(ctx context.Context, tx *database.Tx, f storedFile) error {
	if _, err := tx.Exec(ctx, "DELETE FROM taggedresult WHERE result_id IN (SELECT id FROM result WHERE object_id = ?)", f.ID); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM result WHERE object_id = ?", f.ID); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM tag WHERE project_id = ? AND id NOT IN (SELECT tag_id FROM taggedresult)", f.Project); err != nil {
		return err
	}
	return s.deleteFile(ctx, tx, f.ID)
}

// countSubmission counts a noised result of the analysis, and refuses it when maximum were counted.
// What is counted stays so, even if the submission fails later: privacy that may be spent is spent.
func (s *store) countSubmission(ctx context.Context, analysis string, maximum int, now time.Time) error {
	name := "results.dp." + safeSegment(analysis)
	for {
		rows, err := s.db.Query(ctx, "SELECT value FROM site_values WHERE name = ?", name)
		text, err := one(rows, err, func(rows *sql.Rows) (value string, err error) { return value, rows.Scan(&value) })
		if errors.Is(err, errNoRow) {
			first := database.InsertAbsent(s.db.Dialect(), "site_values", []string{"name"}, []string{"value", "created_at"})
			if _, err := s.db.Exec(ctx, first, name, "0", database.Micros(now)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		count, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("count submissions: %w", err)
		}
		if count >= maximum {
			return fault.New(fault.Exhausted, "Analysis with ID %s has submitted %d results with differential privacy, which is all it may", analysis, count)
		}
		done, err := s.db.Exec(ctx, "UPDATE site_values SET value = ? WHERE name = ? AND value = ?", strconv.Itoa(count+1), name, text)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 1 {
			return err
		}
	}
}

// one reads the first row; errNoRow if there is none.
func one[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) (v T, _ error) {
	all, err := database.Collect(rows, err, scan)
	if err != nil {
		return v, err
	}
	if len(all) == 0 {
		return v, errNoRow
	}
	return all[0], nil
}

// number reads a count.
func number(ctx context.Context, q database.Querier, query string, args ...any) (int64, error) {
	rows, err := q.Query(ctx, query, args...)
	return one(rows, err, func(rows *sql.Rows) (n int64, err error) { return n, rows.Scan(&n) })
}

// state is where an upload stands, on the wire.
type state string

const (
	stateQueued    state = "queued"
	stateSending   state = "sending"
	stateDelivered state = "delivered"
	stateFailed    state = "failed"
	// stateWaiting is none of one upload, but filters for all that are not delivered.
	stateWaiting state = "waiting"
)

// workStates are the states of the work that stand behind states on the wire.
var workStates = map[state]work.State{stateQueued: work.Queued, stateSending: work.Running}
