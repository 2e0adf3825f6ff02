package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"lodge/internal/fault"
)

// logBuffer collects JSON log lines from several goroutines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// lines are the records with a message.
func (b *logBuffer) lines(t *testing.T, msg string) (out []map[string]any) {
	t.Helper()
	for line := range strings.Lines(b.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if record["msg"] == msg {
			out = append(out, record)
		}
	}
	return out
}

func newLog() (*slog.Logger, *logBuffer) {
	b := &logBuffer{}
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelInfo})), b
}

// testGate knows the tokens "reader" and "broken"; it notes what it is asked, in order.
type testGate struct {
	mu    sync.Mutex
	calls []string
}

type testCaller struct{}

func (g *testGate) note(call string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, call)
}

func (g *testGate) Authenticate(r *http.Request) (context.Context, error) {
	g.note("authenticate")
	switch token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); token {
	case "":
		return r.Context(), nil
	case "reader":
		return context.WithValue(r.Context(), testCaller{}, token), nil
	default:
		return nil, fault.New(fault.Unauthenticated, "the token is not valid")
	}
}

func (g *testGate) Authorize(ctx context.Context, action, group string, inService bool) error {
	g.note("authorize " + action + " on " + group)
	if ctx.Value(testCaller{}) == nil {
		return fault.New(fault.Unauthenticated, "please log in")
	}
	if inService || action == "things.read" && group != "closed" {
		return nil
	}
	return &fault.Error{Kind: fault.Denied, Detail: "you may not do this", Permission: action + " on " + group}
}

func callerName(ctx context.Context) string {
	name, _ := ctx.Value(testCaller{}).(string)
	return name
}

// answer is a handler that says who it is.
func answer(text string) Handler {
	return func(w http.ResponseWriter, _ *http.Request) error { return JSON(w, http.StatusOK, text) }
}

// get is a public route.
func get(path string, h Handler) Route {
	return Route{Method: "GET", Path: path, Action: Public, Handle: h}
}

// newServer is a server with one mount at "" unless more are given.
func newServer(t testing.TB, cfg Config, mounts ...Mount) *Server {
	t.Helper()
	log, _ := newLog()
	s := New(cfg, &testGate{}, log, time.Now, nil)
	mustMount(t, s, mounts...)
	return s
}

func mustMount(t testing.TB, s *Server, mounts ...Mount) {
	t.Helper()
	for _, m := range mounts {
		if err := s.Mount(m); err != nil {
			t.Fatal(err)
		}
	}
}

// do sends a request straight to the handler.
func do(h http.Handler, method, target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = values }
}

func from(addr string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = addr }
}

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// teapot is an error shape that tests recognise.
func teapot(name string) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, _ *http.Request, err error) {
		_ = JSON(w, Status(err), map[string]string{"detail": name + ": " + fault.KindOf(err).String()})
	}
}
