package apps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

// ownPath is where Lodge itself answers on an app's host, or below an app's prefix.
const ownPath = "/.lodge/"

// platformPaths are Lodge's own where an app has the rest of the path space.
var platformPaths = []string{"/alive", "/healthz", "/readyz", "/metrics", "/auth/", "/redirect_uri", "/idp/", "/ui/", "/api/v1/", "/open/", "/openapi.json", "/docs", "/.well-known/jwks.json"}

func newFront(s *Service) (*front, error) {
	f := &front{Service: s, transport: newTransport(), framing: "frame-ancestors 'self' " + s.public.Scheme + "://" + s.public.Host}
	if err := f.loadPages(); err != nil {
		return nil, err
	}
	f.proxy = f.newProxy()
	return f, nil
}

// Connect puts apps onto the edge: their hosts, or their paths.
func (s *Service) Connect(edge *httpapi.Server) error {
	switch s.cfg.Routing {
	case ByHost:
		edge.Divert("apps", func(r *http.Request) bool { _, ok := s.label(httpapi.Host(r)); return ok }, http.HandlerFunc(s.front.byHost))
	case ByPath:
		edge.Divert("apps", func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/apps/") }, http.HandlerFunc(s.front.byPath))
	case Alone:
		edge.Handle("GET /alive", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "ok\n") // the client went away
		}))
		edge.Divert("apps", func(r *http.Request) bool { return !platformPath(r.URL.Path) && !s.hubPath(r.URL.Path) }, http.HandlerFunc(s.front.alone))
	default:
		return errors.New("apps: routing is one of host, path, alone")
	}
	return s.connectHub(edge)
}

// connectHub serves JupyterHub's API and, for programs, what it says about where servers are.
func (s *Service) connectHub(edge *httpapi.Server) error {
	if !s.cfg.JupyterHub {
		return nil
	}
	if s.cfg.Routing != Alone { // where an app has the whole path space, these paths are its own
		edge.Divert("apps", func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, userPath) }, http.HandlerFunc(s.front.byUser))
	}
	return edge.Mount(s.HubMount())
}

func platformPath(path string) bool {
	return slices.ContainsFunc(platformPaths, func(p string) bool {
		return path == strings.TrimSuffix(p, "/") || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p)
	})
}

// passage is one request on its way to an app.
type passage struct {
	*target
	row  *Session
	live *live
	// caller is who asks; foreign says that the app is somebody else's, opened by the decision.
	caller   *access.Caller
	foreign  bool
	decision access.Decision
	// program says that no browser asks, so that what the app answers is no page of this origin.
	program bool
	// consumed says that the Authorization header was for us.
	consumed bool
	status   int
	in       atomic.Int64
	out      atomic.Int64
}

type passageKey struct{}

func passageFrom(ctx context.Context) *passage {
	p, _ := ctx.Value(passageKey{}).(*passage)
	return p
}

// byHost serves an app session's own host.
func (f *front) byHost(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == ownPath+"enter" {
		f.enter(w, r)
		return
	}
	ctx, consumed, err := f.whoAtHost(r)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	c := access.CallerFrom(ctx)
	if c == nil {
		f.handOver(w, r)
		return
	}
	t, err := f.locateHost(ctx, httpapi.Host(r))
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	f.serve(w, r.WithContext(ctx), &passage{target: t, caller: c, consumed: consumed})
}

// byPath serves a trusted app below its path, always the caller's own copy.
func (f *front) byPath(w http.ResponseWriter, r *http.Request) {
	rest := strings.TrimPrefix(r.URL.EscapedPath(), "/apps/")
	first, _, below := strings.Cut(rest, "/")
	id, name, _ := strings.Cut(first, "~")
	ctx, consumed, ok := f.whoAtHome(w, r)
	if !ok {
		return
	}
	prefix := pathOf(AppID(id), name)
	t, err := f.locateOwn(ctx, AppID(id), name, prefix)
	switch {
	case err != nil:
		f.refuse(w, r, err)
		return
	case leavesPrefix(r.URL.Path, prefix):
		f.refuse(w, r, fault.New(fault.Invalid, "this address leads out of the app"))
		return
	case !below:
		w.Header().Set("Location", prefix+"/")
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	case !t.app.Trusted:
		f.showUntrusted(w, r, t)
		return
	}
	f.serve(w, r.WithContext(ctx), &passage{target: t, caller: access.CallerFrom(ctx), consumed: consumed})
}

// leavesPrefix reports whether a decoded path climbs out of where it begins.
func leavesPrefix(path, prefix string) bool {
	depth := 0
	for _, segment := range strings.Split(strings.TrimPrefix(strings.ReplaceAll(path, "\\", "/"), prefix), "/") {
		switch segment {
		case "", ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return true
		}
	}
	return false
}

// alone serves the default app at the root.
func (f *front) alone(w http.ResponseWriter, r *http.Request) {
	ctx, consumed, ok := f.whoAtHome(w, r)
	if !ok {
		return
	}
	t, err := f.locateOwn(ctx, f.cfg.DefaultApp, "", "")
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	f.serve(w, r.WithContext(ctx), &passage{target: t, caller: access.CallerFrom(ctx), consumed: consumed})
}

// serve compares the caller with the owner, and gives the request what the app session's state asks for.
func (f *front) serve(w http.ResponseWriter, r *http.Request, p *passage) {
	ctx := r.Context()
	if err := f.mayPass(ctx, p); err != nil {
		f.refuse(w, r, err)
		return
	}
	var err error
	if p.row, p.live, err = f.route(ctx, p.target, false); err != nil {
		f.refuse(w, r, err)
		return
	}
	if err := f.noteVisit(ctx, p); err != nil {
		f.refuse(w, r, err)
		return
	}
	httpapi.Note(ctx, p.caller.Name, slog.String("app", string(p.app.ID)), slog.String("session", p.row.ID))
	if rest, ours := strings.CutPrefix(r.URL.Path, p.prefix+ownPath); ours {
		f.own(w, r, p, rest)
		return
	}
	switch p.row.State {
	case Running:
		f.pass(w, r, p)
	case Queued, Starting:
		if navigation(r) {
			f.showProgress(w, r, p)
			return
		}
		f.holdRequest(w, r, p)
	default:
		f.notRunning(w, r, p)
	}
}

// mayPass compares the caller with the owner of what is asked for, each time.
func (f *front) mayPass(ctx context.Context, p *passage) error {
	if owner, _ := ownerOf(p.caller); owner.ID == p.owner.ID && owner.ID != "" {
		_, err := f.may(ctx, Open, p.app)
		return err
	}
	d, err := f.access.Require(ctx, OpenAny, p.app.Group)
	if err != nil || f.cfg.Routing != ByHost && !p.program {
		f.refused(ctx, OpenAny, p.app.Group, "app "+string(p.app.ID)+" of "+p.owner.Slug, d, errHidden)
		return errHidden
	}
	p.foreign, p.decision = true, d
	return nil
}

// noteVisit writes down that somebody uses another's app session, once a minute at most, and tells the
// owner.
func (f *front) noteVisit(ctx context.Context, p *passage) error {
	if !p.foreign {
		return nil
	}
	who := p.caller.Issuer + "|" + p.caller.Subject + " " + p.key()
	if !f.opened.free(who, f.now()) {
		return nil
	}
	err := f.store.db.Tx(ctx, func(tx *database.Tx) error {
		if err := f.store.noteVisit(ctx, tx, p.row.ID, p.caller.Name, f.now()); err != nil {
			return err
		}
		return f.audit.Record(access.WithDecision(ctx, p.decision), tx, audit.Entry{
			Action: string(OpenAny), Group: string(p.app.Group), Object: "app session of " + p.owner.Name, Outcome: audit.Allowed, Detail: string(p.app.ID),
		})
	})
	if err != nil {
		return fmt.Errorf("note a visit: %w", err)
	}
	f.opened.note(who, f.now())
	if p.row.ID != "" {
		f.tell(p.row.ID)
	}
	return nil
}

// autostarts says whether a navigation may start the app without a click: it was typed, or came from
// the app's own pages.
func (f *front) autostarts(r *http.Request, p *passage) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return p.app.Autostart && !p.foreign && r.Method == http.MethodGet && (site == "none" || site == "same-origin" || site == "" && f.cfg.Routing == Alone)
}

// notRunning answers for an app session that is absent, stopped, failed or being stopped.
func (f *front) notRunning(w http.ResponseWriter, r *http.Request, p *passage) {
	if !navigation(r) {
		f.sayNotRunning(w, r, *p.row)
		return
	}
	if f.autostarts(r, p) && (p.row.State == Absent || p.row.State == Stopped) {
		row, _, err := f.Launch(r.Context(), Request{App: p.app.ID, Name: p.name, Options: p.row.Options})
		if err == nil {
			p.row = &row
			f.showProgress(w, r, p)
			return
		}
		f.showRefusal(w, r, p, err)
		return
	}
	f.showState(w, r, p)
}

// sayNotRunning is notRunning for programs.
func (f *front) sayNotRunning(w http.ResponseWriter, r *http.Request, row Session) {
	code, text, wait := "app_not_running", "the app does not run; start it first", 30*time.Second
	switch row.State {
	case Queued, Starting:
		code, text, wait = "app_starting", "the app is starting", 2*time.Second
	case Stopping:
		code, text, wait = "app_stopping", "the app is being stopped", 5*time.Second
	case Failed:
		code, text = "app_failed", "the app has failed: "+cmp.Or(row.Message, row.Cause.advice())
	default:
	}
	f.say(w, r, http.StatusServiceUnavailable, appProblem{Code: code, Cause: row.Cause, Message: text}, wait)
}

// mostHeld is how many requests wait for one app session that starts.
const mostHeld = 32

// holdRequest lets a request wait for the app, unread, and then pass.
func (f *front) holdRequest(w http.ResponseWriter, r *http.Request, p *passage) {
	if p.live == nil || p.live.held.Add(1) > mostHeld {
		if p.live != nil {
			p.live.held.Add(-1)
		}
		f.sayNotRunning(w, r, *p.row)
		return
	}
	row, err := f.waitFor(r.Context(), p.row.ID, f.cfg.Hold, func(s Session) bool { return s.State != Queued && s.State != Starting })
	p.live.held.Add(-1)
	switch {
	case r.Context().Err() != nil:
		return
	case err != nil:
		f.refuse(w, r, missing(err))
		return
	}
	// Much may have changed meanwhile, the caller's rights too.
	if err := f.mayPass(r.Context(), p); err != nil {
		f.refuse(w, r, err)
		return
	}
	if p.row = &row; row.State != Running {
		f.sayNotRunning(w, r, row)
		return
	}
	f.pass(w, r, p)
}

// own answers Lodge's own addresses on an app's host.
func (f *front) own(w http.ResponseWriter, r *http.Request, p *passage, what string) {
	switch {
	case what == "events" && r.Method == http.MethodGet:
		if err := f.streamEvents(w, r, *p.row); err != nil {
			f.log.DebugContext(r.Context(), "events ended", "error", err)
		}
	case what == "state" && r.Method == http.MethodGet:
		f.answer(w, r, http.StatusOK, f.progressOf(*p.row))
	case (what == "start" || what == "stop") && r.Method == http.MethodPost:
		if !f.sameOrigin(r, p) {
			f.refuse(w, r, fault.New(fault.Denied, "this request came from another site"))
			return
		}
		f.press(w, r, p, what)
	default:
		f.refuse(w, r, httpapi.ErrNoRoute)
	}
}

// press is what the buttons of our pages do.
func (f *front) press(w http.ResponseWriter, r *http.Request, p *passage, what string) {
	var err error
	switch {
	case what == "start" && p.foreign:
		err = errHidden
	case what == "start":
		_, _, err = f.Launch(r.Context(), Request{App: p.app.ID, Name: p.name, Options: p.row.Options})
	case p.row.ID == "":
		err = errHidden
	default:
		_, err = f.StopSession(r.Context(), p.row.ID, false)
	}
	if err != nil {
		f.showRefusal(w, r, p, err)
		return
	}
	to := p.prefix + "/"
	if next := r.URL.Query().Get("next"); localPath(next) && strings.HasPrefix(next, p.prefix+"/") {
		to = next
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// sameOrigin reports whether a request that changes something comes from the app's own pages, or
// from no browser at all.
func (f *front) sameOrigin(r *http.Request, p *passage) bool {
	if p.consumed {
		return true
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		return origin == f.public.Scheme+"://"+p.host
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "same-origin" || site == "none"
}

// localPath accepts what is certainly a path of the same host.
func localPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || len(path) > 4096 || strings.ContainsAny(path, "\\\r\n\t") {
		return false
	}
	u, err := url.Parse(path)
	return err == nil && u.Host == "" && u.Scheme == "" && !strings.HasPrefix(u.Path, "//") && !strings.Contains(u.Path, "\\")
}
