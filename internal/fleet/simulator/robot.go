package simulator

import (
	"fmt"
	"math"
)

// Batteries: a robot below lowBattery charges before it begins anything, until it has
// enough; one below emptyBattery drives on reserve and drains no further.
const (
	lowBattery   = 0.2
	enough       = 0.5
	emptyBattery = 0.02
	sweepPace    = 0.6 // of the speed on lanes
)

// How long a robot waits for another, in seconds.
const (
	replanAfter  = 8
	delayedAfter = 15
	squeezeAfter = 30
)

type fleet struct {
	*fleetPlan
	index  int
	robots []*robot
}

type robot struct {
	w       *world
	fleet   *fleet
	index   int
	name    string
	session string // what doors and lifts know it by

	at      point
	yaw     float64
	vertex  int // the last one that it stood on
	edge    int // the one that it is on, or -1
	gone    float64
	path    []int
	goal    int
	charger int
	door    int // the one that it holds, or -1

	battery    float64
	drained    bool // until it has charged enough again
	task       *task
	queue      []*task
	direct     []*task
	commission commission
	offline    bool
	trouble    *trouble
	condition  status

	need    int // the vertex that it waits for, and for nothing else, or -1
	waiting float64
	replan  float64
	wants   string   // the mutex group that it waits for
	locked  []string // the mutex groups that it holds

	squeezed bool // into a vertex that another robot has

	leg int // of a sweep

	seq   uint32
	fresh []logEntry
}

// destination is where the robot will be when it has done all that it was given.
func (r *robot) destination() int {
	at := r.vertex
	if r.edge >= 0 {
		at = r.w.b.graph.edges[r.edge].to
	}
	if r.task != nil {
		at = r.task.last(at)
	}
	for _, q := range [][]*task{r.direct, r.queue} {
		for _, t := range q {
			at = t.last(at)
		}
	}
	return at
}

// busy is how many seconds of work the robot has before it.
func (r *robot) busy() (seconds float64) {
	if r.task != nil {
		seconds = r.task.left()
	}
	for _, q := range [][]*task{r.direct, r.queue} {
		for _, t := range q {
			seconds += t.left()
		}
	}
	return seconds
}

func (r *robot) status() string {
	switch {
	case r.offline:
		return "offline"
	case r.trouble != nil && r.trouble.kind == stuck:
		return "error"
	case r.task != nil:
		return "working"
	case r.charging():
		return "charging"
	default:
		return "idle"
	}
}

func (r *robot) charging() bool {
	return r.edge < 0 && r.w.b.graph.vertices[r.vertex].charger && r.task == nil && r.battery < 1
}

func (r *robot) note(tier, format string, args ...any) {
	r.fresh = append(r.fresh, logEntry{Seq: r.seq, Tier: tier, Time: r.w.now(), Text: fmt.Sprintf(format, args...)})
	r.seq++
}

// step lets the robot live for dt simulated seconds.
func (r *robot) step(dt float64) {
	r.need, r.wants = -1, ""
	if r.offline {
		return
	}
	moved := false
	if r.task == nil {
		r.pick()
	}
	switch {
	case r.trouble != nil:
		r.feel(blocked, r.trouble.why)
	case r.w.fire:
		r.feel(standby, "Fire alarm: waiting")
	case r.task != nil && r.task.paused():
		r.feel(standby, "Interrupted")
	case r.task != nil:
		moved = r.work(dt)
	default:
		moved = r.rest(dt)
	}
	r.power(dt, moved)
}

func (r *robot) power(dt float64, moved bool) {
	switch {
	case r.charging():
		r.battery = min(1, r.battery+dt/(r.fleet.chargeHours*3600))
	case r.battery <= emptyBattery:
	case moved:
		r.battery -= dt / (r.fleet.driveHours * 3600)
	default:
		r.battery -= dt / (r.fleet.idleHours * 3600)
	}
	switch {
	case !r.drained && r.battery < lowBattery:
		r.drained = true
		r.note("warning", "Battery at %.0f %%", r.battery*100)
	case r.drained && r.battery > enough:
		r.drained = false
	}
}

// pick begins the next task, if one is due and the battery is good for it.
func (r *robot) pick() {
	if len(r.direct) == 0 && len(r.queue) == 0 {
		return
	}
	if r.drained {
		return
	}
	now := r.w.now()
	for _, q := range []*[]*task{&r.direct, &r.queue} {
		for i, t := range *q {
			if t.booking.EarliestStart != nil && *t.booking.EarliestStart > now {
				continue
			}
			*q = append((*q)[:i:i], (*q)[i+1:]...)
			r.task, r.condition = t, ""
			r.note("info", "Beginning task [%s]", t.booking.ID)
			t.begin(now)
			r.settle()
			return
		}
	}
}

// settle lets go of a task that has ended, also of one that ended as it began.
func (r *robot) settle() {
	if r.task != nil && r.task.status.ended() && r.task.active < 0 {
		r.note("info", "Task [%s] %s", r.task.booking.ID, r.task.status)
		r.w.end(r.task)
		r.task, r.path, r.waiting, r.leg = nil, nil, 0, 0
		r.w.settleTrouble(r)
	}
}

// feel says in the task what the robot is held up by, once.
func (r *robot) feel(s status, why string) {
	if r.task == nil || r.condition == s {
		return
	}
	r.condition = s
	if p := r.task.running(); p != nil {
		r.task.tell(p.jobEvent[p.job], s, r.w.now(), why)
	}
}

// rest is what a robot without a task does: it goes home and charges.
func (r *robot) rest(dt float64) bool {
	if r.edge < 0 && r.vertex == r.charger && r.at == r.w.b.graph.vertices[r.vertex].at {
		return false
	}
	if !r.commission.IdleBehavior && r.edge < 0 && !r.drained {
		return false
	}
	before := r.at
	r.drive(dt, r.charger)
	return r.at != before
}

// work does a piece of the job at hand.
func (r *robot) work(dt float64) (moved bool) {
	t := r.task
	p := t.running()
	j := &p.jobs[p.job]
	p.spent += dt
	if !p.begun {
		p.begun, p.left, r.leg = true, j.seconds, 0
		if j.kind == jobGo {
			p.target = r.nearest(j.targets)
			r.path = nil
		}
		r.condition = ""
	}
	if r.edge < 0 && j.kind == jobServe && r.w.troubleAtWork(r) {
		return false
	}
	before, done := r.at, false
	switch j.kind {
	case jobGo:
		done = r.drive(dt, p.target)
	case jobSweep:
		done = r.sweep(dt, &r.w.b.zones[j.zone])
	case jobServe:
		done = r.serve(r.w.cells[j.cell], p.id)
	case jobWait:
		r.feel(underway, "Started")
		p.left -= dt
		done = p.left <= 0
	}
	if done {
		r.condition = ""
		t.done(r.w.now())
		r.settle()
	}
	return r.at != before
}

func (r *robot) nearest(targets []int) int {
	best, least := targets[0], math.Inf(1)
	if len(targets) > 1 {
		for _, v := range targets {
			if cost := r.w.travel(r.vertex, v); cost < least {
				best, least = v, cost
			}
		}
	}
	return best
}

func (r *robot) serve(c *cell, phase int) bool {
	if c.offline {
		r.feel(failing, c.guid+" is offline")
		return false
	}
	r.feel(underway, "Waiting for "+c.guid)
	return c.serve(fmt.Sprintf("%s/%d", r.task.booking.ID, phase))
}

// sweep drives a zone's path off the lanes, and back to where it began.
func (r *robot) sweep(dt float64, z *zone) bool {
	r.feel(underway, "Sweeping")
	if r.leg < len(z.path) {
		if r.approach(z.path[r.leg], dt) {
			r.leg++
		}
		return false
	}
	return r.approach(r.w.b.graph.vertices[r.vertex].at, dt)
}

// approach moves straight to a point, turning first, and is true once there.
func (r *robot) approach(to point, dt float64) bool {
	away := r.at.distance(to)
	if away < 1e-9 {
		return true
	}
	if !r.turn(r.at.towards(to), dt) {
		return false
	}
	step := r.fleet.speed * sweepPace * dt
	if step >= away {
		r.at = to
		return true
	}
	r.at = r.at.along(to, step/away)
	return false
}

// turn rotates on the spot, and is true once the robot faces the heading.
func (r *robot) turn(heading, dt float64) bool {
	off := math.Remainder(heading-r.yaw, 2*math.Pi)
	if step := r.fleet.turn * dt; math.Abs(off) > step {
		r.yaw = math.Remainder(r.yaw+math.Copysign(step, off), 2*math.Pi)
		return false
	}
	r.yaw = heading
	return true
}
