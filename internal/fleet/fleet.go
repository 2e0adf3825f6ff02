// Package fleet serves robots, doors, lifts and tasks as the API server of Open-RMF does: the same
// REST operations, rooms and adapter socket, on the platform's users and permissions. Its clients
// depend on names, shapes and sentences; docs/differences.md lists what is better.
//
// What happens at a site comes in from two sides: fleet adapters and the dispatcher speak to the
// adapter socket (package adapter), everything else comes from ROS. Both go the same way: a message
// is passed on to subscribers at once, and waits for the next batch that is written to the database
// (writer.go), so that a slow database or a slow subscriber holds nobody up. Whoever reads waits
// for the batches with what was passed on before (settle), so that a state that was heard of can be
// read.
package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/fleet/adapter"
	"lodge/internal/httpapi"
	"lodge/internal/objects"
	"lodge/internal/work"
)

// Config says how this part behaves. The zero value works.
type Config struct {
	// Prefix is where the part is mounted: "/fleet", or "" when it is alone.
	Prefix string
	// PublicURL is the part's address as clients know it, prefix included, for the addresses of cached
	// images; "" is http://localhost:8000.
	PublicURL string
	// OpenPermissions lets every known caller do everything but administration, as the original does.
	OpenPermissions bool
	// AllowedPeers are the addresses from which adapters may connect without a token.
	AllowedPeers []netip.Prefix
	// AdapterMaxMessage bounds a message of an adapter; 0 is 16 MiB.
	AdapterMaxMessage int64
	// SimTime takes the time from the ROS topic /clock.
	SimTime bool
	// TaskAPITimeout is how long to wait for RMF's answer; 0 is 5 s.
	TaskAPITimeout time.Duration
	// CheckTasks refuses commands about tasks that are unknown or have ended, instead of asking RMF, which
	// does not answer then.
	CheckTasks bool
	// NameRequester names the caller instead of the server in door and lift requests.
	NameRequester bool
	// TimeZone is that of schedules; nil is UTC.
	TimeZone *time.Location
	// RunMissed runs an occurrence of a schedule that was missed while the site was down, once; otherwise
	// it is skipped.
	RunMissed bool
	// MissedAfter is how late an occurrence may run without counting as missed; 0 is a minute.
	MissedAfter time.Duration
	// LostAfter is how long a task at work may go unheard of, while its fleet reports, before it counts as
	// failed; 0 is for ever.
	LostAfter time.Duration
	// Retention is how long what has ended is kept; zero values keep it for ever.
	Retention Retention
	// UserIssuer is the issuer whose subjects are user names, for users who are entered by name.
	UserIssuer string
}

// Retention is how long what has ended is kept.
type Retention struct {
	// Tasks is for tasks that have ended, with their logs, Logs for log entries, Alerts for alerts.
	Tasks, Logs, Alerts time.Duration
}

func (c Config) withDefaults() Config {
	if c.PublicURL == "" {
		c.PublicURL = "http://localhost:8000"
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	if c.TaskAPITimeout == 0 {
		c.TaskAPITimeout = 5 * time.Second
	}
	if c.TimeZone == nil {
		c.TimeZone = time.UTC
	}
	if c.MissedAfter == 0 {
		c.MissedAfter = time.Minute
	}
	if c.UserIssuer == "" {
		c.UserIssuer = "lodge"
	}
	return c
}

// Ros is the way to ROS.
type Ros interface {
	// Publish sends a message on a topic that Adverts lists. It fails as fault.Unavailable while ROS
	// cannot be reached.
	Publish(ctx context.Context, topic string, msg any) error
}

// Live passes events on to those who listen here.
type Live interface {
	// Publish hands an event to the subscribers of a room and never waits for them. Of events with the
	// same key one that was not sent yet gives way to a newer one, unless the room is a log.
	Publish(room, key string, data json.RawMessage)
	// Listen gives the room's events, what Subscribe says first, until ctx ends, stop is called, the
	// caller may not listen any more, or is too slow for a log.
	Listen(ctx context.Context, room string) (events <-chan json.RawMessage, stop func(), err error)
}

// Gate finds out who calls. httpapi.Gate is one.
type Gate interface {
	Authenticate(r *http.Request) (context.Context, error)
}

// Deps is what the part is built on.
type Deps struct {
	DB     *database.DB
	Bucket objects.Bucket
	Queue  *work.Queue
	Bus    *bus.Bus
	Access *access.Service
	Audit  *audit.Log
	Gate   Gate
	// Recheck says whether the context's caller could still come in; connections ask it now and then. It
	// may be nil.
	Recheck func(context.Context) error
	Now     func() time.Time
	Log     *slog.Logger
}

// Service is this part's one entrance. It is safe for concurrent use.
type Service struct {
	cfg    Config
	store  *store
	bucket objects.Bucket
	queue  *work.Queue
	bus    *bus.Bus
	access *access.Service
	audit  *audit.Log
	gate   Gate
	now    func() time.Time
	log    *slog.Logger

	ros     Ros
	live    Live
	feed    *feed
	writer  *writer
	groups  *groups
	calls   *calls
	maps    *mapCache
	adapter *adapter.Server
	// clock is the last time that /clock told, in nanoseconds.
	clock atomic.Int64
	// wakeSchedules tells the scheduler that there is something new.
	wakeSchedules chan struct{}
}

// New makes the service. Attach it to ROS and to a live server before it runs.
func New(cfg Config, d Deps) (*Service, error) {
	if d.DB == nil || d.Bucket == nil || d.Queue == nil || d.Bus == nil || d.Access == nil || d.Audit == nil || d.Gate == nil || d.Now == nil || d.Log == nil {
		return nil, errors.New("fleet: something it is built on is missing")
	}
	s := &Service{
		cfg: cfg.withDefaults(), store: &store{db: d.DB}, bucket: d.Bucket, queue: d.Queue, bus: d.Bus, access: d.Access, audit: d.Audit,
		gate: d.Gate, now: d.Now, log: d.Log, ros: noRos{}, live: noLive{}, wakeSchedules: make(chan struct{}, 1),
	}
	s.feed = newFeed(s)
	s.groups = newGroups(s.store)
	s.writer = newWriter(s.store, s.groups, s.now, s.log, s.announce)
	s.calls = newCalls()
	s.maps = &mapCache{incoming: make(chan json.RawMessage, 1)}
	s.adapter = adapter.New(adapter.Config{
		AllowedPeers: s.cfg.AllowedPeers, MaxMessage: s.cfg.AdapterMaxMessage, Admit: s.admitAdapter, Recheck: d.Recheck, Take: s.TakeMessage,
	}, s.log)
	if s.cfg.OpenPermissions {
		s.log.Warn("everyone who can log in may command doors, lifts, robots and tasks", "setting", "fleet.open_permissions")
	}
	if len(s.cfg.AllowedPeers) > 0 {
		s.log.Warn("whoever connects from these addresses may report tasks and fleets without a token",
			"setting", "fleet.adapter.allowed_peers", "peers", s.cfg.AllowedPeers)
	}
	return s, nil
}

// Attach connects the service with ROS and with those who listen; nil leaves out either. Call it
// before Run and before the first request.
func (s *Service) Attach(ros Ros, live Live) {
	if ros != nil {
		s.ros = ros
	}
	if live != nil {
		s.live = live
	}
}

// Run writes what comes in, hears the other replicas, runs schedules and prunes, until the context
// ends. What was taken before is written before it returns.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.writer.run(ctx) })
	g.Go(func() error { return s.feed.run(ctx) })
	g.Go(func() error { return s.groups.run(ctx) })
	g.Go(func() error { return s.adapter.Run(ctx) })
	g.Go(func() error { return s.runMaps(ctx) })
	g.Go(func() error { return s.runSchedules(ctx) })
	g.Go(func() error { return s.runPruning(ctx) })
	g.Go(func() error { return s.runLost(ctx) })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("fleet: %w", err)
	}
	return nil
}

// Mount is the part's API. The live server's handler belongs beside it, at the prefix + /socket.io/.
func (s *Service) Mount() httpapi.Mount {
	return httpapi.Mount{
		Name: "fleet", Prefix: s.cfg.Prefix, Title: "RMF API Server", Version: "0.1.0",
		Description: "Robots, doors, lifts and tasks of an Open-RMF site.",
		Routes:      s.routes(), Problem: writeProblem, ProblemDoc: HTTPValidationError{},
		AnyOrigin: true, RedirectSlash: true,
	}
}

// Adapters is how many fleet adapters are connected here.
func (s *Service) Adapters() int { return s.adapter.Connections() }

// rmfTime is the time as RMF has it: with sim time the epoch until the clock was heard.
func (s *Service) rmfTime() time.Time {
	if s.cfg.SimTime {
		return time.Unix(0, s.clock.Load())
	}
	return s.now()
}

// rmfNow is rmfTime in milliseconds.
func (s *Service) rmfNow() int64 { return s.rmfTime().UnixMilli() }

// errNoRos is what commands answer while ROS cannot be reached.
var errNoRos = fault.New(fault.Unavailable, "the ROS bridge is not connected")

type noRos struct{}

func (noRos) Publish(context.Context, string, any) error { return errNoRos }

type noLive struct{}

func (noLive) Publish(string, string, json.RawMessage) {}

func (noLive) Listen(context.Context, string) (<-chan json.RawMessage, func(), error) {
	return nil, nil, fault.New(fault.Unavailable, "nobody passes events on here")
}
