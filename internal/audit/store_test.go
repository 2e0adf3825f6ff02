package audit

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// insertAt writes records whose time the test chooses.
func insertAt(t *testing.T, l *Log, records ...Record) {
	t.Helper()
	if err := l.writeAll(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

func objects(list []Record) string {
	var names []string
	for _, r := range list {
		names = append(names, r.Object)
	}
	return strings.Join(names, " ")
}

func TestFiltersAndPages(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		l := newLog(t, db)
		noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
		base := Record{
			Caller: "Ann", CallerID: "https://issuer|ann", Credential: "session:1", Action: "users.write", Group: "site", Outcome: Allowed,
			Rule: "administrator", Detail: "100% Done", RequestID: "r1", Address: "192.0.2.7",
		}
		for i := range 10 {
			r := base
			r.ID, r.Object, r.At = fmt.Sprint("id", i), fmt.Sprint("o", i), noon.Add(time.Duration(i/3)*time.Second)
			switch i {
			case 1:
				r.Caller, r.CallerID = "Bob", "https://issuer|bob"
			case 2:
				r.Credential = "token:2"
			case 3:
				r.Action = "roles.write"
			case 4:
				r.Group = "lab"
			case 5:
				r.Outcome = Denied
			case 6:
				r.Rule = "role Keeper"
			case 7:
				r.Detail = "under_score"
			case 8:
				r.RequestID = "r2"
			case 9:
				r.Address = "192.0.2.8"
			}
			insertAt(t, l, r)
		}
		for _, c := range []struct {
			name string
			f    Filter
			want string
		}{
			{"all", Filter{}, "o9 o8 o7 o6 o5 o4 o3 o2 o1 o0"},
			{"caller", Filter{Caller: "Bob"}, "o1"},
			{"caller in another case", Filter{Caller: "bob"}, ""},
			{"caller by id", Filter{Caller: "https://issuer|bob"}, "o1"},
			{"credential", Filter{Credential: "token:2"}, "o2"},
			{"action", Filter{Action: "roles.write"}, "o3"},
			{"group", Filter{Group: "lab"}, "o4"},
			{"outcome", Filter{Outcome: Denied}, "o5"},
			{"object", Filter{Object: "o6"}, "o6"},
			{"request", Filter{RequestID: "r2"}, "o8"},
			{"address", Filter{Address: "192.0.2.8"}, "o9"},
			{"since", Filter{Since: noon.Add(2 * time.Second)}, "o9 o8 o7 o6"},
			{"until", Filter{Until: noon.Add(time.Second)}, "o2 o1 o0"},
			{"between", Filter{Since: noon.Add(time.Second), Until: noon.Add(2 * time.Second), Group: "site"}, "o5 o3"},
			{"text in the rule", Filter{Text: "KEEPER"}, "o6"},
			{"text in the detail", Filter{Text: "0% d"}, "o9 o8 o6 o5 o4 o3 o2 o1 o0"},
			{"an underscore is one", Filter{Text: "r_s"}, "o7"},
			{"text in the caller", Filter{Text: "bOb"}, "o1"},
			{"text in the object", Filter{Text: "O4"}, "o4"},
			{"hostile text", Filter{Text: "\x00\xff'!", Caller: "\x00"}, ""},
		} {
			list, _, total, err := l.Page(t.Context(), c.f, 20, 0)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if got := objects(list); got != c.want || total != int64(len(list)) {
				t.Errorf("%s: got %q of %d, want %q", c.name, got, total, c.want)
			}
		}
		var pages []string
		for at := (Cursor{}); ; {
			list, next, err := l.List(t.Context(), Filter{Group: "site"}, at, 4)
			if err != nil {
				t.Fatal(err)
			}
			pages = append(pages, objects(list))
			if next == (Cursor{}) {
				break
			}
			if at, err = ParseCursor(next.String()); err != nil || at != next {
				t.Fatalf("the cursor %q becomes %v, %v", next, at, err)
			}
		}
		if got := strings.Join(pages, " | "); got != "o9 o8 o7 o6 | o5 o3 o2 o1 | o0" {
			t.Errorf("pages are %s", got)
		}
		if list, _, total, err := l.Page(t.Context(), Filter{}, 3, 8); err != nil || total != 10 || objects(list) != "o1 o0" {
			t.Errorf("got %q of %d, %v", objects(list), total, err)
		}
	})
}

// A stream is longer than a page, tells no record twice, and ends when its reader does.
func TestStream(t *testing.T) {
	t.Parallel()
	l := newLog(t, databasetest.SQLite(t))
	const n = 2*streamPage + 7
	var list []Record
	for i := range n {
		// Many of the same moment, so that a page ends among them.
		list = append(list, Record{ID: fmt.Sprintf("%05d", i), At: database.Time(int64(i / 300))})
	}
	insertAt(t, l, list...)
	next := n
	if err := l.Stream(t.Context(), Filter{}, func(r Record) error {
		next--
		if want := fmt.Sprintf("%05d", next); r.ID != want {
			return fmt.Errorf("got %s, want %s", r.ID, want)
		}
		return nil
	}); err != nil || next != 0 {
		t.Errorf("%d are left, %v", next, err)
	}
	calls := 0
	if err := l.Stream(t.Context(), Filter{}, func(Record) error { calls++; return context.Canceled }); err == nil || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestParseCursor(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"x", "-", "1-", "-x", "9999999999999999999999-a", "1-" + strings.Repeat("x", 37), "1-\xff", "1-a\x00"} {
		if c, err := ParseCursor(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is the cursor %v, %v", bad, c, err)
		}
	}
}

// An address of a proxy or a caller without a name must not make a record unreadable.
func TestACallerWithoutAnything(t *testing.T) {
	t.Parallel()
	l := newLog(t, databasetest.SQLite(t))
	ctx := access.WithCaller(httpapi.WithRequest(t.Context(), "", ""), &access.Caller{})
	if err := write(ctx, l, Entry{}); err != nil {
		t.Fatal(err)
	}
	if r := all(t, l)[0]; r.Caller != "" || r.CallerID != "" || r.Credential != "" || r.Outcome != Allowed {
		t.Errorf("got %+v", r)
	}
}
