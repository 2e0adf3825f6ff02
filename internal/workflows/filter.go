package workflows

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lodge/internal/database"
	"lodge/internal/fault"
)

// term is one condition of a list: field[op]=value.
type term struct {
	field, op, value string
	pattern          *regexp.Regexp // of search
}

// order is one thing to sort by.
type order struct {
	field      string
	descending bool
}

// query is what a list is asked for.
type query struct {
	limit, offset int
	terms         []term
	sort          []order
}

var (
	termForm = regexp.MustCompile(`^(\w+(?:\.\w+)*)\[(==|!=|>=|<=|>|<|search)\]=((?s:.*))$`)
	sortForm = regexp.MustCompile(`^([+-])(\w+(?:\.\w+)*)$`)
)

const (
	maxTerms   = 50
	maxPattern = 500
)

// parseFilter reads the filters of a query. Terms are joined by commas; one in a value is written \,.
func parseFilter(filters []string) ([]term, error) {
	var all []term
	for i, text := range filters {
		for _, part := range splitTerms(text) {
			m := termForm.FindStringSubmatch(part)
			if m == nil {
				return nil, fault.New(fault.Invalid, "cannot parse filter (%d:%s) from query (%s)", i, clip(part), clip(text))
			}
			t := term{field: m[1], op: m[2], value: m[3]}
			if t.op == "search" {
				if len(t.value) > maxPattern {
					return nil, fault.New(fault.Invalid, "cannot parse filter (%d:%s): a search is %d characters at most", i, clip(part), maxPattern)
				}
				pattern, err := regexp.Compile("(?i)" + t.value)
				if err != nil {
					return nil, fault.New(fault.Invalid, "cannot parse filter (%d:%s): %s", i, clip(part), strings.TrimPrefix(err.Error(), "error parsing regexp: "))
				}
				t.pattern = pattern
			}
			if all = append(all, t); len(all) > maxTerms {
				return nil, fault.New(fault.Invalid, "cannot parse filter: %d terms are the most", maxTerms)
			}
		}
	}
	return all, nil
}

// splitTerms splits at commas that no backslash stands before.
func splitTerms(text string) []string {
	var parts []string
	var part strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == ',':
			i++
			part.WriteByte(',')
		case text[i] == ',':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(text[i])
		}
	}
	return append(parts, part.String())
}

// parseSort reads what to sort by.
func parseSort(sorts []string) ([]order, error) {
	var all []order
	for _, text := range sorts {
		for _, part := range strings.Split(text, ",") {
			m := sortForm.FindStringSubmatch(part)
			if m == nil {
				return nil, fault.New(fault.Invalid, "cannot parse sort (%s) from query (%s): write +field or -field, with + as %%2B", clip(part), clip(text))
			}
			all = append(all, order{m[2], m[1] == "-"})
		}
	}
	return all, nil
}

// columnKind is how a column is compared.
type columnKind int

const (
	textColumn columnKind = iota
	numberColumn
	timeColumn
	tagsColumn
)

// column is where a field of the stored document stands in SQL.
type column struct {
	name string
	kind columnKind
}

// listing is what can be listed: a table and where fields stand.
type listing struct {
	table   string
	where   string // what every row must be
	args    []any
	columns map[string]column
	// key tells rows apart; it makes the order total, and joins them with their bodies.
	key    []string
	bodies string
	// sorted are columns that stand in for others when rows are sorted: their beginnings, which
	// indexes can hold.
	sorted map[string]string
}

func common(more map[string]column) map[string]column {
	all := map[string]column{
		"uid": {"uid", textColumn}, "name": {"name", textColumn}, "description": {"description", textColumn},
		"modifiedBy.oid": {"author_oid", textColumn}, "modifiedBy.email": {"author_email", textColumn},
		"timestamp": {"modified_at", timeColumn}, "version.tags": {"tags", tagsColumn},
	}
	for k, v := range more {
		all[k] = v
	}
	return all
}

func versionsListing(kind string) listing {
	more := map[string]column{"version.current": {"version", numberColumn}}
	if kind == kindWorkflow {
		more["workspace"], more["component.implementation.type"] = column{"workspace", textColumn}, column{"implementation", textColumn}
	} else {
		more["implementation.type"] = column{"implementation", textColumn}
	}
	return listing{"wf_versions", "kind = ?", []any{kind}, common(more), []string{"kind", "uid", "version"}, "wf_bodies", nil}
}

func jobsListing() listing {
	return listing{"wf_jobs", "1 = 1", nil, common(map[string]column{
		"workspace": {"workspace", textColumn}, "workflow.workspace": {"workspace", textColumn}, "workflow.uid": {"workflow_uid", textColumn},
		"workflow.name": {"workflow_name", textColumn}, "workflow.version.current": {"workflow_version", numberColumn},
		"status": {"phase", textColumn}, "started": {"started_at", timeColumn}, "finished": {"finished_at", timeColumn},
	}), []string{"uid"}, "wf_job_bodies", map[string]string{"name": "sort_name"}}
}

// selection is a listing narrowed down: what SQL can decide is in where, the rest in rest.
type selection struct {
	where string
	args  []any
	order []order // by columns
	rest  []term
	// workspace is how the column is written in conditions.
	workspace string
}

// selects turns a query into SQL, as far as SQL can decide.
func (l listing) selects(d database.Dialect, q query) (selection, error) {
	by, err := l.orders(q.sort)
	if err != nil {
		return selection{}, err
	}
	where, args := []string{l.where}, append([]any{}, l.args...)
	workspace := "workspace"
	if by[0].field != "modified_at" {
		// So that it keeps SQLite from reading all jobs of a workspace to sort them: it does not know how
		// many they are, and the index of the order has their workspaces.
		workspace = "COALESCE(workspace, '')"
	}
	var rest []term
	for _, t := range q.terms {
		c, known := l.columns[t.field]
		if !known {
			rest = append(rest, t)
			continue
		}
		if c.name == "workspace" {
			c.name = workspace
		}
		sql, values, ok, err := c.decides(d, t, l.table == "wf_versions")
		if err != nil {
			return selection{}, err
		}
		if !ok {
			rest = append(rest, t)
			continue
		}
		where, args = append(where, sql), append(args, values...)
	}
	return selection{strings.Join(where, " AND "), args, by, rest, workspace}, nil
}

// orders is stable in any case, so that pages do not overlap.
func (l listing) orders(sort []order) ([]order, error) {
	var by []order
	for _, o := range sort {
		c, known := l.columns[o.field]
		if !known || c.kind == tagsColumn {
			return nil, fault.New(fault.Invalid, "cannot sort by %s; choose of %s", clip(o.field), strings.Join(l.sortable(), ", "))
		}
		by = append(by, order{cmp.Or(l.sorted[c.name], c.name), o.descending})
	}
	if len(sort) == 0 {
		by = append(by, order{"modified_at", true})
	}
	// In the direction of the last one, so that an index can be read from either end.
	last := by[len(by)-1].descending
	for _, name := range append([]string{"modified_at"}, l.key...) {
		if name != "kind" && !slices.ContainsFunc(by, func(o order) bool { return o.field == name }) {
			by = append(by, order{name, last})
		}
	}
	return by, nil
}

// orderBy writes an order for the columns of a table.
func orderBy(by []order, table string) string {
	words := make([]string, len(by))
	for i, o := range by {
		words[i] = table + o.field + map[bool]string{true: " DESC", false: " ASC"}[o.descending]
	}
	return " ORDER BY " + strings.Join(words, ", ")
}

func (l listing) sortable() []string {
	var names []string
	for name, c := range l.columns {
		if c.kind != tagsColumn {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// decides writes a term in SQL; ok is false for what SQL would decide otherwise than we do.
func (c column) decides(d database.Dialect, t term, versions bool) (sql string, args []any, ok bool, err error) {
	op := map[string]string{"==": "=", "!=": "<>", "<": "<", ">": ">", "<=": "<=", ">=": ">="}[t.op]
	if c.kind == tagsColumn {
		return tagTerm(t, versions)
	}
	if t.op == "search" {
		if c.kind != textColumn || !plainASCII(t.value) {
			return "", nil, false, nil
		}
		text := "LOWER(" + c.name + ")"
		if d == database.SQLite {
			text = c.name // whose LIKE knows no case of the letters that a search may have
		}
		return text + " LIKE ? ESCAPE '!'", []any{database.Contains(strings.ToLower(t.value))}, true, nil
	}
	switch c.kind {
	case numberColumn:
		n, err := strconv.ParseInt(t.value, 10, 64)
		if err != nil {
			return "", nil, false, fault.New(fault.Invalid, "cannot parse filter: %s is compared with a number, not with %q", t.field, clip(t.value))
		}
		return c.name + " " + op + " ?", []any{n}, true, nil
	case timeColumn:
		at, err := time.Parse(time.RFC3339Nano, t.value)
		if err != nil {
			return "", nil, false, fault.New(fault.Invalid, "cannot parse filter: %s is compared with a time such as 2023-01-01T00:00:00Z, not with %q", t.field, clip(t.value))
		}
		return c.name + " " + op + " ?", []any{database.Micros(at)}, true, nil
	default:
		text := c.name
		if d == database.Postgres && op != "=" && op != "<>" {
			text += ` COLLATE "C"` // by their bytes, as everywhere else
		}
		return text + " " + op + " ?", []any{t.value}, true, nil
	}
}

// tagTerm looks into the JSON list of tags. The tag latest has a column of its own.
func tagTerm(t term, versions bool) (string, []any, bool, error) {
	not := map[string]string{"==": "", "!=": "NOT "}
	prefix, known := not[t.op]
	if !known {
		return "", nil, false, nil
	}
	if t.value == "latest" && versions {
		return "latest = " + map[string]string{"==": "1", "!=": "0"}[t.op], nil, true, nil
	}
	text, err := asJSON(t.value)
	if err != nil || strings.ContainsAny(t.value, `"\`) {
		return "", nil, false, err
	}
	return "tags " + prefix + "LIKE ? ESCAPE '!'", []any{database.Contains(text)}, true, nil
}

// plainASCII says whether a pattern means itself, in letters whose case every database knows.
func plainASCII(pattern string) bool {
	return regexp.QuoteMeta(pattern) == pattern && !strings.ContainsFunc(pattern, func(r rune) bool { return r > 126 || r < 32 })
}

// holds decides a term on a document, for fields that have no column.
func (t term) holds(doc any) bool {
	values := at(doc, strings.Split(t.field, "."))
	if t.op == "!=" {
		return !slices.ContainsFunc(values, func(v any) bool { return text(v) == t.value })
	}
	return slices.ContainsFunc(values, func(v any) bool { return t.compares(v) })
}

func (t term) compares(v any) bool {
	if t.op == "search" {
		_, is := v.(string)
		return is && t.pattern.MatchString(text(v))
	}
	if number, is := v.(json.Number); is {
		a, err := number.Float64()
		b, other := strconv.ParseFloat(t.value, 64)
		return err == nil && other == nil && ordered(t.op, compare(a, b))
	}
	if s := text(v); s != "" || t.value == "" {
		return ordered(t.op, strings.Compare(s, t.value))
	}
	return false
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func ordered(op string, c int) bool {
	switch op {
	case "==":
		return c == 0
	case "<":
		return c < 0
	case ">":
		return c > 0
	case "<=":
		return c <= 0
	default:
		return c >= 0
	}
}

// text is a scalar's text; of anything else it is empty.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool, json.Number:
		return fmt.Sprint(v)
	default:
		return ""
	}
}

// at gives the values at a path; of an array, those in every element.
func at(doc any, path []string) []any {
	switch v := doc.(type) {
	case []any:
		var all []any
		for _, x := range v {
			all = append(all, at(x, path)...)
		}
		return all
	case map[string]any:
		if len(path) > 0 {
			if x, there := v[path[0]]; there {
				return at(x, path[1:])
			}
		}
		return nil
	default:
		if len(path) == 0 {
			return []any{v}
		}
		return nil
	}
}

// parseStored reads a stored document for filters.
func parseStored(body string) (doc any, err error) {
	dec := json.NewDecoder(bytes.NewReader([]byte(body)))
	dec.UseNumber()
	return doc, dec.Decode(&doc)
}
