package simulator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// A task goes queued → underway → completed, failed, canceled or killed. While it is
// underway its status is that of the event that its robot is at.
type task struct {
	booking       booking
	category      string
	detail        json.RawMessage
	wanted        string // the only fleet that may take it, or ""
	link          int    // the adapter that tells of it
	status        status
	start, finish int64
	robot         *robot
	dispatch      *dispatchState
	phases        []*phase
	active        int // position in phases, -1 before and after
	seconds       float64
	interruptions map[string]*interruption
	cancellation  *stamp
	killed        *stamp
	log, fresh    taskLog
	dirty         bool
	direct        bool
}

type phase struct {
	blueprint
	id            int
	stage         stage
	start, finish int64
	seconds       float64
	events        []*event
	jobEvent      []int
	groupEvent    []int
	legs          []leg
	job           int // the one at work
	begun         bool
	left          float64 // of a job that takes time
	spent         float64 // at work so far, of the seconds it was thought to take
	target        int
	skips         map[string]*skipRequest
	canceling     bool // this phase cleans up after a cancellation
}

type stage int

const (
	pending stage = iota
	running
	finished
)

type event struct {
	status status
	name   string
	detail string
	deps   []int
}

// A leg is an event of a drive that one edge of the path brings about.
type leg struct{ edge, event int }

func newTask(b booking, r taskRequest, link int) *task {
	return &task{
		booking: b, category: r.Category, detail: r.Description, wanted: r.Fleet, link: link, status: queued, active: -1,
		interruptions: map[string]*interruption{}, log: emptyLog(b.ID), fresh: emptyLog(b.ID), dirty: true,
	}
}

func emptyLog(id string) taskLog { return taskLog{TaskID: id, Phases: map[string]phaseLog{}} }

// assign gives the task the phases that its robot's adapter made of it.
func (t *task) assign(r *robot, blueprints []blueprint) {
	t.robot, t.link, t.dirty = r, r.fleet.index, true
	here := r.destination()
	for i, bp := range blueprints {
		p := &phase{blueprint: bp, id: i + 1, skips: map[string]*skipRequest{}}
		for _, j := range bp.jobs {
			if j.kind == jobGo {
				p.seconds += r.w.travel(here, j.targets[0]) * planSpeed / r.fleet.speed
				here = j.targets[0]
			}
			p.seconds += j.seconds
		}
		t.seconds += p.seconds
		t.phases = append(t.phases, p)
	}
}

// last is where the task will leave its robot.
func (t *task) last(from int) int {
	for _, p := range t.phases {
		for _, j := range p.jobs {
			if j.kind == jobGo {
				from = j.targets[0]
			}
		}
	}
	return from
}

func (t *task) running() *phase {
	if t.active < 0 {
		return nil
	}
	return t.phases[t.active]
}

func (t *task) paused() bool {
	for _, i := range t.interruptions {
		if i.ResumedBy == nil {
			return true
		}
	}
	return false
}

// begin starts the task, and its first phase that nobody asked to skip.
func (t *task) begin(now int64) {
	t.status, t.start, t.dirty = underway, now, true
	if t.dispatch != nil {
		t.dispatch.Status = "dispatched"
	}
	t.advance(now)
}

// advance goes on to the next phase, or ends the task after the last.
func (t *task) advance(now int64) {
	for i := t.active + 1; i < len(t.phases); i++ {
		p := t.phases[i]
		if p.stage == finished {
			continue
		}
		if p.skipping() {
			p.build()
			p.settle(skipped)
			p.stage, p.start, p.finish = finished, now, now
			t.note(p, -1, "warning", now, "Skipped")
			continue
		}
		t.active = i
		p.build()
		p.stage, p.start, p.begun, p.spent = running, now, false, 0
		t.note(p, -1, "info", now, "Started "+p.category)
		t.status, t.dirty = underway, true
		return
	}
	t.active = -1
	if t.cancellation != nil {
		t.end(canceled, now)
		return
	}
	t.end(completed, now)
}

func (t *task) end(s status, now int64) { t.status, t.finish, t.dirty = s, now, true }

// done settles the job at work, and the phase with its last one.
func (t *task) done(now int64) {
	p := t.running()
	t.tell(p.jobEvent[p.job], completed, now, "Completed")
	for _, l := range p.legs {
		if e := p.events[l.event]; e.status == standby || e.status == underway {
			e.status = completed
		}
	}
	p.legs, p.begun, t.dirty = nil, false, true
	if p.job++; p.job < len(p.jobs) {
		return
	}
	p.stage, p.finish = finished, now
	p.derive()
	t.note(p, -1, "info", now, "Finished "+p.category)
	t.advance(now)
}

// stop ends the phase at work with a status: skipped, canceled, killed or failed.
func (t *task) stop(s status, now int64, why string) {
	p := t.running()
	if p == nil {
		return
	}
	p.settle(s)
	p.stage, p.finish, p.legs = finished, now, nil
	t.note(p, -1, "warning", now, why)
	t.dirty = true
}

// cancel stops the task. A phase that wants cleaning up after gets its own phase for it,
// and the task is canceled when that is done.
func (t *task) cancel(labels []string, now int64) {
	if t.cancellation == nil {
		t.cancellation = &stamp{now, nonNil(labels)}
	}
	p := t.running()
	if p != nil && p.canceling {
		return
	}
	t.stop(canceled, now, "Canceled")
	t.active = -1
	if p == nil || p.onCancel == nil {
		t.end(canceled, now)
		return
	}
	undo := &phase{blueprint: *p.onCancel, id: len(t.phases) + 1, skips: map[string]*skipRequest{}, stage: running, start: now, canceling: true}
	undo.build()
	t.phases = append(t.phases, undo)
	t.active, t.status, t.dirty = len(t.phases)-1, underway, true
	t.note(undo, -1, "info", now, "Cleaning up after the cancellation")
}

func (t *task) kill(labels []string, now int64) {
	t.killed = &stamp{now, nonNil(labels)}
	t.stop(killed, now, "Killed")
	t.active = -1
	t.end(killed, now)
}

func (t *task) fail(why string, now int64) {
	if p := t.running(); p != nil {
		t.note(p, p.jobEvent[p.job], "error", now, why)
	}
	t.stop(failed, now, why)
	t.active = -1
	t.end(failed, now)
}

func (t *task) interrupt(token string, labels []string, now int64) {
	t.interruptions[token] = &interruption{stamp: stamp{now, nonNil(labels)}}
	t.dirty = true
}

// resume lifts interruptions; what comes back are the tokens that are none.
func (t *task) resume(tokens, labels []string, now int64) (unknown []string) {
	for _, token := range tokens {
		i := t.interruptions[token]
		if i == nil || i.ResumedBy != nil {
			unknown = append(unknown, token)
			continue
		}
		i.ResumedBy = &stamp{now, nonNil(labels)}
	}
	t.dirty = true
	return unknown
}

// phase finds a phase by its id.
func (t *task) phase(id int) *phase {
	if id < 1 || id > len(t.phases) {
		return nil
	}
	return t.phases[id-1]
}

// skip asks for a phase to be left out. It is true when that phase is at work now and
// therefore has to be stopped.
func (t *task) skip(id int, token string, labels []string, now int64) bool {
	p := t.phase(id)
	if p == nil {
		return false
	}
	p.skips[token] = &skipRequest{stamp: stamp{now, nonNil(labels)}}
	t.dirty = true
	return p.stage == running
}

func (t *task) undoSkip(tokens, labels []string, now int64) (unknown []string) {
	for _, token := range tokens {
		found := false
		for _, p := range t.phases {
			if s := p.skips[token]; s != nil && s.Undo == nil {
				s.Undo, found = &stamp{now, nonNil(labels)}, true
			}
		}
		if !found {
			unknown = append(unknown, token)
		}
	}
	t.dirty = true
	return unknown
}

// rewind goes back to a phase and does it and everything after it again.
func (t *task) rewind(id int, now int64) bool {
	p := t.phase(id)
	if p == nil || p.id > t.running().id {
		return false
	}
	t.stop(canceled, now, "Rewound to phase "+strconv.Itoa(id))
	for _, later := range t.phases[id-1:] {
		later.stage, later.start, later.finish, later.job, later.begun, later.spent = pending, 0, 0, 0, false, 0
		later.events, later.legs = nil, nil
	}
	t.active = id - 2
	t.advance(now)
	return true
}

func (p *phase) skipping() bool {
	for _, s := range p.skips {
		if s.Undo == nil {
			return true
		}
	}
	return false
}

// build lays the phase's events out: sequences first, then jobs, so that event 0 is
// always the one that stands for the whole phase.
func (p *phase) build() {
	p.events, p.groupEvent, p.jobEvent, p.job = nil, nil, nil, 0
	hang := func(parent int) {
		if parent >= 0 {
			e := p.events[p.groupEvent[parent]]
			e.deps = append(e.deps, len(p.events))
		}
	}
	for _, g := range p.groups {
		hang(g.parent)
		p.groupEvent = append(p.groupEvent, len(p.events))
		p.events = append(p.events, &event{status: standby, name: g.name, deps: []int{}})
	}
	for _, j := range p.jobs {
		hang(j.parent)
		p.jobEvent = append(p.jobEvent, len(p.events))
		p.events = append(p.events, &event{status: standby, name: j.name, detail: j.detail, deps: []int{}})
	}
}

// settle gives a status to all events that have none for good.
func (p *phase) settle(s status) {
	for _, e := range p.events {
		if e.status != completed {
			e.status = s
		}
	}
}

// derive gives every sequence the status of what is in it.
func (p *phase) derive() {
	for i := len(p.groupEvent) - 1; i >= 0; i-- {
		e := p.events[p.groupEvent[i]]
		e.status = completed
		begun := false
		for _, dep := range e.deps {
			switch s := p.events[dep].status; s {
			case completed:
				begun = true
			case standby:
				if e.status == completed {
					e.status = standby
				}
			default:
				e.status = s
			}
		}
		if e.status == standby && begun {
			e.status = underway
		}
	}
}

// legsOf replaces what is left of a drive by the doors and lifts of a new path.
func (p *phase) legsOf(b *building, path []int) {
	var names []string
	var edges []int
	for _, i := range path {
		switch e := &b.graph.edges[i]; {
		case e.ride >= 0:
			names = append(names, fmt.Sprintf("Take [lift:%s] to [%s]", b.lifts[e.ride].name, b.levels[b.graph.vertices[e.to].level].name))
			edges = append(edges, i)
		case e.door >= 0:
			names = append(names, fmt.Sprintf("Pass [door:%s]", b.doors[e.door].name))
			edges = append(edges, i)
		}
	}
	kept := p.legs[:0]
	for _, l := range p.legs { // those that come again stay, in their order
		e := p.events[l.event]
		if e.status != standby {
			continue
		}
		if len(names) > 0 && names[0] == e.name {
			kept = append(kept, leg{edges[0], l.event})
			names, edges = names[1:], edges[1:]
			continue
		}
		e.status = skipped
	}
	p.legs = kept
	drive := p.events[p.jobEvent[p.job]]
	for i, name := range names {
		drive.deps = append(drive.deps, len(p.events))
		p.legs = append(p.legs, leg{edges[i], len(p.events)})
		p.events = append(p.events, &event{status: standby, name: name, deps: []int{}})
	}
}

// passing tells of an edge that is entered or left.
func (t *task) passing(edge int, s status, now int64) {
	p := t.running()
	if p == nil {
		return
	}
	for _, l := range p.legs {
		if e := p.events[l.event]; l.edge == edge && (e.status == standby || e.status == underway) {
			t.tell(l.event, s, now, "")
			return
		}
	}
}

// tell sets an event's status and, with words, notes them.
func (t *task) tell(id int, s status, now int64, words string) {
	p := t.running()
	e := p.events[id]
	if e.status == s {
		return
	}
	e.status, t.dirty = s, true
	p.derive()
	if !t.status.ended() && p.stage == running {
		t.status = p.events[0].status
	}
	if words == "" {
		words = string(s)
	}
	t.note(p, id, tierOf(s), now, e.name+": "+words)
}

func tierOf(s status) string {
	switch s {
	case failing, failed:
		return "error"
	case blocked, delayed, skipped, canceled, killed:
		return "warning"
	default:
		return "info"
	}
}

// note writes a log entry of an event, or of the phase itself for event -1.
func (t *task) note(p *phase, event int, tier string, now int64, words string) {
	key := strconv.Itoa(p.id)
	full, fresh := t.log.Phases[key], t.fresh.Phases[key]
	entry := logEntry{Tier: tier, Time: now, Text: words}
	if event < 0 {
		entry.Seq = uint32(len(full.Log))
		full.Log, fresh.Log = append(full.Log, entry), append(fresh.Log, entry)
	} else {
		id := strconv.Itoa(event)
		if full.Events == nil {
			full.Events = map[string][]logEntry{}
		}
		if fresh.Events == nil {
			fresh.Events = map[string][]logEntry{}
		}
		entry.Seq = uint32(len(full.Events[id]))
		full.Events[id], fresh.Events[id] = append(full.Events[id], entry), append(fresh.Events[id], entry)
	}
	t.log.Phases[key], t.fresh.Phases[key] = full, fresh
}

// takeLog gives what was noted since the last time.
func (t *task) takeLog() (taskLog, bool) {
	if len(t.fresh.Phases) == 0 {
		return taskLog{}, false
	}
	l := t.fresh
	t.fresh = emptyLog(t.booking.ID)
	return l, true
}

// left is how many simulated seconds the task still needs.
func (t *task) left() (seconds float64) {
	for _, p := range t.phases {
		seconds += p.remaining()
	}
	return seconds
}

// remaining is how many simulated seconds the phase still needs. One that takes longer than was thought
// needs a moment more, until it is over.
func (p *phase) remaining() float64 {
	switch {
	case p.stage == finished:
		return 0
	case p.spent >= p.seconds:
		return min(1, p.seconds)
	}
	return p.seconds - p.spent
}

// state writes the task as its adapter tells it.
func (t *task) state(now int64, speed float64) taskState {
	millis := func(seconds float64) int64 { return int64(seconds / speed * 1000) }
	s := taskState{
		Booking: t.booking, Category: t.category, Detail: t.detail, Start: t.start, Finish: t.finish, Status: t.status,
		OriginalEstimate: millis(t.seconds), Dispatch: t.dispatch, Cancellation: t.cancellation, Killed: t.killed, Interruptions: t.interruptions,
	}
	if t.robot != nil {
		s.AssignedTo = &assignedTo{t.robot.fleet.name, t.robot.name}
	}
	if !t.status.ended() {
		s.Estimate = millis(t.left())
		if t.start > 0 {
			s.Finish = now + s.Estimate
		}
	}
	if len(t.phases) > 0 {
		s.Phases = make(map[string]phaseState, len(t.phases))
	}
	for i, p := range t.phases {
		s.Phases[strconv.Itoa(p.id)] = p.state(millis)
		switch {
		case p.stage == finished:
			s.Completed = append(s.Completed, p.id)
		case i == t.active:
			s.Active = &p.id
		default:
			s.Pending = append(s.Pending, p.id)
		}
	}
	return s
}

func (p *phase) state(millis func(float64) int64) phaseState {
	s := phaseState{
		ID: p.id, Category: p.category, Detail: p.detail, Start: p.start, Finish: p.finish,
		OriginalEstimate: millis(p.seconds), SkipRequests: p.skips,
	}
	s.Estimate = millis(p.remaining())
	if len(p.events) > 0 {
		s.FinalEvent, s.Events = new(int), make(map[string]eventState, len(p.events))
	}
	for id, e := range p.events {
		s.Events[strconv.Itoa(id)] = eventState{ID: id, Status: e.status, Name: e.name, Detail: e.detail, Deps: slices.Clone(e.deps)}
	}
	return s
}

func nonNil(labels []string) []string {
	if labels == nil {
		return []string{}
	}
	return labels
}
