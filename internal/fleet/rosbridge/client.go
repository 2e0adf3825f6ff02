package rosbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"lodge/internal/fault"
)

// Config says where the bridge is and which topics matter; zero times and sizes mean the defaults.
type Config struct {
	// URL is the bridge's address, such as ws://127.0.0.1:9090.
	URL string
	// Topics are subscribed to, Adverts published on.
	Topics, Adverts []Topic
	// MinBackoff and MaxBackoff bound the pause before connecting again, 500 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// ConnectTimeout bounds the handshake, WriteTimeout one frame: 10 s each.
	ConnectTimeout, WriteTimeout time.Duration
	// PingInterval and PingTimeout find a connection that is dead without a word, 15 s and 15 s.
	PingInterval, PingTimeout time.Duration
	// MaxMessage bounds one message in bytes, also when it comes in fragments: 64 MiB.
	MaxMessage int64
	// ReplayAfter is the first pause before a Latched topic without a message is subscribed to again,
	// 3 s; the pause doubles up to a minute.
	ReplayAfter time.Duration
}

// Topic is one topic in one direction.
type Topic struct {
	// Name is absolute; a missing slash is added.
	Name string
	// Type is a message type such as std_msgs/msg/Bool.
	Type string
	// QoS is passed on as it is; bridges before 2026 ignore it.
	QoS map[string]any
	// Latched says of a subscription that the publisher retains messages for late subscribers, and
	// makes the bridge retain the last one of an advert.
	Latched bool
	// ThrottleMS is the least time between two messages of a subscription.
	ThrottleMS int
	// QueueLength is how many messages the bridge queues: for a subscription while throttled, for an
	// advert in its publisher, 100 by default.
	QueueLength int
}

func (c *Config) defaults() {
	c.MinBackoff = or(c.MinBackoff, 500*time.Millisecond)
	c.MaxBackoff = max(or(c.MaxBackoff, 30*time.Second), c.MinBackoff)
	c.ConnectTimeout = or(c.ConnectTimeout, 10*time.Second)
	c.WriteTimeout = or(c.WriteTimeout, 10*time.Second)
	c.PingInterval = or(c.PingInterval, 15*time.Second)
	c.PingTimeout = or(c.PingTimeout, 15*time.Second)
	c.MaxMessage = or(c.MaxMessage, 64<<20)
	c.ReplayAfter = or(c.ReplayAfter, 3*time.Second)
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// public is an address without password and query.
func public(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that is none"
	}
	u.RawQuery = ""
	return u.Redacted()
}

// absolute is a topic's name as the bridge knows it.
func absolute(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return "/" + name
}

// Client is one client of one bridge. Its methods may be called from several goroutines.
type Client struct {
	cfg Config
	// at is the bridge's address without what may be secret in it.
	at  string
	on  func(topic string, msg json.RawMessage)
	now func() time.Time
	log *slog.Logger
	// heard and spoken are the topics by their absolute names; both have the names of Config.
	heard, spoken map[string]Topic

	mu sync.Mutex
	// link is nil while the bridge is away, since since.
	link  *link
	since time.Time
	why   error
}

// New makes a client; Run connects it. on is called for each message of Topics with the name as it
// stands there, one at a time and in order. It must not block: nothing else is read meanwhile.
func New(cfg Config, on func(topic string, msg json.RawMessage), now func() time.Time, log *slog.Logger) *Client {
	cfg.defaults()
	c := &Client{
		cfg: cfg, at: public(cfg.URL), on: on, now: now, log: log,
		heard: make(map[string]Topic, len(cfg.Topics)), spoken: make(map[string]Topic, len(cfg.Adverts)),
		since: now(), why: errors.New("not connected yet"),
	}
	for _, t := range cfg.Topics {
		c.heard[absolute(t.Name)] = t
	}
	for _, t := range cfg.Adverts {
		c.spoken[absolute(t.Name)] = t
	}
	return c
}

// Run keeps the connection until ctx ends, and returns nil then.
func (c *Client) Run(ctx context.Context) error {
	failures := 0
	for {
		news := failures == 0
		connected, alive, err := c.connection(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // that is why it broke
		}
		if alive { // one that only lets us in is as good as none
			failures = 0
		}
		c.note(err, news || connected)
		pause := time.NewTimer(c.backoff(failures))
		failures++
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
	}
}

// backoff is the pause after so many failures in a row: half of it is chance, so that what broke
// together does not come back together.
func (c *Client) backoff(failures int) time.Duration {
	d := c.cfg.MinBackoff
	for ; failures > 0 && d < c.cfg.MaxBackoff; failures-- {
		d *= 2
	}
	d = min(d, c.cfg.MaxBackoff)
	return d/2 + rand.N(d/2+1) //nolint:gosec // spreads attempts, protects nothing
}

// note keeps why the bridge is away, and logs it when that is news.
func (c *Client) note(err error, news bool) {
	c.mu.Lock()
	c.why = err
	c.mu.Unlock()
	if news {
		c.log.Warn("rosbridge is away", "url", c.at, "error", err)
	}
}

// connection is one connection from its handshake to its end. connected reports whether it was ready
// at all, alive whether the bridge said anything; err is never nil.
func (c *Client) connection(ctx context.Context) (connected, alive bool, err error) {
	l, err := dial(ctx, c)
	if err != nil {
		return false, false, err
	}
	reading, hangUp := context.WithCancel(context.WithoutCancel(ctx)) // reads the bridge's goodbye too
	defer hangUp()
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	part := func(f func(context.Context) error) {
		running.Go(func() { cancel(f(ctx)) })
	}
	part(l.write)
	part(func(context.Context) error { return l.read(reading) })
	part(l.ping)
	if err = l.introduce(ctx); err == nil {
		part(l.renew)
		c.set(l)
		connected = true
		c.log.Info("rosbridge is connected", "url", c.at, "subscriptions", len(c.heard), "adverts", len(c.spoken))
		<-ctx.Done()
		c.set(nil)
	}
	cancel(err)
	l.close(hangUp)
	running.Wait()
	return connected, l.alive.Load(), context.Cause(ctx)
}

func (c *Client) set(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link, c.since = l, c.now()
}

func (c *Client) current() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

// errAway is what people read while the bridge is away.
func errAway(cause error) error {
	return fault.Wrap(cause, fault.Unavailable, "the connection to ROS is away; try again later")
}

// Publish sends a message on one of Adverts. That it returned nil means that the bridge's connection
// took it: rosbridge acknowledges nothing. It fails as fault.Unavailable while the bridge is away.
func (c *Client) Publish(ctx context.Context, topic string, msg any) error {
	t, ok := c.spoken[absolute(topic)]
	if !ok {
		return fmt.Errorf("publish on %s: not among the adverts", topic)
	}
	frame, err := json.Marshal(publishFrame{Op: "publish", Topic: absolute(topic), Msg: msg, Latch: t.Latched})
	if err != nil {
		return fmt.Errorf("publish on %s: %w", topic, err)
	}
	l := c.current()
	if l == nil {
		return errAway(c.reason())
	}
	return l.send(ctx, frame)
}

func (c *Client) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}

// Connected reports whether the bridge is there now.
func (c *Client) Connected() bool { return c.current() != nil }

// Check is nil while the bridge is there, and else says since when and why it is not.
func (c *Client) Check(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		return nil
	}
	return fault.Wrap(c.why, fault.Unavailable, "rosbridge at %s is away since %s", c.at, c.since.UTC().Format(time.RFC3339))
}
