package apps

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lodge/internal/access"
)

// frames follows the frames of one direction of a WebSocket, without changing a byte.
type frames struct {
	head [14]byte
	have int
	// left is what is still to come of the payload; small keeps a short one.
	left  uint64
	size  uint64
	mask  [4]byte
	small []byte
	first byte
	done  func(opcode byte, compressed bool, size uint64, small []byte)
}

const smallFrame = 16

// boundary says whether the next byte begins a frame.
func (f *frames) boundary() bool { return f.have == 0 && f.left == 0 }

// feed looks at bytes that pass.
func (f *frames) feed(b []byte) {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(uint64(len(b)), f.left)
			if f.size <= smallFrame {
				f.small = append(f.small, b[:n]...)
			}
			b, f.left = b[n:], f.left-n
			if f.left == 0 {
				f.end()
			}
			continue
		}
		f.head[f.have] = b[0]
		f.have++
		b = b[1:]
		if f.have == f.need() {
			f.begin()
		}
	}
}

// need is how long the head is, as far as it is known.
func (f *frames) need() int {
	if f.have < 2 {
		return 2
	}
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

func (f *frames) begin() {
	at := 2
	switch length := f.head[1] & 0x7f; length {
	case 126:
		f.size, at = uint64(binary.BigEndian.Uint16(f.head[2:])), 4
	case 127:
		f.size, at = binary.BigEndian.Uint64(f.head[2:]), 10
	default:
		f.size = uint64(length)
	}
	f.mask = [4]byte{}
	if f.head[1]&0x80 != 0 {
		copy(f.mask[:], f.head[at:at+4])
	}
	f.first, f.left, f.have, f.small = f.head[0], f.size, 0, f.small[:0]
	if f.left == 0 {
		f.end()
	}
}

func (f *frames) end() {
	for i := range f.small {
		f.small[i] ^= f.mask[i%4]
	}
	if f.done != nil {
		f.done(f.first&0x0f, f.first&0x40 != 0, f.size, f.small)
	}
}

// socket is an upgraded connection between a browser and an app, on the browser's side.
type socket struct {
	net.Conn
	p         *passage
	websocket bool
	ctx       context.Context
	now       func() time.Time
	from      frames
	moved     atomic.Int64 // when a byte last went either way

	writing sync.Mutex
	to      frames
	once    sync.Once
	over    func()
}

// Hijack implements http.Hijacker for the proxy, which copies the connection from then on.
func (w *passageWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	s := &socket{Conn: conn, p: w.p, ctx: w.request.Context(), now: w.front.now, websocket: strings.EqualFold(w.request.Header.Get("Upgrade"), "websocket")}
	rule := w.p.row.Entry.Activity
	s.from.done = func(opcode byte, compressed bool, size uint64, small []byte) {
		if rule.WebSocket == "input" && isInput(opcode, compressed, size, small, rule.IgnoreFrames) {
			w.p.live.note(&bySocket, w.front.now())
		}
	}
	s.moved.Store(w.front.now().UnixNano())
	w.p.live.add(s)
	w.front.metrics.sockets.Inc()
	s.over = func() {
		w.p.live.remove(s)
		w.front.metrics.sockets.Dec()
	}
	// The head of the answer goes past us; what follows it are frames.
	return s, buffered, nil
}

// isInput reports whether a frame from the browser shows that somebody is there.
func isInput(opcode byte, compressed bool, size uint64, small []byte, ignored []string) bool {
	if opcode > 2 {
		return false
	}
	return compressed || size > smallFrame || !slices.Contains(ignored, string(small))
}

// Read is what the browser sends.
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if n > 0 {
		now := s.now().UnixNano()
		s.moved.Store(now)
		s.p.in.Add(int64(n))
		if s.websocket {
			s.from.feed(b[:n])
		}
		s.any(now)
	}
	return n, err
}

// Write is what the app sends.
func (s *socket) Write(b []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	n, err := s.Conn.Write(b)
	if n > 0 {
		now := s.now().UnixNano()
		s.moved.Store(now)
		s.p.out.Add(int64(n))
		if s.websocket {
			s.to.feed(b[:n])
		}
		s.any(now)
	}
	return n, err
}

func (s *socket) any(now int64) {
	if s.p.row.Entry.Activity.WebSocket == "any" {
		s.p.live.note(&bySocket, time.Unix(0, now))
	}
}

// CloseWrite lets the app's end be seen while the browser may still send.
func (s *socket) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return s.Close()
}

// Close implements net.Conn.
func (s *socket) Close() error {
	s.once.Do(s.over)
	return s.Conn.Close()
}

// interject sends a frame of ours, if the app is not in the middle of one of its own.
func (s *socket) interject(frame ...byte) {
	if !s.websocket || !s.writing.TryLock() {
		return
	}
	defer s.writing.Unlock()
	if s.to.boundary() {
		_ = s.SetWriteDeadline(time.Now().Add(time.Second)) //nolint:forbidigo // the kernel's clock; a broken connection tells by itself
		_, _ = s.Conn.Write(frame)
		_ = s.SetWriteDeadline(time.Time{})
	}
}

// goAway ends the connection from our side.
func (s *socket) goAway() {
	s.interject(0x88, 0x02, 0x03, 0xe9) // close, 1001
	_ = s.Close()                       // it may be closed already
}

func (l *live) add(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sockets[s] = struct{}{}
}

func (l *live) remove(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sockets, s)
}

func (l *live) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sockets)
}

func (l *live) list() []*socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*socket, 0, len(l.sockets))
	for s := range l.sockets {
		list = append(list, s)
	}
	return list
}

const (
	// socketCheck is how often open connections are compared with the rights of whoever opened them.
	socketCheck = 300 * time.Millisecond
	// socketPing is after how long of silence the browser is asked whether it is there.
	socketPing = 30 * time.Second
)

// runSockets ends connections whose login, right or app session is over, and pings silent ones.
func (s *Service) runSockets(ctx context.Context) error {
	tick := time.NewTicker(socketCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, l := range s.tracker.all() {
				for _, one := range l.list() {
					one.goAway()
				}
			}
			return nil
		case <-tick.C:
		}
		now := s.now()
		for _, l := range s.tracker.all() {
			for _, one := range l.list() {
				s.checkSocket(one, l, now)
			}
		}
	}
}

func (s *Service) checkSocket(one *socket, l *live, now time.Time) {
	p := one.p
	ctx := access.WithCaller(one.ctx, p.caller)
	row, _, err := s.route(ctx, p.target, false)
	if err == nil && (row.State != Running || row.Run != p.row.Run) || s.over(ctx, p) {
		one.goAway()
		return
	}
	if p.row.Entry.Activity.WebSocket == "open" {
		l.note(&bySocket, now)
	}
	if silent := now.UnixNano() - one.moved.Load(); silent > int64(socketPing) {
		one.moved.Store(now.UnixNano())
		one.interject(0x89, 0x00)
	}
}

// over says whether the caller of an open connection could not open it any more.
func (s *Service) over(ctx context.Context, p *passage) bool {
	c, err := s.identity.Renew(ctx, p.caller)
	if err != nil {
		return ctx.Err() == nil
	}
	return s.front.mayPass(access.WithCaller(ctx, c), &passage{target: p.target, caller: c, program: p.program}) != nil
}
