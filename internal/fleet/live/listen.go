package live

import (
	"context"
	"encoding/json"

	"lodge/internal/fault"
)

// ErrNoRoom is what Subscribe answers for a name that is no room.
var ErrNoRoom = fault.New(fault.Missing, "no events in path")

// stream is a listener within the process.
type stream struct {
	listener
	ctx    context.Context //nolint:containedctx // the caller's, for rechecks
	cancel context.CancelFunc
	// ready says that there may be something in the outbox.
	ready chan struct{}
}

// Listen gives the data of a room's events to the process itself, for transports other than socket.io. It
// asks Subscribe, sends the replay first, and is rechecked like any client. The channel is closed when
// ctx ends, stop is called, the credentials end, the reader falls behind in a Log room, or the server
// drains. Whoever reads must call stop.
func (s *Server) Listen(ctx context.Context, room string) (events <-chan json.RawMessage, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	x := &stream{listener: listener{server: s}, ctx: ctx, cancel: cancel, ready: make(chan struct{}, 1)}
	x.sink = x
	s.mu.Lock()
	if err := s.admit(); err != nil {
		s.mu.Unlock()
		cancel()
		return nil, nil, err
	}
	s.listeners[x] = struct{}{}
	s.mu.Unlock()
	stop = func() { x.end(reasonClient) }
	if err := x.subscribe(ctx, room); err != nil {
		stop()
		return nil, nil, err
	}
	out := make(chan json.RawMessage)
	go x.pump(out)
	return out, stop, nil
}

// pump moves the outbox into the channel, one by one so that values can still be superseded.
func (x *stream) pump(out chan<- json.RawMessage) {
	defer close(out)
	defer x.end(reasonClient)
	for {
		x.mu.Lock()
		list := x.out.take(1)
		x.mu.Unlock()
		for _, m := range list {
			select {
			case out <- m.data:
				x.server.counts.sent.Add(1)
			case <-x.ctx.Done():
				return
			}
		}
		if len(list) > 0 {
			continue
		}
		select {
		case <-x.ready:
		case <-x.ctx.Done():
			return
		}
	}
}

func (x *stream) wake() {
	select {
	case x.ready <- struct{}{}:
	default:
	}
}

func (x *stream) end(why reason) {
	left, first := x.finish(why)
	if !first {
		return
	}
	x.cancel()
	s := x.server
	s.mu.Lock()
	delete(s.listeners, x)
	s.mu.Unlock()
	s.ended(context.WithoutCancel(x.ctx), why, len(left))
}
