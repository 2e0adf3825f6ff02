package apps

import (
	"net/http"
	"net/url"
	"strings"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

func (s *Service) hubPath(path string) bool {
	return s.cfg.JupyterHub && (path == hubPrefix || strings.HasPrefix(path, hubPrefix+"/"))
}

// byUser leads /user/{person}/{server}/… to a server, as JupyterHub does. Programs with a token reach it
// here; browsers are led on to the app's own host, because its pages must not share Lodge's origin.
func (f *front) byUser(w http.ResponseWriter, r *http.Request) {
	alike := r.Clone(r.Context())
	ctx, err := f.identity.Authenticate(alike)
	f.dropTrusted(r, alike)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	c := access.CallerFrom(ctx)
	switch {
	case c == nil && navigation(r):
		toLogin(w, r.URL.RequestURI())
		return
	case c == nil:
		f.refuse(w, r, fault.New(fault.Unauthenticated, "log in first"))
		return
	}
	r = r.WithContext(ctx)
	t, err := f.locateUser(r)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	p := &passage{target: t, caller: c, program: true, consumed: true}
	if kind := c.Credential.Kind; kind != "token" && kind != "bearer" {
		f.leadOn(w, r, p)
		return
	}
	if leavesPrefix(r.URL.Path, t.prefix) {
		f.refuse(w, r, fault.New(fault.Invalid, "this address leads out of the app"))
		return
	}
	f.serve(w, r, p)
}

// locateUser finds what a path below /user/ means. Its second part is a server if there is an app of
// that name, else a path of the unnamed one.
func (f *front) locateUser(r *http.Request) (*target, error) {
	ctx := r.Context()
	first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), userPath), "/")
	second, _, _ := strings.Cut(rest, "/")
	name, err := url.PathUnescape(first)
	if err != nil {
		return nil, errHidden
	}
	server, err := url.PathUnescape(second)
	if err != nil {
		return nil, errHidden
	}
	owner, err := f.store.ownerBySlug(ctx, f.store.db, name)
	if err != nil {
		return nil, missing(err)
	}
	t := &target{owner: owner, host: f.public.Host, prefix: userPath + first}
	app, session := parseHubServer(server, "")
	if t.app, err = f.entry(ctx, app); err == nil && server != "" && validName(session) {
		t.name, t.prefix = session, t.prefix+"/"+second
		return t, nil
	}
	t.app, err = f.entry(ctx, f.hubDefault(ctx))
	return t, err
}

// leadOn sends a browser to the same path at the app's own address.
func (f *front) leadOn(w http.ResponseWriter, r *http.Request, p *passage) {
	p.program = false
	if err := f.mayPass(r.Context(), p); err != nil {
		f.refuse(w, r, err)
		return
	}
	path := strings.TrimPrefix(r.URL.RequestURI(), p.prefix)
	base := strings.TrimSuffix(f.url(Session{App: p.app.ID, Name: p.name, Host: hostLabel(p.app.ID, p.owner.Slug, p.name)}), "/")
	if !localPath(path) {
		path = "/"
	}
	w.Header().Set("Location", base+path)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
	httpapi.Note(r.Context(), p.caller.Name)
}
