package apps

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lodge/internal/fault"
)

// tracker keeps what requests show of use, in memory; runFlush writes it down.
type tracker struct {
	now  func() time.Time
	mu   sync.Mutex
	live map[string]*live
}

// live is one app session as this replica serves it.
type live struct {
	// active is the last use seen here, in microseconds; written is what the row knows of it.
	active  atomic.Int64
	by      atomic.Pointer[string]
	written atomic.Int64
	// requests and sockets count what is open.
	requests atomic.Int32
	// held counts requests that wait for the app to start.
	held    atomic.Int32
	mu      sync.Mutex
	sockets map[*socket]struct{}
}

func newTracker(now func() time.Time) *tracker { return &tracker{now: now, live: map[string]*live{}} }

func (t *tracker) of(id string) *live {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.live[id]
	if l == nil {
		l = &live{sockets: map[*socket]struct{}{}}
		t.live[id] = l
	}
	return l
}

// forgetAfter is how long something unused is remembered that is written down.
const forgetAfter = 10 * time.Minute

func (l *live) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests.Load() == 0 && len(l.sockets) == 0
}

// all lists what has been seen.
func (t *tracker) all() map[string]*live {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make(map[string]*live, len(t.live))
	for id, l := range t.live {
		list[id] = l
	}
	return list
}

func (t *tracker) drop(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.live, id)
}

// The sources of activity, as the API names them.
var (
	byRequest = "request"
	bySocket  = "websocket"
	byProbe   = "probe"
	byCPU     = "cpu"
	byAPI     = "api"
)

// note remembers a use. It costs a few atomic operations, for it is done for every request.
func (l *live) note(by *string, at time.Time) {
	us := at.UnixMicro()
	for {
		was := l.active.Load()
		if was >= us {
			return
		}
		if l.active.CompareAndSwap(was, us) {
			l.by.Store(by)
			return
		}
	}
}

// counts says whether a request that was answered shows that somebody uses the app.
func (a *App) counts(r *http.Request, status int) bool {
	if status >= http.StatusInternalServerError {
		return false
	}
	for _, ignored := range a.Activity.Ignore {
		if r.URL.Path == ignored || strings.HasSuffix(ignored, "/") && strings.HasPrefix(r.URL.Path, ignored) {
			return false
		}
	}
	switch a.Activity.HTTP {
	case "any":
		return true
	case "user":
		return navigation(r) || r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
	}
	return false
}

// navigation reports whether a browser asks for a page to show, and not a script or an image.
func navigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate" && r.Header.Get("Sec-Fetch-Dest") != "iframe" || mode == "navigate" && r.Header.Get("Sec-Fetch-Site") == "same-origin"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// flushSubject asks every replica to write down what it has seen.
const flushSubject = "apps.flush"

// runFlush writes activity down now and then, when asked, and at the end.
func (s *Service) runFlush(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.Cull.Flush)
	defer tick.Stop()
	var asked <-chan struct{}
	if s.bus != nil {
		messages, err := s.bus.Subscribe(ctx, flushSubject, 4)
		if err != nil {
			return err
		}
		calls := make(chan struct{}, 1)
		asked = calls
		go func() {
			for range messages {
				select {
				case calls <- struct{}{}:
				default:
				}
			}
		}()
	}
	for {
		select {
		case <-ctx.Done():
			last, done := bounded(ctx, 5*time.Second)
			defer done()
			s.flush(last)
			return nil
		case <-tick.C:
		case <-asked:
		}
		s.flush(ctx)
	}
}

// flush writes what was seen since the last time. A row that knows of later use stays as it is.
func (s *Service) flush(ctx context.Context) {
	began := s.now()
	for id, l := range s.tracker.all() {
		at := l.active.Load()
		if at <= l.written.Load() {
			if l.quiet() && began.Sub(time.UnixMicro(at)) > forgetAfter {
				s.tracker.drop(id)
			}
			continue
		}
		if err := s.store.writeActivity(ctx, id, *l.by.Load(), time.UnixMicro(at)); err != nil {
			if ctx.Err() == nil {
				s.log.WarnContext(ctx, "activity could not be written down", "error", err)
			}
			return
		}
		l.written.Store(at)
	}
	s.metrics.flush.Observe(s.now().Sub(began).Seconds())
}

// gatherWait is how long replicas have to write down what they have seen.
const gatherWait = 250 * time.Millisecond

// gatherActivity has every replica write down what it has seen, before anything is ended for idling.
func (s *Service) gatherActivity(ctx context.Context) {
	s.flush(ctx)
	if s.bus == nil || s.bus.Publish(flushSubject, nil) != nil {
		return
	}
	wait := time.NewTimer(gatherWait)
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-wait.C:
	}
}

// NoteActivity takes an app's own word for when it was last used.
func (s *Service) NoteActivity(ctx context.Context, id string, at time.Time) error {
	row, ctx, err := s.find(ctx, id, Open, StopAny)
	if err != nil {
		return err
	}
	if at.Sub(s.now()) > time.Minute {
		return fault.InvalidFields(fault.Field{Loc: []string{"body", "last_activity"}, Type: "invalid", Message: "lies more than a minute in the future"})
	}
	if row.State != Running {
		return fault.New(fault.Conflict, "the app session does not run")
	}
	return s.store.writeActivity(ctx, id, byAPI, at)
}

// askApp asks an app whether it is busy, or measures it. It reports whether the row knows more now.
func (s *Service) askApp(ctx context.Context, row Session) bool {
	now := s.now()
	if path := row.Entry.Activity.Probe; path != "" {
		if idle, ok := s.front.idleness(ctx, row, path); ok {
			return s.store.writeActivity(ctx, row.ID, byProbe, now.Add(-idle)) == nil
		}
	}
	if share := row.Entry.Activity.CPU; share > 0 {
		if s.load(ctx, row, now) > share {
			return s.store.writeActivity(ctx, row.ID, byCPU, now) == nil
		}
	}
	return false
}

// sample is what an app session had used when it was measured.
type sample struct {
	cpu time.Duration
	at  time.Time
}

// load is the share of one core that an app session has used since it was last measured.
func (s *Service) load(ctx context.Context, row Session, now time.Time) float64 {
	d, err := s.driver(row.Driver)
	if err != nil {
		return 0
	}
	stats, err := d.Stats(ctx, row.ID)
	if err != nil {
		return 0
	}
	key := workID(row)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.samples == nil {
		s.samples = map[string]sample{}
	}
	was, ok := s.samples[key]
	s.samples[key] = sample{stats.CPU, now}
	if !ok || !now.After(was.at) {
		return 0
	}
	return float64(stats.CPU-was.cpu) / float64(now.Sub(was.at))
}

// readIdleness reads an app's answer: seconds as a number, or {"last_activity": time}.
func readIdleness(body io.Reader, now time.Time) (time.Duration, bool) {
	text, err := io.ReadAll(io.LimitReader(body, 4<<10))
	if err != nil {
		return 0, false
	}
	trimmed := strings.TrimSpace(string(text))
	if seconds, err := strconv.ParseFloat(trimmed, 64); err == nil && seconds >= 0 && seconds < 1e9 {
		return time.Duration(seconds * float64(time.Second)), true
	}
	var answer struct {
		Last time.Time `json:"last_activity"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Last.IsZero() {
		return 0, false
	}
	return max(0, now.Sub(answer.Last)), true
}
