package apps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/work"
)

var errTooLong = errors.New("the start took too long")

// startError is why an app session cannot be started.
type startError struct {
	cause   Cause
	message string
	err     error
}

func (e *startError) Error() string {
	if e.err != nil {
		return e.message + ": " + e.err.Error()
	}
	return e.message
}

func (e *startError) Unwrap() error { return e.err }

// workStart brings an app session up. It may be the second to try, after a worker that died: the
// driver's start finds what the first one made.
func (s *Service) workStart(ctx context.Context, text string) *work.Outcome {
	id, run := parseWorkID(text)
	row, err := s.store.session(ctx, s.store.db, id)
	switch {
	case errors.Is(err, errNoRow):
		return nil
	case err != nil:
		return &work.Outcome{Err: err}
	case row.State != Starting || row.Run != run:
		return nil
	}
	left := time.Duration(row.Entry.StartTimeout) - s.now().Sub(row.Started)
	if left <= 0 {
		return s.failStart(ctx, row, &startError{cause: CauseStartTimeout, message: fmt.Sprintf("It took longer than %s, in the step %s", time.Duration(row.Entry.StartTimeout), row.Step)})
	}
	doing, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(left, func() { cancel(errTooLong) })
	defer timer.Stop()
	s.mu.Lock()
	s.starting[id] = cancel
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.starting, id)
		s.mu.Unlock()
	}()
	err = s.bring(doing, row)
	return s.judge(ctx, doing, row, err)
}

// judge says what becomes of a start.
func (s *Service) judge(ctx, doing context.Context, row Session, err error) *work.Outcome {
	why := context.Cause(doing)
	var failed *startError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errMoved) || errors.Is(why, errMoved):
		// Somebody stopped it meanwhile. What we may have made after they looked is ours to remove.
		return s.removeRun(ctx, row)
	case errors.Is(why, errTooLong):
		return s.failStart(ctx, row, &startError{cause: CauseStartTimeout, message: "It took longer than " + time.Duration(row.Entry.StartTimeout).String(), err: err})
	case ctx.Err() != nil:
		return &work.Outcome{Err: err}
	case errors.As(err, &failed):
		return s.failStart(ctx, row, failed)
	case fault.Is(err, fault.Exhausted):
		if s.now().Sub(row.Queued) > s.cfg.Limits.QueueTimeout {
			return s.failStart(ctx, row, &startError{cause: CauseNoRoom, message: err.Error()})
		}
		s.log.InfoContext(ctx, "a start waits for room", "session", row.ID, "app", row.App, "error", err)
		s.step(ctx, row.ID, row.Run, Progress{Step: "queued", Message: "Waiting for room: " + err.Error()})
		return &work.Outcome{Err: err, After: 5 * time.Second}
	case fault.Is(err, fault.Unavailable):
		if s.now().Sub(row.Queued) > s.cfg.Limits.QueueTimeout {
			return s.failStart(ctx, row, &startError{cause: CauseDriverDown, message: CauseDriverDown.advice(), err: err})
		}
		s.log.InfoContext(ctx, "a start waits for its driver", "session", row.ID, "app", row.App, "error", err)
		s.step(ctx, row.ID, row.Run, Progress{Step: row.Step, Message: CauseDriverDown.advice()})
		return &work.Outcome{Err: err, After: 2 * time.Second}
	}
	return s.failStart(ctx, row, &startError{cause: CauseInternalError, message: "The app could not be started", err: err})
}

// removeRun takes away what a start has left that was overtaken.
func (s *Service) removeRun(ctx context.Context, row Session) *work.Outcome {
	d, err := s.driver(row.Driver)
	if err != nil {
		return nil
	}
	tidy, done := bounded(ctx, s.cfg.Grace+10*time.Second)
	defer done()
	if err := d.Stop(tidy, row.ID, row.Run, s.cfg.Grace); err != nil {
		return &work.Outcome{Err: err}
	}
	return nil
}

// bring does the steps of a start: permitted, image, create and start, answer.
func (s *Service) bring(ctx context.Context, row Session) error {
	d, err := s.driver(row.Driver)
	if err != nil {
		return &startError{cause: CauseSpec, message: err.Error()}
	}
	if err := s.stillAllowed(ctx, row); err != nil {
		return err
	}
	spec, err := s.specOf(ctx, row)
	if err != nil {
		return err
	}
	began := s.now()
	report := func(step Step) {
		s.step(ctx, row.ID, row.Run, Progress{Step: step.Name, Message: step.Message, Progress: percents[step.Name] + portion(step), Done: step.Done, Total: step.Total})
	}
	if err := s.prepare(ctx, d, spec, report); err != nil {
		return err
	}
	began = s.metrics.stepped(row, "image", began, s.now())
	inst, err := d.Start(ctx, spec, report)
	switch {
	case err == nil:
	case fault.Is(err, fault.Missing):
		return &startError{cause: CauseImageMissing, message: err.Error(), err: err}
	case fault.Is(err, fault.Invalid):
		return &startError{cause: CauseSpec, message: err.Error(), err: err}
	default:
		return err
	}
	began = s.metrics.stepped(row, "start", began, s.now())
	if err := s.noteInstance(ctx, row, inst); err != nil {
		return err
	}
	if err := s.await(ctx, d, row, inst); err != nil {
		return err
	}
	s.metrics.stepped(row, "answer", began, s.now())
	up, err := s.move(ctx, row.ID, row.Run, evAnswer, func(r *Session) {
		r.Ready, r.Percent, r.Step, r.Message = s.now(), 100, "answer", "Ready"
		r.Active, r.ActiveBy = r.Ready, "start"
	})
	if err == nil {
		s.metrics.started(up)
	}
	return err
}

// portion is how much of its step's share a step has done.
func portion(step Step) int {
	if step.Total <= 0 {
		return 0
	}
	return int(40 * min(step.Done, step.Total) / step.Total)
}

// prepare fetches the image, three times at most while the network is bad.
func (s *Service) prepare(ctx context.Context, d Driver, spec Spec, report func(Step)) error {
	const tries = 3
	for n := 1; ; n++ {
		err := d.Prepare(ctx, spec, report)
		switch {
		case err == nil, ctx.Err() != nil, fault.Is(err, fault.Unavailable), fault.Is(err, fault.Exhausted):
			return err
		case fault.Is(err, fault.Missing):
			return &startError{cause: CauseImageMissing, message: err.Error(), err: err}
		case fault.Is(err, fault.Invalid):
			return &startError{cause: CauseSpec, message: err.Error(), err: err}
		case n == tries:
			return &startError{cause: CausePullFailed, message: "The image could not be fetched: " + err.Error(), err: err}
		}
		wait := time.Duration(n*n) * 2 * time.Second
		report(Step{Name: "image", Message: fmt.Sprintf("The image could not be fetched; next try in %s", wait)})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// stillAllowed asks once more: between the launch and here lies the queue.
func (s *Service) stillAllowed(ctx context.Context, row Session) error {
	denied := &startError{cause: CauseDeniedNow, message: CauseDeniedNow.advice()}
	c := &access.Caller{
		UserID: row.OwnerID, Issuer: row.By.Issuer, Subject: row.By.Subject, Name: row.By.Name, Email: row.By.Email, Roles: row.By.Roles, Admin: row.By.Admin,
	}
	if row.By.Person {
		u, err := s.access.Known(ctx, row.OwnerID)
		if fault.Is(err, fault.Denied) || fault.Is(err, fault.Unauthenticated) {
			denied.err = err
			return denied
		}
		if err != nil {
			return err
		}
		c.Admin = u.Admin
		c.Roles = append(append([]access.Role(nil), u.Roles...), row.By.Roles...)
	} else {
		c.UserID, c.Credential = "", access.Credential{Kind: "token", ID: row.OwnerID}
	}
	a, err := s.entry(ctx, row.App)
	if fault.Is(err, fault.Missing) {
		return &startError{cause: CauseSpec, message: "The app is not in the catalogue any more"}
	}
	if err != nil {
		return err
	}
	if _, err := s.may(access.WithCaller(ctx, c), Launch, a); fault.Is(err, fault.Missing) {
		denied.err = err
		return denied
	} else if err != nil {
		return err
	}
	return nil
}

// specOf makes what the driver is asked to run.
func (s *Service) specOf(ctx context.Context, row Session) (Spec, error) {
	owner, err := s.store.owner(ctx, s.store.db, row.OwnerID)
	if err != nil {
		return Spec{}, fmt.Errorf("find the owner: %w", err)
	}
	spec, wrong := row.Entry.resolve(place{owner: owner, name: row.Name, session: row.ID, host: s.hostOf(row), prefix: s.prefixOf(row)}, row.Options, true)
	if wrong != nil {
		return Spec{}, &startError{cause: CauseSpec, message: wrong.Error()}
	}
	if spec.Secrets, err = row.Entry.secrets(); err != nil {
		return Spec{}, &startError{cause: CauseSpec, message: "A secret of the app cannot be read", err: err}
	}
	spec.Installation, spec.Run, spec.GraceStop = s.installation, row.Run, s.cfg.Grace
	return spec, nil
}

// noteInstance keeps where an instance listens.
func (s *Service) noteInstance(ctx context.Context, row Session, inst Instance) error {
	result, err := s.store.db.Exec(ctx, "UPDATE app_sessions SET address = ?, image_digest = ?, version = version + 1 WHERE id = ? AND run = ? AND state = 'starting'",
		inst.Address, clip(inst.ImageDigest, 255), row.ID, row.Run)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errMoved)
	}
	return nil
}

// await waits until the instance answers.
func (s *Service) await(ctx context.Context, d Driver, row Session, inst Instance) error {
	began := s.now()
	limit := time.Duration(row.Entry.Ready.Timeout)
	pause, told := 10*time.Millisecond, began
	if !s.step(ctx, row.ID, row.Run, Progress{Step: "answer", Progress: percents["answer"], Message: "Waiting for the app to answer"}) {
		return errMoved
	}
	for n := 1; ; n++ {
		last := s.front.probe(ctx, row, inst.Address)
		if last == nil {
			return nil
		}
		if ended, err := d.Look(ctx, row.ID); err == nil && ended.Exit != nil {
			return endedEarly(*ended.Exit)
		} else if fault.Is(err, fault.Missing) {
			return &startError{cause: CauseLost, message: CauseLost.advice()}
		}
		if s.now().Sub(began) > limit {
			return &startError{cause: CauseNotAnswering, message: fmt.Sprintf("It did not answer within %s: %v", limit, last)}
		}
		if now := s.now(); now.Sub(told) > 2*time.Second {
			told = now
			done := percents["answer"] + int(19*now.Sub(began)/max(limit, 1))
			if !s.step(ctx, row.ID, row.Run, Progress{Step: "answer", Progress: done, Message: fmt.Sprintf("Try %d: %v", n, last)}) {
				return errMoved
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(pause*3/2, time.Second)
	}
}

func endedEarly(exit Exit) error {
	if exit.OOM {
		return &startError{cause: CauseOutOfMemory, message: CauseOutOfMemory.advice()}
	}
	return &startError{cause: CauseExitedEarly, message: "The app ended before it answered, " + exit.String()}
}

// String says how it ended.
func (e Exit) String() string {
	switch {
	case e.OOM:
		return "out of memory"
	case e.Signal != "":
		return "by the signal " + e.Signal
	case e.Code != nil:
		return fmt.Sprintf("with the exit code %d", *e.Code)
	}
	return "and nobody saw how"
}

// failStart removes what a start has made, and keeps why it failed.
func (s *Service) failStart(ctx context.Context, row Session, why *startError) *work.Outcome {
	if err := s.bury(ctx, row, why.cause, why.message); err != nil {
		return &work.Outcome{Err: errors.Join(why, err), After: 2 * time.Second}
	}
	if why.err != nil {
		s.log.WarnContext(ctx, "start failed", slog.String("session", row.ID), slog.Any("error", why.err))
	}
	return nil
}

// bury ends what is left of a live app session and marks it as failed.
func (s *Service) bury(ctx context.Context, row Session, cause Cause, message string) error {
	d, err := s.driver(row.Driver)
	var exit *Exit
	var tail string
	if err == nil {
		tidy, done := bounded(ctx, s.cfg.Grace+15*time.Second)
		defer done()
		ctx = tidy
		if inst, err := d.Look(ctx, row.ID); err == nil {
			exit = inst.Exit
		}
		tail = s.tail(ctx, d, row)
		if err := d.Stop(ctx, row.ID, row.Run, s.cfg.Grace); err != nil {
			return fmt.Errorf("remove what is left: %w", err)
		}
	}
	_, err = s.move(ctx, row.ID, row.Run, evFail, func(r *Session) {
		r.Cause, r.Message, r.Exit, r.LogTail = cause, message, exit, tail
		if cause.theApps() {
			r.Failures = append(recent(r.Failures, s.now()), s.now())
		}
	})
	if errors.Is(err, errMoved) || errors.Is(err, errNoRow) {
		return nil
	}
	return err
}

const (
	tailLines = 50
	tailBytes = 32 << 10
)

// tail is the end of an instance's log, without its secrets.
func (s *Service) tail(ctx context.Context, d Driver, row Session) string {
	r, err := d.Logs(ctx, row.ID, tailLines, false)
	if err != nil {
		return ""
	}
	defer func() { _ = r.Close() }()
	text, err := io.ReadAll(io.LimitReader(r, 4*tailBytes))
	if err != nil && len(text) == 0 {
		return ""
	}
	if len(text) > tailBytes {
		text = text[len(text)-tailBytes:]
	}
	secrets, err := row.Entry.secrets()
	if err != nil {
		s.log.DebugContext(ctx, "secrets could not be read for masking", slog.Any("error", err))
	}
	return strings.TrimRight(mask(storable(string(text)), secrets), "\n")
}
