package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

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

// Renew makes the caller anew, with the roles that they have by now, for a connection that outlives its
// request. It fails as fault.Unauthenticated when they could not come in any more.
func (s *Service) Renew(ctx context.Context, c *access.Caller) (*access.Caller, error) {
	if err := s.Recheck(access.WithCaller(ctx, c)); err != nil {
		return nil, err
	}
	now := *c
	switch c.Credential.Kind {
	case "session":
		return s.SessionCaller(ctx, c.Credential.ID)
	case "token":
		row, err := s.tokenByID(ctx, c.Credential.ID)
		if err != nil {
			return nil, err
		}
		now.Roles, now.Admin = row.Roles, row.Admin
	default:
		if c.UserID == "" {
			break
		}
		u, err := s.access.Known(ctx, c.UserID)
		if err != nil {
			return nil, unknown(err)
		}
		now.Roles, now.Admin = u.Roles, u.Admin
		for _, is := range s.issuers {
			if is.id == c.Issuer && is.RoleClaim != "" {
				now.Roles = union(u.Roles, rolesIn(c.Claims, is.RoleClaim))
			}
		}
	}
	return &now, nil
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

// assertionType keeps assertions from being taken for anything else that the site's key signs.
const assertionType = "lodge-assertion+jwt"

// Assert gives a token by which the audience can tell who calls, for so long. It lets nobody in here.
func (s *Service) Assert(c *access.Caller, audience string, lasts time.Duration) (string, error) {
	now := s.now()
	signed, err := jwt.Signed(s.own.vouching).Claims(map[string]any{
		"iss": s.cfg.PublicURL, "aud": audience, "sub": c.Subject, "idp": c.Issuer, "name": c.Name, "email": c.Email, "roles": c.Roles,
		"iat": now.Unix(), "exp": now.Add(lasts).Unix(),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign an assertion: %w", err)
	}
	return signed, nil
}

// LoggedIn reports whether somebody is logged in with any browser.
func (s *Service) LoggedIn(ctx context.Context, userID string) (bool, error) {
	live, args := liveSessions(s.now(), s.cfg.SessionIdle)
	list, _, err := listSessions(ctx, s.db, userID, live, args, 1, 0)
	return len(list) > 0, err
}
