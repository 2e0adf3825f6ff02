package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/fleet/fastapi"
	"lodge/internal/work"
)

// Each schedule's next occurrence stands in its row. One replica at a time, the one with the lease,
// looks for those whose time has come; in one transaction it sets the following occurrence and puts
// the run into the queue of work. So an occurrence is run once, whoever dies meanwhile, and what was
// changed or deleted holds at once. A run is tried again while RMF does not answer, under the same
// request id, which the dispatcher answers as before instead of dispatching twice.

const (
	scheduleKind  = "fleet.schedule"
	scheduleLease = "fleet.schedules"
	// scheduleTries is how often a run is tried.
	scheduleTries = 4
)

func (s *Service) runSchedules(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return s.queue.Lease(scheduleLease, 10*time.Second).Run(ctx, s.watchSchedules)
	})
	worker := s.queue.Worker(scheduleKind, work.WorkerConfig{
		Parallel: 4, MaxAttempts: scheduleTries, Backoff: work.Backoff{Min: 2 * time.Second, Max: 20 * time.Second},
	}, s.runScheduled)
	g.Go(func() error { return worker.Run(ctx) })
	return g.Wait()
}

// watchSchedules looks every second until ctx ends.
func (s *Service) watchSchedules(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := s.checkSchedules(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the schedules could not be looked at", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.wakeSchedules:
		}
	}
}

// checkSchedules queues what is due.
func (s *Service) checkSchedules(ctx context.Context) error {
	now := s.now()
	due, err := s.store.dueEntries(ctx, now)
	if err != nil {
		return err
	}
	queued := false
	for _, e := range due {
		run, err := s.passOccurrence(ctx, e, now)
		if err != nil {
			return err
		}
		queued = queued || run
	}
	if queued {
		s.queue.Wake(scheduleKind)
	}
	return nil
}

// passOccurrence sets the occurrence after one whose time has come, and queues that if it is to run.
func (s *Service) passOccurrence(ctx context.Context, e dueEntry, now time.Time) (run bool, err error) {
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		run = false
		t, err := s.store.schedule(ctx, tx, e.id)
		if errors.Is(err, errNotFound) || err == nil && e.pos >= len(t.Schedules) {
			return nil
		}
		if err != nil {
			return err
		}
		r, err := t.Schedules[e.pos].understand()
		if err != nil {
			s.log.WarnContext(ctx, "a stored schedule cannot be understood", "scheduled_task", e.id, "error", err)
			_, err = s.store.advance(ctx, tx, e, nil)
			return err
		}
		zone := s.zone(t)
		next := r.after(e.at.In(zone), now.In(zone))
		mine, err := s.store.advance(ctx, tx, e, t.until(next))
		if err != nil || !mine {
			return err
		}
		late := now.Sub(e.at) > s.cfg.MissedAfter
		if run = s.runs(t, e.at) && (!late || s.cfg.RunMissed); !run {
			return nil
		}
		return s.queue.Add(ctx, tx, scheduleKind, scheduleItem(e.id, e.pos, e.at), now)
	})
	return run && err == nil, err
}

// runScheduled is one try of one run.
func (s *Service) runScheduled(ctx context.Context, item string) *work.Outcome {
	id, err := strconv.ParseInt(item[:max(strings.IndexByte(item, '-'), 0)], 10, 64)
	if err != nil {
		return &work.Outcome{Err: fmt.Errorf("not a run: %q", item), Final: true}
	}
	t, err := s.store.schedule(ctx, s.store.db, id)
	if errors.Is(err, errNotFound) {
		return nil // it was deleted meanwhile
	}
	if err != nil {
		return &work.Outcome{Err: err}
	}
	problem, err := s.dispatchScheduled(ctx, t, item)
	now := s.now()
	switch {
	case err == nil:
		err = s.store.ran(ctx, id, &now, problem)
	case fault.Is(err, fault.Denied), fault.Is(err, fault.Upstream):
		problem = err.Error()
		err = s.store.ran(ctx, id, nil, problem)
	default: // it may help to try again
		tried, _ := s.queue.Get(ctx, s.store.db, scheduleKind, item)
		if tried.Attempts >= scheduleTries {
			problem = err.Error()
		}
		err = errors.Join(err, s.store.ran(context.WithoutCancel(ctx), id, nil, err.Error()))
	}
	if problem != "" {
		s.alertSchedule(ctx, t, problem)
	}
	if err != nil {
		return &work.Outcome{Err: err}
	}
	return nil
}

// dispatchScheduled dispatches the task. problem is RMF's refusal.
func (s *Service) dispatchScheduled(ctx context.Context, t ScheduledTask, item string) (problem string, err error) {
	if err := s.creatorIs(ctx, t); err != nil {
		return "", err
	}
	var request TaskRequest
	if err := json.Unmarshal(t.TaskRequest, &request); err != nil {
		return "", fault.Wrap(err, fault.Upstream, "the stored request cannot be read")
	}
	payload, err := fastapi.Dump(DispatchTaskRequest{Type: "dispatch_task_request", Request: request})
	if err != nil {
		return "", err
	}
	ctx = access.WithCaller(ctx, &access.Caller{
		Issuer: "lodge", Subject: "fleet.schedule", Name: t.CreatedBy, Credential: access.Credential{Kind: "schedule", ID: number(t.ID)},
	})
	_, refusal, err := s.submit(ctx, submission{
		id: uuid.NewSHA1(uuid.NameSpaceURL, []byte("lodge:fleet:schedule:"+t.token+":"+item)).String(), payload: payload, request: &request, group: t.group,
	})
	if err != nil || refusal == nil {
		return "", err
	}
	problem = "RMF refused the task"
	for _, e := range refusal.Errors {
		problem += ": " + deref(e.Category) + " " + deref(e.Detail)
	}
	return problem, nil
}

// alertSchedule tells people that a scheduled task did not come about.
func (s *Service) alertSchedule(ctx context.Context, t ScheduledTask, problem string) {
	err := s.writer.add(ctx, neverFull, func(b *batch) {
		id := uuid.NewString()
		b.alerts[id] = AlertRequest{
			ID: id, UnixMillisAlertTime: s.now().UnixMilli(), Title: "Scheduled task failed", Subtitle: "Schedule: " + number(t.ID), Message: problem,
			Display: true, Tier: "error", ResponsesAvailable: []string{"Acknowledge"}, AlertParameters: []AlertParameter{},
		}
	})
	if err != nil {
		s.log.WarnContext(ctx, "an alert could not be raised", "scheduled_task", t.ID, "error", err)
	}
}
