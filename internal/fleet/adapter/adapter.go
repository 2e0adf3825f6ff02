// Package adapter serves the WebSocket to which the fleet adapters and the dispatcher of Open-RMF
// report what tasks and fleets do. It knows the connection; what a message means its owner knows.
//
// A message that is wrong is answered with an error in words, and the connection goes on: the senders
// reconnect after any close and would only send it again. Stock adapters do not read what they are
// sent, so answers wait in a short queue and are dropped when it is full.
package adapter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// Config says who may connect and what to do with their messages.
type Config struct {
	// AllowedPeers are addresses that need no token.
	AllowedPeers []netip.Prefix
	// MaxMessage bounds a message; 0 is 16 MiB.
	MaxMessage int64
	// Ping is the time between two signs of life, and how long to wait for an answer; 0 is 20 s.
	Ping time.Duration
	// Admit decides whether whoever opens the connection may report. listed says that the address is
	// among AllowedPeers. The context is kept for the connection.
	Admit func(r *http.Request, listed bool) (context.Context, error)
	// Recheck says whether the context's caller could still come in; nil never asks.
	Recheck func(context.Context) error
	// Take takes a message, and does not keep its bytes. An error of the kind fault.Invalid is about
	// the message.
	Take func(ctx context.Context, message []byte) error
}

// Server holds the connections.
type Server struct {
	cfg Config
	log *slog.Logger

	mu    sync.Mutex
	open  map[*websocket.Conn]struct{}
	ended bool
}

// New makes a server.
func New(cfg Config, log *slog.Logger) *Server {
	if cfg.MaxMessage == 0 {
		cfg.MaxMessage = 16 << 20
	}
	if cfg.Ping == 0 {
		cfg.Ping = 20 * time.Second
	}
	return &Server{cfg: cfg, log: log, open: map[*websocket.Conn]struct{}{}}
}

// Run closes all connections when ctx ends.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.ended = true
	conns := make([]*websocket.Conn, 0, len(s.open))
	for c := range s.open {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		_ = c.CloseNow() // stock adapters do not answer a farewell; they reconnect
	}
	return nil
}

// Connections is how many there are.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Handle serves one connection until it ends.
func (s *Server) Handle(w http.ResponseWriter, r *http.Request) error {
	address := httpapi.ClientAddress(r.Context())
	ctx, err := s.cfg.Admit(r, s.listed(address))
	if err != nil {
		return err
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return fault.New(fault.Invalid, "this is the WebSocket of fleet adapters")
	}
	// The origin is checked: with a session, any page could make a browser report.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		s.log.WarnContext(ctx, "a fleet adapter could not connect", "address", address, "error", err)
		return nil // it is answered already
	}
	defer func() { _ = conn.CloseNow() }()
	if !s.enter(conn) {
		return nil
	}
	defer s.leave(conn)
	conn.SetReadLimit(s.cfg.MaxMessage)
	s.log.InfoContext(ctx, "a fleet adapter is connected", "address", address)
	err = s.serve(ctx, conn, address)
	s.log.InfoContext(ctx, "a fleet adapter is gone", "address", address, "reason", err)
	return nil
}

func (s *Server) listed(address string) bool {
	peer, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	for _, p := range s.cfg.AllowedPeers {
		if p.Contains(peer.Unmap()) {
			return true
		}
	}
	return false
}

func (s *Server) enter(c *websocket.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.open[c] = struct{}{}
	return true
}

func (s *Server) leave(c *websocket.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// answers is how many answers may wait for a sender that reads slowly.
const answers = 16

// serve reads until the connection ends, and says why it did.
func (s *Server) serve(ctx context.Context, conn *websocket.Conn, address string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	replies := make(chan []byte, answers)
	var side sync.WaitGroup
	defer side.Wait()
	defer cancel(nil)
	side.Go(func() { s.reply(ctx, conn, replies) })
	// progress counts the beginnings and ends of Take: it is odd during one.
	var progress atomic.Uint64
	side.Go(func() { cancel(s.watch(ctx, conn, &progress)) })

	var message bytes.Buffer
	for wrong := 0; ; {
		kind, err := read(ctx, conn, &message)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
		if kind != websocket.MessageText {
			err = fault.New(fault.Invalid, "messages are JSON texts, not binary")
		} else {
			progress.Add(1)
			err = s.cfg.Take(ctx, message.Bytes())
			progress.Add(1)
		}
		if message.Cap() > maxKept {
			message = bytes.Buffer{}
		}
		if err == nil {
			continue
		}
		if !fault.Is(err, fault.Invalid) {
			return err
		}
		if wrong++; wrong <= 10 || wrong%100 == 0 {
			s.log.WarnContext(ctx, "a message of a fleet adapter was refused", "address", address, "count", wrong, "error", err)
		}
		select {
		case replies <- refusal(err):
		default:
		}
	}
}

// maxKept keeps a rare large message from staying in memory for as long as the connection.
const maxKept = 1 << 20

// read reads the next message in place of the last.
func read(ctx context.Context, conn *websocket.Conn, message *bytes.Buffer) (websocket.MessageType, error) {
	kind, from, err := conn.Reader(ctx)
	if err != nil {
		return kind, err
	}
	message.Reset()
	_, err = message.ReadFrom(from)
	return kind, err
}

// refusal is what a sender is told about a message.
func refusal(err error) []byte {
	sentence := err.Error()
	var f *fault.Error
	if errors.As(err, &f) {
		sentence = f.Detail
	}
	text, _ := json.Marshal(struct { // texts can always be encoded
		Type  string `json:"type"`
		Error string `json:"error"`
	}{"error", sentence})
	return text
}

func (s *Server) reply(ctx context.Context, conn *websocket.Conn, replies <-chan []byte) {
	for {
		select {
		case <-ctx.Done():
			return
		case text := <-replies:
			patience, cancel := context.WithTimeout(ctx, s.cfg.Ping)
			err := conn.Write(patience, websocket.MessageText, text)
			cancel()
			if err != nil {
				return // the reader notices as well
			}
		}
	}
}

// watch asks for signs of life, and whether the caller is still welcome. It returns why not. While a
// message is being taken nobody reads the answer to a ping, and the sender is not to blame.
func (s *Server) watch(ctx context.Context, conn *websocket.Conn, progress *atomic.Uint64) error {
	tick := time.NewTicker(s.cfg.Ping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if s.cfg.Recheck != nil {
			if err := s.cfg.Recheck(ctx); err != nil {
				return err
			}
		}
		before := progress.Load()
		patience, cancel := context.WithTimeout(ctx, s.cfg.Ping)
		err := conn.Ping(patience)
		cancel()
		after := progress.Load()
		busy := after%2 == 1 || after != before
		if err != nil && (!busy || !errors.Is(err, context.DeadlineExceeded)) {
			return err
		}
	}
}
