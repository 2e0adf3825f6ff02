package lodge

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"lodge/internal/config"
	"lodge/internal/fleet"
	"lodge/internal/fleet/live"
	"lodge/internal/fleet/rosbridge"
	"lodge/internal/httpapi"
)

// fleetPart is the fleet part with its ways in and out.
type fleetPart struct {
	*fleet.Service
	platform *platform
	prefix   string
	live     *live.Server
	// ros is this replica's way to ROS; each has its own, so that what is heard need not travel. Nil without.
	ros *rosbridge.Client
	// site is the simulated one; nil without.
	site *simulatedSite
}

func openFleet(ctx context.Context, p *platform, b *bucket, prefix string, at net.Addr, simulate bool) (_ part, err error) {
	c := p.cfg.Fleet
	peers, err := config.Networks(c.Adapter.AllowedPeers)
	if err != nil {
		return nil, err // the configuration was checked: this cannot be
	}
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("fleet.time_zone: %w", err)
	}
	f := &fleetPart{platform: p, prefix: prefix}
	if f.Service, err = fleet.New(fleet.Config{
		Prefix: prefix, PublicURL: p.publicURL + prefix, OpenPermissions: c.OpenPermissions, AllowedPeers: peers,
		AdapterMaxMessage: int64(c.Adapter.MaxMessage), SimTime: c.UseSimTime, TaskAPITimeout: c.TaskAPITimeout, CheckTasks: c.CheckTasks,
		NameRequester: c.NameRequester, TimeZone: zone, RunMissed: c.Schedule.Missed == "run_once", MissedAfter: c.Schedule.MissedAfter,
		UserIssuer: fleetPeople(p.cfg), LostAfter: c.LostAfter,
		Retention: fleet.Retention{Tasks: c.Retention.Tasks, Logs: c.Retention.Logs, Alerts: c.Retention.Alerts},
	}, fleet.Deps{
		DB: p.db, Bucket: b, Queue: p.queue, Bus: p.bus, Access: p.access, Audit: p.audit, Gate: p.identity, Recheck: p.identity.Recheck, Now: p.now, Log: p.log,
	}); err != nil {
		return nil, err
	}
	f.live = live.New(live.Options{Path: prefix + "/socket.io", Permit: f.MayListen}, f.Authenticate, f.subscribe, p.identity.Recheck, p.now, p.log)
	bridge := c.Rosbridge.URL
	if wantsSimulatedSite(p.cfg, simulate) {
		if f.site, err = newSimulatedSite(ctx, p, localAddress(at)+prefix); err != nil {
			return nil, err
		}
		bridge = f.site.bridge()
	}
	if bridge == "" {
		f.Attach(nil, f.live)
		return f, nil
	}
	f.connect(bridge)
	f.Attach(f.ros, f.live)
	return f, nil
}

// fleetPeople is the issuer of people who are entered by name; "" is the embedded provider.
func fleetPeople(cfg *config.Loaded) string {
	if issuers := cfg.Identity.Issuers; len(issuers) > 0 {
		return issuers[0].Issuer
	}
	if cfg.Fleet.StubLogin {
		return stubName
	}
	return ""
}

// connect makes the client of the bridge.
func (f *fleetPart) connect(address string) {
	var heard, spoken []rosbridge.Topic
	for _, t := range f.Subscriptions() {
		heard = append(heard, bridgeTopic(t))
	}
	for _, t := range f.Adverts() {
		spoken = append(spoken, bridgeTopic(t))
	}
	limit := int64(f.platform.cfg.Fleet.Rosbridge.MaxMessage)
	f.ros = rosbridge.New(rosbridge.Config{URL: address, Topics: heard, Adverts: spoken, MaxMessage: limit}, f.FromROS, f.platform.now, f.platform.log)
}

func bridgeTopic(t fleet.Topic) rosbridge.Topic {
	return rosbridge.Topic{Name: t.Name, Type: t.Type, QoS: t.QoS, Latched: t.Latched, ThrottleMS: t.ThrottleMS, QueueLength: t.Queue}
}

// subscribe is the service's, in the live server's words.
func (f *fleetPart) subscribe(ctx context.Context, room string) (live.Kind, []json.RawMessage, error) {
	kind, replay, err := f.Subscribe(ctx, room)
	if kind == fleet.Log {
		return live.Log, replay, err
	}
	return live.State, replay, err
}

func (f *fleetPart) depend(checks *httpapi.Checks) {
	if f.ros != nil {
		checks.Watch("ros", f.ros.Check)
	}
}

func (f *fleetPart) beside(server *httpapi.Server) error {
	server.Handle(f.prefix+"/socket.io/", f.live.Handler())
	// Adapters whose address ends with a slash are refused at the handshake, not led elsewhere.
	server.Handle(f.prefix+"/_internal/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	return nil
}

func (f *fleetPart) drain() {}

// Run runs the service, its live connections, the ways to ROS and the simulated site.
func (f *fleetPart) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.Service.Run(ctx) })
	g.Go(func() error { return f.live.Run(ctx) })
	if f.ros != nil {
		g.Go(func() error { return f.ros.Run(ctx) })
	}
	if f.site != nil {
		g.Go(func() error { return f.site.run(ctx) })
	}
	return g.Wait()
}

func (f *fleetPart) close() error {
	if f.site == nil {
		return nil
	}
	return f.site.close()
}

// localAddress is how a process on this machine reaches the server.
func localAddress(at net.Addr) string {
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return "http://" + at.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
