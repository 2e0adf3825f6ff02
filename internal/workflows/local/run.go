package local

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lodge/internal/workflows"
	"lodge/internal/workflows/argo"
	"lodge/internal/workflows/spec"
)

// Messages that people know from Argo.
const (
	terminated = "Stopped with strategy 'Terminate'"
	tooLong    = "Max duration limit exceeded"
)

// run is a job that goes on. Everything in it belongs to the one goroutine in all; steps are
// goroutines of their own, which send what happens.
type run struct {
	engine  *Engine
	job     uuid.UUID
	tree    *tree
	spec    json.RawMessage
	rows    map[string]*row
	round   int
	started time.Time
	until   time.Time // zero without a time limit
	volumes []spec.KubeVolume

	events chan event
	active int
	// halt ends every step; why says the reason once it was called.
	halt func()
	why  string
	// dirty says that listeners have not heard of something yet.
	dirty    bool
	reported time.Time
	weight   int
}

// event is something that happened to a step.
type event struct {
	n       *node
	row     *row // how it stands
	message string
	over    bool
	err     error // the server is stopping: the step goes on without us
}

func newRun(ctx context.Context, e *Engine, job uuid.UUID, w *argo.Workflow, taken workflows.Taken) (*run, error) {
	r := &run{engine: e, job: job, round: taken.Order.Round, started: e.now(), events: make(chan event, 64), volumes: w.Spec.Volumes}
	if taken.Started != nil {
		r.started = *taken.Started
	}
	if taken.Stopping {
		r.why = terminated
	}
	if w.Spec.ActiveDeadlineSeconds > 0 && taken.Order.Round == 0 {
		r.until = r.started.Add(time.Duration(w.Spec.ActiveDeadlineSeconds) * time.Second)
	}
	var err error
	if r.spec, err = spec.Encode(w.Spec); err != nil {
		return nil, err
	}
	if r.rows, err = e.store.steps(ctx, job.String()); err != nil {
		return nil, err
	}
	r.tree, err = plant(w, e.cfg.MaxNodes, r.started)
	return r, err
}

// How often a listener is told, at least and at most; a large job's object is told more rarely.
const (
	tellEvery  = 250 * time.Millisecond
	lookAtStop = 2 * time.Second
)

func (r *run) pause() time.Duration {
	return min(tellEvery+time.Duration(r.weight/1024)*4*time.Millisecond, 10*time.Second)
}

// all runs the job to its end. It returns an error when the server stops, or when how a step ended
// could not be written down: then the job is taken up again from the rows.
func (r *run) all(ctx context.Context) error {
	steps, halt := context.WithCancel(context.WithoutCancel(ctx))
	defer halt()
	r.halt = halt
	detach, leave := context.WithCancel(ctx)
	defer leave()
	stops, err := r.engine.bus.Subscribe(ctx, stopSubject(r.job), 1)
	if err != nil {
		return err
	}
	tell, look := time.NewTicker(tellEvery), time.NewTicker(lookAtStop)
	defer tell.Stop()
	defer look.Stop()
	if r.why != "" {
		halt()
	}
	r.launch(detach, steps)
	if !over(r.tree.root.phase) {
		if err := r.report(ctx); err != nil {
			return r.leave(leave, err)
		}
	}
	for !over(r.tree.root.phase) || r.active > 0 {
		select {
		case e := <-r.events:
			if e.err != nil {
				r.active--
				return r.leave(leave, e.err)
			}
			r.happened(e)
			r.launch(detach, steps)
		case <-tell.C:
			if r.dirty && r.engine.now().Sub(r.reported) >= r.pause() {
				if err := r.report(ctx); err != nil {
					return r.leave(leave, err)
				}
			}
			if !r.until.IsZero() && r.engine.now().After(r.until) {
				r.stop(tooLong)
			}
		case _, open := <-stops:
			if !open {
				stops = nil
			}
			r.askStop(ctx)
		case <-look.C:
			r.askStop(ctx)
		case <-ctx.Done():
			return r.leave(leave, ctx.Err())
		}
	}
	return r.finish(ctx)
}

// leave lets go of the steps, which go on, and waits for their goroutines.
func (r *run) leave(leave func(), why error) error {
	leave()
	for r.active > 0 {
		if e := <-r.events; e.over || e.err != nil {
			r.active--
		}
	}
	return why
}

func (r *run) askStop(ctx context.Context) {
	if stopping, err := r.engine.svc.Stopping(ctx, r.job); err == nil && stopping {
		r.stop(terminated)
	}
}

func (r *run) stop(why string) {
	if r.why == "" {
		r.why = why
		r.halt()
	}
}

// launch begins what is ready. What ended in an earlier life only ends again.
func (r *run) launch(detach, steps context.Context) {
	for ready := r.tree.take(); len(ready) > 0; ready = r.tree.take() {
		for _, n := range ready {
			known := r.rows[n.key()]
			switch {
			case known != nil && r.settled(known):
				n.started, n.attempt = known.started, known.attempt
				r.end(n, known)
			case r.why != "" && (known == nil || known.phase != workflows.Running):
				r.tree.at = r.engine.now()
				r.tree.end(n, workflows.Failed, r.why)
			default:
				r.active++
				s := &step{run: r, n: n, key: n.key(), in: n.in, template: n.template, halted: steps}
				if known != nil {
					before := *known
					s.before = &before
				}
				go s.all(detach)
			}
			r.dirty = true
		}
	}
}

// settled says whether a step's row is its last word in this round.
func (r *run) settled(w *row) bool {
	return w.phase == workflows.Succeeded || w.phase.Final() && w.round == r.round
}

func (r *run) end(n *node, w *row) {
	n.out = w.out
	r.tree.at = w.finished
	r.tree.end(n, w.phase, w.message)
}

func (r *run) happened(e event) {
	r.dirty = true
	if !e.over {
		e.n.message = e.message
		if e.row != nil {
			e.n.phase, e.n.started, e.n.attempt = workflows.Running, e.row.started, e.row.attempt
		}
		return
	}
	r.active--
	e.n.started, e.n.attempt, e.n.message = e.row.started, e.row.attempt, ""
	r.rows[e.row.key] = e.row
	r.end(e.n, e.row)
}

// report tells where the job stands.
func (r *run) report(ctx context.Context) error {
	object, err := r.snapshot(workflows.Running, "", time.Time{})
	if err != nil {
		return err
	}
	r.weight, r.dirty, r.reported = len(object), false, r.engine.now()
	return r.engine.svc.Report(ctx, r.job, workflows.State{Phase: workflows.Running, Started: &r.started, Object: object})
}

// finish tells how the job ended.
func (r *run) finish(ctx context.Context) error {
	root := r.tree.root
	phase, message, finished := root.phase, root.message, r.engine.now()
	if root.kind == kindPod && phase != workflows.Succeeded {
		message = because(root)
	}
	if r.why != "" && phase != workflows.Succeeded {
		phase, message = workflows.Failed, r.why
	}
	object, err := r.snapshot(phase, message, finished)
	if err != nil {
		return err
	}
	err = r.engine.svc.Report(ctx, r.job, workflows.State{Phase: phase, Message: message, Started: &r.started, Finished: &finished, Object: object})
	if err == nil {
		err = r.engine.svc.ArchiveLogs(ctx, r.job)
	}
	return err
}
