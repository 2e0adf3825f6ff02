package simulator

import (
	"math"
	"slices"
)

// drive goes on towards a vertex, and is true once there. A robot between two vertices
// first gets to the next one: there is no turning back on a lane.
func (r *robot) drive(dt float64, goal int) bool {
	g := &r.w.b.graph
	if r.edge < 0 && r.vertex != goal {
		if r.at != g.vertices[r.vertex].at { // it was called away in the middle of a sweep
			r.approach(g.vertices[r.vertex].at, dt)
			return false
		}
		if len(r.path) == 0 || r.goal != goal || g.edges[r.path[0]].from != r.vertex {
			if !r.plan(goal, false) {
				return false
			}
		}
		if !r.enter(dt) {
			r.wait(dt, goal)
			return false
		}
	}
	if r.edge >= 0 {
		r.feel(underway, "Driving")
		r.travel(dt)
	}
	if r.edge < 0 && r.vertex == goal {
		r.letGo(-1)
		return true
	}
	return false
}

// plan finds a way. Around says that others stand in the way and may be worth a detour.
func (r *robot) plan(goal int, around bool) bool {
	var extra func(int) float64
	if around {
		extra = func(v int) float64 {
			if o := r.w.holder[v]; o != nil && o != r && o.edge < 0 {
				return 45
			}
			return 0
		}
	}
	path, ok := r.w.b.graph.route(r.vertex, goal, extra)
	if !ok {
		return false
	}
	r.path, r.goal, r.replan = path, goal, 0
	r.letGo(r.path[0])
	if r.task != nil {
		if p := r.task.running(); p != nil && p.jobs[p.job].kind == jobGo {
			p.legsOf(r.w.b, path)
			r.task.dirty = true
		}
	}
	return true
}

// wait counts how long the robot has stood, says so in its task, and looks for a way round.
func (r *robot) wait(dt float64, goal int) {
	r.waiting += dt
	r.replan += dt
	if r.waiting > delayedAfter {
		r.feel(delayed, "Waiting for "+r.blocker())
	}
	if r.replan > replanAfter {
		r.plan(goal, true)
	}
}

func (r *robot) blocker() string {
	switch {
	case r.wants != "":
		return "mutex group " + r.wants
	case r.need >= 0 && r.w.holder[r.need] != nil:
		return "robot " + r.w.holder[r.need].session
	default:
		return "a door or a lift"
	}
}

// enter tries to leave the vertex by the next edge: face it, have its door or lift
// ready, and reserve where it leads to, in this order, so that nobody is kept from a
// vertex by a robot that cannot go there yet.
func (r *robot) enter(dt float64) bool {
	g := &r.w.b.graph
	e := &g.edges[r.path[0]]
	from, to := &g.vertices[e.from], &g.vertices[e.to]
	ready := true
	switch {
	case e.ride >= 0:
		if r.task != nil {
			r.task.passing(r.path[0], underway, r.w.now())
		}
		if !r.askLift(e.ride, to.level) {
			return false
		}
		r.arriveBy(e)
		return false
	case to.lift >= 0:
		ready = r.askLift(to.lift, to.level)
	case from.lift >= 0:
		ready = r.askLift(from.lift, from.level)
	}
	if e.door >= 0 {
		d := r.w.doors[e.door]
		d.hold(r.session)
		r.door = e.door
		ready = ready && d.mode == doorOpen
	}
	if !r.turn(from.at.towards(to.at), dt) || !ready {
		return false
	}
	if to.mutex != "" && !r.lock(to.mutex, e.to) {
		return false
	}
	return r.reserve(e.to)
}

func (r *robot) askLift(index, level int) bool {
	l := r.w.lifts[index]
	return l.ask(call{session: r.session, stop: l.stopAt(level), mode: liftAGV, asked: r.w.steps})
}

// lock takes a mutex group. Whoever holds it and stands where we want to go is waited
// for like any robot, so that two who want to change places can.
func (r *robot) lock(group string, vertex int) bool {
	switch owner := r.w.mutexes[group]; {
	case owner == nil:
		r.w.mutexes[group] = r
		r.locked = append(r.locked, group)
		return true
	case owner == r:
		return true
	case r.w.holder[vertex] == owner:
		r.need = vertex
	}
	r.wants = group
	return false
}

func (r *robot) unlock(group string) {
	if r.w.mutexes[group] == r {
		delete(r.w.mutexes, group)
	}
	r.locked = slices.DeleteFunc(r.locked, func(g string) bool { return g == group })
}

// reserve takes a vertex, so that no two robots stand in each other.
func (r *robot) reserve(vertex int) bool {
	o := r.w.holder[vertex]
	squeezing := false
	switch {
	case o == nil || o == r:
		r.w.holder[vertex] = r
	case r.w.crowded, r.waiting > squeezeAfter && o.parked():
		squeezing = true // nobody will make room
	default:
		r.need = vertex
		return false
	}
	r.depart()
	r.squeezed = squeezing
	return true
}

// parked says whether the robot will not move by itself.
func (r *robot) parked() bool {
	return r.offline || r.trouble != nil || r.task != nil && r.task.paused() ||
		r.edge < 0 && r.task == nil && (!r.commission.IdleBehavior || r.vertex == r.charger)
}

func (r *robot) depart() {
	r.squeezed = false
	r.edge, r.gone, r.path = r.path[0], 0, r.path[1:]
	r.waiting, r.replan = 0, 0
	if r.task != nil {
		r.task.passing(r.edge, underway, r.w.now())
	}
}

// travel moves along the edge and arrives at its end.
func (r *robot) travel(dt float64) {
	g := &r.w.b.graph
	e := &g.edges[r.edge]
	from, to := g.vertices[e.from].at, g.vertices[e.to].at
	r.gone += speedOn(e, r.fleet.speed) * dt
	if r.gone < e.length {
		r.at, r.yaw = from.along(to, r.gone/e.length), from.towards(to)
		r.w.troubleOnTheWay(r, dt)
		return
	}
	edge := r.edge
	r.edge = -1
	r.arrive(e)
	if r.task != nil {
		r.task.passing(edge, completed, r.w.now())
	}
}

func (r *robot) arrive(e *edge) {
	g := &r.w.b.graph
	if r.w.holder[e.from] == r {
		r.w.holder[e.from] = nil
	}
	r.vertex, r.at = e.to, g.vertices[e.to].at
	if m := g.vertices[e.from].mutex; m != "" && m != g.vertices[e.to].mutex {
		r.unlock(m)
	}
	if e.door >= 0 {
		r.w.doors[e.door].release(r.session)
		r.door = -1
	}
	if l := g.vertices[e.from].lift; l >= 0 && g.vertices[e.to].lift < 0 {
		r.w.lifts[l].end(r.session)
	}
}

// arriveBy ends a ride: the lift is at the other level with its door open.
func (r *robot) arriveBy(e *edge) {
	if r.task != nil {
		r.task.passing(r.path[0], completed, r.w.now())
	}
	r.path, r.waiting, r.replan = r.path[1:], 0, 0
	r.arrive(e)
	r.w.holder[e.to] = r
}

// letGo gives up the door and the lift that the robot asked for, unless the edge that
// it takes next needs them, or it stands in the lift.
func (r *robot) letGo(next int) {
	g := &r.w.b.graph
	if r.door >= 0 && (next < 0 || g.edges[next].door != r.door) {
		r.w.doors[r.door].release(r.session)
		r.door = -1
	}
	if g.vertices[r.vertex].lift >= 0 {
		return
	}
	for i, l := range r.w.lifts {
		if next < 0 || g.vertices[g.edges[next].to].lift != i {
			l.end(r.session)
		}
	}
	for _, m := range slices.Clone(r.locked) {
		if g.vertices[r.vertex].mutex != m && (next < 0 || g.vertices[g.edges[next].to].mutex != m) {
			r.unlock(m)
		}
	}
}

// rotate lets robots go on who wait for one another in a circle: they all move at once,
// which no order of moving one by one could do.
func (w *world) rotate() {
	for _, r := range w.robots {
		if r.need < 0 {
			continue
		}
		ring := []*robot{r}
		for {
			next := w.holder[ring[len(ring)-1].need]
			if next == nil || next.need < 0 || next.edge >= 0 || len(ring) > len(w.robots) {
				ring = nil
				break
			}
			if next == r {
				break
			}
			ring = append(ring, next)
		}
		for _, o := range ring {
			w.holder[o.need] = o
			if o.wants != "" {
				w.takeOver(o, o.wants)
			}
		}
		for _, o := range ring {
			o.need, o.wants = -1, ""
			o.depart()
		}
	}
}

// takeOver passes a mutex group on to the robot that changes places with its owner.
func (w *world) takeOver(r *robot, group string) {
	if owner := w.mutexes[group]; owner != nil {
		owner.unlock(group)
	}
	w.mutexes[group] = r
	r.locked = append(r.locked, group)
}

// travel is how many seconds it takes to get from one vertex to another at planning speed.
func (w *world) travel(from, to int) float64 {
	if w.toward == nil || len(w.toward) > 1000 {
		w.toward = map[int][]float64{}
	}
	cost := w.toward[to]
	if cost == nil {
		cost = w.b.graph.distances(to, false)
		w.toward[to] = cost
	}
	if math.IsInf(cost[from], 1) {
		return 0
	}
	return cost[from]
}
