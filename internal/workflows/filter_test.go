package workflows

import (
	"strings"
	"testing"

	"lodge/internal/database"
)

func TestParseSort(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"+a.b": "a.b", "-a": "a desc", "+a,-b": "a, b desc", "": "!", "a": "!", "*a": "!", "+a,": "!", "+a-b": "!", "+": "!", "+a b": "!"} {
		all, err := parseSort([]string{text})
		var got []string
		for _, o := range all {
			got = append(got, o.field+map[bool]string{true: " desc", false: ""}[o.descending])
		}
		if err != nil {
			got = []string{"!"}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q: got %v (%v), want %s", text, got, err, want)
		}
	}
}

func TestParseFilter(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a.b[==]=c": "a.b == c", "timestamp[>]=2022-01-01T00:00:00.123456789Z": "timestamp > 2022-01-01T00:00:00.123456789Z", "a[search]=^x": "a search ^x",
		"a[==]=b,c[!=]=": "a == b; c != ", `a[==]=b\,c`: "a == b,c", `a[==]=b\c`: `a == b\c`, `a[==]=x=[y]`: "a == x=[y]",
		"": "!", "a": "!", "a[==]": "!", "a[~]=b": "!", ".a[==]=b": "!", "a..b[==]=c": "!", "a[search]=(": "!", "a b[==]=c": "!",
	} {
		all, err := parseFilter([]string{text})
		var got []string
		for _, term := range all {
			got = append(got, term.field+" "+term.op+" "+term.value)
		}
		if err != nil {
			got = []string{"!"}
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%q: got %v (%v), want %s", text, got, err, want)
		}
	}
	if _, err := parseFilter([]string{strings.Repeat("a[==]=b,", 60) + "a[==]=b"}); err == nil {
		t.Error("as many terms as one likes")
	}
	if _, err := parseFilter([]string{"a[search]=" + strings.Repeat("x", 501)}); err == nil {
		t.Error("as long a search as one likes")
	}
}

// FuzzFilter parses anything: what passes becomes SQL with as many values as places for them, and can be decided.
func FuzzFilter(f *testing.F) {
	for _, text := range []string{"name[==]=a", "timestamp[>]=2022-01-01T00:00:00Z,version.tags[!=]=x", `x.y[search]=^a\,b$`, "version.current[<=]=3", "name[search]=a?b'c"} {
		f.Add(text, "-name,+timestamp")
	}
	doc, err := parseStored(`{"name":"a","x":{"y":["a,b",1,null,true]},"version":{"current":3,"tags":["x"]}}`)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, filter, sort string) {
		terms, err := parseFilter([]string{filter})
		if err != nil {
			return
		}
		by, err := parseSort([]string{sort})
		if err != nil {
			by = nil
		}
		for _, l := range []listing{versionsListing(kindComponent), versionsListing(kindWorkflow), jobsListing()} {
			for _, d := range []database.Dialect{database.SQLite, database.Postgres, database.MySQL} {
				sel, err := l.selects(d, query{terms: terms, sort: by})
				if err != nil {
					continue
				}
				if n := strings.Count(sel.where, "?"); n != len(sel.args) {
					t.Fatalf("%d values for %d places: %s", len(sel.args), n, sel.where)
				}
				for _, rest := range sel.rest {
					rest.holds(doc)
				}
			}
		}
	})
}
