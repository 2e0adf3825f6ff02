package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

const (
	biddingSeconds = 2 // the dispatcher's window
	// The dispatcher and the adapters have connections of their own: however fast the
	// world is, what the first says of a task has to be out before the others go on.
	biddingWallSeconds = 0.25
	rememberedAPI      = 50 // answers, for who asks twice
	apiResponding      = 2
	maxTasks           = 20_000 // not yet over
)

// A bid is a task whose fleets have until a step to say what it would cost them.
type bid struct {
	task    *task
	request taskRequest
	due     int64
}

// receive acts on a message that came in by ROS. Messages of the wrong shape are
// dropped, as rosbridge does.
func (w *world) receive(topic string, msg json.RawMessage) error {
	switch topic {
	case "/task_api_requests":
		return accept(msg, w.answer)
	case "/adapter_door_requests":
		return accept(msg, w.requestDoor)
	case "/adapter_lift_requests":
		return accept(msg, w.requestLift)
	case "/dispenser_requests", "/ingestor_requests":
		return accept(msg, w.requestCell)
	case "/alert_response":
		return accept(msg, w.answerAlert)
	case "/delivery_alert_response":
		return accept(msg, w.answerDeliveryAlert)
	case "/fire_alarm_trigger":
		return accept(msg, func(b boolean) { w.alarm(b.Data) })
	case "/mutex_group_manual_release":
		return accept(msg, w.releaseMutex)
	}
	return nil
}

// accept decodes a message strictly: a field that the type does not have makes it invalid.
func accept[T any](msg json.RawMessage, act func(T)) error {
	var m T
	dec := json.NewDecoder(bytes.NewReader(msg))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return err
	}
	act(m)
	return nil
}

func (w *world) requestDoor(q doorRequest) {
	for _, d := range w.doors {
		if d.name != q.Door {
			continue
		}
		switch q.Mode.Value {
		case doorOpen:
			d.hold(q.Requester)
		case doorClosed:
			d.release(q.Requester)
		}
	}
}

func (w *world) requestLift(q liftRequest) {
	for _, l := range w.lifts {
		if l.name != q.Lift {
			continue
		}
		if q.Type == liftEnd {
			l.end(q.Session)
			continue
		}
		for i, s := range l.stops {
			if w.b.levels[s.level].name == q.Destination {
				mode := uint8(liftAGV)
				if q.Type == liftAskUser {
					mode = liftHuman
				}
				l.ask(call{session: q.Session, stop: i, mode: mode, person: true, asked: w.steps})
				if l.session == q.Session {
					l.open = q.Door == doorOpen
				}
			}
		}
	}
}

func (w *world) requestCell(q cellRequest) {
	for _, c := range w.cells {
		if c.guid == q.Target && !slices.Contains(c.queue, q.Request) && len(c.queue) < maxWaiting {
			c.enqueue(q.Request)
		}
	}
}

func (w *world) releaseMutex(q mutexRelease) {
	if r := w.robot(q.Fleet, q.Robot); r != nil {
		for _, group := range q.Groups {
			r.unlock(group)
		}
	}
}

// answer serves one message of the task API, as the dispatcher and all adapters
// together do: what concerns none of them gets no answer.
func (w *world) answer(m apiMessage) {
	for _, a := range w.answers {
		if a.Request == m.Request && m.Request != "" {
			w.ros("/task_api_responses", a)
			return
		}
	}
	r, known, wrong := parseRequest(m.JSON)
	if !known {
		return
	}
	var reply any
	if wrong != nil {
		reply = refusal(*wrong)
	} else if reply = w.handle(&r, m.Request); reply == nil {
		return
	}
	text, err := json.Marshal(reply)
	if err != nil {
		return // replies are made of plain values
	}
	a := apiAnswer{Type: apiResponding, JSON: string(text), Request: m.Request}
	if w.answers = append(w.answers, a); len(w.answers) > rememberedAPI {
		w.answers = slices.Delete(w.answers, 0, 1)
	}
	w.ros("/task_api_responses", a)
}

type reply struct {
	Success bool       `json:"success"`
	Token   string     `json:"token,omitempty"`
	State   *taskState `json:"state,omitempty"`
	Errors  []apiError `json:"errors,omitempty"`
}

func refusal(errors ...apiError) reply { return reply{Errors: errors} }

func circumstances(format string, args ...any) reply {
	return refusal(apiError{codeCircumstances, "Invalid Circumstances", fmt.Sprintf(format, args...)})
}

func (w *world) handle(r *request, id string) any {
	switch r.Type {
	case "dispatch_task_request":
		return w.dispatch(r.Task)
	case "robot_task_request":
		return w.robotTask(r, id)
	case "robot_commission_request":
		return w.setCommission(r)
	default:
		return w.command(r)
	}
}

// dispatch takes a task on and asks the fleets for bids.
func (w *world) dispatch(r taskRequest) any {
	if len(w.live) >= maxTasks {
		return refusal(apiError{codeInfeasible, "Not feasible", "There are too many tasks already"})
	}
	t := newTask(w.booking(r, r.Category+".dispatch-"+w.id()[:12]), r, len(w.fleets))
	t.dispatch = &dispatchState{Status: "queued"}
	w.live = append(w.live, t)
	w.auction = append(w.auction, bid{t, r, w.bidsUntil()})
	s := t.state(w.now(), w.speed)
	return reply{Success: true, State: &s}
}

// bidsUntil is the step at which a bidding that begins now is over.
func (w *world) bidsUntil() int64 {
	return w.steps + int64(max(biddingSeconds, biddingWallSeconds*w.speed)/w.dt)
}

func (w *world) booking(r taskRequest, id string) booking {
	now := w.now()
	b := booking{ID: id, EarliestStart: r.EarliestStart, RequestTime: r.RequestTime, Priority: r.Priority, Labels: r.Labels, Requester: r.Requester}
	if b.EarliestStart == nil {
		b.EarliestStart = &now
	}
	if b.RequestTime == nil {
		b.RequestTime = &now
	}
	return b
}

// settleAuction awards the tasks whose bidding is over.
func (w *world) settleAuction() {
	for len(w.auction) > 0 && w.auction[0].due <= w.steps {
		b := w.auction[0]
		w.auction = w.auction[1:]
		r, phases, errors := w.award(b.request)
		if r == nil {
			b.task.dispatch.Status, b.task.dispatch.Errors = "failed_to_assign", errors
			b.task.end(failed, w.now())
			w.end(b.task)
			continue
		}
		b.task.dispatch.Status, b.task.dispatch.Assignment = "selected", &assignment{r.fleet.name, r.name}
		b.task.assign(r, phases)
		w.tellTask(b.task)
		r.queue = append(r.queue, b.task)
	}
}

// award finds the robot that can be done first. When there is none it says why.
func (w *world) award(q taskRequest) (best *robot, phases []blueprint, errors []apiError) {
	least := math.Inf(1)
	for _, f := range w.fleets {
		if q.Fleet != "" && q.Fleet != f.name {
			continue
		}
		plan, wrong := w.b.plan(f.fleetPlan, q.Category, q.Description)
		if wrong != nil {
			errors = append(errors, *wrong)
			continue
		}
		r, cost := f.cheapest(plan)
		if r == nil {
			errors = append(errors, apiError{codeInfeasible, "Not feasible", fmt.Sprintf("No robot of fleet [%s] can take tasks now", f.name)})
		} else if cost < least {
			best, phases, least = r, plan, cost
		}
	}
	if best == nil && errors == nil {
		errors = append(errors, apiError{codeInfeasible, "Not feasible", fmt.Sprintf("There is no fleet [%s]", q.Fleet)})
	}
	return best, phases, errors
}

func (f *fleet) cheapest(plan []blueprint) (best *robot, least float64) {
	least = math.Inf(1)
	first := -1
	if j := plan[0].jobs[0]; j.kind == jobGo {
		first = j.targets[0]
	}
	for _, r := range f.robots {
		if r.offline || !r.commission.DispatchTasks || r.trouble != nil {
			continue
		}
		cost := r.busy()
		if first >= 0 {
			cost += r.w.travel(r.destination(), first) * planSpeed / f.speed
		}
		if r.drained {
			cost += (enough - r.battery) * f.chargeHours * 3600
		}
		if cost < least {
			best, least = r, cost
		}
	}
	return best, least
}

// robotTask gives a task to a robot directly. Only that robot answers.
func (w *world) robotTask(q *request, id string) any {
	r := w.robot(q.Fleet, q.Robot)
	if r == nil {
		return nil
	}
	phases, wrong := w.b.plan(r.fleet.fleetPlan, q.Task.Category, q.Task.Description)
	if wrong != nil {
		return refusal(*wrong)
	}
	if len(w.live) >= maxTasks {
		return refusal(apiError{codeInfeasible, "Not feasible", "There are too many tasks already"})
	}
	if !r.commission.DirectTasks {
		return circumstances("Robot [%s] is decommissioned for direct tasks", r.session)
	}
	if id == "" || w.task(id) != nil {
		id = w.id()
	}
	t := newTask(w.booking(q.Task, id), q.Task, r.fleet.index)
	t.dispatch, t.direct = &dispatchState{Status: "queued"}, true
	t.assign(r, phases)
	r.direct = append(r.direct, t)
	w.live = append(w.live, t)
	s := t.state(w.now(), w.speed)
	return reply{Success: true, State: &s}
}
