// Package identity answers one question: who is this? It believes bearer tokens
// of configured issuers, Lodge's own service tokens, browser sessions and, from
// listed proxies, a header; and it implements httpapi.Gate on top of access.
//
// What is always true here:
//
//   - A token is believed for what its issuer's keys signed, never for what it
//     says about its own key. The algorithm comes from an allow-list and must fit
//     the key's type.
//   - Whoever is refused for a bad credential reads one and the same sentence,
//     whatever was wrong with it. The log has the reason, never the credential.
//   - A revoked session or token, and a disabled person, are refused at once in
//     this process and within a second in every other, with every message lost.
//   - Secrets are kept as hashes (sessions) or not at all (service tokens); a provider's tokens are
//     sealed.
package identity

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/errgroup"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/secret"
)

// Config says whom to believe. The zero value believes Lodge's own service tokens alone.
type Config struct {
	// PublicURL is the address under which people and programs reach Lodge.
	PublicURL     string
	Issuers       []Issuer
	TrustedHeader TrustedHeader
	// SessionTTL is how long a browser session lasts at most, SessionIdle how long without a
	// request. Zero means 12 hours and 2 hours.
	SessionTTL, SessionIdle time.Duration
	// RenewEvery is how often providers are asked again about whoever is logged in. Zero means 10 minutes.
	RenewEvery time.Duration
	// SkipVerification believes tokens without looking at their signature. For development alone.
	SkipVerification bool
	// Callback is where providers send people back to; /auth/callback when empty. Both that and
	// /redirect_uri are served.
	Callback string
	// Contact is whom people can ask for help when a login fails.
	Contact string
	// TokenScheme are paths below which clients may say "token" for "Bearer", as JupyterHub's do.
	TokenScheme []string
}

// Issuer is one provider of tokens. It has exactly one source of keys: discovery at Issuer,
// JWKSURL, PublicKeyFile, HS256Secret or Keys.
type Issuer struct {
	// Issuer is the iss of its tokens. When it is empty, iss is not looked at, and people are
	// told apart by where the keys come from.
	Issuer string
	// ID is what its people are kept under, together with their subject; Issuer when empty. It is
	// for a provider whose address may change while its people stay the same.
	ID            string
	JWKSURL       string
	PublicKeyFile string
	HS256Secret   secret.String
	// ShortSecret lets the secret be shorter than is safe. For development.
	ShortSecret bool
	// ClientID and ClientSecret are Lodge's own there, for logging in with a browser.
	ClientID     string
	ClientSecret secret.String
	// Scopes are asked for besides openid, profile and email: offline_access, where the provider gives
	// refresh tokens to nobody else.
	Scopes []string
	// Audiences lists what aud may be; the client id when empty; anything when both are.
	Audiences []string
	// SubjectClaims names claims of which the first that is there tells people apart, for issuers whose
	// user names do and whose subjects do not; sub when empty. A token without any is not believed.
	SubjectClaims []string
	// NameClaim names the claim with the caller's name; preferred_username when empty.
	NameClaim string
	// RoleClaim names the claim with the caller's roles, with dots for what is nested. Roles of
	// tokens are ignored when it is empty.
	RoleClaim string
	// Algorithms lists the signature algorithms to accept.
	Algorithms []string
	CAFile     string
	// Keys and Transport reach a provider in this process without a network.
	Keys      func(ctx context.Context) ([]jose.JSONWebKey, error)
	Transport http.RoundTripper
}

// TrustedHeader is for a site behind an authenticating proxy.
type TrustedHeader struct {
	// Name is the header in which the proxy names the user. Off when empty.
	Name string
	// Proxies are the peers that may send it.
	Proxies []netip.Prefix
}

// What was wrong with a credential. Parts that have other words for it find out with errors.Is.
var (
	// ErrNobody is a request without any credential that needed one.
	ErrNobody = errors.New("no credential")
	// ErrScheme is an Authorization header that is not Bearer.
	ErrScheme = errors.New("the scheme is not Bearer")
	// ErrBadToken is a credential that is not believed.
	ErrBadToken = errors.New("bad credential")
	// ErrProvider is an issuer whose keys cannot be had.
	ErrProvider = errors.New("auth provider is unavailable")
)

// Service finds out who calls. It is safe for concurrent use; have Run running as well.
type Service struct {
	cfg     Config
	public  *url.URL
	issuers []*issuer
	own     *ownKey
	db      *database.DB
	bus     *bus.Bus
	access  *access.Service
	audit   *audit.Log
	now     func() time.Time
	log     *slog.Logger

	verified *cache[[32]byte, *verified]
	tokens   *cache[string, *tokenRow]
	sessions *cache[string, *sessionRow]
	attempts *cache[string, struct{}]
	touched  chan touch
	origins  *http.CrossOriginProtection
}

// New makes the service. It reads key files but asks no network: providers are asked when their
// first token comes. Everything that is wrong with cfg is reported at once. b may be nil when
// there is one process alone.
func New(cfg Config, db *database.DB, b *bus.Bus, acc *access.Service, log *audit.Log, key *rsa.PrivateKey, now func() time.Time, logger *slog.Logger) (*Service, error) {
	if cfg.SessionTTL == 0 {
		cfg.SessionTTL = 12 * time.Hour
	}
	if cfg.SessionIdle == 0 {
		cfg.SessionIdle = 2 * time.Hour
	}
	if cfg.RenewEvery == 0 {
		cfg.RenewEvery = 10 * time.Minute
	}
	cfg.SessionIdle = min(cfg.SessionIdle, cfg.SessionTTL)
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")

	s := &Service{
		cfg: cfg, db: db, bus: b, access: acc, audit: log, now: now, log: logger,
		verified: newCache[[32]byte, *verified](4096),
		tokens:   newCache[string, *tokenRow](4096),
		sessions: newCache[string, *sessionRow](4096),
		attempts: newCache[string, struct{}](4096),
		touched:  make(chan touch, 256),
		origins:  http.NewCrossOriginProtection(),
	}
	var wrong []error
	var err error
	if s.own, err = newOwnKey(key); err != nil {
		wrong = append(wrong, err)
	}
	if s.public, err = parsePublicURL(cfg.PublicURL); err != nil {
		wrong = append(wrong, err)
	} else if err = s.origins.AddTrustedOrigin(s.public.Scheme + "://" + s.public.Host); err != nil {
		wrong = append(wrong, err)
	}
	for i, c := range cfg.Issuers {
		is, err := newIssuer(c, now, logger)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("issuer %d (%s): %w", i+1, c.Issuer, err))
			continue
		}
		s.issuers = append(s.issuers, is)
	}
	if err := cfg.TrustedHeader.validate(); err != nil {
		wrong = append(wrong, err)
	}
	if len(wrong) > 0 {
		return nil, fault.Wrap(errors.Join(wrong...), fault.Invalid, "the identity settings are not valid")
	}
	if cfg.SkipVerification {
		logger.Warn("tokens are believed without looking at their signature; never run a site like this")
	}
	return s, nil
}

func parsePublicURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("public_url %q is not an address such as https://lodge.example.org", text)
	}
	return u, nil
}

// Run keeps keys fresh, hears of revocations elsewhere, asks providers again about whoever is logged in,
// writes down when tokens and sessions were used, and removes what is long over, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.runKeys(ctx) })
	g.Go(func() error { return s.runTouches(ctx) })
	g.Go(func() error { return s.runRenewals(ctx) })
	g.Go(func() error { return s.runCleaning(ctx) })
	if s.bus != nil {
		g.Go(func() error { return s.runRevocations(ctx) })
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// secure says whether people reach us by TLS.
func (s *Service) secure() bool { return s.public.Scheme == "https" }
