package simulator

import (
	"fmt"
	"slices"
)

type troubleKind int

const (
	stuck troubleKind = iota
	atPickup
)

// What people can answer, and what a delivery alert's numbers mean.
const (
	tryAgain = "Try again"
	giveUp   = "Give up"

	tierWarning = 1

	deliveryMissing, deliveryWrong, deliveryObstructed               = 0, 1, 2
	actionWaiting, actionCancel, actionOverride, actionResume uint32 = 0, 1, 2, 3

	// Somebody walks by at last: without that a site nobody watches would stand still.
	troublePatience = 600 // simulated seconds
	// Handing goods over goes wrong more often than driving, once for so many hours of it.
	hoursPerPickup = 0.1
)

// Trouble holds a robot until somebody answers its alert.
type trouble struct {
	kind  troubleKind
	id    string
	robot *robot
	why   string
	since int64 // step
	phase *phase
}

// troubleOnTheWay lets a robot get stuck now and then.
func (w *world) troubleOnTheWay(r *robot, dt float64) {
	if w.troubleRate > 0 && w.rng.Float64() < w.troubleRate*dt/3600 {
		w.stick(r, "An obstacle is in the way")
	}
}

// stick holds a robot where it is and asks people for help.
func (w *world) stick(r *robot, why string) {
	if r.trouble != nil {
		return
	}
	t := &trouble{kind: stuck, id: w.uuid(), robot: r, why: why, since: w.steps}
	r.trouble = t
	w.troubles = append(w.troubles, t)
	r.note("error", "Stuck: %s", why)
	r.feel(blocked, why)
	a := alert{
		ID: t.id, Title: "Robot needs help", Subtitle: r.session, Display: true, Tier: tierWarning,
		Message:   fmt.Sprintf("%s: %s on %s, near %s.", r.name, why, w.levelOf(r), w.b.graph.vertices[r.vertex].id),
		Responses: []string{tryAgain}, Parameters: []alertParameter{{"fleet", r.fleet.name}, {"robot", r.name}},
	}
	if r.task != nil {
		a.TaskID = r.task.booking.ID
		a.Responses = append(a.Responses, giveUp)
	}
	w.ros("/alert", a)
}

// troubleAtWork lets the goods at a pickup be missing, wrong or out of reach now and then.
// It is decided once, when the job begins.
func (w *world) troubleAtWork(r *robot) bool {
	p := r.task.running()
	j := &p.jobs[p.job]
	if w.b.cells[j.cell].ingestor || p.left < 0 {
		return false
	}
	p.left = -1
	if w.troubleRate <= 0 || w.rng.Float64() >= w.troubleRate*hoursPerPickup {
		return false
	}
	w.deliveryTrouble(r, uint32(w.rng.IntN(3)))
	return true
}

// deliveryTrouble holds a robot at a pickup with a delivery alert.
func (w *world) deliveryTrouble(r *robot, category uint32) {
	if r.trouble != nil || r.task == nil {
		return
	}
	why := map[uint32]string{
		deliveryMissing: "The goods are not there", deliveryWrong: "These are the wrong goods", deliveryObstructed: "The goods are out of reach",
	}[category]
	t := &trouble{kind: atPickup, id: w.uuid(), robot: r, why: why, since: w.steps, phase: r.task.running()}
	r.trouble = t
	w.troubles = append(w.troubles, t)
	r.feel(blocked, why)
	w.ros("/delivery_alert_request", deliveryAlert{
		ID: t.id, Category: value{category}, Tier: value{0}, TaskID: r.task.booking.ID, Action: value{actionWaiting}, Message: why + ".",
	})
}

// free ends a robot's trouble.
func (w *world) free(r *robot, how string) {
	t := r.trouble
	if t == nil {
		return
	}
	r.trouble, r.condition = nil, ""
	w.troubles = slices.DeleteFunc(w.troubles, func(o *trouble) bool { return o == t })
	r.note("info", "Free again: %s", how)
}

// settleTrouble drops trouble that ended with its task; a stuck robot stays stuck.
func (w *world) settleTrouble(r *robot) {
	if r.trouble != nil && r.trouble.kind == atPickup {
		w.free(r, "the task has ended")
	}
}

func (w *world) troubleOf(id string) *trouble {
	for _, t := range w.troubles {
		if t.id == id {
			return t
		}
	}
	return nil
}

// answerAlert acts on what a person chose.
func (w *world) answerAlert(a alertResponse) {
	t := w.troubleOf(a.ID)
	if t == nil || t.kind != stuck {
		return
	}
	switch a.Response {
	case tryAgain:
		w.free(t.robot, "trying again")
	case giveUp:
		w.free(t.robot, "given up")
		if t.robot.task != nil {
			w.abandon(t.robot)
			t.robot.task.fail("Given up by a person: "+t.why, w.now())
			t.robot.settle()
		}
	}
}

func (w *world) answerDeliveryAlert(a deliveryAlert) {
	t := w.troubleOf(a.ID)
	if t == nil || t.kind != atPickup {
		return
	}
	switch a.Action.Value {
	case actionCancel:
		w.free(t.robot, "canceled")
		w.cancel(t.robot.task, []string{"delivery alert"})
	case actionOverride, actionResume:
		w.free(t.robot, "going on")
	}
}

// patience frees robots that nobody cared for, and answers for those who should have.
func (w *world) patience() {
	for _, t := range slices.Clone(w.troubles) {
		if float64(w.steps-t.since)*w.dt < troublePatience {
			continue
		}
		w.free(t.robot, "helped by somebody passing")
		if t.kind == stuck {
			w.ros("/alert_response", alertResponse{t.id, tryAgain})
		}
	}
}

// alarm begins or ends a fire alarm: everything stands still meanwhile.
func (w *world) alarm(on bool) {
	if w.fire == on {
		return
	}
	w.fire = on
	for _, r := range w.robots {
		r.condition = ""
		if on {
			r.note("warning", "Fire alarm")
		}
	}
}
