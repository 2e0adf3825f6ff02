package apps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"lodge/internal/audit"
	"lodge/internal/database"
)

// The kinds of work. Their ids name the app session and its run.
const (
	startKind = "app.start"
	stopKind  = "app.stop"
)

// errMoved says that an app session is not any more where somebody thought it was.
var errMoved = errors.New("the app session is in another state by now")

// move takes an app session from its state by an event, in one transaction with its record, its
// event and the work that follows. edit changes the row; it may run twice. run, unless 0, must be
// the row's.
func (s *Service) move(ctx context.Context, id string, run int64, e event, edit func(*Session)) (Session, error) {
	var after Session
	for try := 0; ; try++ {
		err := s.store.db.Tx(ctx, func(tx *database.Tx) error {
			row, err := s.store.session(ctx, tx, id)
			if err != nil {
				return err
			}
			to, ok := next(row.State, e)
			if !ok || run != 0 && row.Run != run {
				return errMoved
			}
			row.State = to
			edit(&row)
			after = row
			return s.settle(ctx, tx, &after, e)
		})
		if errors.Is(err, errStale) && try < 20 {
			continue
		}
		if err != nil {
			return Session{}, err
		}
		s.after(ctx, after)
		return after, nil
	}
}

// settle writes a row that has moved, and everything that belongs to it.
func (s *Service) settle(ctx context.Context, tx *database.Tx, row *Session, e event) error {
	now := s.now()
	if row.State == Failed || row.State == Stopped {
		row.Ended = now
		row.Address = ""
	}
	if err := s.store.updateSession(ctx, tx, row); err != nil {
		return err
	}
	if err := s.store.addEvent(ctx, tx, row, now, s.progressOf(*row)); err != nil {
		return err
	}
	switch e {
	case evBegin:
		if err := s.queue.Add(ctx, tx, startKind, workID(*row), now); err != nil {
			return err
		}
	case evStop:
		if err := s.queue.Add(ctx, tx, stopKind, workID(*row), now); err != nil {
			return err
		}
	default:
	}
	if err := s.record(ctx, tx, *row, e); err != nil {
		return err
	}
	if e == evBegin {
		return nil // promote is at work
	}
	return s.promote(ctx, tx)
}

// record writes the audit record of starts, stops and failures.
func (s *Service) record(ctx context.Context, tx *database.Tx, row Session, e event) error {
	entry := audit.Entry{Group: string(row.Entry.Group), Object: "app session " + row.ID, Detail: fmt.Sprintf("%s of %s", row.App, row.By.Name)}
	switch e {
	case evLaunch:
		entry.Action = string(Launch)
	case evStop:
		entry.Action, entry.Rule = string(Stop), "cause "+string(row.Cause)
	case evFail:
		entry.Action, entry.Outcome, entry.Rule = string(Launch), audit.Failed, "cause "+string(row.Cause)
	default:
		return nil
	}
	return s.audit.Record(ctx, tx, entry)
}

// promote gives free places to those who wait.
func (s *Service) promote(ctx context.Context, tx *database.Tx) error {
	queue, err := s.store.waiting(ctx, tx, Queued)
	if err != nil || len(queue) == 0 {
		return err
	}
	if err := s.store.takeTurn(ctx, tx); err != nil {
		return err
	}
	// Others may have been at it while we waited for our turn.
	if queue, err = s.store.waiting(ctx, tx, Queued); err != nil {
		return err
	}
	starting, err := s.store.waiting(ctx, tx, Starting)
	if err != nil {
		return err
	}
	now := s.now()
	failing, err := s.store.failingApps(ctx, tx, now.Add(-crashWindow))
	if err != nil {
		return err
	}
	for _, w := range admit(queue, starting, s.cfg.Limits.StartsAtOnce, failing) {
		row, err := s.store.session(ctx, tx, w.id)
		if err != nil {
			return err
		}
		row.State, row.Started, row.Step, row.Percent, row.Message = Starting, now, "permitted", percents["queued"], "A place is free"
		if err := s.settle(ctx, tx, &row, evBegin); err != nil {
			return err
		}
	}
	return nil
}

// after tells everybody of a change that is committed.
func (s *Service) after(ctx context.Context, row Session) {
	s.tell(row.ID)
	s.cfg.Changed("sessions")
	switch row.State {
	case Queued, Starting, Running, Stopped, Failed:
		s.queue.Wake(startKind) // of this one, or of one that takes its place
	case Stopping:
		s.interrupt(row.ID, errMoved)
		s.queue.Wake(stopKind)
	case Absent:
	}
	s.metrics.moved(row)
	if row.State == Failed {
		s.log.WarnContext(ctx, "app session failed", slog.String("session", row.ID), slog.String("app", string(row.App)),
			slog.String("cause", string(row.Cause)), slog.String("message", row.Message))
	}
}

// step writes down how far a start is. It is false when the start is over.
func (s *Service) step(ctx context.Context, id string, run int64, p Progress) bool {
	var moved bool
	err := s.store.db.Tx(ctx, func(tx *database.Tx) error {
		moved = false
		row, err := s.store.session(ctx, tx, id)
		if err != nil || row.Run != run || row.State != Starting {
			return err
		}
		row.Step, row.Message = p.Step, p.Message
		row.Percent = max(row.Percent, p.Progress)
		if err := s.store.updateSession(ctx, tx, &row); err != nil {
			return err
		}
		event := s.progressOf(row)
		event.Done, event.Total = p.Done, p.Total
		moved = true
		return s.store.addEvent(ctx, tx, &row, s.now(), event)
	})
	if err != nil {
		// A lost step is no lost start.
		s.log.DebugContext(ctx, "a step was not written down", slog.String("session", id), slog.Any("error", err))
		return true
	}
	if moved {
		s.tell(id)
	}
	return moved
}

// progressOf is a row as an event.
func (s *Service) progressOf(row Session) Progress {
	p := Progress{Progress: row.Percent, Step: row.Step, Message: row.Message, State: row.State}
	switch row.State {
	case Running:
		p.Progress, p.Ready, p.URL = 100, true, s.url(row)
	case Failed:
		p.Failed, p.Cause = true, row.Cause
		p.Message = cmp.Or(row.Message, row.Cause.advice())
	case Stopping, Stopped:
		p.Cause = row.Cause
	case Absent, Queued, Starting:
	}
	return p
}

// interrupt cuts a start of this process short.
func (s *Service) interrupt(id string, why error) {
	s.mu.Lock()
	cancel := s.starting[id]
	s.mu.Unlock()
	if cancel != nil {
		cancel(why)
	}
}

// bounded gives a context that lasts a little even when ctx is over, to tidy up.
func bounded(ctx context.Context, lasts time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), lasts)
}
