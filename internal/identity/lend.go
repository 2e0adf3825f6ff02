package identity

import (
	"context"
	"fmt"

	"lodge/internal/access"
	"lodge/internal/fault"
)

// SessionCaller makes the caller of a live session by its id, for a part that keeps a login of its
// own on another host and ties it to this one. It fails as fault.Unauthenticated once the session is
// over or its person is disabled.
func (s *Service) SessionCaller(ctx context.Context, id string) (*access.Caller, error) {
	row, err := s.sessionByID(ctx, id)
	if err != nil {
		return nil, err
	}
	c, err := s.callerOf(ctx, row)
	if err == nil && c == nil {
		return nil, bad("session %s is over", id)
	}
	return c, err
}

// Believes reports whether a bearer token would let somebody in here, so that a part that passes
// requests on does not pass such a token. Nothing is recorded: a token for somebody else is no attempt.
func (s *Service) Believes(ctx context.Context, token string) (bool, error) {
	v, err := s.verify(ctx, token)
	if fault.Is(err, fault.Unauthenticated) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at a token: %w", err)
	}
	return v != nil, nil
}

// LoggedIn reports whether somebody is logged in with any browser.
func (s *Service) LoggedIn(ctx context.Context, userID string) (bool, error) {
	live, args := liveSessions(s.now(), s.cfg.SessionIdle)
	list, _, err := listSessions(ctx, s.db, userID, live, args, 1, 0)
	return len(list) > 0, err
}
