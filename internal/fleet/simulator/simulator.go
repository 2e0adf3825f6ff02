// Package simulator is an Open-RMF deployment as seen from outside: robots, doors, lifts
// and work cells in a building, the task dispatcher, the fleet adapters, and rosbridge in
// front of ROS. It speaks the wires that a real site speaks and nothing else, so that
// what works with it works with one.
//
// Inside there is a world (world.go) that lives in fixed steps. It is one plain object
// without goroutines or clocks: from the same seed, and told the same at the same step,
// it does the same. A Site takes turns around it: it lets the world catch up with the
// clock, hands it what clients publish, and carries what it tells to the bridge
// (bridge.go) and to the links (adapter.go). Neither ever makes the world wait.
//
//	map file → building → world ⇄ Site ⇄ bridge  (rosbridge v2, what we serve)
//	                                   → links   (/_internal, where we connect)
//
// A task is planned into phases and jobs (activity.go), lives as a state machine (task.go)
// and is carried out by its robot (robot.go, drive.go). What goes wrong on purpose is in
// trouble.go; people can also cause it by the small HTTP API in control.go.
package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	example "lodge/examples/building"
	"lodge/internal/secret"
)

// Options say which site to simulate, and whom it tells. The zero value is the example
// building at real speed, with nobody to tell but those who come to the bridge.
type Options struct {
	// Server is the address of the fleet API, such as http://127.0.0.1:8080/fleet; the
	// adapters connect to /_internal below it. Without one there are no adapters.
	Server string
	// Token is sent by the adapters as their bearer token.
	Token secret.String
	// Map is the path of a building map file; without one it is examples/building.
	Map string
	// Seed decides everything that is left to chance.
	Seed uint64
	// Speed is how much faster than real the site lives. 0 is 1.
	Speed float64
	// Robots is how many there are. 0 is as the map says; beyond that they overlap.
	Robots int
	// Rate is how many times a second each fleet tells of its robots. 0 is 1.
	Rate float64
	// Trouble is how often a robot gets stuck in an hour of driving. 0 is never.
	Trouble float64
	// Errands is how many tasks an hour the site gives itself, so that there is something
	// to see when nobody asks for anything. 0 is none.
	Errands float64
}

const (
	maxSpeed  = 1000
	maxRate   = 50
	maxRobots = 10_000
	tick      = 50 * time.Millisecond
)

func (o *Options) complete() error {
	var wrong []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.Rate == 0 {
		o.Rate = 1
	}
	refuse(!(o.Speed > 0.001 && o.Speed <= maxSpeed), "speed: %v is not above 0 and at most %d", o.Speed, maxSpeed)
	refuse(!(o.Rate > 0.001 && o.Rate <= maxRate), "rate: %v is not above 0 and at most %d", o.Rate, maxRate)
	refuse(o.Robots < 0 || o.Robots > maxRobots, "robots: %d is not between 0 and %d", o.Robots, maxRobots)
	refuse(!(o.Trouble >= 0), "trouble: %v is negative", o.Trouble)
	refuse(!(o.Errands >= 0), "errands: %v is negative", o.Errands)
	return errors.Join(wrong...)
}

// A Site is a simulated site. It lives while Run runs.
type Site struct {
	opts   Options
	now    func() time.Time
	log    *slog.Logger
	bridge *bridge
	links  []*link

	mu    sync.Mutex
	world *world
}

// New reads the map and sets the site up. The error names everything that is wrong.
func New(opts Options, now func() time.Time, log *slog.Logger) (*Site, error) {
	if err := opts.complete(); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	text := example.Site()
	if opts.Map != "" {
		var err error
		if text, err = os.ReadFile(opts.Map); err != nil {
			return nil, fmt.Errorf("simulator: %w", err)
		}
	}
	b, err := parseMap(text)
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	m, err := b.message()
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	s := &Site{opts: opts, now: now, log: log}
	s.bridge = newBridge(s.receive, now, log)
	if err := s.connect(b); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	s.world = newWorld(b, opts, now(), output{ros: s.bridge.publish, api: s.update})
	s.bridge.publish("/map", m)
	s.bridge.publish("/fire_alarm_trigger", boolean{})
	return s, nil
}

// connect makes a link for every fleet and one for the dispatcher.
func (s *Site) connect(b *building) error {
	if s.opts.Server == "" {
		return nil
	}
	url, err := adapterURL(s.opts.Server)
	if err != nil {
		return err
	}
	names := []string{}
	for _, f := range b.fleets {
		names = append(names, f.name)
	}
	for i, name := range append(names, "dispatcher") {
		l := newLink(name, url, s.opts.Token, s.log)
		l.again = func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.world.tellAgain(i, l.send)
		}
		s.links = append(s.links, l)
	}
	return nil
}

// Run lets the site live until ctx ends.
func (s *Site) Run(ctx context.Context) error {
	var links sync.WaitGroup
	for _, l := range s.links {
		links.Go(func() { l.run(ctx) })
	}
	defer links.Wait()
	defer s.bridge.sever(true)
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-clock.C:
			s.advance(s.now())
		}
	}
}

// Handler serves rosbridge at the root, and the control API.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.bridge.serve)
	mux.Handle("/control", http.NewCrossOriginProtection().Handler(s.control()))
	mux.Handle("/control/", http.NewCrossOriginProtection().Handler(s.control()))
	return mux
}

func (s *Site) advance(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.advance(t)
}

// receive takes what a client of the bridge publishes.
func (s *Site) receive(topic string, msg json.RawMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.world.receive(topic, msg)
}

func (s *Site) update(index int, key, kind string, data any) {
	if index < len(s.links) {
		s.links[index].send(key, kind, data)
	}
}
