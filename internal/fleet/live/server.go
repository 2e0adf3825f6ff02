package live

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"lodge/internal/fault"
)

// Options are limits and times; the zero value means the defaults, which are those of the original.
type Options struct {
	// Path is where the handler is mounted, "/socket.io".
	Path string
	// PingInterval and PingTimeout are told to clients, 25 s and 20 s.
	PingInterval, PingTimeout time.Duration
	// HandshakeTimeout bounds the time without a login, an upgrade, and one call of Subscribe: 10 s,
	// and never more than PingTimeout.
	HandshakeTimeout time.Duration
	// MaxPayload bounds one message or polling body in bytes, 1,000,000.
	MaxPayload int64
	// MaxClients bounds connections, 10,000; a quarter of them may be without a login at a time.
	MaxClients int
	// MaxRooms bounds the rooms of one client, 1,000.
	MaxRooms int
	// QueueSize bounds the events of Log rooms that wait for one client, 256.
	QueueSize int
	// CheckOrigin refuses a request by its Origin; nil allows every origin, as the original does.
	CheckOrigin func(*http.Request) bool
	// Permit, when set, is asked about once a second whether a client may still listen to a room; an
	// error ends the subscription and its text is sent. It must answer from memory.
	Permit func(ctx context.Context, room string) error
}

func (o *Options) defaults() {
	o.Path = or(o.Path, "/socket.io")
	o.PingInterval = or(o.PingInterval, 25*time.Second)
	o.PingTimeout = or(o.PingTimeout, 20*time.Second)
	o.HandshakeTimeout = min(or(o.HandshakeTimeout, 10*time.Second), o.PingTimeout)
	o.MaxPayload = or(o.MaxPayload, 1_000_000)
	o.MaxClients = or(o.MaxClients, 10_000)
	o.MaxRooms = or(o.MaxRooms, 1_000)
	o.QueueSize = or(o.QueueSize, 256)
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Kind says what a room's events are to its listeners.
type Kind int

// The kinds of rooms.
const (
	State Kind = iota // values: a slow listener gets the newest per key and skips the others
	Log               // records: a listener gets all of them or loses its connection
)

// Auth tells who connects. It is called with the request that began the connection and what the
// client sent as auth with its CONNECT, which may be nothing or any JSON. The values of the context
// that it returns are kept for the connection; its end is not, because recheck says when a caller is
// one no longer. An error refuses: the client reads the Detail of a *fault.Error and nothing else.
type Auth func(r *http.Request, auth json.RawMessage) (context.Context, error)

// Subscribe says whether the caller may listen to a room, of which kind it is, and what to send at
// first: event data, oldest first. Of an error the client reads the Detail of a *fault.Error. It is
// called again when a client subscribes twice or comes back.
type Subscribe func(ctx context.Context, room string) (Kind, []json.RawMessage, error)

// refused is what a client reads of an error that has no text for it.
const (
	connectRefused   = "Connection rejected by server"
	subscribeRefused = "500 Internal Server Error"
)

// maxWaiting bounds the bytes that wait for one client.
const maxWaiting = 16 << 20

// Server serves socket.io. Its methods may be called from several goroutines.
type Server struct {
	opts      Options
	limits    limits
	auth      Auth
	subscribe Subscribe
	recheck   func(context.Context) error
	now       func() time.Time
	log       *slog.Logger

	rooms    rooms
	recovery recovery
	counts   counts
	buffers  sync.Pool
	ping     *message

	mu        sync.Mutex
	sessions  map[string]*session
	listeners map[*stream]struct{}
	// unknown counts the sessions without a caller.
	unknown  int
	links    map[*link]struct{}
	draining bool
	// idle is closed when draining and the last link is gone.
	idle chan struct{}
}

type counts struct {
	published, sent, superseded atomic.Uint64
	mu                          sync.Mutex
	ended                       map[reason]uint64
}

// New makes a server. recheck is asked about once a second for each connection whether its caller is
// still one, and must answer from memory; fault.Unavailable and fault.Timeout leave the connection
// as it is, any other error ends it. The server answers at once; Run adds rechecks and an orderly end.
func New(opts Options, auth Auth, subscribe Subscribe, recheck func(context.Context) error, now func() time.Time, log *slog.Logger) *Server {
	opts.defaults()
	return &Server{
		opts: opts, auth: auth, subscribe: subscribe, recheck: recheck, now: now, log: log,
		limits:    limits{entries: opts.QueueSize + 4*opts.MaxRooms, logs: opts.QueueSize, bytes: maxWaiting},
		rooms:     rooms{byName: make(map[string][]*subscription)},
		recovery:  recovery{kept: make(map[string]memory), max: opts.MaxClients, now: now},
		counts:    counts{ended: make(map[reason]uint64)},
		buffers:   sync.Pool{New: func() any { return new(buffer) }},
		ping:      newPacket(string(rune(enginePing))),
		sessions:  make(map[string]*session),
		listeners: make(map[*stream]struct{}),
		links:     make(map[*link]struct{}),
		idle:      make(chan struct{}),
	}
}

// Stats is a moment's view for metrics.
type Stats struct {
	// Polling and WebSocket are the sessions by transport, Unknown those of them without a login;
	// Streams are those of Listen.
	Polling, WebSocket, Unknown, Streams int
	// Rooms have at least one listener; Subscriptions counts the listeners of all rooms.
	Rooms, Subscriptions int
	// Published counts calls of Publish, Sent the packets given to transports, Superseded the values
	// that a newer one replaced before they were sent.
	Published, Sent, Superseded uint64
	// Ended counts ended listeners by reason.
	Ended map[string]uint64
}

// Stats counts what is there now and what was since the start.
func (s *Server) Stats() Stats {
	stats := Stats{
		Published: s.counts.published.Load(), Sent: s.counts.sent.Load(), Superseded: s.counts.superseded.Load(),
		Ended: make(map[string]uint64),
	}
	s.rooms.mu.RLock()
	stats.Rooms, stats.Subscriptions = len(s.rooms.byName), s.rooms.entries
	s.rooms.mu.RUnlock()
	s.counts.mu.Lock()
	for why, n := range s.counts.ended {
		stats.Ended[string(why)] = n
	}
	s.counts.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	stats.Streams, stats.Unknown = len(s.listeners), s.unknown
	for _, x := range s.sessions {
		if x.overWebSocket() {
			stats.WebSocket++
		} else {
			stats.Polling++
		}
	}
	return stats
}

// open registers a new session, or refuses when there is no room for one.
func (s *Server) open(r *http.Request) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit(); err != nil {
		return nil, err
	}
	if s.unknown >= max(16, s.opts.MaxClients/4) {
		return nil, fault.New(fault.Exhausted, "too many connections without a login")
	}
	x := newSession(s, r)
	s.sessions[x.sid] = x
	s.unknown++
	return x, nil
}

// admit says whether there is room for one more listener. The lock is held.
func (s *Server) admit() error {
	if s.draining {
		return fault.New(fault.Unavailable, "the server restarts")
	}
	if len(s.sessions)+len(s.listeners) >= s.opts.MaxClients {
		return fault.New(fault.Exhausted, "too many connections")
	}
	return nil
}

func (s *Server) session(sid string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[sid]
}

// count moves the number of sessions without a caller.
func (s *Server) count(unknown int) {
	s.mu.Lock()
	s.unknown += unknown
	s.mu.Unlock()
}

// ended notes the end of a listener.
func (s *Server) ended(ctx context.Context, why reason, rooms int) {
	s.counts.mu.Lock()
	s.counts.ended[why]++
	s.counts.mu.Unlock()
	level := slog.LevelDebug
	if why == reasonBehind || why == reasonCredentials {
		level = slog.LevelInfo
	}
	s.log.LogAttrs(ctx, level, "live connection ended", slog.String("reason", string(why)), slog.Int("rooms", rooms))
}

func (s *Server) everySession() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*session, 0, len(s.sessions))
	for _, x := range s.sessions {
		list = append(list, x)
	}
	return list
}

// newID makes a name that cannot be guessed.
func newID() string {
	var b [15]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// text is what the client may read of an error.
func text(err error, otherwise string) string {
	var e *fault.Error
	if errors.As(err, &e) && e.Kind != fault.Internal {
		return e.Detail
	}
	return otherwise
}

// marshal is for values that always can be.
func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("live: marshal: %v", err))
	}
	return string(b)
}
