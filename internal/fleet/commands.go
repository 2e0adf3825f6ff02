package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/fleet/fastapi"
	"lodge/internal/httpapi"
)

func (s *Service) commandRoutes() []httpapi.Route {
	command := func(path, fn, summary string, handle httpapi.Handler, action access.Action, request, response any) httpapi.Route {
		return s.route("POST", path, action, anywhere, handle, operation{
			fn: fn, tag: "Tasks", summary: summary, request: request, response: response, errors: []int{404, 502, 503},
		})
	}
	return []httpapi.Route{
		command("/tasks/cancel_task", "post_cancel_task", "Cancel a task", pass(s, func(q *CancelTaskRequest) string { return q.TaskID }),
			CancelTasks, struct{ Body CancelTaskRequest }{}, SimpleResponse{}),
		command("/tasks/dispatch_task", "post_dispatch_task", "Have the dispatcher find a robot for a task", s.handleDispatch,
			SubmitTasks, struct{ Body DispatchTaskRequest }{}, TaskDispatchResponse{}),
		command("/tasks/robot_task", "post_robot_task", "Give a task to a robot", s.handleRobotTask,
			SubmitTasks, struct{ Body RobotTaskRequest }{}, TaskDispatchResponse{}),
		command("/tasks/interrupt_task", "post_interrupt_task", "Interrupt a task", pass(s, func(q *TaskInterruptionRequest) string { return q.TaskID }),
			CancelTasks, struct{ Body TaskInterruptionRequest }{}, TokenResponse{}),
		command("/tasks/kill_task", "post_kill_task", "Kill a task", pass(s, func(q *TaskKillRequest) string { return q.TaskID }),
			CancelTasks, struct{ Body TaskKillRequest }{}, SimpleResponse{}),
		command("/tasks/resume_task", "post_resume_task", "Resume a task", pass(s, func(q *TaskResumeRequest) string {
			q.Type = fill(q.Type, "resume_task_request")
			return deref(q.ForTask)
		}), CancelTasks, struct{ Body TaskResumeRequest }{}, SimpleResponse{}),
		command("/tasks/rewind_task", "post_rewind_task", "Rewind a task", pass(s, func(q *TaskRewindRequest) string { return q.TaskID }),
			CancelTasks, struct{ Body TaskRewindRequest }{}, SimpleResponse{}),
		command("/tasks/skip_phase", "post_skip_phase", "Skip a phase", pass(s, func(q *TaskPhaseSkipRequest) string { return q.TaskID }),
			CancelTasks, struct{ Body TaskPhaseSkipRequest }{}, TokenResponse{}),
		command("/tasks/task_discovery", "post_task_discovery", "Ask what tasks there can be", pass(s, func(*TaskDiscoveryRequest) string { return "" }),
			ReadTasks, struct{ Body TaskDiscoveryRequest }{}, TaskDiscovery{}),
		command("/tasks/undo_skip_phase", "post_undo_skip_phase", "Undo the skipping of a phase", pass(s, func(q *UndoPhaseSkipRequest) string {
			q.Type = fill(q.Type, "undo_phase_skip_request")
			return deref(q.ForTask)
		}), CancelTasks, struct{ Body UndoPhaseSkipRequest }{}, SimpleResponse{}),
	}
}

// fill gives a type to a request without one, which RMF would ignore.
func fill(kind *string, is string) *string {
	if kind == nil {
		return &is
	}
	return kind
}

// pass is a command that RMF answers by itself: its answer goes to the client as it is. prepare
// gives the task that it is about, "" for none.
func pass[T any](s *Service, prepare func(*T) string) httpapi.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		q, err := read[struct{ Body T }](r)
		if err != nil {
			return err
		}
		task := prepare(&q.Body)
		payload, err := fastapi.Dump(q.Body)
		if err != nil {
			return err
		}
		var kind struct {
			Type string `json:"type"`
		}
		_ = json.Unmarshal(payload, &kind) // it was made a moment ago
		action := CancelTasks
		if kind.Type == "task_discovery_request" {
			action = ReadTasks
		}
		ctx, err := s.permitTask(r.Context(), action, task)
		if err != nil {
			return err
		}
		text, err := s.call(ctx, payload)
		if action != ReadTasks {
			err = s.recordCommand(ctx, action, "tasks/"+task, kind.Type, err)
		}
		if err != nil {
			return err
		}
		if !json.Valid([]byte(text)) {
			return badAnswer(text)
		}
		w.Header().Set("Content-Type", "application/json")
		_, err = io.WriteString(w, text)
		return err
	}
}

// permitTask asks for the right to command a task. What is about no task by name, such as a token of
// an interruption, needs the right on the site.
func (s *Service) permitTask(ctx context.Context, action access.Action, task string) (context.Context, error) {
	if task == "" {
		return s.permit(ctx, action, access.Site, false, "tasks")
	}
	if err := s.writer.settle(ctx); err != nil {
		return ctx, err
	}
	group, status, err := s.store.taskGroup(ctx, task)
	known := !errors.Is(err, errNotFound)
	if !known {
		group, err = access.Site, nil
	}
	if err != nil {
		return ctx, err
	}
	ctx, err = s.permit(ctx, action, group, true, "tasks/"+task)
	if err != nil || !s.cfg.CheckTasks {
		return ctx, err
	}
	if !known {
		return ctx, fault.New(fault.Missing, "Task %s not found", task)
	}
	if ended(status) {
		return ctx, fault.New(fault.Conflict, "Task %s has ended already: %s", task, status)
	}
	return ctx, nil
}

// fleetGroup is the group of the fleet that a task is asked for; the site's for none.
func (s *Service) fleetGroup(ctx context.Context, fleet *string) (access.Group, error) {
	return s.groups.ofFleet(ctx, deref(fleet))
}

func (s *Service) handleDispatch(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct{ Body DispatchTaskRequest }](r)
	if err != nil {
		return err
	}
	group, err := s.fleetGroup(r.Context(), q.Body.Request.FleetName)
	if err != nil {
		return err
	}
	ctx, err := s.permit(r.Context(), SubmitTasks, group, false, "tasks")
	if err != nil {
		return err
	}
	return s.submitFor(ctx, w, q.Body, &q.Body.Request, group)
}

func (s *Service) handleRobotTask(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct{ Body RobotTaskRequest }](r)
	if err != nil {
		return err
	}
	group, err := s.groups.of(r.Context(), kindFleet, q.Body.Fleet)
	if err != nil {
		return err
	}
	ctx, err := s.permit(r.Context(), SubmitTasks, group, false, "fleets/"+q.Body.Fleet+"/robots/"+q.Body.Robot)
	if err != nil {
		return err
	}
	return s.submitFor(ctx, w, q.Body, nil, group)
}

func (s *Service) submitFor(ctx context.Context, w http.ResponseWriter, payload any, request *TaskRequest, group access.Group) error {
	text, err := fastapi.Dump(payload)
	if err != nil {
		return err
	}
	state, refusal, err := s.submit(ctx, submission{payload: text, request: request, group: group})
	switch {
	case err != nil:
		return err
	case refusal != nil:
		return httpapi.JSON(w, http.StatusBadRequest, refusal)
	}
	return httpapi.JSON(w, http.StatusOK, TaskDispatchResponse{true, state})
}

// submission is a task on its way to RMF.
type submission struct {
	// id is the request id; "" makes one.
	id      string
	payload []byte
	// request is kept with the task; nil for none.
	request *TaskRequest
	group   access.Group
}

// submit asks RMF for a task. What it took is stored, and told, before submit returns; what it
// refused comes back with its reasons.
func (s *Service) submit(ctx context.Context, sub submission) (json.RawMessage, *taskRefusal, error) {
	var text string
	var err error
	if sub.id == "" {
		text, err = s.call(ctx, sub.payload)
	} else {
		text, err = s.callAs(ctx, sub.id, sub.payload)
	}
	if err != nil {
		return nil, nil, s.recordCommand(ctx, SubmitTasks, "tasks", "not submitted", err)
	}
	var answer struct {
		Success *bool           `json:"success"`
		State   json.RawMessage `json:"state"`
		Errors  []Error         `json:"errors"`
	}
	if json.Unmarshal([]byte(text), &answer) != nil {
		return nil, nil, badAnswer(text)
	}
	if answer.Success == nil || !*answer.Success {
		refused := &taskRefusal{answer.Success, answer.Errors}
		return nil, refused, s.recordCommand(ctx, SubmitTasks, "tasks", "refused by RMF", nil)
	}
	var state *TaskState
	if err := take(answer.State, func(t *TaskState) error { state = t; return nil }); err != nil || !keyable(state.Booking.ID) {
		return nil, nil, badAnswer(text)
	}
	state.mend()
	data := document(state)
	return data, nil, s.keepTask(ctx, state, data, sub)
}

// keepTask stores what RMF said of a task that it took, and the request. What came about the task
// in the meantime is newer.
func (s *Service) keepTask(ctx context.Context, state *TaskState, data json.RawMessage, sub submission) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrites)
	defer cancel()
	id := state.Booking.ID
	room := "/tasks/" + id + "/state"
	if s.feed.last(room) == nil {
		s.feed.publish(room, "", data)
		if err := s.writer.addTask(ctx, state, data, nil); err != nil {
			return err
		}
	}
	if err := s.writer.durable(ctx); err != nil {
		return err
	}
	adopted := false
	err := s.store.db.Tx(ctx, func(tx *database.Tx) (err error) {
		if sub.request != nil {
			if err := s.store.putTaskRequest(ctx, tx, id, document(sub.request), s.now()); err != nil {
				return err
			}
		}
		if adopted, err = s.store.adopt(ctx, tx, id, deref(sub.fleet()), sub.group); err != nil {
			return err
		}
		return s.record(ctx, tx, SubmitTasks, sub.group, "tasks/"+id, "submitted")
	})
	if err == nil && adopted {
		s.writer.remember(map[string]taskPlace{id: {fleet: *sub.fleet(), labels: unknownLabels, start: -1}})
	}
	return err
}

func (sub submission) fleet() *string {
	if sub.request == nil {
		return nil
	}
	return sub.request.FleetName
}

// adopt gives a task that no fleet has yet to the fleet that it was asked for, and tells whether it did.
func (s *store) adopt(ctx context.Context, tx *database.Tx, id, fleet string, group access.Group) (bool, error) {
	if fleet == "" {
		return false, nil
	}
	done, err := tx.Exec(ctx, "UPDATE fleet_tasks SET fleet = ?, group_name = ? WHERE id = ? AND fleet = ''", fleet, string(group), id)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n == 1, err
}
