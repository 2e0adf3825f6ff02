package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/work"
	"lodge/internal/workflows/spec"
)

// Phase is where a job stands.
type Phase string

// The phases. The last three are final.
const (
	Pending   Phase = "Pending"
	Running   Phase = "Running"
	Succeeded Phase = "Succeeded"
	Failed    Phase = "Failed"
	Errored   Phase = "Error"
)

// Final says whether a job in this phase has ended.
func (p Phase) Final() bool { return p == Succeeded || p == Failed || p == Errored }

// State is what an engine reports of a job.
type State struct {
	Phase             Phase
	Message           string
	Started, Finished *time.Time
	// Object is the whole Workflow as Argo would show it, for listeners; nil when it has not changed.
	Object json.RawMessage
}

// jobKind is the kind of work that starting a job is.
const jobKind = "workflow.job"

// errInProgress says that a job has not ended.
var errInProgress = fault.New(fault.Conflict, "job in progress")

// jobSubject is where the news of a job are told.
func jobSubject(id uuid.UUID) string { return "workflows.job." + id.String() }

// CheckJob finds what keeps a job from being run, without running it.
func (s *Service) CheckJob(ctx context.Context, j *spec.Job, options spec.JobOptions) (spec.Findings, error) {
	library, err := s.gather(ctx, s.db, j.Workflow.Component)
	if err != nil {
		return nil, err
	}
	return s.prepare(ctx, &Order{Job: j, Library: library, Options: options})
}

// prepare finds what keeps an order from being run, and has the engine write it down.
func (s *Service) prepare(ctx context.Context, o *Order) (spec.Findings, error) {
	findings := spec.CheckJob(o.Job, o.Library)
	mine, err := s.belongings(ctx, o.Job)
	if err != nil {
		return nil, err
	}
	findings = append(findings, mine...)
	if len(findings.KeepFromRunning()) > 0 || s.engine == nil {
		return findings, nil
	}
	var more spec.Findings
	o.Manifest, more, err = s.engine.Prepare(*o)
	return append(findings, more...), err
}

// belongings checks the secrets and volumes that a job names against those of its workspace.
func (s *Service) belongings(ctx context.Context, j *spec.Job) (findings spec.Findings, err error) {
	secrets, err := s.secretKeys(ctx, j.Workflow.Workspace)
	if err != nil {
		return nil, err
	}
	var registered map[string]bool
	find := func(i int, format string, args ...any) {
		findings = append(findings, spec.Finding{
			Pointer: fmt.Sprintf("/inputValues/%d/value", i), Code: spec.CodeValue, Severity: spec.Error, Message: fmt.Sprintf(format, args...),
		})
	}
	for i, v := range j.InputValues {
		switch d, _ := j.Workflow.Component.Input(v.Target); d.Type {
		case spec.EnvSecret:
			if !slices.Contains(secrets, v.Value.Text) {
				find(i, "the workspace %s has no secret %q", j.Workflow.Workspace, clip(v.Value.Text))
			}
		case spec.VolumeType:
			if s.cfg.AnyVolume {
				continue
			}
			if registered == nil {
				if registered, err = s.registered(ctx, j.Workflow.Workspace); err != nil {
					return nil, err
				}
			}
			if text, err := canonical([]byte(v.Value.Text)); err == nil && !registered[text] {
				find(i, "the workspace %s offers no such volume; choose one of its volumes", j.Workflow.Workspace)
			}
		case spec.Parameter, spec.ParameterArray, spec.Artifact:
		}
	}
	return findings, nil
}

// registered are the volumes of a workspace, as canonical JSON.
func (s *Service) registered(ctx context.Context, workspace string) (map[string]bool, error) {
	list, err := s.store.volumes(ctx, s.db, workspace, 0, 0)
	if err != nil {
		return nil, err
	}
	all := make(map[string]bool, len(list))
	for _, v := range list {
		text, err := spec.Encode(v.Volume)
		if err != nil {
			return nil, err
		}
		key, err := canonical(text)
		if err != nil {
			return nil, err
		}
		all[key] = true
	}
	return all, nil
}

// canonical is JSON with its members in order, so that equal volumes are equal texts.
func canonical(text []byte) (string, error) {
	doc, err := parseStored(string(text))
	if err != nil {
		return "", err
	}
	return asJSON(doc)
}

// Submit stores a job that can be run, and has it begun.
func (s *Service) Submit(ctx context.Context, j *spec.Job, options spec.JobOptions) error {
	if j.UID != uuid.Nil {
		return &summarised{"JobSubmitRequest may not have uid set", fault.New(fault.Invalid, "non zero uid (%s)", j.UID)}
	}
	ctx, err := s.require(ctx, Run, j.Workflow.Workspace, "job")
	if err != nil {
		return err
	}
	if s.engine == nil {
		return errNoEngine()
	}
	library, err := s.gather(ctx, s.db, j.Workflow.Component)
	if err != nil {
		return err
	}
	return s.place(ctx, &Order{Job: j, Library: library, Options: options}, "submitted")
}

// place makes an order a job, stores it if it can be run, and has it begun.
func (s *Service) place(ctx context.Context, o *Order, how string) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	j := o.Job
	j.UID, j.Version, j.ModifiedBy, j.Timestamp = id, spec.Version{Current: 1, Tags: []string{spec.Latest}}, author(ctx), spec.At(s.now())
	j.Events = nil
	findings, err := s.prepare(ctx, o)
	if err != nil {
		return err
	}
	if wrong := findings.KeepFromRunning(); len(wrong) > 0 {
		return &summarised{"error generating a Argo workflow manifest", invalid(wrong.Under("/job"))}
	}
	err = s.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.store.insertJob(ctx, tx, *o); err != nil {
			return err
		}
		if err := s.queue.Add(ctx, tx, jobKind, id.String(), s.now()); err != nil {
			return err
		}
		return s.record(ctx, tx, Run, j.Workflow.Workspace, "job "+id.String(), how)
	})
	if err == nil {
		s.queue.Wake(jobKind)
	}
	return err
}

// Run starts the jobs that were submitted, and removes those that were kept long enough, until the
// context ends.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if s.cfg.Retention > 0 {
		g.Go(func() error { return s.queue.Lease("workflows.retention", time.Minute).Run(ctx, s.retire) })
	}
	if s.engine != nil {
		worker := s.queue.Worker(jobKind, work.WorkerConfig{
			Parallel: 8, Backoff: work.Backoff{Min: time.Second, Max: time.Minute}, Lease: time.Minute,
		}, s.start)
		g.Go(func() error { return worker.Run(ctx) })
	}
	g.Go(func() error {
		<-ctx.Done()
		return nil
	})
	return g.Wait()
}

// start hands a job to the engine.
func (s *Service) start(ctx context.Context, id string) *work.Outcome {
	job, err := uuid.Parse(id)
	if err != nil {
		return &work.Outcome{Err: err, Final: true}
	}
	r, err := s.store.job(ctx, s.db, job)
	if fault.Is(err, fault.Missing) || err == nil && r.finished {
		return nil
	}
	if err != nil {
		return &work.Outcome{Err: err}
	}
	o, err := r.order()
	if err == nil {
		err = s.engine.Start(ctx, o)
	}
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.Denied) || fault.Is(err, fault.TooLarge) {
		now := s.now()
		if failed := s.Report(ctx, job, State{Phase: Errored, Message: err.Error(), Started: &now, Finished: &now}); failed != nil {
			return &work.Outcome{Err: errors.Join(err, failed)}
		}
		return &work.Outcome{Err: err, Final: true}
	}
	if err != nil {
		return &work.Outcome{Err: err}
	}
	return nil
}

// Report is how an engine tells where a job stands. Telling the same again changes nothing but adds
// an event if there is an object. What has ended stays so.
func (s *Service) Report(ctx context.Context, job uuid.UUID, state State) error {
	if state.Phase.Final() && state.Finished == nil {
		now := s.now()
		state.Finished = &now
	}
	if state.Phase.Final() && state.Object == nil && state.Message != "" {
		object, err := s.epitaph(ctx, job, state)
		if err != nil {
			return err
		}
		state.Object = object
	}
	var news bool
	err := s.db.Tx(ctx, func(tx *database.Tx) (err error) {
		news, err = s.store.report(ctx, tx, job, state, s.now())
		return err
	})
	if err == nil && news {
		s.tell(ctx, job)
	}
	return err
}

// epitaph is the Workflow of a job that its engine could not say more of than why it ended: how it
// stood last, or as it was to be run. Readers look for the reason there.
func (s *Service) epitaph(ctx context.Context, job uuid.UUID, state State) (json.RawMessage, error) {
	text, err := s.LastObject(ctx, job)
	if err == nil && text == nil {
		var r jobRow
		r, err = s.store.job(ctx, s.db, job)
		text = json.RawMessage(r.manifest)
	}
	if fault.Is(err, fault.Missing) {
		return nil, nil // it was deleted meanwhile
	}
	var object map[string]any
	if err != nil || json.Unmarshal(text, &object) != nil || object == nil {
		return nil, err // there is no manifest of an engine that writes none
	}
	status, ok := object["status"].(map[string]any)
	if !ok {
		status = map[string]any{}
	}
	status["phase"], status["message"], status["finishedAt"] = state.Phase, state.Message, state.Finished.UTC().Format(time.RFC3339Nano)
	if status["startedAt"] == nil && state.Started != nil {
		status["startedAt"] = state.Started.UTC().Format(time.RFC3339Nano)
	}
	object["status"] = status
	return spec.Encode(object)
}

// tell wakes whoever listens to a job. They look by themselves too, now and then.
func (s *Service) tell(ctx context.Context, job uuid.UUID) {
	if err := s.bus.Publish(jobSubject(job), nil); err != nil {
		s.log.WarnContext(ctx, "listeners learn of a job's news later", "job", job.String(), "error", err)
	}
	s.cfg.Changed("jobs")
}

// Taken is a job that an engine takes up.
type Taken struct {
	Order    Order
	Started  *time.Time
	Finished bool
	Stopping bool
}

// Take reads a job for an engine: it asks no permission. One that was deleted counts as finished.
func (s *Service) Take(ctx context.Context, job uuid.UUID) (t Taken, err error) {
	r, err := s.store.job(ctx, s.db, job)
	if fault.Is(err, fault.Missing) {
		return Taken{Finished: true}, nil
	}
	if err != nil {
		return t, err
	}
	t.Finished, t.Stopping = r.finished, r.stopping
	if r.started.Valid {
		at := database.Time(r.started.Int64)
		t.Started = &at
	}
	t.Order, err = r.order()
	return t, err
}

// Stopping says whether a job is to end before its time.
func (s *Service) Stopping(ctx context.Context, job uuid.UUID) (bool, error) {
	n, err := number(ctx, s.db, "SELECT COUNT(*) FROM wf_jobs WHERE uid = ? AND stopping = 1", job.String())
	return n > 0, err
}

// Standing is where a job stands, for an engine that has it run elsewhere.
type Standing struct {
	Workspace          string
	Round              int
	Finished, Stopping bool
}

// Standing reads where a job stands, without its documents.
func (s *Service) Standing(ctx context.Context, job uuid.UUID) (Standing, error) {
	r, err := s.store.head(ctx, s.db, job)
	return Standing{r.workspace, r.round, r.finished, r.stopping}, err
}

// Handed is a job that was handed to the engine.
type Handed struct {
	Job       uuid.UUID
	Workspace string
}

// Handed lists the jobs that the engine has begun and that have not ended.
func (s *Service) Handed(ctx context.Context) ([]Handed, error) {
	return s.store.handed(ctx, s.db)
}

// LastObject is the last Workflow that was reported of a job, for its engine; nil before there is one.
func (s *Service) LastObject(ctx context.Context, job uuid.UUID) (json.RawMessage, error) {
	last, err := s.store.lastEvent(ctx, s.db, job)
	if err != nil {
		return nil, err
	}
	events, err := s.store.events(ctx, s.db, job, last-1, 1)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	return events[0].body, nil
}

// findJob reads a job that the caller may do this with, without its documents.
func (s *Service) findJob(ctx context.Context, action access.Action, id uuid.UUID) (context.Context, jobRow, error) {
	r, err := s.store.head(ctx, s.db, id)
	if err != nil {
		return ctx, r, err
	}
	ctx, err = s.requireObject(ctx, action, r.workspace, "job "+id.String())
	if fault.Is(err, fault.Missing) {
		err = fault.New(fault.Missing, "no such job")
	}
	return ctx, r, err
}

// maxShownEvents is how many of its last events a job is shown with.
const maxShownEvents = keptEvents + pruneEvery

// Job is a job as it was submitted; once it has ended, with its last events.
func (s *Service) Job(ctx context.Context, id uuid.UUID) (*spec.Job, error) {
	ctx, _, err := s.findJob(ctx, Read, id)
	if err != nil {
		return nil, err
	}
	r, err := s.store.job(ctx, s.db, id)
	if err != nil {
		return nil, err
	}
	o, err := r.order()
	if err != nil || !r.finished {
		return o.Job, err
	}
	last, err := s.store.lastEvent(ctx, s.db, id)
	if err != nil {
		return nil, err
	}
	events, err := s.store.events(ctx, s.db, id, max(0, last-maxShownEvents), maxShownEvents)
	for _, e := range events {
		o.Job.Events = append(o.Job.Events, e.body)
	}
	return o.Job, err
}

// JobObject is the last Workflow that was reported of a job in a workspace, as Argo's own server would
// answer: pages ask for it by the workspace and the job's name, which is its uid.
func (s *Service) JobObject(ctx context.Context, workspace, name string) (json.RawMessage, error) {
	missing := fault.New(fault.Missing, "there is no workflow %s in %s", clip(name), clip(workspace))
	id, err := uuid.Parse(name)
	if err != nil {
		return nil, missing
	}
	ctx, r, err := s.findJob(ctx, Read, id)
	if err != nil || r.workspace != workspace {
		return nil, errors.Join(err, missing)
	}
	object, err := s.LastObject(ctx, id)
	if err == nil && object == nil {
		err = missing
	}
	return object, err
}

// JobStatus says where a job stands.
func (s *Service) JobStatus(ctx context.Context, id uuid.UUID) (Phase, error) {
	_, r, err := s.findJob(ctx, Read, id)
	return r.phase, err
}

// Terminate stops a job soon. One that has not begun never does.
func (s *Service) Terminate(ctx context.Context, id uuid.UUID) error {
	ctx, r, err := s.findJob(ctx, Run, id)
	if err != nil {
		return err
	}
	if r.finished {
		return fault.New(fault.Conflict, "job termination failed: it has ended already (%s)", r.phase)
	}
	begun := true
	err = s.db.Tx(ctx, func(tx *database.Tx) error {
		item, err := s.queue.Get(ctx, tx, jobKind, id.String())
		if err != nil && !fault.Is(err, fault.Missing) {
			return err
		}
		if begun = err != nil || item.State != work.Queued; !begun {
			now := s.now()
			if err := s.queue.Remove(ctx, tx, jobKind, id.String()); err != nil {
				return err
			}
			if _, err := s.store.report(ctx, tx, id, State{Phase: Failed, Message: "terminated before it began", Finished: &now}, now); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, "UPDATE wf_jobs SET stopping = 1 WHERE uid = ?", id.String()); err != nil {
			return err
		}
		return s.record(ctx, tx, Run, r.workspace, "job "+id.String(), "terminated")
	})
	if err != nil {
		return err
	}
	s.tell(ctx, id)
	if s.engine == nil {
		return nil
	}
	// Also one that had not begun by the queue: an attempt to begin it may have failed half-way.
	return s.engine.Stop(ctx, id)
}

// DeleteJob removes a job that has ended.
func (s *Service) DeleteJob(ctx context.Context, id uuid.UUID) error {
	ctx, r, err := s.findJob(ctx, Run, id)
	if err != nil {
		return err
	}
	if !r.finished {
		return errInProgress
	}
	return s.removeJob(ctx, id, func(tx *database.Tx) error {
		return s.record(ctx, tx, Run, r.workspace, "job "+id.String(), "deleted")
	})
}
