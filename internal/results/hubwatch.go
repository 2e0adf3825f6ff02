package results

import (
	"context"
	"errors"
	"sync"
	"time"

	"lodge/internal/database"
	"lodge/internal/fault"
)

// linkState is what is known of the way to the hub: in this process, from its own calls.
type linkState struct {
	mu          sync.Mutex
	known       bool
	unreachable time.Time // since when; zero while the hub answers
	reason      string
	back        bool // it answers again, and nobody has drawn the conclusions yet
}

// note learns from a call's outcome. Only silence counts: a hub that answers, however wrongly, is there.
func (l *linkState) note(now time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil, fault.Is(err, fault.Missing), fault.Is(err, fault.Upstream), errors.Is(err, errNotProvisioned):
		// The first answer counts as well: who knows how long the hub was away before we asked.
		l.back = l.back || !l.known || !l.unreachable.IsZero()
		l.known, l.unreachable, l.reason = true, time.Time{}, ""
	case fault.Is(err, fault.Timeout), fault.Is(err, fault.Unavailable):
		if l.unreachable.IsZero() {
			l.unreachable = now
		}
		l.known, l.reason, l.back = true, inWords(err), false
	default: // our own failure, or a caller that went away, says nothing about the hub
	}
}

// state gives since when the hub is unreachable (zero: it is not), why, and whether it was asked yet.
func (l *linkState) state() (since time.Time, reason string, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unreachable, l.reason, l.known
}

// isBack says, once, that the hub answers again.
func (l *linkState) isBack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	back := l.back
	l.back = false
	return back
}

// How often an idle site asks whether its hub is there: seldom while it is, more often while
// something may be waiting for it.
const (
	watchPause = 15 * time.Second
	awayPause  = 2 * time.Second
)

// runHubWatch notices when the hub goes and comes, and lets nothing wait for it that need not.
func (s *Service) runHubWatch(ctx context.Context) error {
	away := false
	for {
		s.link.note(s.now(), s.hub.Check(ctx))
		since, reason, _ := s.link.state()
		pause := watchPause
		if !since.IsZero() {
			pause = awayPause
		}
		if away != !since.IsZero() {
			if away = !away; away {
				s.log.Warn("the hub cannot be reached; final results wait", "reason", reason)
			} else {
				s.log.Info("the hub can be reached again")
			}
			s.cfg.Changed("uploads", "", "")
		}
		if s.link.isBack() {
			if err := s.hurry(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("uploads wait longer than they need to", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// hurry makes the uploads due that wait for a hub that was away.
func (s *Service) hurry(ctx context.Context) error {
	const batch = 100
	for last := ""; ; {
		ids, err := s.store.queuedUploads(ctx, batch, last)
		if err != nil || len(ids) == 0 {
			return err
		}
		err = s.store.db.Tx(ctx, func(tx *database.Tx) error {
			for _, id := range ids {
				if err := s.queue.Retry(ctx, tx, uploadKind, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.queue.Wake(uploadKind)
		last = ids[len(ids)-1]
	}
}

// CheckHub says how the hub is, for readiness and health pages. Without a hub all is well: nothing is
// expected of one.
func (s *Service) CheckHub(ctx context.Context) error {
	if s.hub == nil {
		return nil
	}
	err := s.hub.Check(ctx)
	s.link.note(s.now(), err)
	return err
}
