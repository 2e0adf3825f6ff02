// Package localidp is the identity provider that Lodge runs in its own process
// when no other is configured: Dex, with people kept in Lodge's database and a
// login page in Lodge's dress. Browsers, the command line and programs use it
// exactly as they would a provider elsewhere, at <public_url>/idp.
//
// Of Dex we take the parts that are served here and leave the connectors to
// other providers, its sessions, its logout and its administration out: whoever
// has another provider configures it as an issuer instead. What is served:
//
//	/.well-known/openid-configuration, /keys     discovery
//	/auth, /auth/local, /auth/local/login        authorization code with PKCE, the login page
//	/approval                                    the question whether a program may act for you
//	/token, /userinfo, /token/introspect         tokens
//	/device…                                     login of a program without a browser
//
// Two clients are known: "lodge", Lodge's own console, whose secret lives in
// this process alone, and "lodge-cli", the command line, which has none.
package localidp

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dexidp/dex/connector"
	"github.com/dexidp/dex/server/authflow"
	"github.com/dexidp/dex/server/connectors"
	"github.com/dexidp/dex/server/consent"
	"github.com/dexidp/dex/server/device"
	"github.com/dexidp/dex/server/discovery"
	"github.com/dexidp/dex/server/grants"
	"github.com/dexidp/dex/server/introspection"
	"github.com/dexidp/dex/server/oauth2"
	"github.com/dexidp/dex/server/router"
	"github.com/dexidp/dex/server/session"
	"github.com/dexidp/dex/server/signer"
	"github.com/dexidp/dex/server/templates"
	"github.com/dexidp/dex/server/tokens"
	"github.com/dexidp/dex/server/userinfo"
	"github.com/dexidp/dex/storage"
	"github.com/go-jose/go-jose/v4"
	"github.com/gorilla/mux"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/identity"
	"lodge/internal/secret"
)

const (
	// Path is where the provider stands below the public address.
	Path = "/idp"
	// ConsoleClient is the console as the provider's client.
	ConsoleClient = "lodge"
	// CLIClient is the command line as the provider's client.
	CLIClient = "lodge-cli"

	// How long things last.
	tokenTTL    = time.Hour
	requestTTL  = 30 * time.Minute
	deviceTTL   = 10 * time.Minute
	refreshTTL  = 90 * 24 * time.Hour
	refreshIdle = 30 * 24 * time.Hour
	// refreshReuse is how long a used refresh token is good once more: its answer may have been lost.
	refreshReuse = 10 * time.Second
	rotateKeys   = "24h"
	collectEvery = 5 * time.Minute
	rotateEvery  = 30 * time.Second
)

// Config says where the provider stands and what it offers.
type Config struct {
	// PublicURL is the address of Lodge; the issuer is PublicURL + Path.
	PublicURL string
	// PasswordGrant lets programs have tokens for a user name and password.
	PasswordGrant bool
	// LeadsTo are origins that a login may end at besides, as a content security policy writes them:
	// browsers hold a form to that through all redirects.
	LeadsTo []string
	// Contact is whom people can ask for help when a login fails.
	Contact string
	// HashCost is bcrypt's cost of passwords; 0 means 11, a tenth of a second.
	HashCost int
}

// Provider is the embedded identity provider. It is safe for concurrent use.
type Provider struct {
	cfg      Config
	issuer   string
	secret   string
	db       *database.DB
	store    records
	flows    storage.Storage
	accounts *accounts
	signer   signer.Signer
	keep     *keeper
	limiter  *identity.Limiter
	handler  http.Handler
	now      func() time.Time
	log      *slog.Logger
}

// New makes the provider, and its signing key at the first start. Have Run running as well.
func New(ctx context.Context, cfg Config, db *database.DB, limiter *identity.Limiter, now func() time.Time, log *slog.Logger) (*Provider, error) {
	base, err := url.Parse(strings.TrimRight(cfg.PublicURL, "/"))
	if err != nil || base.Host == "" {
		return nil, fault.New(fault.Invalid, "public_url %q is not an address", cfg.PublicURL)
	}
	cfg.PublicURL = base.String()
	p := &Provider{
		cfg: cfg, issuer: cfg.PublicURL + Path, secret: rand.Text() + rand.Text(), db: db, store: newRecords(db),
		limiter: limiter, now: now, log: log,
	}
	if p.accounts = (&accounts{store: p.store, cost: cfg.HashCost}); cfg.HashCost == 0 {
		p.accounts.cost = 11
	}
	quiet := slog.New(quietHandler{log.Handler()})
	p.flows = p.clients(&flows{Storage: p.store, devicePath: base.Path + Path + oauth2.DeviceCallbackURI})

	local := signer.LocalConfig{KeysRotationPeriod: rotateKeys, Algorithm: jose.ES256}
	keys, err := local.Open(ctx, p.flows, tokenTTL, now, quiet)
	if err != nil {
		return nil, fmt.Errorf("identity provider: %w", err)
	}
	p.keep = &keeper{Signer: keys}
	p.signer = p.keep
	// The first rotation, which makes the first key, is done when Start returns; what Start leaves
	// running ends at once, and Run does its work.
	if err := p.rotate(ctx, keys); err != nil {
		return nil, err
	}
	if p.handler, err = p.mount(base, quiet); err != nil {
		return nil, fmt.Errorf("identity provider: %w", err)
	}
	return p, nil
}

// keeper is Dex's signer without the life of its own.
type keeper struct{ signer.Signer }

// Start does nothing: Run rotates.
func (keeper) Start(context.Context) {}

// rotate lets Dex's signer make or rotate its keys once.
func (p *Provider) rotate(ctx context.Context, keys signer.Signer) error {
	once, cancel := context.WithCancel(ctx)
	cancel()
	keys.Start(once)
	if _, err := keys.ValidationKeys(ctx); err != nil {
		return fmt.Errorf("identity provider: its signing key: %w", err)
	}
	return nil
}

// Run rotates keys and removes what has expired, until ctx ends.
func (p *Provider) Run(ctx context.Context) error {
	rotation, collection := time.NewTicker(rotateEvery), time.NewTicker(collectEvery)
	defer rotation.Stop()
	defer collection.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-rotation.C:
			if err := p.rotate(ctx, p.keep.Signer); err != nil && ctx.Err() == nil {
				p.log.Warn("the identity provider's keys could not be looked after", "err", err)
			}
		case <-collection.C:
			if _, err := p.store.GarbageCollect(ctx, p.now()); err != nil && ctx.Err() == nil {
				p.log.Warn("expired logins could not be removed", "err", err)
			}
		}
	}
}

// clients adds the two that are known, and the one connector: our own accounts.
func (p *Provider) clients(s storage.Storage) storage.Storage {
	s = storage.WithStaticClients(s, []storage.Client{
		{ID: ConsoleClient, Name: "Lodge", Secret: p.secret, RedirectURIs: []string{p.cfg.PublicURL + "/auth/callback"}},
		{ID: CLIClient, Name: "the lodge command line", Public: true},
	})
	return storage.WithStaticConnectors(s, []storage.Connector{{ID: connectors.LocalConnector, Type: connectors.LocalConnector, Name: "Lodge"}})
}

// mount wires the parts of Dex that we serve, as its own server does.
func (p *Provider) mount(base *url.URL, log *slog.Logger) (http.Handler, error) {
	at := oauth2.IssuerURL{URL: *base}
	at.Path += Path
	_, _, _, pages, err := templates.LoadWebConfig(templates.Config{WebFS: webFiles(), IssuerURL: p.issuer, Issuer: "Lodge", Theme: "lodge", Extra: map[string]string{"contact": cmp.Or(p.cfg.Contact, "an administrator of this site")}})
	if err != nil {
		return nil, err
	}
	grantTypes := []string{oauth2.GrantTypeAuthorizationCode, oauth2.GrantTypeRefreshToken, oauth2.GrantTypeDeviceCode}
	passwordConnector := ""
	if p.cfg.PasswordGrant {
		grantTypes, passwordConnector = append(grantTypes, oauth2.GrantTypePassword), connectors.LocalConnector
	}
	responses := map[string]bool{oauth2.ResponseTypeCode: true}
	pkce := authflow.PKCEConfig{CodeChallengeMethodsSupported: []string{oauth2.PKCEMethodS256}}
	issuer := tokens.NewIssuer(p.flows, p.signer, at.URL, tokenTTL, p.now, log)
	cache := connectors.NewCache(p.flows, func(storage.Connector) (connector.Connector, error) { return p.accounts, nil })
	noSessions := &session.Manager{Storage: p.flows, Now: p.now, Logger: log, IssuerURL: at}
	refresh := tokens.NewRefreshStrategy(true, refreshTTL, refreshIdle, refreshReuse, p.now)

	r := mux.NewRouter().SkipClean(true).UseEncodedPath()
	routes := router.New(router.Config{Router: r, IssuerPath: at.Path, Instrument: func(_ string, h http.Handler) http.HandlerFunc { return h.ServeHTTP }})
	for _, h := range []router.Handler{
		&discovery.Handler{IssuerURL: at, Templates: pages, Signer: p.signer, Logger: log, ResponseTypes: responses, GrantTypes: grantTypes, PKCEMethods: pkce.CodeChallengeMethodsSupported},
		&grants.Handler{
			Issuer: issuer, Storage: p.flows, Connectors: cache, Now: p.now, Logger: log, PasswordConnector: passwordConnector,
			RefreshPolicy: refresh, Sessions: noSessions, SupportedGrantTypes: grantTypes,
		},
		&userinfo.Handler{Issuer: at.String(), Signer: p.signer, Logger: log},
		&introspection.Handler{Issuer: at.String(), Signer: p.signer, Storage: p.flows, Logger: log, RefreshPolicy: refresh, Sessions: noSessions},
		&device.Handler{IssuerURL: at, Storage: p.flows, Templates: pages, Now: p.now, RequestsValidFor: deviceTTL, Logger: log, Issuer: issuer, Connectors: cache},
		&authflow.Handler{
			IssuerURL: at, Connectors: cache, Storage: p.flows, Templates: pages, Signer: p.signer, Now: p.now, Logger: log,
			SupportedResponseTypes: responses, PKCE: pkce, AuthRequestsValidFor: requestTTL, Sessions: noSessions, Issuer: issuer, SkipApproval: true,
		},
		&consent.Handler{Storage: p.flows, Templates: pages, Logger: log, IssuerURL: at, Sessions: noSessions, SkipApproval: true},
	} {
		h.Mount(routes)
	}
	return newGuard(p, at.Path, r), nil
}

// Handler serves the provider; mount it at Path + "/".
func (p *Provider) Handler() http.Handler { return p.handler }

// Issuer is how identity believes the provider: by its keys in this process, and for logins
// through its handler in this process, so that neither needs a network.
func (p *Provider) Issuer() identity.Issuer {
	return identity.Issuer{
		Issuer: p.issuer, ID: UserIssuer, ClientID: ConsoleClient, ClientSecret: secret.String(p.secret), Audiences: []string{ConsoleClient, CLIClient},
		Keys: p.keys, Transport: inProcess{p.handler}, Algorithms: []string{string(jose.ES256)},
	}
}

// keys are the public keys that its tokens are signed with.
func (p *Provider) keys(ctx context.Context) ([]jose.JSONWebKey, error) {
	held, err := p.signer.ValidationKeys(ctx)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the identity provider's keys cannot be read")
	}
	keys := make([]jose.JSONWebKey, len(held))
	for i, k := range held {
		keys[i] = *k
	}
	return keys, nil
}
