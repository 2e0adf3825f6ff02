// Package lodge puts the server together: it opens the stores, builds the platform and the parts
// on it, serves, drains and stops. It is the only package that knows every other.
package lodge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"lodge/console"
	"lodge/internal/access"
	"lodge/internal/config"
	"lodge/internal/httpapi"
)

// Options say what to serve and where to report.
type Options struct {
	// Parts are names of Parts; none means all of them.
	Parts   []string
	Version string
	// Simulate allows a simulated site beside the server.
	Simulate bool
	// Out hears where to go and how to log in.
	Out io.Writer
	Now func() time.Time
	Log *slog.Logger
}

// Lodge is a server that is ready to serve.
type Lodge struct {
	*platform
	version  string
	out      io.Writer
	held     *os.File
	listener net.Listener
	bucket   *bucket
	parts    []part
	checks   *httpapi.Checks
	server   *httpapi.Server
	password string // of the first administrator, when this is the first start
}

// Open prepares a server: it listens, but answers nobody before Serve. Close it in any case.
func Open(ctx context.Context, cfg *config.Loaded, o Options) (_ *Lodge, err error) {
	if err := checkParts(o.Parts); err != nil {
		return nil, err
	}
	l := &Lodge{version: o.Version, out: o.Out, checks: httpapi.NewChecks(o.Now, o.Log)}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	home := folder(cfg.Data)
	if err := home.make(); err != nil {
		return nil, err
	}
	if l.held, err = home.lock(); err != nil {
		return nil, err
	}
	// The port comes first: it is part of the public address, which much else is made from.
	if l.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("%w: is another server there? --listen takes another address", err)
	}
	public := publicAddress(cfg, l.listener.Addr())
	if err := errors.Join(sign(l.held, public), home.write(addressFile, public+"\n")); err != nil {
		return nil, err
	}
	if l.platform, err = openPlatform(ctx, cfg, public, true, o.Now, o.Log); err != nil {
		return nil, err
	}
	if cfg.DatabaseURL == "" {
		// The lock on the folder says that nobody else works on the database in it.
		if err = l.queue.Inherit(ctx); err != nil {
			return nil, err
		}
	}
	if l.password, err = l.ensureAdmins(ctx); err != nil {
		return nil, err
	}
	if l.bucket, err = openBucket(ctx, l.platform); err != nil {
		return nil, err
	}
	if l.parts, err = openParts(ctx, l.platform, l.bucket, o, l.listener.Addr()); err != nil {
		return nil, err
	}
	l.checks.Need("database", l.db.Ping)
	l.checks.Need("objects", l.bucket.Check)
	l.checks.Watch("bus", l.bus.Check)
	for _, p := range l.parts {
		p.depend(l.checks)
	}
	return l, l.mount(len(o.Parts) == 1)
}

// mount puts everything that is served onto the edge.
func (l *Lodge) mount(alone bool) error {
	proxies, err := config.Networks(l.cfg.HTTP.TrustedProxies)
	if err != nil {
		return err // the configuration was checked: this cannot be
	}
	enterSite(l.metrics, l.version, l.queue, l.checks)
	c := l.cfg.HTTP
	l.server = httpapi.New(httpapi.Config{
		PublicURL: l.cfg.PublicURL, TrustedProxies: proxies, CORSOrigins: c.CORSOrigins, MaxBody: int64(c.MaxBody), MaxHeader: int(c.MaxHeader),
		RequestTimeout: c.RequestTimeout, ReadHeaderTimeout: c.HeaderTimeout, IdleTimeout: c.IdleTimeout, StallTimeout: c.StallTimeout,
		AccessLog: c.AccessLog, OpenIDConnectURL: l.discoveryURL(), Caller: callerName,
	}, l.identity, l.log, l.now, l.metrics)

	routes := slices.Concat(l.access.Routes(), l.audit.Routes(), l.identity.Routes(), l.siteRoutes(), l.checks.Routes())
	platform := httpapi.Mount{Name: "platform", Title: "Lodge", Version: l.version, Description: "People, rights, tokens, the audit log and the site.", Routes: routes}
	mounts := []httpapi.Mount{platform}
	for _, p := range l.parts {
		mounts = append(mounts, p.Mount())
	}
	if alone {
		// What is not found at the root is the part's to say, and its /healthz is the one that clients know.
		own := mounts[1]
		mounts[0].Routes = slices.DeleteFunc(routes, func(r httpapi.Route) bool {
			return slices.ContainsFunc(own.Routes, func(o httpapi.Route) bool { return o.Method == r.Method && o.Path == r.Path })
		})
		mounts = []httpapi.Mount{own, mounts[0]}
	}
	for _, m := range mounts {
		if err := l.server.Mount(m); err != nil {
			return err
		}
	}
	for _, p := range l.parts {
		if err := p.beside(l.server); err != nil {
			return err
		}
	}
	pages, err := console.Handler()
	if err != nil {
		return err
	}
	l.server.Handle("/ui/", pages)
	if !alone {
		l.server.Handle("GET /{$}", http.RedirectHandler("/ui/", http.StatusFound))
	}
	if l.provider != nil {
		l.server.Handle("/idp/", l.provider.Handler())
	}
	l.server.Handle("GET /metrics", promhttp.HandlerFor(l.metrics, promhttp.HandlerOpts{}))
	return nil
}

func (l *Lodge) discoveryURL() string {
	issuer := ""
	if l.provider != nil {
		issuer = l.provider.IssuerURL()
	} else if len(l.cfg.Identity.Issuers) > 0 {
		issuer = l.cfg.Identity.Issuers[0].Issuer
	}
	if issuer == "" {
		return ""
	}
	return issuer + "/.well-known/openid-configuration"
}

func callerName(ctx context.Context) string {
	if c := access.CallerFrom(ctx); c != nil {
		return c.Name
	}
	return ""
}

// Address is where people and programs reach the server.
func (l *Lodge) Address() string { return l.publicURL }

// Routes lists every route, for tests that walk them all.
func (l *Lodge) Routes() []httpapi.RegisteredRoute { return l.server.Routes() }

// Serve answers until ctx ends; then it lets running requests finish. What runs beside the requests
// goes on until the last of them is answered.
func (l *Lodge) Serve(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	running, background := errgroup.WithContext(background)
	for name, run := range l.runners() {
		running.Go(func() error {
			if err := run(background); err != nil {
				return fmt.Errorf("%s stopped: %w", name, err)
			}
			return nil
		})
	}
	if l.cfg.AdminListen != "" {
		running.Go(func() error { return l.serveProfiles(background) })
	}
	// Whatever ends in the background takes the server with it, in good order.
	serving, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(background, end)()

	l.greet()
	c := l.cfg.HTTP
	err := httpapi.Serve(serving, httpapi.ServeConfig{
		Listener: l.listener, TLS: l.tls(), MaxHeader: int(c.MaxHeader), ReadHeaderTimeout: c.HeaderTimeout, IdleTimeout: c.IdleTimeout,
		StallTimeout: c.StallTimeout, ShutdownTimeout: l.cfg.ShutdownTimeout,
		OnDrain: func() {
			l.checks.Drain()
			for _, p := range l.parts {
				p.drain()
			}
			l.server.Drain()
		},
	}, l.server.Handler(), l.log)
	stop()
	return errors.Join(err, running.Wait())
}

// runners are what runs beside the requests, by the name in its error.
func (l *Lodge) runners() map[string]func(context.Context) error {
	all := map[string]func(context.Context) error{
		"access": l.access.Run, "audit": l.audit.Run, "identity": l.identity.Run,
	}
	for _, p := range l.parts {
		all[p.Mount().Name] = p.Run
	}
	if l.provider != nil {
		all["identity provider"] = l.provider.Run
	}
	return all
}

func (l *Lodge) tls() *httpapi.TLSConfig {
	c := l.cfg.TLS
	switch {
	case c.CertFile != "":
		return &httpapi.TLSConfig{CertFile: c.CertFile, KeyFile: c.KeyFile}
	case len(c.ACME.Domains) > 0:
		return &httpapi.TLSConfig{ACME: &httpapi.ACMEConfig{
			Domains: c.ACME.Domains, Email: c.ACME.Email, DirectoryURL: c.ACME.DirectoryURL, CacheDir: l.folder.path(acmeDir),
		}}
	}
	return nil
}

// serveProfiles serves pprof on the admin address.
func (l *Lodge) serveProfiles(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.cfg.AdminListen)
	if err != nil {
		return fmt.Errorf("admin_listen: %w", err)
	}
	l.log.Info("profiles are served", "address", listener.Addr().String())
	server := &http.Server{Handler: httpapi.AdminHandler(), ReadHeaderTimeout: l.cfg.HTTP.HeaderTimeout}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin_listen: %w", err)
	}
	return nil
}

// greet says where to go and how to log in.
func (l *Lodge) greet() {
	_, _ = fmt.Fprintf(l.out, "Lodge %s is at %s\n", l.version, l.publicURL)
	if l.cfg.PublicURL != "" {
		_, _ = fmt.Fprintf(l.out, "It listens on %s\n", l.listener.Addr())
	}
	switch {
	case l.password != "":
		_, _ = fmt.Fprintf(l.out, "Log in as admin with the password %s\nIt is shown this once, and kept in %s\n", l.password, l.folder.path(passwordFile))
	case l.provider != nil && l.folder.read(passwordFile) != "":
		_, _ = fmt.Fprintf(l.out, "Log in as admin; the first password is in %s\n", l.folder.path(passwordFile))
	}
}

// Close lets go of everything. What was answered is durable already.
func (l *Lodge) Close() error {
	var failures []error
	for _, p := range l.parts {
		failures = append(failures, p.close())
	}
	if l.bucket != nil {
		failures = append(failures, l.bucket.close())
	}
	if l.platform != nil {
		failures = append(failures, l.release())
	}
	if l.listener != nil {
		if err := l.listener.Close(); !errors.Is(err, net.ErrClosed) {
			failures = append(failures, err)
		}
	}
	if l.held != nil {
		failures = append(failures, l.held.Close())
	}
	return errors.Join(failures...)
}
