package simulator

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// Bounds of the bridge. A client that does not read is cut off, not waited for.
const (
	bridgeQueue      = 4096       // frames
	bridgeReadLimit  = 4 << 20    // bytes of one frame from a client
	bridgeFrameLimit = 10_000_000 // rosbridge's max_message_size: longer frames are sent in fragments
	bridgeFrameLeast = 1000
	bridgeClients    = 100
	bridgeWriteTime  = 10 * time.Second
)

// A topic's type, and how many of its messages a late subscriber is given (transient local).
type topic struct {
	kind   string
	latest int
}

// The topics of the site. Those that Lodge publishes are there too: their type has to be
// known, and what one client publishes all others hear, the publisher included.
func topics() map[string]topic {
	return map[string]topic{
		"/map":                        {"rmf_building_map_msgs/msg/BuildingMap", 1},
		"/door_states":                {"rmf_door_msgs/msg/DoorState", 0},
		"/lift_states":                {"rmf_lift_msgs/msg/LiftState", 0},
		"/dispenser_states":           {"rmf_dispenser_msgs/msg/DispenserState", 0},
		"/ingestor_states":            {"rmf_ingestor_msgs/msg/IngestorState", 0},
		"/beacon_state":               {"rmf_fleet_msgs/msg/BeaconState", 0},
		"/delivery_alert_request":     {"rmf_fleet_msgs/msg/DeliveryAlert", 10},
		"/delivery_alert_response":    {"rmf_fleet_msgs/msg/DeliveryAlert", 0},
		"/alert":                      {"rmf_task_msgs/msg/Alert", 10},
		"/alert_response":             {"rmf_task_msgs/msg/AlertResponse", 10},
		"/fire_alarm_trigger":         {"std_msgs/msg/Bool", 1},
		"/task_api_requests":          {"rmf_task_msgs/msg/ApiRequest", 0},
		"/task_api_responses":         {"rmf_task_msgs/msg/ApiResponse", 10},
		"/adapter_door_requests":      {"rmf_door_msgs/msg/DoorRequest", 0},
		"/adapter_lift_requests":      {"rmf_lift_msgs/msg/LiftRequest", 0},
		"/dispenser_requests":         {"rmf_dispenser_msgs/msg/DispenserRequest", 0},
		"/ingestor_requests":          {"rmf_ingestor_msgs/msg/IngestorRequest", 0},
		"/mutex_group_manual_release": {"rmf_fleet_msgs/msg/MutexGroupManualRelease", 0},
		"/clock":                      {"rosgraph_msgs/msg/Clock", 0},
	}
}

// A bridge is the side of rosbridge v2 that clients see.
type bridge struct {
	log     *slog.Logger
	now     func() time.Time
	receive func(topic string, msg json.RawMessage) error // of a client
	topics  map[string]topic

	mu       sync.Mutex
	clients  map[*client]struct{}
	retained map[string][]json.RawMessage
	cut      bool // refuses connections, to try out what then happens
}

func newBridge(receive func(string, json.RawMessage) error, now func() time.Time, log *slog.Logger) *bridge {
	return &bridge{
		log: log, now: now, receive: receive, topics: topics(),
		clients: map[*client]struct{}{}, retained: map[string][]json.RawMessage{},
	}
}

// A client is one connection with what it subscribed to and advertised.
type client struct {
	b     *bridge
	queue chan []byte
	stop  context.CancelFunc
	// Guarded by the bridge's lock.
	subs    map[string]map[string]*subscription // topic, then the subscription's id
	adverts map[string]bool
}

type subscription struct {
	every    time.Duration
	last     time.Time
	fragment int // the longest frame that the client wants
}

// frame is any operation of the protocol; which fields matter depends on Op.
type frame struct {
	Op       string          `json:"op"`
	ID       json.RawMessage `json:"id,omitempty"`
	Topic    string          `json:"topic,omitempty"`
	Type     string          `json:"type,omitempty"`
	Msg      json.RawMessage `json:"msg,omitempty"`
	Throttle float64         `json:"throttle_rate,omitempty"`
	Latch    bool            `json:"latch,omitempty"`
	Fragment int             `json:"fragment_size,omitempty"`
	Service  string          `json:"service,omitempty"`
	Args     json.RawMessage `json:"args,omitempty"`
}

// publish sends a message of the site. It never waits for a client.
func (b *bridge) publish(name string, msg any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.topics[name].latest == 0 && !b.wanted(name) {
		return
	}
	text, err := json.Marshal(msg)
	if err != nil {
		b.log.Error("A message could not be written", "topic", name, "error", err)
		return
	}
	b.spread(name, text, b.topics[name].latest)
}

func (b *bridge) wanted(name string) bool {
	for c := range b.clients {
		if len(c.subs[name]) > 0 {
			return true
		}
	}
	return false
}

// spread hands a message to all subscribers and keeps the latest for those who come later.
func (b *bridge) spread(name string, msg json.RawMessage, keep int) {
	if keep > 0 {
		kept := append(b.retained[name], msg)
		b.retained[name] = kept[max(0, len(kept)-keep):]
	}
	var text []byte
	now := b.now()
	for c := range b.clients {
		if !c.due(name, now) {
			continue
		}
		if text == nil {
			text = publishFrame(name, msg)
		}
		c.send(text, c.fragment(name))
	}
}

// fragment is the longest frame of a topic that the client wants.
func (c *client) fragment(name string) int {
	size := bridgeFrameLimit
	for _, s := range c.subs[name] {
		size = min(size, s.fragment)
	}
	return size
}

func publishFrame(name string, msg json.RawMessage) []byte {
	text, err := json.Marshal(frame{Op: "publish", Topic: name, Msg: msg})
	if err != nil {
		return nil // msg is JSON already
	}
	return text
}

// due says whether any of the client's subscriptions to the topic lets a message pass now.
func (c *client) due(name string, now time.Time) bool {
	pass := false
	for _, s := range c.subs[name] {
		if now.Sub(s.last) >= s.every {
			s.last, pass = now, true
		}
	}
	return pass
}

func (c *client) send(text []byte, size int) {
	for _, part := range fragments(text, size) {
		select {
		case c.queue <- part:
		default:
			c.b.log.Warn("A rosbridge client does not keep up and is cut off")
			c.stop()
			return
		}
	}
}

// serve is one client's connection, from the handshake to its end.
func (b *bridge) serve(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	full := b.cut || len(b.clients) >= bridgeClients
	b.mu.Unlock()
	if full {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow() //nolint:errcheck // the connection is over either way
	conn.SetReadLimit(bridgeReadLimit)
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	c := &client{b: b, queue: make(chan []byte, bridgeQueue), stop: stop, subs: map[string]map[string]*subscription{}, adverts: map[string]bool{}}
	b.mu.Lock()
	b.clients[c] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.clients, c)
		b.mu.Unlock()
	}()
	var writing sync.WaitGroup
	writing.Go(func() {
		defer stop()
		c.write(ctx, conn)
	})
	b.log.Debug("A rosbridge client left", "reason", c.read(ctx, conn))
	stop()
	writing.Wait()
}

func (c *client) write(ctx context.Context, conn *websocket.Conn) {
	for {
		select {
		case <-ctx.Done():
			return
		case text := <-c.queue:
			if err := writeTimed(ctx, conn, text); err != nil {
				return
			}
		}
	}
}

func writeTimed(ctx context.Context, conn *websocket.Conn, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, bridgeWriteTime)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, text)
}

// fragments splits a frame that is too long, as rosbridge_suite does it: the id is 0
// and the total may have a fraction.
func fragments(text []byte, size int) [][]byte {
	if len(text) <= size {
		return [][]byte{text}
	}
	total := float64(len(text)) / float64(size)
	var parts [][]byte
	for num := 0; len(text) > 0; num++ {
		n := min(len(text), size)
		for n < len(text) && !utf8.RuneStart(text[n]) { // half a character is none
			n++
		}
		part, err := json.Marshal(map[string]any{"op": "fragment", "id": 0, "data": string(text[:n]), "num": num, "total": total})
		if err != nil {
			return nil // plain values can always be written
		}
		parts, text = append(parts, part), text[n:]
	}
	return parts
}

func (c *client) read(ctx context.Context, conn *websocket.Conn) error {
	for {
		kind, text, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var f frame
		if kind != websocket.MessageText || json.Unmarshal(text, &f) != nil {
			c.b.log.Warn("A rosbridge frame is not JSON")
			continue
		}
		// As with rosbridge, there is no answer: what is wrong is only logged.
		if wrong := c.handle(f); wrong != "" {
			c.b.log.Warn("A rosbridge operation was refused", "op", f.Op, "topic", f.Topic, "reason", wrong)
		}
	}
}

func (c *client) handle(f frame) (wrong string) {
	if f.Topic != "" && !strings.HasPrefix(f.Topic, "/") {
		f.Topic = "/" + f.Topic
	}
	switch f.Op {
	case "advertise", "subscribe":
		if t, known := c.b.topics[f.Topic]; known && f.Type != "" && canonical(f.Type) != t.kind {
			return "the topic's type is " + t.kind
		} else if !known {
			return "there is no such topic here"
		}
		if f.Op == "advertise" {
			c.advertise(f.Topic, true)
		} else {
			c.subscribe(f)
		}
	case "unadvertise":
		c.advertise(f.Topic, false)
	case "unsubscribe":
		c.unsubscribe(f)
	case "publish":
		return c.publish(f)
	case "call_service":
		c.call(f)
	case "set_level", "status", "unadvertise_service":
	default:
		return "the operation is not known"
	}
	return ""
}

// canonical writes a type's long form: pkg/Name is short for pkg/msg/Name.
func canonical(kind string) string {
	if pkg, name, found := strings.Cut(kind, "/"); found && !strings.Contains(name, "/") {
		return pkg + "/msg/" + name
	}
	return kind
}

func (c *client) advertise(name string, on bool) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if on {
		c.adverts[name] = true
	} else {
		delete(c.adverts, name)
	}
}

// subscribe also replays what is retained, every time: that is how a client forces a replay.
func (c *client) subscribe(f frame) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if c.subs[f.Topic] == nil {
		c.subs[f.Topic] = map[string]*subscription{}
	}
	size := bridgeFrameLimit
	if f.Fragment > 0 {
		size = min(size, max(f.Fragment, bridgeFrameLeast))
	}
	c.subs[f.Topic][string(f.ID)] = &subscription{every: time.Duration(max(0, f.Throttle) * float64(time.Millisecond)), fragment: size}
	for _, msg := range c.b.retained[f.Topic] {
		c.send(publishFrame(f.Topic, msg), size)
	}
}

// unsubscribe without an id ends all of the client's subscriptions to the topic.
func (c *client) unsubscribe(f frame) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if len(f.ID) == 0 {
		delete(c.subs, f.Topic)
		return
	}
	delete(c.subs[f.Topic], string(f.ID))
}

func (c *client) publish(f frame) (wrong string) {
	c.b.mu.Lock()
	_, known := c.b.topics[f.Topic]
	c.b.mu.Unlock()
	if !known {
		return "there is no such topic here"
	}
	if err := c.b.receive(f.Topic, f.Msg); err != nil {
		return err.Error()
	}
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	keep := 0
	if f.Latch || f.Topic == "/fire_alarm_trigger" { // a late client must not hear of an alarm that is over
		keep = 1
	}
	c.b.spread(f.Topic, slices.Clone(f.Msg), keep)
	return ""
}

// call serves the few services that clients of a site ask for.
func (c *client) call(f frame) {
	answer := map[string]any{"op": "service_response", "service": f.Service, "result": true}
	if len(f.ID) > 0 {
		answer["id"] = f.ID
	}
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	values, known := c.b.service(f)
	answer["values"] = values
	if !known {
		answer["result"], answer["values"] = false, "Service "+f.Service+" does not exist"
	}
	if text, err := json.Marshal(answer); err == nil {
		c.send(text, bridgeFrameLimit)
	}
}

func (b *bridge) service(f frame) (any, bool) {
	var args struct {
		Topic string `json:"topic"`
	}
	_ = json.Unmarshal(f.Args, &args) // no topic is a topic that nobody has
	switch f.Service {
	case "/get_building_map":
		var m json.RawMessage
		if kept := b.retained["/map"]; len(kept) > 0 {
			m = kept[len(kept)-1]
		}
		return map[string]any{"building_map": m}, true
	case "/rosapi/get_time":
		t := b.now()
		return map[string]any{"time": rosTime{int32(t.Unix()), uint32(t.Nanosecond())}}, true
	case "/rosapi/topics":
		names, kinds := []string{}, []string{}
		for name := range b.topics {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			kinds = append(kinds, b.topics[name].kind)
		}
		return map[string]any{"topics": names, "types": kinds}, true
	case "/rosapi/publishers":
		nodes := []string{}
		if _, known := b.topics[args.Topic]; known {
			nodes = append(nodes, "/simulated_site")
		}
		return map[string]any{"publishers": nodes}, true
	}
	return nil, false
}

// sever ends all connections; while cut it also refuses new ones.
func (b *bridge) sever(cut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut = cut
	for c := range b.clients {
		c.stop()
	}
}
