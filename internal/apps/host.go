package apps

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"lodge/internal/access"
)

// hostOf is the public host of an app session, with the port that people use.
func (s *Service) hostOf(row Session) string {
	if s.cfg.Routing != ByHost {
		return s.public.Host
	}
	return s.withPort(row.Host + "." + s.cfg.HostSuffix)
}

func (s *Service) withPort(host string) string {
	if port := s.public.Port(); port != "" {
		return net.JoinHostPort(host, port)
	}
	return host
}

// prefixOf is the path below which an app session is served, without a slash at its end.
func (s *Service) prefixOf(row Session) string {
	if s.cfg.Routing != ByPath {
		return ""
	}
	return pathOf(row.App, row.Name)
}

func pathOf(app AppID, name string) string {
	if name != "" {
		return "/apps/" + string(app) + "~" + name
	}
	return "/apps/" + string(app)
}

// url is where an app session is opened.
func (s *Service) url(row Session) string {
	return s.public.Scheme + "://" + s.hostOf(row) + s.prefixOf(row) + "/"
}

// target is what a request's address names: an app, and whose.
type target struct {
	app   App
	owner Owner
	name  string
	// host is the public host, prefix the path below which it is served.
	host, prefix string
}

func (t *target) key() string { return t.owner.ID + "\x00" + string(t.app.ID) + "\x00" + t.name }

// splitHost takes the parts of an app session's host name. They are not believed: each is looked up.
func (s *Service) splitHost(host string) (app AppID, slug, name string, ok bool) {
	label, ok := s.label(host)
	if !ok {
		return "", "", "", false
	}
	parts := strings.Split(label, "--")
	if len(parts) < 2 || len(parts) > 3 {
		return "", "", "", false
	}
	if len(parts) == 3 {
		name = parts[2]
	}
	return AppID(parts[0]), parts[1], name, validID(AppID(parts[0])) && slugPattern.MatchString(parts[1]) && (len(parts) == 2 || name != "" && validName(name))
}

// label is the part of a host in front of our suffix; false for any other host.
func (s *Service) label(host string) (string, bool) {
	if at := strings.LastIndexByte(host, ':'); at >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:at]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	label, ok := strings.CutSuffix(host, "."+s.cfg.HostSuffix)
	return label, ok
}

// locateHost finds what a host name means.
func (s *Service) locateHost(ctx context.Context, host string) (*target, error) {
	id, slug, name, ok := s.splitHost(host)
	if !ok {
		return nil, errHidden
	}
	if t, ok := s.routes.target(host, s.now()); ok {
		return t, nil
	}
	a, err := s.entry(ctx, id)
	if err != nil {
		return nil, err
	}
	owner, err := s.store.ownerBySlug(ctx, s.store.db, slug)
	if err != nil {
		return nil, missing(err)
	}
	t := &target{app: a, owner: owner, name: name, host: s.withPort(hostLabel(id, slug, name) + "." + s.cfg.HostSuffix)}
	s.routes.keepTarget(host, t, s.now())
	return t, nil
}

// locateOwn finds the caller's own copy of an app, for addresses that name no person.
func (s *Service) locateOwn(ctx context.Context, id AppID, name, prefix string) (*target, error) {
	a, err := s.entry(ctx, id)
	if err != nil {
		return nil, err
	}
	c := access.CallerFrom(ctx)
	owner, _ := ownerOf(c)
	if owner.ID == "" || !validName(name) {
		return nil, errHidden
	}
	t := &target{app: a, owner: owner, name: name, host: s.public.Host, prefix: prefix}
	if known, err := s.store.owner(ctx, s.store.db, owner.ID); err == nil {
		t.owner = known
	}
	return t, nil
}

// routes remembers for a moment what addresses mean and where app sessions listen.
type routes struct {
	mu      sync.RWMutex
	targets map[string]keptTarget
	rows    map[string]keptRow // by target
	byID    map[string]string  // app session → target
}

type keptTarget struct {
	*target
	at time.Time
}

type keptRow struct {
	row  *Session
	live *live
	at   time.Time
}

// routeAge is how long a row is believed without a look at it. News of changes come much sooner.
const (
	routeAge  = 2 * time.Second
	maxRoutes = 100_000
)

func newRoutes() *routes {
	return &routes{targets: map[string]keptTarget{}, rows: map[string]keptRow{}, byID: map[string]string{}}
}

func (r *routes) target(host string, now time.Time) (*target, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t, ok := r.targets[host]
	return t.target, ok && now.Sub(t.at) < routeAge && !now.Before(t.at)
}

func (r *routes) keepTarget(host string, t *target, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.targets) >= maxRoutes {
		clear(r.targets)
	}
	r.targets[host] = keptTarget{t, now}
}

func (r *routes) row(key string, now time.Time) (keptRow, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	k, ok := r.rows[key]
	return k, ok && now.Sub(k.at) < routeAge && !now.Before(k.at)
}

func (r *routes) keepRow(key string, k keptRow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.rows) >= maxRoutes {
		clear(r.rows)
		clear(r.byID)
	}
	r.rows[key] = k
	r.byID[k.row.ID] = key
}

// forget drops what is known of an app session, because it has changed.
func (r *routes) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key, ok := r.byID[id]; ok {
		delete(r.rows, key)
		delete(r.byID, id)
	}
}

// route gives the row that a target leads to, at most routeAge old, which nobody may change: many
// requests share it. Without one its State is Absent.
func (s *Service) route(ctx context.Context, t *target, anew bool) (*Session, *live, error) {
	now := s.now()
	key := t.key()
	if k, ok := s.routes.row(key, now); ok && !anew {
		return k.row, k.live, nil
	}
	row, err := s.store.sessionOf(ctx, s.store.db, t.owner.ID, t.app.ID, t.name)
	if err == errNoRow { //nolint:errorlint // the store gives it as it is
		return &Session{OwnerID: t.owner.ID, App: t.app.ID, Name: t.name}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	l := s.tracker.of(row.ID)
	s.routes.keepRow(key, keptRow{&row, l, now})
	return &row, l, nil
}
