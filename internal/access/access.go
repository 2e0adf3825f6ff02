package access

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/fault"
)

// User is a person, as their issuer and subject name them. Users come to be at
// the first sight of a valid token, or are entered before.
type User struct {
	ID       string    `json:"id"`
	Issuer   string    `json:"issuer"`
	Subject  string    `json:"subject"`
	Name     string    `json:"name"`
	Email    string    `json:"email"`
	Admin    bool      `json:"admin"`
	Disabled bool      `json:"disabled"`
	Roles    []Role    `json:"roles" nullable:"false" doc:"Roles given in Lodge; a token may carry more"`
	Created  time.Time `json:"created_at"`
	Seen     time.Time `json:"seen_at" doc:"The last request, to the minute; the zero time for never"`
}

// RoleInfo is a role with what is known about it.
type RoleInfo struct {
	Name        Role      `json:"name"`
	Description string    `json:"description"`
	Members     int64     `json:"members" doc:"How many people have it by Lodge; tokens may carry it too"`
	Permissions int64     `json:"permissions"`
	Created     time.Time `json:"created_at"`
}

// Permission is a stored grant: the role may do the action on the group.
type Permission struct {
	Role    Role      `json:"role"`
	Group   Group     `json:"group"`
	Action  Action    `json:"action"`
	Created time.Time `json:"created_at"`
}

// ActionInfo describes an action of the catalogue.
type ActionInfo struct {
	Action Action `json:"action" example:"audit.read"`
	Help   string `json:"help" example:"Read the audit log"`
	Part   string `json:"part" example:"platform"`
}

// Recorder writes the audit record of a change in the change's transaction.
type Recorder func(ctx context.Context, tx *database.Tx, action, object, detail string) error

// Service keeps users, roles and permissions, and decides. It is safe for
// concurrent use.
//
// What it decides from is a snapshot in memory. Every change writes a new mark
// to the database in its transaction; a snapshot whose mark is a second old is
// compared before it decides again. So a change holds at once in the process
// that made it, nearly at once where the bus carries the news, and after a
// second everywhere, with every message lost.
type Service struct {
	db        *database.DB
	bus       *bus.Bus
	record    Recorder
	refused   func(ctx context.Context, action Action, object string) error
	catalogue []ActionInfo
	now       func() time.Time
	log       *slog.Logger

	snap atomic.Pointer[snapshot]
	// wanted counts the changes known to this process; a snapshot that has seen fewer is stale.
	wanted  atomic.Uint64
	loading sync.Mutex

	admins atomic.Pointer[[]string]
	seen   sightings
}

// New makes the service. b may be nil when there is one process alone. record
// writes the audit record of every change; permissions may only name actions of
// the catalogue. Have Run running as well, so that no request waits for a snapshot.
func New(db *database.DB, b *bus.Bus, record Recorder, catalogue []ActionInfo, now func() time.Time, log *slog.Logger) *Service {
	sorted := slices.Clone(catalogue)
	slices.SortFunc(sorted, func(a, b ActionInfo) int { return cmp.Compare(a.Action, b.Action) })
	s := &Service{db: db, bus: b, record: record, catalogue: sorted, now: now, log: log}
	s.admins.Store(new([]string))
	return s
}

// OnRefusal has fn record every change that is refused after the edge let it
// pass, because the caller would give a right that they lack. The context carries
// the caller and the decision. When fn fails, so does the request. Call it before
// the service is used.
func (s *Service) OnRefusal(fn func(ctx context.Context, action Action, object string) error) {
	s.refused = fn
}

// Catalogue lists every action there is, by name.
func (s *Service) Catalogue() []ActionInfo { return slices.Clone(s.catalogue) }

// Require decides whether the context's caller may do the action on the group.
// It fails as fault.Unauthenticated for nobody, as fault.Denied with what is
// missing, and as fault.Unavailable when the permissions cannot be read.
func (s *Service) Require(ctx context.Context, action Action, group Group) (Decision, error) {
	c := CallerFrom(ctx)
	if c == nil {
		return Decide(nil, nil, action, group), fault.New(fault.Unauthenticated, "log in first")
	}
	snap, err := s.current(ctx)
	if err != nil {
		return Decision{false, "the permissions could not be read"}, err
	}
	if snap.disabled[c.UserID] {
		return disabledDecision, disabledFault()
	}
	d := Decide(c, snap.grants, action, group)
	if !d.Allowed {
		return d, missingPermission(action, group)
	}
	return d, nil
}

// Groups lists the groups on which the context's caller may do the action, to
// filter lists in SQL. all means every group; no group and not all means nothing.
func (s *Service) Groups(ctx context.Context, action Action) (groups []Group, all bool, err error) {
	c := CallerFrom(ctx)
	if c == nil {
		return nil, false, fault.New(fault.Unauthenticated, "log in first")
	}
	snap, err := s.current(ctx)
	if err != nil {
		return nil, false, err
	}
	if snap.disabled[c.UserID] {
		return nil, false, disabledFault()
	}
	if action == "" {
		return nil, false, nil
	}
	if c.Admin {
		return nil, true, nil
	}
	groups, all = snap.grants.groups(c.Roles, action)
	if all {
		return nil, true, nil
	}
	for _, g := range c.Grants {
		if g.Action == action {
			groups = append(groups, g.Group)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), false, nil
}

var disabledDecision = Decision{false, "the account is disabled"}

func disabledFault() error {
	return fault.New(fault.Denied, "this account is disabled; an administrator can enable it")
}

func missingPermission(action Action, group Group) error {
	what := string(action) + " on " + string(group)
	return &fault.Error{
		Kind: fault.Denied, Permission: what,
		Detail: "you lack the permission " + what + "; an administrator can grant it, or whoever has it and permissions.write on site",
	}
}
