package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lodge/internal/database"
)

// revocations is where replicas tell each other what was revoked: "token ID" or "session ID". It
// only makes the second shorter that a row may be remembered.
const revocations = "lodge.identity.revoked"

// announce makes a revocation hold at once here, and soon elsewhere.
func (s *Service) announce(kind, id string) {
	s.forget(kind, id)
	if s.bus != nil {
		if err := s.bus.Publish(revocations, []byte(kind+" "+id)); err != nil {
			s.log.Warn("a revocation could not be announced; other replicas see it within a second", "err", err)
		}
	}
}

func (s *Service) forget(kind, id string) {
	switch kind {
	case "token":
		s.tokens.forget(id)
	case "session":
		s.sessions.forget(id)
	}
}

func (s *Service) runRevocations(ctx context.Context) error {
	messages, err := s.bus.Subscribe(ctx, revocations, 256)
	if err != nil {
		return fmt.Errorf("hear of revocations: %w", err)
	}
	for m := range messages {
		if kind, id, ok := strings.Cut(string(m.Data), " "); ok {
			s.forget(kind, id)
		}
	}
	return nil
}

// touch is a use of a token or session that is to be written down.
type touch struct {
	table, id string
	at        time.Time
}

// touch notes a use, once a minute and thing. When too many wait, it is left out: the next use
// says the same.
func (s *Service) touch(table, id string, at time.Time) {
	if !s.attempts.add("touch "+id, struct{}{}, at, at.Add(time.Minute/2)) {
		return
	}
	select {
	case s.touched <- touch{table, id, at}:
	default:
	}
}

func (s *Service) runTouches(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case t := <-s.touched:
			if err := s.writeTouch(ctx, t); err != nil && ctx.Err() == nil {
				s.log.Warn("the use of a credential could not be written down", "kind", t.table, "id", t.id, "err", err)
			}
		}
	}
}

func (s *Service) writeTouch(ctx context.Context, t touch) error {
	query := "UPDATE sessions SET seen_at = ? WHERE id = ? AND seen_at < ?"
	if t.table == "tokens" {
		query = "UPDATE tokens SET used_at = ? WHERE id = ? AND (used_at IS NULL OR used_at < ?)"
	}
	at := database.Micros(t.at)
	_, err := s.db.Exec(ctx, query, at, t.id, at)
	return err
}

const (
	cleanEvery = time.Hour
	// keepSessions and keepTokens are how long those that are over can still be looked up.
	keepSessions = 7 * 24 * time.Hour
	keepTokens   = 90 * 24 * time.Hour
)

// runCleaning removes what has been over for long. Every replica does: it is done in a moment, and
// twice is no harm.
func (s *Service) runCleaning(ctx context.Context) error {
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		if err := s.clean(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("old sessions and tokens could not be removed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Service) clean(ctx context.Context) error {
	now := s.now()
	for table, keep := range map[string]time.Duration{"sessions": keepSessions, "tokens": keepTokens} {
		before := database.Micros(now.Add(-keep))
		if _, err := s.db.Exec(ctx, "DELETE FROM "+table+" WHERE expires_at < ? OR revoked_at < ?", before, before); err != nil {
			return fmt.Errorf("remove old %s: %w", table, err)
		}
	}
	return nil
}
