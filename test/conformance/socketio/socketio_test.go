// Package socketio_test drives the stock socket.io client against our server.
package socketio_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lodge/internal/fault"
	"lodge/internal/fleet/live"
)

// install fetches the client that the lock file names, once.
var install = sync.OnceValue(func() error {
	if _, err := os.Stat(filepath.Join("node_modules", "socket.io-client")); err == nil {
		return nil
	}
	if out, err := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error").CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return nil
})

// server has state rooms and log rooms; any token but "wrong" passes until it is revoked.
type server struct {
	*live.Server
	url     string
	revoked atomic.Bool
	drain   context.CancelFunc
}

func newServer(t *testing.T, opts live.Options) *server {
	t.Helper()
	s := &server{}
	s.Server = live.New(opts,
		func(r *http.Request, auth json.RawMessage) (context.Context, error) {
			var in struct{ Token string }
			if json.Unmarshal(auth, &in) != nil || in.Token == "" || in.Token == "wrong" {
				return nil, fault.New(fault.Unauthenticated, "Connection rejected by server")
			}
			return r.Context(), nil
		},
		func(_ context.Context, room string) (live.Kind, []json.RawMessage, error) {
			switch {
			case strings.HasPrefix(room, "/doors/"):
				return live.State, []json.RawMessage{json.RawMessage(`{"door":"` + room + `"}`)}, nil
			case strings.HasPrefix(room, "/tasks/"):
				return live.Log, nil, nil
			}
			return 0, nil, live.ErrNoRoom
		},
		func(context.Context) error {
			if s.revoked.Load() {
				return fault.New(fault.Unauthenticated, "logged out")
			}
			return nil
		},
		time.Now, slog.New(slog.DiscardHandler))
	web := httptest.NewServer(s.Handler())
	s.url = web.URL
	ctx, stop := context.WithCancel(context.Background())
	s.drain = stop
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return s
}

// happening is one line of the client.
type happening struct {
	Event, Name, Message, Reason, Transport string
	Recovered                               bool
	Size                                    int
	Data                                    json.RawMessage
}

// client is the Node process.
type client struct {
	t     *testing.T
	in    io.Writer
	lines chan happening
}

func newClient(t *testing.T, s *server, transports string) *client {
	t.Helper()
	if err := install(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "client.mjs", s.url, "/socket.io", transports)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, in: in, lines: make(chan happening, 4096)}
	go func() {
		defer close(c.lines)
		scan := bufio.NewScanner(out)
		scan.Buffer(nil, 8<<20)
		for scan.Scan() {
			var h happening
			if err := json.Unmarshal(scan.Bytes(), &h); err != nil {
				h = happening{Event: "garbage", Message: scan.Text()}
			}
			c.lines <- h
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	c.want("ready", nil)
	return c
}

func (c *client) do(command string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, command+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// want waits for an event that fits; events of other names are passed over.
func (c *client) want(event string, fits func(happening) bool) happening {
	c.t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case h, open := <-c.lines:
			if !open {
				c.t.Fatalf("the client ended while we waited for %s", event)
			}
			if h.Event == event && (fits == nil || fits(h)) {
				return h
			}
		case <-late:
			c.t.Fatalf("no %s came", event)
		}
	}
}

func (c *client) wantAck(data string) {
	c.t.Helper()
	if h := c.want("ack", nil); string(h.Data) != data {
		c.t.Errorf("acknowledged %s (%s), want %s", h.Data, h.Message, data)
	}
}

func (c *client) wantReceived(name, data string) {
	c.t.Helper()
	if h := c.want("received", nil); h.Name != name || string(h.Data) != data {
		c.t.Errorf("received %s %s, want %s %s", h.Name, h.Data, name, data)
	}
}

func each(t *testing.T, story func(t *testing.T, transports, final string)) {
	for _, c := range []struct{ name, transports, final string }{
		{"websocket", "websocket", "websocket"},
		{"polling", "polling", "polling"},
		{"upgrade", "polling,websocket", "websocket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			story(t, c.transports, c.final)
		})
	}
}

func (c *client) connect(final string) {
	c.t.Helper()
	c.do(`{"do":"connect","auth":{"token":"good"}}`)
	h := c.want("connect", nil)
	if h.Transport != final {
		if h = c.want("upgrade", nil); h.Transport != final {
			c.t.Fatalf("ended on %s, want %s", h.Transport, final)
		}
	}
}

func TestStory(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, transports, final string) {
		s := newServer(t, live.Options{})
		c := newClient(t, s, transports)
		c.connect(final)

		c.do(`{"do":"emit","name":"subscribe","args":[{"room":"/doors/main%20door/state"}],"ack":true}`)
		c.wantReceived("/doors/main door/state", `{"door":"/doors/main door/state"}`)
		c.wantAck(`{"success":true}`)
		c.do(`{"do":"emit","name":"subscribe","args":[{"room":"/tasks/1/log"}]}`)
		c.do(`{"do":"emit","name":"subscribe","args":[{"room":"/nowhere"}],"ack":true}`)
		c.wantReceived("subscribe", `{"success":false,"error":"no events in path"}`)
		c.wantAck(`{"success":false,"error":"no events in path"}`)
		c.do(`{"do":"emit","name":"subscribe","args":[{"room":"/doors/b/state"}],"ack":true,"bytes":100000}`)
		c.wantReceived("/doors/b/state", `{"door":"/doors/b/state"}`)
		c.wantAck(`{"success":true}`)

		for i := range 100 {
			s.Publish("/tasks/1/log", "", json.RawMessage(fmt.Sprintf(`{"n":%d,"text":"käse €"}`, i)))
		}
		for i := range 100 {
			c.wantReceived("/tasks/1/log", fmt.Sprintf(`{"n":%d,"text":"käse €"}`, i))
		}
		s.Publish("/tasks/1/log", "", json.RawMessage(`"`+strings.Repeat("x", 3_000_000)+`"`))
		if h := c.want("received", nil); h.Size != 3_000_002 {
			t.Errorf("a large event arrived as %d", h.Size)
		}

		c.do(`{"do":"emit","name":"unsubscribe","args":[{"room":"/tasks/1/log"}],"ack":true}`)
		c.wantReceived("unsubscribe", `{"success":true}`)
		c.wantAck(`{"success":true}`)

		c.do(`{"do":"disconnect"}`)
		if h := c.want("disconnect", nil); h.Reason != "io client disconnect" {
			t.Errorf("reason %s", h.Reason)
		}
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, transports, _ string) {
		s := newServer(t, live.Options{})
		for _, command := range []string{`{"do":"connect","auth":{"token":"wrong"}}`, `{"do":"connect"}`} {
			c := newClient(t, s, transports)
			c.do(command)
			if h := c.want("connect_error", nil); h.Message != "Connection rejected by server" {
				t.Errorf("%s: %s", command, h.Message)
			}
		}
		c := newClient(t, s, transports)
		c.do(`{"do":"connect","auth":{"token":"good"},"namespace":"/admin"}`)
		c.want("connect_error", nil)
	})
}

// The stock client never subscribes again; we do it for it.
func TestBrokenConnection(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, transports, final string) {
		s := newServer(t, live.Options{})
		c := newClient(t, s, transports)
		c.connect(final)
		c.do(`{"do":"emit","name":"subscribe","args":[{"room":"/doors/a/state"}],"ack":true}`)
		c.wantAck(`{"success":true}`)
		for range 3 {
			c.do(`{"do":"break"}`)
			c.want("disconnect", nil)
			if h := c.want("connect", nil); !h.Recovered {
				t.Error("the client was not recognised")
			}
			c.wantReceived("/doors/a/state", `{"door":"/doors/a/state"}`)
			s.Publish("/doors/a/state", "", json.RawMessage(`{"open":true}`))
			c.wantReceived("/doors/a/state", `{"open":true}`)
		}
	})
}

func TestPingsKeepTheConnection(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, transports, final string) {
		s := newServer(t, live.Options{PingInterval: 100 * time.Millisecond, PingTimeout: 2 * time.Second})
		c := newClient(t, s, transports)
		c.connect(final)
		c.do(`{"do":"emit","name":"subscribe","args":[{"room":"/tasks/1/log"}],"ack":true}`)
		c.wantAck(`{"success":true}`)
		// The pings that were answered meanwhile show that events after them still arrive.
		before := s.Stats().Sent
		for s.Stats().Sent < before+20 {
			time.Sleep(10 * time.Millisecond)
		}
		s.Publish("/tasks/1/log", "", json.RawMessage(`1`))
		c.wantReceived("/tasks/1/log", `1`)
		if n := s.Stats().Ended; len(n) != 0 {
			t.Errorf("connections ended: %v", n)
		}
	})
}

// A dashboard subscribes to hundreds of rooms at once, all in one body when it polls.
func TestManyRooms(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, transports, final string) {
		s := newServer(t, live.Options{})
		c := newClient(t, s, transports)
		c.connect(final)
		const rooms = 500
		for i := range rooms {
			c.do(fmt.Sprintf(`{"do":"emit","name":"subscribe","args":[{"room":"/doors/%d/state"}],"ack":true}`, i))
		}
		for range rooms {
			c.wantAck(`{"success":true}`)
		}
		if st := s.Stats(); st.Rooms != rooms {
			t.Errorf("%d rooms", st.Rooms)
		}
	})
}

func TestLoggedOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, transports, final string) {
		s := newServer(t, live.Options{})
		c := newClient(t, s, transports)
		c.connect(final)
		s.revoked.Store(true)
		c.want("disconnect", func(h happening) bool { return strings.HasPrefix(h.Reason, "transport") })
	})
}

func TestServerRestarts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, transports, final string) {
		s := newServer(t, live.Options{})
		c := newClient(t, s, transports)
		c.connect(final)
		s.drain()
		c.want("disconnect", func(h happening) bool { return strings.HasPrefix(h.Reason, "transport") })
	})
}
