package simulator

import (
	"slices"
	"strings"
)

// command acts on a task that a robot has. Adapters know no other tasks: those that are
// unknown, still up for bids or over get no answer.
func (w *world) command(q *request) any {
	t := w.task(q.TaskID)
	if t == nil || t.robot == nil {
		return nil
	}
	switch q.Type {
	case "cancel_task_request":
		w.cancel(t, q.Labels)
		return reply{Success: true}
	case "kill_task_request":
		w.kill(t, q.Labels)
		return reply{Success: true}
	}
	if t.robot.task != t {
		return circumstances("%s a task that is queued is not currently supported", map[string]string{
			"interrupt_task_request": "Interrupting", "resume_task_request": "Resuming", "rewind_task_request": "Rewinding",
			"skip_phase_request": "Skipping a phase in", "undo_phase_skip_request": "Undoing a phase skip in",
		}[q.Type])
	}
	return w.steer(t, q)
}

// steer changes the course of a task that is underway.
func (w *world) steer(t *task, q *request) any {
	now, token := w.now(), w.uuid()
	switch q.Type {
	case "interrupt_task_request":
		t.interrupt(token, q.Labels, now)
		return reply{Success: true, Token: token}
	case "resume_task_request":
		unknown := t.resume(q.Tokens, q.Labels, now)
		if !t.paused() {
			t.robot.condition = ""
		}
		return tokens(unknown)
	case "skip_phase_request":
		if t.phase(q.PhaseID) == nil {
			return circumstances("Task [%s] has no phase %d", q.TaskID, q.PhaseID)
		}
		if t.skip(q.PhaseID, token, q.Labels, now) {
			w.abandon(t.robot)
			t.stop(skipped, now, "Skipped")
			t.advance(now)
			t.robot.settle()
		}
		return reply{Success: true, Token: token}
	case "undo_phase_skip_request":
		return tokens(t.undoSkip(q.Tokens, q.Labels, now))
	case "rewind_task_request":
		if p := t.phase(q.PhaseID); p == nil || p.id > t.running().id || t.running().canceling {
			return circumstances("Task [%s] cannot be rewound to phase %d", q.TaskID, q.PhaseID)
		}
		w.abandon(t.robot)
		t.rewind(q.PhaseID, now)
		return reply{Success: true}
	}
	return nil
}

func tokens(unknown []string) reply {
	if len(unknown) == 0 {
		return reply{Success: true}
	}
	return refusal(apiError{codeTokens, "Unknown Tokens", "[" + strings.Join(unknown, ", ") + "]"})
}

// abandon drops the job that a robot is at, so that something else can begin.
func (w *world) abandon(r *robot) {
	if r.task == nil {
		return
	}
	for _, c := range w.cells {
		for _, request := range slices.Clone(c.queue) {
			if strings.HasPrefix(request, r.task.booking.ID+"/") {
				c.drop(request)
			}
		}
	}
	if r.trouble != nil && r.trouble.kind == atPickup {
		w.free(r, "no longer needed")
	}
	r.path, r.condition, r.leg = nil, "", 0
}

// cancel ends a task in an orderly way, wherever it is.
func (w *world) cancel(t *task, labels []string) {
	if t.robot.task == t {
		w.abandon(t.robot)
		t.cancel(labels, w.now())
		t.robot.settle()
		return
	}
	w.unqueue(t)
	t.cancel(labels, w.now())
	w.end(t)
}

func (w *world) kill(t *task, labels []string) {
	if t.robot.task == t {
		w.abandon(t.robot)
		t.kill(labels, w.now())
		t.robot.settle()
		return
	}
	w.unqueue(t)
	t.kill(labels, w.now())
	w.end(t)
}

func (w *world) unqueue(t *task) {
	same := func(o *task) bool { return o == t }
	t.robot.queue = slices.DeleteFunc(t.robot.queue, same)
	t.robot.direct = slices.DeleteFunc(t.robot.direct, same)
}

type commissionReply struct {
	Commission reply `json:"commission"`
	Dispatch   reply `json:"pending_dispatch_tasks_policy"`
	Direct     reply `json:"pending_direct_tasks_policy"`
}

// setCommission says what a robot may do, and what becomes of what it has before it.
func (w *world) setCommission(q *request) any {
	r := w.robot(q.Fleet, q.Robot)
	if r == nil {
		return nil
	}
	for _, set := range []struct {
		from *bool
		to   *bool
	}{
		{q.Commission.DispatchTasks, &r.commission.DispatchTasks},
		{q.Commission.DirectTasks, &r.commission.DirectTasks},
		{q.Commission.IdleBehavior, &r.commission.IdleBehavior},
	} {
		if set.from != nil {
			*set.to = *set.from
		}
	}
	r.note("info", "Commission changed: dispatched tasks %t, direct tasks %t, idle behavior %t",
		r.commission.DispatchTasks, r.commission.DirectTasks, r.commission.IdleBehavior)
	labels := []string{"robot decommissioned"}
	switch q.Dispatch {
	case "cancel":
		for _, t := range slices.Clone(r.queue) {
			w.cancel(t, labels)
		}
	case "reassign":
		w.reassign(r)
	}
	if q.Direct == "cancel" {
		for _, t := range slices.Clone(r.direct) {
			w.cancel(t, labels)
		}
	}
	return commissionReply{reply{Success: true}, reply{Success: true}, reply{Success: true}}
}

// reassign puts the tasks that a robot has not begun up for bids again.
func (w *world) reassign(r *robot) {
	for _, t := range r.queue {
		t.robot, t.phases, t.seconds, t.dispatch, t.dirty = nil, nil, 0, &dispatchState{Status: "queued"}, true
		w.auction = append(w.auction, bid{t, taskRequest{Category: t.category, Description: t.detail, Fleet: t.wanted}, w.bidsUntil()})
	}
	r.queue = nil
}
