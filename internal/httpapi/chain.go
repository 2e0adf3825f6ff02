package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"lodge/internal/fault"
)

// serve is the first half of the chain, the same for every request: id and address, limits of
// writing, recovery, log and metrics, headers. Then the tree finds the endpoint.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	x := &exchange{server: s, start: s.now()}
	s.identify(x, r)
	x.w = &responseWriter{
		ResponseWriter: w, control: http.NewResponseController(w), stall: s.cfg.StallTimeout,
		compress: s.compress, accept: strings.Join(r.Header["Accept-Encoding"], ","),
	}
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))

	s.metrics.inFlight.Inc()
	defer s.finish(x, r)

	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// Whoever is in front may have seen another end of this body. What follows it on the connection
		// is not to be taken for a request.
		w.Header()["Connection"] = headerClose
	}
	if s.divert(x, r) {
		return
	}
	h := w.Header()
	h["X-Request-Id"] = []string{x.id}
	h["X-Content-Type-Options"] = headerNosniff
	h["Referrer-Policy"] = headerReferrer
	h["Content-Security-Policy"] = headerNoFrames

	t := s.find(r.URL.Path)
	x.problem = t.owner.Problem
	if !cleanPath(r.URL.EscapedPath()) {
		x.mount, x.pattern, x.metrics = t.owner.Name, "unmatched", s.metrics.route(t.owner.Name, "unmatched", "any")
		s.fail(x, r, ErrNoRoute)
		return
	}
	t.mux.ServeHTTP(x.w, r)
}

// Shared by all answers, which never change them in place.
var (
	headerClose    = []string{"close"}
	headerNosniff  = []string{"nosniff"}
	headerReferrer = []string{"same-origin"}
	headerNoFrames = []string{"frame-ancestors 'none'"}
	// An API's answer is data: if a browser is made to show it, nothing in it may run.
	headerDataOnly = []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}
)

// finish ends every request, also one whose handler panicked.
func (s *Server) finish(x *exchange, r *http.Request) {
	s.metrics.inFlight.Dec()
	p := recover()
	if err, _ := p.(error); p != nil && !errors.Is(err, http.ErrAbortHandler) {
		s.log.LogAttrs(r.Context(), slog.LevelError, "handler panicked",
			slog.String("request_id", x.id), slog.String("method", r.Method), slog.String("route", x.pattern),
			slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
		x.reported = true
		if x.w.status == 0 {
			x.problem(x.w, r, fault.Wrap(ErrPanic, fault.Internal, "something went wrong on our side"))
			p = nil
		} else {
			p = http.ErrAbortHandler // the client must not take a part for the whole
		}
	}
	s.observe(x, r, s.now().Sub(x.start))
	if p != nil {
		panic(p)
	}
}

// fail answers with an error in the shape of the mount.
func (s *Server) fail(x *exchange, r *http.Request, err error) {
	err = refine(err)
	if x.w.status != 0 {
		x.report(r, fmt.Errorf("after the answer had begun: %w", err))
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
	if errors.Is(err, context.Canceled) && errors.Is(r.Context().Err(), context.Canceled) {
		x.w.status = statusClientGone
		return
	}
	x.report(r, err)
	problemHeaders(x.w.Header(), err)
	x.problem(x.w, r, err)
}

// statusClientGone stands in logs and metrics for a client that did not wait.
const statusClientGone = 499

// endpoint is one path with its methods.
type endpoint struct {
	pattern string
	routes  map[string]*boundRoute
	allow   string
}

func (e *endpoint) add(method string, b *boundRoute) {
	e.routes[method] = b
	if method == http.MethodGet {
		e.routes[http.MethodHead] = b
	}
	names := make([]string, 0, len(e.routes))
	for name := range e.routes {
		names = append(names, name)
	}
	slices.Sort(names)
	e.allow = strings.Join(names, ", ")
}

// any is some route of the path, to tell whose it is.
func (e *endpoint) any() *boundRoute {
	for _, method := range methods {
		if b := e.routes[method]; b != nil {
			return b
		}
	}
	return nil
}

// ServeHTTP is the step between the halves of the chain: the method's route, or a refusal.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchangeFrom(r.Context())
	b := e.routes[r.Method]
	if b == nil {
		b = e.any()
		x.mount, x.pattern, x.problem = b.mount.Name, e.pattern, b.mount.Problem
		x.metrics = x.server.metrics.route(b.mount.Name, e.pattern, "other")
		w.Header()["Content-Security-Policy"] = headerDataOnly
		if x.server.cors(w.Header(), r, b.mount.AnyOrigin, e.allow) {
			preflight(x.w, r, b.mount.AnyOrigin)
			return
		}
		x.server.fail(x, r, &MethodError{Allow: e.allow})
		return
	}
	x.mount, x.pattern, x.problem, x.metrics = b.mount.Name, e.pattern, b.mount.Problem, b.metrics
	w.Header()["Content-Security-Policy"] = headerDataOnly
	x.server.cors(w.Header(), r, b.mount.AnyOrigin, e.allow)
	x.server.run(x, b, r)
}

// boundRoute is a route with all that its requests need.
type boundRoute struct {
	Route
	mount   *Mount
	metrics *routeMetrics
	body    int64
	timeout time.Duration
}

// bind makes the second half of the chain for one route.
func (s *Server) bind(m Mount, route Route, pattern string) *boundRoute {
	b := &boundRoute{Route: route, mount: &m, metrics: s.metrics.route(m.Name, pattern, route.Method)}
	if b.body = route.Limits.Body; b.body == 0 {
		b.body = s.cfg.MaxBody
	}
	if b.timeout = route.Limits.Timeout; b.timeout == 0 {
		b.timeout = s.cfg.RequestTimeout
	}
	return b
}

// run is the second half of the chain: who asks, may they, then the handler. The body is not
// touched before that, so a client that waits for "100 Continue" never sends it in vain.
func (s *Server) run(x *exchange, b *boundRoute, r *http.Request) {
	if b.timeout > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), b.timeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	r, err := s.admit(x, b, r)
	if err == nil {
		s.limitBody(x, b, r)
		err = tooLong(r, b.body)
	}
	if err == nil {
		defer x.closeStream()
		err = b.Handle(x.w, r)
	}
	if err != nil {
		s.fail(x, r, err)
	}
}

// admit asks the Gate. A public route is open to everybody, also to a caller whose credential is
// bad: whoever has an expired session must be able to reach the login.
func (s *Server) admit(x *exchange, b *boundRoute, r *http.Request) (*http.Request, error) {
	if s.gate == nil {
		return r, nil
	}
	ctx, err := s.gate.Authenticate(r)
	if err != nil {
		if b.Action == Public {
			return r, nil
		}
		return r, err
	}
	r = r.WithContext(ctx)
	if s.cfg.Caller != nil {
		x.caller = s.cfg.Caller(ctx)
	}
	if b.Action == Public {
		return r, nil
	}
	group := Site
	if b.Group != nil {
		group = b.Group(r)
	}
	return r, s.gate.Authorize(ctx, b.Action, group, b.InService)
}

// tooLong refuses a body that announces more than the limit before a byte of it is read.
func tooLong(r *http.Request, limit int64) error {
	if limit >= 0 && r.ContentLength > limit {
		return fault.New(fault.TooLarge, "the body is larger than the limit of %d bytes", limit)
	}
	return nil
}

// outside is a handler in the chain that the Gate does not guard.
type outside struct {
	server  *Server
	tree    *tree
	pattern string
	metrics *routeMetrics
	handler http.Handler
}

func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchangeFrom(r.Context())
	x.mount, x.pattern, x.problem, x.metrics = "static", o.pattern, WriteProblem, o.metrics
	if o.tree.owner.AnyOrigin && o.server.cors(w.Header(), r, true, "") {
		preflight(w, r, true)
		return
	}
	o.server.watchBody(x, r, time.Time{})
	o.handler.ServeHTTP(w, r)
}

// nowhere answers for every address of a tree that nobody serves.
type nowhere struct {
	server  *Server
	owner   Mount
	metrics *routeMetrics
}

func (n *nowhere) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchangeFrom(r.Context())
	x.mount, x.pattern, x.metrics = n.owner.Name, "unmatched", n.metrics
	if n.owner.AnyOrigin {
		n.server.cors(w.Header(), r, true, "")
	}
	n.server.fail(x, r, ErrNoRoute)
}

// slashed redirects an address with a slash at its end to the one without; method and body are kept.
type slashed struct {
	server   *Server
	endpoint *endpoint
}

func (s *slashed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, b := exchangeFrom(r.Context()), s.endpoint.any()
	x.mount, x.pattern, x.metrics = b.mount.Name, s.endpoint.pattern, s.server.metrics.route(b.mount.Name, s.endpoint.pattern, "other")
	s.server.cors(w.Header(), r, b.mount.AnyOrigin, s.endpoint.allow)
	to := url.URL{Path: strings.TrimSuffix(r.URL.Path, "/"), RawPath: strings.TrimSuffix(r.URL.RawPath, "/"), RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", PublicURL(r)+to.String())
	x.w.WriteHeader(http.StatusTemporaryRedirect)
}
