package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// open lets everybody in: what the gate does is not this package's.
type open struct{}

func (open) Authenticate(r *http.Request) (context.Context, error) { return r.Context(), nil }

func (open) Authorize(_ context.Context, action, group string, _ bool) error {
	if action != "audit.read" || group != "site" {
		return fault.New(fault.Denied, "no")
	}
	return nil
}

func newAPI(t *testing.T, l *Log) http.Handler {
	t.Helper()
	s := httpapi.New(httpapi.Config{}, open{}, slog.New(slog.DiscardHandler), time.Now, nil)
	if err := s.Mount(httpapi.Mount{Name: "platform", Title: "Lodge", Version: "1", Routes: l.Routes()}); err != nil {
		t.Fatal(err)
	}
	return s.Handler()
}

func get(t *testing.T, api http.Handler, path, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w
}

func TestTheLogInPages(t *testing.T) {
	t.Parallel()
	l := newLog(t, databasetest.SQLite(t))
	api := newAPI(t, l)
	for i := range 5 {
		record(t, l, Entry{Action: "a", Object: fmt.Sprint("o", i)})
	}
	var page struct {
		Items         []Record
		Total         int64
		Limit, Offset int
		Next          string
	}
	read := func(query string) string {
		t.Helper()
		w := get(t, api, "/api/v1/audit"+query, "")
		page.Items, page.Next = nil, ""
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return objects(page.Items)
	}
	if got := read("?limit=2&offset=1"); got != "o3 o2" || page.Total != 5 || page.Limit != 2 || page.Offset != 1 {
		t.Errorf("got %s %+v", got, page)
	}
	if got := read("?limit=2&cursor=" + page.Next); got != "o1 o0" || page.Total != -1 || page.Next != "" {
		t.Errorf("got %s %+v", got, page)
	}
	if got := read("?object=o4&caller=Ann&since=2020-01-01T00:00:00Z&until=2120-01-01T00:00:00%2B02:00"); got != "o4" || page.Total != 1 {
		t.Errorf("got %s %+v", got, page)
	}
	if w := get(t, api, "/api/v1/audit?object=none", ""); !strings.Contains(w.Body.String(), `"items":[],"total":0`) {
		t.Errorf("got %s", w.Body)
	}
	for _, bad := range []string{"?cursor=x", "?limit=0", "?outcome=maybe", "?format=xml", "?since=yesterday"} {
		if w := get(t, api, "/api/v1/audit"+bad, ""); w.Code != 400 || !strings.Contains(w.Body.String(), `"fields"`) {
			t.Errorf("%s: %d %s", bad, w.Code, w.Body)
		}
	}
}

func TestExports(t *testing.T) {
	t.Parallel()
	l := newLog(t, databasetest.SQLite(t))
	api := newAPI(t, l)
	for _, text := range hostile() {
		record(t, l, Entry{Action: "a", Object: text, Detail: text})
	}
	sealAll(t, l)
	want := all(t, l)
	for _, c := range []struct{ query, accept, media string }{
		{"", "application/x-ndjson", mediaNDJSON},
		{"?format=ndjson", "text/csv", mediaNDJSON},
		{"", "text/html, text/csv;q=0.9, */*", mediaCSV},
		{"?format=csv", "", mediaCSV},
		{"?format=json", "text/csv", mediaJSON},
		{"", "*/*", mediaJSON},
		{"", "not a type, application/json", mediaJSON},
	} {
		w := get(t, api, "/api/v1/audit"+c.query, c.accept)
		if media := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(media, c.media) {
			t.Errorf("%+v: %d %s", c, w.Code, media)
		}
		if !strings.Contains(strings.Join(w.Header().Values("Vary"), ","), "Accept") {
			t.Errorf("%+v: a cache would mix the formats", c)
		}
		body := w.Body.String()
		if c.media != mediaJSON {
			if i := strings.IndexFunc(strings.NewReplacer("\n", "", "\r", "").Replace(body), func(r rune) bool {
				return unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
			}); i >= 0 {
				t.Errorf("%+v: a control character in the export", c)
			}
			if name := w.Header().Get("Content-Disposition"); !strings.HasPrefix(name, `attachment; filename="audit-`) {
				t.Errorf("got %s", name)
			}
		}
		switch c.media {
		case mediaNDJSON:
			checkNDJSON(t, body, want)
		case mediaCSV:
			checkCSV(t, body, want)
		}
	}
}

func checkNDJSON(t *testing.T, body string, want []Record) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(body))
	lines.Buffer(nil, 1<<20)
	n := 0
	for ; lines.Scan(); n++ {
		var r Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if n >= len(want) || r != want[n] {
			t.Errorf("line %d is not the record: %+v", n, r)
		}
	}
	if n != len(want) {
		t.Errorf("%d lines for %d records", n, len(want))
	}
}

func checkCSV(t *testing.T, body string, want []Record) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(want)+1 || strings.Join(rows[0][:3], ",") != "id,at,caller" || len(rows[0]) != 16 {
		t.Fatalf("%d rows for %d records, beginning with %v", len(rows), len(want), rows[0])
	}
	for i, row := range rows[1:] {
		if row[0] != want[i].ID || row[15] != want[i].Hash || row[13] != fmt.Sprint(want[i].Seq) {
			t.Errorf("row %d is %v", i, row)
		}
		for _, text := range row {
			if text != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(text[0])) {
				t.Errorf("the cell %.20q is a formula to a spreadsheet", text)
			}
		}
	}
}

func TestAnEmptyExportHasItsHeadings(t *testing.T) {
	t.Parallel()
	api := newAPI(t, newLog(t, databasetest.SQLite(t)))
	if w := get(t, api, "/api/v1/audit?format=csv", ""); !strings.HasPrefix(w.Body.String(), "id,at,") || strings.Count(w.Body.String(), "\n") != 1 {
		t.Errorf("got %q", w.Body)
	}
	if w := get(t, api, "/api/v1/audit?format=ndjson", ""); w.Body.Len() != 0 {
		t.Errorf("got %q", w.Body)
	}
}

// An export that breaks in the middle must not look complete.
func TestABrokenExportIsSeenByItsReader(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, "sqlite:"+t.TempDir()+"/lodge.db")
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := newLog(t, db)
	var list []Record
	for i := range 3 * streamPage {
		list = append(list, Record{ID: fmt.Sprint(i), At: database.Time(1), Detail: strings.Repeat("x", 500)})
	}
	insertAt(t, l, list...)
	server := httptest.NewServer(newAPI(t, l))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/audit?format=csv", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := db.Close(); err != nil { // while the first pages are on their way
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err == nil && bytes.Count(body, []byte("\n")) != len(list)+1 {
		t.Errorf("%d of %d lines came without an error", bytes.Count(body, []byte("\n")), len(list)+1)
	}
}

func TestVerifyBySight(t *testing.T) {
	t.Parallel()
	l := newLog(t, databasetest.SQLite(t))
	api := newAPI(t, l)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	record(t, l, Entry{Action: "a"})
	// Within a second it is sealed by itself.
	for deadline := time.Now().Add(20 * time.Second); all(t, l)[0].Seq != 1; {
		if time.Now().After(deadline) {
			t.Fatal("nobody seals")
		}
	}
	w := get(t, api, "/api/v1/audit/verify", "")
	var v Verification
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || v.Report == nil || !v.Report.OK || v.Report.Records != 1 || v.Running {
		t.Errorf("got %s, %v", w.Body, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestCell(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                  "",
		"plain":             "plain",
		"=1+1":              "'=1+1",
		"+1":                "'+1",
		"-1":                "'-1",
		"@SUM(A1)":          "'@SUM(A1)",
		"  =1":              "'  =1",
		"\t=1":              `\u0009=1`,
		"\r\n=1":            `\u000d\u000a=1`,
		"＝1":                "'＝1",
		"a=1":               "a=1",
		"\u202e=1":          `\u202e=1`,
		"a\u2028b":          `a\u2028b`,
		"\U000e0041":        `\udb40\udc41`,
		"ä\u00a0ö 🙂":        "ä\u00a0ö 🙂",
		"\x1b]0;title\x07x": `\u001b]0;title\u0007x`,
	} {
		if got := cell(text); got != want {
			t.Errorf("cell(%q) is %q, want %q", text, got, want)
		}
	}
}

func FuzzEscapeKeepsJSON(f *testing.F) {
	for _, text := range hostile() {
		f.Add(text[:min(len(text), 100)])
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = fit(text, 200)
		var b bytes.Buffer
		w := &jsonWriter{w: bufio.NewWriter(&b)}
		if err := w.record(Record{Detail: text}); err != nil {
			t.Fatal(err)
		}
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
		var back Record
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Detail != text || bytes.Count(b.Bytes(), []byte("\n")) != 1 {
			t.Errorf("%q became %q, %v", text, back.Detail, err)
		}
	})
}
