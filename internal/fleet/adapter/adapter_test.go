package adapter

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// connect serves one adapter with short pings, and gives its connection. asked counts the pings.
func connect(t *testing.T, take func(context.Context, []byte) error) (server *Server, conn *websocket.Conn, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	server = New(Config{
		Ping:    10 * time.Millisecond,
		Admit:   func(r *http.Request, _ bool) (context.Context, error) { return r.Context(), nil },
		Recheck: func(context.Context) error { asked.Add(1); return nil },
		Take:    take,
	}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = server.Handle(w, r) }))
	t.Cleanup(web.Close)
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(web.URL, "http"), nil) //nolint:bodyclose // it has none
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return server, conn, asked
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in vain: ", what)
		}
	}
}

// TestASenderWhoWaitsIsNotDropped has a message that takes longer than a ping may.
func TestASenderWhoWaitsIsNotDropped(t *testing.T) {
	t.Parallel()
	hold, taken := make(chan struct{}), make(chan string, 2)
	server, conn, asked := connect(t, func(ctx context.Context, message []byte) error {
		taken <- string(message)
		select {
		case <-hold:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	conn.CloseRead(t.Context()) // answers pings
	for _, text := range []string{"one", "two"} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	<-taken
	before := asked.Load()
	until(t, "some pings", func() bool { return asked.Load() > before+3 || server.Connections() == 0 })
	close(hold)
	select {
	case text := <-taken:
		if text != "two" {
			t.Errorf("%q was taken", text)
		}
	case <-time.After(10 * time.Second):
		t.Error("the connection did not last")
	}
}

// TestASilentPeerIsDropped has one that answers no ping.
func TestASilentPeerIsDropped(t *testing.T) {
	t.Parallel()
	server, conn, _ := connect(t, func(context.Context, []byte) error { return nil })
	until(t, "the connection", func() bool { return server.Connections() == 1 })
	until(t, "its end", func() bool { return server.Connections() == 0 })
	_ = conn.CloseNow()
}
