package httpapi

import (
	"net/http"
	"slices"
)

// cors lets scripts of the configured origins read the answer. It reports whether the request was
// a preflight, which asks for nothing else. Cookies are never included: foreign origins use tokens.
func (s *Server) cors(h http.Header, r *http.Request, allow string) (preflight bool) {
	if len(s.cfg.CORSOrigins) == 0 {
		return false
	}
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	switch {
	case origin == "":
		return false
	case slices.Contains(s.cfg.CORSOrigins, origin):
		h.Set("Access-Control-Allow-Origin", origin)
	case slices.Contains(s.cfg.CORSOrigins, "*"):
		h.Set("Access-Control-Allow-Origin", "*")
	default:
		return false
	}
	h.Set("Access-Control-Expose-Headers", "Content-Disposition, Etag, Location, Retry-After, X-Request-Id")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", allow)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID, Range, X-Lodge-CSRF")
	h.Set("Access-Control-Max-Age", "600")
	return true
}
