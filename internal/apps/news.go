package apps

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// newsSubject is where replicas tell each other that an app session has changed; the message is its id.
const newsSubject = "apps.session"

// news wakes those in this process who wait for an app session to change.
type news struct {
	mu   sync.Mutex
	subs map[string]map[chan struct{}]struct{}
}

func newNews() *news { return &news{subs: map[string]map[chan struct{}]struct{}{}} }

// listen gives a channel that has something to read after a change, until end is called.
func (n *news) listen(id string) (changed <-chan struct{}, end func()) {
	c := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.subs[id] == nil {
		n.subs[id] = map[chan struct{}]struct{}{}
	}
	n.subs[id][c] = struct{}{}
	return c, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if delete(n.subs[id], c); len(n.subs[id]) == 0 {
			delete(n.subs, id)
		}
	}
}

func (n *news) wake(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.subs[id] {
		select {
		case c <- struct{}{}:
		default: // it has not looked since the last change
		}
	}
}

// tell makes a change known here at once, and elsewhere soon. A lost message costs a little time.
func (s *Service) tell(id string) {
	s.heard(id)
	if s.bus == nil {
		return
	}
	if err := s.bus.Publish(newsSubject, []byte(id)); err != nil {
		s.log.Debug("news of an app session was not sent", slog.Any("error", err))
	}
}

func (s *Service) heard(id string) {
	s.routes.forget(id)
	s.news.wake(id)
}

// runNews hears what other replicas changed.
func (s *Service) runNews(ctx context.Context) error {
	if s.bus == nil {
		return nil
	}
	messages, err := s.bus.Subscribe(ctx, newsSubject, 1024)
	if err != nil {
		return err
	}
	for m := range messages {
		id := string(m.Data)
		s.heard(id)
		if row, err := s.store.session(ctx, s.store.db, id); err == nil && !row.State.Live() {
			// It was stopped elsewhere: a start under way here is for nothing.
			s.interrupt(id, errMoved)
		}
	}
	return nil
}

// pollEvery is how often those who wait look by themselves, for the case that news are lost.
const pollEvery = 500 * time.Millisecond

// waitFor reads an app session until it is as wanted, or the time is over, and gives how it stands then.
func (s *Service) waitFor(ctx context.Context, id string, atMost time.Duration, wanted func(Session) bool) (Session, error) {
	changed, end := s.news.listen(id)
	defer end()
	over := time.NewTimer(atMost)
	defer over.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		row, err := s.store.session(ctx, s.store.db, id)
		if err != nil || wanted(row) {
			return row, err
		}
		select {
		case <-ctx.Done():
			return row, ctx.Err()
		case <-over.C:
			return row, nil
		case <-changed:
		case <-poll.C:
		}
	}
}
