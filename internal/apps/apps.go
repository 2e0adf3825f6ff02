// Package apps gives every person a private running copy of the apps in a catalogue, behind one
// login. It keeps the catalogue, starts and stops app sessions through drivers, leads requests to
// them, and ends those that nobody uses.
//
// What always holds:
//
//   - An app session belongs to one person, and every request and upgrade is compared with that
//     person, from the row. Another's app session and a missing one look the same.
//   - However many requests race, there is one row for a person, app and name, and one start.
//   - No credential of Lodge reaches an app, and nothing that a client says about who it is does.
//   - The rows are the truth. Instances outlive Lodge; whoever comes back finds them by their marks.
package apps

import (
	"cmp"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
	"lodge/internal/work"
)

// What can be done here. The group is the app's.
const (
	List      access.Action = "apps.list"
	Launch    access.Action = "apps.launch"
	Open      access.Action = "apps.open"
	Stop      access.Action = "apps.stop"
	ReadLogs  access.Action = "apps.logs"
	LaunchAny access.Action = "apps.launch-any"
	ReadAny   access.Action = "apps.read-any"
	StopAny   access.Action = "apps.stop-any"
	OpenAny   access.Action = "apps.open-any"
	LogsAny   access.Action = "apps.logs-any"
	Admin     access.Action = "apps.admin"
)

// Actions is this part's share of the catalogue of actions.
func Actions() []access.ActionInfo {
	list := []access.ActionInfo{
		{Action: List, Help: "See a group's apps"},
		{Action: Launch, Help: "Start a group's apps for oneself"},
		{Action: Open, Help: "Use one's own app sessions of a group"},
		{Action: Stop, Help: "Stop one's own app sessions of a group"},
		{Action: ReadLogs, Help: "Read what one's own app sessions of a group write"},
		{Action: LaunchAny, Help: "Start a group's apps for other people"},
		{Action: ReadAny, Help: "See everybody's app sessions of a group"},
		{Action: StopAny, Help: "Stop everybody's app sessions of a group"},
		{Action: OpenAny, Help: "Use everybody's app sessions of a group, which is recorded"},
		{Action: LogsAny, Help: "Read what everybody's app sessions of a group write"},
		{Action: Admin, Help: "Change a group's entries of the catalogue, and who may use them"},
	}
	for i := range list {
		list[i].Part = "apps"
	}
	return list
}

// Routing says where app sessions are reached.
type Routing string

// The ways of routing.
const (
	// ByHost gives every app session an origin of its own.
	ByHost Routing = "host"
	// ByPath serves trusted apps under /apps/{app}/, for sites without wildcard DNS.
	ByPath Routing = "path"
	// Alone gives the whole path space to the default app, as ServiceHub did.
	Alone Routing = "alone"
)

// Config says how this part behaves. The zero value works.
type Config struct {
	// PublicURL is Lodge's own address.
	PublicURL string
	Routing   Routing
	// HostSuffix is below which app sessions have their hosts; "" is apps.<public host>.
	HostSuffix string
	DefaultApp AppID
	// Catalogue are the entries that the API cannot change. They have their defaults.
	Catalogue []App
	// Driver is the name of the driver for entries that name none; "" is the only one.
	Driver string
	Limits Limits
	Cull   CullConfig
	// Hold is how long a request other than for a page waits for an app that starts.
	Hold time.Duration
	// Grace is how long an app may take to end once it is asked to.
	Grace time.Duration
	// AccountIssuer is whose people have names that nobody else can take, so that an entry may list them
	// by name; "" is nobody's.
	AccountIssuer string
	// Contact is whom people can ask for help.
	Contact string
	// JupyterHub says whether app sessions are also served by JupyterHub's API.
	JupyterHub bool
	// Changed hears of every change that a live view may want to show. It must not block.
	Changed func(topic string)
}

// CullConfig says how often to look for app sessions that nobody uses, and what else is tidied.
type CullConfig struct {
	Every, Flush, RestartGrace, KeepFailed, OrphanAfter, Reconcile time.Duration
}

func (c Config) withDefaults() (Config, error) {
	orDefault(&c.Routing, ByHost)
	orDefault(&c.Contact, "an administrator of this site")
	orDefault(&c.Hold, 10*time.Second)
	orDefault(&c.Grace, 10*time.Second)
	orDefault(&c.Cull.Every, 30*time.Second)
	orDefault(&c.Cull.Flush, 15*time.Second)
	orDefault(&c.Cull.RestartGrace, 5*time.Minute)
	orDefault(&c.Cull.KeepFailed, 24*time.Hour)
	orDefault(&c.Cull.OrphanAfter, 10*time.Minute)
	orDefault(&c.Cull.Reconcile, 5*time.Minute)
	c.Limits = c.Limits.withDefaults()
	if c.Changed == nil {
		c.Changed = func(string) {}
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Host == "" {
		return c, fmt.Errorf("apps: public_url %q is no address", c.PublicURL)
	}
	if c.HostSuffix == "" {
		c.HostSuffix = "apps." + u.Hostname()
	}
	c.HostSuffix = strings.ToLower(strings.Trim(c.HostSuffix, "."))
	return c, nil
}

// Service is this part's one entrance. It is safe for concurrent use.
type Service struct {
	cfg      Config
	public   *url.URL
	store    *store
	bus      *bus.Bus
	queue    *work.Queue
	access   *access.Service
	audit    *audit.Log
	identity *identity.Service
	// addPerson makes somebody known before their first login; nil if that cannot be done.
	addPerson func(ctx context.Context, name string, admin bool) (access.User, error)
	drivers   map[string]Driver
	// installation marks what is ours among the drivers' instances.
	installation string
	sealing      cipher.AEAD
	now          func() time.Time
	log          *slog.Logger
	metrics      *metrics

	entries  *entries
	news     *news
	routes   *routes
	tracker  *tracker
	front    *front
	launches *pace
	// opened keeps the audit log from a record for every request to somebody else's app.
	opened *pace
	// noted does the same for refusals.
	noted *pace

	mu sync.Mutex
	// starting are the starts of this process, by app session, to be cut short.
	starting map[string]context.CancelCauseFunc
	draining bool
	// samples are the last measurements of those that count as busy while they compute.
	samples map[string]sample
}

// Deps are what the part stands on.
type Deps struct {
	DB       *database.DB
	Bus      *bus.Bus
	Queue    *work.Queue
	Access   *access.Service
	Audit    *audit.Log
	Identity *identity.Service
	// AddPerson makes somebody known before their first login; nil says that this cannot be done.
	AddPerson func(ctx context.Context, name string, admin bool) (access.User, error)
	Registry  prometheus.Registerer
	Now       func() time.Time
	Log       *slog.Logger
}

// installationName is where the site's mark stands in site_values.
const (
	installationName = "apps.installation"
	sealingName      = "apps.key"
)

// New makes the service with its drivers; the first one is the default.
func New(ctx context.Context, cfg Config, d Deps, drivers ...Driver) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(drivers) == 0 {
		return nil, errors.New("apps: there is no driver")
	}
	orDefault(&cfg.Driver, drivers[0].Name())
	s := &Service{
		cfg: cfg, store: &store{d.DB}, bus: d.Bus, queue: d.Queue, access: d.Access, audit: d.Audit, identity: d.Identity, addPerson: d.AddPerson,
		drivers: map[string]Driver{}, now: d.Now, log: d.Log, metrics: newMetrics(d.Registry),
		starting: map[string]context.CancelCauseFunc{},
	}
	for _, one := range drivers {
		s.drivers[one.Name()] = one
	}
	if s.drivers[cfg.Driver] == nil {
		return nil, fmt.Errorf("apps: there is no driver %s", cfg.Driver)
	}
	if s.public, err = url.Parse(cfg.PublicURL); err != nil {
		return nil, err
	}
	if s.installation, err = d.DB.EnsureSiteValue(ctx, installationName, strings.ToLower(rand.Text()[:16]), d.Now()); err != nil {
		return nil, err
	}
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh)
	key, err := d.DB.EnsureSiteValue(ctx, sealingName, base64.StdEncoding.EncodeToString(fresh), d.Now())
	if err != nil {
		return nil, err
	}
	if s.sealing, err = aeadOf(key); err != nil {
		return nil, fmt.Errorf("apps: the key in the database cannot be read: %w", err)
	}
	s.entries = newEntries(s)
	s.news = newNews()
	s.routes = newRoutes()
	s.tracker = newTracker(d.Now)
	s.launches = newPace(cfg.Limits.LaunchesPerMinute, time.Minute)
	s.opened, s.noted = newPace(1, time.Minute), newPace(1, time.Minute)
	if s.front, err = newFront(s); err != nil {
		return nil, err
	}
	if d.Registry != nil {
		err = d.Registry.Register(s)
	}
	return s, err
}

// Installation marks what belongs to this site among a driver's instances.
func Installation(ctx context.Context, db *database.DB, now time.Time) (string, error) {
	return db.EnsureSiteValue(ctx, installationName, strings.ToLower(rand.Text()[:16]), now)
}

// Run starts and stops app sessions, watches them, and ends those that nobody uses, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	starts := work.WorkerConfig{Parallel: s.cfg.Limits.StartsAtOnce, Lease: 30 * time.Second, Backoff: work.Backoff{Min: time.Second, Max: 10 * time.Second}}
	stops := work.WorkerConfig{Parallel: 8, Lease: 30 * time.Second, Backoff: work.Backoff{Min: time.Second, Max: time.Minute}}
	g.Go(func() error { return s.queue.Worker(startKind, starts, s.workStart).Run(ctx) })
	g.Go(func() error { return s.queue.Worker(stopKind, stops, s.workStop).Run(ctx) })
	g.Go(func() error { return s.queue.Lease("apps.keeper", 15*time.Second).Run(ctx, s.keep) })
	g.Go(func() error { return s.runNews(ctx) })
	g.Go(func() error { return s.runFlush(ctx) })
	g.Go(func() error { return s.runSockets(ctx) })
	for _, d := range s.drivers {
		g.Go(func() error { return s.runWatch(ctx, d) })
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("apps: %w", err)
	}
	return nil
}

// Drain refuses new launches: the server is about to end.
func (s *Service) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
}

// driver gives the one that an entry asks for.
func (s *Service) driver(name string) (Driver, error) {
	d := s.drivers[cmp.Or(name, s.cfg.Driver)]
	if d == nil {
		return nil, fmt.Errorf("there is no driver %s", name)
	}
	return d, nil
}

// Mount is the part's API.
func (s *Service) Mount() httpapi.Mount {
	return httpapi.Mount{
		Name: "apps", Title: "Lodge apps", Version: "1", Description: "The catalogue of apps, and everybody's app sessions.",
		Routes: s.apiRoutes(), Problem: writeProblem,
	}
}
