package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// mark stands before the time at which an update was due, in microseconds, within the update itself.
// That time, and not when it was sent, is what a delay is counted from: a server that does not read
// makes the sender late, and that counts.
const mark = "due at "

// begun is what due times count from; it is later than any clock's step that could bother us.
var begun = time.Now()

func digits(due time.Time) string { return fmt.Sprintf("%012d", due.Sub(begun).Microseconds()) }

func stamp(due time.Time) string { return mark + digits(due) }

// stampOf finds the due time in a document, 0 if there is none.
func stampOf(document []byte) int64 {
	at := bytes.Index(document, []byte(mark))
	if at < 0 || len(document) < at+len(mark)+12 {
		return 0
	}
	n := int64(0)
	for _, digit := range document[at+len(mark) : at+len(mark)+12] {
		n = n*10 + int64(digit-'0')
	}
	return n
}

// audience are subscribers over socket.io.
type audience struct {
	subscribers []*subscriber
	all         sync.WaitGroup
	// counting says that what comes is measured.
	counting atomic.Bool
	leaving  atomic.Bool
	dropped  atomic.Int64
}

// subscriber is one connection, as a dashboard has one.
type subscriber struct {
	audience *audience
	conn     *websocket.Conn

	mu     sync.Mutex
	delays []time.Duration
	bytes  int64
	// newest is the due time of what came last, by room.
	newest map[string]int64
}

// attend connects n subscribers; each enters the rooms that rooms gives for its number.
func (b *bench) attend(ctx context.Context, n int, rooms func(int) []string) (*audience, error) {
	a := &audience{}
	for i := range n {
		s, err := b.subscribe(ctx, a, rooms(i))
		if err != nil {
			a.leave()
			return nil, fmt.Errorf("subscriber %d: %w", i, err)
		}
		a.subscribers = append(a.subscribers, s)
		a.all.Go(func() {
			if err := s.listen(ctx); err != nil && !a.leaving.Load() && ctx.Err() == nil {
				a.dropped.Add(1)
				_, _ = fmt.Fprintln(b.progress, "load: a subscriber was dropped:", err)
			}
		})
	}
	return a, nil
}

// subscribe speaks as much socket.io as it takes to be in the rooms.
func (b *bench) subscribe(ctx context.Context, a *audience, rooms []string) (*subscriber, error) {
	address := "ws" + strings.TrimPrefix(b.o.server, "http") + b.o.fleet.prefix + "/socket.io/?EIO=4&transport=websocket"
	conn, _, err := websocket.Dial(ctx, address, nil) //nolint:bodyclose // the library closes it
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	s := &subscriber{audience: a, conn: conn, newest: make(map[string]int64, len(rooms))}
	if err := s.expect(ctx, "0"); err != nil {
		return nil, err
	}
	auth, err := json.Marshal(map[string]string{"token": b.o.token})
	if err != nil {
		return nil, err
	}
	if err := s.say(ctx, "40"+string(auth)); err != nil {
		return nil, err
	}
	if err := s.expect(ctx, `40{"sid"`); err != nil {
		return nil, err
	}
	for _, room := range rooms {
		if err := s.say(ctx, `420["subscribe",{"room":`+strconv.Quote(room)+`}]`); err != nil {
			return nil, err
		}
		if err := s.expect(ctx, `430[{"success":true}]`); err != nil {
			return nil, fmt.Errorf("room %s: %w", room, err)
		}
		s.newest[room] = 0
	}
	return s, nil
}

func (s *subscriber) say(ctx context.Context, packet string) error {
	return s.conn.Write(ctx, websocket.MessageText, []byte(packet))
}

// expect reads until a packet begins so; events may come in between.
func (s *subscriber) expect(ctx context.Context, beginning string) error {
	for {
		_, packet, err := s.conn.Read(ctx)
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(string(packet), beginning):
			return nil
		case !strings.HasPrefix(string(packet), `42["/`):
			return fmt.Errorf("%.200s instead of %s", packet, beginning)
		}
	}
}

// listen takes what comes until the connection ends.
func (s *subscriber) listen(ctx context.Context) error {
	defer func() { _ = s.conn.CloseNow() }()
	packet := bytes.NewBuffer(make([]byte, 0, 64<<10))
	for {
		_, from, err := s.conn.Reader(ctx)
		if err != nil {
			return err
		}
		packet.Reset()
		if _, err := packet.ReadFrom(from); err != nil {
			return err
		}
		now := time.Since(begun)
		if packet.String() == "2" {
			if err := s.say(ctx, "3"); err != nil {
				return err
			}
			continue
		}
		s.take(packet.Bytes(), now)
	}
}

// take notes one event.
func (s *subscriber) take(packet []byte, now time.Duration) {
	rest, event := bytes.CutPrefix(packet, []byte(`42["`))
	room, document, found := bytes.Cut(rest, []byte{'"'})
	due := stampOf(document)
	if !event || !found || due == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, mine := s.newest[string(room)]; !mine {
		return
	}
	s.newest[string(room)] = due
	if s.audience.counting.Load() {
		s.delays = append(s.delays, now-time.Duration(due)*time.Microsecond)
		s.bytes += int64(len(packet))
	}
}

// heard is what the audience got while it was counted.
type heard struct {
	n        int
	bytes    int64
	p50, p99 time.Duration
}

// collect gives what was counted since the last time.
func (a *audience) collect() heard {
	var h heard
	var all []time.Duration
	for _, s := range a.subscribers {
		s.mu.Lock()
		all, h.bytes = append(all, s.delays...), h.bytes+s.bytes
		s.delays, s.bytes = s.delays[:0], 0
		s.mu.Unlock()
	}
	if h.n = len(all); h.n > 0 {
		slices.Sort(all)
		h.p50, h.p99 = all[h.n/2], all[h.n*99/100]
	}
	return h
}

// behind counts the rooms, over all subscribers, whose newest value did not come.
func (a *audience) behind(newest map[string]int64) int {
	n := 0
	for _, s := range a.subscribers {
		s.mu.Lock()
		for room, due := range s.newest {
			if sent, moved := newest[room]; moved && due != sent {
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

// settle waits until everybody has the newest values, and says how many rooms are still behind.
func (a *audience) settle(ctx context.Context, newest map[string]int64, patience time.Duration) int {
	until := time.Now().Add(patience)
	for {
		n := a.behind(newest)
		if n == 0 || time.Now().After(until) {
			return n
		}
		select {
		case <-ctx.Done():
			return n
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *audience) leave() {
	a.leaving.Store(true)
	for _, s := range a.subscribers {
		_ = s.conn.CloseNow()
	}
	a.all.Wait()
}

// adapters are connections that report, as fleet adapters and the dispatcher do.
type adapters []*adapter

type adapter struct {
	*websocket.Conn
	// refused is what the server said about a message, for it never says anything else.
	refused atomic.Pointer[string]
	gone    chan struct{}
}

func (b *bench) adapters(ctx context.Context, n int) (adapters, error) {
	var all adapters
	for range n {
		conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(b.o.server, "http")+b.o.fleet.prefix+"/_internal", &websocket.DialOptions{ //nolint:bodyclose // the library closes it
			HTTPHeader: http.Header{"Authorization": {"Bearer " + b.o.token}},
		})
		if err != nil {
			all.leave()
			return nil, fmt.Errorf("adapter: %w", err)
		}
		a := &adapter{Conn: conn, gone: make(chan struct{})}
		all = append(all, a)
		go a.listen(ctx)
	}
	return all, nil
}

// listen answers pings, and hears refusals.
func (a *adapter) listen(ctx context.Context) {
	defer close(a.gone)
	for {
		_, said, err := a.Read(ctx)
		if err != nil {
			return
		}
		text := string(said)
		a.refused.Store(&text)
	}
}

func (a *adapter) report(ctx context.Context, message []byte) error {
	if said := a.refused.Load(); said != nil {
		return fmt.Errorf("the server refuses a message: %.300s", *said)
	}
	return a.Write(ctx, websocket.MessageText, message)
}

func (a adapters) leave() {
	for _, one := range a {
		_ = one.Close(websocket.StatusNormalClosure, "")
		<-one.gone
	}
}

// report is one update: the room that it is for, and its text without the times at which it was due.
type report struct {
	room  string
	parts []string
}

// newReport takes a text apart that was due when the program began.
func newReport(room, text string) report { return report{room, strings.Split(text, digits(begun))} }

func (r report) at(due time.Time, to []byte) []byte {
	to = to[:0]
	for i, part := range r.parts {
		if i > 0 {
			to = append(to, digits(due)...)
		}
		to = append(to, part...)
	}
	return to
}

// stream is what was reported in a measurement.
type stream struct {
	sent   int
	took   time.Duration
	newest map[string]int64
}

// send reports at a steady rate, whatever the server does, for as long as told. The reports are dealt
// out to the connections, so that those of one room come in order.
func (a adapters) send(ctx context.Context, reports []report, rate float64, lasting time.Duration) (stream, error) {
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		failed error
		done   = stream{newest: map[string]int64{}}
		start  = time.Now()
		end    = start.Add(lasting)
		gap    = time.Duration(float64(time.Second) / rate)
		// late is when to give up on a server that takes nothing.
		late = end.Add(lasting + 5*time.Second)
	)
	for k, one := range a {
		all.Go(func() {
			var text []byte
			newest := map[string]int64{}
			sent := 0
			err := func() error {
				for i := k; ; i += len(a) {
					due := start.Add(time.Duration(i) * gap)
					if !due.Before(end) {
						return nil
					}
					if early := time.Until(due); early > time.Millisecond {
						time.Sleep(early)
					} else if time.Now().After(late) {
						return errors.New("the server does not take what it is sent")
					}
					// Each connection has reports of its own.
					mine := len(reports) / len(a)
					r := reports[k*mine+(i/len(a))%mine]
					text = r.at(due, text)
					if err := one.report(ctx, text); err != nil {
						return err
					}
					newest[r.room] = due.Sub(begun).Microseconds()
					sent++
				}
			}()
			mu.Lock()
			defer mu.Unlock()
			done.sent += sent
			for room, due := range newest {
				done.newest[room] = due
			}
			if failed == nil {
				failed = err
			}
		})
	}
	all.Wait()
	done.took = time.Since(start)
	return done, failed
}

// fill sends reports one after the other, as fast as the server takes them.
func (a adapters) fill(ctx context.Context, n int, text func(int) []byte) error {
	var all sync.WaitGroup
	failures := make([]error, len(a))
	for k, one := range a {
		all.Go(func() {
			for i := k; i < n; i += len(a) {
				if failures[k] = one.report(ctx, text(i)); failures[k] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}
