package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"lodge/internal/secret"
)

const (
	redial      = time.Second // as RMF's BroadcastClient
	dialTime    = 10 * time.Second
	linkBacklog = 10_000 // updates; RMF keeps 1,000, but has one connection a robot
)

// A link is the connection of one fleet adapter, or of the dispatcher, to the server's
// adapter socket. What cannot be sent yet waits in a queue, where newer states take the
// place of older ones and the oldest go when it is full.
type link struct {
	name  string
	url   string
	token secret.String
	log   *slog.Logger
	// again is called with each new connection, to tell what the server may have missed.
	again func()

	mu      sync.Mutex
	queue   []update
	first   int // sequence number of queue[0]
	at      map[string]int
	wake    chan struct{}
	conn    *websocket.Conn
	cut     bool
	dropped int
}

type update struct {
	key  string
	text []byte
}

func newLink(name, url string, token secret.String, log *slog.Logger) *link {
	return &link{name: name, url: url, token: token, log: log.With("link", name), at: map[string]int{}, wake: make(chan struct{}, 1)}
}

// adapterURL makes the socket's address of the fleet API's: "/_internal" below it.
func adapterURL(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("the server's address: %w", err)
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	case "https", "wss":
		u.Scheme = "wss"
	default:
		return "", fmt.Errorf("the server's address %q must begin with http:// or https://", u.Redacted())
	}
	if !strings.HasSuffix(u.Path, "/_internal") {
		u = u.JoinPath("_internal")
	}
	return u.String(), nil
}

// send queues an update. It never waits.
func (l *link) send(key, kind string, data any) {
	text, err := json.Marshal(struct {
		Type string `json:"type"`
		Data any    `json:"data"`
	}{kind, data})
	if err != nil {
		l.log.Error("An update could not be written", "type", kind, "error", err)
		return
	}
	l.mu.Lock()
	l.put(update{key, text})
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *link) put(u update) {
	if u.key != "" {
		if i, waiting := l.at[u.key]; waiting {
			l.queue[i-l.first] = u
			return
		}
		l.at[u.key] = l.first + len(l.queue)
	}
	l.queue = append(l.queue, u)
	if len(l.queue) > linkBacklog {
		l.pop()
		l.dropped++
	}
}

func (l *link) pop() update {
	u := l.queue[0]
	l.queue[0] = update{}
	l.queue, l.first = l.queue[1:], l.first+1
	if u.key != "" {
		delete(l.at, u.key)
	}
	return u
}

func (l *link) next() (update, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return update{}, false
	}
	return l.pop(), true
}

// run connects, sends, and connects again, until ctx ends.
func (l *link) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.log.Warn("The server is away", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(redial):
		}
	}
}

var errCut = errors.New("the link is cut on purpose")

func (l *link) session(ctx context.Context) error {
	if l.isCut() {
		return nil
	}
	conn, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.CloseNow() //nolint:errcheck // the connection is over either way
	l.mu.Lock()
	l.conn = conn
	l.mu.Unlock()
	l.log.Info("Connected")
	ctx = conn.CloseRead(ctx) // the server never sends, but its pings want answers
	l.again()
	for {
		u, there := l.next()
		if !there {
			select {
			case <-ctx.Done():
				return errors.New("the connection has ended")
			case <-l.wake:
			}
			continue
		}
		if err := writeTimed(ctx, conn, u.text); err != nil {
			l.unsent(u)
			return fmt.Errorf("send: %w", err)
		}
		if l.isCut() {
			return errCut
		}
	}
}

func (l *link) dial(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	header := http.Header{}
	if l.token != "" {
		header.Set("Authorization", "Bearer "+l.token.Reveal())
	}
	conn, answer, err := websocket.Dial(ctx, l.url, &websocket.DialOptions{HTTPHeader: header}) //nolint:bodyclose // Dial closes it, or the connection owns it
	if err != nil {
		if answer != nil {
			return nil, fmt.Errorf("the server refused with %s", answer.Status)
		}
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// unsent puts an update back, unless a newer one has come meanwhile.
func (l *link) unsent(u update) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u.key != "" {
		if _, newer := l.at[u.key]; newer {
			return
		}
		l.at[u.key] = l.first - 1
	}
	l.queue = append([]update{u}, l.queue...)
	l.first--
}

func (l *link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// sever ends the connection; while cut it stays away.
func (l *link) sever(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if l.conn != nil {
		_ = l.conn.CloseNow() // it may be closed already
	}
}
