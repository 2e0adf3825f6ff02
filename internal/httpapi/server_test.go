package httpapi

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMountRefuses(t *testing.T) {
	t.Parallel()
	ok := answer("ok")
	tests := []struct {
		name   string
		mount  Mount
		expect []string
	}{
		{"no action", Mount{Routes: []Route{{Method: "GET", Path: "/a", Handle: ok}}}, []string{"names no action"}},
		{"no handler", Mount{Routes: []Route{{Method: "GET", Path: "/a", Action: Public}}}, []string{"no handler"}},
		{"unknown method", Mount{Routes: []Route{{Method: "FETCH", Path: "/a", Action: Public, Handle: ok}}}, []string{"unknown method"}},
		{"lower-case method", Mount{Routes: []Route{{Method: "get", Path: "/a", Action: Public, Handle: ok}}}, []string{"unknown method"}},
		{"no slash", Mount{Routes: []Route{get("a", ok)}}, []string{"begin with a slash"}},
		{"twice", Mount{Routes: []Route{get("/a", ok), get("/a", ok)}}, []string{"exists already"}},
		{"twice in another spelling", Mount{Routes: []Route{get("/a", ok), get("/a/", ok)}}, []string{"exists already"}},
		{"the same path by another name", Mount{Routes: []Route{get("/a/{x}", ok), get("/a/{y}", ok)}}, []string{"cannot be served"}},
		{"broken pattern", Mount{Routes: []Route{get("/a/{x", ok)}}, []string{"cannot be served"}},
		{"public with a group", Mount{Routes: []Route{{Method: "GET", Path: "/a", Action: Public, InService: true, Handle: ok}}}, []string{"no group"}},
		{"two groups", Mount{Routes: []Route{{Method: "GET", Path: "/a", Action: "x", InService: true, Group: func(*http.Request) string { return "" }, Handle: ok}}}, []string{"either"}},
		{"bad prefix", Mount{Prefix: "/a/"}, []string{"prefix"}},
		{"id used twice", Mount{Routes: []Route{
			{Method: "GET", Path: "/a", Action: Public, Handle: ok, Doc: Doc{ID: "same"}},
			{Method: "GET", Path: "/b", Action: Public, Handle: ok, Doc: Doc{ID: "same"}},
		}}, []string{"used twice"}},
		{"wrong tag", Mount{Routes: []Route{{Method: "GET", Path: "/a", Action: Public, Handle: ok, Doc: Doc{Request: struct {
			N int `query:"n" minimum:"few"`
		}{}}}}}, []string{"minimum"}},
		{"field from nowhere", Mount{Routes: []Route{{Method: "GET", Path: "/a", Action: Public, Handle: ok, Doc: Doc{Request: struct{ N int }{}}}}}, []string{"want one of the tags"}},
		{"path field without wildcard", Mount{Routes: []Route{{Method: "GET", Path: "/a", Action: Public, Handle: ok, Doc: Doc{Request: struct {
			ID string `path:"id"`
		}{}}}}}, []string{"the path has not"}},
		{
			"all findings at once",
			Mount{Routes: []Route{{Method: "X", Path: "a"}, {Method: "GET", Path: "/b", Handle: ok}}},
			[]string{"unknown method", "slash", "no handler", "/b: the route names no action"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := newServer(t, Config{}).Mount(tt.mount)
			if err == nil {
				t.Fatal("mounted without an error")
			}
			for _, want := range tt.expect {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestMountAfterHandlerIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	s.Handler()
	if err := s.Mount(Mount{Name: "late"}); err == nil {
		t.Error("mounted while answering")
	}
}

// TestDispatch walks which handler answers what, in which shape.
func TestDispatch(t *testing.T) {
	t.Parallel()
	echoPath := func(w http.ResponseWriter, r *http.Request) error {
		return JSON(w, http.StatusOK, "rest="+r.PathValue("path"))
	}
	s := newServer(t, Config{},
		Mount{Name: "platform", Problem: teapot("platform"), Routes: []Route{
			get("/healthz", answer("health")), get("/api/v1/users/{name}", answer("user")), get("/", answer("root")),
		}},
		Mount{Name: "results", Prefix: "/results", Problem: teapot("results"), Routes: []Route{
			get("/local/tags", answer("tags")), get("/local/{id}", answer("object")), get("/files/{path...}", echoPath),
			{Method: "PUT", Path: "/local/", Action: Public, Handle: answer("put")},
			{Method: "DELETE", Path: "/local", Action: Public, Handle: answer("delete")},
		}},
		Mount{Name: "deep", Prefix: "/results/deep", Problem: teapot("deep"), Routes: []Route{get("/x", answer("deep"))}},
	)
	s.Handle("/ui/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ui "+r.URL.Path) }))
	h := s.Handler()

	tests := []struct {
		method, path string
		status       int
		body         string
		allow        string
	}{
		{"GET", "/healthz", 200, `"health"`, ""},
		{"GET", "/healthz/", 200, `"health"`, ""},
		{"GET", "/", 200, `"root"`, ""},
		{"HEAD", "/healthz", 200, "", ""},
		{"GET", "/api/v1/users/jo%20e", 200, `"user"`, ""},
		{"GET", "/api/v1/users/", 404, `{"detail":"platform: missing"}`, ""},
		{"GET", "/results/local/tags", 200, `"tags"`, ""},
		{"GET", "/results/local/tags/", 200, `"tags"`, ""},
		{"GET", "/results/local/1", 200, `"object"`, ""},
		{"GET", "/results/local/1/", 200, `"object"`, ""},
		{"GET", "/results/local/1/2", 404, `{"detail":"results: missing"}`, ""},
		{"PUT", "/results/local", 200, `"put"`, ""},
		{"PUT", "/results/local/", 200, `"put"`, ""},
		{"DELETE", "/results/local/", 200, `"delete"`, ""},
		{"GET", "/results/local", 405, `{"detail":"results: unsupported"}`, "DELETE, PUT"},
		{"POST", "/results/local/1", 405, `{"detail":"results: unsupported"}`, "GET, HEAD"},
		{"OPTIONS", "/results/local/1", 405, `{"detail":"results: unsupported"}`, "GET, HEAD"},
		{"TRACE", "/healthz", 405, `{"detail":"platform: unsupported"}`, "GET, HEAD"},
		{"CONNECT", "/healthz", 405, `{"detail":"platform: unsupported"}`, "GET, HEAD"},
		{"GET", "/results/files/a/b", 200, `"rest=a/b"`, ""},
		{"GET", "/results/files/a/", 200, `"rest=a/"`, ""},
		{"GET", "/results/files/", 200, `"rest="`, ""},
		{"GET", "/results/files", 200, `"rest="`, ""},
		{"GET", "/results", 404, `{"detail":"results: missing"}`, ""},
		{"GET", "/results/", 404, `{"detail":"results: missing"}`, ""},
		{"GET", "/resultsx", 404, `{"detail":"platform: missing"}`, ""},
		{"GET", "/results/deep/x", 200, `"deep"`, ""},
		{"GET", "/results/deep/y", 404, `{"detail":"deep: missing"}`, ""},
		{"GET", "/results/deeper", 404, `{"detail":"results: missing"}`, ""},
		{"GET", "/ui/a.js", 200, "ui /ui/a.js", ""},
		{"GET", "/nope", 404, `{"detail":"platform: missing"}`, ""},
		{"GET", "/HEALTHZ", 404, `{"detail":"platform: missing"}`, ""},
	}
	for _, tt := range tests {
		w := do(h, tt.method, tt.path)
		if body := w.Body.String(); w.Code != tt.status || tt.method != "HEAD" && body != tt.body || w.Header().Get("Allow") != tt.allow {
			t.Errorf("%s %s: got %d %q Allow %q, want %d %q Allow %q", tt.method, tt.path, w.Code, body, w.Header().Get("Allow"), tt.status, tt.body, tt.allow)
		}
	}
	if w := do(h, "GET", "/ui"); w.Code != http.StatusTemporaryRedirect || w.Header().Get("Location") != "/ui/" {
		t.Errorf("GET /ui: got %d to %q, want the redirect of a folder of files", w.Code, w.Header().Get("Location"))
	}
}

// TestSharedPrefix is a part alone: it stands at the root together with the platform and owns it.
func TestSharedPrefix(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{},
		Mount{Name: "results", Title: "Results", Problem: teapot("results"), Routes: []Route{get("/final", answer("final"))}},
		Mount{Name: "platform", Problem: teapot("platform"), Routes: []Route{get("/api/v1/me", func(http.ResponseWriter, *http.Request) error { panic("oh") })}},
	)
	h := s.Handler()
	for path, want := range map[string]string{
		"/final":      `"final"`,
		"/nope":       `{"detail":"results: missing"}`,
		"//final":     `{"detail":"results: missing"}`,
		"/api/v1/me":  `{"detail":"platform: internal"}`,
		"/api/v1/me/": `{"detail":"platform: internal"}`,
	} {
		if got := do(h, "GET", path).Body.String(); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if doc := do(h, "GET", "/openapi.json").Body.String(); !strings.Contains(doc, `"title":"Results"`) {
		t.Errorf("the root document is not the part's: %.200s", doc)
	}
}

// TestPathsWithTwoMeanings: whatever a proxy in front may read differently is nothing here.
func TestPathsWithTwoMeanings(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{},
		Mount{Name: "platform", Routes: []Route{get("/healthz", answer("health")), get("/x/{id}", answer("x")), get("/f/{path...}", answer("f"))}},
		Mount{Name: "results", Prefix: "/results", Problem: teapot("results"), Routes: []Route{get("/local", answer("local"))}},
	)
	h := s.Handler()
	for _, path := range []string{
		"//healthz", "/healthz//", "///", "/./healthz", "/x/../healthz", "/x/..", "/..", "/.", "/results/../healthz", "/results//local",
		"/x/%2e%2e", "/x/%2E", "/x/.%2e", "/x/%2e%2e%2fhealthz", "/x/a%2fb", "/x/a%2Fb", "/x/a%5cb", "/x/a%00b", "/x/%0d%0a", "/x/%7f",
		"/f/a/../b", "/f//b", "/f/%2e%2e/b", "/f/a%2f..%2fb", "/healthz%2f", "/%2fhealthz", "/results%2flocal", "/x%2f1", "/%68ealthz/..",
	} {
		w := do(h, "GET", path)
		if w.Code != http.StatusNotFound || w.Header().Get("Location") != "" {
			t.Errorf("%s: got %d %s (Location %q), want 404", path, w.Code, w.Body, w.Header().Get("Location"))
		}
		if strings.HasPrefix(path, "/results/") && !strings.Contains(w.Body.String(), "results: missing") {
			t.Errorf("%s: answered in the wrong shape: %s", path, w.Body)
		}
	}
	for path, want := range map[string]string{
		"/x/a;b=c": `"x"`, "/x/a:b": `"x"`, "/x/%3b": `"x"`, "/x/...": `"x"`, "/x/%C3%A9": `"x"`, "/%68ealthz": `"health"`, "/f/a/b/": `"f"`, "/x/%2541": `"x"`,
	} {
		if w := do(h, "GET", path); w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: got %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
}

// TestRequestLines sends what no client library would.
func TestRequestLines(t *testing.T) {
	t.Parallel()
	addr := listen(t, newServer(t, Config{}, Mount{Name: "platform", Routes: []Route{get("/healthz", answer("health"))}}).Handler())
	for line, want := range map[string]string{
		"GET http://evil.example/healthz HTTP/1.1":  "200",
		"GET http://evil.example HTTP/1.1":          "404",
		"GET http://evil.example//healthz HTTP/1.1": "404",
		"OPTIONS * HTTP/1.1":                        "200", // net/http's own answer: it names no resource
		"GET * HTTP/1.1":                            "4",
		"GET healthz HTTP/1.1":                      "400",
		"CONNECT lodge:443 HTTP/1.1":                "404",
		"GET /healthz HTTP/1.0":                     "200",
		"GET /healthz?a=%zz;b HTTP/1.1":             "200",
		"GET /%zz HTTP/1.1":                         "400",
	} {
		if got := raw(t, addr, line+"\r\nHost: lodge\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(strings.TrimPrefix(got[8:], " "), want) {
			t.Errorf("%s: got %.60q, want %s", line, got, want)
		}
	}
}

func TestRoutesListsEverything(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{}, Mount{Name: "results", Prefix: "/results", Routes: []Route{
		{Method: "PUT", Path: "/final/", Action: "results.write", Handle: answer("")},
	}})
	var got []string
	for _, r := range s.Routes() {
		got = append(got, r.Method+" "+r.Pattern+" "+r.Action)
	}
	for _, want := range []string{"PUT /results/final results.write", "GET /results/openapi.json public", "GET /results/docs public", "GET /openapi.json public", "GET /docs public"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
}

// listen serves h on loopback until the test ends and returns the address.
func listen(t testing.TB, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return l.Addr().String()
}

// raw sends bytes and returns all that comes back until the server closes.
func raw(t testing.TB, addr, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("read the answer: %v (so far %q)", err, got)
	}
	return string(got)
}
