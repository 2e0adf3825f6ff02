package rosbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lodge/internal/fault"
	"lodge/internal/fleet/rosbridge"
)

func TestIntroduction(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	p := start(t, rosbridge.Config{
		URL: b.url(),
		Topics: []rosbridge.Topic{
			{Name: "door_states", Type: "rmf_door_msgs/msg/DoorState"},
			{Name: "/clock", Type: "rosgraph_msgs/msg/Clock", ThrottleMS: 100, QueueLength: 1, QoS: map[string]any{"reliability": "best_effort"}},
		},
		Adverts: []rosbridge.Topic{
			{Name: "/task_api_requests", Type: "rmf_task_msgs/msg/ApiRequest"},
			{Name: "/fire_alarm_trigger", Type: "std_msgs/msg/Bool", Latched: true, QueueLength: 1, QoS: map[string]any{"depth": 1}},
		},
	})
	introduced := func() {
		t.Helper()
		b.want(`{"op":"advertise","id":"a0","topic":"/task_api_requests","type":"rmf_task_msgs/msg/ApiRequest","queue_size":100,"latch":false}`)
		b.want(`{"op":"advertise","id":"a1","topic":"/fire_alarm_trigger","type":"std_msgs/msg/Bool","queue_size":1,"latch":true,"qos":{"depth":1}}`)
		b.want(`{"op":"subscribe","id":"s:/door_states","topic":"/door_states","type":"rmf_door_msgs/msg/DoorState","compression":"none","fragment_size":8388608}`)
		b.want(`{"op":"subscribe","id":"s:/clock","topic":"/clock","type":"rosgraph_msgs/msg/Clock","throttle_rate":100,"queue_length":1,
			"compression":"none","fragment_size":8388608,"qos":{"reliability":"best_effort"}}`)
	}
	conn := b.conn()
	introduced()
	eventually(t, "connected", p.Connected)
	if err := p.Check(t.Context()); err != nil {
		t.Error(err)
	}

	if err := p.Publish(t.Context(), "/task_api_requests", map[string]string{"json_msg": "{}", "request_id": "1"}); err != nil {
		t.Fatal(err)
	}
	b.want(`{"op":"publish","topic":"/task_api_requests","msg":{"json_msg":"{}","request_id":"1"}}`)
	if err := p.Publish(t.Context(), "fire_alarm_trigger", json.RawMessage(`{"data":false}`)); err != nil {
		t.Fatal(err)
	}
	b.want(`{"op":"publish","topic":"/fire_alarm_trigger","msg":{"data":false},"latch":true}`)
	if err := p.Publish(t.Context(), "/elsewhere", 1); err == nil || fault.Is(err, fault.Unavailable) {
		t.Errorf("publishing without an advert: %v", err)
	}
	if err := p.Publish(t.Context(), "/task_api_requests", func() {}); err == nil {
		t.Error("a function was published")
	}

	// Names come as they were configured, whatever the bridge says.
	say(t, conn, `{"op":"publish","topic":"/door_states","msg":{"a":1}}`)
	p.want("door_states", `{"a":1}`)
	say(t, conn, `{"op":"publish","topic":"clock","msg":{"b":2}}`)
	p.want("/clock", `{"b":2}`)

	// All of that again after a break.
	_ = conn.CloseNow()
	b.conn()
	introduced()
}

func TestAway(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	b.refuse.Store(true)
	p := start(t, rosbridge.Config{
		URL:     b.url() + "/?token=hush",
		Topics:  []rosbridge.Topic{{Name: "/a", Type: "std_msgs/msg/Bool"}},
		Adverts: []rosbridge.Topic{{Name: "/x", Type: "std_msgs/msg/Bool"}},
	})
	away := func() {
		t.Helper()
		if err := p.Publish(t.Context(), "/x", true); !fault.Is(err, fault.Unavailable) {
			t.Errorf("publishing gave %v", err)
		}
		if err := p.Check(t.Context()); !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "hush") {
			t.Errorf("the check gave %v", err)
		}
	}
	away()
	eventually(t, "several attempts", func() bool { return b.handshakes.Load() > 4 })
	away()
	if p.Connected() {
		t.Error("connected to nobody")
	}
	b.refuse.Store(false)
	conn := b.conn()
	eventually(t, "connected", p.Connected)
	say(t, conn, `{"op":"publish","topic":"/a","msg":1}`)
	p.want("/a", "1")
	b.refuse.Store(true)
	_ = conn.CloseNow()
	eventually(t, "it is away", func() bool { return !p.Connected() })
	away()
	// Only news is logged, and no secret.
	eventually(t, "more attempts", func() bool { return b.handshakes.Load() > 12 })
	if n := p.log.count("rosbridge is away"); n < 2 || n > 3 {
		t.Errorf("logged %d times that it is away", n)
	}
	if p.log.count("hush") > 0 {
		t.Error("the log tells the token")
	}
}

// A bridge that lets us in and throws us out again is not hammered.
func TestRudeBridge(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	b.rude.Store(true)
	start(t, rosbridge.Config{URL: b.url()})
	eventually(t, "some attempts", func() bool { return b.handshakes.Load() > 6 })
	before, from := b.handshakes.Load(), time.Now()
	eventually(t, "ten more", func() bool { return b.handshakes.Load() >= before+10 })
	if took := time.Since(from); took < 10*25*time.Millisecond {
		t.Errorf("ten attempts in %v", took)
	}
}

func TestDeafBridge(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	b.deaf.Store(true)
	p := start(t, rosbridge.Config{URL: b.url(), PingInterval: 30 * time.Millisecond, PingTimeout: 100 * time.Millisecond})
	b.conn()
	b.conn() // given up and connected again
	if p.log.count("no answer to a ping") == 0 {
		t.Error("the log does not say why")
	}
}

// A caller that gives up leaves the connection to the others.
func TestImpatientPublisher(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	b.deaf.Store(true)
	p := start(t, rosbridge.Config{URL: b.url(), WriteTimeout: 3 * time.Second, Adverts: []rosbridge.Topic{{Name: "/x"}}})
	b.conn()
	eventually(t, "connected", p.Connected)
	big := strings.Repeat("x", 16<<20)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.Publish(ctx, "/x", big); !fault.Is(err, fault.Timeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if !p.Connected() {
		t.Error("the connection is gone with its caller")
	}
	// Whoever waits behind it hears when the connection breaks.
	if err := p.Publish(t.Context(), "/x", 1); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}

// What retained messages a late publisher has is asked for until one came.
func TestLatchedTopicsAreAskedAgain(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	p := start(t, rosbridge.Config{
		URL: b.url(), ReplayAfter: 10 * time.Millisecond,
		Topics: []rosbridge.Topic{{Name: "/map", Type: "m/msg/M", Latched: true}, {Name: "/state", Type: "m/msg/S"}},
	})
	conn := b.conn()
	subscribe := func(name, kind string) {
		t.Helper()
		b.want(fmt.Sprintf(`{"op":"subscribe","id":"s:%s","topic":"%s","type":"%s","compression":"none","fragment_size":8388608}`, name, name, kind))
	}
	subscribe("/map", "m/msg/M")
	subscribe("/state", "m/msg/S")
	for range 3 {
		b.want(`{"op":"unsubscribe","id":"s:/map","topic":"/map"}`)
		subscribe("/map", "m/msg/M")
	}
	say(t, conn, `{"op":"publish","topic":"/map","msg":{"levels":[]}}`)
	p.want("/map", `{"levels":[]}`)
	// At most one more was on its way.
	eventually(t, "the end of it", func() bool {
		for len(b.frames) > 0 {
			<-b.frames
		}
		select {
		case <-b.frames:
			return false
		case <-time.After(500 * time.Millisecond):
			return true
		}
	})
}

func TestOddFrames(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	p := start(t, rosbridge.Config{URL: b.url(), Topics: []rosbridge.Topic{{Name: "/a"}}})
	conn := b.conn()
	for _, text := range []string{
		`not json`, `not json either`, `[]`, `{}`, `{"op":7}`, `{"op":"png","data":"x"}`, `{"op":"service_response","id":"x","values":{}}`,
		`{"op":"publish","topic":"/b","msg":1}`, `{"op":"publish","topic":"/a"}`, `{"op":"publish","topic":"/a","msg":"panic"}`,
		`{"op":"status","level":"error","msg":"no such type","id":"a0"}`, `{"op":"status","level":"info","msg":{"odd":1}}`,
		`{"op":"fragment","id":0,"data":"x","num":1,"total":2}`, `{"op":"fragment","id":0,"data":"x","num":0,"total":0}`,
		`{"op":"fragment","id":0,"data":"nonsense","num":0,"total":1}`,
		`{"op":"fragment","id":0,"data":"{\"op\":\"fragment\",\"num\":0,\"total\":1,\"data\":\"{}\"}","num":0,"total":1}`,
	} {
		say(t, conn, text)
	}
	if err := conn.Write(t.Context(), websocket.MessageBinary, []byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	say(t, conn, `{"op":"publish","topic":"/a","msg":"still here"}`)
	p.want("/a", `"still here"`)
	for what, times := range map[string]int{
		"not JSON": 1, "compressed messages": 1, "binary frames": 1, "fragmented message was dropped": 1,
		"handler panicked": 1, `text="no such type" about="\"a0\""`: 1, "level=ERROR msg=\"rosbridge says\"": 1,
	} {
		if n := p.log.count(what); n != times {
			t.Errorf("%q stands %d times in the log, want %d", what, n, times)
		}
	}
}

// fragments takes a frame apart as rosbridge does, with its fractional total.
func fragments(t testing.TB, frame string, size int) []string {
	var list []string
	total := float64(len(frame)-1)/float64(size) + 1
	for num := 0; num*size < len(frame); num++ {
		text, err := json.Marshal(map[string]any{
			"op": "fragment", "id": 0, "num": num, "total": total, "data": frame[num*size : min(len(frame), (num+1)*size)],
		})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(text))
	}
	return list
}

func TestLargeMessages(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	p := start(t, rosbridge.Config{URL: b.url(), Topics: []rosbridge.Topic{{Name: "/map"}}, MaxMessage: 4 << 20})
	conn := b.conn()
	message := func(size int) (frame, msg string) {
		msg = `{"image":"` + strings.Repeat("ab\\\"", size/4) + `"}`
		return `{"op":"publish","topic":"/map","msg":` + msg + `}`, msg
	}
	// Whole, although we asked for less.
	frame, msg := message(3 << 20)
	say(t, conn, frame)
	p.want("/map", msg)
	for _, size := range []int{1, 2, 3, 7, len(frame) / 2, len(frame)/2 + 1, len(frame), len(frame) + 1} {
		frame, msg := frame, msg
		if size < 100 {
			frame, msg = message(40)
		}
		for i, part := range fragments(t, frame, size) {
			if i > 0 {
				say(t, conn, `{"op":"publish","topic":"/map","msg":0}`) // others come in between
				p.want("/map", "0")
			}
			say(t, conn, part)
		}
		p.want("/map", msg)
	}
	// One that breaks off is forgotten when the next begins.
	frame, msg = message(100)
	say(t, conn, fragments(t, frame, 50)[0])
	for _, part := range fragments(t, frame, 50) {
		say(t, conn, part)
	}
	p.want("/map", msg)
	// One over the limit costs that message and not the connection.
	frame, _ = message(9 << 20)
	for _, part := range fragments(t, frame, 1<<20) {
		say(t, conn, part)
	}
	say(t, conn, `{"op":"publish","topic":"/map","msg":1}`)
	p.want("/map", "1")
	if p.log.count("larger than the limit") != 1 {
		t.Error("the log does not say that a message was dropped")
	}
	// Whoever sends such a thing in one frame breaks the connection, and is connected to again.
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(frame)); err == nil {
		eventually(t, "a new connection", func() bool { return len(b.conns) > 0 })
	}
	say(t, b.conn(), `{"op":"publish","topic":"/map","msg":2}`)
	p.want("/map", "2")
}

func TestGoodbye(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	p := start(t, rosbridge.Config{URL: b.url()})
	b.conn()
	eventually(t, "connected", p.Connected)
	p.stop()
	if p.Connected() {
		t.Error("connected after the end")
	}
	if err := p.Publish(t.Context(), "/x", 1); err == nil {
		t.Error("published after the end")
	}
}

// Publishers and breaks at random times: every call comes back, with nil or as Unavailable.
func TestChurn(t *testing.T) {
	t.Parallel()
	b := newBridge(t)
	p := start(t, rosbridge.Config{URL: b.url(), Adverts: []rosbridge.Topic{{Name: "/x"}}, WriteTimeout: time.Second})
	stop := make(chan struct{})
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for {
			select {
			case <-b.frames:
			case <-stop:
				return
			}
		}
	}()
	done := make(chan error, 8)
	for range 8 {
		go func() {
			for range 300 {
				if err := p.Publish(context.Background(), "/x", 1); err != nil && !fault.Is(err, fault.Unavailable) {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 10 {
		_ = b.conn().CloseNow()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	p.stop()
	close(stop)
	<-drained
}
