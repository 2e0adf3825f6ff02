package live_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lodge/internal/fault"
	"lodge/internal/fleet/live"
)

const over = "EIO=4&transport=websocket"

func TestOpenPacket(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	id := `[A-Za-z0-9_-]{20}`
	got := s.dial(t, over).hear()
	want := `^0\{"sid":"` + id + `","upgrades":\[\],"pingTimeout":20000,"pingInterval":25000,"maxPayload":1000000\}$`
	if !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("over websocket got %s", got)
	}
	status, body, h := s.call(t, "GET", "EIO=4&transport=polling", "")
	if want = strings.Replace(want, `\[\]`, `\["websocket"\]`, 1); status != 200 || !regexp.MustCompile(want).MatchString(body) {
		t.Errorf("over polling got %d %s", status, body)
	}
	if got := h.Get("Content-Type"); got != "text/plain; charset=UTF-8" {
		t.Errorf("content type %q", got)
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	refused := `44{"message":"Connection rejected by server"}`
	for say, want := range map[string]string{
		`40{"token":"anna"}`: `40{"sid":"`,
		`40`:                 refused,
		`40{}`:               refused,
		`40{"token":""}`:     refused,
		`40{"other":1}`:      refused,
		`40"text"`:           refused,
		`40[1]`:              refused,
		`40null`:             refused,
		// What went wrong inside is none of the client's business.
		`40{"token":"broken"}`:      refused,
		`40/admin,{"token":"anna"}`: `44/admin,"Unable to connect"`,
		`40/admin`:                  `44/admin,"Unable to connect"`,
	} {
		c := s.dial(t, over)
		c.want("0{")
		c.say(say)
		c.want(want)
	}
	// A refused client may try again, and a known one that connects again changes nothing.
	c := s.dial(t, over)
	c.want("0{")
	c.say(`40{}`)
	c.want("44")
	c.say(`42["subscribe",{"room":"/state/a"}]`) // unknown: no answer
	c.say(`40{"token":"anna"}`)
	c.want("40")
	c.say(`40{"token":"bert"}`)
	c.sync()
}

// Whatever does not speak the protocol is told so and let go.
func TestMalformed(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{MaxPayload: 1000})
	text := func(list ...string) []any {
		out := make([]any, len(list))
		for i := range list {
			out[i] = list[i]
		}
		return out
	}
	for name, c := range map[string]struct {
		frames []any
		code   websocket.StatusCode
		why    string
	}{
		"empty":                       {text(""), websocket.StatusProtocolError, "malformed packet"},
		"unknown engine type":         {text("9"), websocket.StatusProtocolError, "malformed packet"},
		"letters":                     {text("hello"), websocket.StatusProtocolError, "malformed packet"},
		"an open of its own":          {text(`0{}`), websocket.StatusProtocolError, "malformed packet"},
		"a ping of its own":           {text(`2`), websocket.StatusProtocolError, "malformed packet"},
		"an upgrade on a websocket":   {text(`5`), websocket.StatusProtocolError, "malformed packet"},
		"empty message":               {text(`4`), websocket.StatusProtocolError, "malformed packet"},
		"unknown socket type":         {text(`49`), websocket.StatusProtocolError, "malformed packet"},
		"broken json":                 {text(`42["subscribe"`), websocket.StatusProtocolError, "malformed packet"},
		"event without a name":        {text(`42[]`), websocket.StatusProtocolError, "malformed packet"},
		"event that is an object":     {text(`42{}`), websocket.StatusProtocolError, "malformed packet"},
		"event named by a number":     {text(`42[1]`), websocket.StatusProtocolError, "malformed packet"},
		"error of its own":            {text(`44{"message":"x"}`), websocket.StatusProtocolError, "malformed packet"},
		"bytes out of the blue":       {[]any{[]byte{1, 2}}, websocket.StatusProtocolError, "malformed packet"},
		"text instead of attachments": {text(`451-["x",{"_placeholder":true,"num":0}]`, `42["x"]`), websocket.StatusProtocolError, "malformed packet"},
		"too many attachments":        {text(`4511-["x"]`), websocket.StatusProtocolError, "malformed packet"},
		"binary without a count":      {text(`45["x"]`), websocket.StatusProtocolError, "malformed packet"},
		"more bytes than announced":   {[]any{`451-["x"]`, []byte{1}, []byte{2}}, websocket.StatusProtocolError, "malformed packet"},
		"goodbye":                     {text(`1`), websocket.StatusNormalClosure, "the client closed the connection"},
		"disconnect":                  {text(`41`), websocket.StatusNormalClosure, "the client left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := s.known(t, "anna")
			for _, frame := range c.frames {
				if b, ok := frame.([]byte); ok {
					if err := conn.Write(t.Context(), websocket.MessageBinary, b); err != nil {
						t.Fatal(err)
					}
					continue
				}
				conn.say(frame.(string))
			}
			conn.wantEnd(c.code, c.why)
		})
	}
	t.Run("too large", func(t *testing.T) {
		t.Parallel()
		conn := s.known(t, "anna")
		conn.say("42" + strings.Repeat("x", 2000))
		ctx := t.Context()
		if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
			t.Errorf("got %v", err)
		}
	})
}

// These are odd, and no reason to end a connection.
func TestTolerated(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	c := s.known(t, "anna")
	for _, say := range []string{
		"6", "3", `43[1]`, `431["x"]`, `42["dance",{"a":1}]`, `42["subscribe"]`, `42["subscribe",null]`, `42["subscribe","x"]`,
		`42["subscribe",{"room":7}]`, `42/other,["subscribe",{"room":"/state/a"}]`, `41/other,`, `40`,
	} {
		c.say(say)
	}
	c.say(`4299["subscribe",{}]`)
	c.want(`4399[{"success":false,"error":"missing 'room'"}]`)
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{MaxRooms: 3})
	s.replay["/state/a b"] = []json.RawMessage{json.RawMessage(`{"v":1}`), json.RawMessage(`{"v":2}`)}
	c, other := s.known(t, "anna"), s.known(t, "bert")

	c.say(`42["subscribe",{"room":"/state/a%20b"}]`) // no acknowledgement was asked for
	c.want(`42["/state/a b",{"v":1}]`)
	c.want(`42["/state/a b",{"v":2}]`)
	s.Publish("/state/a b", "", json.RawMessage(`{"v":3}`))
	s.Publish("/state/other", "", json.RawMessage(`{"v":9}`))
	c.want(`42["/state/a b",{"v":3}]`)

	// Twice is once, with the latest value again.
	c.say(`427["subscribe",{"room":"/state/a b"}]`)
	c.want(`42["/state/a b",{"v":1}]`)
	c.want(`42["/state/a b",{"v":2}]`)
	c.want(`437[{"success":true}]`)
	s.Publish("/state/a b", "", json.RawMessage(`{"v":4}`))
	c.want(`42["/state/a b",{"v":4}]`)

	// Nothing known yet is no failure.
	c.say(`428["subscribe",{"room":"/state/new"}]`)
	c.want(`438[{"success":true}]`)

	for room, why := range map[string]string{
		"/nowhere":                      "no events in path",
		"/secret/x":                     "403 Forbidden",
		"/broken":                       "500 Internal Server Error",
		"/" + strings.Repeat("x", 2000): "no events in path",
	} {
		c.say(`42["subscribe",{"room":"` + room + `"}]`)
		c.want(`42["subscribe",{"success":false,"error":"` + why + `"}]`)
		c.say(`425["subscribe",{"room":"` + room + `"}]`)
		c.want(`42["subscribe",{"success":false,"error":"` + why + `"}]`)
		c.want(`435[{"success":false,"error":"` + why + `"}]`)
	}
	c.say(`42["subscribe",{"room":"/state/third"}]`)
	c.say(`421["subscribe",{"room":"/state/fourth"}]`)
	c.want(`42["subscribe",{"success":false,"error":"too many rooms"}]`)
	c.want(`431[{"success":false,"error":"too many rooms"}]`)

	c.say(`42["unsubscribe",{"room":"/state/a%20b"}]`)
	c.want(`42["unsubscribe",{"success":true}]`)
	c.say(`423["unsubscribe",{"room":"/state/a b"}]`)
	c.want(`42["unsubscribe",{"success":false,"error":"not subscribed to topic"}]`)
	c.want(`433[{"success":false,"error":"not subscribed to topic"}]`)
	c.say(`42["unsubscribe",{}]`)
	c.want(`42["unsubscribe",{"success":false,"error":"missing 'room'"}]`)
	s.Publish("/state/a b", "", json.RawMessage(`{"v":5}`))
	c.sync()

	// All of that was between the server and one client.
	other.say(`421["subscribe",{"room":"/state/a b"}]`)
	other.want(`42["/state/a b",{"v":1}]`)
	if st := s.Stats(); st.WebSocket != 2 || st.Rooms != 3 || st.Subscriptions != 3 || st.Published != 4 {
		t.Errorf("stats %+v", st)
	}
}

func TestBinaryArguments(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	c := s.known(t, "anna")
	c.say(`452-4["subscribe",{"room":"/state/a","x":{"_placeholder":true,"num":0},"y":{"_placeholder":true,"num":1}}]`)
	for range 2 {
		if err := c.Write(t.Context(), websocket.MessageBinary, []byte{0, 1}); err != nil {
			t.Fatal(err)
		}
	}
	c.want(`434[{"success":true}]`)
}

func TestPanicEndsOneConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	c, other := s.known(t, "anna"), s.known(t, "bert")
	c.say(`42["subscribe",{"room":"/panic"}]`)
	c.wantEnd(websocket.StatusInternalError, "something went wrong on our side")
	other.sync()
}

// What is published while Subscribe looks the latest value up is neither lost nor overtaken by it.
func TestNothingLostWhileSubscribing(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	s.replay["/slow"] = []json.RawMessage{json.RawMessage(`1`)}
	c := s.known(t, "anna")
	c.say(`421["subscribe",{"room":"/slow"}]`)
	<-s.asked
	s.Publish("/slow", "", json.RawMessage(`2`))
	s.gate <- struct{}{}
	c.want(`42["/slow",1]`)
	c.want(`42["/slow",2]`)
	c.want(`431`)

	// The same when the client was in the room already.
	c.say(`422["subscribe",{"room":"/slow"}]`)
	<-s.asked
	s.Publish("/slow", "", json.RawMessage(`3`))
	s.gate <- struct{}{}
	c.want(`42["/slow",1]`)
	c.want(`42["/slow",3]`)
	c.want(`432`)
}

func TestPings(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{PingInterval: 50 * time.Millisecond, PingTimeout: 200 * time.Millisecond})
	c := s.known(t, "anna")
	for range 5 {
		if got := c.hear(); got != "2" {
			t.Fatalf("got %q, want a ping", got)
		}
		c.say("3")
	}
	c.wantEnd(websocket.StatusNormalClosure, "no answer to pings")
}

func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{HandshakeTimeout: 100 * time.Millisecond})
	c := s.dial(t, over)
	c.want("0{")
	c.wantEnd(websocket.StatusPolicyViolation, "no login in time")
	// The client may hear of its end before the server has counted it.
	eventually(t, "it is counted", func() bool {
		st := s.Stats()
		return st.Unknown == 0 && st.WebSocket == 0 && st.Ended["no login in time"] == 1
	})
}

func TestTooManyClients(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{MaxClients: 2})
	first := s.known(t, "anna")
	s.known(t, "bert")
	status, body, _ := s.call(t, "GET", "EIO=4&transport=polling", "")
	if status != 429 || body != `"too many connections"` {
		t.Errorf("got %d %s", status, body)
	}
	first.say("1")
	eventually(t, "room for another one", func() bool { return s.Stats().WebSocket == 1 })
	s.known(t, "carl")
}

func TestTooManyWithoutLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{MaxClients: 40})
	for range 16 {
		s.dial(t, over).want("0{")
	}
	status, body, _ := s.call(t, "GET", "EIO=4&transport=polling", "")
	if status != 429 || body != `"too many connections without a login"` {
		t.Errorf("got %d %s", status, body)
	}
}

func TestCredentialsEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	anna, bert := s.known(t, "anna"), s.known(t, "bert")
	s.set(func() { s.revoked["bert"] = fault.New(fault.Unavailable, "the database is away") })
	s.set(func() { s.revoked["anna"] = fault.New(fault.Unauthenticated, "logged out") })
	start := time.Now()
	anna.wantEnd(websocket.StatusPolicyViolation, "credentials ended")
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("that took %v", took)
	}
	bert.sync()
}

func TestPermissionEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	c := s.known(t, "anna")
	c.say(`42["subscribe",{"room":"/state/a"}]`)
	c.say(`421["subscribe",{"room":"/state/b"}]`)
	c.want("431")
	s.set(func() { s.lost["/state/a"] = fault.New(fault.Denied, "403 Forbidden") })
	c.want(`42["subscribe",{"success":false,"error":"403 Forbidden: /state/a"}]`)
	s.Publish("/state/a", "", json.RawMessage(`1`))
	s.Publish("/state/b", "", json.RawMessage(`2`))
	c.want(`42["/state/b",2]`)
}

func TestComeBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	s.replay["/state/a"] = []json.RawMessage{json.RawMessage(`1`)}
	pidOf := func(c *socket, auth string) string {
		c.want("0{")
		c.say("40" + auth)
		var in struct{ PID string }
		if err := json.Unmarshal([]byte(c.want("40")[2:]), &in); err != nil || in.PID == "" {
			t.Fatalf("no pid: %v", err)
		}
		return in.PID
	}
	first := s.dial(t, over)
	pid := pidOf(first, `{"token":"admin"}`)
	first.say(`42["subscribe",{"room":"/state/a"}]`)
	first.want(`42["/state/a",1]`)
	first.say(`421["subscribe",{"room":"/secret/x"}]`)
	first.want("431")

	// The client is back before the server has noticed that it was away.
	second := s.dial(t, over)
	if got := pidOf(second, `{"token":"admin","pid":"`+pid+`","offset":"x"}`); got != pid {
		t.Errorf("came back as %s, was %s", got, pid)
	}
	second.want(`42["/state/a",1]`)
	first.wantEnd(websocket.StatusNormalClosure, "the client came back on a new connection")
	s.Publish("/secret/x", "", json.RawMessage(`2`))
	second.want(`42["/secret/x",2]`)

	// Later, as somebody who may not listen everywhere.
	_ = second.CloseNow()
	eventually(t, "the session ends", func() bool { return s.Stats().WebSocket == 0 })
	third := s.dial(t, over)
	if got := pidOf(third, `{"token":"anna","pid":"`+pid+`"}`); got != pid {
		t.Errorf("came back as %s, was %s", got, pid)
	}
	got := third.hear() + third.hear()
	if !strings.Contains(got, `42["/state/a",1]`) || !strings.Contains(got, `"error":"403 Forbidden"`) {
		t.Errorf("got %s", got)
	}

	// Whoever said goodbye starts anew, and a pid that nobody had is none.
	third.say("41")
	third.wantEnd(websocket.StatusNormalClosure, "the client left")
	for _, auth := range []string{`{"token":"anna","pid":"` + pid + `"}`, `{"token":"anna","pid":"guess"}`, `{"token":"anna","pid":7}`} {
		c := s.dial(t, over)
		if got := pidOf(c, auth); got == pid || got == "guess" {
			t.Errorf("%s came back as %s", auth, got)
		}
		c.sync()
	}
}
