package fleet

import (
	"context"
	"maps"
	"sync/atomic"
	"time"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/fault"
)

// The kinds of things that have a state and can be put into an authorization group. A task belongs
// to the group of its fleet, an alert to that of its task.
const (
	kindDoor      = "door"
	kindLift      = "lift"
	kindDispenser = "dispenser"
	kindIngestor  = "ingestor"
	kindBeacon    = "beacon"
	kindFleet     = "fleet"
	kindRio       = "rio"
	// These are the site's always.
	kindMap      = "map"
	kindAlarm    = "fire_alarm"
	kindDelivery = "delivery_alert"
)

// thing names something of a kind.
type thing struct{ kind, id string }

// groups knows which thing belongs to which authorization group. There are few assignments, so all
// are in memory; every process reads them anew each second.
type groups struct {
	store *store
	known atomic.Pointer[map[thing]access.Group]
}

func newGroups(st *store) *groups { return &groups{store: st} }

// groupsFresh is how long an assignment that another replica changed may take to hold here.
const groupsFresh = time.Second

// ofFleet gives the group of what belongs to a fleet; without a fleet it is the site's.
func (g *groups) ofFleet(ctx context.Context, fleet string) (access.Group, error) {
	if fleet == "" {
		return access.Site, nil
	}
	return g.of(ctx, kindFleet, fleet)
}

// of gives the group of a thing; what is in none is the site's.
func (g *groups) of(ctx context.Context, kind, id string) (access.Group, error) {
	known := g.known.Load()
	if known == nil {
		if err := g.load(ctx); err != nil {
			return "", err
		}
		known = g.known.Load()
	}
	if group, there := (*known)[thing{kind, id}]; there {
		return group, nil
	}
	return access.Site, nil
}

func (g *groups) load(ctx context.Context) error {
	all, err := g.store.groups(ctx)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the authorization groups cannot be read")
	}
	g.known.Store(&all)
	return nil
}

// run keeps what is known fresh until ctx ends. A database that is away leaves it as it was.
func (g *groups) run(ctx context.Context) error {
	tick := time.NewTicker(groupsFresh)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_ = g.load(ctx)
		}
	}
}

// Assignment of a thing to a group, as the console sees it.
type groupAssignment struct {
	Kind  string `json:"kind" enum:"door,lift,dispenser,ingestor,beacon,fleet,rio"`
	ID    string `json:"id"`
	Group string `json:"authz_grp"`
}

// assign puts a thing into a group, with all tasks if it is a fleet. A group that nobody knows yet
// is fine: groups are what permissions are given on.
func (s *Service) assign(ctx context.Context, t thing, group access.Group) error {
	if !keyable(t.id) || len(group) == 0 || len(group) > 191 {
		return unprocessable("the id or the group is empty or too long")
	}
	err := s.store.db.Tx(ctx, func(tx *database.Tx) error {
		if err := s.store.assign(ctx, tx, t, group); err != nil {
			return err
		}
		return s.audit.Record(ctx, tx, audit.Entry{
			Action: string(WriteGroups), Group: string(access.Site), Object: t.kind + "s/" + t.id, Detail: "put into " + string(group),
		})
	})
	if err != nil {
		return err
	}
	return s.groups.load(ctx)
}

// list gives every assignment.
func (g *groups) list(ctx context.Context) (map[thing]access.Group, error) {
	if err := g.load(ctx); err != nil {
		return nil, err
	}
	return maps.Clone(*g.known.Load()), nil
}

// Thing is something that was heard of, as the console sees it.
type Thing struct {
	Kind  string `json:"kind" enum:"door,lift,dispenser,ingestor,beacon,fleet,rio"`
	ID    string `json:"id"`
	Group string `json:"authz_grp"`
	// Heard is when, by our clock.
	Heard int64 `json:"unix_millis_heard"`
}

// forget removes what is stored of a thing that is no more. If it is still there it comes back with
// its next state.
func (s *Service) forget(ctx context.Context, t thing) error {
	if err := s.writer.settle(ctx); err != nil {
		return err
	}
	return s.store.db.Tx(ctx, func(tx *database.Tx) error {
		gone, err := s.store.deleteState(ctx, tx, t)
		if err == nil && !gone {
			err = errNotFound
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, WriteGroups, access.Site, t.kind+"s/"+t.id, "forgotten")
	})
}
