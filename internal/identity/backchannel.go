package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

const (
	backchannelPath = "/auth/backchannel-logout"
	// logoutEvent is what makes a token a logout token.
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

type backchannelForm struct {
	Token string `json:"logout_token" doc:"A logout token of the provider"`
}

// logout says whose logins a provider has ended: those of a subject, or one by the provider's id for it.
type logout struct {
	issuer       string
	subject, sid string
}

// handleBackchannel is where a provider tells that somebody has logged out there.
func (s *Service) handleBackchannel(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	l, err := s.believeLogout(r.Context(), r.PostFormValue("logout_token"))
	if fault.Is(err, fault.Unauthenticated) {
		s.refused(context.WithValue(r.Context(), requestKey{}, request{r.Method, r.URL.Path}), "logout", access.Site, err)
		return httpapi.JSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": "the logout token is not valid"})
	}
	if err != nil {
		return err
	}
	if err := s.endLogins(r.Context(), l); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// believeLogout verifies a logout token: by one of the providers that people log in at, for us, about a
// logout and about no login.
func (s *Service) believeLogout(ctx context.Context, token string) (logout, error) {
	var l logout
	if len(token) > maxToken {
		return l, bad("longer than %d bytes", maxToken)
	}
	head, claims, err := parseTyped(token, "", "jwt", "logout+jwt")
	if err != nil {
		return l, bad("%w", err)
	}
	providers := s.providers()
	at := slices.IndexFunc(providers, func(is *issuer) bool { return claims["iss"] == is.Issuer.Issuer })
	if at < 0 {
		return l, bad("nobody logs in at its issuer")
	}
	is := providers[at]
	if err := is.signed(ctx, token, head); err != nil {
		return l, err
	}
	if _, err := checkTimes(claims, s.now(), true); err != nil {
		return l, bad("%w", err)
	}
	if err := checkAudience(claims, []string{is.ClientID}); err != nil {
		return l, bad("%w", err)
	}
	return readLogout(is.id, claims)
}

func readLogout(issuer string, claims map[string]any) (logout, error) {
	l := logout{issuer: issuer}
	events, _ := claims["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok {
		return l, bad("it tells of no logout")
	}
	if _, there := claims["nonce"]; there {
		return l, bad("it is of a login")
	}
	l.subject, _ = claims["sub"].(string)
	if l.sid, _ = claims["sid"].(string); l.sid == "" && l.subject == "" {
		return l, bad("it says neither who nor which login")
	}
	return l, nil
}

// endLogins ends what a provider has ended: the one login if it says which, or else all of the person's.
func (s *Service) endLogins(ctx context.Context, l logout) error {
	ctx = access.WithCaller(ctx, &access.Caller{Issuer: l.issuer, Subject: l.subject, Name: "the identity provider", Credential: access.Credential{Kind: "logout token"}})
	ctx = access.WithDecision(ctx, access.Decision{Allowed: true, Rule: "logged out at " + l.issuer})
	like := l.sid
	if like == "" {
		like = l.subject
	}
	quoted, err := json.Marshal(like)
	if err != nil {
		return err
	}
	live, args := liveSessions(s.now(), s.cfg.SessionIdle)
	rows, err := s.db.Query(ctx, "SELECT "+sessionColumns+" WHERE "+live+" AND s.claims LIKE ? ESCAPE '!'", append(args, database.Contains(string(quoted)))...)
	if err != nil {
		return fmt.Errorf("find logins: %w", err)
	}
	found, err := database.Collect(rows, err, func(rows database.Rows) (*sessionRow, error) { return scanSession(rows) })
	if err != nil {
		return fmt.Errorf("find logins: %w", err)
	}
	for _, row := range found {
		sid, _ := row.claims.Claims["sid"].(string)
		sub, _ := row.claims.Claims["sub"].(string)
		theirs := row.claims.Issuer == l.issuer && (l.sid == "" || sid == l.sid) && (l.subject == "" || sub == l.subject)
		if !theirs {
			continue
		}
		if err := s.endSession(ctx, row.ID, "logout", row.UserName+" was logged out by the provider"); err != nil {
			return err
		}
	}
	return nil
}
