package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lodge/internal/fleet/live"
)

// filler is more than the kernel's buffers take, in a few events.
var filler = `"` + strings.Repeat("x", 1<<20) + `"`

// A reader that stands still skips values but ends with the newest, and holds nobody up.
func TestSlowReaderOfAState(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	slow, quick := s.known(t, "slow"), s.known(t, "quick")
	slow.say(`421["subscribe",{"room":"/state/big"}]`)
	slow.want("431")
	quick.say(`421["subscribe",{"room":"/state/big"}]`)
	quick.want("431")
	const rounds = 60
	for i := range rounds {
		start := time.Now()
		s.Publish("/state/big", "", json.RawMessage(fmt.Sprintf(`[%d,%s]`, i, filler)))
		if took := time.Since(start); took > 2*time.Second {
			t.Fatalf("publishing waited %v", took)
		}
		quick.want(fmt.Sprintf(`42["/state/big",[%d,`, i))
	}
	n, last := 0, -1
	for last != rounds-1 {
		var v int
		if _, err := fmt.Sscanf(slow.hear(), `42["/state/big",[%d,`, &v); err != nil || v <= last {
			t.Fatalf("after %d came %d (%v)", last, v, err)
		}
		last = v
		n++
	}
	if st := s.Stats(); n == rounds || st.Superseded == 0 {
		t.Errorf("nothing was skipped: %d events, %+v", n, st)
	}
}

// A reader that misses records is told to come back.
func TestSlowReaderOfALog(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{QueueSize: 8})
	slow, quick := s.known(t, "slow"), s.known(t, "quick")
	slow.say(`421["subscribe",{"room":"/log/big"}]`)
	slow.want("431")
	quick.say(`421["subscribe",{"room":"/log/big"}]`)
	quick.want("431")
	for i := 0; s.Stats().Ended["fell behind"] == 0; i++ {
		if i == 200 {
			t.Fatal("the slow reader was never dropped")
		}
		s.Publish("/log/big", "", json.RawMessage(filler))
		quick.want(`42["/log/big"`)
	}
	slow.wantEnd(websocket.StatusTryAgainLater, "fell behind")
	quick.sync()
}

// More than a queue of events may come while the latest value is looked up: of a state the newest
// counts, of a log every one.
func TestFloodWhileSubscribing(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{QueueSize: 8})
	c := s.known(t, "anna")
	c.say(`421["subscribe",{"room":"/slow"}]`)
	<-s.asked
	for i := range 100 {
		s.Publish("/slow", fmt.Sprint(i%2), json.RawMessage(fmt.Sprint(i)))
	}
	s.gate <- struct{}{}
	c.want(`42["/slow",98]`)
	c.want(`42["/slow",99]`)
	c.want(`431`)

	d := s.known(t, "bert")
	d.say(`421["subscribe",{"room":"/log/slow"}]`)
	<-s.asked
	for i := range 100 {
		s.Publish("/log/slow", "", json.RawMessage(fmt.Sprint(i)))
	}
	s.gate <- struct{}{}
	d.wantEnd(websocket.StatusTryAgainLater, "fell behind")
}

// Whoever asks without reading the answers is bounded too.
func TestAsksButNeverReads(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{QueueSize: 8, MaxRooms: 4})
	s.replay["/state/a"] = []json.RawMessage{json.RawMessage(filler)}
	c := s.known(t, "anna")
	for s.Stats().Ended["fell behind"] == 0 {
		if err := c.Write(t.Context(), websocket.MessageText, []byte(`42["subscribe",{"room":"/state/a"}]`)); err != nil {
			break
		}
	}
	eventually(t, "it is dropped", func() bool { return s.Stats().Ended["fell behind"] == 1 })
}

// A client that takes nothing at all is closed in the time of a ping, even with its connection full.
func TestStuckReader(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{PingTimeout: 300 * time.Millisecond})
	c := s.known(t, "anna")
	c.say(`421["subscribe",{"room":"/state/big"}]`)
	c.want("431")
	for range 20 {
		s.Publish("/state/big", "", json.RawMessage(`[`+filler+strings.Repeat(","+filler, 7)+`]`))
	}
	eventually(t, "it is closed", func() bool { return s.Stats().WebSocket == 0 })
}

func TestDrain(t *testing.T) {
	t.Parallel()
	s := live.New(live.Options{}, (&site{}).auth, (&site{}).subscribe, (&site{}).recheck, time.Now, discard())
	x := serve(t, s)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c := x.known(t, "anna")
	c.say(`421["subscribe",{"room":"/log/a"}]`)
	c.want("431")
	poller := x.poller(t)
	for i := range 50 {
		s.Publish("/log/a", "", json.RawMessage(fmt.Sprint(i)))
	}
	stop()
	for i := range 50 {
		c.want(fmt.Sprintf(`42["/log/a",%d]`, i))
	}
	c.wantEnd(websocket.StatusGoingAway, "the server restarts")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	status, _, h := x.call(t, "GET", "EIO=4&transport=polling", "")
	if status != 503 || h.Get("Retry-After") == "" {
		t.Errorf("a new client got %d", status)
	}
	if status, body, _ := poller.get(); status != 400 || !strings.HasPrefix(body, `"Invalid session `) {
		t.Errorf("an old poller got %d %s", status, body)
	}
	if _, _, err := s.Listen(t.Context(), "/log/a"); err == nil {
		t.Error("listening to a server that restarts")
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{QueueSize: 4})
	s.replay["/state/a"] = []json.RawMessage{json.RawMessage(`1`)}
	if _, _, err := s.Listen(t.Context(), "/nowhere"); err == nil || err.Error() != "no events in path" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), nameKey{}, "anna"))
	defer cancel()
	events, stop, err := s.Listen(ctx, "/state/a")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if e := <-events; string(e) != "1" {
		t.Errorf("got %s", e)
	}
	s.Publish("/state/a", "", json.RawMessage(`{"v":2}`))
	if e := <-events; string(e) != `{"v":2}` {
		t.Errorf("got %s", e)
	}
	for i := range 100 {
		s.Publish("/state/a", "", json.RawMessage(fmt.Sprint(i)))
	}
	for e := range events {
		if string(e) == "99" {
			break
		}
	}
	s.set(func() { s.revoked["anna"] = live.ErrNoRoom })
	if e, open := <-events; open {
		t.Errorf("got %s after the credentials ended", e)
	}

	records, stop, err := s.Listen(t.Context(), "/log/a")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		s.Publish("/log/a", "", json.RawMessage(fmt.Sprint(i)))
	}
	n := 0
	for range records {
		n++
	}
	if n > 6 {
		t.Errorf("%d records reached a reader that had fallen behind", n)
	}
	stop()

	gone, stop, err := s.Listen(t.Context(), "/log/a")
	if err != nil {
		t.Fatal(err)
	}
	stop()
	stop()
	if _, open := <-gone; open {
		t.Error("an event after stop")
	}
	if st := s.Stats(); st.Streams != 0 || st.Subscriptions != 0 {
		t.Errorf("stats %+v", st)
	}
}
