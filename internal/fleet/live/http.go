package live

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"lodge/internal/fault"
)

// What the original says to requests that make no sense, as JSON strings.
const (
	badVersion   = "The client is using an unsupported version of the Socket.IO or Engine.IO protocols"
	badTransport = "Invalid transport"
	badSession   = "Invalid session "
	badPayload   = "Invalid payload"
)

// Handler serves Engine.IO at Options.Path, with or without a slash at its end.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serveHTTP) }

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.TrimSuffix(r.URL.Path, "/") != s.opts.Path {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	if s.opts.CheckOrigin != nil && !s.opts.CheckOrigin(r) {
		refuse(w, http.StatusForbidden, "Not an accepted origin")
		return
	}
	s.cors(w.Header(), r)
	query := r.URL.Query()
	switch transport := query.Get("transport"); {
	case r.Method == http.MethodOptions:
		preflight(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, OPTIONS, POST")
		refuse(w, http.StatusMethodNotAllowed, "Method Not Allowed")
	case query.Get("EIO") != "4":
		refuse(w, http.StatusBadRequest, badVersion)
	case transport == "polling":
		s.servePolling(w, r, query.Get("sid"))
	case transport == "websocket" && r.Method == http.MethodGet:
		s.serveWebSocket(w, r, query.Get("sid"))
	default:
		refuse(w, http.StatusBadRequest, badTransport)
	}
}

// cors lets pages of every origin that was accepted read the answers; cookies are never asked for.
func (s *Server) cors(h http.Header, r *http.Request) {
	if r.Header.Get("Origin") == "" || h.Get("Access-Control-Allow-Origin") != "" {
		return
	}
	if s.opts.CheckOrigin == nil {
		h.Set("Access-Control-Allow-Origin", "*")
		return
	}
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
}

func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
	h.Set("Access-Control-Max-Age", "600")
	if wanted := r.Header.Get("Access-Control-Request-Headers"); wanted != "" {
		h.Set("Access-Control-Allow-Headers", wanted)
	}
	plain(w, []byte("OK"))
}

// refuse answers as the original does, with a JSON string.
func refuse(w http.ResponseWriter, status int, why string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, marshal(why)) //nolint:gosec // JSON, and said to be nothing else; it escapes what HTML would act on
}

func plain(w http.ResponseWriter, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the next poll or the ping time-out tells
}

// begin opens a session or answers why not.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) *session {
	x, err := s.open(r)
	if err != nil {
		status := http.StatusTooManyRequests
		if fault.Is(err, fault.Unavailable) {
			status = http.StatusServiceUnavailable
		}
		refuse(w, status, text(err, ""))
		return nil
	}
	return x
}

// find is the session of a request, or answers that there is none.
func (s *Server) find(w http.ResponseWriter, sid string) *session {
	x := s.session(sid)
	if x == nil {
		refuse(w, http.StatusBadRequest, badSession+sid[:min(len(sid), 64)])
	}
	return x
}

func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, sid string) {
	if sid != "" {
		s.serveUpgrade(w, r, sid)
		return
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		refuse(w, http.StatusBadRequest, badTransport)
		return
	}
	x := s.begin(w, r)
	if x == nil {
		return
	}
	l, err := s.accept(w, r)
	if err != nil {
		x.end(reasonTransport)
		return
	}
	x.mu.Lock()
	x.link = l
	x.send(x.hello())
	if x.over != "" {
		x.wake() // it ended meanwhile, and only its writer says goodbye
	}
	x.mu.Unlock()
	// The request ends here, and with it all that a request needs; the session needs less.
	go x.serve(l)
}

func (s *Server) serveUpgrade(w http.ResponseWriter, r *http.Request, sid string) {
	x := s.find(w, sid)
	if x == nil {
		return
	}
	x.mu.Lock()
	possible := x.link == nil && !x.upgrading && x.over == ""
	x.upgrading = x.upgrading || possible
	x.mu.Unlock()
	if !possible {
		refuse(w, http.StatusBadRequest, badTransport)
		return
	}
	l, err := s.accept(w, r)
	if err != nil {
		x.mu.Lock()
		x.upgrading = false
		x.mu.Unlock()
		return
	}
	go x.probe(l)
}

func (s *Server) servePolling(w http.ResponseWriter, r *http.Request, sid string) {
	if sid == "" {
		if r.Method != http.MethodGet {
			refuse(w, http.StatusBadRequest, badSession)
			return
		}
		if x := s.begin(w, r); x != nil {
			plain(w, x.hello("websocket").packet)
		}
		return
	}
	x := s.find(w, sid)
	switch {
	case x == nil:
	case x.overWebSocket():
		refuse(w, http.StatusBadRequest, badTransport)
	case r.Method == http.MethodGet:
		x.poll(w, r)
	default:
		x.post(w, r)
	}
}

// poll waits for packets and answers with all that fit into one body.
func (x *session) poll(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	if x.waiter != nil {
		x.mu.Unlock()
		x.end(reasonOverlap)
		refuse(w, http.StatusBadRequest, "Overlapping polls")
		return
	}
	if x.out.empty() && !x.upgrading && x.over == "" {
		waiter := make(chan struct{}, 1)
		x.waiter = waiter
		x.mu.Unlock()
		select {
		case <-waiter:
		case <-r.Context().Done():
		}
		x.mu.Lock()
		x.waiter = nil
	}
	if r.Context().Err() != nil { // what waits is for the next poll
		x.mu.Unlock()
		return
	}
	var list []entry
	if x.link == nil {
		list = x.out.take(int(x.server.opts.MaxPayload))
	}
	over := x.over != ""
	x.mu.Unlock()

	x.server.counts.sent.Add(uint64(len(list)))
	var body []byte
	for i, m := range list {
		if i > 0 {
			body = append(body, separator)
		}
		body = append(body, m.packet...)
	}
	switch {
	case over && len(body) > 0:
		body = append(body, separator, engineClose)
	case over:
		body = append(body, engineClose)
	case len(body) == 0:
		body = append(body, engineNoop)
	}
	plain(w, body)
}

// post takes packets of the client.
func (x *session) post(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	overlap := x.posting
	x.posting = true
	x.mu.Unlock()
	if overlap {
		x.end(reasonOverlap)
		refuse(w, http.StatusBadRequest, "Overlapping posts")
		return
	}
	defer func() {
		x.mu.Lock()
		x.posting = false
		x.mu.Unlock()
	}()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, x.server.opts.MaxPayload))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large) || fault.Is(err, fault.TooLarge):
		x.end(reasonTooLarge)
		refuse(w, http.StatusRequestEntityTooLarge, "Payload too large")
		return
	case err != nil:
		x.end(reasonTransport)
		refuse(w, http.StatusBadRequest, badPayload)
		return
	}
	for p, err := range parsePayload(body) {
		if err != nil {
			x.end(reasonProtocol)
			refuse(w, http.StatusBadRequest, badPayload)
			return
		}
		if !x.receive(p) {
			break
		}
	}
	plain(w, []byte("OK"))
}
