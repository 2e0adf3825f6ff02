package live

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// link is the WebSocket of a session. The library shakes hands, reads, and answers control frames;
// data frames are encoded already and go straight to the connection, many in one system call.
type link struct {
	server *Server
	ws     *websocket.Conn
	conn   *sharedConn
	stall  *time.Timer
}

// sharedConn lets the library's control frames and our data frames take turns. The library flushes
// control frames whole, because they fit into its buffer, so each Write is a frame.
type sharedConn struct {
	net.Conn
	// early is what the client sent before the handshake was done.
	early []byte
	mu    sync.Mutex
}

func (c *sharedConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	return c.Conn.Read(p)
}

func (c *sharedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Conn.Write(p)
}

// Sizes of the library's buffers: large messages are read and written past them, and the default of
// 4 KiB each is most of what an idle connection would cost.
const (
	readBuffer  = 512
	writeBuffer = 256
)

// taker takes the connection over with buffers of our size.
type taker struct {
	http.ResponseWriter
	conn *sharedConn
}

func (t *taker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, _ := rw.Peek(rw.Reader.Buffered())
	t.conn = &sharedConn{Conn: conn, early: bytes.Clone(early)}
	return t.conn, bufio.NewReadWriter(bufio.NewReaderSize(t.conn, readBuffer), bufio.NewWriterSize(t.conn, writeBuffer)), nil
}

// accept makes the request a WebSocket; on an error the answer was given.
func (s *Server) accept(w http.ResponseWriter, r *http.Request) (*link, error) {
	t := &taker{ResponseWriter: w}
	ws, err := websocket.Accept(t, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the origin was checked for every transport alike
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(s.opts.MaxPayload)
	l := &link{server: s, ws: ws, conn: t.conn}
	s.mu.Lock()
	s.links[l] = struct{}{}
	s.mu.Unlock()
	return l, nil
}

// buffer holds one message while it is read or one batch while it is written.
type buffer struct{ bytes.Buffer }

// maxPooled keeps a rare large message from staying in memory for ever.
const maxPooled = 64 << 10

func (s *Server) buffer() *buffer {
	b, _ := s.buffers.Get().(*buffer)
	b.Reset()
	return b
}

func (s *Server) release(b *buffer) {
	if b.Cap() <= maxPooled {
		s.buffers.Put(b)
	}
}

// read waits for the next packet and gives it to fn.
func (l *link) read(fn func(packet) bool) (goOn bool, err error) {
	kind, from, err := l.ws.Reader(context.Background())
	if err != nil {
		return false, err
	}
	b := l.server.buffer()
	defer l.server.release(b)
	if _, err := io.Copy(b, from); err != nil {
		return false, err
	}
	if kind == websocket.MessageBinary {
		return fn(packet{kind: engineMessage, data: b.Bytes(), binary: true}), nil
	}
	p, err := parsePacket(b.Bytes())
	if err != nil {
		return false, err
	}
	return fn(p), nil
}

// send writes a batch. Whoever takes nothing for the time of a ping is gone.
func (l *link) send(list []entry) error {
	l.conn.mu.Lock()
	defer l.conn.mu.Unlock()
	if l.stall == nil {
		l.stall = time.AfterFunc(l.server.opts.PingTimeout, l.abort)
	} else {
		l.stall.Reset(l.server.opts.PingTimeout)
	}
	defer l.stall.Stop()
	l.server.counts.sent.Add(uint64(len(list)))
	if len(list) == 1 {
		_, err := l.conn.Conn.Write(list[0].frame)
		return err
	}
	b := l.server.buffer()
	defer l.server.release(b)
	for _, m := range list {
		b.Write(m.frame)
	}
	_, err := l.conn.Conn.Write(b.Bytes())
	return err
}

// close says goodbye and waits for the peer's, until the link is aborted.
func (l *link) close(why reason) {
	_ = l.ws.Close(why.code(), string(why)) // a peer that is gone does not answer
}

// abort closes at once.
func (l *link) abort() { _ = l.conn.Close() }

// gone notes that nobody reads the link any more.
func (l *link) gone() {
	_ = l.ws.CloseNow() // a no-op after close
	s := l.server
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
	if s.draining && len(s.links) == 0 {
		select {
		case <-s.idle:
		default:
			close(s.idle)
		}
	}
}

// serve reads the link until it is closed. When the session is over it reads on, and ignores what it
// reads, so that the goodbye of its writer can be answered.
func (x *session) serve(l *link) {
	defer l.gone()
	for {
		_, err := l.read(x.receive)
		switch {
		case err == nil:
		case errors.Is(err, errEmptyPacket), errors.Is(err, errUnknownPacket):
			x.end(reasonProtocol)
		case errors.Is(err, websocket.ErrMessageTooBig):
			x.end(reasonTooLarge)
			return
		default:
			x.end(reasonTransport)
			return
		}
	}
}

// probe is a session's upgrade: the client asks on the new WebSocket whether it works, stops polling
// when we say so, and moves over.
func (x *session) probe(l *link) {
	late := time.AfterFunc(x.server.opts.HandshakeTimeout, l.abort)
	expect := func(kind byte, data string) bool {
		ok, err := l.read(func(p packet) bool { return p.kind == kind && !p.binary && string(p.data) == data })
		return ok && err == nil
	}
	ok := expect(enginePing, "probe") && l.send([]entry{{message: newPacket("3probe")}}) == nil
	if ok {
		x.mu.Lock()
		if x.waiter != nil {
			x.wake() // the client waits for its poll to return before it moves over
		}
		x.mu.Unlock()
		ok = expect(engineUpgrade, "")
	}
	ok = late.Stop() && ok

	x.mu.Lock()
	x.upgrading = false
	if !ok || x.over != "" {
		x.mu.Unlock()
		l.gone() // the client goes on polling
		return
	}
	x.wake() // a poll that still waits
	x.link = l
	x.wake()
	x.mu.Unlock()
	x.serve(l)
}
