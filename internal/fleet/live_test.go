package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lodge/internal/access"
	"lodge/internal/fleet/live"
)

// withLive attaches the real live server, as the whole program does.
func withLive(t *testing.T, s *site) {
	t.Helper()
	subscribe := func(ctx context.Context, room string) (live.Kind, []json.RawMessage, error) {
		kind, replay, err := s.svc.Subscribe(ctx, room)
		return live.Kind(kind), replay, err
	}
	server := live.New(live.Options{Path: s.prefix + "/socket.io", Permit: s.svc.MayListen}, s.svc.Authenticate, subscribe,
		func(context.Context) error { return nil }, time.Now, slog.New(slog.DiscardHandler))
	s.svc.Attach(s.ros, server)
	s.server.Handle(s.prefix+"/socket.io/", server.Handler())
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() { cancel(); noError(t, <-done) })
	front := httptest.NewServer(s.server.Handler())
	t.Cleanup(front.Close)
	s.url = front.URL + s.prefix
}

// socketClient speaks socket.io over a WebSocket.
type socketClient struct {
	t    *testing.T
	conn *websocket.Conn
}

func (s *site) socket(t *testing.T, token string) *socketClient {
	t.Helper()
	conn, _, err := s.dial("/socket.io/?EIO=4&transport=websocket", nil) //nolint:bodyclose // it has none
	noError(t, err)
	c := &socketClient{t, conn}
	c.next("0{")
	send(t, conn, websocket.MessageText, `40{"token":"`+token+`"}`)
	return c
}

// next reads until a packet begins so.
func (c *socketClient) next(prefix string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, text, err := c.conn.Read(ctx)
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", prefix, err)
		}
		if strings.HasPrefix(string(text), prefix) {
			return string(text)
		}
	}
}

func TestSocketIO(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "/fleet"} {
		s := newSite(t, func(set *setup) { set.cfg.Prefix = prefix })
		withLive(t, s)
		s.report("task_state_update", taskJSON("t", "")+`,"unix_millis_start_time":1}`)
		c := s.socket(t, token(t, "admin"))
		c.next(`40{"sid"`)
		send(t, c.conn, websocket.MessageText, `420["subscribe",{"room":"/tasks/t/state"}]`)
		if first := c.next(`42["/tasks/t/state",`); !strings.Contains(first, `"unix_millis_start_time":1,`) {
			t.Errorf("first %s", first)
		}
		c.next(`430[{"success":true}]`)
		s.report("task_state_update", taskJSON("t", "")+`,"unix_millis_start_time":2}`)
		if then := c.next(`42["/tasks/t/state",`); !strings.Contains(then, `"unix_millis_start_time":2,`) {
			t.Errorf("then %s", then)
		}
		send(t, c.conn, websocket.MessageText, `421["subscribe",{"room":"/nowhere"}]`)
		c.next(`42["subscribe",{"success":false,"error":"no events in path"}]`)

		mallory := s.socket(t, token(t, "mallory"))
		mallory.next(`40{"sid"`)
		send(t, mallory.conn, websocket.MessageText, `420["subscribe",{"room":"/beacons"}]`)
		mallory.next(`430[{"success":false,"error":"403 Forbidden: needs fleet.beacons.read on site"}]`)
		s.socket(t, "bogus").next(`44{"message":`)
	}
}

// TestRevokedListener loses the right to a room while listening.
func TestRevokedListener(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	withLive(t, s)
	s.permit("reader", ReadBeacons, access.Site)
	c := s.socket(t, token(t, "anna", "reader"))
	c.next(`40{"sid"`)
	send(t, c.conn, websocket.MessageText, `420["subscribe",{"room":"/beacons"}]`)
	c.next(`430[{"success":true}]`)
	noError(t, s.access.Forbid(root(t.Context()), access.Grant{Role: "reader", Group: access.Site, Action: ReadBeacons}))
	c.next(`42["subscribe",{"success":false,"error":"403 Forbidden: needs fleet.beacons.read on site: /beacons"}]`)
}

func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.cfg.Prefix = "/fleet" })
	withLive(t, s)
	s.report("task_state_update", taskJSON("t", "")+`,"unix_millis_start_time":1}`)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/events/tasks/t/state", nil)
	noError(t, err)
	req.Header.Set("Authorization", "Bearer "+token(t, "admin"))
	resp, err := http.DefaultClient.Do(req)
	noError(t, err)
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data:"); ok {
				return data
			}
		}
		t.Fatalf("the stream is over: %v", lines.Err())
		return ""
	}
	if got := next(); !strings.Contains(got, `"unix_millis_start_time":1,`) {
		t.Errorf("first %s", got)
	}
	s.report("task_state_update", taskJSON("t", "")+`,"unix_millis_start_time":2}`)
	if got := next(); !strings.Contains(got, `"unix_millis_start_time":2,`) {
		t.Errorf("then %s", got)
	}
	s.get("/events/nonsense").says(t, 404, "no events in path")
	s.as("mallory", "GET", "/events/tasks/t/state", "").is(t, 403, "")
}
