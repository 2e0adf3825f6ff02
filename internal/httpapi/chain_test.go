package httpapi

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"

	"lodge/internal/fault"
)

func bearer(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }

// TestChainOrder: who asks, may they on which group, then the handler; and nothing after a refusal.
func TestChainOrder(t *testing.T) {
	t.Parallel()
	log, _ := newLog()
	gate := &testGate{}
	handle := func(w http.ResponseWriter, r *http.Request) error {
		gate.note("handler as " + callerName(r.Context()))
		return NoContent(w)
	}
	group := func(r *http.Request) string { return r.PathValue("group") }
	s := New(Config{}, gate, log, time.Now, nil)
	mustMount(t, s, Mount{Name: "things", Routes: []Route{
		{Method: "GET", Path: "/things", Action: "things.read", Handle: handle},
		{Method: "GET", Path: "/of/{group}", Action: "things.read", Group: group, Handle: handle},
		{Method: "GET", Path: "/looked-up", Action: "things.write", InService: true, Handle: handle},
		{Method: "DELETE", Path: "/things", Action: "things.delete", Handle: handle},
		{Method: "GET", Path: "/open", Action: Public, Handle: handle},
	}})
	h := s.Handler()
	tests := []struct {
		method, path, token string
		status              int
		calls               []string
	}{
		{"GET", "/things", "reader", 204, []string{"authenticate", "authorize things.read on site", "handler as reader"}},
		{"GET", "/of/red", "reader", 204, []string{"authenticate", "authorize things.read on red", "handler as reader"}},
		{"GET", "/of/closed", "reader", 403, []string{"authenticate", "authorize things.read on closed"}},
		{"DELETE", "/things", "reader", 403, []string{"authenticate", "authorize things.delete on site"}},
		{"GET", "/looked-up", "reader", 204, []string{"authenticate", "authorize things.write on site", "handler as reader"}},
		{"GET", "/looked-up", "", 401, []string{"authenticate", "authorize things.write on site"}},
		{"GET", "/things", "", 401, []string{"authenticate", "authorize things.read on site"}},
		{"GET", "/things", "stolen", 401, []string{"authenticate"}},
		{"GET", "/open", "", 204, []string{"authenticate", "handler as "}},
		{"GET", "/open", "reader", 204, []string{"authenticate", "handler as reader"}},
		{"GET", "/open", "stolen", 204, []string{"authenticate", "handler as "}},
		{"PUT", "/things", "reader", 405, nil},
		{"GET", "/nope", "reader", 404, nil},
	}
	for _, tt := range tests {
		gate.calls = nil
		w := do(h, tt.method, tt.path, func(r *http.Request) {
			if tt.token != "" {
				bearer(tt.token)(r)
			}
		})
		if w.Code != tt.status || !slices.Equal(gate.calls, tt.calls) {
			t.Errorf("%s %s as %q: got %d after %q, want %d after %q", tt.method, tt.path, tt.token, w.Code, gate.calls, tt.status, tt.calls)
		}
		if challenge := w.Header().Get("Www-Authenticate"); (challenge == "Bearer") != (tt.status == 401) {
			t.Errorf("%s %s as %q: WWW-Authenticate %q with status %d", tt.method, tt.path, tt.token, challenge, tt.status)
		}
	}
}

// TestRefusedBeforeTheBody: a client that waits for "100 Continue" is refused without sending.
func TestRefusedBeforeTheBody(t *testing.T) {
	t.Parallel()
	read := func(w http.ResponseWriter, r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		return JSON(w, http.StatusOK, len(body))
	}
	addr := listen(t, newServer(t, Config{MaxBody: 10}, Mount{Name: "things", Routes: []Route{
		{Method: "PUT", Path: "/things", Action: "things.read", Handle: read},
	}}).Handler())
	ask := func(headers string) (first string, conn net.Conn, in *bufio.Reader) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = fmt.Fprintf(conn, "PUT /things HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n%s\r\n", headers)
		in = bufio.NewReader(conn)
		if first, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(first), conn, in
	}
	if got, _, _ := ask("Content-Length: 5\r\n"); got != "HTTP/1.1 401 Unauthorized" {
		t.Errorf("as nobody: %q", got)
	}
	if got, _, _ := ask("Authorization: Bearer reader\r\nContent-Length: 11\r\n"); got != "HTTP/1.1 413 Request Entity Too Large" {
		t.Errorf("too long: %q", got)
	}
	got, conn, in := ask("Authorization: Bearer reader\r\nContent-Length: 5\r\n")
	if got != "HTTP/1.1 100 Continue" {
		t.Fatalf("permitted: %q", got)
	}
	_, _ = in.ReadString('\n')
	_, _ = io.WriteString(conn, "hello")
	if got, _ := in.ReadString('\n'); got != "HTTP/1.1 200 OK\r\n" {
		t.Errorf("after the body: %q", got)
	}
}

func TestBodyLimits(t *testing.T) {
	t.Parallel()
	read := func(w http.ResponseWriter, r *http.Request) error {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return fmt.Errorf("copy: %w", err)
		}
		return JSON(w, http.StatusOK, n)
	}
	h := newServer(t, Config{MaxBody: 100}, Mount{Name: "things", Routes: []Route{
		{Method: "PUT", Path: "/default", Action: Public, Handle: read},
		{Method: "PUT", Path: "/small", Action: Public, Limits: Limits{Body: 10}, Handle: read},
		{Method: "PUT", Path: "/none", Action: Public, Limits: Limits{Body: -1}, Handle: read},
	}}).Handler()
	for _, tt := range []struct {
		path    string
		size    int
		chunked bool
		status  int
	}{
		{"/default", 100, false, 200},
		{"/default", 101, false, 413},
		{"/default", 100, true, 200},
		{"/default", 101, true, 413},
		{"/small", 10, true, 200},
		{"/small", 11, true, 413},
		{"/none", 1 << 20, true, 200},
	} {
		r := httptest.NewRequest("PUT", tt.path, bytes.NewReader(make([]byte, tt.size)))
		if tt.chunked {
			r.ContentLength = -1
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%d bytes to %s (chunked %v): got %d %s, want %d", tt.size, tt.path, tt.chunked, w.Code, w.Body, tt.status)
		}
	}
}

func TestTimeLimits(t *testing.T) {
	t.Parallel()
	wait := func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return r.Context().Err()
	}
	hasLimit := func(w http.ResponseWriter, r *http.Request) error {
		_, limited := r.Context().Deadline()
		return JSON(w, http.StatusOK, limited)
	}
	h := newServer(t, Config{RequestTimeout: time.Millisecond}, Mount{Name: "things", Routes: []Route{
		get("/wait", wait),
		get("/limited", hasLimit),
		{Method: "GET", Path: "/stream", Action: Public, Limits: Limits{Timeout: -1}, Handle: hasLimit},
	}}).Handler()
	if w := do(h, "GET", "/wait"); w.Code != http.StatusGatewayTimeout {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := do(h, "GET", "/limited"); w.Body.String() != "true" {
		t.Errorf("an ordinary request has no limit")
	}
	if w := do(h, "GET", "/stream"); w.Body.String() != "false" {
		t.Errorf("a stream has a limit")
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	log, lines := newLog()
	s := New(Config{AccessLog: true}, nil, log, time.Now, nil)
	mustMount(t, s, Mount{Name: "things", Routes: []Route{
		get("/before", func(http.ResponseWriter, *http.Request) error { panic("secret cause") }),
		get("/after", func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, "half of ")
			panic("secret cause")
		}),
	}})
	s.Handle("/outside", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New("secret cause")) }))
	h := s.Handler()

	for _, path := range []string{"/before", "/outside"} {
		w := do(h, "GET", path)
		if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: got %d %s", path, w.Code, w.Body)
		}
		if id := w.Header().Get("X-Request-Id"); !strings.Contains(w.Body.String(), id) {
			t.Errorf("%s: the answer does not carry the request id %s: %s", path, id, w.Body)
		}
	}
	panics := lines.lines(t, "handler panicked")
	if len(panics) != 2 || panics[0]["panic"] != "secret cause" || !strings.Contains(fmt.Sprint(panics[0]["stack"]), "chain_test.go") {
		t.Errorf("log: %v", panics)
	}
	if got := len(lines.lines(t, "request failed")); got != 0 {
		t.Errorf("the panic was logged %d times more", got)
	}
	if access := lines.lines(t, "request"); len(access) != 2 || access[0]["status"] != 500.0 {
		t.Errorf("access log: %v", access)
	}

	// A half-sent answer must not look like a whole one.
	res, err := http.Get("http://" + listen(t, h) + "/after")
	if err == nil {
		defer func() { _ = res.Body.Close() }()
		_, err = io.ReadAll(res.Body)
	}
	if err == nil {
		t.Error("the client took half an answer for the whole")
	}
}

func TestErrorAfterTheAnswerBegan(t *testing.T) {
	t.Parallel()
	log, lines := newLog()
	s := New(Config{}, nil, log, time.Now, nil)
	mustMount(t, s, Mount{Name: "things", Routes: []Route{get("/cut", func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, "half of ")
		_ = http.NewResponseController(w).Flush()
		return errors.New("the disk broke")
	})}})
	res, err := http.Get("http://" + listen(t, s.Handler()) + "/cut")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("the client took %q for the whole", body)
	}
	if got := lines.lines(t, "request failed"); len(got) != 1 || !strings.Contains(fmt.Sprint(got[0]["error"]), "the disk broke") {
		t.Errorf("log: %v", lines)
	}
}

func TestClientGone(t *testing.T) {
	t.Parallel()
	log, lines := newLog()
	s := New(Config{AccessLog: true}, nil, log, time.Now, nil)
	mustMount(t, s, Mount{Name: "things", Routes: []Route{get("/x", func(_ http.ResponseWriter, r *http.Request) error {
		return fmt.Errorf("query: %w", r.Context().Err())
	})}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil).WithContext(ctx))
	if got := lines.lines(t, "request failed"); len(got) != 0 {
		t.Errorf("logged as our failure: %v", got)
	}
	if got := lines.lines(t, "request"); len(got) != 1 || got[0]["status"] != 499.0 {
		t.Errorf("access log: %v", got)
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{}, Mount{Name: "things", Routes: []Route{get("/x", answer("x"))}})
	s.Handle("/page", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") }))
	h := s.Handler()
	for path, policy := range map[string]string{
		"/x": "default-src 'none'; frame-ancestors 'none'; sandbox", "/page": "frame-ancestors 'none'", "/nope": "frame-ancestors 'none'",
		"//x": "frame-ancestors 'none'",
	} {
		got := do(h, "GET", path).Header()
		if got.Get("Content-Security-Policy") != policy || got.Get("X-Content-Type-Options") != "nosniff" || got.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	handler := func(origins ...string) http.Handler {
		return newServer(t, Config{CORSOrigins: origins}, Mount{Name: "things", Routes: []Route{
			{Method: "PUT", Path: "/x", Action: "things.read", Handle: answer("x")}, get("/x", answer("x")),
		}}).Handler()
	}
	const good, bad = "https://good.example", "https://bad.example"
	tests := []struct {
		name, method, origin string
		origins              []string
		status               int
		allowed              string
	}{
		{"off", "GET", good, nil, 200, ""},
		{"listed", "GET", good, []string{good}, 200, good},
		{"not listed", "GET", bad, []string{good}, 200, ""},
		{"null is an origin like any", "GET", "null", []string{good}, 200, ""},
		{"a suffix is not enough", "GET", "https://not-good.example", []string{good}, 200, ""},
		{"any", "GET", bad, []string{"*"}, 200, "*"},
		{"errors can be read", "PUT", good, []string{good}, 401, good},
		{"preflight", "OPTIONS", good, []string{good}, 204, good},
		{"preflight of another", "OPTIONS", bad, []string{good}, 405, ""},
	}
	for _, tt := range tests {
		w := do(handler(tt.origins...), tt.method, "/x", header("Origin", tt.origin), func(r *http.Request) {
			if tt.method == "OPTIONS" {
				r.Header.Set("Access-Control-Request-Method", "PUT")
			}
		})
		if w.Code != tt.status || w.Header().Get("Access-Control-Allow-Origin") != tt.allowed {
			t.Errorf("%s: got %d for %q, want %d for %q", tt.name, w.Code, w.Header().Get("Access-Control-Allow-Origin"), tt.status, tt.allowed)
		}
		if got := w.Header().Get("Access-Control-Allow-Credentials"); got != "" {
			t.Errorf("%s: foreign scripts may use cookies", tt.name)
		}
		if tt.status == 204 && w.Header().Get("Access-Control-Allow-Methods") != "GET, HEAD, PUT" {
			t.Errorf("%s: methods %q", tt.name, w.Header().Get("Access-Control-Allow-Methods"))
		}
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("the same again, ", 500)
	h := newServer(t, Config{}, Mount{Name: "things", Routes: []Route{
		get("/long", answer(long)), get("/short", answer("short")),
		{Method: "GET", Path: "/stream", Action: Public, Doc: Doc{Stream: "application/octet-stream"}, Handle: func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.WriteString(w, long)
			return err
		}},
		get("/failing", func(http.ResponseWriter, *http.Request) error { return fault.New(fault.Conflict, "%s", long) }),
	}}).Handler()
	unpack := map[string]func(io.Reader) (io.Reader, error){
		"":     func(r io.Reader) (io.Reader, error) { return r, nil },
		"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
	}
	for _, tt := range []struct{ path, accept, coding string }{
		{"/long", "", ""},
		{"/long", "gzip", "gzip"},
		{"/long", "gzip, deflate, br, zstd", "zstd"},
		{"/long", "GZIP;q=0.5", "gzip"},
		{"/long", "gzip;q=0", ""},
		{"/long", "zstd; q=0, gzip", "gzip"},
		{"/long", "*", ""},
		{"/long", "xgzip", ""},
		{"/short", "gzip", ""},
		{"/stream", "gzip, zstd", ""},
		{"/failing", "gzip", "gzip"},
	} {
		w := do(h, "GET", tt.path, header("Accept-Encoding", tt.accept))
		if got := w.Header().Get("Content-Encoding"); got != tt.coding {
			t.Errorf("%s accepting %q: coded as %q, want %q", tt.path, tt.accept, got, tt.coding)
			continue
		}
		if got := w.Header().Get("Content-Length"); got != "" && got != fmt.Sprint(w.Body.Len()) {
			t.Errorf("%s accepting %q: Content-Length %s for %d bytes", tt.path, tt.accept, got, w.Body.Len())
		}
		plain, err := unpack[tt.coding](w.Body)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(plain)
		if want := long; err != nil || tt.path != "/short" && !strings.Contains(string(body), want) {
			t.Errorf("%s accepting %q: body %.60q, error %v", tt.path, tt.accept, body, err)
		}
		if vary := w.Header().Get("Vary"); (vary == "Accept-Encoding") != (tt.path == "/long" || tt.path == "/failing") {
			t.Errorf("%s: Vary %q", tt.path, vary)
		}
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	log, lines := newLog()
	s := New(Config{AccessLog: true, Caller: callerName}, &testGate{}, log, time.Now, nil)
	mustMount(t, s, Mount{Name: "things", Prefix: "/t", Routes: []Route{
		{Method: "GET", Path: "/x/{id}", Action: "things.read", Handle: answer("four")}, get("/healthz", answer("ok")),
	}})
	mustMount(t, s, Mount{Name: "platform", Routes: []Route{get("/healthz", answer("ok"))}})
	h := s.Handler()
	do(h, "GET", "/t/x/1?limit=5&token=hunter2&Access_Token=hunter2&co%64e=hunter2&state=hunter2&%zz=hunter2", bearer("reader"), from("192.0.2.7:1234"))
	do(h, "GET", "/healthz")
	do(h, "GET", "/"+strings.Repeat("long", 1000))

	got := lines.lines(t, "request")
	if len(got) != 2 {
		t.Fatalf("got %d lines, want 2 (probes are quiet): %s", len(got), lines)
	}
	want := map[string]any{
		"method": "GET", "path": "/t/x/1", "mount": "things", "route": "/t/x/{id}", "status": 200.0, "bytes": 6.0, "client": "192.0.2.7",
		"caller": "reader", "query": "limit=5&token=***&Access_Token=***&co%64e=***&state=***&%zz=***", "level": "INFO",
	}
	for name, value := range want {
		if got[0][name] != value {
			t.Errorf("%s = %v, want %v", name, got[0][name], value)
		}
	}
	if strings.Contains(lines.String(), "hunter2") {
		t.Error("a secret is in the log")
	}
	if path := fmt.Sprint(got[1]["path"]); len(path) > 600 {
		t.Errorf("a client can write %d bytes into the log", len(path))
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	log, _ := newLog()
	reg := prometheus.NewRegistry()
	s := New(Config{}, nil, log, time.Now, reg)
	mustMount(t, s, Mount{Name: "things", Prefix: "/t", Routes: []Route{
		get("/x/{id}", func(w http.ResponseWriter, r *http.Request) error {
			if r.PathValue("id") == "bad" {
				return fault.New(fault.Invalid, "bad")
			}
			return NoContent(w)
		}),
	}})
	h := s.Handler()
	for _, path := range []string{"/t/x/1", "/t/x/2", "/t/x/bad", "/t/nope/1", "/t/nope/2", "//", "/other"} {
		do(h, "GET", path)
	}
	do(h, "BREW", "/t/x/1")
	do(h, "SPILL", "/t/x/1")
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			series := strings.TrimPrefix(family.GetName(), "lodge_http_")
			for _, label := range m.GetLabel() {
				series += " " + label.GetValue()
			}
			got[series] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	want := map[string]float64{ // labels by name: method, mount, route, status
		"requests_in_flight":                              0,
		"requests_total GET things /t/x/{id} 2xx":         2,
		"requests_total GET things /t/x/{id} 4xx":         1,
		"requests_total any things unmatched 4xx":         2,
		"requests_total any root unmatched 4xx":           2,
		"requests_total other things /t/x/{id} 4xx":       2,
		"request_duration_seconds GET things /t/x/{id}":   3,
		"request_duration_seconds any things unmatched":   2,
		"request_duration_seconds any root unmatched":     2,
		"request_duration_seconds other things /t/x/{id}": 2,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	// A second server beside the first shares the series instead of failing.
	New(Config{}, nil, log, time.Now, reg)
}
