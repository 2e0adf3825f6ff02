package httpapi

import (
	"io"
	"net/http"
	"slices"
)

// cors lets scripts of the configured origins read the answer, or those of any origin. It reports
// whether the request was a preflight, which asks for nothing else. Cookies are never included:
// foreign origins use tokens.
func (s *Server) cors(h http.Header, r *http.Request, anyOrigin bool, allow string) (preflight bool) {
	if len(s.cfg.CORSOrigins) == 0 && !anyOrigin {
		return false
	}
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	switch {
	case origin == "":
		return false
	case anyOrigin:
		h.Set("Access-Control-Allow-Origin", "*")
	case slices.Contains(s.cfg.CORSOrigins, origin):
		h.Set("Access-Control-Allow-Origin", origin)
	case slices.Contains(s.cfg.CORSOrigins, "*"):
		h.Set("Access-Control-Allow-Origin", "*")
	default:
		return false
	}
	h.Set("Access-Control-Expose-Headers", "Content-Disposition, Etag, Location, Retry-After, X-Request-Id, X-Total-Count")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", allow)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID, Range, X-Lodge-CSRF")
	h.Set("Access-Control-Max-Age", "600")
	return true
}

// preflight answers one. Where any origin may call, it may also send any header, and the answer is
// the one that Starlette gives.
func preflight(w http.ResponseWriter, r *http.Request, anyOrigin bool) {
	if !anyOrigin {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, "OK") // the client went away: there is nobody left to tell
}
