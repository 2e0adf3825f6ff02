package workflows

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/workflows/spec"
)

// The kinds of documents that have versions.
const (
	kindComponent = "component"
	kindWorkflow  = "workflow"
)

// document is a component or a workflow.
type document struct {
	kind string
	// One of them is not nil.
	component *spec.Component
	workflow  *spec.Workflow
}

func ofComponent(c *spec.Component) document {
	return document{kind: kindComponent, component: c}
}

func ofWorkflow(w *spec.Workflow) document {
	return document{kind: kindWorkflow, workflow: w}
}

func (d document) meta() *spec.Metadata {
	if d.workflow != nil {
		return &d.workflow.Metadata
	}
	return &d.component.Metadata
}

// root is the component in which references stand.
func (d document) root() *spec.Component {
	if d.workflow != nil {
		return d.workflow.Component
	}
	return d.component
}

func (d document) workspace() string {
	if d.workflow != nil {
		return d.workflow.Workspace
	}
	return ""
}

// body is the document as it is written.
func (d document) body() any {
	if d.workflow != nil {
		return d.workflow
	}
	return d.component
}

// readDocument reads a stored document.
func readDocument(kind string, text []byte) (document, error) {
	d := document{kind: kind}
	var findings spec.Findings
	if kind == kindWorkflow {
		d.workflow, findings = spec.ReadWorkflow(text)
	} else {
		d.component, findings = spec.ReadComponent(text)
	}
	if len(findings) > 0 {
		return d, fmt.Errorf("a stored %s cannot be read: %s", kind, findings)
	}
	return d, nil
}

// insertVersion writes a new version with its references.
func (s *store) insertVersion(ctx context.Context, tx *database.Tx, d document) error {
	m := d.meta()
	body, err := asJSON(d.body())
	if err != nil {
		return err
	}
	tags, latest, err := tagColumn(m.Version.Tags)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO wf_versions (kind, uid, version, latest, workspace, name, description, implementation,
		author_oid, author_email, modified_at, tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		d.kind, m.UID.String(), m.Version.Current, database.Flag(latest), d.workspace(), m.Name, m.Description, d.root().Implementation.Kind(),
		m.ModifiedBy.OID, m.ModifiedBy.Email, database.Micros(m.Timestamp.Time), tags)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO wf_bodies (kind, uid, version, body) VALUES (?, ?, ?, ?)", d.kind, m.UID.String(), m.Version.Current, body); err != nil {
		return err
	}
	return s.insertReferences(ctx, tx, d)
}

// tagColumn is how tags are stored: without latest, which is a column of its own.
func tagColumn(tags []string) (text string, latest bool, err error) {
	rest := slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return t == spec.Latest })
	text, err = asJSON(append([]string{}, rest...))
	return text, len(rest) < len(tags), err
}

func tagsOf(text string, latest int) (tags []string, err error) {
	err = json.Unmarshal([]byte(text), &tags)
	if latest != 0 {
		tags = append(tags, spec.Latest)
	}
	return tags, err
}

// insertReferences notes what a version refers to. What it refers to cannot be deleted meanwhile: both
// sides take the lock on the component's number first, in the same order everywhere.
func (s *store) insertReferences(ctx context.Context, tx *database.Tx, d document) error {
	m := d.meta()
	references := spec.References(d.root())
	slices.SortFunc(references, func(a, b spec.CRefVersion) int { return cmp.Or(bytes.Compare(a.UID[:], b.UID[:]), a.Version-b.Version) })
	for _, r := range references {
		if err := s.lockNumber(ctx, tx, kindComponent, r.UID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO wf_references (kind, uid, version, to_uid, to_version) VALUES (?, ?, ?, ?, ?)",
			d.kind, m.UID.String(), m.Version.Current, r.UID.String(), r.Version)
		if err != nil {
			return err
		}
	}
	return nil
}

// dangling is a reference of the document to what is not there.
func (s *store) dangling(ctx context.Context, tx *database.Tx, d document) (ref spec.CRefVersion, found bool, err error) {
	for _, r := range spec.References(d.root()) {
		query, args := "SELECT COUNT(*) FROM wf_versions WHERE kind = 'component' AND uid = ?", []any{r.UID.String()}
		if r.Version > 0 {
			query, args = query+" AND version = ?", append(args, r.Version)
		}
		if n, err := number(ctx, tx, query, args...); err != nil || n == 0 {
			return r, err == nil, err
		}
	}
	return ref, false, nil
}

func (s *store) deleteReferences(ctx context.Context, tx *database.Tx, kind string, id uuid.UUID, version int) error {
	_, err := tx.Exec(ctx, "DELETE FROM wf_references WHERE kind = ? AND uid = ? AND version = ?", kind, id.String(), version)
	return err
}

// updateVersion writes over a version that was last written at the time; false if it was written since.
func (s *store) updateVersion(ctx context.Context, tx *database.Tx, d document, seen spec.Timestamp) (bool, error) {
	m := d.meta()
	body, err := asJSON(d.body())
	if err != nil {
		return false, err
	}
	tags, _, err := tagColumn(m.Version.Tags)
	if err != nil {
		return false, err
	}
	done, err := changed(tx.Exec(ctx, `UPDATE wf_versions SET name = ?, description = ?, implementation = ?, author_oid = ?, author_email = ?,
		modified_at = ?, tags = ? WHERE kind = ? AND uid = ? AND version = ? AND modified_at = ?`,
		m.Name, m.Description, d.root().Implementation.Kind(), m.ModifiedBy.OID, m.ModifiedBy.Email, database.Micros(m.Timestamp.Time), tags,
		d.kind, m.UID.String(), m.Version.Current, database.Micros(seen.Time)))
	if err != nil || !done {
		return false, err
	}
	_, err = tx.Exec(ctx, "UPDATE wf_bodies SET body = ? WHERE kind = ? AND uid = ? AND version = ?", body, d.kind, m.UID.String(), m.Version.Current)
	if err != nil {
		return false, err
	}
	if err := s.deleteReferences(ctx, tx, d.kind, m.UID, m.Version.Current); err != nil {
		return false, err
	}
	return true, s.insertReferences(ctx, tx, d)
}

// version finds one version, or the newest for 0; errNoRow if there is none.
func (s *store) version(ctx context.Context, q database.Querier, kind string, id uuid.UUID, version int) (document, error) {
	query, args := `SELECT v.latest, v.tags, b.body FROM wf_versions v
		JOIN wf_bodies b ON b.kind = v.kind AND b.uid = v.uid AND b.version = v.version WHERE v.kind = ? AND v.uid = ?`, []any{kind, id.String()}
	if version > 0 {
		query, args = query+" AND v.version = ?", append(args, version)
	}
	type stored struct {
		latest     int
		tags, body string
	}
	rows, err := q.Query(ctx, query+" ORDER BY v.version DESC LIMIT 1", args...)
	row, err := one(rows, err, func(rows *sql.Rows) (r stored, err error) { return r, rows.Scan(&r.latest, &r.tags, &r.body) })
	if err != nil {
		return document{}, err
	}
	d, err := readDocument(kind, []byte(row.body))
	if err != nil {
		return document{}, err
	}
	d.meta().Version.Tags, err = tagsOf(row.tags, row.latest)
	return d, err
}

// newest is the highest version that there is; 0 for none.
func (s *store) newest(ctx context.Context, q database.Querier, kind string, id uuid.UUID) (int, error) {
	n, err := number(ctx, q, "SELECT COALESCE(MAX(version), 0) FROM wf_versions WHERE kind = ? AND uid = ?", kind, id.String())
	return int(n), err
}

// firstNumber notes that a document has its first version.
func (s *store) firstNumber(ctx context.Context, tx *database.Tx, kind string, id uuid.UUID) error {
	_, err := tx.Exec(ctx, "INSERT INTO wf_numbers (kind, uid, highest) VALUES (?, ?, 1)", kind, id.String())
	return err
}

// nextNumber gives out the next version's number. Others who want one wait for this transaction.
func (s *store) nextNumber(ctx context.Context, tx *database.Tx, kind string, id uuid.UUID) (int, error) {
	known, err := changed(tx.Exec(ctx, "UPDATE wf_numbers SET highest = highest + 1 WHERE kind = ? AND uid = ?", kind, id.String()))
	if err != nil || !known {
		return 0, err
	}
	n, err := number(ctx, tx, "SELECT highest FROM wf_numbers WHERE kind = ? AND uid = ?", kind, id.String())
	return int(n), err
}

// lockNumber keeps others from publishing or deleting versions of the document until the transaction ends.
func (s *store) lockNumber(ctx context.Context, tx *database.Tx, kind string, id uuid.UUID) error {
	_, err := tx.Exec(ctx, "UPDATE wf_numbers SET highest = highest WHERE kind = ? AND uid = ?", kind, id.String())
	return err
}

// moveLatest puts the tag latest on one version alone.
func (s *store) moveLatest(ctx context.Context, tx *database.Tx, kind string, id uuid.UUID, version int) error {
	if _, err := tx.Exec(ctx, "UPDATE wf_versions SET latest = 0 WHERE kind = ? AND uid = ? AND latest = 1 AND version <> ?", kind, id.String(), version); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "UPDATE wf_versions SET latest = 1 WHERE kind = ? AND uid = ? AND version = ?", kind, id.String(), version)
	return err
}

func (s *store) deleteVersion(ctx context.Context, tx *database.Tx, kind string, id uuid.UUID, version int) error {
	for _, table := range []string{"wf_versions", "wf_bodies"} {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE kind = ? AND uid = ? AND version = ?", kind, id.String(), version); err != nil {
			return err
		}
	}
	return s.deleteReferences(ctx, tx, kind, id, version)
}

// user is a version that refers to a component.
type user struct {
	kind, uid       string
	version         int
	name, workspace string
}

// users lists up to limit versions that refer to a version of a component: by its number, or, when
// it is the last one that there is, by no number.
func (s *store) users(ctx context.Context, q database.Querier, id uuid.UUID, version int, last bool, limit int) ([]user, error) {
	rows, err := q.Query(ctx, `SELECT v.kind, v.uid, v.version, v.name, v.workspace FROM wf_references r
		JOIN wf_versions v ON v.kind = r.kind AND v.uid = r.uid AND v.version = r.version
		WHERE r.to_uid = ? AND (r.to_version = ? OR (r.to_version = 0 AND 1 = ?))
		AND NOT (r.kind = 'component' AND r.uid = ? AND r.version = ?)
		ORDER BY v.kind, v.uid, v.version LIMIT ?`, id.String(), version, database.Flag(last), id.String(), version, limit)
	return database.Collect(rows, err, func(rows *sql.Rows) (u user, err error) {
		return u, rows.Scan(&u.kind, &u.uid, &u.version, &u.name, &u.workspace)
	})
}
