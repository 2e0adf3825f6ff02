package hubsim

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// table holds the records of one resource, in the order in which they were made.
type table struct {
	rows []*row
	byID map[string]*row
	// filters are the keys that a list can be filtered by; others are ignored, as the hub does.
	filters []string
	// index finds rows by these keys without looking at all.
	index map[string]map[string][]*row
	seq   int
}

// row is a record in snake_case with the keys of the hub's generation.
type row struct {
	seq int
	v   map[string]any
}

func newTables(storageKey string) map[string]*table {
	make1 := func(indexed string, filters ...string) *table {
		t := &table{byID: map[string]*row{}, filters: append(filters, "id"), index: map[string]map[string][]*row{}}
		for key := range strings.FieldsSeq(indexed) {
			t.index[key] = map[string][]*row{}
			t.filters = append(t.filters, key)
		}
		return t
	}
	return map[string]*table{
		"realms":        make1("", "name"),
		"master-images": make1("", "path", "name"),
		"projects":      make1("", "name"),
		"analyses":      make1("project_id", "name"),
		"nodes":         make1("client_id", "name", "type", "realm_id"),
		// The files of an analysis cannot be filtered by type: the reference's tests try to.
		"analysis-buckets":      make1("analysis_id "+storageKey, "type"),
		"analysis-bucket-files": make1("analysis_id bucket_id external_id bucket_file_id analysis_bucket_id", "name", "path"),
		"buckets":               make1("", "name"),
		"bucket-files":          make1("bucket_id", "path", "name", "hash"),
	}
}

func (t *table) add(v map[string]any) *row {
	t.seq++
	r := &row{seq: t.seq, v: v}
	t.rows = append(t.rows, r)
	t.byID[fmt.Sprint(v["id"])] = r
	for key, values := range t.index {
		if s, ok := v[key].(string); ok {
			values[s] = append(values[s], r)
		}
	}
	return r
}

func (t *table) remove(r *row) {
	is := func(o *row) bool { return o == r }
	t.rows = slices.DeleteFunc(t.rows, is)
	delete(t.byID, fmt.Sprint(r.v["id"]))
	for key, values := range t.index {
		if s, ok := r.v[key].(string); ok {
			values[s] = slices.DeleteFunc(values[s], is)
		}
	}
}

// where gives the rows with that value of an indexed key.
func (t *table) where(key, value string) []*row { return t.index[key][value] }

// query answers a list: filter[k]=v (!v, ~v), sort=±k, page[limit], page[offset].
func (t *table) query(q url.Values, inCamel bool) (found []*row, total, limit, offset int) {
	spell := func(key string) (string, bool) {
		if inCamel {
			return snake(key), !strings.Contains(key, "_")
		}
		return key, true
	}
	rows := t.rows
	conditions := map[string]string{}
	for name, values := range q {
		key, isFilter := strings.CutPrefix(name, "filter[")
		key, ok := spell(strings.TrimSuffix(key, "]"))
		if !isFilter || !ok || !slices.Contains(t.filters, key) {
			continue
		}
		conditions[key] = values[0]
		if index, ok := t.index[key]; ok && !strings.ContainsAny(values[0][:min(1, len(values[0]))], "!~<>") {
			if rows = index[values[0]]; len(rows) == 0 {
				break
			}
		}
	}
	for _, r := range rows {
		if matches(r, conditions) {
			found = append(found, r)
		}
	}
	sortRows(found, q.Get("sort"), spell)
	total = len(found)
	limit = 50
	if n, err := strconv.Atoi(q.Get("page[limit]")); err == nil && n > 0 && n < 50 {
		limit = n
	}
	offset, _ = strconv.Atoi(q.Get("page[offset]"))
	offset = max(0, offset)
	found = found[min(offset, total):min(offset+limit, total)]
	return found, total, limit, offset
}

func matches(r *row, conditions map[string]string) bool {
	for key, want := range conditions {
		have := ""
		if v := r.v[key]; v != nil {
			have = fmt.Sprint(v)
		}
		ok := false
		switch {
		case strings.HasPrefix(want, "!"):
			ok = have != want[1:]
		case strings.HasPrefix(want, "~"):
			ok = strings.Contains(have, want[1:])
		default:
			ok = have == want
		}
		if !ok {
			return false
		}
	}
	return true
}

func sortRows(rows []*row, by string, spell func(string) (string, bool)) {
	key, down := strings.CutPrefix(by, "-")
	key, ok := spell(key)
	if key == "" || !ok {
		return
	}
	slices.SortStableFunc(rows, func(a, b *row) int {
		order := cmp.Compare(fmt.Sprint(a.v[key]), fmt.Sprint(b.v[key]))
		if order == 0 || strings.HasSuffix(key, "_at") {
			order = cmp.Compare(a.seq, b.seq) // times are too coarse to tell rows apart
		}
		if down {
			return -order
		}
		return order
	})
}

func snake(camel string) string {
	var s strings.Builder
	for _, r := range camel {
		if r >= 'A' && r <= 'Z' {
			s.WriteByte('_')
			r += 'a' - 'A'
		}
		s.WriteRune(r)
	}
	return s.String()
}

func camel(snake string) string {
	var s strings.Builder
	for i, part := range strings.Split(snake, "_") {
		if i > 0 && part != "" {
			part = strings.ToUpper(part[:1]) + part[1:]
		}
		s.WriteString(part)
	}
	return s.String()
}
