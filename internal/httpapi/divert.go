package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// diversion is a handler that takes whole requests, by their host or by whatever else it likes.
type diversion struct {
	name    string
	match   func(*http.Request) bool
	handler http.Handler
	metrics *routeMetrics
}

// Divert hands every request that match accepts to h, before any route is looked for: for hosts that
// are not Lodge's own. Such a request has its id, address, recovery, log and metrics like any other,
// but neither the Gate nor our headers, path rules, body limits and deadlines: h does its own. The
// first diversion that matches has it.
func (s *Server) Divert(name string, match func(*http.Request) bool, h http.Handler) {
	s.diversions = append(s.diversions, &diversion{name, match, h, s.metrics.route(name, "diverted", "any")})
}

// divert serves a request that belongs to a diversion, and reports whether there was one.
func (s *Server) divert(x *exchange, r *http.Request) bool {
	for _, d := range s.diversions {
		if !d.match(r) {
			continue
		}
		x.mount, x.pattern, x.metrics, x.problem = d.name, "diverted", d.metrics, WriteProblem
		x.w.stall = 0
		x.w.Header()["X-Request-Id"] = []string{x.id}
		d.handler.ServeHTTP(x.w, r)
		return true
	}
	return false
}

// Host is the host that the client asked for, as far as trusted proxies tell.
func Host(r *http.Request) string {
	if x := exchangeFrom(r.Context()); x != nil && x.proxied {
		if forwarded := lastOf(r.Header["X-Forwarded-Host"]); validHost(forwarded) {
			return forwarded
		}
	}
	return r.Host
}

// Peer is the address of whoever is connected to us, be that a proxy or the client, and whether its
// word about the client counts.
func Peer(r *http.Request) (address string, trusted bool) {
	addr, ok := parseAddr(r.RemoteAddr)
	if !ok {
		return "", false
	}
	x := exchangeFrom(r.Context())
	return addr.String(), x != nil && x.proxied
}

// Note adds to the line that the request will have in the access log, and names its caller there.
func Note(ctx context.Context, caller string, attrs ...slog.Attr) {
	if x := exchangeFrom(ctx); x != nil {
		if caller != "" {
			x.caller = caller
		}
		x.notes = append(x.notes, attrs...)
	}
}

// Began is when the request came in, by the server's clock.
func Began(ctx context.Context) time.Time {
	if x := exchangeFrom(ctx); x != nil {
		return x.start
	}
	return time.Time{}
}
