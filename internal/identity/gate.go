package identity

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/fault"
)

// request is what an audit record of a refusal names.
type request struct{ method, path string }

type requestKey struct{}

// Authenticate finds the caller; see httpapi.Gate. An Authorization header goes before the session
// cookie, and both before the trusted header. A cookie that is no longer good is no credential at
// all: the browser sends it without being asked, and whoever has one must reach the login.
func (s *Service) Authenticate(r *http.Request) (context.Context, error) {
	header, headerErr := s.takeHeader(r)
	ctx := context.WithValue(r.Context(), requestKey{}, request{r.Method, r.URL.Path})

	alike := slices.ContainsFunc(s.cfg.TokenScheme, func(path string) bool { return strings.HasPrefix(r.URL.Path, path) })
	token, err := bearer(r.Header, alike)
	if err == nil {
		switch {
		case token != "":
			ctx, err = s.withToken(ctx, token)
		case headerErr != nil:
			err = headerErr
		default:
			ctx, err = s.withAmbient(ctx, r, header)
		}
	}
	if err != nil {
		if fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.Denied) {
			s.refused(ctx, "login", access.Site, err)
		}
		return nil, err
	}
	return ctx, nil
}

// withAmbient looks at what browsers and proxies add by themselves, which other sites can make
// them do: writes need a sign that it was not another site.
func (s *Service) withAmbient(ctx context.Context, r *http.Request, header string) (context.Context, error) {
	if value := s.sessionCookie(r); value != "" {
		c, err := s.sessionCaller(ctx, value)
		if err != nil {
			return ctx, err
		}
		if c != nil {
			ctx = access.WithCaller(ctx, c)
			return ctx, s.sameOrigin(r, true)
		}
	}
	if header != "" {
		c, err := s.userCaller(ctx, s.headerUser(header), access.Credential{Kind: "header"})
		if err != nil {
			return ctx, err
		}
		return access.WithCaller(ctx, c), s.sameOrigin(r, false)
	}
	return ctx, nil
}

// bearer gives the token of the Authorization header. Without one, or with nothing in it, there is
// none; another scheme is an error, but for "token" where that means the same. Of several headers the
// first counts.
func bearer(h http.Header, tokenToo bool) (string, error) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	token = strings.TrimSpace(token)
	if token == "" {
		return "", nil
	}
	if accepted := strings.EqualFold(scheme, "bearer") || tokenToo && strings.EqualFold(scheme, "token"); !accepted {
		return "", fault.Wrap(ErrScheme, fault.Unauthenticated, "the Authorization header must have the scheme Bearer")
	}
	return token, nil
}

func (s *Service) withToken(ctx context.Context, token string) (context.Context, error) {
	v, err := s.verify(ctx, token)
	if err != nil {
		return ctx, err
	}
	c, err := s.tokenCaller(ctx, v)
	if err != nil {
		return ctx, err
	}
	return access.WithCaller(ctx, c), nil
}

// tokenCaller makes the caller of a believed token.
func (s *Service) tokenCaller(ctx context.Context, v *verified) (*access.Caller, error) {
	if v.service {
		return s.serviceCaller(ctx, v)
	}
	credential := access.Credential{Kind: "bearer", ID: v.id}
	if v.anonymous { // a program without a subject is no person
		return &access.Caller{Issuer: v.issuer, Subject: v.subject, Name: v.name, Credential: credential, Roles: v.roles, Claims: v.claims}, nil
	}
	return s.userCaller(ctx, v, credential)
}

// userCaller makes the caller of a person, who comes to be at first sight.
func (s *Service) userCaller(ctx context.Context, v *verified, credential access.Credential) (*access.Caller, error) {
	u, err := s.access.FirstSight(ctx, v.issuer, v.subject, v.name, v.email)
	if err != nil {
		return nil, unknown(err)
	}
	return &access.Caller{
		UserID: u.ID, Issuer: v.issuer, Subject: v.subject, Name: cmp.Or(v.name, u.Name), Email: cmp.Or(v.email, u.Email),
		Credential: credential, Roles: union(u.Roles, v.roles), Admin: u.Admin, Claims: v.claims,
	}, nil
}

// unknown makes a disabled account read like any other bad credential.
func unknown(err error) error {
	if fault.Is(err, fault.Denied) || fault.Is(err, fault.Unauthenticated) {
		return bad("%w", err)
	}
	return err
}

// union gives the roles of both, once each, without touching either.
func union(a, b []access.Role) []access.Role {
	if len(b) == 0 {
		return slices.Clip(a)
	}
	all := slices.Clone(a)
	for _, r := range b {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// Authorize asks access, and writes every refusal down; see httpapi.Gate.
func (s *Service) Authorize(ctx context.Context, action, group string, inService bool) error {
	if access.CallerFrom(ctx) == nil {
		err := fault.Wrap(ErrNobody, fault.Unauthenticated, "log in first")
		// Every browser asks who it is before its person logs in: that is no attempt at anything.
		if access.Action(action) != access.Self {
			s.refused(ctx, access.Action(action), access.Group(group), err)
		}
		return err
	}
	if inService {
		return nil
	}
	d, err := s.access.Require(ctx, access.Action(action), access.Group(group))
	if fault.Is(err, fault.Denied) || fault.Is(err, fault.Unauthenticated) {
		s.refused(access.WithDecision(ctx, d), access.Action(action), access.Group(group), err)
	}
	return err
}

// Recheck says whether the context's caller could still come in: streams that outlive a second ask
// it now and then, and end when it fails. It asks caches that are a second old at most.
func (s *Service) Recheck(ctx context.Context) error {
	c := access.CallerFrom(ctx)
	if c == nil {
		return nil
	}
	switch c.Credential.Kind {
	case "token":
		row, err := s.tokenByID(ctx, c.Credential.ID)
		if err != nil {
			return err
		}
		return row.good(s.now())
	case "session":
		row, err := s.sessionByID(ctx, c.Credential.ID)
		if err != nil {
			return err
		}
		if !s.live(row) {
			return bad("session %s is over", row.ID)
		}
	case "bearer":
		if exp, ok := c.Claims["exp"].(float64); ok && exp+leeway.Seconds() < float64(s.now().Unix()) {
			return bad("it has expired")
		}
	}
	if c.UserID == "" {
		return nil
	}
	_, err := s.access.Known(ctx, c.UserID)
	return unknown(err)
}

// refused writes a refusal down. That it could not be written must not turn a refusal into
// something else, so it is only logged.
func (s *Service) refused(ctx context.Context, action access.Action, group access.Group, why error) {
	at, _ := ctx.Value(requestKey{}).(request)
	entry := audit.Entry{
		Action: string(action), Group: string(group), Object: at.method + " " + at.path,
		Outcome: "denied", Rule: access.DecisionFrom(ctx).Rule, Detail: reason(why),
	}
	if err := s.audit.Refused(ctx, entry); err != nil {
		s.log.ErrorContext(ctx, "a refusal could not be written to the audit log", "err", err)
	}
}

// reason is why, for the log: the cause if there is one.
func reason(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Err != nil {
		return f.Err.Error()
	}
	return err.Error()
}
