package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Server is the edge: it takes mounts, and answers requests through one chain.
type Server struct {
	cfg      Config
	gate     Gate
	log      *slog.Logger
	now      func() time.Time
	metrics  *metrics
	compress *compressor

	// trees are sorted by prefix, longest first; the last one has the prefix "".
	trees  []*tree
	mounts []Mount
	routes []RegisteredRoute
	sealed bool

	diversions []*diversion

	plans sync.Map // reflect.Type → *plan

	drained chan struct{}
	drain   sync.Once
}

// tree is everything under one prefix. Usually that is one mount; several may share a prefix,
// then the first one owns it: its Problem answers for addresses that nobody serves.
type tree struct {
	prefix    string
	owner     Mount
	mux       *http.ServeMux
	endpoints map[string]*endpoint // by path pattern
	catchAll  bool                 // somebody handles "/" itself
}

// RegisteredRoute is a route with where it is served, for tests that walk them all.
type RegisteredRoute struct {
	Route
	Mount, Prefix string
	// Pattern is the whole path: prefix and path.
	Pattern string
}

// New makes a server without mounts. The registerer may be nil. The clock is used for what is
// logged and measured; deadlines follow the machine's.
func New(cfg Config, gate Gate, log *slog.Logger, now func() time.Time, reg prometheus.Registerer) *Server {
	s := &Server{
		cfg: cfg.withDefaults(), gate: gate, log: log, now: now,
		metrics: newMetrics(reg), compress: newCompressor(), drained: make(chan struct{}),
	}
	s.treeAt("", Mount{Name: "root", Title: "Lodge"})
	return s
}

// methods are those that a route may have.
var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

// Mount adds an API. It refuses routes that do not say who may call them, and whatever else would
// only be noticed by the first caller: all findings at once.
func (s *Server) Mount(m Mount) error {
	if s.sealed {
		return errors.New("mount " + m.Name + ": the server answers already")
	}
	if m.Prefix != "" && (!strings.HasPrefix(m.Prefix, "/") || !cleanPath(m.Prefix) || strings.HasSuffix(m.Prefix, "/")) {
		return fmt.Errorf("mount %s: prefix %q must be empty or look like \"/results\"", m.Name, m.Prefix)
	}
	if m.Problem == nil {
		m.Problem = WriteProblem
	}
	t := s.treeAt(m.Prefix, m)
	if t.owner.Problem == nil {
		t.owner = m // the root had no owner yet
	}
	s.mounts = append(s.mounts, m)
	var errs []error
	ids := map[string]bool{}
	for _, route := range m.Routes {
		if id := route.Doc.ID; id != "" && ids[id] {
			errs = append(errs, fmt.Errorf("mount %s: %s %s: operation id %q is used twice", m.Name, route.Method, m.Prefix+route.Path, id))
		}
		ids[route.Doc.ID] = true
		if err := s.register(t, m, route); err != nil {
			errs = append(errs, fmt.Errorf("mount %s: %s %s: %w", m.Name, route.Method, m.Prefix+route.Path, err))
		}
	}
	return errors.Join(errs...)
}

// register checks one route and puts it into the tree, in both spellings.
func (s *Server) register(t *tree, m Mount, route Route) error {
	if err := s.check(m, route); err != nil {
		return err
	}
	path := t.prefix + strings.TrimSuffix(route.Path, "/")
	e, known := t.endpoints[path]
	if !known {
		e = &endpoint{pattern: path, routes: map[string]*boundRoute{}}
		patterns := spellings(path)
		if route.NoSlash {
			patterns = patterns[:1]
		}
		if m.RedirectSlash && len(patterns) > 1 {
			if err := t.handle(patterns[1:], &slashed{server: s, endpoint: e}); err != nil {
				return err
			}
			patterns = patterns[:1]
		}
		if err := t.handle(patterns, e); err != nil {
			return err
		}
		t.endpoints[path] = e
	}
	if e.routes[route.Method] != nil {
		return errors.New("this route exists already")
	}
	e.add(route.Method, s.bind(m, route, path))
	s.routes = append(s.routes, RegisteredRoute{Route: route, Mount: m.Name, Prefix: m.Prefix, Pattern: path})
	return nil
}

// check refuses a route that could not be served, or not safely.
func (s *Server) check(m Mount, route Route) error {
	var errs []error
	if !slices.Contains(methods, route.Method) {
		errs = append(errs, fmt.Errorf("unknown method, want one of %s", strings.Join(methods, ", ")))
	}
	if !strings.HasPrefix(route.Path, "/") {
		errs = append(errs, errors.New("the path must begin with a slash"))
	}
	if route.Action == "" {
		errs = append(errs, errors.New("the route names no action; say Public if nobody needs to log in"))
	}
	if route.Action != Public && s.gate == nil {
		errs = append(errs, errors.New("the server has no gate, so only public routes can be served"))
	}
	if route.Action == Public && (route.Group != nil || route.InService) {
		errs = append(errs, errors.New("a public route has no group"))
	}
	if route.Group != nil && route.InService {
		errs = append(errs, errors.New("the group is known either from the request or in the service"))
	}
	if route.Handle == nil {
		errs = append(errs, errors.New("the route has no handler"))
	}
	if err := s.checkDoc(m, route); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// spellings are the patterns that match a path with and without a slash at its end, and nothing else.
func spellings(path string) []string {
	switch {
	case path == "":
		return []string{"/{$}"}
	case strings.HasSuffix(path, "...}"):
		return []string{path} // see bare
	default:
		return []string{path, path + "/{$}"}
	}
}

// bare serves "/files" by "/files/{path...}" where no other route does: http.ServeMux would
// redirect otherwise.
func (t *tree) bare() {
	for path, e := range t.endpoints {
		if !strings.HasSuffix(path, "...}") {
			continue
		}
		if base := path[:strings.LastIndexByte(path, '/')]; base != "" && t.endpoints[base] == nil {
			t.mux.Handle(base, e)
		}
	}
}

// Handle serves a handler that does its own checks, such as the console's files or the identity
// provider, inside the chain but without the Gate. Patterns are http.ServeMux's. What lies under
// the prefix of a mount is served beside its routes; mount it first.
func (s *Server) Handle(pattern string, h http.Handler) {
	path := pattern[strings.IndexByte(pattern, '/'):]
	t := s.find(path)
	if path == "/" {
		t.catchAll = true
	}
	t.mux.Handle(pattern, &outside{server: s, tree: t, pattern: pattern, metrics: s.metrics.route("static", pattern, "any"), handler: h})
}

// Routes lists every route of every mount, those of the documents included.
func (s *Server) Routes() []RegisteredRoute { return slices.Clone(s.routes) }

// Handler is the server, ready to answer; nothing can be mounted after it.
func (s *Server) Handler() http.Handler {
	if !s.sealed {
		s.sealed = true
		for _, t := range s.trees {
			if t.owner.Problem == nil {
				t.owner.Problem = WriteProblem
			}
			t.bare()
			if !t.catchAll {
				t.mux.Handle("/", &nowhere{server: s, owner: t.owner, metrics: s.metrics.route(t.owner.Name, "unmatched", "any")})
			}
		}
	}
	return http.HandlerFunc(s.serve)
}

// Drain ends the streams that would never end by themselves, so that a server that stops has to
// wait for finite requests only.
func (s *Server) Drain() { s.drain.Do(func() { close(s.drained) }) }

// treeAt finds or plants the tree of a prefix. Each has its documents.
func (s *Server) treeAt(prefix string, owner Mount) *tree {
	for _, t := range s.trees {
		if t.prefix == prefix {
			return t
		}
	}
	t := &tree{prefix: prefix, owner: owner, mux: http.NewServeMux(), endpoints: map[string]*endpoint{}}
	s.trees = append(s.trees, t)
	slices.SortStableFunc(s.trees, func(a, b *tree) int { return len(b.prefix) - len(a.prefix) })
	for _, route := range s.documentRoutes(t) {
		if err := s.register(t, Mount{Name: "documents", Prefix: prefix, Problem: WriteProblem}, route); err != nil {
			panic(err) // they are constant: a test would not get this far
		}
	}
	return t
}

// find is the tree with the longest prefix of path.
func (s *Server) find(path string) *tree {
	for _, t := range s.trees {
		if rest, ok := strings.CutPrefix(path, t.prefix); ok && (rest == "" || rest[0] == '/') {
			return t
		}
	}
	return s.trees[len(s.trees)-1]
}

// handle registers h for the patterns. http.ServeMux panics when patterns conflict; at start that
// is an error like any other.
func (t *tree) handle(patterns []string, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the path cannot be served: %v", p)
		}
	}()
	for _, p := range patterns {
		t.mux.Handle(p, h)
	}
	return nil
}
