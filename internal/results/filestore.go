package results

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"lodge/internal/access"
	"lodge/internal/database"
)

// scope is which projects a list may show.
type scope struct {
	groups []access.Group
	all    bool
}

// where adds the scope's condition. No group at all shows nothing.
func (s scope) where(column string, conditions []string, args []any) ([]string, []any) {
	switch {
	case s.all:
		return conditions, args
	case len(s.groups) == 0:
		return append(conditions, "1 = 0"), args
	}
	for _, g := range s.groups {
		args = append(args, string(g))
	}
	return append(conditions, column+" IN (?"+strings.Repeat(", ?", len(s.groups)-1)+")"), args
}

// fileFilter is what a list of files is narrowed to; empty fields do not narrow.
type fileFilter struct {
	scope
	project, tag, text string
	limit, offset      int
}

// files lists local results, newest first, and how many there are in all.
func (s *store) files(ctx context.Context, f fileFilter) ([]storedFile, int64, error) {
	conditions, args := f.where("f.project_id", []string{"f.kind = 'local'"}, nil)
	if f.project != "" {
		conditions, args = append(conditions, "f.project_id = ?"), append(args, f.project)
	}
	if f.text != "" {
		like := database.Contains(strings.ToLower(f.text))
		conditions = append(conditions, "(LOWER(f.filename) LIKE ? ESCAPE '!' OR f.id LIKE ? ESCAPE '!' OR f.sha256 LIKE ? ESCAPE '!')")
		args = append(args, like, like, like)
	}
	if f.tag != "" {
		conditions = append(conditions, `f.id IN (SELECT `+s.text("r.object_id")+` FROM result r
			JOIN taggedresult x ON x.result_id = r.id JOIN tag t ON t.id = x.tag_id WHERE t.tag_name = ? AND t.project_id = f.project_id)`)
		args = append(args, f.tag)
	}
	where := " FROM result_files f WHERE " + strings.Join(conditions, " AND ")
	total, err := number(ctx, s.db, "SELECT COUNT(*)"+where, args...)
	if err != nil {
		return nil, 0, err
	}
	rows, err := s.db.Query(ctx, "SELECT "+fileColumns+where+" ORDER BY f.created_at DESC, f.id DESC LIMIT ? OFFSET ?", append(args, f.limit, f.offset)...)
	files, err := database.Collect(rows, err, scanFile)
	if err != nil {
		return nil, 0, err
	}
	return files, total, s.addTags(ctx, files)
}

// addTags fills in the files' tags.
func (s *store) addTags(ctx context.Context, files []storedFile) error {
	if len(files) == 0 {
		return nil
	}
	at := map[string]int{}
	args := make([]any, 0, len(files))
	for i, f := range files {
		at[f.ID] = i
		args = append(args, f.ID)
	}
	rows, err := s.db.Query(ctx, `SELECT `+s.text("r.object_id")+`, t.tag_name FROM result r
		JOIN taggedresult x ON x.result_id = r.id JOIN tag t ON t.id = x.tag_id
		WHERE r.object_id IN (?`+strings.Repeat(", ?", len(args)-1)+`) ORDER BY x.id`, args...)
	pairs, err := database.Collect(rows, err, func(rows *sql.Rows) (p [2]string, err error) { return p, rows.Scan(&p[0], &p[1]) })
	for _, p := range pairs {
		f := &files[at[p[0]]]
		f.Tags = append(f.Tags, p[1])
	}
	return err
}

// projectSummary is what a project has stored.
type projectSummary struct {
	Project     string
	Files, Size int64
	Latest      time.Time
}

// projects sums up the local results by project.
func (s *store) projects(ctx context.Context, in scope, limit, offset int) ([]projectSummary, int64, error) {
	conditions, args := in.where("project_id", []string{"kind = 'local'"}, nil)
	where := " FROM result_files WHERE " + strings.Join(conditions, " AND ")
	total, err := number(ctx, s.db, "SELECT COUNT(DISTINCT project_id)"+where, args...)
	if err != nil {
		return nil, 0, err
	}
	rows, err := s.db.Query(ctx, "SELECT project_id, COUNT(*), SUM(size), MAX(created_at)"+where+
		" GROUP BY project_id ORDER BY MAX(created_at) DESC, project_id LIMIT ? OFFSET ?", append(args, limit, offset)...)
	list, err := database.Collect(rows, err, func(rows *sql.Rows) (p projectSummary, err error) {
		var latest int64
		err = rows.Scan(&p.Project, &p.Files, &p.Size, &latest)
		p.Latest = database.Time(latest)
		return p, err
	})
	return list, total, err
}

// keysOf tells which of the object keys have a row.
func (s *store) keysOf(ctx context.Context, keys []string) (map[string]bool, error) {
	known := map[string]bool{}
	if len(keys) == 0 {
		return known, nil
	}
	args := make([]any, len(keys))
	for i, k := range keys {
		args[i] = k
	}
	rows, err := s.db.Query(ctx, "SELECT object_key FROM result_files WHERE object_key IN (?"+strings.Repeat(", ?", len(keys)-1)+")", args...)
	found, err := database.Collect(rows, err, func(rows *sql.Rows) (key string, err error) { return key, rows.Scan(&key) })
	for _, key := range found {
		known[key] = true
	}
	return known, err
}

// eachFile walks all files that were stored before the time, by id.
func (s *store) eachFile(ctx context.Context, before time.Time, each func(storedFile) error) error {
	const batch = 1000
	for last := ""; ; {
		rows, err := s.db.Query(ctx, "SELECT "+fileColumns+" FROM result_files WHERE id > ? AND created_at < ? ORDER BY id LIMIT ?",
			last, database.Micros(before), batch)
		files, err := database.Collect(rows, err, scanFile)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := each(f); err != nil {
				return err
			}
			last = f.ID
		}
		if len(files) < batch {
			return nil
		}
	}
}
