package simulator

import (
	"math"
	"slices"
)

// Modes on the wire.
const (
	doorClosed, doorMoving, doorOpen, doorOffline = 0, 1, 2, 3
	doorSingleSwing                               = 5

	liftStopped, liftUp, liftDown    = 0, 1, 2
	liftHuman, liftAGV, liftFire     = 1, 2, 3
	liftEnd, liftAskAGV, liftAskUser = 0, 1, 2

	cellIdle, cellBusy, cellOffline = 0, 1, 2
)

// How long things take, in simulated seconds.
const (
	doorTravel     = 3.0
	liftDoorTravel = 2.0
	liftSpeed      = 1.0 // metres a second
	liftPatience   = 120 // how long a person may hold a lift
)

// maxWaiting bounds what anybody outside can pile up at one device.
const maxWaiting = 2000

// A door is open while anybody who asked for it has not let go, as RMF's door
// supervisor has it. That is why a person cannot close it on a robot.
type door struct {
	*doorway
	mode    uint32
	left    float64 // of its travel
	holders []string
	offline bool
	changed bool
}

func (d *door) hold(who string) {
	if !slices.Contains(d.holders, who) && len(d.holders) < maxWaiting {
		d.holders = append(d.holders, who)
	}
}

func (d *door) release(who string) {
	if i := slices.Index(d.holders, who); i >= 0 {
		d.holders = slices.Delete(d.holders, i, i+1)
	}
}

func (d *door) set(mode uint32) {
	if d.mode != mode {
		d.mode, d.changed = mode, true
	}
}

func (d *door) step(dt float64) {
	if d.offline {
		d.set(doorOffline)
		return
	}
	open := len(d.holders) > 0
	goal := doorTravel
	if open {
		goal = 0
	}
	switch {
	case d.left < goal:
		d.left = min(goal, d.left+dt)
	case d.left > goal:
		d.left = max(goal, d.left-dt)
	}
	switch d.left {
	case 0:
		d.set(doorOpen)
	case doorTravel:
		d.set(doorClosed)
	default:
		d.set(doorMoving)
	}
}

// A lift serves one session at a time; the others wait in the order in which they asked.
type lift struct {
	*shaft
	height, doorLeft float64 // doorLeft is 0 when open
	session          string
	goal             int // stop
	open             bool
	mode             uint8
	held             float64 // seconds at the goal with an open door
	calls            []call
	heights          []float64
	state            liftView
	changed          bool
}

// liftView is what of a lift is announced at once when it changes.
type liftView struct {
	floor, goal  int
	door, motion uint8
	mode         uint8
	session      string
}

type call struct {
	session string
	stop    int
	mode    uint8
	person  bool // robots keep asking; people ask once
	asked   int64
}

// ask wants the lift at a stop with its door open. It is true once that is so and the session is ours.
func (l *lift) ask(c call) bool {
	if l.session == c.session {
		if l.goal != c.stop || l.mode != c.mode {
			l.goal, l.mode, l.held = c.stop, c.mode, 0
		}
		l.open = true
		return l.at(c.stop) && l.doorLeft == 0
	}
	if i := slices.IndexFunc(l.calls, func(o call) bool { return o.session == c.session }); i >= 0 {
		l.calls[i] = c
	} else if len(l.calls) < maxWaiting {
		l.calls = append(l.calls, c)
	}
	return false
}

// end gives a session up, whether it has the lift or waits for it.
func (l *lift) end(session string) {
	l.calls = slices.DeleteFunc(l.calls, func(c call) bool { return c.session == session })
	if l.session == session {
		l.session, l.open, l.mode, l.held = "", false, liftAGV, 0
	}
}

func (l *lift) at(stop int) bool { return l.height == l.heights[stop] }

// nearest is the stop that the cabin is closest to.
func (l *lift) nearest() int {
	best := 0
	for i, h := range l.heights {
		if math.Abs(h-l.height) < math.Abs(l.heights[best]-l.height) {
			best = i
		}
	}
	return best
}

func (l *lift) step(dt float64, step int64, fire bool) {
	if l.session == "" {
		// A robot that no longer asks has given up: it was sent elsewhere.
		l.calls = slices.DeleteFunc(l.calls, func(c call) bool { return !c.person && step-c.asked > 2 })
		if len(l.calls) > 0 && !fire {
			next := l.calls[0]
			l.calls = slices.Delete(l.calls, 0, 1)
			l.session, l.goal, l.mode, l.open, l.held = next.session, next.stop, next.mode, true, 0
		}
	}
	motion := uint8(liftStopped)
	switch away := l.heights[l.goal] - l.height; {
	case away != 0 && l.doorLeft < liftDoorTravel:
		l.doorLeft = min(liftDoorTravel, l.doorLeft+dt)
	case away > 0:
		motion = liftUp
		l.height = min(l.heights[l.goal], l.height+liftSpeed*dt)
	case away < 0:
		motion = liftDown
		l.height = max(l.heights[l.goal], l.height-liftSpeed*dt)
	case l.open:
		l.doorLeft = max(0, l.doorLeft-dt)
	default:
		l.doorLeft = min(liftDoorTravel, l.doorLeft+dt)
	}
	if l.session != "" && l.mode == liftHuman && l.doorLeft == 0 {
		if l.held += dt; l.held > liftPatience {
			l.end(l.session)
		}
	}
	l.look(motion, fire)
}

func (l *lift) look(motion uint8, fire bool) {
	view := liftView{floor: l.nearest(), goal: l.goal, motion: motion, mode: l.mode, session: l.session, door: doorMoving}
	switch l.doorLeft {
	case 0:
		view.door = doorOpen
	case liftDoorTravel:
		view.door = doorClosed
	}
	if fire {
		view.mode = liftFire
	}
	if view != l.state {
		l.state, l.changed = view, true
	}
}

// A cell hands goods out or takes them in, one request after another.
type cell struct {
	*workcell
	queue   []string
	left    float64
	offline bool
	done    map[string]bool
	changed bool
}

func (c *cell) topic() string {
	if c.ingestor {
		return "/ingestor_states"
	}
	return "/dispenser_states"
}

// serve wants a request done, and is true once it is. Asking again is harmless.
func (c *cell) serve(request string) bool {
	if c.done[request] {
		delete(c.done, request)
		return true
	}
	if !slices.Contains(c.queue, request) {
		c.enqueue(request)
	}
	return false
}

func (c *cell) enqueue(request string) {
	if len(c.queue) == 0 {
		c.left = c.seconds
	}
	c.queue, c.changed = append(c.queue, request), true
}

func (c *cell) drop(request string) {
	delete(c.done, request)
	if i := slices.Index(c.queue, request); i >= 0 {
		c.queue, c.changed = slices.Delete(c.queue, i, i+1), true
		c.left = c.seconds
	}
}

func (c *cell) mode() int32 {
	switch {
	case c.offline:
		return cellOffline
	case len(c.queue) > 0:
		return cellBusy
	default:
		return cellIdle
	}
}

// step works on the first request. Those of robots are remembered until they have seen
// it; the ones from elsewhere are not asked for again.
func (c *cell) step(dt float64, mine func(request string) bool) {
	if c.offline || len(c.queue) == 0 {
		return
	}
	if c.left -= dt; c.left > 0 {
		return
	}
	if mine(c.queue[0]) {
		c.done[c.queue[0]] = true
	}
	c.queue, c.changed = slices.Delete(c.queue, 0, 1), true
	c.left = c.seconds
}
