// Package clilogin logs a person in at the command line, by a browser on the same
// machine or, without one, by a code that is typed in on another; keeps what came
// of it where its owner alone can read it; and renews it when it has expired.
package clilogin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lodge/internal/fault"
	"lodge/internal/secret"
)

// DefaultClient is the client id of the command line at Lodge's own provider.
const DefaultClient = "lodge-cli"

// Flow is a way to log in.
type Flow string

// The flows. Auto takes the browser if one can be opened, else the device flow.
const (
	Auto    Flow = ""
	Browser Flow = "browser"
	Device  Flow = "device"
)

// Options say where and how to log in.
type Options struct {
	// Server is the address of Lodge.
	Server string
	// Issuer is the provider; Lodge's own when empty.
	Issuer string
	// ClientID is the command line's client there; DefaultClient when empty.
	ClientID string
	Flow     Flow
	// Open shows an address in a browser. Nil means that there is none.
	Open func(address string) error
	// Show tells the person something.
	Show func(text string)
	// Client makes the requests; http.DefaultClient when nil.
	Client *http.Client
	// Wait pauses between questions; time.After when nil.
	Wait func(ctx context.Context, d time.Duration) error
}

// Credentials are what a login gives.
type Credentials struct {
	Server, Issuer, ClientID string
	// Token is what requests to the server carry.
	Token secret.String
	// Refresh gives another Token when it has expired; it may be empty.
	Refresh secret.String
	Expires time.Time
}

// deviceGrant is the grant type of RFC 8628.
const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// Login logs in. It ends when the person has done their part, or ctx ends.
func Login(ctx context.Context, opts Options) (Credentials, error) {
	opts = opts.withDefaults()
	ctx, oauth, err := connect(ctx, opts)
	if err != nil {
		return Credentials{}, err
	}
	var token *oauth2.Token
	switch {
	case opts.Flow == Device || opts.Flow == Auto && opts.Open == nil:
		token, err = byDevice(ctx, opts, oauth)
	default:
		token, err = byBrowser(ctx, opts, oauth)
		if errors.Is(err, errNoBrowser) && opts.Flow == Auto {
			token, err = byDevice(ctx, opts, oauth)
		}
	}
	if err != nil {
		return Credentials{}, err
	}
	return credentials(opts, token)
}

func (o Options) withDefaults() Options {
	o.Server = strings.TrimRight(o.Server, "/")
	if o.Issuer == "" {
		o.Issuer = o.Server + "/idp"
	}
	if o.ClientID == "" {
		o.ClientID = DefaultClient
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	if o.Show == nil {
		o.Show = func(string) {}
	}
	if o.Wait == nil {
		o.Wait = func(ctx context.Context, d time.Duration) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d):
				return nil
			}
		}
	}
	return o
}

// connect asks the provider where to go.
func connect(ctx context.Context, opts Options) (context.Context, *oauth2.Config, error) {
	if u, err := url.Parse(opts.Server); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ctx, nil, fault.New(fault.Invalid, "%q is not the address of a server, such as https://lodge.example.org", opts.Server)
	}
	client := *opts.Client
	if client.Timeout == 0 {
		client.Timeout = 30 * time.Second
	}
	ctx = oidc.ClientContext(ctx, &client)
	p, err := oidc.NewProvider(ctx, opts.Issuer)
	if err != nil {
		return ctx, nil, fault.Wrap(err, fault.Unavailable, "%s does not answer as a login provider", opts.Issuer)
	}
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams
	for _, address := range []string{endpoint.AuthURL, endpoint.TokenURL, endpoint.DeviceAuthURL} {
		if address != "" && strings.HasPrefix(opts.Issuer, "https:") && !strings.HasPrefix(address, "https:") {
			return ctx, nil, fault.New(fault.Upstream, "%s wants to go on without TLS", opts.Issuer)
		}
	}
	return ctx, &oauth2.Config{
		ClientID: opts.ClientID, Endpoint: endpoint, Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess},
	}, nil
}

// byDevice shows a code that the person types in, or opens, in any browser.
func byDevice(ctx context.Context, opts Options, oauth *oauth2.Config) (*oauth2.Token, error) {
	if oauth.Endpoint.DeviceAuthURL == "" {
		return nil, fault.New(fault.Unsupported, "%s has no login without a browser; use the browser, or a service token", opts.Issuer)
	}
	verifier := oauth2.GenerateVerifier()
	asked, err := oauth.DeviceAuth(ctx, oauth2.S256ChallengeOption(verifier))
	if err != nil {
		return nil, refused(err)
	}
	opts.Show(fmt.Sprintf("Open %s in any browser and enter the code %s", clean(asked.VerificationURI), clean(asked.UserCode)))
	if asked.VerificationURIComplete != "" {
		opts.Show("or open " + clean(asked.VerificationURIComplete))
	}
	pause := max(time.Duration(asked.Interval)*time.Second, time.Second)
	for {
		if err := opts.Wait(ctx, pause); err != nil {
			return nil, err
		}
		token, err := oauth.Exchange(ctx, "", oauth2.VerifierOption(verifier),
			oauth2.SetAuthURLParam("grant_type", deviceGrant), oauth2.SetAuthURLParam("device_code", asked.DeviceCode))
		var answer *oauth2.RetrieveError
		switch {
		case err == nil:
			return token, nil
		case !errors.As(err, &answer):
			return nil, refused(err)
		}
		switch answer.ErrorCode {
		case "authorization_pending":
		case "slow_down":
			pause += 5 * time.Second
		case "expired_token":
			return nil, fault.New(fault.Timeout, "nobody entered the code in time; begin again")
		case "access_denied":
			return nil, fault.New(fault.Denied, "the login was declined")
		default:
			return nil, refused(err)
		}
	}
}

// refused says what a provider's error means, without what it quotes.
func refused(err error) error {
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) {
		return fault.New(fault.Unauthenticated, "the provider refused the login (%s)", clean(answer.ErrorCode))
	}
	return fault.Wrap(err, fault.Unavailable, "the provider does not answer")
}

// clean keeps a stranger's text from doing things to a terminal.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return -1
		}
		return r
	}, text)
	if len(text) > 300 {
		text = text[:300]
	}
	return text
}

// credentials takes what is to be kept. The ID token is what the server gets: it is signed for it,
// while another provider's access token may be for nobody else to read.
func credentials(opts Options, token *oauth2.Token) (Credentials, error) {
	idToken, _ := token.Extra("id_token").(string)
	if idToken == "" {
		return Credentials{}, fault.New(fault.Upstream, "the provider gave no ID token")
	}
	expires, err := expiry(idToken)
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{
		Server: opts.Server, Issuer: opts.Issuer, ClientID: opts.ClientID,
		Token: secret.String(idToken), Refresh: secret.String(token.RefreshToken), Expires: expires,
	}, nil
}

// expiry reads when a token expires. It is not verified: that is the server's to do.
func expiry(token string) (time.Time, error) {
	wrong := fault.New(fault.Upstream, "the provider's ID token cannot be read")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, wrong
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, wrong
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if err := json.Unmarshal(body, &claims); err != nil || claims.Exp <= 0 || claims.Exp > 1e11 {
		return time.Time{}, wrong
	}
	return time.Unix(int64(claims.Exp), 0).UTC(), nil
}

// Renew gives fresh credentials for expired ones. Without a refresh token, or with one that the
// provider does not take any more, it fails as fault.Unauthenticated: log in again.
func Renew(ctx context.Context, old Credentials, client *http.Client) (Credentials, error) {
	again := fault.New(fault.Unauthenticated, "the login at %s has expired; run `lodge login` again", old.Server)
	if old.Refresh == "" {
		return Credentials{}, again
	}
	opts := Options{Server: old.Server, Issuer: old.Issuer, ClientID: old.ClientID, Client: client}.withDefaults()
	ctx, oauth, err := connect(ctx, opts)
	if err != nil {
		return Credentials{}, err
	}
	token, err := oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: old.Refresh.Reveal()}).Token()
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) && answer.Response.StatusCode < http.StatusInternalServerError {
		return Credentials{}, again
	}
	if err != nil {
		return Credentials{}, refused(err)
	}
	fresh, err := credentials(opts, token)
	if err == nil && fresh.Refresh == "" {
		fresh.Refresh = old.Refresh
	}
	return fresh, err
}
