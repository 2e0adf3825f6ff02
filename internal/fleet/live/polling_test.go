package live_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lodge/internal/fleet/live"
)

// poller is a polling client whose bodies the tests write by hand.
type poller struct {
	t   testing.TB
	s   *site
	sid string
}

func (s *site) open(t testing.TB) *poller {
	t.Helper()
	status, body, _ := s.call(t, "GET", "EIO=4&transport=polling&t=abc", "")
	var in struct{ SID string }
	if status != 200 || json.Unmarshal([]byte(body[1:]), &in) != nil || in.SID == "" {
		t.Fatalf("open: %d %s", status, body)
	}
	return &poller{t, s, in.SID}
}

// poller has logged in.
func (s *site) poller(t testing.TB) *poller {
	t.Helper()
	p := s.open(t)
	p.post(`40{"token":"poller"}`)
	if got := p.next(); !strings.HasPrefix(got, `40{"sid":"`) {
		t.Fatalf("connect: %s", got)
	}
	return p
}

func (p *poller) query() string { return "EIO=4&transport=polling&sid=" + p.sid }

func (p *poller) get() (int, string, http.Header) {
	p.t.Helper()
	return p.s.call(p.t, "GET", p.query(), "")
}

func (p *poller) next() string {
	p.t.Helper()
	status, body, _ := p.get()
	if status != 200 {
		p.t.Fatalf("poll: %d %s", status, body)
	}
	return body
}

func (p *poller) post(body string) {
	p.t.Helper()
	if status, got, _ := p.s.call(p.t, "POST", p.query(), body, "Content-Type", "text/plain;charset=UTF-8"); status != 200 || got != "OK" {
		p.t.Fatalf("post %q: %d %s", body, status, got)
	}
}

func TestPolling(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	p := s.poller(t)
	p.post("421[\"subscribe\",{\"room\":\"/state/a\"}]\x1e422[\"subscribe\",{\"room\":\"/log/b\"}]\x1e3")
	if got := p.next(); got != "431[{\"success\":true}]\x1e432[{\"success\":true}]" {
		t.Errorf("got %q", got)
	}
	// A poll waits for an event.
	woken := make(chan string)
	go func() { woken <- p.next() }()
	for len(woken) == 0 {
		s.Publish("/state/a", "", json.RawMessage(`1`))
		select {
		case got := <-woken:
			if !strings.HasPrefix(got, `42["/state/a",1]`) {
				t.Errorf("got %q", got)
			}
			goto rest
		case <-time.After(20 * time.Millisecond):
		}
	}
rest:
	// Several wait for a poll.
	s.Publish("/log/b", "", json.RawMessage(`2`))
	s.Publish("/log/b", "", json.RawMessage(`3`))
	var all string
	for !strings.Contains(all, `42["/log/b",3]`) {
		all += p.next() + "\x1e"
	}
	if !strings.Contains(all, "42[\"/log/b\",2]\x1e42[\"/log/b\",3]") {
		t.Errorf("got %q", all)
	}
	// Binary arguments come as base64.
	p.post("451-9[\"subscribe\",{\"room\":\"/log/b\",\"x\":{\"_placeholder\":true,\"num\":0}}]\x1ebAQID")
	if got := p.next(); got != `439[{"success":true}]` {
		t.Errorf("got %q", got)
	}
	if st := s.Stats(); st.Polling != 1 || st.WebSocket != 0 {
		t.Errorf("stats %+v", st)
	}
	p.post("41")
	if status, _, _ := p.get(); status != 400 {
		t.Errorf("after goodbye: %d", status)
	}
}

func TestPollingPings(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{PingInterval: 50 * time.Millisecond, PingTimeout: 300 * time.Millisecond})
	p := s.poller(t)
	for range 3 {
		if got := p.next(); got != "2" {
			t.Fatalf("got %q, want a ping", got)
		}
		p.post("3")
	}
	if got := p.next(); got != "2" {
		t.Fatalf("got %q, want a ping", got)
	}
	if got := p.next(); got != "1" {
		t.Errorf("without a pong got %q, want a close", got)
	}
	if status, body, _ := p.get(); status != 400 || body != `"Invalid session `+p.sid+`"` {
		t.Errorf("then got %d %s", status, body)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	known := s.known(t, "anna")
	_ = known
	for _, c := range []struct {
		method, query string
		status        int
		want          string
	}{
		{"GET", "EIO=3&transport=polling", 400, `"The client is using an unsupported version of the Socket.IO or Engine.IO protocols"`},
		{"GET", "transport=polling", 400, `"The client is using an unsupported version of the Socket.IO or Engine.IO protocols"`},
		{"GET", "EIO=4", 400, `"Invalid transport"`},
		{"GET", "EIO=4&transport=webtransport", 400, `"Invalid transport"`},
		{"POST", "EIO=4&transport=websocket", 400, `"Invalid transport"`},
		{"GET", "EIO=4&transport=websocket", 400, `"Invalid transport"`},
		{"GET", "EIO=4&transport=polling&sid=nobody", 400, `"Invalid session nobody"`},
		{"POST", "EIO=4&transport=polling&sid=nobody", 400, `"Invalid session nobody"`},
		{"POST", "EIO=4&transport=polling", 400, `"Invalid session "`},
		{"GET", "EIO=4&transport=websocket&sid=%3Cb%3E", 400, `"Invalid session \u003cb\u003e"`},
		{"PUT", "EIO=4&transport=polling", 405, `"Method Not Allowed"`},
	} {
		status, body, h := s.call(t, c.method, c.query, "")
		if status != c.status || body != c.want || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: got %d %s (%s), want %d %s", c.method, c.query, status, body, h.Get("Content-Type"), c.status, c.want)
		}
	}
	res, err := s.web.Client().Get(s.web.URL + "/elsewhere?EIO=4&transport=polling")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 404 {
		t.Errorf("elsewhere is %d", res.StatusCode)
	}
}

func TestBadBodies(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{MaxPayload: 1000})
	for body, status := range map[string]int{
		"":                        400,
		"x":                       400,
		"3\x1e\x1e3":              400,
		"b!":                      400,
		strings.Repeat("3", 1001): 413,
	} {
		p := s.poller(t)
		if got, _, _ := s.call(t, "POST", p.query(), body); got != status {
			t.Errorf("%.20q: got %d, want %d", body, got, status)
		}
		if got, _, _ := p.get(); got != 400 {
			t.Errorf("%.20q: the session goes on: %d", body, got)
		}
	}
	// A packet that only socket.io cannot read ends the session as well.
	p := s.poller(t)
	p.post("42{")
	if got, _, _ := p.get(); got != 400 {
		t.Errorf("the session goes on: %d", got)
	}
}

func TestOverlappingPolls(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	p := s.poller(t)
	answers := make(chan string, 2)
	for range 2 {
		go func() {
			_, body, _ := p.get()
			answers <- body
		}()
	}
	a, b := <-answers, <-answers
	if a > b {
		a, b = b, a
	}
	if a != `"Overlapping polls"` || b != "1" {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestOriginsAndCORS(t *testing.T) {
	t.Parallel()
	open := newSite(t, live.Options{})
	const poll = "EIO=4&transport=polling"
	if _, _, h := open.call(t, "GET", poll, "", "Origin", "https://a.example"); h.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers %v", h)
	}
	status, body, h := open.call(t, "OPTIONS", poll, "", "Origin", "https://a.example",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-a, x-b")
	if status != 200 || body != "OK" || h.Get("Access-Control-Allow-Headers") != "x-a, x-b" ||
		h.Get("Access-Control-Allow-Methods") != "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT" || h.Get("Access-Control-Max-Age") != "600" {
		t.Errorf("preflight: %d %s %v", status, body, h)
	}

	strict := newSite(t, live.Options{CheckOrigin: func(r *http.Request) bool {
		o := r.Header.Get("Origin")
		return o == "" || o == "https://good.example"
	}})
	if _, _, h := strict.call(t, "GET", poll, "", "Origin", "https://good.example"); h.Get("Access-Control-Allow-Origin") != "https://good.example" {
		t.Errorf("headers %v", h)
	}
	if status, _, h := strict.call(t, "GET", poll, "", "Origin", "https://evil.example"); status != 403 || h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("evil origin: %d %v", status, h)
	}
	if ws, status := strict.try(t, over, "Origin", "https://evil.example"); ws != nil || status != 403 {
		t.Errorf("evil websocket: %d", status)
	}
	strict.dial(t, over).want("0{")
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	p := s.poller(t)
	p.post(`421["subscribe",{"room":"/log/a"}]`)
	if got := p.next(); got != `431[{"success":true}]` {
		t.Fatalf("got %q", got)
	}
	waiting := make(chan string, 1)
	go func() { waiting <- p.next() }()
	ws := s.dial(t, over+"&sid="+p.sid)
	ws.say("2probe")
	ws.want("3probe")
	if got := <-waiting; got != "6" {
		t.Errorf("the waiting poll got %q, want a noop", got)
	}
	// Still polling: events come that way, and a poll does not wait.
	s.Publish("/log/a", "", json.RawMessage(`1`))
	if got := p.next(); got != `42["/log/a",1]` {
		t.Errorf("got %q", got)
	}
	if got := p.next(); got != "6" {
		t.Errorf("got %q, want a noop", got)
	}
	if st := s.Stats(); st.Polling != 1 {
		t.Errorf("stats %+v", st)
	}
	s.Publish("/log/a", "", json.RawMessage(`2`)) // and what waits moves over
	ws.say("5")
	ws.want(`42["/log/a",2]`)
	s.Publish("/log/a", "", json.RawMessage(`3`))
	ws.want(`42["/log/a",3]`)
	ws.sync()
	for _, query := range []string{p.query(), over + "&sid=" + p.sid} {
		if status, body, _ := s.call(t, "GET", query, "", "Upgrade", "websocket", "Connection", "Upgrade"); status != 400 || body != `"Invalid transport"` {
			t.Errorf("%s after the upgrade: %d %s", query, status, body)
		}
	}
}

// An upgrade that fails leaves the session polling.
func TestFailedUpgrade(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{HandshakeTimeout: 500 * time.Millisecond})
	for name, fail := range map[string]func(*socket){
		"closed":             func(ws *socket) { _ = ws.CloseNow() },
		"wrong probe":        func(ws *socket) { ws.say("2hello") },
		"no upgrade":         func(ws *socket) { ws.say("2probe"); ws.want("3probe"); ws.say("42[]") },
		"says nothing":       func(*socket) {},
		"binary probe":       func(ws *socket) { _ = ws.Write(ws.t.Context(), websocket.MessageBinary, []byte("2probe")) },
		"gone in the middle": func(ws *socket) { ws.say("2probe"); ws.want("3probe"); _ = ws.CloseNow() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := s.poller(t)
			ws := s.dial(t, over+"&sid="+p.sid)
			fail(ws)
			// Another attempt is possible once the first is over.
			var again *socket
			eventually(t, "another attempt", func() bool {
				again, _ = s.try(t, over+"&sid="+p.sid)
				return again != nil
			})
			p.post(`421["subscribe",{"room":"/state/a"}]`)
			if got := p.next(); got != `431[{"success":true}]` {
				t.Errorf("got %q", got)
			}
			again.say("2probe")
			again.want("3probe")
			again.say("5")
			again.sync()
		})
	}
}

// While one upgrade is under way there is no second.
func TestDoubleUpgrade(t *testing.T) {
	t.Parallel()
	s := newSite(t, live.Options{})
	p := s.poller(t)
	s.dial(t, over+"&sid="+p.sid)
	if ws, status := s.try(t, over+"&sid="+p.sid); ws != nil || status != 400 {
		t.Errorf("got %d", status)
	}
}
