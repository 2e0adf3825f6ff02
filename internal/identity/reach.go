package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Reach asks every issuer whose keys are elsewhere for them, and gives by issuer what came of it:
// for `lodge doctor`.
func (s *Service) Reach(ctx context.Context) map[string]error {
	reached := map[string]error{}
	for _, is := range s.issuers {
		if is.set == nil {
			continue
		}
		_, err := is.fetchKeys(ctx)
		reached[is.id] = err
	}
	return reached
}

// clockSlack is how far an issuer's clock may be from ours until logins fail now and then.
const clockSlack = time.Minute

// Rehearse does at every provider elsewhere what a login does, as far as that goes without a person, and
// gives by issuer what would go wrong: for `lodge doctor`. A provider that cannot be reached has no entry.
func (s *Service) Rehearse(ctx context.Context) map[string][]error {
	found := map[string][]error{}
	for _, is := range s.providers() {
		if is.set == nil {
			continue
		}
		oauth, _, err := s.client(ctx, is)
		if err != nil {
			continue
		}
		found[is.id] = slices.DeleteFunc([]error{s.tryClock(ctx, is), is.trySecret(ctx, oauth), is.tryCallback(ctx, oauth)}, func(err error) bool { return err == nil })
	}
	return found
}

// tryClock compares the issuer's clock with ours.
func (s *Service) tryClock(ctx context.Context, is *issuer) error {
	resp, err := is.ask(ctx, is.Issuer.Issuer+"/.well-known/openid-configuration")
	if err != nil {
		return nil // Reach says so
	}
	defer func() { _ = resp.Body.Close() }()
	there, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return nil // it does not say
	}
	if off := s.now().Sub(there).Round(time.Second); off.Abs() > clockSlack {
		return fmt.Errorf("its clock and ours differ by %s, so that tokens seem to come from the future or to have expired: let both follow a time server", off.Abs())
	}
	return nil
}

// trySecret exchanges a code that cannot be: whoever is told that the code is wrong has the right secret.
func (is *issuer) trySecret(ctx context.Context, oauth *oauth2.Config) error {
	_, err := oauth.Exchange(oidc.ClientContext(ctx, is.client), "lodge-doctor", oauth2.VerifierOption(oauth2.GenerateVerifier()))
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return nil
	}
	if code := refused.ErrorCode; code == "invalid_client" || code == "unauthorized_client" || code == "" && refused.Response.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("it does not know the client %q with this secret: check client_id and client_secret", is.ClientID)
	}
	return nil
}

// tryCallback begins a login: a provider that does not know the address that it shall send people back
// to must not send them anywhere.
func (is *issuer) tryCallback(ctx context.Context, oauth *oauth2.Config) error {
	resp, err := is.ask(ctx, oauth.AuthCodeURL("lodge-doctor", oidc.Nonce("lodge-doctor"), oauth2.S256ChallengeOption(oauth2.GenerateVerifier()), oauth2.SetAuthURLParam("prompt", "none")))
	if err != nil {
		return nil // Reach says so
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusBadRequest && resp.StatusCode < http.StatusInternalServerError {
		return fmt.Errorf("it refuses to begin a login for the client %q with %s: register the redirect URI %s there", is.ClientID, resp.Status, oauth.RedirectURL)
	}
	return nil
}

// ask asks without following where it is led.
func (is *issuer) ask(ctx context.Context, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html, application/json")
	once := *is.client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return once.Do(req)
}
