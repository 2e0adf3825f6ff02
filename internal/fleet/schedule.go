package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// PostScheduledTaskRequest is a task with when to dispatch it.
type PostScheduledTaskRequest struct {
	TaskRequest TaskRequest `json:"task_request"`
	Schedules   []Schedule  `json:"schedules" nullable:"false"`
	StartFrom   *time.Time  `json:"start_from" required:"false"`
	Until       *time.Time  `json:"until" required:"false"`
	ExceptDates []time.Time `json:"except_dates" required:"false"`
	// The original does not have these. Who leaves them out of an update leaves them as they are.
	Paused   *bool   `json:"paused" required:"false" doc:"whether its runs are left out"`
	TimeZone *string `json:"time_zone" required:"false" maxLength:"64" doc:"whose times and dates these are, such as Europe/Berlin; the site's when empty"`
}

// ScheduledTask is a task that is dispatched again and again.
type ScheduledTask struct {
	ID          int64           `json:"id"`
	TaskRequest json.RawMessage `json:"task_request"`
	CreatedBy   string          `json:"created_by"`
	Schedules   []Schedule      `json:"schedules" nullable:"false"`
	LastRan     *time.Time      `json:"last_ran" required:"false"`
	StartFrom   *time.Time      `json:"start_from" required:"false"`
	Until       *time.Time      `json:"until" required:"false"`
	// ExceptDates are days on which it does not run, as its time zone has them.
	ExceptDates []string `json:"except_dates" nullable:"false"`
	// LastError is why the last run came to nothing. The original does not have it.
	LastError *string `json:"last_error" required:"false"`
	// Paused and TimeZone are there when they are set. The original does not have them.
	Paused   bool   `json:"paused,omitempty" required:"false"`
	TimeZone string `json:"time_zone,omitempty" required:"false"`

	token      string
	group      access.Group
	owner      string
	ownerUser  string
	occurrence []*time.Time // of each schedule, the next
}

func (s *Service) scheduleRoutes() []httpapi.Route {
	const tag = "Tasks"
	type path struct {
		ID int64 `path:"task_id"`
	}
	body := struct{ Body PostScheduledTaskRequest }{}
	return []httpapi.Route{
		s.route("POST", "/scheduled_tasks", SubmitTasks, anywhere, s.handleNewSchedule, operation{
			fn: "post_scheduled_task", tag: tag, summary: "Create a scheduled task", request: body, response: ScheduledTask{}, status: 201,
		}),
		s.route("GET", "/scheduled_tasks", ReadTasks, anywhere, s.handleSchedules, operation{
			fn: "get_scheduled_tasks", tag: tag, summary: "List scheduled tasks", request: schedulesQuery{}, response: []ScheduledTask{},
		}),
		s.route("GET", "/scheduled_tasks/{task_id}", ReadTasks, anywhere, s.handleSchedule, operation{
			fn: "get_scheduled_task", tag: tag, summary: "Get a scheduled task", request: path{}, response: ScheduledTask{}, errors: []int{404},
		}),
		s.route("POST", "/scheduled_tasks/{task_id}/except_date", SubmitTasks, anywhere, s.handleExceptDate, operation{
			fn: "add_except_date", tag: tag, summary: "Leave out the run of a day", request: exceptQuery{}, status: 201, errors: []int{404},
		}),
		s.route("POST", "/scheduled_tasks/{task_id}/update", SubmitTasks, anywhere, s.handleUpdateSchedule, operation{
			fn: "update_schedule_task", tag: tag, summary: "Change a scheduled task", request: struct {
				path
				Body PostScheduledTaskRequest
			}{}, response: ScheduledTask{}, errors: []int{404},
		}),
		s.route("DELETE", "/scheduled_tasks/{task_id}", SubmitTasks, anywhere, s.handleDeleteSchedule, operation{
			fn: "del_scheduled_tasks", tag: tag, summary: "Delete a scheduled task", request: path{}, errors: []int{404},
		}),
	}
}

// plan checks a request and makes of it what is stored, without its id. What the request leaves out
// stays as it was before.
func (s *Service) plan(q PostScheduledTaskRequest, before ScheduledTask) (ScheduledTask, error) {
	now := s.now()
	t := ScheduledTask{
		TaskRequest: document(q.TaskRequest), Schedules: q.Schedules, StartFrom: q.StartFrom, Until: q.Until, ExceptDates: []string{},
		Paused: before.Paused, TimeZone: before.TimeZone,
	}
	if q.Paused != nil {
		t.Paused = *q.Paused
	}
	if q.TimeZone != nil {
		t.TimeZone = *q.TimeZone
	}
	if _, err := time.LoadLocation(t.TimeZone); err != nil || t.TimeZone == "Local" {
		return t, unprocessable(fmt.Sprintf("Invalid time_zone (%q is none; one is Europe/Berlin)", t.TimeZone))
	}
	zone := s.zone(t)
	switch {
	case len(q.Schedules) == 0:
		return t, unprocessable("Task is never going to run")
	case len(q.Schedules) > 100:
		return t, unprocessable("A task has at most 100 schedules")
	case q.Until != nil && q.Until.Before(now):
		return t, unprocessable("Cannot schedule a job to run until a time in the past")
	case string(q.TaskRequest.Description) == "null":
		return t, unprocessable("The description of the task is missing")
	}
	for _, schedule := range q.Schedules {
		r, err := schedule.understand()
		if err != nil {
			return t, err
		}
		t.occurrence = append(t.occurrence, t.until(r.first(now.In(zone))))
	}
	for _, day := range q.ExceptDates {
		t.except(dayIn(zone, day))
	}
	return t, nil
}

// until is the occurrence unless it is too late.
func (t *ScheduledTask) until(at time.Time) *time.Time {
	if t.Until != nil && at.After(*t.Until) {
		return nil
	}
	return &at
}

// except leaves out a day. Days stay in order.
func (t *ScheduledTask) except(day string) {
	if i, there := slices.BinarySearch(t.ExceptDates, day); !there {
		t.ExceptDates = slices.Insert(t.ExceptDates, i, day)
	}
}

// zone is whose times and dates a scheduled task's are: the site's, unless it has one of its own.
func (s *Service) zone(t ScheduledTask) *time.Location {
	if t.TimeZone == "" {
		return s.cfg.TimeZone
	}
	zone, err := time.LoadLocation(t.TimeZone)
	if err != nil {
		s.log.Warn("a stored time zone is not known: the site's is used", "scheduled_task", t.ID, "zone", t.TimeZone)
		return s.cfg.TimeZone
	}
	return zone
}

func dayIn(zone *time.Location, at time.Time) string { return at.In(zone).Format(time.DateOnly) }

// runs says whether an occurrence is to be run.
func (s *Service) runs(t ScheduledTask, at time.Time) bool {
	return !t.Paused && (t.StartFrom == nil || !at.Before(*t.StartFrom)) && (t.Until == nil || !at.After(*t.Until)) && !slices.Contains(t.ExceptDates, dayIn(s.zone(t), at))
}

func (s *Service) handleNewSchedule(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct{ Body PostScheduledTaskRequest }](r)
	if err != nil {
		return err
	}
	group, err := s.fleetGroup(r.Context(), q.Body.TaskRequest.FleetName)
	if err != nil {
		return err
	}
	ctx, err := s.permit(r.Context(), SubmitTasks, group, false, "scheduled_tasks")
	if err != nil {
		return err
	}
	t, err := s.plan(q.Body, ScheduledTask{})
	if err != nil {
		return err
	}
	t.group, t.owner, t.CreatedBy, t.token = group, callerKey(ctx), callerName(ctx), uuid.NewString()
	if c := access.CallerFrom(ctx); c != nil {
		t.ownerUser = c.UserID
	}
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		if t.ID, err = s.store.insertSchedule(ctx, tx, t); err != nil {
			return err
		}
		return s.record(ctx, tx, SubmitTasks, group, "scheduled_tasks/"+number(t.ID), "created")
	})
	if err != nil {
		return err
	}
	s.wakeScheduler()
	return httpapi.JSON(w, http.StatusCreated, t)
}

type schedulesQuery struct {
	StartBefore time.Time `query:"start_before" required:"true"`
	UntilAfter  time.Time `query:"until_after" required:"true"`
	pageQuery
	totalQuery
}

var scheduleFields = map[string]string{
	"id": "id", "created_by": "created_by", "last_ran": "last_ran", "start_from": "start_from", "until": "until_at",
}

func (s *Service) handleSchedules(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	q, err := read[schedulesQuery](r)
	if err != nil {
		return err
	}
	keys, err := sortKeys(q.OrderBy, scheduleFields, false)
	if err != nil {
		return err
	}
	order := ""
	for _, key := range keys {
		order += "CASE WHEN " + key.column + " IS NULL THEN 1 ELSE 0 END, " + key.column + direction(key.down) + ", "
	}
	var where condition
	where.and("(start_from IS NULL OR start_from <= ?)", database.Micros(q.StartBefore))
	where.and("(until_at IS NULL OR until_at >= ?)", database.Micros(q.UntilAfter))
	visible, args, err := s.visible(ctx, ReadTasks, "group_name")
	if err != nil {
		return err
	}
	where.and(visible, args...)
	list, err := s.store.schedules(ctx, s.store.db, where, order+"id", q.page())
	if err != nil {
		return err
	}
	if err := q.total(w, func() (int64, error) { return s.store.countSchedules(ctx, where) }); err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, list)
}

// findSchedule finds a scheduled task that the caller may do something with: its owner may change
// it, and so may others with a right of their own.
func (s *Service) findSchedule(r *http.Request, action access.Action) (context.Context, ScheduledTask, error) {
	q, err := read[struct {
		ID int64 `path:"task_id"`
	}](r)
	if err != nil {
		return r.Context(), ScheduledTask{}, err
	}
	t, err := s.store.schedule(r.Context(), s.store.db, q.ID)
	if err != nil {
		return r.Context(), t, err
	}
	if action == SubmitTasks && t.owner != callerKey(r.Context()) {
		action = WriteSchedules
	}
	ctx, err := s.permit(r.Context(), action, t.group, action == ReadTasks, "scheduled_tasks/"+number(q.ID))
	return ctx, t, err
}

func (s *Service) handleSchedule(w http.ResponseWriter, r *http.Request) error {
	_, t, err := s.findSchedule(r, ReadTasks)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, t)
}

type exceptQuery struct {
	ID   int64 `path:"task_id"`
	Body struct {
		ExceptDate time.Time `json:"except_date"`
	}
}

func (s *Service) handleExceptDate(w http.ResponseWriter, r *http.Request) error {
	q, err := read[exceptQuery](r)
	if err != nil {
		return err
	}
	ctx, t, err := s.findSchedule(r, SubmitTasks)
	if err != nil {
		return err
	}
	day := dayIn(s.zone(t), q.Body.ExceptDate)
	err = s.changeSchedule(ctx, q.ID, "not on "+day, func(t *ScheduledTask) bool {
		t.except(day)
		return false
	})
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusCreated, nil)
}

func (s *Service) handleUpdateSchedule(w http.ResponseWriter, r *http.Request) error {
	q, err := read[struct {
		ID   int64 `path:"task_id"`
		Body PostScheduledTaskRequest
	}](r)
	if err != nil {
		return err
	}
	ctx, before, err := s.findSchedule(r, SubmitTasks)
	if err != nil {
		return err
	}
	group, err := s.fleetGroup(ctx, q.Body.TaskRequest.FleetName)
	if err != nil {
		return err
	}
	if ctx, err = s.permit(ctx, SubmitTasks, group, false, "scheduled_tasks/"+number(q.ID)); err != nil {
		return err
	}
	changed, err := s.plan(q.Body, before)
	if err != nil {
		return err
	}
	var after ScheduledTask
	err = s.changeSchedule(ctx, q.ID, "changed", func(t *ScheduledTask) bool {
		t.TaskRequest, t.Schedules, t.StartFrom, t.Until, t.ExceptDates = changed.TaskRequest, changed.Schedules, changed.StartFrom, changed.Until, changed.ExceptDates
		t.occurrence, t.group, t.Paused, t.TimeZone = changed.occurrence, group, changed.Paused, changed.TimeZone
		after = *t
		return true
	})
	if err != nil {
		return err
	}
	s.wakeScheduler()
	return httpapi.JSON(w, http.StatusOK, after)
}

// changeSchedule changes what is stored of a scheduled task; change reports whether its schedules
// are others.
func (s *Service) changeSchedule(ctx context.Context, id int64, detail string, change func(*ScheduledTask) bool) error {
	return s.store.db.Tx(ctx, func(tx *database.Tx) error {
		t, err := s.store.schedule(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := s.store.updateSchedule(ctx, tx, &t, change(&t)); err != nil {
			return err
		}
		return s.record(ctx, tx, SubmitTasks, t.group, "scheduled_tasks/"+number(id), detail)
	})
}

func (s *Service) handleDeleteSchedule(w http.ResponseWriter, r *http.Request) error {
	ctx, t, err := s.findSchedule(r, SubmitTasks)
	if err != nil {
		return err
	}
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.store.deleteSchedule(ctx, tx, t.ID); err != nil {
			return err
		}
		return s.record(ctx, tx, SubmitTasks, t.group, "scheduled_tasks/"+number(t.ID), "deleted")
	})
	if err != nil {
		return err
	}
	return null(w)
}

// wakeScheduler has the scheduler of this process look at once, if it is the one that runs.
func (s *Service) wakeScheduler() {
	select {
	case s.wakeSchedules <- struct{}{}:
	default:
	}
}

// scheduleItem names one run of a scheduled task in the queue of work.
func scheduleItem(id int64, pos int, at time.Time) string {
	return strconv.FormatInt(id, 10) + "-" + strconv.Itoa(pos) + "-" + strconv.FormatInt(database.Micros(at), 10)
}

var errNoCreator = fault.New(fault.Denied, "its creator does not exist any more, or is disabled")

// creatorIs checks that the owner of a scheduled task is still somebody.
func (s *Service) creatorIs(ctx context.Context, t ScheduledTask) error {
	if t.ownerUser == "" {
		return nil // a service token: it has no account
	}
	u, err := s.access.User(ctx, t.ownerUser)
	if fault.Is(err, fault.Missing) || err == nil && u.Disabled {
		return errNoCreator
	}
	return err
}
