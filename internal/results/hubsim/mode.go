package hubsim

import (
	"cmp"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Mode is how the hub behaves. Path limits it to the requests whose "METHOD /path" contains it;
// Count to that many of them, after which all is well again (0: until it is changed).
//
//	ok          all is well
//	down        every connection is closed without an answer
//	slow        DelayMS (15 s) pass, then all is well
//	hang        no answer ever comes
//	401, 401-once  the token is refused; 401-once means a count of 1
//	500         an error with Status (500) in the hub's shape
//	html        an error with Status (502) as a gateway's page of HTML
//	rubbish     200 with something that is no JSON
//	huge        200 with JSON that does not end
//	cut         the work is done, but the connection is closed in the middle of the answer
//	cut-upload  the connection is closed in the middle of the request's body; nothing is done
type Mode struct {
	Mode    string `json:"mode"`
	Count   int    `json:"count,omitempty"`
	Path    string `json:"path,omitempty"`
	DelayMS int    `json:"delay_ms,omitempty"`
	Status  int    `json:"status,omitempty"`
}

const modes = " ok down slow hang 401 401-once 500 html rubbish huge cut cut-upload "

// SetMode changes how the hub behaves from now on, and releases requests that are slow or hang.
func (s *Sim) SetMode(m Mode) {
	if m.Mode == "401-once" {
		m.Count = cmp.Or(m.Count, 1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
	close(s.changed)
	s.changed = make(chan struct{})
	s.log.Info("the simulated hub's mode changed", "mode", m.Mode, "count", m.Count, "path", m.Path)
}

// RevokeTokens makes every token that was given out so far invalid.
func (s *Sim) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
}

// take gives the mode for one request and counts it.
func (s *Sim) take(r *http.Request) (Mode, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	m := s.mode
	if m.Mode == "ok" || !strings.Contains(r.Method+" "+r.URL.Path, m.Path) {
		return Mode{Mode: "ok"}, s.changed
	}
	if m.Count > 0 {
		if s.mode.Count--; s.mode.Count == 0 {
			s.mode = Mode{Mode: "ok"}
		}
	}
	return m, s.changed
}

// failing puts the mode in front of the hub.
func (s *Sim) failing(hub http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, changed := s.take(r)
		if strings.Contains(" 401 401-once 500 html rubbish huge ", " "+m.Mode+" ") {
			// An answer before the end of a body may be lost with the connection.
			_, _ = io.Copy(io.Discard, r.Body)
		}
		switch m.Mode {
		case "down":
			hangUp(w)
		case "slow":
			timer := time.NewTimer(time.Duration(cmp.Or(m.DelayMS, 15000)) * time.Millisecond)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-changed:
			case <-r.Context().Done():
				return
			}
			hub.ServeHTTP(w, r)
		case "hang":
			_, _ = io.Copy(io.Discard, r.Body) // until then nobody notices that the client leaves
			select {
			case <-changed:
			case <-r.Context().Done():
			}
			hangUp(w)
		case "401", "401-once":
			s.refuse(w, http.StatusUnauthorized, "TOKEN_INVALID", "The token is not valid.")
		case "500":
			s.refuse(w, cmp.Or(m.Status, 500), "INTERNAL_SERVER_ERROR", "An internal server error occurred.")
		case "html":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(cmp.Or(m.Status, 502))
			_, _ = io.WriteString(w, "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")
		case "rubbish":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{]\x00\xff this is no JSON")
		case "huge":
			endless(w)
		case "cut":
			hub.ServeHTTP(&cutter{w}, r)
		case "cut-upload":
			_, _ = io.CopyN(io.Discard, r.Body, 32<<10)
			hangUp(w)
		default:
			hub.ServeHTTP(w, r)
		}
	})
}

// hangUp closes the connection so that the client sees a reset, as from a machine that died.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// endless writes a list until the client has had enough.
func endless(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, err := io.WriteString(w, `{"meta":{"total":1},"data":[`)
	for chunk := strings.Repeat(`{"name":"`+strings.Repeat("x", 1000)+`"},`, 32); err == nil; {
		_, err = io.WriteString(w, chunk)
	}
}

// cutter ends the connection in the middle of the first piece of the answer.
type cutter struct{ http.ResponseWriter }

func (c *cutter) Write(p []byte) (int, error) {
	_, _ = c.ResponseWriter.Write(p[:len(p)/2])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func (s *Sim) handleState(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	state := map[string]any{
		"mode": s.mode, "generation": s.opts.Generation, "requests": s.requests, "logins": s.logins,
		"files": len(s.order), "provision_after": s.opts.ProvisionAfter,
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, state)
}

func (s *Sim) handleControl(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Mode
		Secret         *string `json:"secret"`
		ProvisionAfter *int    `json:"provision_after"`
		RevokeTokens   bool    `json:"revoke_tokens"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "the body must be JSON such as {\"mode\":\"down\"}"})
		return
	}
	if in.Mode.Mode != "" {
		if !strings.Contains(modes, " "+in.Mode.Mode+" ") {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": "the modes are:" + modes})
			return
		}
		s.SetMode(in.Mode)
	}
	if in.RevokeTokens {
		s.RevokeTokens()
	}
	s.mu.Lock()
	if in.Secret != nil {
		s.secret = *in.Secret
	}
	if in.ProvisionAfter != nil {
		s.opts.ProvisionAfter = *in.ProvisionAfter
	}
	s.mu.Unlock()
	s.handleState(w, r)
}
