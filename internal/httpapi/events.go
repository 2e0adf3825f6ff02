package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ErrStreamOver is what Send answers once nobody listens any more, or the server drains.
var ErrStreamOver = errors.New("the event stream is over")

// eventTimes bound a stream: how often it shows that it lives, and how long one write may take.
const (
	eventHeartbeat = 15 * time.Second
	eventWrite     = 10 * time.Second
)

// EventStream sends server-sent events. A reader that does not keep up for the time of one write
// is dropped: whoever listens is told to keep its own bounded queue before it. Its methods may be
// called from several goroutines. The chain closes it when the handler returns.
type EventStream struct {
	lastID  string
	mu      sync.Mutex
	w       http.ResponseWriter
	control *http.ResponseController
	done    chan struct{}
	stop    sync.Once
	beats   sync.WaitGroup
}

// Events begins an event stream. The route needs Limits.Timeout -1 and Doc.Stream "text/event-stream".
func Events(w http.ResponseWriter, r *http.Request) (*EventStream, error) {
	return newEvents(w, r, eventHeartbeat)
}

func newEvents(w http.ResponseWriter, r *http.Request, heartbeat time.Duration) (*EventStream, error) {
	s := &EventStream{w: w, control: http.NewResponseController(w), done: make(chan struct{})}
	if id := r.Header.Get("Last-Event-ID"); len(id) <= 256 {
		s.lastID = id
	}
	var drained <-chan struct{}
	if x := exchangeFrom(r.Context()); x != nil && x.server != nil {
		x.stream, drained = s, x.server.drained
		x.w.stall = min(x.w.stall, eventWrite)
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would collect events otherwise
	w.WriteHeader(http.StatusOK)
	if err := s.write([]byte(": hello\n\n")); err != nil {
		return nil, err
	}

	s.beats.Add(1)
	go func() {
		defer s.beats.Done()
		beat := time.NewTicker(heartbeat)
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
				if s.write([]byte(": \n\n")) != nil {
					return
				}
			case <-r.Context().Done():
				s.end()
				return
			case <-drained:
				s.end()
				return
			case <-s.done:
				return
			}
		}
	}()
	return s, nil
}

// LastEventID is what a reader that comes back saw last, or "".
func (s *EventStream) LastEventID() string { return s.lastID }

// Done is closed when the reader went away, was dropped, or the server drains.
func (s *EventStream) Done() <-chan struct{} { return s.done }

// Send sends one event with data as JSON; event and id may be empty. After an error the stream is over.
func (s *EventStream) Send(event, id string, data any) error {
	if strings.ContainsAny(event, "\r\n") || strings.ContainsAny(id, "\r\n\x00") {
		return fmt.Errorf("send event %q: names and ids are one line", event)
	}
	payload, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("send event %q: %w", event, err)
	}
	var msg bytes.Buffer
	if event != "" {
		msg.WriteString("event: " + event + "\n")
	}
	if id != "" {
		msg.WriteString("id: " + id + "\n")
	}
	msg.WriteString("data: ")
	msg.Write(payload)
	msg.WriteString("\n\n")
	return s.write(msg.Bytes())
}

func (s *EventStream) write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		return ErrStreamOver
	default:
	}
	_, err := s.w.Write(p)
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		s.end()
		return fmt.Errorf("%w: %w", ErrStreamOver, err)
	}
	return nil
}

func (s *EventStream) end() { s.stop.Do(func() { close(s.done) }) }

// Close ends the stream and waits until nothing is written any more.
func (s *EventStream) Close() {
	s.end()
	s.beats.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
}

func (x *exchange) closeStream() {
	if x.stream != nil {
		x.stream.Close()
	}
}
