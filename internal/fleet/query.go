package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"lodge/internal/database"
	"lodge/internal/fault"
)

// timeRange is a range of milliseconds, both ends included.
type timeRange struct{ from, to int64 }

// lastTime is the latest time that anybody can mean; beyond it is the same.
const lastTime = 253402300799999

// parseRange reads "A,B" or "-N", the last N milliseconds.
func parseRange(name, text string, now int64) (timeRange, error) {
	bad := unprocessable(name + " must be two times in milliseconds, as in 1000,2000, or the last milliseconds, as in -60000")
	from, to, two := strings.Cut(text, ",")
	if !two {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n >= 0 {
			return timeRange{}, bad
		}
		return timeRange{max(now+n, -lastTime), now}, nil
	}
	a, errA := clampTime(from)
	b, errB := clampTime(to)
	if errA != nil || errB != nil {
		return timeRange{}, bad
	}
	return timeRange{a, b}, nil
}

// clampTime reads a time; one that is out of every range is the first or the last.
func clampTime(text string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, err
	}
	return max(min(n, lastTime), -lastTime), nil
}

// splitList reads a comma list; nothing in it is no list.
func splitList(text *string) []string {
	if text == nil || *text == "" {
		return nil
	}
	return strings.Split(*text, ",")
}

// pageQuery is which part of a list the caller wants, as FastAPI's original has it.
type pageQuery struct {
	Limit   int64   `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"defaults to 100"`
	Offset  int64   `query:"offset" minimum:"0" default:"0" doc:"defaults to 0"`
	OrderBy *string `query:"order_by" doc:"common separated list of fields to order by, prefix with '-' to sort descendingly."`
}

func (p pageQuery) page() page { return page{p.Limit, p.Offset} }

// totalQuery asks for the number of all that match, not only of those on the page.
type totalQuery struct {
	Total *bool `query:"total" doc:"Whether to count all that match, into the header X-Total-Count"`
}

// total answers with the number, if it is asked for.
func (q totalQuery) total(w http.ResponseWriter, count func() (int64, error)) error {
	if !deref(q.Total) {
		return nil
	}
	n, err := count()
	if err == nil {
		w.Header().Set("X-Total-Count", strconv.FormatInt(n, 10))
	}
	return err
}

// sortKey is a column to sort by.
type sortKey struct {
	column string
	label  string // of a label instead
	down   bool
}

// sortKeys reads order_by. Fields that do not exist are an error.
func sortKeys(text *string, columns map[string]string, labels bool) ([]sortKey, error) {
	var keys []sortKey
	for _, field := range splitList(text) {
		name, down := strings.CutPrefix(field, "-")
		key := sortKey{column: columns[name], down: down}
		if label, ok := strings.CutPrefix(name, "label="); ok && labels {
			key.label = label
		} else if key.column == "" {
			return nil, unprocessable("Unknown field to order by: " + name)
		}
		keys = append(keys, key)
	}
	if len(keys) > 8 {
		return nil, unprocessable("order_by has more than 8 fields")
	}
	return keys, nil
}

// taskQuery is GET /tasks.
type taskQuery struct {
	TaskID             *string `query:"task_id" doc:"comma separated list of task ids"`
	Category           *string `query:"category" doc:"comma separated list of task categories"`
	Requester          *string `query:"requester" doc:"comma separated list of requester names"`
	AssignedTo         *string `query:"assigned_to" doc:"comma separated list of assigned robot names"`
	Status             *string `query:"status" doc:"comma separated list of statuses"`
	Label              *string `query:"label" doc:"comma separated list of labels, each item must be in the form <key>=<value>, multiple items will filter tasks with all the labels"`
	RequestTimeBetween *string `query:"request_time_between" doc:"The period of request time to fetch, in unix millis: start,end or -N for the last N milliseconds"`
	StartTimeBetween   *string `query:"start_time_between" doc:"The period of starting time to fetch, in unix millis: start,end or -N for the last N milliseconds"`
	FinishTimeBetween  *string `query:"finish_time_between" doc:"The period of finishing time to fetch, in unix millis: start,end or -N for the last N milliseconds"`
	pageQuery
	totalQuery
}

// taskFields are the fields that tasks can be sorted by.
var taskFields = map[string]string{
	"id_": "id", "pk": "id", "id": "id", "category": "category", "assigned_to": "assigned_to", "status": "status", "requester": "requester",
	"unix_millis_start_time": "start_ms", "unix_millis_finish_time": "finish_ms", "unix_millis_request_time": "request_ms", "data": "data",
}

// taskSearch is a query for tasks in SQL.
type taskSearch struct {
	where  condition
	labels [][2]string
	sort   []sortKey
	page   page
	// group is the column of the group, for Service.visible.
	group string
	// none says that nothing can match.
	none bool
	// natural is the order of the index that leads, for whoever asks for none and may get many; else "".
	natural string
}

// search makes SQL of a query.
func (q taskQuery) search(now int64, d database.Dialect) (found taskSearch, err error) {
	// What selects most leads. SQLite, which guesses how much a condition selects, is kept from using
	// the indexes of all others by a plus.
	led := q.Label != nil && *q.Label != ""
	col := func(column string) string {
		if led && d == database.SQLite {
			return "+" + column
		}
		return column
	}
	for _, l := range []struct {
		column string
		text   *string
	}{{"t.id", q.TaskID}, {"t.requester", q.Requester}, {"t.assigned_to", q.AssignedTo}} {
		if values := splitList(l.text); values != nil {
			found.where.and(col(l.column)+" IN "+places(len(values)), anys(values)...)
			led = true
		}
	}
	if names := splitList(q.Status); names != nil {
		var known []string
		for _, name := range names {
			if strings.Contains(","+taskStatuses+",", ","+name+",") {
				known = append(known, name)
			}
		}
		found.none = len(known) == 0
		found.where.and(col("t.status")+" IN "+places(len(known)), anys(known)...)
		if !led {
			found.natural = "t.status, t.start_ms, t.id"
		}
		led = true
	}
	if values := splitList(q.Category); values != nil {
		found.where.and(col("t.category")+" IN "+places(len(values)), anys(values)...)
		led = true
	}
	if !led && q.StartTimeBetween != nil && *q.StartTimeBetween != "" {
		found.natural = "t.start_ms, t.id"
	}
	if err := found.between("start_time_between", "t.start_ms", q.StartTimeBetween, now); err != nil {
		return found, err
	}
	if err := found.between("request_time_between", col("t.request_ms"), q.RequestTimeBetween, now); err != nil {
		return found, err
	}
	if err := found.between("finish_time_between", col("t.finish_ms"), q.FinishTimeBetween, now); err != nil {
		return found, err
	}
	if len(found.where.args) > 2000 {
		return found, fault.New(fault.TooLarge, "the filter has more than 2000 values")
	}
	found.group = col("t.group_name")
	labels := labelsOf(splitList(q.Label))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		found.labels = append(found.labels, [2]string{name, labels[name]})
	}
	if found.sort, err = sortKeys(q.OrderBy, taskFields, true); err != nil {
		return found, err
	}
	found.page = q.page()
	return found, nil
}

// between adds a range of time, if there is one.
func (q *taskSearch) between(name, column string, text *string, now int64) error {
	if text == nil || *text == "" {
		return nil
	}
	r, err := parseRange(name, *text, now)
	if err == nil {
		q.where.and(column+" >= ? AND "+column+" <= ?", r.from, r.to)
	}
	return err
}

// tasks finds tasks. The ids are found first, from indexes, and their documents after.
func (s *store) tasks(ctx context.Context, q taskSearch) ([]json.RawMessage, error) {
	ids, err := s.taskIDs(ctx, q)
	if err != nil || len(ids) == 0 {
		return []json.RawMessage{}, err
	}
	byID := make(map[string]json.RawMessage, len(ids))
	err = eachChunk(ids, func(ids []string) error {
		rows, err := s.db.Query(ctx, "SELECT id, data FROM fleet_tasks WHERE id IN "+places(len(ids)), anys(ids)...)
		_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
			var id, data string
			err = rows.Scan(&id, &data)
			byID[id] = json.RawMessage(data)
			return none, err
		})
		return err
	})
	found := make([]json.RawMessage, 0, len(ids))
	for _, id := range ids {
		if data, there := byID[id]; there { // pruned in between otherwise
			found = append(found, data)
		}
	}
	return found, err
}

// from is the FROM clause of a search. With a label the labels lead, whose index has the tasks in
// the order of their start.
func (q taskSearch) from() (text string, w condition) {
	text = " FROM fleet_tasks t"
	for i, label := range q.labels {
		l := "l" + strconv.Itoa(i)
		text += " JOIN fleet_task_labels " + l + " ON " + l + ".task_id = t.id"
		w.and(l+".name = ? AND "+l+".value = ?", label[0], label[1])
	}
	w.and(strings.Join(q.where.terms, " AND "), q.where.args...)
	return text, w
}

// taskIDs finds the ids of a page. What lacks the field to sort by comes last in both directions, so
// it is a list of its own behind the first: each has an index.
func (s *store) taskIDs(ctx context.Context, q taskSearch) ([]string, error) {
	switch {
	case q.none:
		return nil, nil
	case len(q.sort) == 0 && len(q.labels) > 0:
		return s.taskPage(ctx, q, "", "l0.start_ms, l0.task_id", q.page) // the order of the index that leads
	case len(q.sort) == 0 && q.natural != "":
		return s.taskPage(ctx, q, "", q.natural, q.page) // likewise
	case len(q.sort) == 0 || len(q.sort) == 1 && q.sort[0].column == "id":
		return s.taskPage(ctx, q, "", "t.id"+direction(len(q.sort) == 1 && q.sort[0].down), q.page)
	case len(q.sort) > 1 || q.sort[0].column == "data":
		return s.taskPageByMany(ctx, q)
	case q.sort[0].label != "":
		return s.taskPageByLabel(ctx, q)
	}
	key := q.sort[0]
	column := "t." + key.column
	if len(q.labels) > 0 && key.column == "start_ms" {
		column = "l0.start_ms"
	}
	down := direction(key.down)
	order := column + down
	if key.column != "start_ms" {
		order += ", t.start_ms" + down
	}
	if column == "l0.start_ms" {
		order += ", l0.task_id" + down
	} else {
		order += ", t.id" + down
	}
	first, err := s.taskPage(ctx, q, column+" IS NOT NULL", order, q.page)
	if err != nil || int64(len(first)) == q.page.limit {
		return first, err
	}
	rest, err := s.restPage(ctx, q, int64(len(first)), column+" IS NOT NULL")
	if err != nil {
		return nil, err
	}
	last, err := s.taskPage(ctx, q, column+" IS NULL", "t.id", rest)
	return append(first, last...), err
}

func direction(down bool) string {
	if down {
		return " DESC"
	}
	return ""
}

// restPage is the part of the second list that fills a page up of which the first list had some.
func (s *store) restPage(ctx context.Context, q taskSearch, had int64, first string, args ...any) (page, error) {
	if had > 0 {
		return page{limit: q.page.limit - had}, nil
	}
	n, err := s.countTasks(ctx, q, first, args...)
	return page{q.page.limit, max(q.page.offset-n, 0)}, err
}

func (s *store) countTasks(ctx context.Context, q taskSearch, term string, args ...any) (int64, error) {
	if q.none {
		return 0, nil
	}
	from, w := q.from()
	w.and(term, args...)
	rows, err := s.db.Query(ctx, "SELECT COUNT(*)"+from+w.String(), w.args...)
	return one(rows, err, scanNumber)
}

func (s *store) taskPage(ctx context.Context, q taskSearch, term, order string, p page) ([]string, error) {
	if p.limit <= 0 {
		return nil, nil
	}
	from, w := q.from()
	w.and(term)
	rows, err := s.db.Query(ctx, "SELECT t.id"+from+w.String()+" ORDER BY "+order+" LIMIT ? OFFSET ?", append(w.args, p.limit, p.offset)...)
	return collect(rows, err, scanText)
}

// taskPageByLabel sorts by the value of a label; tasks without it come last.
func (s *store) taskPageByLabel(ctx context.Context, q taskSearch) ([]string, error) {
	key := q.sort[0]
	from, w := q.from()
	w.and("s0.name = ?", key.label)
	down := direction(key.down)
	rows, err := s.db.Query(ctx, "SELECT t.id"+from+" JOIN fleet_task_labels s0 ON s0.task_id = t.id"+w.String()+
		" ORDER BY s0.value"+down+", s0.start_ms"+down+", s0.task_id"+down+" LIMIT ? OFFSET ?", append(w.args, q.page.limit, q.page.offset)...)
	first, err := collect(rows, err, scanText)
	if err != nil || int64(len(first)) == q.page.limit {
		return first, err
	}
	const has = "EXISTS (SELECT 1 FROM fleet_task_labels x WHERE x.task_id = t.id AND x.name = ?)"
	rest, err := s.restPage(ctx, q, int64(len(first)), has, key.label)
	if err != nil {
		return nil, err
	}
	from, w = q.from()
	w.and("NOT "+has, key.label)
	rows, err = s.db.Query(ctx, "SELECT t.id"+from+w.String()+" ORDER BY t.id LIMIT ? OFFSET ?", append(w.args, rest.limit, rest.offset)...)
	last, err := collect(rows, err, scanText)
	return append(first, last...), err
}

// taskPageByMany sorts by anything; no index has such an order.
func (s *store) taskPageByMany(ctx context.Context, q taskSearch) ([]string, error) {
	from, w := q.from()
	var order []string
	var joined []any
	joins := ""
	for i, key := range q.sort {
		column := "t." + key.column
		if key.label != "" {
			as := "s" + strconv.Itoa(i)
			joins += " LEFT JOIN fleet_task_labels " + as + " ON " + as + ".task_id = t.id AND " + as + ".name = ?"
			joined = append(joined, key.label)
			column = as + ".value"
		}
		order = append(order, "CASE WHEN "+column+" IS NULL THEN 1 ELSE 0 END", column+direction(key.down))
	}
	order = append(order, "t.id")
	args := append(joined, w.args...)
	rows, err := s.db.Query(ctx, "SELECT t.id"+from+joins+w.String()+" ORDER BY "+strings.Join(order, ", ")+" LIMIT ? OFFSET ?",
		append(args, q.page.limit, q.page.offset)...)
	return collect(rows, err, scanText)
}

// betweenQuery is a range of time in a log.
type betweenQuery struct {
	Between string `query:"between" default:"-60000" doc:"The period of time to fetch, in unix millis: start,end or -N for the last N milliseconds"`
}
