package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A server stands where Lodge would: it takes what the adapters send.
type server struct {
	t   *testing.T
	url string

	mu      sync.Mutex
	changed *sync.Cond
	states  map[string]taskState
	history map[string][]status
	fleets  map[string]fleetState
	logs    map[string]map[string]int // task, then entry: how often it came
	tokens  map[string]int
	conns   map[*websocket.Conn]bool
	wrong   error
	away    bool
}

func newServer(t *testing.T) *server {
	s := &server{
		t: t, states: map[string]taskState{}, history: map[string][]status{}, fleets: map[string]fleetState{},
		logs: map[string]map[string]int{}, tokens: map[string]int{}, conns: map[*websocket.Conn]bool{},
	}
	s.changed = sync.NewCond(&s.mu)
	defs := loadShapes(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		away := s.away
		s.mu.Unlock()
		if away || r.URL.Path != "/fleet/_internal" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		s.mu.Lock()
		s.tokens[r.Header.Get("Authorization")]++
		s.conns[conn] = true
		s.mu.Unlock()
		for {
			_, text, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			s.take(defs, text)
		}
	}))
	t.Cleanup(web.Close)
	s.url = web.URL + "/fleet"
	return s
}

func (s *server) take(defs map[string]schema, text []byte) {
	var m struct {
		Type string
		Data json.RawMessage
	}
	err := json.Unmarshal(text, &m)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changed.Broadcast()
	switch m.Type {
	case "task_state_update":
		var state taskState
		err = json.Unmarshal(m.Data, &state)
		id := state.Booking.ID
		s.states[id] = state
		if h := s.history[id]; len(h) == 0 || h[len(h)-1] != state.Status {
			s.history[id] = append(h, state.Status)
		}
		if err == nil {
			err = check(defs, "TaskState", m.Data)
		}
	case "task_log_update":
		var l taskLog
		err = json.Unmarshal(m.Data, &l)
		if s.logs[l.TaskID] == nil {
			s.logs[l.TaskID] = map[string]int{}
		}
		for phase, p := range l.Phases {
			for _, e := range p.Log {
				s.logs[l.TaskID][fmt.Sprint(phase, "/", e.Seq)]++
			}
			for event, list := range p.Events {
				for _, e := range list {
					s.logs[l.TaskID][fmt.Sprint(phase, "/", event, "/", e.Seq)]++
				}
			}
		}
	case "fleet_state_update":
		var f fleetState
		err = json.Unmarshal(m.Data, &f)
		s.fleets[f.Name] = f
	case "fleet_log_update":
	default:
		err = fmt.Errorf("an update of type %q", m.Type)
	}
	if err != nil && s.wrong == nil {
		s.wrong = fmt.Errorf("%w in %s", err, text)
	}
}

// await waits until a condition holds for what has come in.
func (s *server) await(what string, holds func() bool) {
	s.t.Helper()
	late := time.AfterFunc(time.Minute, func() { s.changed.Broadcast() })
	defer late.Stop()
	deadline := time.Now().Add(time.Minute)
	s.mu.Lock()
	defer s.mu.Unlock()
	for !holds() {
		if s.wrong != nil || time.Now().After(deadline) {
			s.t.Fatalf("not seen: %s (%v)", what, s.wrong)
		}
		s.changed.Wait()
	}
}

// drop ends all adapter connections, as a server does that restarts.
func (s *server) drop(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
	for c := range s.conns {
		_ = c.CloseNow()
	}
	clear(s.conns)
}

// startSite runs a site and gives its address.
func startSite(t *testing.T, opts Options) (*Site, string) {
	t.Helper()
	site, err := New(opts, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(site.Handler())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- site.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return site, web.URL
}

// A peer is a client of the site's rosbridge.
type peer struct {
	t    *testing.T
	conn *websocket.Conn
}

func dialBridge(t *testing.T, url string) *peer {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), strings.Replace(url, "http", "ws", 1), nil) //nolint:bodyclose // the connection owns it
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &peer{t, conn}
}

func (p *peer) send(format string, args ...any) {
	p.t.Helper()
	if err := p.conn.Write(p.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		p.t.Fatal(err)
	}
}

// await reads frames until one of a topic (or operation) satisfies the condition.
func (p *peer) await(what string, holds func(f frame, text string) bool) frame {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	for {
		_, text, err := p.conn.Read(ctx)
		if err != nil {
			p.t.Fatalf("waiting for %s: %v", what, err)
		}
		var f frame
		if err := json.Unmarshal(text, &f); err != nil {
			p.t.Fatalf("%v in %s", err, text)
		}
		if holds(f, string(text)) {
			return f
		}
	}
}

func onTopic(name, part string) func(frame, string) bool {
	return func(f frame, text string) bool {
		return f.Op == "publish" && f.Topic == name && strings.Contains(text, part)
	}
}

func (p *peer) task(id, category, description string) string {
	p.t.Helper()
	request, err := json.Marshal(fmt.Sprintf(`{"type":"dispatch_task_request","request":{"category":%q,"description":%s}}`, category, description))
	if err != nil {
		p.t.Fatal(err)
	}
	p.send(`{"op":"publish","topic":"/task_api_requests","msg":{"json_msg":%s,"request_id":%q}}`, request, id)
	f := p.await("the answer", onTopic("/task_api_responses", id))
	var answer apiAnswer
	var got reply
	if json.Unmarshal(f.Msg, &answer) != nil || json.Unmarshal([]byte(answer.JSON), &got) != nil || !got.Success || answer.Type != 2 {
		p.t.Fatalf("dispatch: %s", f.Msg)
	}
	return got.State.Booking.ID
}

func TestASiteSeenFromOutside(t *testing.T) {
	t.Parallel()
	lodge := newServer(t)
	_, url := startSite(t, Options{Server: lodge.url, Token: "t0ken", Seed: 1, Speed: 100})
	p := dialBridge(t, url)
	p.send(`{"op":"subscribe","id":"m","topic":"/map","type":"rmf_building_map_msgs/msg/BuildingMap"}`)
	p.await("the map, though it was published before we came", onTopic("/map", `"harbour_wing"`))
	p.send(`{"op":"advertise","topic":"/task_api_requests","type":"rmf_task_msgs/ApiRequest"}`)
	p.send(`{"op":"subscribe","topic":"task_api_responses","type":"rmf_task_msgs/msg/ApiResponse"}`)
	patrol := p.task("one", "patrol", `{"places":["lobby","ward_desk"],"rounds":2}`)
	delivery := p.task("two", "delivery", `{"pickup":{"place":"pantry","handler":"pantry_dispenser","payload":{"sku":"soda","quantity":1}},"dropoff":{"place":"lab_bench","handler":"lab_ingestor","payload":[]}}`)
	lodge.await("both tasks completed", func() bool {
		return lodge.states[patrol].Status == completed && lodge.states[delivery].Status == completed
	})
	lodge.await("all eight robots", func() bool { return len(lodge.fleets["carriers"].Robots)+len(lodge.fleets["cleaners"].Robots) == 8 })
	lodge.mu.Lock()
	defer lodge.mu.Unlock()
	for _, id := range []string{patrol, delivery} {
		h := lodge.history[id]
		if h[0] != queued || h[1] != underway || h[len(h)-1] != completed {
			t.Errorf("%s went %v", id, h)
		}
		if len(lodge.logs[id]) == 0 {
			t.Errorf("%s has no log", id)
		}
	}
	if lodge.tokens["Bearer t0ken"] != 3 || len(lodge.tokens) != 1 {
		t.Errorf("connections by token: %v", lodge.tokens)
	}
}

// When the server comes back it learns what ended while it was away, and has the whole log.
func TestTheServerMayGoAway(t *testing.T) {
	t.Parallel()
	lodge := newServer(t)
	site, url := startSite(t, Options{Server: lodge.url, Seed: 1, Speed: 100})
	p := dialBridge(t, url)
	p.send(`{"op":"subscribe","topic":"/task_api_responses"}`)
	var ids []string
	for i := range 5 {
		ids = append(ids, p.task(fmt.Sprint(i), "patrol", `{"places":["workshop","lobby"]}`))
	}
	lodge.await("the first is underway", func() bool { return lodge.states[ids[0]].Status == underway })
	lodge.drop(true)
	p.send(`{"op":"subscribe","topic":"/clock"}`)
	p.await("all tasks are over", func(frame, string) bool {
		site.mu.Lock()
		defer site.mu.Unlock()
		return len(site.world.live) == 0
	})
	lodge.drop(false)
	lodge.await("all tasks completed", func() bool {
		for _, id := range ids {
			if lodge.states[id].Status != completed {
				return false
			}
		}
		return true
	})
	lodge.await("whole logs", func() bool {
		site.mu.Lock()
		defer site.mu.Unlock()
		for _, task := range site.world.ended {
			n := 0
			for _, ph := range task.log.Phases {
				n += len(ph.Log)
				for _, e := range ph.Events {
					n += len(e)
				}
			}
			if len(lodge.logs[task.booking.ID]) != n {
				return false
			}
		}
		return true
	})
}

func TestTheBridge(t *testing.T) {
	t.Parallel()
	_, url := startSite(t, Options{Seed: 1, Speed: 50})
	p := dialBridge(t, url)
	p.send(`not JSON`)
	p.send(`{"op":"dance"}`)
	p.send(`{"op":"subscribe","topic":"/door_states","type":"std_msgs/msg/String"}`) // the wrong type
	p.send(`{"op":"subscribe","topic":"/no_such_topic"}`)
	p.send(`{"op":"publish","topic":"/no_such_topic","msg":{}}`)
	for _, c := range []struct{ topic, kind string }{
		{"/lift_states", "rmf_lift_msgs/msg/LiftState"},
		{"/dispenser_states", "rmf_dispenser_msgs/msg/DispenserState"},
		{"/ingestor_states", "rmf_ingestor_msgs/msg/IngestorState"},
		{"/beacon_state", "rmf_fleet_msgs/msg/BeaconState"},
		{"/fire_alarm_trigger", "std_msgs/msg/Bool"},
		{"/door_states", "rmf_door_msgs/DoorState"},
	} {
		p.send(`{"op":"subscribe","topic":%q,"type":%q}`, c.topic, c.kind)
		p.await(c.topic, func(f frame, _ string) bool { return f.Topic == c.topic })
	}
	p.send(`{"op":"unsubscribe","topic":"/lift_states"}`)
	p.send(`{"op":"call_service","id":"r","service":"/rosapi/get_time"}`)
	p.await("the time", func(f frame, _ string) bool { return f.Op == "service_response" })
	p.send(`{"op":"advertise","topic":"/adapter_door_requests","type":"rmf_door_msgs/msg/DoorRequest"}`)
	p.send(`{"op":"publish","topic":"/adapter_door_requests","latch":false,"msg":{"request_time":{"sec":1,"nanosec":0},"requester_id":"rmf_api_server","door_name":"lab_door","requested_mode":{"value":2}}}`)
	p.await("the open door", func(f frame, text string) bool {
		if f.Topic == "/lift_states" {
			t.Error("a lift state came after unsubscribing")
		}
		return strings.Contains(text, `"door_name":"lab_door","current_mode":{"value":2}`)
	})
	// What one client publishes every subscriber hears, also the publisher.
	p.send(`{"op":"publish","topic":"/fire_alarm_trigger","msg":{"data":true}}`)
	p.await("our own alarm", onTopic("/fire_alarm_trigger", "true"))
	other := dialBridge(t, url)
	other.send(`{"op":"subscribe","topic":"/fire_alarm_trigger"}`)
	other.await("the alarm that was before we came", onTopic("/fire_alarm_trigger", "true"))
	p.send(`{"op":"call_service","id":"s","service":"/get_building_map","args":{}}`)
	p.await("the map by service", func(f frame, text string) bool {
		return f.Op == "service_response" && string(f.ID) == `"s"` && strings.Contains(text, "harbour_wing")
	})
	p.send(`{"op":"call_service","id":"t","service":"/rosapi/publishers","args":{"topic":"/map"}}`)
	p.await("publishers", func(f frame, text string) bool {
		return f.Op == "service_response" && strings.Contains(text, "/simulated_site")
	})
	p.send(`{"op":"call_service","id":"u","service":"/make_coffee"}`)
	p.await("a failure", func(f frame, text string) bool {
		return f.Op == "service_response" && strings.Contains(text, `"result":false`)
	})
}

func TestThrottledSubscriptions(t *testing.T) {
	t.Parallel()
	clock := start()
	b := newBridge(nil, func() time.Time { return clock }, slog.New(slog.DiscardHandler))
	c := &client{b: b, queue: make(chan []byte, 100), stop: func() {}, subs: map[string]map[string]*subscription{}}
	b.clients[c] = struct{}{}
	c.subscribe(frame{Topic: "/clock", Throttle: 100})
	for range 10 {
		clock = clock.Add(30 * time.Millisecond)
		b.publish("/clock", clockMessage{})
	}
	if got := len(c.queue); got != 3 {
		t.Errorf("%d of 10 messages in 300 ms passed", got)
	}
	c.subscribe(frame{Topic: "/clock", ID: json.RawMessage(`"2"`)})
	c.unsubscribe(frame{Topic: "/clock", ID: json.RawMessage(`"2"`)})
	if len(c.subs["/clock"]) != 1 {
		t.Error("one subscription ended the other")
	}
	// Who does not read is cut off.
	cut := false
	c.stop = func() { cut = true }
	for range 200 {
		clock = clock.Add(time.Second)
		b.publish("/clock", clockMessage{})
	}
	if !cut {
		t.Error("a client that does not read was kept")
	}
}

func TestLongFramesGoInFragments(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x×", 3333)
	parts := fragments([]byte(long), 4000)
	whole := ""
	for i, part := range parts {
		var f struct {
			Op    string
			Num   int
			Total float64
			Data  string
		}
		if err := json.Unmarshal(part, &f); err != nil || f.Op != "fragment" || f.Num != i || f.Total <= 2 || f.Total >= 3 {
			t.Fatalf("part %d: %v num %d total %v", i, err, f.Num, f.Total)
		}
		whole += f.Data
	}
	if len(parts) != 3 || whole != long {
		t.Errorf("%d parts with %d bytes", len(parts), len(whole))
	}
	_, url := startSite(t, Options{})
	p := dialBridge(t, url)
	p.send(`{"op":"subscribe","topic":"/map","fragment_size":1200}`)
	got := 0
	p.await("the map in fragments", func(f frame, text string) bool {
		got++
		return f.Op == "fragment" && len(text) < 3000 && got > 5
	})
}

func TestControl(t *testing.T) {
	t.Parallel()
	lodge := newServer(t)
	site, url := startSite(t, Options{Server: lodge.url, Seed: 1, Speed: 20})
	call := func(method, path, body string, want int) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != want {
			t.Errorf("%s %s: %d %s", method, path, resp.StatusCode, text)
		}
		return string(text)
	}
	p := dialBridge(t, url)
	p.send(`{"op":"subscribe","topic":"/alert"}`)
	call("POST", "/control/robots/carriers/carrier_1/stick", `{"why":"A cat"}`, 204)
	f := p.await("the alert", onTopic("/alert", "A cat"))
	var a alert
	if err := json.Unmarshal(f.Msg, &a); err != nil {
		t.Fatal(err)
	}
	if view := call("GET", "/control", "", 200); !strings.Contains(view, a.ID) || !strings.Contains(view, `"status":"error"`) {
		t.Error(view)
	}
	p.send(`{"op":"publish","topic":"/alert_response","msg":{"id":%q,"response":"Try again"}}`, a.ID)
	p.send(`{"op":"call_service","id":"x","service":"/rosapi/get_time"}`)
	p.await("the answer is taken", func(f frame, _ string) bool { return f.Op == "service_response" })
	if view := call("GET", "/control", "", 200); strings.Contains(view, a.ID) {
		t.Error("the robot is still stuck")
	}
	call("POST", "/control/robots/carriers/carrier_1/battery", `{"level":0.5}`, 204)
	call("POST", "/control/robots/carriers/carrier_1/battery", `{"level":7}`, 400)
	call("POST", "/control/robots/carriers/carrier_1/offline", ``, 204)
	call("POST", "/control/robots/carriers/carrier_1/dance", ``, 404)
	call("POST", "/control/robots/carriers/nobody/stick", ``, 404)
	call("POST", "/control/robots/carriers/carrier_2/delivery-alert", ``, 409)
	call("POST", "/control/robots", `{"count":2}`, 204)
	call("POST", "/control/robots", `{"count":-2}`, 400)
	call("POST", "/control/robots", `{"colour":"red"}`, 400)
	call("POST", "/control/doors/lab_door/offline", ``, 204)
	call("POST", "/control/doors/moon/offline", ``, 404)
	call("POST", "/control/cells/supply_dispenser/offline", ``, 204)
	call("POST", "/control/fire-alarm", `{"trigger":true}`, 204)
	lodge.await("the site is told of", func() bool {
		f := lodge.fleets["carriers"]
		return f.Robots["carrier_1"].Status == "offline" && len(f.Robots)+len(lodge.fleets["cleaners"].Robots) == 10
	})
	// The link is cut and mended: the bridge drops and refuses its clients, and takes them again.
	call("POST", "/control/link", `{"bridge":false,"adapters":false}`, 204)
	if _, _, err := p.conn.Read(t.Context()); err == nil {
		for err == nil {
			_, _, err = p.conn.Read(t.Context())
		}
	}
	//nolint:bodyclose // a refused Dial has closed it
	if _, resp, err := websocket.Dial(t.Context(), strings.Replace(url, "http", "ws", 1), nil); err == nil || resp.StatusCode != 503 {
		t.Error("a bridge that is cut took a client")
	}
	call("POST", "/control/link", `{"bridge":true,"adapters":true}`, 204)
	p = dialBridge(t, url)
	p.send(`{"op":"subscribe","topic":"/door_states"}`)
	p.await("the door that is offline", onTopic("/door_states", `"lab_door","current_mode":{"value":3}`))
	lodge.mu.Lock()
	clear(lodge.fleets)
	lodge.mu.Unlock()
	lodge.await("the adapters are back", func() bool { return len(lodge.fleets) == 2 })
	site.mu.Lock()
	defer site.mu.Unlock()
	if !site.world.fire {
		t.Error("the alarm was forgotten")
	}
}

// Other web sites cannot reach the site through a browser.
func TestOtherOriginsAreRefused(t *testing.T) {
	t.Parallel()
	_, url := startSite(t, Options{})
	req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/control/fire-alarm", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://evil.example")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("control: %d", resp.StatusCode)
	}
	//nolint:bodyclose // a refused Dial has closed it
	_, _, err = websocket.Dial(t.Context(), strings.Replace(url, "http", "ws", 1), &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}})
	if err == nil {
		t.Error("the bridge took a client of another origin")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opts Options
		want string
	}{
		{Options{Speed: -1}, "speed"},
		{Options{Rate: 1000}, "rate"},
		{Options{Robots: -1}, "robots"},
		{Options{Trouble: -1}, "trouble"},
		{Options{Errands: -1}, "errands"},
		{Options{Map: "/no/such/file"}, "no such file"},
		{Options{Server: "ftp://x"}, "must begin with http"},
	} {
		if _, err := New(c.opts, time.Now, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.opts, err)
		}
	}
	for in, want := range map[string]string{
		"http://h:1/fleet": "ws://h:1/fleet/_internal", "https://h/fleet/": "wss://h/fleet/_internal", "ws://h:1/_internal": "ws://h:1/_internal", "http://h:1": "ws://h:1/_internal",
	} {
		if got, err := adapterURL(in); err != nil || got != want {
			t.Errorf("%s: %s %v", in, got, err)
		}
	}
}

// While nobody takes them, newer states replace older ones and logs keep their order.
func TestALinkKeepsWhatMatters(t *testing.T) {
	t.Parallel()
	l := newLink("x", "", "", slog.New(slog.DiscardHandler))
	l.send("a", "k", 1)
	l.send("", "k", 2)
	l.send("b", "k", 3)
	l.send("a", "k", 4)
	l.send("", "k", 5)
	first, _ := l.next()
	l.unsent(first)
	again, _ := l.next()
	l.send("a", "k", 6)
	l.unsent(again) // older than the one that waits
	got := ""
	for u, there := l.next(); there; u, there = l.next() {
		got += string(u.text[len(`{"type":"k","data":`):len(u.text)-1]) + " "
	}
	if got != "2 3 5 6 " {
		t.Errorf("in the end %s", got)
	}
	for i := range linkBacklog + 50 {
		l.send("", "k", i)
	}
	if first, _ := l.next(); l.dropped != 50 || !strings.Contains(string(first.text), `"data":50`) {
		t.Errorf("%d dropped, then %s", l.dropped, first.text)
	}
}
