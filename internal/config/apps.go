package config

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"lodge/internal/apps"
)

// Apps configures the apps part.
type Apps struct {
	Driver         string        `key:"driver" default:"process" enum:"process,docker" help:"What runs apps that name no driver of their own."`
	Routing        string        `key:"routing" default:"host" enum:"host,path,alone" help:"host gives every app session an origin of its own, {app}--{person}.<host_suffix>; path serves apps marked trusted under /apps/{app}/, for sites without wildcard DNS; alone gives default_app the whole path space, as ServiceHub did."`
	HostSuffix     string        `key:"host_suffix" example:"apps.lodge.example.org" help:"Below which host name app sessions have theirs. Default: apps. before the host of public_url; apps.localhost on loopback, which browsers find by themselves."`
	DefaultApp     string        `key:"default_app" example:"jupyter" help:"The app that has the whole path space when routing is alone."`
	Catalogue      Document      `key:"catalogue" example:"[{id: jupyter, image: registry.example.org/lab/jupyter:2026.1, port: 8888, allow: {roles: [scientist]}}]" help:"The apps; docs/apps.md explains an entry. Without any there are two samples, demo and echo, for the role app-user; [] is none."`
	Hold           time.Duration `key:"hold" default:"10s" help:"How long a request that is not for a page waits for an app that is starting."`
	JupyterHubAPI  bool          `key:"jupyterhub_api" default:"false" help:"Serve app sessions by JupyterHub's REST API too, under /hub/api, so that its tools work; default_app is the unnamed server."`
	StopAppsOnExit bool          `key:"stop_apps_on_exit" default:"false" help:"Stop everybody's apps when Lodge stops, as ServiceHub did. Otherwise they run on and are adopted by the next start."`
	Limits         AppLimits     `key:"limits"`
	Cull           AppCull       `key:"cull"`
	Process        AppProcess    `key:"process"`
	Docker         AppDocker     `key:"docker"`
}

// AppLimits bound what runs at once.
type AppLimits struct {
	SessionsPerUser int           `key:"sessions_per_user" default:"5" min:"1" help:"How many app sessions a person may have."`
	SessionsPerApp  int           `key:"sessions_per_app" default:"0" min:"0" help:"How many people may use one app at once; 0 means no limit."`
	Sessions        int           `key:"sessions" default:"0" min:"0" help:"How many app sessions there may be; 0 means no limit."`
	StartsAtOnce    int           `key:"starts_at_once" default:"8" min:"1" help:"How many apps start at a time."`
	Queue           int           `key:"queue" default:"200" min:"1" help:"How many may wait for their start."`
	QueueTimeout    time.Duration `key:"queue_timeout" default:"15m" help:"How long one may wait for its start."`
	CPUPerUser      float64       `key:"cpu_per_user" default:"0" min:"0" help:"How many cores a person's apps may be promised together; 0 means no limit."`
	MemoryPerUser   Size          `key:"memory_per_user" default:"0" help:"How much memory a person's apps may be promised together; 0 means no limit."`
	LaunchesPerMin  int           `key:"launches_per_minute" default:"10" min:"1" help:"How often a person may start apps in a minute."`
	ByRole          []RoleLimit   `key:"by_role" help:"Other limits for people with a role; of several the largest holds."`
}

// RoleLimit replaces a person's limits.
type RoleLimit struct {
	Role            string  `key:"role" example:"staff" help:"The role."`
	SessionsPerUser int     `key:"sessions_per_user" default:"0" min:"-1" help:"How many app sessions; 0 leaves the site's limit, -1 lifts it."`
	CPUPerUser      float64 `key:"cpu_per_user" default:"0" min:"-1" help:"How many cores; 0 leaves the site's limit, -1 lifts it."`
	MemoryPerUser   Size    `key:"memory_per_user" default:"0" help:"How much memory; 0 leaves the site's limit."`
}

// AppCull says how often to look for app sessions that nobody uses, and what else is tidied.
type AppCull struct {
	Every        time.Duration `key:"every" default:"30s" help:"How often to look for app sessions that nobody uses."`
	Flush        time.Duration `key:"flush" default:"15s" help:"How often to write down when app sessions were last used."`
	RestartGrace time.Duration `key:"restart_grace" default:"5m" help:"How long nobody is stopped as idle after Lodge was away."`
	KeepFailed   time.Duration `key:"keep_failed" default:"24h" help:"How long it is remembered how an app session ended, with its last lines."`
	OrphanAfter  time.Duration `key:"orphan_after" default:"10m" help:"When something that runs and that no app session knows of is removed."`
	Reconcile    time.Duration `key:"reconcile" default:"5m" help:"How often app sessions are compared with what runs."`
}

// AppProcess is about apps as plain processes.
type AppProcess struct {
	User        string `key:"user" example:"lodge-apps" help:"Whom apps run as, when Lodge itself runs as root."`
	AllowRoot   bool   `key:"allow_root" default:"false" help:"Let apps run as root when Lodge does and user is empty. Whoever may start an app that runs commands then owns the machine."`
	AllowPublic bool   `key:"allow_public" default:"false" help:"Let people on other machines use apps that are plain processes. These are not kept apart from one another."`
}

// AppDocker is about apps as containers.
type AppDocker struct {
	Host           string       `key:"host" example:"unix:///var/run/docker.sock" help:"The engine's address. Default: the usual socket."`
	Network        string       `key:"network" example:"servicehub_net" help:"A network that is there already, for everybody's apps. Default: every person has one of their own, and nobody reaches another's apps."`
	NetworkPool    string       `key:"network_pool" default:"10.77.0.0/16" help:"What people's networks are cut from."`
	NetworkMTU     int          `key:"network_mtu" default:"0" min:"0" help:"MTU of people's networks; 0 is the engine's."`
	Reach          string       `key:"reach" default:"address" enum:"address,port" help:"How Lodge reaches an app: by its container's address, or by a port on this machine's loopback, for an engine in a virtual machine."`
	AllowedSources []string     `key:"allowed_sources" example:"[/srv/data]" help:"Folders below which volumes of this machine may lie."`
	Pull           string       `key:"pull" default:"missing" enum:"missing,always,never" help:"When to fetch an app's image."`
	RegistryAuth   RegistryAuth `key:"registry_auth"`
}

// RegistryAuth is how to log in at registries.
type RegistryAuth struct {
	File string `key:"file" example:"/etc/lodge/registries.json" help:"Registries' logins, as docker login writes them."`
}

// Pool is what people's networks are cut from.
func (d AppDocker) Pool() netip.Prefix {
	p, err := netip.ParsePrefix(d.NetworkPool)
	if err != nil {
		return netip.Prefix{} // the configuration was checked: this cannot be
	}
	return p.Masked()
}

func (l *loader) validateDocker() {
	pool, err := netip.ParsePrefix(l.Apps.Docker.NetworkPool)
	if err != nil || !pool.Addr().Is4() || pool.Bits() > 24 {
		l.fail("%s: %q is not an IPv4 network with room for people's, such as 10.77.0.0/16", l.place("apps.docker.network_pool"), l.Apps.Docker.NetworkPool)
		return
	}
	for _, source := range l.Apps.Docker.AllowedSources {
		if !filepath.IsAbs(source) {
			l.fail("%s: %q is no absolute path", l.place("apps.docker.allowed_sources"), source)
		}
	}
	list, _ := apps.ParseCatalogue([]byte(l.Apps.Catalogue)) // what is wrong with it is said elsewhere
	if l.Apps.Driver != "docker" && !slices.ContainsFunc(list, func(a apps.App) bool { return a.Driver == "docker" }) {
		return
	}
	// An app that may say who calls could be anybody.
	for key, list := range map[string][]string{"identity.trusted_header.proxies": l.Identity.TrustedHeader.Proxies, "http.trusted_proxies": l.HTTP.TrustedProxies} {
		networks, err := Networks(list)
		if err != nil {
			continue // which is said elsewhere
		}
		for _, n := range networks {
			if n.Overlaps(pool) {
				l.fail("%s: %s is part of apps.docker.network_pool: apps would be believed what only a proxy may say", l.place(key), n)
			}
		}
	}
}

func (l *loader) validateApps() {
	l.validateDocker()
	if text := string(l.Apps.Catalogue); text != "" {
		list, err := apps.ParseCatalogue([]byte(text))
		for _, one := range causes(err) {
			l.fail("%s: %w", l.place("apps.catalogue"), one)
		}
		l.validateDrivers(list)
		l.validateDefaultApp(list, err)
	}
	if l.Apps.DefaultApp == "" && l.Apps.Routing == "alone" {
		l.fail("%s: alone needs apps.default_app", l.place("apps.routing"))
	}
	if suffix := l.Apps.HostSuffix; suffix != "" {
		if u, err := url.Parse("//" + suffix); err != nil || u.Host != suffix || u.Port() != "" || net.ParseIP(suffix) != nil {
			l.fail("%s: %q is not a host name such as apps.lodge.example.org", l.place("apps.host_suffix"), suffix)
		}
	}
	for i, one := range l.Apps.Limits.ByRole {
		if one.Role == "" {
			l.fail("%s: item %d names no role", l.place("apps.limits.by_role"), i+1)
		}
	}
	if p := l.Apps.Process; p.User != "" && p.AllowRoot {
		l.fail("%s: set user or allow_root, not both", l.place("apps.process.allow_root"))
	}
}

func (l *loader) validateDefaultApp(list []apps.App, broken error) {
	name := l.Apps.DefaultApp
	if name == "" || broken != nil {
		return
	}
	for _, a := range list {
		if string(a.ID) == name {
			return
		}
	}
	l.fail("%s: the catalogue has no app %q", l.place("apps.default_app"), name)
}

func (l *loader) validateDrivers(list []apps.App) {
	for _, a := range list {
		if driver := cmp.Or(a.Driver, l.Apps.Driver); driver != "process" && driver != "docker" {
			l.fail("%s: app %s: there is no driver %q: choose process or docker", l.place("apps.catalogue"), a.ID, driver)
		} else if driver == "docker" && a.Image == "" {
			l.fail("%s: app %s: the docker driver needs an image", l.place("apps.catalogue"), a.ID)
		} else if driver == "process" && len(a.Command) == 0 {
			l.fail("%s: app %s: the process driver needs a command; set apps.driver to docker for images", l.place("apps.catalogue"), a.ID)
		}
	}
}

// causes takes joined errors apart.
func causes(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// Loopback says whether an address can only be reached from this machine.
func Loopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}
