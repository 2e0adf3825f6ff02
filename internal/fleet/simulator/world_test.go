package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	example "lodge/examples/building"
)

// start is when every test's world begins.
func start() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) }

// A site under test is a world whose messages are kept.
type testWorld struct {
	*world
	t     *testing.T
	calls int
	// the newest of each
	states  map[string][]byte // of tasks, as written
	status  map[string]status
	fleets  map[string]fleetState
	answers map[string]string
	alerts  []alert
	goods   []deliveryAlert
	doors   map[string]uint32
	logs    map[string]int // entries of a task
	hash    []string       // every message, while hashing
	hashing bool

	standing []*robot // at a vertex
	tap      func(kind string, text []byte)
}

func newTestWorld(t *testing.T, opts Options) *testWorld {
	t.Helper()
	b, err := parseMap(example.Site())
	if err != nil {
		t.Fatal(err)
	}
	if err := opts.complete(); err != nil {
		t.Fatal(err)
	}
	w := &testWorld{
		t: t, states: map[string][]byte{}, status: map[string]status{}, fleets: map[string]fleetState{}, answers: map[string]string{},
		doors: map[string]uint32{}, logs: map[string]int{},
	}
	w.world = newWorld(b, opts, start(), output{ros: w.ros, api: w.api})
	return w
}

func (w *testWorld) ros(topic string, msg any) {
	if w.tap != nil || w.hashing {
		w.record(topic, msg)
	}
	switch m := msg.(type) {
	case apiAnswer:
		w.answers[m.Request] = m.JSON
	case alert:
		w.alerts = append(w.alerts, m)
	case deliveryAlert:
		w.goods = append(w.goods, m)
	case doorState:
		w.doors[m.Name] = m.Mode.Value
	}
}

func (w *testWorld) api(link int, _, kind string, data any) {
	var text []byte
	if _, keep := data.(taskState); keep || w.tap != nil || w.hashing {
		text = w.record(fmt.Sprint(link, kind), data)
	}
	switch m := data.(type) {
	case taskState:
		w.states[m.Booking.ID], w.status[m.Booking.ID] = text, m.Status
	case taskLog:
		for _, p := range m.Phases {
			w.logs[m.TaskID] += len(p.Log)
			for _, e := range p.Events {
				w.logs[m.TaskID] += len(e)
			}
		}
	case fleetState:
		w.fleets[m.Name] = m
	}
}

func (w *testWorld) record(kind string, msg any) []byte {
	text, err := json.Marshal(msg)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.tap != nil {
		w.tap(kind, text)
	}
	if w.hashing {
		sum := sha256.Sum256(append([]byte(kind), text...))
		w.hash = append(w.hash, hex.EncodeToString(sum[:4]))
	}
	return text
}

// ask sends a task API message and gives the answer, "" when there is none.
func (w *testWorld) ask(message string) string {
	w.t.Helper()
	w.calls++
	id := fmt.Sprintf("call-%d", w.calls)
	w.publish("/task_api_requests", apiMessage{JSON: message, Request: id})
	return w.answers[id]
}

func (w *testWorld) publish(topic string, msg any) {
	w.t.Helper()
	text, err := json.Marshal(msg)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.receive(topic, text); err != nil {
		w.t.Fatal(err)
	}
}

// dispatch sends a task out and gives its id.
func (w *testWorld) dispatch(category, description string) string {
	w.t.Helper()
	answer := w.ask(fmt.Sprintf(`{"type":"dispatch_task_request","request":{"category":%q,"description":%s,"labels":["from=test"]}}`, category, description))
	var got struct {
		Success bool
		State   taskState
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil || !got.Success {
		w.t.Fatalf("dispatch %s: %s", category, answer)
	}
	return got.State.Booking.ID
}

// until lives until a condition holds, for at most so many simulated seconds, and
// checks at every step that no two robots stand in each other.
func (w *testWorld) until(seconds float64, what string, holds func() bool) {
	w.t.Helper()
	for range int(seconds / w.dt) {
		if holds() {
			return
		}
		w.step()
		w.apart()
	}
	if !holds() {
		w.t.Fatalf("not within %v simulated seconds: %s\n%s", seconds, what, w.describe())
	}
}

func (w *testWorld) live(seconds float64) {
	w.t.Helper()
	for range int(seconds / w.dt) {
		w.step()
		w.apart()
	}
}

func (w *testWorld) apart() {
	w.t.Helper()
	if w.crowded {
		return
	}
	if w.standing == nil {
		w.standing = make([]*robot, len(w.b.graph.vertices))
	}
	at := w.standing
	clear(at)
	for _, r := range w.robots {
		if r.edge >= 0 || r.squeezed {
			continue
		}
		if o := at[r.vertex]; o != nil {
			w.t.Fatalf("%s and %s both stand at %s", o.session, r.session, w.b.graph.vertices[r.vertex].id)
		}
		at[r.vertex] = r
	}
}

func (w *testWorld) describe() string {
	var s strings.Builder
	for _, r := range w.robots {
		fmt.Fprintf(&s, "%s at %s edge %d waiting %.0f need %d wants %q battery %.2f %s", r.session, w.b.graph.vertices[r.vertex].id, r.edge, r.waiting, r.need, r.wants, r.battery, r.status())
		if r.task != nil {
			fmt.Fprintf(&s, " %s %s", r.task.booking.ID, r.task.status)
		}
		s.WriteByte('\n')
	}
	for _, l := range w.lifts {
		fmt.Fprintf(&s, "%s %+v calls %v\n", l.name, l.state, l.calls)
	}
	return s.String()
}

func (w *testWorld) ended(id string) func() bool {
	return func() bool { return w.status[id].ended() }
}

func (w *testWorld) statusOf(id string) status { return w.status[id] }

// seen is the newest state of a task that was told, empty when there was none.
func (w *testWorld) seen(id string) (s taskState) {
	w.t.Helper()
	if w.states[id] == nil {
		return s
	}
	if err := json.Unmarshal(w.states[id], &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func TestTasksAreCarriedOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		category, description string
		fleet                 string
		phases                []string
	}{
		"a patrol, twice around":    {"patrol", `{"places":["lobby","lab_bench"],"rounds":2}`, "carriers", []string{"Go to place", "Go to place", "Go to place", "Go to place"}},
		"a patrol to another level": {"patrol", `{"places":["ward_desk","reception"]}`, "", []string{"Go to place", "Go to place"}},
		"a delivery": {
			"delivery", `{"pickup":{"place":"pantry","handler":"pantry_dispenser","payload":{"sku":"soda","quantity":1}},"dropoff":{"place":"lab_bench","handler":"lab_ingestor","payload":[]}}`,
			"carriers",
			[]string{"Go to place", "Pick up", "Go to place", "Drop off"},
		},
		"a delivery by hand": {"delivery", `{"pickup":{"place":"lobby","payload":[]},"dropoff":{"place":"workshop","payload":[]}}`, "carriers", []string{"Go to place", "Pick up", "Go to place", "Drop off"}},
		"cleaning":           {"clean", `{"zone":"day_room_floor"}`, "cleaners", []string{"Go to place", "Clean"}},
		"a composed task": {
			"compose", `{"category":"tour","detail":"","phases":[
			  {"activity":{"category":"go_to_place","description":{"one_of":[{"waypoint":"kitchen"},{"waypoint":"workshop","orientation":1}]}}},
			  {"activity":{"category":"sequence","description":{"activities":[
			     {"category":"go_to_place","description":"lobby"},
			     {"category":"perform_action","description":{"category":"wait","description":{},"unix_millis_action_duration_estimate":4000}},
			     {"category":"sequence","description":[{"category":"go_to_place","description":"reception"}]}]}}},
			  {"activity":{"category":"pickup","description":{"place":"supply","handler":"supply_dispenser","payload":[]}}}]}`,
			"",
			[]string{"Go to place", "Sequence", "Pickup"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTestWorld(t, Options{Seed: 7})
			id := w.dispatch(c.category, c.description)
			w.live(0.2)
			if got := w.seen(id); got.Status != queued || got.Dispatch.Status != "queued" {
				t.Fatalf("while fleets bid: %+v", got)
			}
			w.until(1200, "the task ends", w.ended(id))
			got := w.seen(id)
			if got.Status != completed {
				t.Fatalf("status %s, dispatch %+v", got.Status, got.Dispatch)
			}
			if c.fleet != "" && got.AssignedTo.Group != c.fleet {
				t.Errorf("done by %s", got.AssignedTo.Group)
			}
			if got.Start <= start().UnixMilli() || got.Finish <= got.Start || got.Active != nil || len(got.Pending) != 0 {
				t.Errorf("start %d finish %d active %v pending %v", got.Start, got.Finish, got.Active, got.Pending)
			}
			for i, category := range c.phases {
				p := got.Phases[fmt.Sprint(i+1)]
				if p.Category != category || p.Finish == 0 || len(p.Events) == 0 {
					t.Errorf("phase %d is %+v", i+1, p)
				}
				for _, e := range p.Events {
					if e.Status != completed {
						t.Errorf("phase %d: event %q ended as %s", i+1, e.Name, e.Status)
					}
				}
			}
			if len(got.Phases) != len(c.phases) || len(got.Completed) != len(c.phases) || w.logs[id] < 3*len(c.phases) {
				t.Errorf("%d phases, %d completed, %d log entries", len(got.Phases), len(got.Completed), w.logs[id])
			}
		})
	}
}

// TestEstimatesShrink watches a patrol: what it still needs gets less, and is nothing at the end.
func TestEstimatesShrink(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{Seed: 7})
	id := w.dispatch("patrol", `{"places":["lobby","lab_bench"],"rounds":2}`)
	w.until(60, "the task begins", func() bool { return w.seen(id).Status == underway })
	first := w.seen(id)
	last, phase := first.Estimate, first.Phases["1"].Estimate
	if last <= 0 || last > first.OriginalEstimate || phase <= 0 {
		t.Fatalf("at first %d of %d, phase %d", last, first.OriginalEstimate, phase)
	}
	w.live(5)
	if now := w.seen(id); now.Estimate >= last || now.Phases["1"].Estimate >= phase || now.OriginalEstimate != first.OriginalEstimate {
		t.Errorf("after five seconds %d of %d, and %d of %d", now.Estimate, last, now.Phases["1"].Estimate, phase)
	}
	w.until(1200, "the task ends", w.ended(id))
	if end := w.seen(id); end.Estimate != 0 || end.Phases["1"].Estimate != 0 {
		t.Errorf("at the end %d", end.Estimate)
	}
}

// A day of many tasks at once must neither jam the corridors nor leave a task behind.
func TestABusySiteDoesNotJam(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newTestWorld(t, Options{Seed: seed, Trouble: 1, Speed: 5})
			places := []string{"supply", "supply_shelf", "lab_bench", "lab_fridge", "reception", "lobby", "workshop", "goods_out", "ward_bed_1", "ward_bed_2", "ward_desk", "kitchen", "pantry", "day_room", "balcony"}
			var ids []string
			for range 40 {
				a, b := places[w.rng.IntN(len(places))], places[w.rng.IntN(len(places))]
				switch w.rng.IntN(4) {
				case 0:
					ids = append(ids, w.dispatch("delivery", `{"pickup":{"place":"supply","handler":"supply_dispenser","payload":[]},"dropoff":{"place":"ward_desk","handler":"ward_ingestor","payload":[]}}`))
				case 1:
					ids = append(ids, w.dispatch("clean", `{"zone":"lobby_floor"}`))
				default:
					ids = append(ids, w.dispatch("patrol", fmt.Sprintf(`{"places":[%q,%q]}`, a, b)))
				}
				w.live(20)
			}
			w.until(6*3600, "all tasks end", func() bool { return len(w.world.live) == 0 })
			for _, id := range ids {
				if got := w.statusOf(id); got != completed {
					t.Errorf("%s: %s %+v", id, got, w.seen(id).Dispatch)
				}
			}
			w.until(3600, "all are home", func() bool {
				for _, r := range w.robots {
					if r.vertex != r.charger || r.edge >= 0 {
						return false
					}
				}
				return true
			})
			if len(w.mutexes) != 0 {
				t.Errorf("mutex groups still locked: %v", w.mutexes)
			}
			for _, d := range w.world.doors {
				if len(d.holders) != 0 {
					t.Errorf("%s is still held by %v", d.name, d.holders)
				}
			}
			for _, l := range w.lifts {
				if l.session != "" {
					t.Errorf("%s still serves %s", l.name, l.session)
				}
			}
		})
	}
}

func TestTheSameSeedLivesTheSameLife(t *testing.T) {
	t.Parallel()
	life := func(seed uint64) string {
		w := newTestWorld(t, Options{Seed: seed, Trouble: 5, Speed: 10})
		w.hashing = true
		w.dispatch("delivery", `{"pickup":{"place":"supply","payload":[]},"dropoff":{"place":"kitchen","payload":[]}}`)
		w.dispatch("clean", `{"zone":"lobby_floor"}`)
		w.live(120)
		w.dispatch("patrol", `{"places":["balcony","goods_out"],"rounds":3}`)
		w.live(900)
		return strings.Join(w.hash, "")
	}
	first, again, other := life(3), life(3), life(4)
	if first != again {
		t.Error("two lives from one seed differ")
	}
	if first == other {
		t.Error("two seeds give the same life")
	}
}

// How often the clock looks in must not matter, only what time it shows.
func TestTimeMayComeInAnyPortions(t *testing.T) {
	t.Parallel()
	life := func(portion time.Duration) string {
		w := newTestWorld(t, Options{Seed: 1, Trouble: 5})
		w.hashing = true
		w.dispatch("patrol", `{"places":["ward_desk"]}`)
		for at := portion; at <= 2*time.Minute; at += portion {
			w.advance(start().Add(at))
		}
		return strings.Join(w.hash, "")
	}
	if life(50*time.Millisecond) != life(3*time.Second) {
		t.Error("portions of another size give another life")
	}
}

func TestALongPauseIsNotMadeUp(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t, Options{})
	w.advance(start().Add(24 * time.Hour))
	if w.steps > 100 {
		t.Errorf("%d steps after a pause", w.steps)
	}
	if off := w.at().Sub(start().Add(24 * time.Hour)); off < -time.Second || off > time.Second {
		t.Errorf("the clock is off by %v", off)
	}
}
