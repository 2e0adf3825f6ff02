package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/workflows"
	"lodge/internal/workflows/argo"
)

// step is a step that is being run.
type step struct {
	run      *run
	n        *node // only named in events
	key      string
	in       values
	template *argo.Template
	before   *row            // what an earlier life wrote of it; nil when it never began
	halted   context.Context // ends when every step is to end
}

// errHalted says that the step was told to end.
var errHalted = errors.New("halted")

// all runs the step to its end, unless ctx ends: then it goes on without us.
func (s *step) all(ctx context.Context) {
	e := s.run.engine
	w := &row{key: s.key, round: s.run.round, started: e.now(), out: newValues()}
	returned := false
	defer func() {
		// One step that nobody foresaw must not take the server down, again and again.
		if returned {
			return
		}
		why := recover()
		e.log.ErrorContext(ctx, "a step panicked", "job", s.run.job.String(), "step", s.n.name, "panic", why, "stack", string(debug.Stack()))
		w.phase, w.message, w.finished = workflows.Errored, "something went wrong on our side; the log has more", e.now()
		s.run.events <- event{n: s.n, row: w, over: true}
	}()
	s.tell(ctx, w)
	returned = true
}

// tell runs the step and tells how it ended.
func (s *step) tell(ctx context.Context, w *row) {
	e := s.run.engine
	waiting, done := either(ctx, s.halted)
	release, err := e.slots.wait(waiting, s.run.job.String())
	done()
	if err == nil {
		defer release()
		err = s.attempts(ctx, w)
	} else if b := s.before; ctx.Err() == nil && b != nil && b.phase == workflows.Running {
		// It was begun in an earlier life, and is to end before this one looked at it.
		w.attempt, w.started = b.attempt, b.started
		if failed := s.patiently(ctx, func() error { return e.driver.Kill(ctx, s.id(w)) }); failed != nil {
			e.log.WarnContext(ctx, "a step could not be ended", "job", s.run.job.String(), "step", s.n.name, "error", failed)
		}
	}
	if ctx.Err() != nil && !over(w.phase) {
		s.run.events <- event{n: s.n, err: ctx.Err()}
		return
	}
	if err != nil && !over(w.phase) {
		if s.halted.Err() != nil {
			w.phase, w.message, w.finished = workflows.Failed, "it was stopped", e.now()
			err = s.write(ctx, w, nil)
		}
		if err != nil {
			s.run.events <- event{n: s.n, err: err}
			return
		}
	}
	s.run.events <- event{n: s.n, row: w, over: true}
}

// either is a context that ends with the first of two.
func either(ctx, other context.Context) (context.Context, func()) {
	joined, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(other, cancel)
	return joined, func() { stop(); cancel() }
}

// attempts runs the step until it succeeded or may not be tried again.
func (s *step) attempts(ctx context.Context, w *row) error {
	e, begun := s.run.engine, false
	w.attempt = 1
	if b := s.before; b != nil {
		w.attempt, w.lost, w.failures = b.attempt, b.lost, b.failures
		if begun = b.phase == workflows.Running; begun {
			w.started, w.round = b.started, b.round
		} else {
			w.attempt, w.failures, w.lost = b.attempt+1, 0, 0
		}
		w.round = s.run.round
	}
	for {
		if s.halted.Err() != nil && !begun {
			return errHalted
		}
		log, err := e.svc.LogWriter(ctx, s.run.job, s.key, w.attempt, e.cfg.MaxLog)
		if err != nil {
			return err
		}
		if !begun {
			w.started, w.phase = e.now(), workflows.Running
			if err := s.write(ctx, w, nil); err != nil {
				return err
			}
		}
		copied := *w
		s.run.events <- event{n: s.n, row: &copied}
		if !begun {
			err = s.begin(ctx, w)
		}
		begun = false
		var exit Exit
		if err == nil {
			exit, err = s.follow(ctx, w, log)
		}
		switch again, err := s.judge(ctx, w, log, exit, err); {
		case err != nil || !again:
			return err
		}
		w.attempt++
	}
}

func (s *step) id(w *row) ID { return ID{Job: s.run.job.String(), Step: s.key, Attempt: w.attempt} }

// judge says how an attempt ended, writes it down, and whether there is to be another one.
func (s *step) judge(ctx context.Context, w *row, log *workflows.LogWriter, exit Exit, err error) (again bool, _ error) {
	e := s.run.engine
	w.finished = exit.At
	if w.finished.IsZero() {
		w.finished = e.now()
	}
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, errHalted):
		w.phase, w.message = workflows.Failed, "it was stopped"
	case errors.Is(err, errTooLong):
		w.phase, w.message = workflows.Failed, fmt.Sprintf("it ran longer than %s", e.cfg.StepTimeout)
	case errors.Is(err, ErrLost):
		if w.lost++; w.lost <= maxLost {
			e.log.WarnContext(ctx, "a step was lost and is run again", "job", s.run.job.String(), "step", s.n.name, "attempt", w.attempt)
			s.remove(ctx, w)
			return true, nil
		}
		w.phase, w.message = workflows.Errored, fmt.Sprintf("it was lost %d times", w.lost)
	case err != nil:
		w.phase, w.message = workflows.Errored, plain(err)
	case exit.Code != 0:
		w.phase, w.message = workflows.Failed, fmt.Sprintf("exit code %d", exit.Code)
		if exit.Reason != "" {
			w.message += ": " + exit.Reason
		}
		if w.failures++; w.failures <= s.retries() && s.halted.Err() == nil {
			s.remove(ctx, w)
			return true, nil
		}
	default:
		if err := s.collect(ctx, w); err != nil {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			w.phase, w.message, w.out = workflows.Errored, plain(err), newValues()
			break
		}
		w.phase, w.message = workflows.Succeeded, ""
	}
	if err := s.write(ctx, w, log); err != nil {
		w.phase = workflows.Running
		return false, err
	}
	s.remove(ctx, w)
	return false, nil
}

// retries is how often the step may fail and be tried again.
func (s *step) retries() int {
	if r := s.template.RetryStrategy; r != nil {
		return r.Limit
	}
	return 0
}

// plain is what people read of an error.
func plain(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Kind != fault.Internal {
		return f.Detail
	}
	return err.Error()
}

// remove removes what an attempt left. What cannot be removed now goes with the job.
func (s *step) remove(ctx context.Context, w *row) {
	if err := s.run.engine.driver.Remove(ctx, s.id(w)); err != nil {
		s.run.engine.log.DebugContext(ctx, "the leftovers of a step stay for now", "job", s.run.job.String(), "step", s.n.name, "error", err)
	}
}

// write writes the row down with the end of the log, and goes on trying.
func (s *step) write(ctx context.Context, w *row, log *workflows.LogWriter) error {
	e := s.run.engine
	return s.patiently(ctx, func() error {
		return e.db.Tx(ctx, func(tx *database.Tx) error {
			if log != nil {
				if err := log.End(ctx, tx); err != nil {
					return err
				}
			}
			return e.store.put(ctx, tx, s.run.job.String(), w)
		})
	})
}

// How long to wait for what is away, before asking again.
const (
	patienceMin = 500 * time.Millisecond
	patienceMax = 30 * time.Second
)

// patiently does something again as long as what it needs is away.
func (s *step) patiently(ctx context.Context, do func() error) error {
	for pause := patienceMin; ; pause = min(2*pause, patienceMax) {
		err := do()
		if !fault.Is(err, fault.Unavailable) || ctx.Err() != nil {
			return err
		}
		s.run.engine.log.WarnContext(ctx, "a step waits for what is away", "job", s.run.job.String(), "step", s.n.name, "error", err)
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
	}
}

// begin starts an attempt.
func (s *step) begin(ctx context.Context, w *row) error {
	e := s.run.engine
	n := &node{id: s.n.id, in: s.in, attempt: w.attempt}
	c, wrong, err := containerOf(s.template.Container, s.run.tree.inner(n))
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	for i, v := range c.Env {
		if v.Secret == "" {
			continue
		}
		err := s.patiently(ctx, func() (err error) {
			c.Env[i].Value, err = e.svc.Secret(ctx, s.run.tree.w.Metadata.Namespace, v.Secret)
			return err
		})
		if err != nil {
			return err
		}
	}
	made := Step{ID: s.id(w), Workspace: s.run.tree.w.Metadata.Namespace, Container: c, Volumes: s.run.volumes}
	for _, name := range slices.Sorted(maps.Keys(s.in.files)) {
		f := s.in.files[name]
		made.Inputs = append(made.Inputs, Input{Path: argo.ArtifactPath(name), Size: f.Size, Open: func(ctx context.Context) (io.ReadCloser, error) {
			body, _, err := e.bucket.Get(ctx, f.Key, 0, -1)
			return body, err
		}})
	}
	if out := s.template.Outputs; out != nil {
		for _, p := range out.Parameters {
			if p.ValueFrom != nil {
				made.Results = append(made.Results, p.ValueFrom.Path)
			}
		}
		for _, a := range out.Artifacts {
			made.Results = append(made.Results, a.Path)
		}
	}
	return s.patiently(ctx, func() error { return e.driver.Begin(ctx, made) })
}

var errTooLong = errors.New("too long")

// follow waits for an attempt to end, keeps what it writes, and ends it when it must.
func (s *step) follow(ctx context.Context, w *row, log *workflows.LogWriter) (exit Exit, err error) {
	e := s.run.engine
	waiting, cancel := either(ctx, s.halted)
	defer cancel()
	if e.cfg.StepTimeout > 0 {
		limited, stop := context.WithDeadline(waiting, w.started.Add(e.cfg.StepTimeout))
		defer stop()
		waiting = limited
	}
	err = s.patiently(ctx, func() (err error) {
		exit, err = e.driver.Wait(waiting, s.id(w), log.Offset(), log)
		return err
	})
	if waiting.Err() == nil || err == nil {
		return exit, err
	}
	if ctx.Err() != nil {
		return exit, ctx.Err()
	}
	why := errHalted
	if s.halted.Err() == nil {
		why = errTooLong
	}
	if err := s.patiently(ctx, func() error { return e.driver.Kill(ctx, s.id(w)) }); err != nil {
		return exit, errors.Join(why, err)
	}
	return exit, why
}

// collect reads the results of an attempt that went well.
func (s *step) collect(ctx context.Context, w *row) error {
	out := s.template.Outputs
	if out == nil {
		return nil
	}
	for _, p := range out.Parameters {
		if p.ValueFrom == nil || p.ValueFrom.Path == "" {
			continue
		}
		text, err := s.text(ctx, w, p.ValueFrom.Path)
		if err != nil {
			return fmt.Errorf("the output %s: %w", p.Name, err)
		}
		w.out.params[p.Name] = text
	}
	for _, a := range out.Artifacts {
		f, err := s.file(ctx, w, a)
		if err != nil {
			return fmt.Errorf("the output %s: %w", a.Name, err)
		}
		w.out.files[a.Name] = f
	}
	return nil
}

// open opens a result.
func (s *step) open(ctx context.Context, w *row, name string) (body io.ReadCloser, err error) {
	err = s.patiently(ctx, func() (err error) {
		body, err = s.run.engine.driver.Fetch(ctx, s.id(w), name)
		return err
	})
	if fault.Is(err, fault.Missing) {
		return nil, fmt.Errorf("the step wrote no file %s", name)
	}
	return body, err
}

// text reads a result that is a parameter. As with Argo, a line end at its end does not belong to it.
func (s *step) text(ctx context.Context, w *row, name string) (string, error) {
	body, err := s.open(ctx, w, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(io.LimitReader(body, maxParameter+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxParameter {
		return "", fmt.Errorf("%s has more than %d KiB, which is too much for a parameter: make it an artifact", name, maxParameter>>10)
	}
	return strings.TrimSuffix(strings.ToValidUTF8(strings.ReplaceAll(string(text), "\x00", "\uFFFD"), "\uFFFD"), "\n"), nil
}

// file stores a result that is a file.
func (s *step) file(ctx context.Context, w *row, a argo.Artifact) (file, error) {
	e := s.run.engine
	key := fmt.Sprintf("%sfiles/%s/%d/%s", workflows.ObjectsOf(s.run.job), s.key, w.attempt, a.Name)
	var size int64
	err := s.patiently(ctx, func() error {
		body, err := s.open(ctx, w, a.Path)
		if err != nil {
			return err
		}
		defer func() { _ = body.Close() }()
		var from io.Reader = body
		if e.cfg.MaxFile > 0 {
			from = &limited{from: body, left: e.cfg.MaxFile, limit: e.cfg.MaxFile}
		}
		info, err := e.bucket.Put(ctx, key, from)
		size = info.Size
		return err
	})
	return file{Key: key, Name: path.Base(a.Path), Size: size}, err
}

// limited refuses what is longer.
type limited struct {
	from        io.Reader
	left, limit int64
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.from.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fault.New(fault.TooLarge, "the file is larger than %d bytes", l.limit)
	}
	return n, err
}
