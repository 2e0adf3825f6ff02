// Package bus carries news between the replicas of a site: what changed, and who should
// wake up. It carries no truth: any message may be lost, and everything works without,
// only later.
//
// With no address it runs a NATS server inside the process, so that one machine and a
// cluster run the same code.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"lodge/internal/fault"
	"lodge/internal/secret"
)

// Config is what an operator sets.
type Config struct {
	// URL is a NATS cluster, such as nats://USER:PASSWORD@HOST:4222 or tls://…, or several
	// with commas between. Its query may hold ca_file and creds_file. Empty means in process.
	URL secret.String `yaml:"url"`
}

// prefix keeps our subjects apart from those of others on a shared cluster.
const prefix = "lodge."

// patience is how long a server may take to start, or to take note of a subscription.
const patience = 5 * time.Second

// Message is a piece of news.
type Message struct {
	Subject string
	Data    []byte
}

// Bus publishes and subscribes. It is safe for concurrent use.
type Bus struct {
	conn *nats.Conn
	// embedded is the server in this process, or nil.
	embedded *server.Server
	closed   chan struct{}
	// silent is closed once the connection has called its last handler.
	silent chan struct{}
	close  sync.Once
}

// Open starts the server in this process, or connects to the cluster. A cluster that
// does not answer is no error: Check tells of it, and the connection is made when it can be.
func Open(cfg Config, log *slog.Logger) (*Bus, error) {
	b := &Bus{closed: make(chan struct{}), silent: make(chan struct{})}
	address := cfg.URL.Reveal()
	options := []nats.Option{
		nats.Name("lodge"),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.ReconnectBufSize(1 << 20),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("event bus failed", slog.Any("error", err))
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("event bus lost", slog.Any("error", err))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("event bus back") }),
		nats.ClosedHandler(func(*nats.Conn) { close(b.silent) }),
	}
	if address == "" {
		var err error
		if b.embedded, err = embed(); err != nil {
			return nil, err
		}
		options = append(options, nats.InProcessServer(b.embedded))
	} else {
		var own []nats.Option
		var err error
		if address, own, err = external(address); err != nil {
			return nil, err
		}
		options = append(options, own...)
	}
	var err error
	if b.conn, err = nats.Connect(address, options...); err != nil {
		b.stopServer()
		// The cause is left out: it would quote the URL with its password.
		return nil, fault.New(fault.Invalid, "the event bus cannot be opened: check its URL and files")
	}
	return b, nil
}

// embed starts a server that listens on no port.
func embed() (*server.Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "lodge", DontListen: true, NoSigs: true, NoLog: true, NoSystemAccount: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start event bus: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		s.Shutdown()
		return nil, errors.New("start event bus: the server is not ready in time")
	}
	return s, nil
}

// external takes our own settings out of the address.
func external(address string) (string, []nats.Option, error) {
	address, settings, _ := strings.Cut(address, "?")
	query, err := url.ParseQuery(settings)
	if err != nil {
		return "", nil, fault.New(fault.Invalid, "the query of the event bus's URL cannot be read")
	}
	var options []nats.Option
	for key := range query {
		switch key {
		case "ca_file":
			options = append(options, nats.RootCAs(query.Get(key)))
		case "creds_file":
			options = append(options, nats.UserCredentials(query.Get(key)))
		default:
			return "", nil, fault.New(fault.Invalid, "the event bus's URL does not know %q; it knows ca_file and creds_file", key)
		}
	}
	return address, options, nil
}

// Publish tells everybody who subscribes, this process included. It waits for nobody.
func (b *Bus) Publish(subject string, payload []byte) error {
	if err := b.conn.Publish(prefix+subject, payload); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the event bus cannot be reached")
	}
	return nil
}

// Subscribe gives the messages of a subject, which may hold the wildcards * and >. Whoever
// reads too slowly loses the oldest of more than size messages. The channel is closed when
// ctx ends or the bus is closed.
func (b *Bus) Subscribe(ctx context.Context, subject string, size int) (<-chan Message, error) {
	q := &queue{messages: make(chan Message, max(size, 1))}
	sub, err := b.conn.Subscribe(prefix+subject, func(m *nats.Msg) {
		q.put(Message{Subject: strings.TrimPrefix(m.Subject, prefix), Data: m.Data})
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the event bus cannot be reached")
	}
	// What is published from here on is seen. A cluster that is away will learn of the
	// subscription when it is back.
	if b.conn.IsConnected() {
		noted, cancel := context.WithTimeout(ctx, patience)
		_ = b.conn.FlushWithContext(noted)
		cancel()
	}
	go func() {
		select {
		case <-ctx.Done():
		case <-b.closed:
		}
		// It fails only when the connection is closed, and the subscription with it.
		_ = sub.Unsubscribe()
		q.end()
	}()
	return q.messages, nil
}

// Check asks the server for a sign of life.
func (b *Bus) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !b.conn.IsConnected() {
		return fault.New(fault.Unavailable, "the event bus cannot be reached")
	}
	return fault.Wrap(b.conn.FlushWithContext(ctx), fault.Unavailable, "the event bus does not answer")
}

// Close ends all subscriptions and the server in this process. Closing again does nothing.
func (b *Bus) Close() error {
	b.close.Do(func() {
		close(b.closed)
		// What was published goes out before.
		if b.conn.IsConnected() {
			_ = b.conn.FlushTimeout(time.Second)
		}
		b.conn.Close()
		<-b.silent
		b.stopServer()
	})
	return nil
}

func (b *Bus) stopServer() {
	if b.embedded != nil {
		b.embedded.Shutdown()
		b.embedded.WaitForShutdown()
	}
}

// queue holds the newest messages for one subscriber.
type queue struct {
	mu       sync.Mutex
	messages chan Message
	ended    bool
}

// put adds a message, in place of the oldest if there is no room. Only put sends, so
// there is room after at most one was taken out.
func (q *queue) put(m Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.ended {
		select {
		case q.messages <- m:
			return
		default:
		}
		select {
		case <-q.messages:
		default:
		}
	}
}

func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	close(q.messages)
}
