package config

import (
	"net"
	"net/netip"
	"net/url"
	"time"

	"lodge/internal/apps"
)

// Apps configures the apps part.
type Apps struct {
	Driver         string        `key:"driver" default:"process" enum:"process" help:"What runs apps that name no driver of their own."`
	Routing        string        `key:"routing" default:"host" enum:"host,path,alone" help:"host gives every app session an origin of its own, {app}--{person}.<host_suffix>; path serves apps marked trusted under /apps/{app}/, for sites without wildcard DNS; alone gives default_app the whole path space, as ServiceHub did."`
	HostSuffix     string        `key:"host_suffix" example:"apps.lodge.example.org" help:"Below which host name app sessions have theirs. Default: apps. before the host of public_url; apps.localhost on loopback, which browsers find by themselves."`
	DefaultApp     string        `key:"default_app" example:"jupyter" help:"The app that has the whole path space when routing is alone."`
	Catalogue      Document      `key:"catalogue" example:"[{id: jupyter, image: registry.example.org/lab/jupyter:2026.1, port: 8888, allow: {roles: [scientist]}}]" help:"The apps; docs/apps.md explains an entry. Without any there are two samples, demo and echo, for the role app-user; [] is none."`
	Hold           time.Duration `key:"hold" default:"10s" help:"How long a request that is not for a page waits for an app that is starting."`
	StopAppsOnExit bool          `key:"stop_apps_on_exit" default:"false" help:"Stop everybody's apps when Lodge stops, as ServiceHub did. Otherwise they run on and are adopted by the next start."`
	Limits         AppLimits     `key:"limits"`
	Cull           AppCull       `key:"cull"`
	Process        AppProcess    `key:"process"`
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

func (l *loader) validateApps() {
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
		if a.Driver != "" && a.Driver != "process" {
			l.fail("%s: app %s: there is no driver %q: choose process", l.place("apps.catalogue"), a.ID, a.Driver)
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
