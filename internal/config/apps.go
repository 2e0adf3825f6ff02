package config

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"lodge/internal/apps"
)

// Apps configures the apps part.
type Apps struct {
	Driver         string        `key:"driver" default:"process" enum:"process,docker,kubernetes" help:"What runs apps that name no driver of their own."`
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
	Kubernetes     AppKubernetes `key:"kubernetes"`
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

// AppKubernetes is about apps as pods of the cluster in kubernetes.kubeconfig.
type AppKubernetes struct {
	Namespace      string   `key:"namespace" default:"lodge-apps" help:"The namespace of the cluster that apps run in. It must be there, with the role in deploy/kubernetes/lodge-apps.yaml."`
	LodgeNamespace string   `key:"lodge_namespace" example:"lodge" help:"The namespace that Lodge runs in, when it runs in the cluster: its pods may connect to apps, and no others."`
	LodgeNetworks  []string `key:"lodge_networks" example:"[192.0.2.10/32]" help:"From which addresses Lodge connects to apps when it runs elsewhere, as the cluster sees them."`
	StorageClass   string   `key:"storage_class" example:"fast" help:"The storage class of people's volumes. Default: the cluster's."`
	AccessMode     string   `key:"access_mode" default:"ReadWriteOnce" enum:"ReadWriteOnce,ReadWriteMany,ReadWriteOncePod" help:"How volumes can be mounted: ReadWriteMany lets apps on several nodes share one, if the storage class can."`
	PullSecrets    []string `key:"pull_secrets" example:"[registry]" help:"Secrets of the namespace with registries' logins."`
	Pull           string   `key:"pull" default:"missing" enum:"missing,always,never" help:"When a node fetches an app's image."`
	NodeSelector   []string `key:"node_selector" example:"[pool=apps]" help:"Labels of the nodes that apps may run on, each as key=value."`
}

// Networks are those of lodge_networks.
func (k AppKubernetes) Networks() []netip.Prefix {
	list, err := Networks(k.LodgeNetworks)
	if err != nil {
		return nil // the configuration was checked: this cannot be
	}
	return list
}

// Nodes are the labels of node_selector.
func (k AppKubernetes) Nodes() map[string]string {
	labels := map[string]string{}
	for _, one := range k.NodeSelector {
		key, value, _ := strings.Cut(one, "=")
		labels[key] = value
	}
	return labels
}

// Uses says whether anything is to be run by a driver.
func (a Apps) Uses(driver string) bool {
	list, _ := apps.ParseCatalogue([]byte(a.Catalogue)) // what is wrong with it is said elsewhere
	return a.Driver == driver || slices.ContainsFunc(list, func(one apps.App) bool { return one.Driver == driver })
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
	if !l.Apps.Uses("docker") {
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

// namespaceName is how Kubernetes names namespaces.
var namespaceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (l *loader) validateKubernetes() {
	k := l.Apps.Kubernetes
	for key, name := range map[string]string{"namespace": k.Namespace, "lodge_namespace": k.LodgeNamespace} {
		if name != "" && !namespaceName.MatchString(name) {
			l.fail("%s: %q is no name of a namespace: lower-case letters, digits and hyphens", l.place("apps.kubernetes."+key), name)
		}
	}
	for _, one := range k.NodeSelector {
		if key, _, ok := strings.Cut(one, "="); !ok || key == "" {
			l.fail("%s: %q is no label: write key=value", l.place("apps.kubernetes.node_selector"), one)
		}
	}
	if _, err := Networks(k.LodgeNetworks); err != nil {
		l.fail("%s: %w", l.place("apps.kubernetes.lodge_networks"), err)
	}
	if !l.Apps.Uses("kubernetes") {
		return
	}
	switch {
	case k.Namespace == "":
		l.fail("%s: the kubernetes driver needs a namespace", l.place("apps.kubernetes.namespace"))
	case k.Namespace == k.LodgeNamespace:
		l.fail("%s: apps need a namespace of their own: whatever runs in Lodge's may connect to everybody's apps", l.place("apps.kubernetes.lodge_namespace"))
	case k.LodgeNamespace == "" && len(k.LodgeNetworks) == 0:
		l.fail("%s: say who may connect to apps: the namespace that Lodge runs in, or in apps.kubernetes.lodge_networks the addresses that it connects from", l.place("apps.kubernetes.lodge_namespace"))
	}
}

func (l *loader) validateApps() {
	l.validateDocker()
	l.validateKubernetes()
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
	drivers := []string{"process", "docker", "kubernetes"}
	for _, a := range list {
		switch driver := cmp.Or(a.Driver, l.Apps.Driver); {
		case !slices.Contains(drivers, driver):
			l.fail("%s: app %s: there is no driver %q: choose process, docker or kubernetes", l.place("apps.catalogue"), a.ID, driver)
		case driver == "process" && len(a.Command) == 0:
			l.fail("%s: app %s: the process driver needs a command; set apps.driver to docker or kubernetes for images", l.place("apps.catalogue"), a.ID)
		case driver != "process" && a.Image == "":
			l.fail("%s: app %s: the %s driver needs an image", l.place("apps.catalogue"), a.ID, driver)
		}
		l.validateSources(a, cmp.Or(a.Driver, l.Apps.Driver) == "kubernetes")
	}
}

// validateSources looks whether volumes come from where an app's driver can take them.
func (l *loader) validateSources(a apps.App, onCluster bool) {
	for _, v := range a.Volumes {
		switch _, claim := v.Claim(); {
		case claim && !onCluster:
			l.fail("%s: app %s: volume %s: claims are for the kubernetes driver; give the path of a folder", l.place("apps.catalogue"), a.ID, v.Name)
		case v.Source != "" && !claim && onCluster:
			l.fail("%s: app %s: volume %s: pods have no folders of a machine; name a claim as its source, claim:NAME", l.place("apps.catalogue"), a.ID, v.Name)
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
