package httpapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The sample is a small API with one of everything.
type (
	sampleThing struct {
		ID      string        `json:"id" doc:"What it is called for ever" example:"t-1"`
		Colour  colour        `json:"colour" enum:"red,green"`
		Made    time.Time     `json:"made"`
		Parent  *string       `json:"parent,omitempty"`
		Related []sampleThing `json:"related,omitempty" nullable:"false"`
	}
	listThings struct {
		PageQuery
		Colour colour   `query:"colour" enum:"red,green" doc:"Only of this colour"`
		Tags   []string `query:"tag"`
		Trace  string   `header:"X-Trace" example:"abc"`
	}
	putThing struct {
		ID   string `path:"id" maxLength:"40" pattern:"^t-"`
		Body sampleThing
	}
	uploadForm struct {
		File File   `json:"file" doc:"The bytes"`
		Tag  string `json:"tag,omitempty"`
	}
)

func sampleMounts() []Mount {
	h := answer("")
	return []Mount{
		{Name: "platform", Title: "Lodge", Version: "1.2", Description: "All of it.", Routes: []Route{
			{Method: "GET", Path: "/healthz", Action: Public, Handle: h, Doc: Doc{ID: "getHealth", Summary: "Alive?", Response: Health{}}},
			{Method: "GET", Path: "/api/v1/audit", Action: "audit.read", Handle: h, Doc: Doc{Summary: "What happened", Request: PageQuery{}, Response: Page[sampleThing]{}, Stream: "application/x-ndjson, text/csv"}},
		}},
		{Name: "things", Prefix: "/things", Title: "Things", Version: "0.1", ProblemDoc: struct {
			Detail string `json:"detail"`
		}{}, Routes: []Route{
			{Method: "GET", Path: "/", Action: "things.read", InService: true, Handle: h, Doc: Doc{ID: "listThings", Request: listThings{}, Response: Page[sampleThing]{}, Tags: []string{"all"}}},
			{Method: "PUT", Path: "/{id}", Action: "things.write", Group: func(r *http.Request) string { return r.PathValue("id") }, Handle: h, Doc: Doc{Request: putThing{}, Response: sampleThing{}, Status: 201, Errors: []int{409}}},
			{Method: "POST", Path: "/{id}/file", Action: "things.write", Handle: h, Doc: Doc{ID: "getHealth", Form: uploadForm{}}},
			{Method: "GET", Path: "/{id}/file/{rest...}", Action: "things.read", Handle: h, Doc: Doc{Summary: "The bytes", Stream: "application/octet-stream"}},
			{Method: "DELETE", Path: "/{id}", Action: "things.write", Handle: h, Doc: Doc{Description: "Gone for good."}},
		}},
	}
}

func TestOpenAPIGolden(t *testing.T) {
	t.Parallel()
	h := newServer(t, Config{}, sampleMounts()...).Handler()
	for path, golden := range map[string]string{
		"/openapi.json": "openapi-root.json", "/things/openapi.json": "openapi-things.json",
		"/docs": "docs-root.html", "/redoc": "docs-root.html", "/things/docs/": "docs-things.html",
	} {
		w := do(h, "GET", path)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		got := w.Body.Bytes()
		if strings.HasSuffix(golden, ".json") {
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, got, "", "  "); err != nil {
				t.Fatal(err)
			}
			got = append(pretty.Bytes(), '\n')
		}
		file := "testdata/" + golden
		if *update {
			if err := os.WriteFile(file, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from %s; run the test with -update and read the diff", path, file)
		}
	}
}

// TestOpenAPIHasEveryRoute: what can be called is described, with what it needs.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{}, sampleMounts()...)
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string              `json:"operationId"`
			Action      string              `json:"x-lodge-action"`
			Security    []map[string]any    `json:"security"`
			Responses   map[string]struct{} `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(do(s.Handler(), "GET", "/openapi.json").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, r := range s.Routes() {
		if r.Mount == "documents" {
			continue
		}
		path := strings.ReplaceAll(r.Prefix+r.Path, "...}", "}")
		op, ok := doc.Paths[path][strings.ToLower(r.Method)]
		if !ok {
			t.Errorf("%s %s is not described", r.Method, path)
			continue
		}
		if op.Action != r.Action || (len(op.Security) == 0) != (r.Action == Public) || len(op.Responses) < 2 {
			t.Errorf("%s %s: %+v", r.Method, path, op)
		}
		if ids[op.OperationID] || op.OperationID == "" {
			t.Errorf("%s %s: operation id %q is not its own", r.Method, path, op.OperationID)
		}
		ids[op.OperationID] = true
	}
}

// TestDocsPageNeedsNobodyElse: the page loads nothing but our own style sheet.
func TestDocsPageNeedsNobodyElse(t *testing.T) {
	t.Parallel()
	h := newServer(t, Config{}, sampleMounts()...).Handler()
	for path, css := range map[string]string{"/docs": "docs/docs.css", "/docs/": "../docs/docs.css", "/things/docs": "docs/docs.css"} {
		w := do(h, "GET", path)
		page := w.Body.String()
		if !strings.Contains(page, `href="`+css+`"`) || strings.Contains(page, "<script") || strings.Contains(page, "style=") || strings.Contains(page, "//") && strings.Contains(page, "http") {
			t.Errorf("%s: %s", path, page)
		}
		if policy := w.Header().Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
	if w := do(h, "GET", "/things/docs/docs.css"); w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("style sheet: %d %v", w.Code, w.Header())
	}
}

// TestSchemaNamesDoNotClash: two packages may call their types the same.
func TestSchemaNamesDoNotClash(t *testing.T) {
	t.Parallel()
	h := newServer(t, Config{}, Mount{Name: "x", Routes: []Route{
		{Method: "GET", Path: "/a", Action: Public, Handle: answer(""), Doc: Doc{Response: Doc{}}},
		{Method: "GET", Path: "/b", Action: Public, Handle: answer(""), Doc: Doc{Response: http.Cookie{}}},
		{Method: "GET", Path: "/c", Action: Public, Handle: answer(""), Doc: Doc{Response: Cookie{}}},
	}}).Handler()
	doc := do(h, "GET", "/openapi.json").Body.String()
	for _, want := range []string{`"Cookie":{`, `"HttpapiCookie":{`} {
		if !strings.Contains(doc, want) {
			t.Errorf("%s is missing in %s", want, doc)
		}
	}
}

// Cookie has the name of another package's type.
type Cookie struct{}
