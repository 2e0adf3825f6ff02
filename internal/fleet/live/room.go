package live

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"lodge/internal/fault"
)

// rooms knows who listens to what. Its lock is taken before that of any listener.
type rooms struct {
	mu      sync.RWMutex
	byName  map[string][]*subscription
	entries int
}

// subscription is one listener in one room.
type subscription struct {
	owner *listener
	room  string
	// index is its place in the room, guarded by the lock of rooms; -1 when it is in none.
	index int

	// The rest is guarded by the owner's lock.
	kind Kind
	// holding says that Subscribe is being asked; what arrives meanwhile waits in held.
	holding bool
	held    outbox
	// gaps says that held has no more than the newest values: too little if this is a Log.
	gaps bool
}

// hold keeps an event back. All are kept at first, because the room's kind is not known yet.
func (s *subscription) hold(m *message, max limits) (ok bool) {
	if !s.gaps && len(s.held.queue) < max.logs {
		return s.held.push(m, false, max)
	}
	if !s.gaps {
		all := s.held.take(s.held.bytes)
		s.gaps = true
		for _, e := range all {
			s.held.put(e.message, max)
		}
	}
	_, ok = s.held.put(m, max)
	return ok
}

// release gives out what was held back.
func (s *subscription) release() (list []entry, complete bool) {
	list, complete = s.held.take(s.held.bytes), !s.gaps
	s.held, s.holding, s.gaps = outbox{}, false, false
	return list, complete
}

func (r *rooms) add(s *subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.index = len(r.byName[s.room])
	r.byName[s.room] = append(r.byName[s.room], s)
	r.entries++
}

// remove takes subscriptions out; one that is in no room is no error.
func (r *rooms) remove(list ...*subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range list {
		if s.index < 0 {
			continue
		}
		all := r.byName[s.room]
		last := len(all) - 1
		all[s.index], all[last].index = all[last], s.index
		all[last] = nil
		s.index = -1
		r.entries--
		if last == 0 {
			delete(r.byName, s.room)
		} else {
			r.byName[s.room] = all[:last]
		}
	}
}

// Publish emits data as an event named like the room to everybody who listens to it. Of a State room
// only the newest value per key must arrive. It never blocks, and keeps data no longer than it takes.
// Events of one room must come from one goroutine at a time if their order matters. The data must be
// valid JSON.
func (s *Server) Publish(room, key string, data json.RawMessage) {
	s.counts.published.Add(1)
	s.rooms.mu.RLock()
	defer s.rooms.mu.RUnlock()
	list := s.rooms.byName[room]
	if len(list) == 0 {
		return
	}
	m := newEvent(room, key, data)
	for _, sub := range list {
		sub.owner.offer(sub, m)
	}
}

// listener is what sessions and Listen have in common: subscriptions and an outbox.
type listener struct {
	server *Server
	sink   sink

	mu   sync.Mutex
	out  outbox
	subs map[string]*subscription
	// over is why the listener ended, or "".
	over reason
	// full says that its end was called for already, because it fell behind.
	full bool
}

// sink is the way out of a listener: a session's transport, or the channel of Listen.
type sink interface {
	// wake is called with the listener's lock held when there is something in the outbox, or when it
	// is over. It does not block.
	wake()
	// end ends the listener. Ending it twice is no error.
	end(why reason)
}

var errOver = errors.New("the connection is over")

// offer is the one way of live events into an outbox.
func (l *listener) offer(sub *subscription, m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over != "" || l.full:
	case sub.holding:
		if !sub.hold(m, l.server.limits) {
			l.overflow()
		}
	default:
		l.deliver(sub.kind, m)
	}
}

// deliver puts an event into the outbox. The lock is held.
func (l *listener) deliver(kind Kind, m *message) {
	if kind == Log {
		l.settled(l.out.push(m, true, l.server.limits))
		return
	}
	superseded, ok := l.out.put(m, l.server.limits)
	if superseded {
		l.server.counts.superseded.Add(1)
	}
	l.settled(ok)
}

// send puts an answer or a replayed event into the outbox. The lock is held.
func (l *listener) send(m *message) {
	if l.over == "" && !l.full {
		l.settled(l.out.push(m, false, l.server.limits))
	}
}

func (l *listener) settled(ok bool) {
	if !ok {
		l.overflow()
		return
	}
	l.sink.wake()
}

// overflow drops a listener that fell behind. Its end takes the lock of rooms, which is held here.
func (l *listener) overflow() {
	l.full = true
	l.out.clear()
	go l.sink.end(reasonBehind)
}

// subscribe attaches the listener to a room and sends the replay. In a room where it is already, only
// the replay is sent again. The error's text is for the client.
func (l *listener) subscribe(ctx context.Context, room string) error {
	sub, fresh, err := l.enter(room)
	if err != nil {
		return err
	}
	if fresh {
		l.server.rooms.add(sub)
	}
	kind, replay, err := l.server.subscribe(ctx, room)

	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.subs[room] == sub {
		sub.kind = kind
		l.out.settle(room)
		for _, data := range replay {
			l.send(newEvent(room, "", data))
		}
		held, complete := sub.release()
		if kind == Log && !complete && !l.full {
			l.overflow()
		}
		for _, e := range held {
			if !l.full {
				l.deliver(kind, e.message)
			}
		}
		return nil
	}
	if err == nil {
		err = errOver
	}
	if l.subs[room] == sub {
		delete(l.subs, room)
	}
	sub.release()
	l.mu.Unlock()
	l.server.rooms.remove(sub) // whose lock comes first
	l.mu.Lock()
	return err
}

// enter finds or makes the subscription and lets it hold back events.
func (l *listener) enter(room string) (sub *subscription, fresh bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over != "" {
		return nil, false, errOver
	}
	sub = l.subs[room]
	if sub == nil {
		if len(l.subs) >= l.server.opts.MaxRooms {
			return nil, false, fault.New(fault.Exhausted, "too many rooms")
		}
		if l.subs == nil {
			l.subs = make(map[string]*subscription)
		}
		sub, fresh = &subscription{owner: l, room: room, index: -1}, true
		l.subs[room] = sub
	}
	sub.holding = true
	return sub, fresh, nil
}

// unsubscribe reports whether the listener was in the room.
func (l *listener) unsubscribe(room string) bool {
	l.mu.Lock()
	sub := l.subs[room]
	delete(l.subs, room)
	l.mu.Unlock()
	if sub == nil {
		return false
	}
	l.server.rooms.remove(sub)
	return true
}

// names lists the rooms, for recovery and for asking again.
func (l *listener) names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]string, 0, len(l.subs))
	for room := range l.subs {
		list = append(list, room)
	}
	return list
}

// finish marks the listener as over and leaves all rooms. It reports false when it was over already.
func (l *listener) finish(why reason) (left []string, first bool) {
	l.mu.Lock()
	if l.over != "" {
		l.mu.Unlock()
		return nil, false
	}
	l.over = why
	if !why.flushes() {
		l.out.clear()
	}
	subs := make([]*subscription, 0, len(l.subs))
	for room, sub := range l.subs {
		subs = append(subs, sub)
		left = append(left, room)
	}
	l.subs = nil
	l.sink.wake()
	l.mu.Unlock()
	l.server.rooms.remove(subs...)
	return left, true
}
