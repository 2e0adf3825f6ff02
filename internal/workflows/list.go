package workflows

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/google/uuid"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/workflows/spec"
)

// Item is a document as lists show it.
type Item struct {
	spec.Metadata
	Workspace string `json:"workspace,omitempty"`
	// Implementation is what kind of component it is; unknown of jobs.
	Implementation string `json:"implementation,omitempty"`
	// What follows is known of jobs only.
	Status   string          `json:"status,omitempty"`
	Started  *spec.Timestamp `json:"started,omitempty"`
	Finished *spec.Timestamp `json:"finished,omitempty"`
	Workflow *Origin         `json:"workflow,omitempty"`
}

// Origin is the workflow that a job is a run of; it has a uid if it was stored.
type Origin struct {
	UID     string `json:"uid,omitempty"`
	Name    string `json:"name,omitempty"`
	Version int    `json:"version"`
}

// PageInfo says which part of a list this is.
type PageInfo struct {
	TotalNumber int64 `json:"totalNumber"`
	Limit       int   `json:"limit"`
	Skip        int   `json:"skip"`
}

// List is one page of items.
type List[T any] struct {
	Items    []T      `json:"items" nullable:"false"`
	PageInfo PageInfo `json:"pageInfo"`
}

// row is an item with what filters may have to look at.
type row struct {
	item Item
	body string
}

// list reads a page. With workspaces it is narrowed to those.
func (s *store) list(ctx context.Context, l listing, q query, workspaces []string, all bool) (List[Item], error) {
	sel, err := l.selects(s.db.Dialect(), q)
	if err != nil {
		return List[Item]{}, err
	}
	if !all {
		if len(workspaces) == 0 {
			return List[Item]{Items: []Item{}, PageInfo: PageInfo{0, q.limit, q.offset}}, nil
		}
		sel.where += " AND " + sel.workspace + " IN (?" + strings.Repeat(", ?", len(workspaces)-1) + ")"
		for _, w := range workspaces {
			sel.args = append(sel.args, w)
		}
	}
	if len(sel.rest) > 0 {
		return s.sift(ctx, l, q, sel)
	}
	items := []Item{}
	if q.limit > 0 {
		rows, err := s.rows(ctx, l, sel, false, q.limit, q.offset)
		if err != nil {
			return List[Item]{}, err
		}
		for _, r := range rows {
			items = append(items, r.item)
		}
	}
	total := int64(q.offset + len(items))
	// A page with room left is the last one. Only after another there may be more to count.
	if len(items) == q.limit || len(items) == 0 && q.offset > 0 {
		if total, err = number(ctx, s.db, "SELECT COUNT(*) FROM "+l.table+" WHERE "+sel.where, sel.args...); err != nil {
			return List[Item]{}, err
		}
	}
	return List[Item]{items, PageInfo{total, q.limit, q.offset}}, nil
}

// siftLimit bounds how many documents are read for a filter that no column can decide.
const siftLimit = 20_000

// sift decides here what SQL cannot.
func (s *store) sift(ctx context.Context, l listing, q query, sel selection) (List[Item], error) {
	rows, err := s.rows(ctx, l, sel, true, siftLimit+1, 0)
	if err != nil {
		return List[Item]{}, err
	}
	if len(rows) > siftLimit {
		return List[Item]{}, fault.New(fault.Invalid, "this filter would look into more than %d documents: narrow it down, by timestamp or workspace", siftLimit)
	}
	page := List[Item]{Items: []Item{}, PageInfo: PageInfo{0, q.limit, q.offset}}
	for _, r := range rows {
		holds, err := r.holds(l, sel.rest)
		if err != nil {
			return page, err
		}
		if !holds {
			continue
		}
		if n := page.PageInfo.TotalNumber; n >= int64(q.offset) && len(page.Items) < q.limit {
			page.Items = append(page.Items, r.item)
		}
		page.PageInfo.TotalNumber++
	}
	return page, nil
}

func (r row) holds(l listing, terms []term) (bool, error) {
	doc, err := parseStored(r.body)
	if err != nil {
		return false, err
	}
	if o, ok := doc.(map[string]any); ok {
		// What the server knows better than the stored text.
		tags := make([]any, len(r.item.Version.Tags))
		for i, t := range r.item.Version.Tags {
			tags[i] = t
		}
		if v, ok := o["version"].(map[string]any); ok {
			v["tags"] = tags
		}
		if l.table == "wf_jobs" {
			o["status"] = r.item.Status
		}
	}
	for _, t := range terms {
		if !t.holds(doc) {
			return false, nil
		}
	}
	return true, nil
}

// rows reads a page of rows, with their bodies if asked for. Which rows they are is found out in the
// short columns that indexes cover; only then the rest is read.
func (s *store) rows(ctx context.Context, l listing, sel selection, bodies bool, limit, offset int) ([]row, error) {
	columns := "t.uid, t.name, t.description, t.author_oid, t.author_email, t.modified_at, t.tags, t.workspace, "
	if l.table == "wf_jobs" {
		columns += "1, 1, t.phase, t.started_at, t.finished_at, '', t.workflow_uid, t.workflow_name, t.workflow_version, "
	} else {
		columns += "t.version, t.latest, '', NULL, NULL, t.implementation, '', '', 0, "
	}
	same := func(a, b string) string {
		on := make([]string, len(l.key))
		for i, name := range l.key {
			on[i] = a + "." + name + " = " + b + "." + name
		}
		return strings.Join(on, " AND ")
	}
	query := " FROM (SELECT " + strings.Join(l.key, ", ") + " FROM " + l.table + " WHERE " + sel.where + orderBy(sel.order, "") + " LIMIT ? OFFSET ?) p JOIN " +
		l.table + " t ON " + same("t", "p")
	if bodies {
		query = "SELECT " + columns + "b.body" + query + " JOIN " + l.bodies + " b ON " + same("b", "p")
	} else {
		query = "SELECT " + columns + "''" + query
	}
	rows, err := s.db.Query(ctx, query+orderBy(sel.order, "t."), append(sel.args, limit, offset)...)
	return database.Collect(rows, err, scanItem)
}

func scanItem(rows *sql.Rows) (r row, err error) {
	var uid, tags string
	var modified int64
	var latest int
	var started, finished sql.NullInt64
	var from Origin
	i := &r.item
	err = rows.Scan(&uid, &i.Name, &i.Description, &i.ModifiedBy.OID, &i.ModifiedBy.Email, &modified, &tags, &i.Workspace,
		&i.Version.Current, &latest, &i.Status, &started, &finished, &i.Implementation, &from.UID, &from.Name, &from.Version, &r.body)
	if err != nil {
		return r, err
	}
	if i.UID, err = uuid.Parse(uid); err != nil {
		return r, err
	}
	if from.UID == uuid.Nil.String() {
		from.UID = "" // it was written for this job alone
	}
	if from.UID != "" || from.Name != "" {
		i.Workflow = &from
	}
	i.Timestamp = spec.At(database.Time(modified))
	i.Started, i.Finished = stamp(started), stamp(finished)
	i.Version.Tags, err = tagsOf(tags, latest)
	return r, err
}

func stamp(at sql.NullInt64) *spec.Timestamp {
	if !at.Valid {
		return nil
	}
	t := spec.At(database.Time(at.Int64))
	return &t
}

func stampColumn(t *time.Time) any {
	if t == nil {
		return nil
	}
	return database.Micros(*t)
}

// documents lists components, or the workflows that the caller may read.
func (s *Service) documents(ctx context.Context, kind string, q query) (List[Item], error) {
	if kind == kindComponent {
		return s.store.list(ctx, versionsListing(kind), q, nil, true)
	}
	names, all, err := s.readable(ctx)
	if err != nil {
		return List[Item]{}, err
	}
	return s.store.list(ctx, versionsListing(kind), q, names, all)
}

// Jobs lists the jobs that the caller may read.
func (s *Service) Jobs(ctx context.Context, q query) (List[Item], error) {
	names, all, err := s.readable(ctx)
	if err != nil {
		return List[Item]{}, err
	}
	return s.store.list(ctx, jobsListing(), q, names, all)
}
