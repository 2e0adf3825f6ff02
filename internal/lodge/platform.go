package lodge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lodge/internal/access"
	"lodge/internal/apps"
	"lodge/internal/audit"
	"lodge/internal/bus"
	"lodge/internal/config"
	"lodge/internal/database"
	"lodge/internal/fleet"
	"lodge/internal/identity"
	"lodge/internal/identity/localidp"
	"lodge/internal/results"
	"lodge/internal/work"
	"lodge/internal/workflows"
)

// platform is what every part stands on: rows, news, work, and who may do what. The commands that
// work beside a server, such as `lodge token create`, open it alone.
type platform struct {
	cfg       *config.Loaded
	folder    folder
	publicURL string
	db        *database.DB
	bus       *bus.Bus // nil beside a server: replicas look at the database every second
	queue     *work.Queue
	audit     *audit.Log
	access    *access.Service
	identity  *identity.Service
	provider  *localidp.Provider // nil when other issuers are configured
	metrics   *prometheus.Registry
	now       func() time.Time
	log       *slog.Logger
}

// actions is the catalogue of everything that can be done, the platform's first.
func actions() []access.ActionInfo {
	platform := []access.ActionInfo{
		{Action: "users.read", Help: "See people and their roles"},
		{Action: "users.write", Help: "Enter and disable people, give and take their roles"},
		{Action: "roles.read", Help: "See roles"},
		{Action: "roles.write", Help: "Make, describe and delete roles"},
		{Action: "permissions.read", Help: "See what roles may do"},
		{Action: "permissions.write", Help: "Give rights to roles and take them"},
		{Action: "tokens.read", Help: "See everybody's service tokens"},
		{Action: "tokens.write", Help: "Make service tokens, and revoke everybody's"},
		{Action: "sessions.read", Help: "See everybody's sessions"},
		{Action: "sessions.write", Help: "End everybody's sessions"},
		{Action: "audit.read", Help: "Read and export the audit log"},
		{Action: "access.explain", Help: "Ask who can do what, and why"},
		{Action: "config.read", Help: "See the settings, secrets excepted"},
	}
	for i := range platform {
		platform[i].Part = "platform"
	}
	return slices.Concat(platform, results.Actions(), fleet.Actions(), workflows.Actions(), apps.Actions())
}

// openPlatform opens what the configuration names, with the schema up to date.
func openPlatform(ctx context.Context, cfg *config.Loaded, publicURL string, news bool, now func() time.Time, log *slog.Logger) (_ *platform, err error) {
	p := &platform{cfg: cfg, folder: folder(cfg.Data), publicURL: publicURL, metrics: prometheus.NewRegistry(), now: now, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.release())
		}
	}()
	if p.db, err = openDatabase(ctx, cfg, now, log); err != nil {
		return nil, err
	}
	if err = p.db.Migrate(ctx); err != nil {
		return nil, err
	}
	if news {
		if p.bus, err = bus.Open(bus.Config{URL: cfg.NATSURL}, log); err != nil {
			return nil, err
		}
	}
	p.queue = work.NewQueue(p.db, p.bus, now, log)
	sealing, err := audit.LoadKey(ctx, p.db, cfg.Audit.KeyFile, now)
	if err != nil {
		return nil, err
	}
	p.audit = audit.New(p.db, p.queue, sealing, now, log)
	p.access = access.New(p.db, p.bus, p.recordChange, actions(), now, log)
	p.access.OnRefusal(func(ctx context.Context, action access.Action, object string) error {
		return p.audit.Refused(ctx, audit.Entry{Action: string(action), Group: string(access.Site), Object: object, Outcome: audit.Denied})
	})
	return p, p.openIdentity(ctx)
}

// recordChange writes the audit record of a change of people, roles or permissions.
func (p *platform) recordChange(ctx context.Context, tx *database.Tx, action, object, detail string) error {
	return p.audit.Record(ctx, tx, audit.Entry{Action: action, Group: string(access.Site), Object: object, Detail: detail})
}

func openDatabase(ctx context.Context, cfg *config.Loaded, now func() time.Time, log *slog.Logger) (*database.DB, error) {
	address := cfg.DatabaseURL.Reveal()
	if address == "" {
		address = "sqlite:" + folder(cfg.Data).path(databaseFile)
	}
	return database.Open(ctx, address, now, log)
}

func (p *platform) openIdentity(ctx context.Context) error {
	key, err := identity.LoadKey(ctx, p.db, p.now)
	if err != nil {
		return err
	}
	c := p.cfg.Identity
	issuers := make([]identity.Issuer, 0, len(c.Issuers))
	for _, is := range c.Issuers {
		issuers = append(issuers, identity.Issuer{
			Issuer: is.Issuer, JWKSURL: is.JWKSURL, PublicKeyFile: is.PublicKeyFile, HS256Secret: is.HS256Secret,
			ClientID: is.ClientID, ClientSecret: is.ClientSecret, Scopes: is.Scopes, Audiences: is.Audiences,
			SubjectClaims: is.SubjectClaims, NameClaim: is.NameClaim, RoleClaim: is.RoleClaim, Algorithms: is.Algorithms, CAFile: is.CAFile,
		})
	}
	if len(issuers) == 0 && c.TrustedHeader.Name == "" {
		provider := localidp.Config{PublicURL: p.publicURL, PasswordGrant: c.PasswordGrant, Contact: p.cfg.Contact, LeadsTo: appHosts(p.publicURL, p.cfg.Apps)}
		if p.provider, err = localidp.New(ctx, provider, p.db, identity.NewLimiter(p.now), p.now, p.log); err != nil {
			return err
		}
		issuers = append(issuers, p.provider.Issuer())
	}
	if p.cfg.Fleet.StubLogin {
		p.log.Warn("whoever reaches this server can log in as its administrator", "setting", "fleet.stub_login")
		issuers = append(issuers, stubIssuer())
	}
	proxies, err := config.Networks(c.TrustedHeader.Proxies)
	if err != nil {
		return err // the configuration was checked: this cannot be
	}
	p.identity, err = identity.New(identity.Config{
		PublicURL: p.publicURL, Issuers: issuers,
		TrustedHeader: identity.TrustedHeader{Name: c.TrustedHeader.Name, Proxies: proxies},
		SessionTTL:    c.SessionTTL, SessionIdle: c.SessionIdle, RenewEvery: c.RenewEvery, SkipVerification: c.SkipJWT,
		TokenScheme: p.tokenScheme(), Callback: c.Callback, Contact: p.cfg.Contact,
	}, p.db, p.bus, p.access, p.audit, key, p.now, p.log)
	return err
}

// stubName is the issuer of the tokens that rmf-web's dashboard has built in for development.
const stubName = "stub"

// stubIssuer believes those tokens: one of an administrator, one of a user.
func stubIssuer() identity.Issuer {
	return identity.Issuer{
		Issuer: stubName, HS256Secret: "rmfisawesome", ShortSecret: true, Audiences: []string{"rmf_api_server"}, SubjectClaims: []string{"preferred_username"},
	}
}

// ensureAdmins makes the first administrator, and those that the configuration names. The password
// of the first is given this once.
func (p *platform) ensureAdmins(ctx context.Context) (password string, err error) {
	admins := p.cfg.Identity.Admins
	if p.cfg.Fleet.StubLogin {
		admins = append([]string{stubName + "|admin"}, admins...)
	}
	if p.provider != nil {
		password, created, err := p.provider.EnsureAdmin(ctx)
		if err != nil {
			return "", err
		}
		who, err := p.provider.AdminIdentity(ctx)
		if err != nil {
			return "", err
		}
		if who != "" {
			admins = append([]string{who}, admins...)
		}
		if created {
			if err := p.folder.write(passwordFile, password+"\n"); err != nil {
				return "", err
			}
			return password, p.access.EnsureAdmins(ctx, admins)
		}
	}
	return "", p.access.EnsureAdmins(ctx, admins)
}

func (p *platform) release() error {
	var failures []error
	if p.bus != nil {
		failures = append(failures, p.bus.Close())
	}
	if p.db != nil {
		failures = append(failures, p.db.Close())
	}
	return errors.Join(failures...)
}

// publicAddress is where people reach a server that listens here, unless the configuration says it.
func publicAddress(cfg *config.Loaded, listening net.Addr) string {
	if cfg.PublicURL != "" {
		return cfg.PublicURL
	}
	scheme := "http"
	if cfg.TLS.CertFile != "" {
		scheme = "https"
	}
	if domains := cfg.TLS.ACME.Domains; len(domains) > 0 {
		return "https://" + domains[0]
	}
	host, port, err := net.SplitHostPort(listening.String())
	if err != nil {
		return scheme + "://" + listening.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	if named, _, err := net.SplitHostPort(cfg.Listen); err == nil && named != "" && net.ParseIP(named) == nil {
		host = named // what the operator wrote, before it became a number
	}
	return fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(host, port))
}
