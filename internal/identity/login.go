package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// loginPath and callbackPath are ours below the public address.
const (
	loginPath    = "/auth/login"
	callbackPath = "/auth/callback"
	// servicehubPath is where ServiceHub's providers know to send people back to.
	servicehubPath = "/redirect_uri"
)

// providers are the issuers that people can log in at with a browser.
func (s *Service) providers() []*issuer {
	var list []*issuer
	for _, is := range s.issuers {
		if is.ClientID != "" {
			list = append(list, is)
		}
	}
	return list
}

// client gives the OAuth client for a provider.
func (s *Service) client(ctx context.Context, is *issuer) (*oauth2.Config, *discovered, error) {
	d, err := is.discover(ctx)
	if err != nil {
		return nil, nil, err
	}
	if d.AuthURL == "" || d.TokenURL == "" {
		return nil, nil, away(fmt.Errorf("%s does not say where to log in", is.id))
	}
	return &oauth2.Config{
		ClientID: is.ClientID, ClientSecret: is.ClientSecret.Reveal(), RedirectURL: s.cfg.PublicURL + cmp.Or(s.cfg.Callback, callbackPath),
		Endpoint: oauth2.Endpoint{AuthURL: d.AuthURL, TokenURL: d.TokenURL}, Scopes: append([]string{oidc.ScopeOpenID, "profile", "email"}, is.Scopes...),
	}, d, nil
}

// handleLogin sends the browser to the provider.
func (s *Service) handleLogin(w http.ResponseWriter, r *http.Request) error {
	next := safeNext(r.URL.Query().Get("next"))
	if !strings.EqualFold(r.Host, s.public.Host) {
		// The provider sends people back to the public address, and cookies are by host: begin there.
		return redirect(w, s.cfg.PublicURL+loginPath+"?"+url.Values{"next": {next}}.Encode())
	}
	list := s.providers()
	choice, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("provider"), "0"))
	switch {
	case len(list) == 0:
		return s.page(w, r, http.StatusNotFound, "No login here", "This site has no provider to log in at with a browser. Use a token.", "")
	case err != nil || choice < 0 || choice >= len(list):
		return s.page(w, r, http.StatusBadRequest, "No such provider", "There is no provider of that number.", loginPath)
	case len(list) > 1 && !r.URL.Query().Has("provider"):
		return s.choosePage(w, r, list, next)
	}
	oauth, _, err := s.client(r.Context(), list[choice])
	if err != nil {
		s.log.WarnContext(r.Context(), "a provider does not answer", "issuer", list[choice].id, "err", err)
		return s.page(w, r, http.StatusBadGateway, "The login does not answer", "The provider that you log in at cannot be reached at the moment. Try again in a minute.", again(next))
	}
	a := attempt{
		State: randomText(), Nonce: randomText(), Verifier: oauth2.GenerateVerifier(),
		Next: next, Provider: choice, Until: s.now().Add(attemptTTL).Unix(),
	}
	if err := s.saveAttempt(w, r, a); err != nil {
		return err
	}
	return redirect(w, oauth.AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)))
}

// handleCallback is where the provider sends the browser back to.
func (s *Service) handleCallback(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	a, err := s.takeAttempt(w, r, q.Get("state"))
	if err != nil {
		return s.failed(w, r, http.StatusBadRequest, "The login could not be finished", "This login was not begun in this browser, has been used, or took longer than a quarter of an hour.", "/", err)
	}
	if code := q.Get("error"); code != "" {
		return s.failed(w, r, http.StatusForbidden, "You are not logged in", "The provider did not let you in.", a.Next, fmt.Errorf("the provider answered %q", clip(code, 100)))
	}
	u, v, token, err := s.finish(r.Context(), a, q.Get("code"), q.Get("iss"))
	switch {
	case fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.Denied):
		return s.failed(w, r, http.StatusForbidden, "You are not logged in", "The provider's answer was not accepted, or your account is disabled here.", a.Next, err)
	case err != nil:
		s.log.WarnContext(r.Context(), "a login could not be finished", "err", err)
		return s.failed(w, r, http.StatusBadGateway, "The login could not be finished", "The provider or the database did not answer as expected. Try again in a minute.", a.Next, err)
	}
	if err := s.startSession(w, r, u, v, token); err != nil {
		return err
	}
	return redirect(w, a.Next)
}

// finish exchanges the code and believes the ID token, or does not.
func (s *Service) finish(ctx context.Context, a attempt, code, from string) (access.User, *verified, *oauth2.Token, error) {
	var nobody access.User
	list := s.providers()
	if a.Provider >= len(list) || code == "" {
		return nobody, nil, nil, bad("no code, or a provider that is no more")
	}
	is := list[a.Provider]
	oauth, d, err := s.client(ctx, is)
	if err != nil {
		return nobody, nil, nil, err
	}
	if from != "" && from != is.Issuer.Issuer || from == "" && d.RequiresIssuer {
		return nobody, nil, nil, bad("the answer is another provider's")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*fetchTimeout)
	defer cancel()
	token, err := oauth.Exchange(oidc.ClientContext(ctx, is.client), code, oauth2.VerifierOption(a.Verifier))
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response.StatusCode < http.StatusInternalServerError {
		return nobody, nil, nil, bad("the provider refused the code: %s", clip(refused.ErrorCode, 100)) // its text may quote what we sent
	}
	if err != nil {
		return nobody, nil, nil, fault.Wrap(errors.New("the code could not be exchanged"), fault.Upstream, "Auth provider is unavailable")
	}
	v, err := s.believeLogin(ctx, is, idToken(token))
	if err != nil {
		return nobody, nil, nil, err
	}
	if v.nonce != a.Nonce {
		return nobody, nil, nil, bad("an ID token for another login")
	}
	u, err := s.access.FirstSight(ctx, v.issuer, v.subject, v.name, v.email)
	if err != nil {
		return nobody, nil, nil, unknown(err)
	}
	return u, v, token, nil
}

// idToken gives the ID token that came with a token, if one did.
func idToken(token *oauth2.Token) string {
	text, _ := token.Extra("id_token").(string)
	return text
}

// believeLogin verifies the ID token of a login: of a person, for us, by this provider. Which login it is
// of is for the caller to see.
func (s *Service) believeLogin(ctx context.Context, is *issuer, idToken string) (*verified, error) {
	if len(idToken) > maxToken {
		return nil, bad("longer than %d bytes", maxToken)
	}
	head, claims, err := parseToken(idToken)
	if err != nil {
		return nil, bad("%w", err)
	}
	v, err := is.verify(ctx, idToken, head, claims, s.now())
	if err != nil {
		return nil, err
	}
	if v.anonymous {
		return nil, bad("an ID token of nobody")
	}
	if err := checkAudience(claims, []string{is.ClientID}); err != nil {
		return nil, bad("%w", err)
	}
	if azp, there := claims["azp"]; there && azp != is.ClientID {
		return nil, bad("issued to another client")
	}
	return v, nil
}

// LogoutAnswer says where the browser should go to be logged out at the provider as well.
type LogoutAnswer struct {
	Location string `json:"location" doc:"Where to send the browser now" example:"/"`
}

// handleLogout ends the session here, and says where it ends at the provider.
func (s *Service) handleLogout(w http.ResponseWriter, r *http.Request) error {
	location := "/"
	value := s.sessionCookie(r)
	s.setCookie(w, s.cookieName(), "", 0)
	if value != "" {
		if err := s.sameOrigin(r, true); err != nil {
			w.Header().Del("Set-Cookie")
			return err
		}
		id, hash := sessionKeys(value)
		row, err := readSession(r.Context(), s.db, id)
		if err != nil && !fault.Is(err, fault.Missing) {
			return err
		}
		if err == nil && row.hash == hash {
			ctx := access.WithDecision(r.Context(), access.Decision{Allowed: true, Rule: "oneself"})
			if err := s.endSession(ctx, id, "logout", row.UserName+" logged out"); err != nil {
				return err
			}
			location = s.endAtProvider(r.Context(), row, value)
		}
	}
	return httpapi.JSON(w, http.StatusOK, LogoutAnswer{location})
}

// endAtProvider gives the provider's own logout, which sends the browser back here, if it has one.
func (s *Service) endAtProvider(ctx context.Context, row *sessionRow, value string) string {
	for _, is := range s.providers() {
		if is.id != row.claims.Issuer {
			continue
		}
		d, err := is.discover(ctx)
		if err != nil || d.EndSessionURL == "" {
			break
		}
		u, err := url.Parse(d.EndSessionURL)
		if err != nil {
			break
		}
		q := u.Query()
		q.Set("client_id", is.ClientID)
		q.Set("post_logout_redirect_uri", s.cfg.PublicURL+"/")
		if hint, err := open(hintKey(value), row.claims.Hint); err == nil {
			q.Set("id_token_hint", string(hint))
		}
		u.RawQuery = q.Encode()
		return u.String()
	}
	return "/"
}

func again(next string) string { return loginPath + "?" + url.Values{"next": {next}}.Encode() }

// redirect sends the browser on. The address was checked, or is a provider's.
func redirect(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// failed writes a failed login down and shows it.
func (s *Service) failed(w http.ResponseWriter, r *http.Request, status int, title, text, next string, err error) error {
	ctx := context.WithValue(r.Context(), requestKey{}, request{r.Method, r.URL.Path})
	s.refused(ctx, "login", access.Site, err)
	return s.page(w, r, status, title, text, again(next))
}
