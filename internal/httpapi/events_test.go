package httpapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// eventsServer serves one stream with a fast heartbeat.
func eventsServer(t *testing.T, cfg Config, heartbeat time.Duration, run func(*EventStream, *http.Request) error) (*Server, string) {
	t.Helper()
	s := newServer(t, cfg, Mount{Name: "x", Routes: []Route{{
		Method: "GET", Path: "/events", Action: Public, Limits: Limits{Timeout: -1}, Doc: Doc{Stream: "text/event-stream"},
		Handle: func(w http.ResponseWriter, r *http.Request) error {
			events, err := newEvents(w, r, heartbeat)
			if err != nil {
				return err
			}
			return run(events, r)
		},
	}}})
	return s, "http://" + listen(t, s.Handler()) + "/events"
}

func openStream(t *testing.T, url string) (h http.Header, in *bufio.Reader, leave func()) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", "41")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	leave = func() { _ = res.Body.Close() }
	t.Cleanup(leave)
	return res.Header, bufio.NewReader(res.Body), leave
}

func TestEvents(t *testing.T) {
	t.Parallel()
	_, url := eventsServer(t, Config{}, time.Hour, func(e *EventStream, _ *http.Request) error {
		if err := e.Send("changed", "42", map[string]string{"after": e.LastEventID(), "html": "a\nb"}); err != nil {
			return err
		}
		return e.Send("", "", 7)
	})
	h, in, _ := openStream(t, url)
	got, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	const want = ": hello\n\nevent: changed\nid: 42\ndata: {\"after\":\"41\",\"html\":\"a\\nb\"}\n\ndata: 7\n\n"
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" || h.Get("Content-Encoding") != "" {
		t.Errorf("headers %v", h)
	}
}

func TestEventsAreOneLine(t *testing.T) {
	t.Parallel()
	e, err := Events(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, bad := range [][2]string{{"a\nb", ""}, {"", "1\r2"}, {"", "1\x002"}} {
		if e.Send(bad[0], bad[1], nil) == nil {
			t.Errorf("sent %q", bad)
		}
	}
	if e.Send("x", "", func() {}) == nil {
		t.Error("sent what is no JSON")
	}
	if err := e.Send("still", "works", nil); err != nil {
		t.Error(err)
	}
}

func TestEventsHeartbeat(t *testing.T) {
	t.Parallel()
	_, url := eventsServer(t, Config{}, time.Millisecond, func(e *EventStream, _ *http.Request) error {
		<-e.Done()
		return nil
	})
	_, in, _ := openStream(t, url)
	for beats := 0; beats < 3; {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == ": \n" {
			beats++
		}
	}
}

func TestEventsEndWithTheReader(t *testing.T) {
	t.Parallel()
	over := make(chan error, 1)
	_, url := eventsServer(t, Config{}, time.Hour, func(e *EventStream, _ *http.Request) error {
		<-e.Done()
		over <- e.Send("late", "", 1)
		return nil
	})
	_, _, leave := openStream(t, url)
	leave()
	if err := <-over; !errors.Is(err, ErrStreamOver) {
		t.Errorf("sent to nobody: %v", err)
	}
}

func TestEventsEndWithTheServer(t *testing.T) {
	t.Parallel()
	s, url := eventsServer(t, Config{}, time.Hour, func(e *EventStream, _ *http.Request) error {
		<-e.Done()
		return nil
	})
	_, in, _ := openStream(t, url)
	s.Drain()
	s.Drain()
	if got, err := io.ReadAll(in); err != nil || string(got) != ": hello\n\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestEventsDropAStuckReader: a reader that takes nothing costs one write's time, not a goroutine for ever.
func TestEventsDropAStuckReader(t *testing.T) {
	t.Parallel()
	over := make(chan error, 1)
	_, url := eventsServer(t, Config{StallTimeout: 50 * time.Millisecond}, time.Hour, func(e *EventStream, _ *http.Request) error {
		payload := strings.Repeat("x", 64<<10)
		for {
			if err := e.Send("load", "", payload); err != nil {
				over <- err
				return err
			}
		}
	})
	openStream(t, url) // and never reads
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case err := <-over:
		if !errors.Is(err, ErrStreamOver) {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Error("the stuck reader is still served")
	}
}
