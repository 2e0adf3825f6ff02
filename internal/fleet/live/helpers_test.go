package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"lodge/internal/fault"
	"lodge/internal/fleet/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type nameKey struct{}

// site is a server with rooms: /state/… and /log/… exist, /secret/… is denied, /slow waits for gate,
// and all replay what replay says.
type site struct {
	*live.Server
	web *httptest.Server

	mu      sync.Mutex
	replay  map[string][]json.RawMessage
	revoked map[string]error // by caller
	lost    map[string]error // by room
	gate    chan struct{}
	asked   chan string
}

func (s *site) auth(r *http.Request, auth json.RawMessage) (context.Context, error) {
	var in struct{ Token string }
	if json.Unmarshal(auth, &in) != nil || in.Token == "" {
		return nil, fault.New(fault.Unauthenticated, "Connection rejected by server")
	}
	if in.Token == "broken" {
		return nil, errors.New("the database password is wrong")
	}
	return context.WithValue(r.Context(), nameKey{}, in.Token), nil
}

func (s *site) subscribe(ctx context.Context, room string) (live.Kind, []json.RawMessage, error) {
	if strings.HasSuffix(room, "/slow") {
		s.asked <- room
		select {
		case <-s.gate:
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case room == "/panic":
		panic("a room that does not behave")
	case room == "/broken":
		return 0, nil, errors.New("the table is gone")
	case strings.HasPrefix(room, "/secret/") && ctx.Value(nameKey{}) != "admin":
		return 0, nil, fault.New(fault.Denied, "403 Forbidden")
	case strings.HasPrefix(room, "/log/"):
		return live.Log, s.replay[room], nil
	case strings.HasPrefix(room, "/state/"), room == "/slow", strings.HasPrefix(room, "/secret/"):
		return live.State, s.replay[room], nil
	}
	return 0, nil, live.ErrNoRoom
}

func (s *site) recheck(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _ := ctx.Value(nameKey{}).(string)
	return s.revoked[name]
}

func (s *site) permit(_ context.Context, room string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost[room]
}

func newSite(t testing.TB, opts live.Options) *site {
	t.Helper()
	s := &site{
		replay: map[string][]json.RawMessage{}, revoked: map[string]error{}, lost: map[string]error{},
		gate: make(chan struct{}), asked: make(chan string, 16),
	}
	opts.Permit = s.permit
	s.Server = live.New(opts, s.auth, s.subscribe, s.recheck, time.Now, discard())
	s.listen(t)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// serve makes a site of a server that the test runs itself.
func serve(t testing.TB, server *live.Server) *site {
	s := &site{Server: server}
	s.listen(t)
	return s
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (s *site) listen(t testing.TB) {
	s.web = httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		s.web.Close()
		http.DefaultClient.CloseIdleConnections()
	})
}

func (s *site) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *site) url(query string) string { return s.web.URL + "/socket.io/?" + query }

// call makes one HTTP request.
func (s *site) call(t testing.TB, method, query, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url(query), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.web.Client().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, query, err)
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, query, err)
	}
	return res.StatusCode, string(got), res.Header
}

// socket is a WebSocket whose frames the tests write by hand.
type socket struct {
	t testing.TB
	*websocket.Conn
}

// dial opens a WebSocket without saying anything on it.
func (s *site) dial(t testing.TB, query string) *socket {
	t.Helper()
	ws, status := s.try(t, query)
	if ws == nil {
		t.Fatalf("dial: %d", status)
	}
	return ws
}

// try opens a WebSocket, or returns nil and the status that refused it.
func (s *site) try(t testing.TB, query string, headers ...string) (*socket, int) {
	t.Helper()
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	ws, res, err := websocket.Dial(t.Context(), s.url(query), &websocket.DialOptions{HTTPHeader: h})
	if res == nil {
		t.Fatalf("dial: %v", err)
	}
	if res.Body != nil {
		_ = res.Body.Close()
	}
	if err != nil {
		return nil, res.StatusCode
	}
	ws.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return &socket{t, ws}, res.StatusCode
}

// known is a WebSocket that has logged in.
func (s *site) known(t testing.TB, token string) *socket {
	t.Helper()
	c := s.dial(t, "EIO=4&transport=websocket")
	c.want("0{")
	c.say(`40{"token":"` + token + `"}`)
	c.want(`40{"sid":"`)
	return c
}

func (c *socket) say(text string) {
	c.t.Helper()
	if err := c.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatalf("write %q: %v", text, err)
	}
}

func (c *socket) hear() string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	_, got, err := c.Read(ctx)
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return string(got)
}

// want expects the next frame to begin so, and returns it.
func (c *socket) want(prefix string) string {
	c.t.Helper()
	got := c.hear()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("got %q, want %q…", got, prefix)
	}
	return got
}

// wantEnd expects the server to close with a code, after any number of frames.
func (c *socket) wantEnd(code websocket.StatusCode, why string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 15*time.Second)
	defer cancel()
	for {
		_, _, err := c.Read(ctx)
		if err == nil {
			continue
		}
		var closed websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != code || closed.Reason != why {
			c.t.Fatalf("ended with %v, want %d %q", err, code, why)
		}
		return
	}
}

// sync waits until the server has worked on all that was said before.
func (c *socket) sync() {
	c.t.Helper()
	c.say(`4299["subscribe",{}]`)
	for !strings.HasPrefix(c.hear(), "4399") {
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
