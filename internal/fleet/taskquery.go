package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/httpapi"
)

func (s *Service) taskRoutes() []httpapi.Route {
	const tag = "Tasks"
	type path struct {
		ID string `path:"task_id"`
	}
	task := s.onTask("task_id")
	return []httpapi.Route{
		s.route("GET", "/tasks/requests", ReadTasks, anywhere, s.handleTaskRequests, operation{
			fn: "query_task_requests", tag: tag, summary: "List the requests that tasks came from", request: taskRequestsQuery{}, response: []TaskRequest{},
		}),
		s.route("GET", "/tasks", ReadTasks, anywhere, s.handleTasks, operation{
			fn: "query_task_states", tag: tag, summary: "Find tasks", request: taskQuery{}, response: []TaskState{},
		}),
		s.route("GET", "/tasks/{task_id}/request", ReadTasks, task, s.handleTaskRequest, operation{
			fn: "get_task_request", tag: tag, summary: "Get the request that a task came from", request: path{}, response: TaskRequest{}, errors: []int{404},
		}),
		s.route("GET", "/tasks/{task_id}/state", ReadTasks, task, s.handleTask, operation{
			fn: "get_task_state", tag: tag, summary: "Get the state of a task", request: path{}, response: TaskState{}, errors: []int{404},
		}),
		s.route("GET", "/tasks/{task_id}/log", ReadTasks, task, s.handleTaskLog, operation{
			fn: "get_task_log", tag: tag, summary: "Get the log of a task", request: taskLogQuery{}, response: TaskEventLog{}, errors: []int{404},
		}),
		s.route("GET", "/tasks/{task_id}/booking_label", ReadTasks, task, s.handleLabels, operation{
			fn: "get_task_booking_label", tag: tag, summary: "Get the labels of a task", request: path{}, response: map[string]string{}, errors: []int{404},
		}),
	}
}

// taskGroup is the group of a task; one that is not known is the site's.
func (s *Service) taskGroup(ctx context.Context, id string) (access.Group, error) {
	group, err := s.knownGroup(ctx, id)
	if !errors.Is(err, errNotFound) {
		return group, err
	}
	// It may be on its way into the database.
	if err := s.writer.settle(ctx); err != nil {
		return "", err
	}
	if group, err = s.knownGroup(ctx, id); errors.Is(err, errNotFound) {
		return access.Site, nil
	}
	return group, err
}

// knownGroup is the group of a task that is stored, from memory if it was asked for before.
func (s *Service) knownGroup(ctx context.Context, id string) (access.Group, error) {
	fleet, known := s.writer.fleetOf(id)
	if !known {
		var err error
		if fleet, err = s.store.taskFleet(ctx, id); err != nil {
			return "", err
		}
		s.writer.learn(id, fleet)
	}
	return s.groups.ofFleet(ctx, fleet)
}

func (s *Service) handleTasks(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	q, err := read[taskQuery](r)
	if err != nil {
		return err
	}
	search, err := q.search(s.rmfNow(), s.store.db.Dialect())
	if err != nil {
		return err
	}
	visible, args, err := s.visible(ctx, ReadTasks, search.group)
	if err != nil {
		return err
	}
	search.where.and(visible, args...)
	if err := s.writer.settle(ctx); err != nil {
		return err
	}
	tasks, err := s.store.tasks(ctx, search)
	if err != nil {
		return err
	}
	if err := q.total(w, func() (int64, error) { return s.store.countTasks(ctx, search, "") }); err != nil {
		return err
	}
	return documents(w, tasks)
}

func (s *Service) handleTask(w http.ResponseWriter, r *http.Request) error {
	data, err := s.task(r)
	if err != nil {
		return err
	}
	return httpapi.JSONText(w, http.StatusOK, data)
}

// task is the state of the task that the path names.
func (s *Service) task(r *http.Request) (json.RawMessage, error) {
	if err := s.writer.settle(r.Context()); err != nil {
		return nil, err
	}
	return s.store.task(r.Context(), r.PathValue("task_id"))
}

type taskLogQuery struct {
	TaskID string `path:"task_id"`
	betweenQuery
}

func (s *Service) handleTaskLog(w http.ResponseWriter, r *http.Request) error {
	q, err := read[taskLogQuery](r)
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
	l, err := s.store.taskLog(r.Context(), q.TaskID, between.from, between.to)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, l)
}

func (s *Service) handleTaskRequest(w http.ResponseWriter, r *http.Request) error {
	data, err := s.store.taskRequest(r.Context(), r.PathValue("task_id"))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, data)
}

type taskRequestsQuery struct {
	TaskIDs *string `query:"task_ids" doc:"comma separated list of task ids"`
}

func (s *Service) handleTaskRequests(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	q, err := read[taskRequestsQuery](r)
	if err != nil {
		return err
	}
	ids := splitList(q.TaskIDs)
	if len(ids) == 0 {
		return httpapi.JSON(w, http.StatusOK, []json.RawMessage{})
	}
	visible, args, err := s.visible(ctx, ReadTasks, "COALESCE(t.group_name, 'site')")
	if err != nil {
		return err
	}
	found := []json.RawMessage{}
	err = eachChunk(ids, func(ids []string) error {
		list, err := s.store.taskRequests(ctx, ids, visible, args)
		found = append(found, list...)
		return err
	})
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, found)
}

func (s *Service) handleLabels(w http.ResponseWriter, r *http.Request) error {
	data, err := s.task(r)
	if err != nil {
		return err
	}
	var task struct {
		Booking struct {
			Labels []string `json:"labels"`
		} `json:"booking"`
	}
	if err := json.Unmarshal(data, &task); err != nil {
		return err
	}
	if len(task.Booking.Labels) == 0 {
		return errNotFound
	}
	return httpapi.JSON(w, http.StatusOK, labelsOf(task.Booking.Labels))
}

// logSearch looks for a text in the logs of tasks.
type logSearch struct {
	Text    string  `query:"q" required:"true" minLength:"2"`
	Between *string `query:"between"`
	pageQuery
}

// FoundEntry is an entry of a log with where it stands.
type FoundEntry struct {
	TaskID string `json:"task_id"`
	Phase  string `json:"phase"`
	Event  string `json:"event"`
	LogEntry
}

func (s *Service) handleSearchLogs(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	q, err := read[logSearch](r)
	if err != nil {
		return err
	}
	var where condition
	where.and("LOWER(l.text) LIKE LOWER(?) ESCAPE '!'", database.Contains(q.Text))
	if q.Between != nil && *q.Between != "" {
		between, err := parseRange("between", *q.Between, s.rmfNow())
		if err != nil {
			return err
		}
		where.and("l.at_ms >= ? AND l.at_ms <= ?", between.from, between.to)
	}
	visible, args, err := s.visible(ctx, ReadTasks, "COALESCE(t.group_name, 'site')")
	if err != nil {
		return err
	}
	where.and(visible, args...)
	if err := s.writer.settle(ctx); err != nil {
		return err
	}
	found, err := s.store.searchLogs(ctx, where, q.page())
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, found)
}

// searchLogs finds entries, the newest first, in the order of the index by time: a page is full as soon as
// there are enough, and only a text that is rare has all of the log looked through.
func (s *store) searchLogs(ctx context.Context, where condition, p page) ([]FoundEntry, error) {
	rows, err := s.db.Query(ctx, `SELECT l.task_id, l.phase, l.event, l.seq, l.tier, l.at_ms, l.text
		FROM fleet_task_logs l LEFT JOIN fleet_tasks t ON t.id = l.task_id`+where.String()+" ORDER BY l.at_ms DESC, l.task_id DESC, l.phase DESC, l.event DESC, l.seq DESC LIMIT ? OFFSET ?",
		append(where.args, p.limit, p.offset)...)
	return collect(rows, err, func(rows *sql.Rows) (e FoundEntry, err error) {
		err = rows.Scan(&e.TaskID, &e.Phase, &e.Event, &e.Seq, &e.Tier, &e.UnixMillisTime, &e.Text)
		return e, err
	})
}
