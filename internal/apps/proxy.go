package apps

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// newProxy makes the reverse proxy that all requests to apps share; what differs is in the passage.
func (f *front) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: f.rewrite, ModifyResponse: f.clean, ErrorHandler: f.broken, Transport: f, BufferPool: &buffers{},
		ErrorLog: log.New(io.Discard, "", 0), // what goes wrong with one request is answered, not logged
	}
}

// RoundTrip implements http.RoundTripper with the app's own patience.
func (f *front) RoundTrip(r *http.Request) (*http.Response, error) {
	p := passageFrom(r.Context())
	return f.transportFor(time.Duration(p.row.Entry.ResponseHeaderTimeout)).RoundTrip(r)
}

// transportFor gives a transport that waits so long for an answer's header. There are few.
func (f *front) transportFor(wait time.Duration) *http.Transport {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.patient[wait]; t != nil {
		return t
	}
	t := newTransport()
	t.ResponseHeaderTimeout = wait
	if f.patient == nil {
		f.patient = map[time.Duration]*http.Transport{}
	}
	f.patient[wait] = t
	return t
}

// pass gives a request to a running app.
func (f *front) pass(w http.ResponseWriter, r *http.Request, p *passage) {
	a := &p.row.Entry
	upgrade := isUpgrade(r)
	if upgrade && !f.originAllowed(r, p) || !upgrade && unsafeMethod(r.Method) && !f.originAllowed(r, p) {
		f.refuse(w, r, fault.New(fault.Denied, "this request came from another site than the app's own"))
		return
	}
	if most := int64(a.MaxBody); most > 0 {
		if r.ContentLength > most {
			f.refuse(w, r, fault.New(fault.TooLarge, "the body is larger than the app's limit of %d bytes", most))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, most)
	}
	if int(p.live.requests.Add(1)) > a.MaxConnections {
		p.live.requests.Add(-1)
		f.say(w, r, http.StatusServiceUnavailable, appProblem{Code: "app_busy", Message: "too many requests to this app at once"}, time.Second)
		return
	}
	defer p.live.requests.Add(-1)
	if upgrade && p.live.count() >= a.MaxWebSockets {
		f.say(w, r, http.StatusServiceUnavailable, appProblem{Code: "app_busy", Message: "too many open connections to this app"}, 5*time.Second)
		return
	}
	if err := f.stripAuthorization(r, p); err != nil {
		f.refuse(w, r, err)
		return
	}
	if r.Body != nil && r.Body != http.NoBody && r.ProtoMajor == 1 {
		// An app may answer before it has read all; both ways go on.
		_ = http.NewResponseController(w).EnableFullDuplex() // a recorder in a test cannot
	}
	ctx := context.WithValue(r.Context(), passageKey{}, p)
	counted := &countedBody{ReadCloser: r.Body, n: &p.in}
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = counted
	}
	if began := httpapi.Began(ctx); !began.IsZero() {
		f.metrics.ours.Observe(time.Since(began).Seconds())
	}
	defer f.finish(r, p)
	f.proxy.ServeHTTP(&passageWriter{ResponseWriter: w, front: f, p: p, request: r}, r)
}

// finish counts a request that was passed, also one that was cut off.
func (f *front) finish(r *http.Request, p *passage) {
	if p.status != http.StatusSwitchingProtocols && p.row.Entry.counts(r, p.status) && p.status != 0 {
		p.live.note(&byRequest, f.now())
	}
	f.metrics.proxied(p.app.ID, p.status, p.in.Load(), p.out.Load())
	httpapi.Note(r.Context(), "", slog.Int64("bytes_in", p.in.Load()), slog.Int64("bytes_out", p.out.Load()), slog.Bool("upgrade", p.status == http.StatusSwitchingProtocols))
}

func unsafeMethod(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

func isUpgrade(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" && slices.ContainsFunc(r.Header["Connection"], func(line string) bool { return strings.Contains(strings.ToLower(line), "upgrade") })
}

// originAllowed reports whether another site's page has not made a browser send this. A program that
// came with a token is no browser.
func (f *front) originAllowed(r *http.Request, p *passage) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return p.consumed || !isUpgrade(r) || r.Header.Get("Sec-Fetch-Site") == "" || r.Header.Get("Sec-Fetch-Site") == "same-origin"
	}
	return p.consumed || origin == f.public.Scheme+"://"+p.host || slices.Contains(p.row.Entry.AllowedOrigins, origin)
}

// stripAuthorization takes the header out unless the app is to have it. A credential of Lodge's stays
// here, except where an app is trusted with it.
func (f *front) stripAuthorization(r *http.Request, p *passage) error {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return nil
	}
	rule := p.row.Entry.Identity.PassAuthorization
	if rule && len(values) == 1 && (p.row.Entry.Trusted || !p.consumed) {
		scheme, token, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
		if p.row.Entry.Trusted || !strings.EqualFold(scheme, "bearer") {
			return nil
		}
		ours, err := f.identity.Believes(r.Context(), strings.TrimSpace(token))
		if err != nil || !ours {
			return err
		}
	}
	delete(r.Header, "Authorization")
	return nil
}

// rewrite makes the request that the app gets.
func (f *front) rewrite(pr *httputil.ProxyRequest) {
	p := passageFrom(pr.In.Context())
	a, out := &p.row.Entry, pr.Out
	out.URL.Scheme, out.URL.Host = "http", poolHost(p.row.Address)
	// Byte for byte: what is odd to us may mean something to the app.
	out.URL.RawQuery, out.URL.ForceQuery = pr.In.URL.RawQuery, pr.In.URL.ForceQuery
	if p.stripped() {
		out.URL.Path = strings.TrimPrefix(out.URL.Path, p.prefix)
		out.URL.RawPath = strings.TrimPrefix(out.URL.RawPath, p.prefix)
	}
	keepTarget(out.URL, pr.In.RequestURI, p)
	out.Host = p.host
	if !a.preserveHost() {
		out.Host = p.row.Address
	}
	h := out.Header
	cleanHeaders(h, a.AllowUnderscoreHeaders)
	cleanCookies(h)
	f.setForwarded(h, pr.In, p)
	f.setIdentity(h, p)
	f.assert(h, pr.In, p)
	h["X-Request-Id"] = []string{httpapi.RequestID(pr.In.Context())}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // or Go would add its own
	}
}

// keepTarget keeps a path that Go would write in another way than it came, such as one with a backslash.
func keepTarget(to *url.URL, target string, p *passage) {
	path, _, _ := strings.Cut(target, "?")
	if p.stripped() {
		path = strings.TrimPrefix(path, p.prefix)
	}
	// With two slashes it would read like a host; such a path is written as it came anyway.
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && to.EscapedPath() != path {
		to.Opaque = path
	}
}

// setForwarded tells the app where the request came from. What came with it counts from trusted
// proxies alone; the edge has removed it otherwise.
func (f *front) setForwarded(h http.Header, in *http.Request, p *passage) {
	for _, name := range []string{"Forwarded", "X-Forwarded-Server", "X-Forwarded-Uri", "X-Forwarded-Method"} {
		delete(h, name)
	}
	peer, trusted := httpapi.Peer(in)
	line := peer
	if before := in.Header["X-Forwarded-For"]; trusted && len(before) > 0 {
		line = strings.Join(before, ", ") + ", " + peer
	}
	h["X-Forwarded-For"] = []string{line}
	h["X-Forwarded-Proto"] = []string{f.public.Scheme}
	h["X-Forwarded-Host"] = []string{p.host}
	h["X-Forwarded-Port"] = []string{cmp.Or(portOf(p.host), usualPort(f.public.Scheme))}
	if p.prefix != "" {
		h["X-Forwarded-Prefix"] = []string{p.prefix}
	}
}

func portOf(host string) string {
	u := url.URL{Host: host}
	return u.Port()
}

func usualPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// setIdentity tells the app who uses it, as far as its entry lists that.
func (f *front) setIdentity(h http.Header, p *passage) {
	for _, name := range p.row.Entry.Identity.Headers {
		var value string
		switch strings.ToLower(name) {
		case "userid":
			value = apacheName(p.caller.Subject, p.caller.Issuer)
		case "x-lodge-user":
			value = p.owner.Slug
			if p.foreign {
				value = p.caller.Name
			}
		case "x-lodge-name":
			value = p.caller.Name
		case "x-lodge-email":
			value = p.caller.Email
		case "x-lodge-roles":
			roles := make([]string, 0, len(p.caller.Roles))
			for _, r := range p.caller.Roles {
				roles = append(roles, string(r))
			}
			value = strings.Join(roles, ",")
		case "x-lodge-app":
			value = string(p.app.ID)
		case "x-lodge-session":
			value = p.row.ID
		}
		if value = headerText(value); value != "" {
			h.Set(name, value)
		}
	}
}

// apacheName is what mod_auth_openidc put into the userid header: subject and issuer without its scheme.
func apacheName(subject, issuer string) string {
	if strings.HasPrefix(issuer, "header:") {
		return subject // Apache is in front still, and has said so itself
	}
	_, rest, ok := strings.Cut(issuer, "://")
	if !ok {
		rest = issuer
	}
	return subject + "@" + strings.TrimSuffix(rest, "/")
}

// headerText makes a name fit for a header: what is not plain is escaped as in a URL.
func headerText(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0 {
		return text
	}
	return url.PathEscape(text)
}

// clean makes the app's answer fit for the outside.
func (f *front) clean(resp *http.Response) error {
	p := passageFrom(resp.Request.Context())
	p.status = resp.StatusCode
	h := resp.Header
	for _, name := range []string{"Strict-Transport-Security", "Server", "Alt-Svc", "X-Request-Id"} {
		delete(h, name) // the last one is ours
	}
	f.cleanSetCookies(h, p)
	for _, name := range []string{"Location", "Content-Location"} {
		if value := h.Get(name); value != "" {
			h.Set(name, f.publicLocation(value, p))
		}
	}
	if !strings.Contains(strings.ToLower(strings.Join(h["Content-Security-Policy"], " ")), "frame-ancestors") {
		h.Add("Content-Security-Policy", f.framing)
	}
	for _, name := range p.row.Entry.Responses.Remove {
		h.Del(name)
	}
	for name, value := range p.row.Entry.Responses.Set {
		h.Set(name, value)
	}
	return nil
}

// cleanSetCookies drops cookies that would be Lodge's or another host's, and keeps an app's below its prefix.
func (f *front) cleanSetCookies(h http.Header, p *passage) {
	lines := h["Set-Cookie"]
	if len(lines) == 0 {
		return
	}
	host, _, _ := strings.Cut(p.host, ":")
	kept := lines[:0:0]
	for _, line := range lines {
		parts := strings.Split(line, ";")
		name, _, _ := strings.Cut(parts[0], "=")
		if ownCookie(name) {
			continue
		}
		foreign, path := false, false
		for i, part := range parts[1:] {
			key, value, _ := strings.Cut(part, "=")
			switch strings.ToLower(strings.TrimSpace(key)) {
			case "domain":
				domain := strings.ToLower(strings.TrimPrefix(strings.Trim(strings.TrimSpace(value), `"`), "."))
				// Even the host's own name would hand the cookie to hosts below it.
				foreign = foreign || domain != "" && domain != host
			case "path":
				path = true
				if value = strings.TrimSpace(value); p.prefix != "" && value != p.prefix && !strings.HasPrefix(value, p.prefix+"/") {
					parts[i+1] = " Path=" + p.prefix + "/" + strings.TrimPrefix(value, "/")
				}
			}
		}
		if foreign {
			continue
		}
		if p.prefix != "" && !path {
			parts = append(parts, " Path="+p.prefix+"/")
		}
		kept = append(kept, strings.Join(parts, ";"))
	}
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
		return
	}
	h["Set-Cookie"] = kept
}

// publicLocation rewrites an address that names the instance to the one that people know.
func (f *front) publicLocation(value string, p *passage) string {
	u, err := url.Parse(value)
	if err != nil {
		return value
	}
	internal := u.Host != "" && (u.Host == p.row.Address || u.Host == poolHost(p.row.Address))
	if internal {
		u.Scheme, u.Host = f.public.Scheme, p.host
		value = u.String()
	}
	if !p.stripped() || !strings.HasPrefix(u.Path, "/") || u.Host != "" && u.Host != p.host {
		return value
	}
	if u.Path != p.prefix && !strings.HasPrefix(u.Path, p.prefix+"/") {
		u.Path, u.RawPath = p.prefix+u.Path, ""
		value = u.String()
	}
	return value
}

// broken answers for an instance that did not.
func (f *front) broken(w http.ResponseWriter, r *http.Request, err error) {
	p := passageFrom(r.Context())
	if r.Context().Err() != nil {
		p.status = 499
		return // the client went away
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		p.status = http.StatusRequestEntityTooLarge
		f.refuse(w, r, fault.Wrap(err, fault.TooLarge, "the body is larger than the app's limit of %d bytes", tooLarge.Limit))
		return
	}
	p.status = http.StatusBadGateway
	if errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(err.Error(), "timeout awaiting response headers") {
		p.status = http.StatusGatewayTimeout
	}
	f.log.InfoContext(r.Context(), "an app did not answer", slog.String("session", p.row.ID), slog.Any("error", err))
	// The row may know better by now, or the driver does.
	if row, _, again := f.route(r.Context(), p.target, true); again == nil && (row.State != Running || row.Run != p.row.Run) {
		p.row = row
	} else if d, known := f.driver(p.row.Driver); known == nil && p.status == http.StatusBadGateway {
		f.died(r.Context(), d, p.row.ID)
		if row, _, again := f.route(r.Context(), p.target, true); again == nil {
			p.row = row
		}
	}
	if navigation(r) {
		f.showBroken(w, r, p)
		return
	}
	problem := appProblem{Code: "app_unreachable", Message: "the app does not answer"}
	if p.row.State == Failed {
		problem = appProblem{Code: "app_failed", Cause: p.row.Cause, Message: cmp.Or(p.row.Message, p.row.Cause.advice())}
	}
	f.say(w, r, p.status, problem, 2*time.Second)
}

// countedBody counts what goes to an app.
type countedBody struct {
	io.ReadCloser
	n interface{ Add(int64) int64 }
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// passageWriter counts what comes back, and follows an upgraded connection.
type passageWriter struct {
	http.ResponseWriter
	front   *front
	p       *passage
	request *http.Request
}

// Write implements http.ResponseWriter.
func (w *passageWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.p.out.Add(int64(n))
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *passageWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
