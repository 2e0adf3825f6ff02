package live

import (
	"context"
	"time"

	"lodge/internal/fault"
)

const (
	// sweepEvery is how long a caller whose rights ended can still listen.
	sweepEvery = time.Second
	// drainFor is how long clients have to take what waits for them at the end.
	drainFor = 5 * time.Second
)

// Run rechecks credentials, and at the end of ctx refuses new clients, sends what waits and closes
// every connection. It returns when they are gone, within some seconds.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.sweep(ctx)
		case <-ctx.Done():
			s.drain()
			return nil
		}
	}
}

// sweep asks for every listener whether its caller may go on.
func (s *Server) sweep(ctx context.Context) {
	s.recovery.forget()
	for _, x := range s.everySession() {
		x.mu.Lock()
		caller := x.caller
		x.mu.Unlock()
		if caller != nil {
			s.recheckOne(caller, &x.listener, func(room string, err error) {
				x.tell("subscribe", "", failed(text(err, subscribeRefused)+": "+room))
			})
		}
		if ctx.Err() != nil {
			return
		}
	}
	for _, x := range s.everyStream() {
		s.recheckOne(x.ctx, &x.listener, func(string, error) { x.end(reasonCredentials) })
	}
}

func (s *Server) recheckOne(caller context.Context, l *listener, lost func(room string, err error)) {
	if !lasting(s.recheck(caller)) {
		l.sink.end(reasonCredentials)
		return
	}
	if s.opts.Permit == nil {
		return
	}
	for _, room := range l.names() {
		if err := s.opts.Permit(caller, room); !lasting(err) && l.unsubscribe(room) {
			lost(room, err)
		}
	}
}

// lasting says whether a caller goes on after a check that ended so: that we cannot ask at the moment
// takes nobody's rights away.
func lasting(err error) bool {
	return err == nil || fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Timeout)
}

func (s *Server) everyStream() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*stream, 0, len(s.listeners))
	for x := range s.listeners {
		list = append(list, x)
	}
	return list
}

func (s *Server) drain() {
	s.mu.Lock()
	s.draining = true
	none := len(s.links) == 0
	s.mu.Unlock()
	for _, x := range s.everySession() {
		x.end(reasonShutdown)
	}
	for _, x := range s.everyStream() {
		x.end(reasonShutdown)
	}
	if none {
		return
	}
	wait := time.NewTimer(drainFor)
	defer wait.Stop()
	select {
	case <-s.idle:
		return
	case <-wait.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.links {
		l.abort()
	}
}
