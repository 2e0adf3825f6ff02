package apps

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/work"
)

// StopSession ends an app session. One that has ended already, or is about to, is given as it is.
// With forget its row, its logs and what it alone stored go as well.
func (s *Service) StopSession(ctx context.Context, id string, forget bool) (Session, error) {
	row, ctx, err := s.find(ctx, id, Stop, StopAny)
	if err != nil {
		return Session{}, err
	}
	cause := CauseUser
	if owner, _ := ownerOf(access.CallerFrom(ctx)); owner.ID != row.OwnerID {
		cause = CauseAdmin
	}
	if row.State.Live() {
		if row, err = s.stop(ctx, row, cause); err != nil {
			return Session{}, err
		}
	}
	if forget {
		return s.forget(ctx, row)
	}
	return row, nil
}

// stop lets a live app session end.
func (s *Service) stop(ctx context.Context, row Session, cause Cause) (Session, error) {
	after, err := s.move(ctx, row.ID, row.Run, evStop, func(r *Session) {
		r.Cause, r.Message = cause, cause.advice()
	})
	if errors.Is(err, errMoved) {
		// It was faster; how it stands now is the answer.
		after, err = s.store.session(ctx, s.store.db, row.ID)
		err = missing(err)
	}
	if err == nil && after.State == Stopping {
		s.metrics.stopped(after)
	}
	return after, err
}

// workStop ends an instance, for as long as that takes.
func (s *Service) workStop(ctx context.Context, text string) *work.Outcome {
	id, run := parseWorkID(text)
	row, err := s.store.session(ctx, s.store.db, id)
	switch {
	case errors.Is(err, errNoRow):
		return nil
	case err != nil:
		return &work.Outcome{Err: err}
	case row.State != Stopping || row.Run != run:
		return nil
	}
	d, err := s.driver(row.Driver)
	if err != nil {
		return &work.Outcome{Err: err, After: time.Minute}
	}
	tail := s.tail(ctx, d, row)
	if err := d.Stop(ctx, row.ID, row.Run, s.cfg.Grace); err != nil {
		return &work.Outcome{Err: fmt.Errorf("stop app session %s: %w", id, err)}
	}
	_, err = s.move(ctx, id, run, evGone, func(r *Session) { r.LogTail = tail })
	if err != nil && !errors.Is(err, errMoved) && !errors.Is(err, errNoRow) {
		return &work.Outcome{Err: err}
	}
	return nil
}

// forget removes the row of an app session once it has ended.
func (s *Service) forget(ctx context.Context, row Session) (Session, error) {
	row, err := s.waitFor(ctx, row.ID, 20*time.Second, func(r Session) bool { return r.State.settled() })
	if err != nil {
		return Session{}, missing(err)
	}
	if !row.State.settled() || row.State == Running {
		return Session{}, fault.New(fault.Conflict, "the app session is still being stopped; ask again in a moment")
	}
	d, err := s.driver(row.Driver)
	if err != nil {
		return Session{}, err
	}
	if err := d.Forget(ctx, row.ID); err != nil {
		return Session{}, fmt.Errorf("forget app session %s: %w", row.ID, err)
	}
	err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
		now, err := s.store.session(ctx, tx, row.ID)
		if err != nil {
			return err
		}
		if now.Version != row.Version {
			return fault.New(fault.Conflict, "the app session was started again")
		}
		for _, kind := range []string{startKind, stopKind} {
			if err := s.queue.Remove(ctx, tx, kind, workID(row)); err != nil {
				return err
			}
		}
		return s.store.deleteSession(ctx, tx, row.ID)
	})
	if err != nil {
		return Session{}, missing(err)
	}
	s.tell(row.ID)
	return row, nil
}

// Restart stops an app session if need be and launches it again, with the same choices.
func (s *Service) Restart(ctx context.Context, id string) (Session, error) {
	row, ctx, err := s.find(ctx, id, Launch, StopAny)
	if err != nil {
		return Session{}, err
	}
	if row.State.Live() {
		if row, err = s.stop(ctx, row, CauseUser); err != nil {
			return Session{}, err
		}
	}
	if row.State == Stopping {
		if row, err = s.waitFor(ctx, id, s.cfg.Grace+10*time.Second, func(r Session) bool { return r.State != Stopping }); err != nil {
			return Session{}, missing(err)
		}
	}
	req := Request{App: row.App, Name: row.Name, Options: row.Options}
	if owner, _ := ownerOf(access.CallerFrom(ctx)); owner.ID != row.OwnerID {
		req.For = row.OwnerID
	}
	row, _, err = s.Launch(ctx, req)
	return row, err
}

// Extend puts off the end of an app session, to a time or by the entry's step, within what the entry allows.
func (s *Service) Extend(ctx context.Context, id string, until time.Time) (Session, error) {
	row, ctx, err := s.find(ctx, id, Launch, StopAny)
	if err != nil {
		return Session{}, err
	}
	if row.State != Running {
		return Session{}, fault.New(fault.Conflict, "the app session does not run")
	}
	end, _ := expiry(row)
	if end.IsZero() {
		return Session{}, fault.New(fault.Conflict, "this app session does not end by itself")
	}
	more := time.Duration(row.Entry.Extend.Step)
	if !until.IsZero() {
		more = until.Sub(end)
	}
	if more <= 0 || row.Extended+more > time.Duration(row.Entry.Extend.Max) {
		return Session{}, fault.New(fault.Conflict, "it can be extended by %s in all", time.Duration(row.Entry.Extend.Max))
	}
	return s.edit(ctx, row, func(r *Session) { r.Extended += more; r.Warned = time.Time{} })
}

// edit changes a row without moving it to another state.
func (s *Service) edit(ctx context.Context, row Session, change func(*Session)) (Session, error) {
	var after Session
	for try := 0; ; try++ {
		err := s.store.db.Tx(ctx, func(tx *database.Tx) error {
			now, err := s.store.session(ctx, tx, row.ID)
			if err != nil {
				return err
			}
			if now.Run != row.Run || now.State != row.State {
				return errMoved
			}
			change(&now)
			after = now
			if err := s.store.updateSession(ctx, tx, &after); err != nil {
				return err
			}
			return s.store.addEvent(ctx, tx, &after, s.now(), s.progressOf(after))
		})
		if errors.Is(err, errStale) && try < 20 {
			continue
		}
		if errors.Is(err, errMoved) {
			return Session{}, fault.Wrap(err, fault.Conflict, "the app session has changed; ask again")
		}
		if err == nil {
			s.tell(row.ID)
			s.cfg.Changed("sessions")
		}
		return after, missing(err)
	}
}

// StopAll stops everything that runs or is about to, side by side, and says how many have ended and
// how many have not within ctx.
func (s *Service) StopAll(ctx context.Context) (ended, left int) {
	rows, err := s.store.sessions(ctx, s.store.db, filter{states: []State{Queued, Starting, Running, Stopping}})
	if err != nil {
		s.log.WarnContext(ctx, "the apps could not be stopped", "error", err)
		return 0, 0
	}
	var gone atomic.Int64
	var group sync.WaitGroup
	for _, row := range rows {
		group.Go(func() {
			if row.State != Stopping {
				if _, err := s.stop(ctx, row, CauseExit); err != nil && !fault.Is(err, fault.Conflict) {
					s.log.WarnContext(ctx, "an app session could not be stopped", "session", row.ID, "error", err)
					return
				}
			}
			if row, err := s.waitFor(ctx, row.ID, time.Minute, func(r Session) bool { return r.State == Stopped || r.State == Failed }); err == nil && row.State != Stopping {
				gone.Add(1)
			}
		})
	}
	group.Wait()
	return int(gone.Load()), len(rows) - int(gone.Load())
}
