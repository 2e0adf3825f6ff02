package localidp

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dexidp/dex/server/connectors"
	"github.com/dexidp/dex/server/oauth2"
	"github.com/gorilla/mux"

	"lodge/internal/httpapi"
	"lodge/internal/identity"
)

const (
	// maxForm bounds what is read of a request.
	maxForm = 32 << 10
	// maxChecks bounds how many passwords are compared at the same time: each costs a tenth of a
	// second of a processor, and the rest of Lodge needs some too.
	maxChecks = 4
)

// guard stands before Dex: it bounds what comes in, slows guessing down, and sets headers.
type guard struct {
	provider *Provider
	path     string
	dex      http.Handler
	theme    http.Handler
	checks   chan struct{}
	policy   string
	wait     *template.Template
}

func newGuard(p *Provider, path string, dex *mux.Router) *guard {
	u, _ := url.Parse(p.cfg.PublicURL) // New has parsed it
	return &guard{
		provider: p, path: path, dex: dex, theme: http.StripPrefix(path+"/theme", http.FileServerFS(identity.PageFiles())), checks: make(chan struct{}, maxChecks),
		// Forms lead, by redirects, to the public address and to programs on the person's own machine.
		policy: "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' " +
			strings.Join(append([]string{u.Scheme + "://" + u.Host, "http://127.0.0.1:*", "http://localhost:*"}, p.cfg.LeadsTo...), " "),
		wait: template.Must(template.ParseFS(webFiles(), "wait.html")),
	}
}

// ServeHTTP passes on what is served here, see the package's description.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", g.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	rest, ours := strings.CutPrefix(r.URL.Path, g.path)
	if ours && strings.HasPrefix(rest, "/theme/") && !strings.HasSuffix(rest, "/") {
		h.Set("Cache-Control", "public, max-age=3600")
		g.theme.ServeHTTP(w, r)
		return
	}
	h.Set("Cache-Control", "no-store")
	if r.Body != nil {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	}
	if len(r.URL.RawQuery) > maxForm {
		w.WriteHeader(http.StatusRequestURITooLong)
		return
	}
	switch {
	case !ours:
		http.NotFound(w, r)
	case r.Method == http.MethodPost && rest == "/auth/"+connectors.LocalConnector+"/login":
		g.checked(w, r, "login")
	case r.Method == http.MethodPost && rest == "/token" && r.PostFormValue("grant_type") == "password":
		g.checked(w, r, "username")
	case r.Method == http.MethodPost && rest == "/device/auth/verify_code":
		g.checked(w, r, "")
	default:
		g.dex.ServeHTTP(w, g.named(r))
	}
}

// named gives the device flow's way back the name that Dex accepts from a public client: it sends
// people on with the issuer's path before it, and then does not know that.
func (g *guard) named(r *http.Request) *http.Request {
	q := r.URL.Query()
	if q.Get("client_id") != CLIClient || q.Get("redirect_uri") != g.path+oauth2.DeviceCallbackURI {
		return r
	}
	q.Set("redirect_uri", oauth2.DeviceCallbackURI)
	at, renamed := *r.URL, *r
	at.RawQuery = q.Encode()
	renamed.URL = &at
	return &renamed
}

// checked lets a request through that is to be checked against a secret, if the limiter does.
func (g *guard) checked(w http.ResponseWriter, r *http.Request, field string) {
	name, address := "(a device's code)", httpapi.ClientAddress(r.Context())
	if field != "" {
		name = r.PostFormValue(field)
	}
	if address == "" {
		address = r.RemoteAddr
	}
	if wait := g.provider.limiter.Try(name, address); wait > 0 {
		g.tooMany(w, wait)
		return
	}
	select {
	case g.checks <- struct{}{}:
		defer func() { <-g.checks }()
	case <-r.Context().Done():
		return
	}
	seen := &statusWriter{ResponseWriter: w}
	g.dex.ServeHTTP(seen, r)
	if seen.status < http.StatusBadRequest { // the login goes on; a wrong secret is 400 or 401
		g.provider.limiter.Succeeded(name, address)
	}
}

// tooMany asks for patience, in the same words for every account, there or not.
func (g *guard) tooMany(w http.ResponseWriter, wait time.Duration) {
	seconds := int((wait + time.Second - 1) / time.Second)
	h := w.Header()
	h.Set("Retry-After", strconv.Itoa(seconds))
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusTooManyRequests)
	text := fmt.Sprintf("%d seconds", seconds)
	if seconds == 1 {
		text = "a second"
	}
	_ = g.wait.Execute(w, map[string]string{"Wait": text, "Style": g.path + "/theme/styles.css"}) // nobody left to tell
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the status and passes it on.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write passes on; without a status before it is 200.
func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}
