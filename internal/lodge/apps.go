package lodge

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lodge/internal/access"
	"lodge/internal/apps"
	"lodge/internal/apps/docker"
	"lodge/internal/apps/kubernetes"
	"lodge/internal/apps/process"
	"lodge/internal/cluster"
	"lodge/internal/config"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
	"lodge/internal/identity/localidp"
)

// The hidden commands of this program that the process driver calls: one limits itself and becomes
// the app, the other is a sample app.
const (
	ShimCommand   = "app-shim"
	SampleCommand = "sample-app"
)

// sampleRole is who may use the sample apps, besides administrators.
const sampleRole access.Role = "app-user"

// samples is the catalogue of a site that has none. {lodge} is this program.
//
//go:embed samples.yaml
var samples string

// appsPart is the apps part with its drivers.
type appsPart struct {
	*apps.Service
	platform *platform
	drivers  []apps.Driver
}

func openApps(ctx context.Context, p *platform) (part, error) {
	c := p.cfg.Apps
	catalogue, err := catalogueOf(ctx, p)
	if err != nil {
		return nil, err
	}
	drivers, err := appDrivers(ctx, p)
	if err != nil {
		return nil, err
	}
	if reason := noWildcard(p.publicURL, c); reason != "" {
		p.log.Warn(reason)
	}
	a := &appsPart{platform: p, drivers: drivers}
	a.Service, err = apps.New(ctx, apps.Config{
		PublicURL: p.publicURL, Routing: apps.Routing(c.Routing), HostSuffix: hostSuffix(p.publicURL, c), DefaultApp: apps.AppID(c.DefaultApp),
		Catalogue: catalogue, Driver: c.Driver, Hold: c.Hold, Limits: appLimits(c.Limits),
		Cull: apps.CullConfig{
			Every: c.Cull.Every, Flush: c.Cull.Flush, RestartGrace: c.Cull.RestartGrace, KeepFailed: c.Cull.KeepFailed,
			OrphanAfter: c.Cull.OrphanAfter, Reconcile: c.Cull.Reconcile,
		},
		AccountIssuer: localidp.UserIssuer, JupyterHub: c.JupyterHubAPI, Contact: p.cfg.Contact,
		Changed: func(topic string) { p.publish("apps." + topic) },
	}, apps.Deps{
		DB: p.db, Bus: p.bus, Queue: p.queue, Access: p.access, Audit: p.audit, Identity: p.identity, AddPerson: p.addPerson, Registry: p.metrics, Now: p.now, Log: p.log,
	}, drivers...)
	return a, err
}

// tokenScheme are the paths of the JupyterHub API, whose clients say "token" for "Bearer".
func (p *platform) tokenScheme() []string {
	if !p.cfg.Apps.JupyterHubAPI {
		return nil
	}
	return apps.HubPaths()
}

// addPerson makes somebody known before their first login, for the context's caller. An account of
// Lodge's own gets a password that nobody knows: lodge user passwd sets another.
func (p *platform) addPerson(ctx context.Context, name string, admin bool) (access.User, error) {
	if _, err := p.access.Require(ctx, "users.write", access.Site); err != nil {
		return access.User{}, err
	}
	who := access.NewUser{Issuer: p.identity.HeaderIssuer(), Subject: name, Name: name, Admin: admin}
	switch {
	case p.provider != nil:
		account, err := p.provider.AddUser(ctx, name, "", rand.Text())
		if err != nil {
			return access.User{}, err
		}
		who.Issuer, who.Subject, who.Name, who.Email = localidp.UserIssuer, account.Subject, account.Name, account.Email
	case who.Issuer == "":
		return access.User{}, fault.New(fault.Invalid, "people come to be at their first login at their provider")
	}
	return p.access.CreateUser(ctx, who)
}

// catalogueOf is the configuration's catalogue, or the samples.
func catalogueOf(ctx context.Context, p *platform) ([]apps.App, error) {
	text := string(p.cfg.Apps.Catalogue)
	if text != "" {
		return apps.ParseCatalogue([]byte(text))
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	list, err := apps.ParseCatalogue([]byte(samples))
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Command = append([]string{binary, SampleCommand}, list[i].Command...)
	}
	_, err = p.access.CreateRole((&Office{p}).as(ctx, "sample apps"), sampleRole, "May use the sample apps")
	if err != nil && !fault.Is(err, fault.Conflict) {
		return nil, err
	}
	return list, nil
}

// appDrivers opens those that the configuration asks for.
func appDrivers(ctx context.Context, p *platform) ([]apps.Driver, error) {
	installation, err := apps.Installation(ctx, p.db, p.now())
	if err != nil {
		return nil, err
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := p.cfg.Apps.Process
	plain, err := process.New(process.Config{
		Dir: p.folder.path("apps"), Installation: installation, Shim: []string{binary, ShimCommand}, User: c.User, AllowRoot: c.User == "",
		Only: onlySamples(p), Samples: []string{binary, SampleCommand},
	}, p.now, p.log)
	if err != nil {
		return nil, err
	}
	drivers := []apps.Driver{plain}
	for _, want := range []struct {
		name string
		open func(p *platform, installation string) (apps.Driver, error)
	}{{"docker", openDocker}, {"kubernetes", openKubernetes}} {
		if !p.cfg.Apps.Uses(want.name) {
			continue
		}
		d, err := want.open(p, installation)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("apps: %w", err), closeDrivers(drivers))
		}
		drivers = append(drivers, d)
	}
	return drivers, nil
}

func openDocker(p *platform, installation string) (apps.Driver, error) {
	e := p.cfg.Apps.Docker
	return docker.New(docker.Config{
		Host: e.Host, Installation: installation, Network: e.Network, Pool: e.Pool(), MTU: e.NetworkMTU, Publish: e.Reach == "port",
		AllowedSources: e.AllowedSources, Pull: e.Pull, AuthFile: e.RegistryAuth.File,
	}, p.now, p.log)
}

func openKubernetes(p *platform, installation string) (apps.Driver, error) {
	k := p.cfg.Apps.Kubernetes
	access, err := cluster.Place{Kubeconfig: p.cfg.Kubernetes.Kubeconfig, Context: p.cfg.Kubernetes.Context}.Access()
	if err != nil {
		return nil, err
	}
	trusted, err := config.Networks(append(slices.Clone(p.cfg.HTTP.TrustedProxies), p.cfg.Identity.TrustedHeader.Proxies...))
	if err != nil {
		return nil, err
	}
	return kubernetes.New(kubernetes.Config{
		Access: access, Installation: installation, Namespace: k.Namespace, StorageClass: k.StorageClass, AccessMode: k.AccessMode,
		PullSecrets: k.PullSecrets, NodeSelector: k.Nodes(), Pull: k.Pull, LodgeNamespace: k.LodgeNamespace, LodgeNetworks: k.Networks(), Trusted: trusted,
	}, p.now, p.log)
}

// onlySamples says why nothing but Lodge's own samples may run as a process; "" if anything may. These
// are as safe as Lodge itself, whoever they run as and whoever uses them.
func onlySamples(p *platform) string {
	c := p.cfg.Apps.Process
	switch {
	case os.Geteuid() == 0 && c.User == "" && !c.AllowRoot:
		return "Lodge runs as root, and apps must not: set apps.process.user to whom they shall run as"
	case !config.Loopback(p.publicURL) && !c.AllowPublic:
		return "processes of different people are not kept apart, and people of other machines can come here: use containers, or set apps.process.allow_public"
	}
	return ""
}

func appLimits(c config.AppLimits) apps.Limits {
	l := apps.Limits{
		SessionsPerUser: c.SessionsPerUser, SessionsPerApp: c.SessionsPerApp, Sessions: c.Sessions, StartsAtOnce: c.StartsAtOnce,
		Queue: c.Queue, QueueTimeout: c.QueueTimeout, CPUPerUser: c.CPUPerUser, MemoryPerUser: apps.Size(c.MemoryPerUser),
		LaunchesPerMinute: c.LaunchesPerMin, ByRole: map[access.Role]apps.RoleLimits{},
	}
	for _, r := range c.ByRole {
		l.ByRole[access.Role(r.Role)] = apps.RoleLimits{SessionsPerUser: r.SessionsPerUser, CPUPerUser: r.CPUPerUser, MemoryPerUser: apps.Size(r.MemoryPerUser)}
	}
	return l
}

// hostSuffix is below which app sessions have their hosts; "" is the usual one. Addresses have no
// hosts below them, but every browser finds whatever ends in localhost on its own machine.
func hostSuffix(public string, c config.Apps) string {
	if c.HostSuffix == "" && config.Loopback(public) {
		return "apps.localhost"
	}
	return c.HostSuffix
}

// appHosts are where a login may lead to besides Lodge itself, as a content security policy writes it.
func appHosts(public string, c config.Apps) []string {
	u, err := url.Parse(public)
	suffix := hostSuffix(public, c)
	if err != nil || c.Routing != "host" {
		return nil
	}
	if suffix == "" {
		suffix = "apps." + u.Hostname()
	}
	host := "*." + suffix
	if port := u.Port(); port != "" {
		host += ":" + port
	}
	return []string{u.Scheme + "://" + host}
}

// noWildcard says why app sessions cannot have hosts of their own; "" if they can, as far as can be seen.
func noWildcard(public string, c config.Apps) string {
	u, err := url.Parse(public)
	if err == nil && c.Routing == "host" && hostSuffix(public, c) == "" && net.ParseIP(u.Hostname()) != nil {
		return fmt.Sprintf("apps.host_suffix: there are no host names below the address %s: name a domain whose names all lead here, or set apps.routing to path", u.Hostname())
	}
	return ""
}

func (a *appsPart) depend(*httpapi.Checks) {}

func (a *appsPart) beside(server *httpapi.Server) error { return a.Connect(server) }

func (a *appsPart) drain() { a.Drain() }

// stopTime is how long everybody's apps may take to end together.
const stopTime = 30 * time.Second

// Run implements part. If apps are to end with Lodge, they do so once no request is left.
func (a *appsPart) Run(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		defer stop()
		if !a.platform.cfg.Apps.StopAppsOnExit {
			return
		}
		bounded, done := context.WithTimeout(running, stopTime)
		defer done()
		ended, left := a.StopAll(bounded)
		a.platform.log.Info("apps were stopped", "ended", ended, "left", left)
	})()
	return a.Service.Run(running)
}

func (a *appsPart) close() error { return closeDrivers(a.drivers) }

func closeDrivers(drivers []apps.Driver) error {
	var failures []error
	for _, d := range drivers {
		if c, ok := d.(io.Closer); ok {
			failures = append(failures, c.Close())
		}
	}
	return errors.Join(failures...)
}

// apps looks at what the apps part needs.
func (e *examination) apps(ctx context.Context, p *platform) {
	c := e.cfg.Apps
	drivers, err := appDrivers(ctx, p)
	if err != nil {
		e.result("apps", err, "", "")
		return
	}
	defer func() { _ = closeDrivers(drivers) }()
	for _, d := range drivers {
		health, err := d.Health(ctx)
		advice := ""
		switch d.Name() {
		case "docker":
			advice = "check apps.docker.host, that the engine runs, and that Lodge may use its socket"
		case "kubernetes":
			advice = "check kubernetes.kubeconfig, that the API server can be reached, and apps.kubernetes.namespace"
		}
		e.result("apps, "+d.Name()+" driver", err, "answers, version "+health.Version, advice)
		for _, w := range health.Warnings {
			e.add(Warning, "apps, "+d.Name()+" driver", "%s", w)
		}
	}
	if reason := noWildcard(p.publicURL, c); reason != "" {
		e.add(Failure, "apps", "%s", reason)
	} else if c.Routing == "host" {
		e.wildcard(ctx, p.publicURL)
	}
	list, err := apps.ParseCatalogue([]byte(c.Catalogue))
	if err != nil {
		e.result("apps", err, "", "")
		return
	}
	for _, a := range list {
		e.app(a)
		e.image(ctx, a, drivers)
	}
}

// wildcard looks whether a host of an app session would be found.
func (e *examination) wildcard(ctx context.Context, public string) {
	suffix := hostSuffix(public, e.cfg.Apps)
	u, err := url.Parse(public)
	if err != nil || suffix == "apps.localhost" {
		e.add(Well, "apps", "are reached below %s", suffix)
		return
	}
	if suffix == "" {
		suffix = "apps." + u.Hostname()
	}
	name := "doctor--test." + suffix
	if _, err := net.DefaultResolver.LookupHost(ctx, name); err != nil {
		e.add(Failure, "apps", "%s cannot be found: let *.%s lead here in the DNS, or set apps.routing to path", name, suffix)
	} else {
		e.add(Well, "apps", "are reached below %s, which leads somewhere", suffix)
	}
	if e.cfg.TLS.CertFile == "" {
		return
	}
	if err := certificateFits(e.cfg.TLS, name); err != nil {
		e.add(Failure, "apps", "the certificate does not hold for *.%s: browsers will refuse every app", suffix)
	}
}

// image looks whether an app's image can be run.
func (e *examination) image(ctx context.Context, a apps.App, drivers []apps.Driver) {
	at := slices.IndexFunc(drivers, func(d apps.Driver) bool { return d.Name() == cmp.Or(a.Driver, e.cfg.Apps.Driver) })
	if at < 0 || a.Image == "" {
		return
	}
	engine, ok := drivers[at].(interface {
		Examine(ctx context.Context, image string) (root bool, err error)
	})
	if !ok {
		return
	}
	subject := "app " + string(a.ID)
	root, err := engine.Examine(ctx, a.Image)
	switch {
	case fault.Is(err, fault.Unavailable): // the driver's own finding says so
	case err != nil:
		e.result(subject, err, "", "check its tag, or put the image there")
	case root && a.Security.RunAs == "image" && !a.Security.AllowRoot:
		e.add(Failure, subject, "the image %s would run as root, so it is not run: give security.run_as a number, or allow_root", a.Image)
	default:
		e.add(Well, subject, "the image %s can be run", a.Image)
	}
}

// app looks at one entry of the catalogue.
func (e *examination) app(a apps.App) {
	subject := "app " + string(a.ID)
	if a.Security.AllowRoot {
		e.add(Warning, subject, "may run as root in its container (security.allow_root)")
	}
	if len(a.Command) > 0 && a.Image == "" && filepath.IsAbs(a.Command[0]) {
		if _, err := os.Stat(a.Command[0]); err != nil {
			e.add(Failure, subject, "there is no program %s on this machine", a.Command[0])
		}
	}
	for name, from := range a.SecretEnv {
		if _, err := os.ReadFile(from.File); err != nil {
			e.add(Failure, subject, "secret_env.%s: %v", name, err)
		}
	}
}
