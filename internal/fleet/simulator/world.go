package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// How often the world is told of without anything having changed, in wall seconds.
const (
	deviceSeconds = 1
	taskSeconds   = 1
	queueSeconds  = 5
	beaconSeconds = 2
)

const (
	stepSeconds = 0.1 // of simulated time, at most
	keptTasks   = 200 // that have ended, to tell of again after a lost connection
)

// An output is where the world tells of itself.
type output struct {
	ros func(topic string, msg any)
	// api sends an update to a link: an adapter by its fleet's index, or the dispatcher
	// after them. A newer update with the same key makes an older one needless.
	api func(link int, key, kind string, data any)
}

// A world is the site without its wires: it lives in fixed steps, decides everything
// from its seed and what it is told, and therefore runs alike every time.
// It is not safe for use by several goroutines; the Site around it takes turns.
type world struct {
	output
	b           *building
	rng         *rand.Rand
	seed        uint64
	speed, dt   float64
	rate        float64
	troubleRate float64 // robots stuck in an hour of driving
	errandRate  float64 // tasks of its own in an hour
	origin      time.Time
	steps       int64
	made        uint64 // ids

	fleets   []*fleet
	robots   []*robot
	doors    []*door
	lifts    []*lift
	cells    []*cell
	holder   []*robot // of a vertex
	mutexes  map[string]*robot
	toward   map[int][]float64
	crowded  bool // more robots than chargers: they may stand in each other
	fire     bool
	troubles []*trouble

	live    []*task // in the order in which they came
	ended   []*task
	auction []bid
	answers []apiAnswer
}

func newWorld(b *building, opts Options, origin time.Time, out output) *world {
	w := &world{
		output: out, b: b, rng: rand.New(rand.NewPCG(opts.Seed, 0x10d9e)), seed: opts.Seed, //nolint:gosec // a simulation has to be repeatable
		speed: opts.Speed, rate: opts.Rate, dt: min(stepSeconds, opts.Speed/opts.Rate), troubleRate: opts.Trouble, errandRate: opts.Errands,
		origin: origin, holder: make([]*robot, len(b.graph.vertices)), mutexes: map[string]*robot{},
	}
	for i := range b.doors {
		w.doors = append(w.doors, &door{doorway: &b.doors[i], left: doorTravel, changed: true})
	}
	for i := range b.lifts {
		l := &lift{shaft: &b.lifts[i], doorLeft: liftDoorTravel, mode: liftAGV, changed: true}
		for _, s := range b.lifts[i].stops {
			l.heights = append(l.heights, b.levels[s.level].elevation)
		}
		l.height = l.heights[0]
		l.look(liftStopped, false)
		w.lifts = append(w.lifts, l)
	}
	for i := range b.cells {
		w.cells = append(w.cells, &cell{workcell: &b.cells[i], done: map[string]bool{}, changed: true})
	}
	w.populate(opts.Robots)
	return w
}

// populate puts robots on their chargers: those of the map, fewer, or more of the same
// kinds, which then share chargers.
func (w *world) populate(count int) {
	total := 0
	for i := range w.b.fleets {
		w.fleets = append(w.fleets, &fleet{fleetPlan: &w.b.fleets[i], index: i})
		total += len(w.b.fleets[i].robots)
	}
	if count <= 0 {
		count = total
	}
	for n := 0; len(w.robots) < min(count, total); n++ {
		for _, f := range w.fleets {
			if len(w.robots) < count && n < len(f.fleetPlan.robots) {
				w.add(f, f.fleetPlan.robots[n])
			}
		}
	}
	w.grow(count - len(w.robots))
}

// grow adds robots beyond those of the map. They share chargers, and from then on robots
// may stand in each other: no building has room for a thousand.
func (w *world) grow(count int) {
	for i := range count {
		f := w.fleets[(len(w.robots)+i)%len(w.fleets)]
		for _, other := range w.fleets {
			if len(other.robots) < len(f.robots) {
				f = other
			}
		}
		n := len(f.robots)
		plan := f.fleetPlan.robots[n%len(f.fleetPlan.robots)]
		if n >= len(f.fleetPlan.robots) {
			plan.name = fmt.Sprintf("%s_%d", f.name, n+1)
			w.crowded = true
		}
		w.add(f, plan)
	}
}

func (w *world) add(f *fleet, p robotPlan) {
	r := &robot{
		w: w, fleet: f, index: len(w.robots), name: p.name, session: f.name + "/" + p.name,
		at: w.b.graph.vertices[p.charger].at, yaw: -math.Pi / 2, vertex: p.charger, charger: p.charger, edge: -1, door: -1, need: -1,
		battery: 0.6 + 0.4*w.rng.Float64(), commission: commission{true, true, true},
	}
	if w.holder[p.charger] == nil {
		w.holder[p.charger] = r
	}
	f.robots = append(f.robots, r)
	w.robots = append(w.robots, r)
}

// now is the wall time of the present step in milliseconds. A faster world lives more
// steps in a second, but its messages carry the time at which they are sent.
func (w *world) now() int64 { return w.at().UnixMilli() }

func (w *world) at() time.Time {
	return w.origin.Add(time.Duration(float64(w.steps) * w.dt / w.speed * float64(time.Second)))
}

func (w *world) rosTime() rosTime {
	t := w.at()
	return rosTime{int32(t.Unix()), uint32(t.Nanosecond())}
}

// advance lives until the wall clock says t. After a long pause, such as a laptop's
// sleep, the world does not catch up but goes on from where it was.
func (w *world) advance(t time.Time) {
	const most = 5 * time.Second
	if behind := t.Sub(w.at()); behind > most {
		w.origin = w.origin.Add(behind - most)
	}
	for w.at().Before(t) {
		w.step()
	}
}

func (w *world) step() {
	w.steps++
	w.runErrands()
	w.settleAuction()
	for _, d := range w.doors {
		d.step(w.dt)
	}
	for _, l := range w.lifts {
		l.step(w.dt, w.steps, w.fire)
	}
	for _, c := range w.cells {
		c.step(w.dt, w.mine)
	}
	for _, r := range w.robots {
		r.step(w.dt)
	}
	w.rotate()
	w.patience()
	w.tell()
}

// every says whether this step is one in so many wall seconds.
func (w *world) every(seconds float64) bool {
	n := int64(math.Round(seconds * w.speed / w.dt))
	return n <= 1 || w.steps%n == 1
}

func (w *world) levelOf(r *robot) string {
	return w.b.levels[w.b.graph.vertices[r.vertex].level].name
}

// mine says whether a cell's request is a robot's own, which asks until it is done.
func (w *world) mine(request string) bool {
	for _, r := range w.robots {
		if r.task != nil && len(request) > len(r.task.booking.ID) && request[:len(r.task.booking.ID)] == r.task.booking.ID {
			return true
		}
	}
	return false
}

// id makes an identifier that no other run of the site makes, and the same run makes again.
func (w *world) id() string {
	w.made++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d/%d", w.seed, w.origin.UnixNano(), w.made))
	return hex.EncodeToString(sum[:16])
}

func (w *world) uuid() string {
	id := w.id()
	return id[:8] + "-" + id[8:12] + "-4" + id[13:16] + "-8" + id[17:20] + "-" + id[20:]
}

// end moves a task from those that live to those that are remembered.
func (w *world) end(t *task) {
	w.live = slices.DeleteFunc(w.live, func(o *task) bool { return o == t })
	w.tellTask(t)
	w.ended = append(w.ended, t)
	if len(w.ended) > keptTasks {
		w.ended = slices.Delete(w.ended, 0, len(w.ended)-keptTasks)
	}
}

func (w *world) task(id string) *task {
	for _, t := range w.live {
		if t.booking.ID == id {
			return t
		}
	}
	return nil
}

func (w *world) robot(fleet, name string) *robot {
	for _, f := range w.fleets {
		if f.name != fleet {
			continue
		}
		for _, r := range f.robots {
			if r.name == name {
				return r
			}
		}
	}
	return nil
}
