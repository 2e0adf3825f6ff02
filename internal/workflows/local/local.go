// Package local runs jobs on this machine. A job is a Workflow as package argo
// writes it, with the same meaning: graphs, lists gone through element by
// element, conditions, outputs, retries, time-outs.
//
// What happens is decided in one place, by a tree that knows neither rows nor
// processes (tree.go): from the manifest and from how steps ended it says what
// runs next. How each step ended is a row, so that after a restart the same
// tree grows again and finished steps are not run again. A step that ran when
// the server stopped runs on, and is found by its id; one that is gone is run
// again as its next attempt. Steps themselves are a driver's: plain processes,
// or containers.
//
// One server at a time has a job, by the lease on its work. A site with several
// servers that share a database gives each job to one of them, and a step that
// was begun on another machine counts as lost.
package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/objects"
	"lodge/internal/work"
	"lodge/internal/workflows"
	"lodge/internal/workflows/argo"
	"lodge/internal/workflows/spec"
)

// Config is how jobs are run. The zero value is usable.
type Config struct {
	// Parallelism is how many steps run at once; 0 is 4.
	Parallelism int
	// StepTimeout ends a step that runs longer; 0 is never.
	StepTimeout time.Duration
	// MaxLog bounds what is kept of a step's log in bytes; 0 is 16 MiB.
	MaxLog int64
	// MaxFile bounds a file that a step hands on in bytes; 0 is no bound.
	MaxFile int64
	// MaxNodes bounds the nodes of a job, lists gone through included; 0 is 100,000.
	MaxNodes int
	// HostPaths are the folders of the machine below which volumes may lie; without any there are none.
	HostPaths []string
	// Note says of every job how it is run, such as that it is not for production.
	Note string
}

const (
	// maxParameter bounds a text that a step hands on, as Argo's own bound does.
	maxParameter = 256 << 10
	// maxLost is how often a step may be lost before it counts as one that cannot be run here.
	maxLost = 3
	// maxJobs is how many jobs go on at once; their steps share the places.
	maxJobs = 256
)

const workKind = "workflow.local"

// Engine runs jobs on this machine. It is safe for concurrent use.
type Engine struct {
	cfg    Config
	db     *database.DB
	store  *store
	bucket objects.Bucket
	queue  *work.Queue
	bus    *bus.Bus
	driver Driver
	svc    *workflows.Service
	slots  *slots
	now    func() time.Time
	log    *slog.Logger
}

// New makes the engine. Attach comes before Run.
func New(cfg Config, db *database.DB, bucket objects.Bucket, q *work.Queue, b *bus.Bus, driver Driver, now func() time.Time, log *slog.Logger) *Engine {
	if cfg.Parallelism <= 0 {
		cfg.Parallelism = 4
	}
	if cfg.MaxLog <= 0 {
		cfg.MaxLog = 16 << 20
	}
	if cfg.MaxNodes <= 0 {
		cfg.MaxNodes = 100_000
	}
	return &Engine{
		cfg: cfg, db: db, store: &store{db}, bucket: bucket, queue: q, bus: b, driver: driver, slots: newSlots(cfg.Parallelism), now: now, log: log,
	}
}

// Attach says whose jobs these are.
func (e *Engine) Attach(svc *workflows.Service) { e.svc = svc }

// Prepare writes the job as a Workflow, and looks whether every step of it can be run here.
func (e *Engine) Prepare(o workflows.Order) ([]byte, spec.Findings, error) {
	w, err := argo.Transpile(o.Job, o.Library, o.Options.Tags)
	if err != nil {
		return nil, spec.Findings{{Code: spec.CodeValue, Severity: spec.Error, Message: err.Error()}}, nil //nolint:nilerr // it is about the job
	}
	w.Limit(o.Options)
	findings := slices.DeleteFunc(argo.Findings(w, false), func(f spec.Finding) bool { return f.Code == spec.CodeSize })
	for _, v := range w.Spec.Volumes {
		if err := e.offered(v); err != nil {
			findings = append(findings, spec.Finding{Code: spec.CodeValue, Severity: spec.Error, Message: err.Error()})
		}
	}
	for _, t := range w.Spec.Templates {
		if t.Container == nil {
			continue
		}
		c, wrong, err := containerOf(t.Container, anything)
		if err != nil {
			wrong = append(wrong, err.Error())
		}
		for _, text := range append(wrong, e.driver.Refuse(c, w.Spec.Volumes)...) {
			findings = append(findings, spec.Finding{
				Code: spec.CodeValue, Severity: spec.Error, Message: fmt.Sprintf("the component %s cannot be run here: %s", t.Name, text),
			})
		}
	}
	if len(findings) > 0 {
		return nil, findings, nil
	}
	text, err := w.JSON()
	return text, nil, err
}

// offered says what is wrong with a volume that is a folder of the machine.
func (e *Engine) offered(v spec.KubeVolume) error {
	source, err := SourceOf(v)
	if err != nil || source.Host == "" {
		return nil //nolint:nilerr // whoever mounts it is told
	}
	for _, folder := range e.cfg.HostPaths {
		if source.Host == path.Clean(folder) || strings.HasPrefix(source.Host, strings.TrimSuffix(path.Clean(folder), "/")+"/") {
			return nil
		}
	}
	return fmt.Errorf("the volume %s is the folder %s of the machine, which is not offered to jobs", v.Name, source.Host)
}

// anything is a scope in which every name means something.
func anything(string) (string, error) { return "x", nil }

// Start has the job run, here or by another server.
func (e *Engine) Start(ctx context.Context, o workflows.Order) error {
	id := o.Job.UID.String()
	err := e.db.Tx(ctx, func(tx *database.Tx) error {
		// One that has been run before is run again, where it is only started again.
		if o.Round > 0 {
			if item, err := e.queue.Get(ctx, tx, workKind, id); err == nil && item.State == work.Done {
				if err := e.queue.Remove(ctx, tx, workKind, id); err != nil {
					return err
				}
			}
		}
		return e.queue.Add(ctx, tx, workKind, id, e.now())
	})
	if err == nil {
		e.queue.Wake(workKind)
	}
	return err
}

func stopSubject(job uuid.UUID) string { return "workflows.local.stop." + job.String() }

// Stop tells whoever runs the job that it is to end. That it is, stands in its row.
func (e *Engine) Stop(_ context.Context, job uuid.UUID) error {
	if err := e.bus.Publish(stopSubject(job), nil); err != nil {
		e.log.Debug("a job is stopped a little later", "job", job.String(), "error", err)
	}
	return nil
}

// Forget removes the rows and leftovers of a job that has ended.
func (e *Engine) Forget(ctx context.Context, job uuid.UUID) error {
	err := e.db.Tx(ctx, func(tx *database.Tx) error {
		if err := e.store.forget(ctx, tx, job.String()); err != nil {
			return err
		}
		return e.queue.Remove(ctx, tx, workKind, job.String())
	})
	return errors.Join(err, e.driver.Clean(ctx, job.String()))
}

// Run runs jobs until the context ends. Steps that run then run on, and the next Run finds them.
func (e *Engine) Run(ctx context.Context) error {
	worker := e.queue.Worker(workKind, work.WorkerConfig{
		Parallel: maxJobs, Backoff: work.Backoff{Min: time.Second, Max: time.Minute}, Lease: time.Minute, Poll: time.Second,
	}, e.run)
	return worker.Run(ctx)
}

// run runs a job from wherever it stands to its end. One that nobody foresaw ends as well.
func (e *Engine) run(ctx context.Context, id string) (outcome *work.Outcome) {
	returned := false
	defer func() {
		if returned {
			return
		}
		why := recover()
		e.log.ErrorContext(ctx, "a job panicked", "job", id, "panic", why, "stack", string(debug.Stack()))
		if job, err := uuid.Parse(id); err == nil {
			outcome = e.give(ctx, job, errors.New("something went wrong on our side; the log has more"))
		}
	}()
	outcome = e.take(ctx, id)
	returned = true
	return outcome
}

// take takes a job up.
func (e *Engine) take(ctx context.Context, id string) *work.Outcome {
	job, err := uuid.Parse(id)
	if err != nil {
		return &work.Outcome{Err: err, Final: true}
	}
	taken, err := e.svc.Take(ctx, job)
	if err != nil {
		return &work.Outcome{Err: err}
	}
	if taken.Finished {
		// An earlier life may have ended just after it said so.
		if err := e.svc.ArchiveLogs(ctx, job); err != nil {
			return &work.Outcome{Err: err}
		}
		return nil
	}
	var w argo.Workflow
	if err := json.Unmarshal(taken.Order.Manifest, &w); err != nil {
		return e.give(ctx, job, fmt.Errorf("the manifest cannot be read: %w", err))
	}
	r, err := newRun(ctx, e, job, &w, taken)
	if err != nil {
		return e.give(ctx, job, err)
	}
	if err := r.all(ctx); err != nil {
		return &work.Outcome{Err: err}
	}
	if err := e.driver.Clean(ctx, id); err != nil {
		e.log.WarnContext(ctx, "the leftovers of a job could not be removed", "job", id, "error", err)
	}
	return nil
}

// give ends a job that cannot be run at all.
func (e *Engine) give(ctx context.Context, job uuid.UUID, why error) *work.Outcome {
	now := e.now()
	if err := e.svc.Report(ctx, job, workflows.State{Phase: workflows.Errored, Message: why.Error(), Started: &now, Finished: &now}); err != nil {
		return &work.Outcome{Err: err}
	}
	return nil
}
