package fleet

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestEveryOperation compares the document with the list of the original's operations.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.cfg.Prefix = "/fleet" })
	doc := parse[struct {
		Paths map[string]map[string]struct {
			OperationID string   `json:"operationId"`
			Tags        []string `json:"tags"`
		}
	}](t, s.as("", "GET", "/openapi.json", "").is(t, 200, "").body)
	var got []string
	for path, item := range doc.Paths {
		for method, op := range item {
			got = append(got, strings.ToUpper(method)+" "+path+" "+op.OperationID)
		}
	}
	slices.Sort(got)
	text, err := os.ReadFile("testdata/operations.txt")
	noError(t, err)
	want := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(want) != 74 {
		t.Fatalf("the list has %d operations", len(want))
	}
	for _, op := range want {
		if !slices.Contains(got, op) {
			t.Errorf("missing: %s", op)
		}
	}
}

// TestEveryRouteAsksForPermission calls each route as nobody and as somebody without any right.
func TestEveryRouteAsksForPermission(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, route := range s.server.Routes() {
		if route.Mount != "fleet" {
			continue
		}
		path := strings.NewReplacer("{room...}", "beacons", "{", "", "}", "").Replace(route.Path)
		name := route.Method + " " + route.Path
		if route.Action == "public" {
			if !slices.Contains([]string{"/time", "/socket.io", "/cache/{map}/{image}", "/_internal"}, route.Path) {
				t.Errorf("%s is public", name)
			}
			continue
		}
		if a := s.as("", route.Method, path, ""); a.StatusCode != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s by nobody: %d %s", name, a.StatusCode, a.body)
		}
		a := s.with(route.Method, path, "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer bogus") })
		if a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s with a bogus token: %d %s", name, a.StatusCode, a.body)
		}
		a = s.as("mallory", route.Method, path, "")
		if route.Action == "self" && route.Path != "/events/{room...}" {
			continue
		}
		if a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, `"permission":"`) || !strings.Contains(a.body, `"detail":"Forbidden"`) {
			t.Errorf("%s without any right: %d %s", name, a.StatusCode, a.body)
		}
	}
	a := s.as("mallory", "GET", "/_internal", "")
	if a.StatusCode != http.StatusForbidden {
		t.Errorf("the adapter socket without any right: %d %s", a.StatusCode, a.body)
	}
	s.as("", "GET", "/_internal", "").says(t, 401, "Not authenticated")
}

func TestOpenPermissions(t *testing.T) {
	t.Parallel()
	s := newSite(t, withConfig(func(c *Config) { c.OpenPermissions = true }))
	s.as("anybody", "GET", "/fleets", "").is(t, 200, `[]`)
	s.as("anybody", "POST", "/doors/d/request", `{"mode":2}`).is(t, 200, `null`)
	s.as("anybody", "GET", "/admin/users", "").is(t, 403, "")
	s.as("anybody", "GET", "/_internal", "").is(t, 403, "")
	s.as("", "GET", "/fleets", "").is(t, 401, "")
}

func TestHTTPRules(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "/fleet"} {
		s := newSite(t, func(set *setup) { set.cfg.Prefix = prefix })
		a := s.get("/tasks/?limit=1")
		if a.StatusCode != 307 || a.Header.Get("Location") != s.url+"/tasks?limit=1" {
			t.Errorf("slash: %d %s", a.StatusCode, a.Header.Get("Location"))
		}
		s.get("/nothing").says(t, 404, "Not Found")
		a = s.as("admin", "DELETE", "/tasks", "")
		a.says(t, 405, "Method Not Allowed")
		if !strings.Contains(a.Header.Get("Allow"), "GET") {
			t.Errorf("Allow: %v", a.Header)
		}
		s.with("GET", "/user", "", func(r *http.Request) { r.Header.Set("Authorization", "Basic x") }).says(t, 401, "invalid bearer format")
		a = s.with("GET", "/tasks?limit=0", "", func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+token(t, "admin"))
			r.Header.Set("Origin", "https://dashboard.example")
		})
		a.is(t, 422, `{"detail":[{"type":"greater_than_equal","loc":["query","limit"],"msg":"Input should be greater than or equal to 1","input":"0","ctx":{"ge":1}}]}`)
		if a.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("CORS: %v", a.Header)
		}
		if n := parse[int64](t, s.as("", "GET", "/time", "").is(t, 200, "").body); n < 1e12 {
			t.Errorf("time %d", n)
		}
		s.as("", "GET", "/socket.io", "").is(t, 200, "null")
	}
}

func TestUserAndPermissions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.as("anna", "GET", "/user", "").is(t, 200, `{"username":"anna","is_admin":false,"roles":[]}`)
	s.get("/user").is(t, 200, `{"username":"admin","is_admin":true,"roles":[]}`)
	s.get("/permissions").is(t, 200, `[]`)
	s.permit("operator", SubmitTasks, "site")
	s.permit("operator", ReadDoors, "lab")
	s.permit("other", SubmitTasks, "site")
	s.as("anna operator other", "GET", "/permissions", "").is(t, 200, `[{"authz_grp":"lab","action":"fleet.doors.read"},{"authz_grp":"","action":"task_submit"}]`)
}
