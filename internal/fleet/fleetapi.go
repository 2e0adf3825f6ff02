package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"lodge/internal/fault"
	"lodge/internal/fleet/fastapi"
	"lodge/internal/httpapi"
)

func number[T ~uint8 | ~uint32 | ~int64 | ~int](n T) string { return fmt.Sprint(n) }

func (s *Service) fleetRoutes() []httpapi.Route {
	const tag = "Fleets"
	type namePath struct {
		Name string `path:"name"`
	}
	name := s.on(kindFleet, "name")
	errs := []int{404, 500, 503}
	return []httpapi.Route{
		s.route("GET", "/fleets", ReadFleets, anywhere, s.listStates(kindFleet, ReadFleets), operation{
			fn: "get_fleets", tag: tag, summary: "List the fleets", request: optionalPage{}, response: []FleetState{},
		}),
		s.route("GET", "/fleets/{name}/state", ReadFleets, name, s.stateOf(kindFleet, "name"), operation{
			fn: "get_fleet_state", tag: tag, summary: "Get the state of a fleet", request: namePath{}, response: FleetState{}, errors: []int{404},
		}),
		s.route("GET", "/fleets/{name}/log", ReadFleets, name, s.handleFleetLog, operation{
			fn: "get_fleet_log", tag: tag, summary: "Get the log of a fleet", request: fleetLogQuery{}, response: FleetLog{}, errors: []int{404},
		}),
		s.route("POST", "/fleets/{name}/decommission", ControlFleets, name, s.handleDecommission, operation{
			fn: "decommission_robot", tag: tag, summary: "Take a robot out of service", request: decommissionQuery{}, response: RobotCommissionResponse{}, errors: errs,
		}),
		s.route("POST", "/fleets/{name}/recommission", ControlFleets, name, s.handleRecommission, operation{
			fn: "recommission_robot", tag: tag, summary: "Take a robot back into service", request: robotQuery{}, response: RobotCommissionResponse{}, errors: errs,
		}),
		s.route("POST", "/fleets/{name}/unlock_mutex_group", ControlFleets, name, s.handleUnlock, operation{
			fn: "unlock_mutex_group", tag: tag, summary: "Release a mutex group that a robot holds", request: unlockQuery{}, errors: []int{400, 404, 503},
		}),
	}
}

type fleetLogQuery struct {
	Name string `path:"name"`
	betweenQuery
}

func (s *Service) handleFleetLog(w http.ResponseWriter, r *http.Request) error {
	q, err := read[fleetLogQuery](r)
	if err != nil {
		return err
	}
	between, err := parseRange("between", q.Between, s.rmfNow())
	if err == nil {
		err = s.writer.settle(r.Context())
	}
	if err != nil {
		return err
	}
	l, err := s.store.fleetLog(r.Context(), q.Name, between.from, between.to)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, l)
}

// robot finds a robot of a fleet.
func (s *Service) robot(ctx context.Context, fleet, name string) (RobotState, error) {
	if err := s.writer.settle(ctx); err != nil {
		return RobotState{}, err
	}
	data, err := s.store.state(ctx, s.store.db, thing{kindFleet, fleet})
	if errors.Is(err, errNotFound) {
		return RobotState{}, fault.New(fault.Missing, "Fleet %s not found", fleet)
	}
	if err != nil {
		return RobotState{}, err
	}
	var state FleetState
	if err := json.Unmarshal(data, &state); err != nil {
		return RobotState{}, err
	}
	robot, there := state.Robots[name]
	if !there {
		return robot, fault.New(fault.Missing, "Robot %s not found in fleet %s", name, fleet)
	}
	return robot, nil
}

type robotQuery struct {
	Name  string `path:"name"`
	Robot string `query:"robot_name" required:"true"`
}

type decommissionQuery struct {
	robotQuery
	ReassignTasks     bool `query:"reassign_tasks" required:"true"`
	AllowIdleBehavior bool `query:"allow_idle_behavior" required:"true"`
}

func (s *Service) handleDecommission(w http.ResponseWriter, r *http.Request) error {
	q, err := read[decommissionQuery](r)
	if err != nil {
		return err
	}
	no, policy, cancel := false, "cancel", "cancel"
	if q.ReassignTasks {
		policy = "reassign"
	}
	return s.commission(w, r, RobotCommissionRequest{
		Type: "robot_commission_request", Robot: q.Robot, Fleet: q.Name,
		Commission:                 Commission{DispatchTasks: &no, DirectTasks: &no, IdleBehavior: &q.AllowIdleBehavior},
		PendingDispatchTasksPolicy: &policy, PendingDirectTasksPolicy: &cancel,
	})
}

func (s *Service) handleRecommission(w http.ResponseWriter, r *http.Request) error {
	q, err := read[robotQuery](r)
	if err != nil {
		return err
	}
	yes, complete := true, "complete"
	return s.commission(w, r, RobotCommissionRequest{
		Type: "robot_commission_request", Robot: q.Robot, Fleet: q.Name,
		Commission:                 Commission{DispatchTasks: &yes, DirectTasks: &yes, IdleBehavior: &yes},
		PendingDispatchTasksPolicy: &complete, PendingDirectTasksPolicy: &complete,
	})
}

// commission asks RMF to change what a robot may be used for.
func (s *Service) commission(w http.ResponseWriter, r *http.Request, request RobotCommissionRequest) error {
	ctx := r.Context()
	if _, err := s.robot(ctx, request.Fleet, request.Robot); err != nil {
		return err
	}
	payload, err := fastapi.Dump(request)
	if err != nil {
		return err
	}
	text, err := s.call(ctx, payload)
	object := "fleets/" + request.Fleet + "/robots/" + request.Robot
	detail := "out of service"
	if deref(request.Commission.DispatchTasks) {
		detail = "back into service"
	}
	if err := s.recordCommand(ctx, ControlFleets, object, detail, err); err != nil {
		return err
	}
	var answer RobotCommissionResponse
	if json.Unmarshal([]byte(text), &answer) != nil || answer.Commission == nil {
		return badAnswer(text)
	}
	if !answer.Commission.Success {
		return &answerError{http.StatusBadRequest, answer, fault.Invalid}
	}
	return httpapi.JSON(w, http.StatusOK, answer)
}

type unlockQuery struct {
	robotQuery
	MutexGroup string `query:"mutex_group" required:"true"`
}

func (s *Service) handleUnlock(w http.ResponseWriter, r *http.Request) error {
	q, err := read[unlockQuery](r)
	if err != nil {
		return err
	}
	robot, err := s.robot(r.Context(), q.Name, q.Robot)
	if err != nil {
		return err
	}
	if robot.MutexGroups == nil || !slices.Contains(robot.MutexGroups.Locked, q.MutexGroup) {
		return fault.New(fault.Invalid, "Robot %s in fleet %s does not have mutex group %s locked", q.Robot, q.Name, q.MutexGroup)
	}
	err = s.ros.Publish(r.Context(), topicMutexRelease, struct {
		ReleaseMutexGroups []string `json:"release_mutex_groups"`
		Fleet              string   `json:"fleet"`
		Robot              string   `json:"robot"`
	}{[]string{q.MutexGroup}, q.Name, q.Robot})
	err = s.recordCommand(r.Context(), ControlFleets, "fleets/"+q.Name+"/robots/"+q.Robot, "release of "+q.MutexGroup, rosFault(err))
	if err != nil {
		return err
	}
	return null(w)
}

// badAnswer is what is said of an answer of RMF that cannot be read.
func badAnswer(text string) error {
	return fault.Wrap(fmt.Errorf("RMF answered %.200q", text), fault.Upstream, "RMF gave an answer that cannot be read")
}
