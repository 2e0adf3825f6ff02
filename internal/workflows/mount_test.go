package workflows

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"lodge/internal/access"
	"lodge/internal/httpapi"
)

// TestMounted serves the same below a prefix, where addresses name it.
func TestMounted(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.cfg.Prefix = "/workflows" })
	me := token(t, nil)
	created := s.do("POST", "/components/", me, component(","+anyImpl)).is(t, 201, "")
	if at := created.Header.Get("Location"); !strings.HasPrefix(at, "/workflows/api/v1/components/") {
		t.Errorf("Location %q", at)
	}
	s.do("GET", s.url+"/readyz", "", "").exactly(t, 200, "ready")
	s.do("GET", "/spec/flowify.json", "", "").is(t, 200, `"Flowify V1 API"`)
	s.do("GET", "/spec/", "", "").is(t, 200, "<html")
	s.do("GET", s.url+"/nothing", "", "").is(t, 404, `"code":404`)
	document := s.do("GET", s.url+"/openapi.json", "", "").is(t, 200, "")
	for _, path := range []string{"/api/v1/components/{id}/{version}", "/api/v1/jobs/{id}/events", "/api/v1/validate"} {
		if !strings.Contains(document.body, `"`+path) {
			t.Errorf("%s is not described", path)
		}
	}
}

// TestRoutes has every address of the contract, and an action for each.
func TestRoutes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	routes := s.svc.Mount().Routes
	for _, want := range []string{
		"GET /userinfo/", "GET /workspaces/", "POST /workspaces/", "PUT /workspaces/", "DELETE /workspaces/",
		"GET /components/", "POST /components/", "GET /components/{id}", "GET /components/{id}/{version}", "PUT /components/{id}", "PATCH /components/{id}",
		"GET /components/{id}/versions/", "DELETE /components/{id}/{version}",
		"GET /workflows/", "POST /workflows/", "GET /workflows/{id}", "GET /workflows/{id}/{version}", "PUT /workflows/{id}", "PATCH /workflows/{id}",
		"GET /workflows/{id}/versions/", "DELETE /workflows/{id}/{version}",
		"GET /jobs/", "POST /jobs/", "GET /jobs/{id}", "DELETE /jobs/{id}", "POST /jobs/{id}/terminate", "GET /jobs/{id}/status", "GET /jobs/{id}/events/", "POST /jobs/{id}/retry", "POST /jobs/{id}/resubmit", "GET /jobs/{id}/outputs/", "GET /workflows/{id}/{version}/log",
		"GET /secrets/{workspace}/", "PUT /secrets/{workspace}/{key}", "DELETE /secrets/{workspace}/{key}",
		"GET /volumes/{workspace}/", "POST /volumes/{workspace}/", "GET /volumes/{workspace}/{id}", "PUT /volumes/{workspace}/{id}", "DELETE /volumes/{workspace}/{id}",
	} {
		method, path, _ := strings.Cut(want, " ")
		if !slices.ContainsFunc(routes, func(r httpapi.Route) bool { return r.Method == method && r.Path == base+path }) {
			t.Errorf("%s is not served", want)
		}
	}
	catalogue := map[string]bool{httpapi.Public: true, string(access.Self): true}
	for _, a := range Actions() {
		catalogue[string(a.Action)] = true
	}
	for _, r := range routes {
		if !catalogue[r.Action] {
			t.Errorf("%s %s has the action %q, which is not in the catalogue", r.Method, r.Path, r.Action)
		}
		// Nobody comes in anywhere.
		if r.Action == httpapi.Public {
			continue
		}
		at := s.url + r.Path
		at = strings.NewReplacer("{id}", otherUID, "{version}", "1", "{workspace}", "ws1", "{key}", "k", "{job}", otherUID, "{node}", "n", "{artifact}", "a", "{name}", "o").Replace(at)
		body := ""
		if r.Method != http.MethodGet && r.Method != http.MethodDelete {
			body = "{}"
		}
		s.do(r.Method, at, "", body).is(t, 400, `"summary":"could not authenticate"`)
		s.do(r.Method, at, "Bearer bogus", body).is(t, 400, `"summary":"could not authenticate"`)
		if r.Method == http.MethodGet {
			// HEAD is answered like GET.
			req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, at, nil)
			noError(t, err)
			resp, err := http.DefaultClient.Do(req)
			noError(t, err)
			_ = resp.Body.Close()
			if resp.StatusCode != 400 {
				t.Errorf("HEAD %s: %d", at, resp.StatusCode)
			}
		}
	}
}
