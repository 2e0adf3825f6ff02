package rosbridge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"lodge/internal/fleet/rosbridge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bridge is a rosbridge that keeps what it is told and says what the test wants.
type bridge struct {
	t      testing.TB
	web    *httptest.Server
	frames chan map[string]any
	conns  chan *websocket.Conn
	// refuse answers handshakes with 503; deaf reads nothing, so that pings go unanswered; rude closes
	// at once.
	refuse, deaf, rude atomic.Bool
	handshakes         atomic.Int64
	quit               chan struct{}
}

func newBridge(t testing.TB) *bridge {
	b := &bridge{t: t, frames: make(chan map[string]any, 1000), conns: make(chan *websocket.Conn, 100), quit: make(chan struct{})}
	b.web = httptest.NewUnstartedServer(http.HandlerFunc(b.serve))
	// What a deaf bridge is sent would else fit into what some kernels keep for a connection.
	b.web.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if err := c.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
			t.Error(err)
		}
		return ctx
	}
	b.web.Start()
	t.Cleanup(func() {
		close(b.quit)
		b.web.Close()
	})
	return b
}

func (b *bridge) url() string { return "ws" + strings.TrimPrefix(b.web.URL, "http") }

func (b *bridge) serve(w http.ResponseWriter, r *http.Request) {
	b.handshakes.Add(1)
	if b.refuse.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	if b.rude.Load() {
		return
	}
	conn.SetReadLimit(-1)
	b.conns <- conn
	if b.deaf.Load() {
		<-b.quit
		return
	}
	for {
		_, text, err := conn.Read(context.WithoutCancel(r.Context()))
		if err != nil {
			return
		}
		var frame map[string]any
		if err := json.Unmarshal(text, &frame); err != nil {
			b.t.Errorf("the client sent %q", text)
		}
		b.frames <- frame
	}
}

// conn waits for the next connection.
func (b *bridge) conn() *websocket.Conn {
	b.t.Helper()
	select {
	case c := <-b.conns:
		return c
	case <-time.After(15 * time.Second):
		b.t.Fatal("no connection came")
		return nil
	}
}

// want waits for the next frame and compares it.
func (b *bridge) want(text string) {
	b.t.Helper()
	var want any
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		b.t.Fatal(err)
	}
	select {
	case got := <-b.frames:
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		if !bytes.Equal(g, w) {
			b.t.Fatalf("got  %s\nwant %s", g, w)
		}
	case <-time.After(15 * time.Second):
		b.t.Fatalf("never came: %s", text)
	}
}

func say(t testing.TB, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

type heard struct{ topic, msg string }

// peer is a running client with what it heard and logged.
type peer struct {
	*rosbridge.Client
	t     testing.TB
	heard chan heard
	log   *logged
	stop  func()
}

type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func start(t testing.TB, cfg rosbridge.Config) *peer {
	t.Helper()
	cfg.MinBackoff, cfg.MaxBackoff = 5*time.Millisecond, 50*time.Millisecond
	p := &peer{t: t, heard: make(chan heard, 1000), log: &logged{}}
	on := func(topic string, msg json.RawMessage) {
		if string(msg) == `"panic"` {
			panic("a message that is not to be borne")
		}
		p.heard <- heard{topic, string(msg)}
	}
	p.Client = rosbridge.New(cfg, on, time.Now, slog.New(slog.NewTextHandler(p.log, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(p.stop)
	return p
}

func (p *peer) want(topic, msg string) {
	p.t.Helper()
	select {
	case h := <-p.heard:
		if h.topic != topic || h.msg != msg {
			p.t.Fatalf("heard %s %.100s, want %s %.100s", h.topic, h.msg, topic, msg)
		}
	case <-time.After(15 * time.Second):
		p.t.Fatalf("never heard %s %.100s", topic, msg)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
