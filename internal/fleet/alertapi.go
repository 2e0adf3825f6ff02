package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

func (s *Service) alertRoutes() []httpapi.Route {
	const tag = "Alerts"
	type path struct {
		ID string `path:"alert_id"`
	}
	return []httpapi.Route{
		s.route("POST", "/alerts/request", WriteAlerts, anywhere, s.handleNewAlert, operation{
			fn: "create_new_alert", tag: tag, summary: "Create a new alert", request: struct{ Body AlertRequest }{}, response: AlertRequest{}, status: 201, errors: []int{409},
		}),
		s.route("GET", "/alerts/request/{alert_id}", ReadAlerts, anywhere, s.handleAlert, operation{
			fn: "get_alert", tag: tag, summary: "Get an alert", request: path{}, response: AlertRequest{}, errors: []int{404},
		}),
		s.route("POST", "/alerts/request/{alert_id}/respond", AnswerAlerts, anywhere, s.handleRespond, operation{
			fn: "respond_to_alert", tag: tag, summary: "Answer an alert", request: respondQuery{}, response: AlertResponse{}, status: 201, errors: []int{400, 404, 409},
		}),
		s.route("GET", "/alerts/request/{alert_id}/response", ReadAlerts, anywhere, s.handleAlertResponse, operation{
			fn: "get_alert_response", tag: tag, summary: "Get the answer to an alert", request: path{}, response: AlertResponse{}, errors: []int{404},
		}),
		s.route("GET", "/alerts/requests/task/{task_id}", ReadAlerts, anywhere, s.handleAlertsOfTask, operation{
			fn: "get_alerts_of_task", tag: tag, summary: "List the alerts of a task", request: alertsOfTaskQuery{}, response: []AlertRequest{},
		}),
		s.route("GET", "/alerts/unresponded_requests", ReadAlerts, anywhere, s.handleUnresponded, operation{
			fn: "get_unresponded_alerts", tag: tag, summary: "List the alerts that wait for an answer, oldest first", request: unrespondedQuery{}, response: []AlertRequest{},
		}),
		s.route("GET", "/alerts", ReadAlerts, anywhere, s.handleAlerts, operation{
			fn: "get_alerts", tag: tag, summary: "List all alerts with their answers, the newest first", request: alertsQuery{}, response: []AnsweredAlert{},
		}),
		s.route("POST", "/delivery_alerts/{delivery_alert_id}/response", AnswerAlerts, anywhere, s.handleDeliveryResponse, operation{
			fn: "respond_to_delivery_alert", tag: "DeliveryAlerts", summary: "Answer a delivery alert", request: deliveryQuery{}, response: DeliveryAlert{},
		}),
	}
}

func (s *Service) handleNewAlert(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct{ Body AlertRequest }](r)
	if err != nil {
		return err
	}
	a, ctx := q.Body, r.Context()
	if !keyable(a.ID) {
		return unprocessable("the id of an alert must be a text of at most 255 characters")
	}
	group := access.Site
	if a.TaskID != nil {
		if group, err = s.taskGroup(ctx, *a.TaskID); err != nil {
			return err
		}
	}
	if ctx, err = s.permit(ctx, WriteAlerts, group, false, "alerts/"+a.ID); err != nil {
		return err
	}
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.store.insertAlert(ctx, tx, a, s.now()); err != nil {
			return err
		}
		return s.record(ctx, tx, WriteAlerts, group, "alerts/"+a.ID, "raised: "+a.Title)
	})
	if errors.Is(err, errAlertExists) || database.IsDuplicate(err) {
		return fault.New(fault.Conflict, "Alert with ID %s already exists", a.ID)
	}
	if err != nil {
		return err
	}
	s.announce(a)
	return httpapi.JSON(w, http.StatusCreated, a)
}

// AnsweredAlert is an alert with its answer, null while there is none. The original does not have it.
type AnsweredAlert struct {
	Request  json.RawMessage `json:"request"`
	Response json.RawMessage `json:"response"`
}

// alertsQuery is about all alerts; those that were answered or not, if it says so.
type alertsQuery struct {
	Answered *bool `query:"answered" doc:"Only alerts that have an answer, or only those that have none"`
	pageQuery
	totalQuery
}

func (s *Service) handleAlerts(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	q, err := read[alertsQuery](r)
	if err != nil {
		return err
	}
	var where condition
	if q.Answered != nil {
		where.and(map[bool]string{true: "response IS NOT NULL", false: "response IS NULL"}[*q.Answered])
	}
	visible, args, err := s.visible(ctx, ReadAlerts, "group_name")
	if err != nil {
		return err
	}
	where.and(visible, args...)
	if err := s.writer.settle(ctx); err != nil {
		return err
	}
	list, err := s.store.answeredAlerts(ctx, where, q.page())
	if err != nil {
		return err
	}
	if err := q.total(w, func() (int64, error) { return s.store.countAlerts(ctx, where) }); err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, list)
}

// findAlert finds an alert that the caller may do something with.
func (s *Service) findAlert(ctx context.Context, action access.Action, id string) (context.Context, storedAlert, error) {
	missing := fault.New(fault.Missing, "Alert with ID %s does not exists", id)
	if err := s.writer.settle(ctx); err != nil {
		return ctx, storedAlert{}, err
	}
	a, err := s.store.alert(ctx, s.store.db, id)
	if errors.Is(err, errNotFound) {
		return ctx, a, missing
	}
	if err != nil {
		return ctx, a, err
	}
	ctx, err = s.permit(ctx, action, a.group, true, "alerts/"+id)
	if errors.Is(err, errNotFound) {
		err = missing
	}
	return ctx, a, err
}

func (s *Service) handleAlert(w http.ResponseWriter, r *http.Request) error {
	_, a, err := s.findAlert(r.Context(), ReadAlerts, r.PathValue("alert_id"))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, a.data)
}

func (s *Service) handleAlertResponse(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("alert_id")
	_, a, err := s.findAlert(r.Context(), ReadAlerts, id)
	if fault.Is(err, fault.Missing) || err == nil && a.response == nil {
		return fault.New(fault.Missing, "Response to alert with ID %s does not exists", id)
	}
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, a.response)
}

type respondQuery struct {
	ID       string `path:"alert_id"`
	Response string `query:"response" required:"true"`
}

func (s *Service) handleRespond(w http.ResponseWriter, r *http.Request) error {
	q, err := read[respondQuery](r)
	if err != nil {
		return err
	}
	ctx, a, err := s.findAlert(r.Context(), AnswerAlerts, q.ID)
	if err != nil {
		return err
	}
	if a.response == nil {
		var request AlertRequest
		if err := json.Unmarshal(a.data, &request); err != nil {
			return err
		}
		if !slices.Contains(request.ResponsesAvailable, q.Response) {
			return fault.New(fault.Invalid, "Response [%s] is not a response option of alert with ID %s", q.Response, q.ID)
		}
	}
	answer, err := s.storeAnswer(ctx, AlertResponse{q.ID, s.now().UnixMilli(), q.Response}, func(tx *database.Tx) error {
		return s.record(ctx, tx, AnswerAlerts, a.group, "alerts/"+q.ID, "answered: "+q.Response)
	})
	if err != nil {
		return err
	}
	// The answer holds whether or not ROS hears of it now.
	err = s.ros.Publish(ctx, topicAlertResponse, struct {
		ID       string `json:"id"`
		Response string `json:"response"`
	}{q.ID, q.Response})
	if err != nil {
		s.log.WarnContext(ctx, "ROS could not be told of the answer to an alert", "alert", q.ID, "error", err)
	}
	return httpapi.JSON(w, http.StatusCreated, answer)
}

// answerBefore is the answer that an alert has; none is errNotFound about the alert.
func (s *Service) answerBefore(ctx context.Context, q database.Querier, id string) (r AlertResponse, err error) {
	a, err := s.store.alert(ctx, q, id)
	if errors.Is(err, errNotFound) {
		return r, fault.New(fault.Missing, "Alert with ID %s does not exists", id)
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(a.response, &r)
}

type alertsOfTaskQuery struct {
	TaskID      string `path:"task_id"`
	Unresponded bool   `query:"unresponded" default:"true"`
	optionalPage
}

// optionalPage is a part of a list that is answered whole unless asked otherwise.
type optionalPage struct {
	Limit  *int64 `query:"limit" minimum:"1" maximum:"1000"`
	Offset *int64 `query:"offset" minimum:"0"`
}

func (p optionalPage) page() page {
	all := page{deref(p.Limit), deref(p.Offset)}
	if all.limit == 0 && all.offset > 0 {
		all.limit = 1 << 40
	}
	return all
}

func (s *Service) handleAlertsOfTask(w http.ResponseWriter, r *http.Request) error {
	q, err := read[alertsOfTaskQuery](r)
	if err != nil {
		return err
	}
	var where condition
	where.and("task_id = ?", q.TaskID)
	if q.Unresponded {
		where.and("unanswered = 1")
	}
	return s.listAlerts(w, r, where, "created_at, id", q.page())
}

type unrespondedQuery struct {
	optionalPage
	OrderBy *string `query:"order_by"`
	Body    *Pagination
}

// Pagination is a part of a list, in the body of a GET as the original has it.
type Pagination struct {
	Limit   int64    `json:"limit" minimum:"1" maximum:"1000"`
	Offset  int64    `json:"offset" minimum:"0"`
	OrderBy []string `json:"order_by" nullable:"false"`
}

var alertFields = map[string]string{"id": "id", "request_time": "created_at", "unix_millis_alert_time": "created_at", "task_id": "task_id"}

func (s *Service) handleUnresponded(w http.ResponseWriter, r *http.Request) error {
	q, err := read[unrespondedQuery](r)
	if err != nil {
		return err
	}
	p, fields := q.page(), splitList(q.OrderBy)
	if q.Body != nil {
		p, fields = page{q.Body.Limit, q.Body.Offset}, q.Body.OrderBy
	}
	order := ""
	for _, field := range fields {
		keys, err := sortKeys(&field, alertFields, false)
		if err != nil {
			return err
		}
		for _, key := range keys {
			order += key.column + direction(key.down) + ", "
		}
	}
	var where condition
	where.and("unanswered = 1")
	return s.listAlerts(w, r, where, order+"created_at, id", p)
}

func (s *Service) listAlerts(w http.ResponseWriter, r *http.Request, where condition, order string, p page) error {
	ctx := r.Context()
	visible, args, err := s.visible(ctx, ReadAlerts, "group_name")
	if err != nil {
		return err
	}
	where.and(visible, args...)
	if err := s.writer.settle(ctx); err != nil {
		return err
	}
	list, err := s.store.alerts(ctx, where, order, p)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, list)
}
