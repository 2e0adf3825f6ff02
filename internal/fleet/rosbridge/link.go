package rosbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"lodge/internal/fault"
)

// link is one connection to the bridge.
type link struct {
	client *Client
	ws     *websocket.Conn
	out    chan outgoing
	parts  assembly
	// gone is closed when nobody writes any more.
	gone chan struct{}
	// alive says that the bridge has said anything at all.
	alive atomic.Bool
	// told keeps the same complaint from being logged for every message.
	told map[string]bool

	mu sync.Mutex
	// silent are the Latched topics that no message came on yet.
	silent map[string]Topic
}

// outgoing is a frame on its way; done gets the result of writing it.
type outgoing struct {
	frame []byte
	done  chan error
}

// sendQueue is how many frames may wait for the connection.
const sendQueue = 64

func dial(ctx context.Context, c *Client) (*link, error) {
	within, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	ws, res, err := websocket.Dial(within, c.cfg.URL, nil)
	if res != nil && res.Body != nil {
		_ = res.Body.Close() // nothing in it is of use
	}
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err // the URL may hold a secret
	}
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	// Within a fragment's JSON text its quotes and backslashes are doubled.
	ws.SetReadLimit(max(c.cfg.MaxMessage, 2*fragmentSize(c.cfg.MaxMessage)) + 4096)
	l := &link{
		client: c, ws: ws, out: make(chan outgoing, sendQueue), gone: make(chan struct{}), parts: assembly{max: c.cfg.MaxMessage},
		told: map[string]bool{}, silent: map[string]Topic{},
	}
	for name, t := range c.heard {
		if t.Latched {
			l.silent[name] = t
		}
	}
	return l, nil
}

// fragmentSize is asked of the bridge so that a message over the limit costs that message and not,
// time and again, the connection.
func fragmentSize(maxMessage int64) int64 { return min(maxMessage, 8<<20) }

// introduce advertises and subscribes. Adverts come first, so that the bridge has found the other
// side by the time the first message is published.
func (l *link) introduce(ctx context.Context) error {
	for i, t := range l.client.cfg.Adverts {
		err := l.sendJSON(ctx, advertiseFrame{
			Op: "advertise", ID: fmt.Sprintf("a%d", i), Topic: absolute(t.Name), Type: t.Type,
			QueueSize: or(t.QueueLength, 100), Latch: t.Latched, QoS: t.QoS,
		})
		if err != nil {
			return err
		}
	}
	for _, t := range l.client.cfg.Topics {
		if err := l.subscribe(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (l *link) subscribe(ctx context.Context, t Topic) error {
	name := absolute(t.Name)
	return l.sendJSON(ctx, subscribeFrame{
		Op: "subscribe", ID: "s:" + name, Topic: name, Type: t.Type, Throttle: t.ThrottleMS, QueueLength: t.QueueLength,
		Compression: "none", FragmentSize: fragmentSize(l.client.cfg.MaxMessage), QoS: t.QoS,
	})
}

// maxReplayPause bounds the pause between two attempts to get what is retained.
const maxReplayPause = time.Minute

// renew subscribes again to Latched topics that are silent.
func (l *link) renew(ctx context.Context) error {
	pause := l.client.cfg.ReplayAfter
	for {
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
		for name, t := range l.stillSilent() {
			if err := l.sendJSON(ctx, unsubscribeFrame{Op: "unsubscribe", ID: "s:" + name, Topic: name}); err != nil {
				return err
			}
			if err := l.subscribe(ctx, t); err != nil {
				return err
			}
		}
		pause = min(2*pause, maxReplayPause)
	}
}

func (l *link) stillSilent() map[string]Topic {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make(map[string]Topic, len(l.silent))
	for name, t := range l.silent {
		list[name] = t
	}
	return list
}

func (l *link) sendJSON(ctx context.Context, v any) error {
	frame, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return l.send(ctx, frame)
}

// send gives a frame to the writer and waits until it is written. A caller that gives up does not
// take the connection with it; its frame may still be sent.
func (l *link) send(ctx context.Context, frame []byte) error {
	o := outgoing{frame: frame, done: make(chan error, 1)}
	select {
	case l.out <- o:
	case <-l.gone:
		return errAway(errBroken)
	case <-ctx.Done():
		return fault.Wrap(ctx.Err(), fault.Timeout, "the connection to ROS does not keep up")
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return fault.Wrap(ctx.Err(), fault.Timeout, "the connection to ROS does not keep up")
	case <-l.gone:
	}
	select {
	case err := <-o.done: // written at the last moment
		return err
	default:
		return errAway(errBroken)
	}
}

var errBroken = errors.New("the connection broke")

// write is the only writer of data frames.
func (l *link) write(ctx context.Context) error {
	defer close(l.gone)
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-l.out:
			within, cancel := context.WithTimeout(ctx, l.client.cfg.WriteTimeout)
			err := l.ws.Write(within, websocket.MessageText, o.frame)
			cancel()
			if err != nil {
				o.done <- errAway(err)
				return fmt.Errorf("write: %w", err)
			}
			o.done <- nil
		}
	}
}

// ping finds out that the bridge is gone without a word: its own pings are off by default.
func (l *link) ping(ctx context.Context) error {
	tick := time.NewTicker(l.client.cfg.PingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			within, cancel := context.WithTimeout(ctx, l.client.cfg.PingTimeout)
			err := l.ws.Ping(within)
			cancel()
			if err != nil {
				return fmt.Errorf("no answer to a ping: %w", err)
			}
			l.alive.Store(true)
		}
	}
}

// read hands over messages until the connection is closed, or torn by the end of ctx.
func (l *link) read(ctx context.Context) error {
	for {
		kind, from, err := l.ws.Reader(ctx)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		l.alive.Store(true)
		if kind != websocket.MessageText {
			l.complain("rosbridge sends binary frames, which were not asked for")
			if _, err := io.Copy(io.Discard, from); err != nil {
				return fmt.Errorf("read: %w", err)
			}
			continue
		}
		text, err := io.ReadAll(from)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		l.receive(text, true)
	}
}

// receive acts on one frame; what is wrong with it does not end the connection.
func (l *link) receive(text []byte, fragmented bool) {
	var f incoming
	if err := json.Unmarshal(text, &f); err != nil {
		l.complain("rosbridge sent a frame that is not JSON", "error", err)
		return
	}
	switch f.Op {
	case "publish":
		l.message(f)
	case "status":
		l.status(f)
	case "fragment":
		whole, err := l.parts.add(f)
		switch {
		case err != nil:
			l.complain("a fragmented message was dropped", "error", err)
		case whole != nil && fragmented:
			l.receive(whole, false)
		}
	case "png":
		l.complain("rosbridge sends compressed messages, which were not asked for")
	default: // answers to what we never ask
	}
}

// message hands a message over. A handler that panics loses the message and nothing else.
func (l *link) message(f incoming) {
	t, ok := l.client.heard[absolute(f.Topic)]
	if !ok || len(f.Msg) == 0 {
		return
	}
	if t.Latched {
		l.mu.Lock()
		delete(l.silent, absolute(f.Topic))
		l.mu.Unlock()
	}
	defer func() {
		if err := recover(); err != nil {
			l.client.log.Error("rosbridge handler panicked", "topic", t.Name, "panic", fmt.Sprint(err), "stack", string(debug.Stack()))
		}
	}()
	l.client.on(t.Name, f.Msg)
}

// status logs what the bridge has to say.
func (l *link) status(f incoming) {
	level := slog.LevelWarn
	switch f.Level {
	case "error":
		level = slog.LevelError
	case "info", "none":
		level = slog.LevelInfo
	}
	l.client.log.Log(context.Background(), level, "rosbridge says", "text", f.sentence(), "about", string(f.ID[:min(len(f.ID), 64)]))
}

// complain logs something once per connection.
func (l *link) complain(what string, args ...any) {
	if l.told[what] {
		return
	}
	l.told[what] = true
	l.client.log.Warn(what, args...)
}

// close ends the connection, politely if the bridge answers before it is hung up.
func (l *link) close(hangUp context.CancelFunc) {
	late := time.AfterFunc(time.Second, hangUp)
	defer late.Stop()
	_ = l.ws.Close(websocket.StatusNormalClosure, "") // it may be gone already
}
