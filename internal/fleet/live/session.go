package live

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

// session is one Engine.IO connection, whatever carries it at the moment.
type session struct {
	listener
	sid string

	// inbound makes packets of the client one at a time, whichever way they come. It is taken before
	// the listener's lock.
	inbound sync.Mutex
	// missing is how many binary attachments of the packet in parts are still to come.
	missing int
	parts   socketPacket
	// request began the session; it is dropped when the caller is known.
	request *http.Request

	// The rest is guarded by the listener's lock.

	// link is the WebSocket, nil while the session polls.
	link *link
	// waiter wakes the poll that waits.
	waiter chan struct{}
	// posting says that a POST is being worked on: the client sends one at a time.
	posting bool
	// upgrading says that a WebSocket is being tried; polls are answered at once meanwhile.
	upgrading bool
	// writing says that a goroutine empties the outbox into the link.
	writing bool
	// timer ends the time without a login, then sends pings, then ends the wait for the pong.
	timer      *time.Timer
	unanswered bool
	// id and pid are the names that socket.io knows the client by, "" without a caller.
	id, pid string
	caller  context.Context //nolint:containedctx // the values that Auth gave for this connection
	cancel  context.CancelFunc
}

// newSession is called with the server's lock held.
func newSession(s *Server, r *http.Request) *session {
	x := &session{listener: listener{server: s}, sid: newID(), request: r}
	x.sink = x
	x.timer = time.AfterFunc(s.opts.HandshakeTimeout, x.beat)
	return x
}

func (x *session) overWebSocket() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.link != nil
}

// hello is the open packet.
func (x *session) hello(upgrades ...string) *message {
	if upgrades == nil {
		upgrades = []string{}
	}
	opts := x.server.opts
	return newPacket(string(rune(engineOpen)) + marshal(struct {
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingTimeout  int64    `json:"pingTimeout"`
		PingInterval int64    `json:"pingInterval"`
		MaxPayload   int64    `json:"maxPayload"`
	}{x.sid, upgrades, opts.PingTimeout.Milliseconds(), opts.PingInterval.Milliseconds(), opts.MaxPayload}))
}

// beat is what the timer does.
func (x *session) beat() {
	x.mu.Lock()
	why := reason("")
	switch {
	case x.over != "":
	case x.id == "":
		why = reasonHandshake
	case x.unanswered:
		why = reasonPing
	default:
		x.unanswered = true
		x.send(x.server.ping)
		x.timer.Reset(x.server.opts.PingTimeout)
	}
	x.mu.Unlock()
	if why != "" {
		x.end(why)
	}
}

func (x *session) pong() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over == "" && x.id != "" {
		x.unanswered = false
		x.timer.Reset(x.server.opts.PingInterval)
	}
}

// receive acts on one packet of the client and reports whether the session goes on.
func (x *session) receive(p packet) bool {
	x.inbound.Lock()
	defer x.inbound.Unlock()
	defer func() { // a WebSocket is read outside of the chain that would recover
		if err := recover(); err != nil {
			x.server.log.LogAttrs(context.Background(), slog.LevelError, "live handler panicked",
				slog.String("panic", fmt.Sprint(err)), slog.String("stack", string(debug.Stack())))
			x.end(reasonInternal)
		}
	}()
	if x.isOver() {
		return false
	}
	switch p.kind {
	case engineMessage:
		if err := x.handle(p); err != nil {
			x.end(reasonProtocol)
		}
	case enginePong:
		x.pong()
	case engineClose:
		x.end(reasonClosed)
	case engineNoop:
	default: // only the server opens and pings; an upgrade is no business of an open transport
		x.end(reasonProtocol)
	}
	return !x.isOver()
}

func (x *session) isOver() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.over != ""
}

// reply sends one packet.
func (x *session) reply(text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.send(newPacket(text))
}

// wake makes the transport send what waits. The lock is held.
func (x *session) wake() {
	switch {
	case x.link != nil && !x.writing:
		x.writing = true
		go x.write(x.link)
	case x.link == nil && x.waiter != nil:
		select {
		case x.waiter <- struct{}{}:
		default:
		}
	}
}

// batch is how much is written at a time: what waits meanwhile can still be superseded.
const batch = 256 << 10

// write empties the outbox into the link, then closes it if the session is over.
func (x *session) write(l *link) {
	for {
		x.mu.Lock()
		list := x.out.take(batch)
		if len(list) == 0 {
			why := x.over
			x.writing = why != "" // nobody writes after the end
			x.mu.Unlock()
			if why != "" {
				l.close(why)
			}
			return
		}
		x.mu.Unlock()
		if err := l.send(list); err != nil {
			l.abort() // writing stays true: nobody else tries
			x.end(reasonTransport)
			return
		}
	}
}

// goodbye is how long a connection may outlive its session.
const goodbye = 3 * time.Second

// end ends the session.
func (x *session) end(why reason) {
	left, first := x.finish(why)
	if !first {
		return
	}
	x.mu.Lock()
	x.timer.Stop()
	known, pid, cancel := x.id != "", x.pid, x.cancel
	if x.link != nil { // a writer that is stuck, or a peer that does not say goodbye
		time.AfterFunc(goodbye, x.link.abort)
	}
	x.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	s := x.server
	s.mu.Lock()
	delete(s.sessions, x.sid)
	if !known {
		s.unknown--
	}
	s.mu.Unlock()
	if pid != "" {
		s.recovery.leave(pid, x, left, why)
	}
	s.ended(context.Background(), why, len(left))
}
