package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// jupyter is somebody who uses Lodge as a JupyterHub. Each answer is held against what JupyterHub
// publishes about its API.
type jupyter struct {
	caller
	published *published
}

// withHub lets a site be a JupyterHub whose unnamed server is the app wild.
func withHub(settings ...setting) setting {
	return withApps("["+everyone("wild", "serve", ", named: 2")+", "+everyone("exits", "exits", "")+"]",
		append(settings, with("LODGE_APPS_JUPYTERHUB_API", "true"), with("LODGE_APPS_DEFAULT_APP", "wild"))...)
}

// hubToken makes a role of that name with the rights, and a token with the role.
func (l *lodge) hubToken(name string, actions ...string) caller {
	l.t.Helper()
	root := l.administrator()
	root.send("POST", "/api/v1/roles", map[string]string{"name": name}).is(201)
	for _, action := range actions {
		group := "*"
		if strings.HasPrefix(action, "users.") || strings.HasPrefix(action, "roles.") {
			group = "site"
		}
		root.send("POST", "/api/v1/permissions", map[string]string{"role": name, "group": group, "action": action}).is(201)
	}
	return l.token(name, "--role", name)
}

// asHub is a token's holder, who says so as JupyterHub's clients do.
func (l *lodge) asHub(c caller) jupyter {
	c.head = http.Header{"Authorization": {"token " + c.secret}}
	// It answers null for these itself, and says so of some.
	return jupyter{c, readPublished(l.t, filepath.Join("testdata", "jupyterhub", "rest-api.yml"), "server", "pending", "last_activity", "expires_at", "started", "created")}
}

// call asks, by a path below the API whose parts in braces are filled in, in order.
func (h jupyter) call(method, template string, body any, parts ...string) answer {
	h.t.Helper()
	query := ""
	template, query, _ = strings.Cut(template, "?")
	path, known := template, template
	for _, part := range parts {
		from, to := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
		path = path[:from] + part + path[to+1:]
	}
	if query != "" {
		path += "?" + query
	}
	a := h.send(method, "/hub/api"+path, body)
	known = strings.TrimSuffix(known, "/progress")
	if known == template && h.published.at("paths", known, strings.ToLower(method)) != nil {
		if err := h.published.check(a, method, known); err != nil {
			h.t.Errorf("%s %s is not as published: %v\n%s", method, path, err, a.body)
		}
	}
	if a.status >= 400 {
		problem := parse[struct {
			Status  int
			Message string
		}](a)
		if problem.Status != a.status || problem.Message == "" {
			h.t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
		}
	}
	return a
}

type hubUser struct {
	Kind, Name string
	Admin      bool
	Server     *string
	Servers    map[string]struct {
		Name, URL   string
		ProgressURL string `json:"progress_url"`
		FullURL     string `json:"full_url"`
		Ready       bool
		Stopped     bool
		Pending     *string
		Started     time.Time
	}
}

// progress follows a start to its end, as a script would: the lines that begin with data.
func (h jupyter) progress(path string) (last map[string]any) {
	h.t.Helper()
	resp, err := h.open(h.t.Context(), "GET", path, nil, http.NoBody, 0)
	noError(h.t, err)
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "data:"); ok {
			last = nil
			noError(h.t, json.Unmarshal([]byte(text), &last))
			if _, ok := last["progress"].(float64); !ok || last["message"] == "" {
				h.t.Errorf("an event is %s", text)
			}
		}
	}
	return last
}

// What programs do with a JupyterHub they do with Lodge: make people, start, reach and stop their
// servers, page through who is idle, and nothing that their token does not give.
func TestJupyterHub(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withHub(with("LODGE_APPS_LIMITS_LAUNCHES_PER_MINUTE", "100")))
	operator := l.asHub(l.hubToken("hub-operator", "users.read", "users.write", "roles.read", "apps.launch-any", "apps.read-any", "apps.stop-any", "apps.open-any"))
	hubPeople(t, operator)
	hubStartAndStop(t, operator)
	hubStartUntilItRuns(t, operator)
	culler := l.asHub(l.hubToken("culler", "apps.read-any", "apps.stop-any"))
	hubCull(t, operator, culler)
	hubNamed(t, operator)
	hubTokens(t, operator)
	hubRefusals(t, operator)
	if *full {
		hubTools(t, operator, culler)
	}
}

func hubPeople(t *testing.T, h jupyter) {
	equal(t, "version", parse[struct{ Version string }](jupyter{h.nobody(), h.published}.call("GET", "/", nil).is(200)).Version, "5.0.0")
	h.call("GET", "/info", nil).is(200)
	h.call("GET", "/user", nil).is(200, `"kind":"service"`, "apps.read-any")
	h.call("POST", "/users", map[string]any{"usernames": []string{"test-0", "test-1", "test-2", "test-3", "ünal"}}).is(201, "test-3")
	h.call("POST", "/users", map[string]any{"usernames": []string{"test-0", "test-4"}}).is(201, "test-4")
	h.call("POST", "/users", map[string]any{"usernames": []string{"test-0", "test-4"}}).is(409)
	h.call("POST", "/users", map[string]any{}).is(400)
	h.call("POST", "/users/{name}", nil, "brief").is(201)
	h.call("POST", "/users/{name}", nil, "brief").is(409)
	h.call("PATCH", "/users/{name}", map[string]any{"name": "long"}, "brief").is(400)
	h.call("PATCH", "/users/{name}", map[string]any{"admin": true}, "brief").is(403) // which only administrators can do
	h.call("DELETE", "/users/{name}", nil, "brief").is(204)
	h.call("GET", "/users/{name}", nil, "brief").is(404)
	// Somebody whose name no host name can hold goes by another, and is found by both.
	odd := parse[hubUser](h.call("GET", "/users/{name}", nil, "%C3%BCnal").is(200))
	equal(t, "found again", parse[hubUser](h.call("GET", "/users/{name}", nil, odd.Name).is(200)).Name, odd.Name)
	// Whoever is made known is who comes later.
	h.person("test-4").get("/api/v1/me").is(200)
	users := parse[[]hubUser](h.call("GET", "/users?name_filter=test-", nil).is(200))
	equal(t, "people", len(users), 5)
	h.call("GET", "/users?state=active", nil).is(200, "[]")
	h.call("GET", "/users?sort=-name&limit=1&name_filter=test", nil).is(200, "test-4")
	h.call("GET", "/users?state=odd", nil).is(400)
	h.call("GET", "/groups", nil).is(200, `"hub-operator"`)
	h.call("GET", "/groups/{name}", nil, "hub-operator").is(200)
}

// hubStartAndStop makes the calls of JupyterHub's documented example, in its order.
func hubStartAndStop(t *testing.T, h jupyter) {
	const who = "test-0"
	if user := parse[hubUser](h.call("GET", "/users/{name}", nil, who).is(200)); len(user.Servers) != 0 {
		t.Fatalf("it runs already: %+v", user)
	}
	h.call("POST", "/users/{name}/servers/", nil, who).is(202)
	server, ok := parse[hubUser](h.call("GET", "/users/{name}", nil, who).is(200)).Servers[""]
	if !ok || !server.Ready && (server.Pending == nil || *server.Pending != "spawn") {
		t.Fatalf("the server is %+v", server)
	}
	end := h.progress(server.ProgressURL)
	if end["ready"] != true || end["progress"] != 100.0 || end["url"] != server.URL {
		t.Fatalf("the start ended with %v", end)
	}
	// The server answers at the hub's own address, and is told nothing of the token.
	h.get(server.URL+"api/status?x=%2F").is(200, "GET /api/status?x=%2F HTTP/1.1", "X-Forwarded-Prefix: /user/test-0\r\n")
	if told := h.get(server.URL + "api/status").body; strings.Contains(told, "Authorization") {
		t.Errorf("the app was told %s", told)
	}
	equal(t, "on record", h.records("apps.open-any") > 0, true)
	for _, climbing := range []string{"../test-1/", "%2e%2e/%2e%2e/api/v1/me"} {
		if a := h.get(server.URL + climbing); a.status == 200 {
			t.Errorf("%s leads to %s", climbing, a.body)
		}
	}
	// A browser is led to the app's own address, its owner's; another person's finds nothing there.
	page := h.person(who).page(server.URL + "lab?x=1").is(303)
	equal(t, "where a browser is led", page.header.Get("Location"), server.FullURL+"lab?x=1")
	h.person("test-1").page(server.URL + "lab").is(404)
	h.nobody().get(server.URL).is(401)
	h.call("DELETE", "/users/{name}/servers/", nil, who)
	eventually(t, "it is stopped", func() bool {
		server, there := parse[hubUser](h.call("GET", "/users/{name}", nil, who).is(200)).Servers[""]
		if there && server.Pending == nil {
			t.Fatalf("nothing goes on, and it is there: %+v", server)
		}
		return !there
	})
	stopped := parse[hubUser](h.call("GET", "/users/{name}?include_stopped_servers=true", nil, who).is(200)).Servers[""]
	equal(t, "stopped", stopped.Stopped, true)
	h.call("DELETE", "/users/{name}/server", nil, who).is(204)
	h.call("GET", "/users/{name}/server/progress", nil, who).is(400)
}

// hubStartUntilItRuns asks for a start again and again until it is told that the server runs, as
// load generators for JupyterHub do.
func hubStartUntilItRuns(t *testing.T, h jupyter) {
	eventually(t, "the server runs", func() bool {
		a := h.call("POST", "/users/{name}/server", nil, "test-3")
		switch {
		case a.status == 201, a.status == 400 && strings.Contains(a.body, "test-3 is already running"):
			return true
		case a.status != 202:
			t.Fatalf("the start answers %d %s", a.status, a.body)
		}
		return false
	})
	a := h.call("DELETE", "/users/{name}/server", nil, "test-3")
	if a.status != 202 && a.status != 204 {
		t.Errorf("the stop answers %d", a.status)
	}
}

// hubCull pages through who has a server that is ready, with no right but to see and to stop.
func hubCull(t *testing.T, h, culler jupyter) {
	for i := range 3 {
		h.call("POST", "/users/{name}/server", nil, "test-"+strconv.Itoa(i)).is(202)
		h.progress("/hub/api/users/test-" + strconv.Itoa(i) + "/server/progress")
	}
	seen := map[string]bool{}
	for next := "/hub/api/users?state=ready&limit=2"; next != ""; {
		a := culler.do("GET", next, http.Header{"Accept": {"application/jupyterhub-pagination+json"}}, "").is(200)
		equal(t, "media type", a.header.Get("Content-Type"), "application/jupyterhub-pagination+json")
		page := parse[struct {
			Items []hubUser
			Page  struct {
				Total, Limit, Offset int
				Next                 *struct{ URL string }
			} `json:"_pagination"`
		}](a)
		var whole map[string]any
		noError(t, json.Unmarshal([]byte(a.body), &whole))
		noError(t, h.published.fits(whole["_pagination"], h.published.at("components", "schemas", "Pagination"), "pagination"))
		equal(t, "total", page.Page.Total, 3)
		for _, user := range page.Items {
			server := user.Servers[""]
			if !server.Ready || server.Started.IsZero() || user.Server == nil || seen[user.Name] {
				t.Errorf("%+v is listed", user)
			}
			seen[user.Name] = true
		}
		if next = ""; page.Page.Next != nil {
			next = page.Page.Next.URL
			equal(t, "the next page is an address", strings.HasPrefix(next, h.url()+"/hub/api/users?"), true)
		}
	}
	equal(t, "listed", len(seen), 3)
	for name := range seen {
		if a := culler.call("DELETE", "/users/{name}/server", nil, name); a.status != 204 && a.status != 202 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	eventually(t, "nobody has one", func() bool { return culler.call("GET", "/users?state=active", nil).body == "[]" })
	culler.call("POST", "/users/{name}/server", nil, "test-0").is(404)
	culler.call("DELETE", "/users/{name}", nil, "test-0").is(403)
}

func hubNamed(t *testing.T, h jupyter) {
	const who = "test-1"
	h.call("POST", "/users/{name}/servers/{server_name}", nil, who, "wild~two").is(202)
	h.progress("/hub/api/users/test-1/servers/wild~two/progress")
	servers := parse[hubUser](h.call("GET", "/users/{name}", nil, who).is(200)).Servers
	named := servers["wild~two"]
	if len(servers) != 1 || !named.Ready || named.URL != "/user/test-1/wild~two/" {
		t.Fatalf("the servers are %+v", servers)
	}
	h.get(named.URL+"x").is(200, "GET /x HTTP/1.1")
	h.get("/hub/api/users/test-1/servers/wild~two").is(200, `"name":"wild~two"`)
	ahead := func(d time.Duration) map[string]any {
		return map[string]any{"servers": map[string]any{"wild~two": map[string]any{"last_activity": time.Now().Add(d).UTC().Format(time.RFC3339)}}}
	}
	h.call("POST", "/users/{name}/activity", ahead(-time.Minute), who).is(200)
	h.call("POST", "/users/{name}/activity", ahead(30*time.Minute), who).is(200) // clocks differ
	h.call("POST", "/users/{name}/activity", ahead(2*time.Hour), who).is(400)
	h.call("POST", "/users/{name}/activity", map[string]any{}, who).is(400)
	h.call("POST", "/users/{name}/activity", map[string]any{"servers": map[string]any{"none": map[string]any{"last_activity": time.Now()}}}, who).is(400)
	h.call("DELETE", "/users/{name}/servers/{server_name}", map[string]any{"remove": true}, who, "wild~two").is(204)
	h.get("/hub/api/users/test-1/servers/wild~two").is(404)
	h.call("POST", "/users/{name}/servers/{server_name}", nil, who, "nothing").is(404)
	h.call("POST", "/users/{name}/servers/{server_name}", map[string]any{"image": "evil"}, who, "wild").is(400, "image")
	h.call("POST", "/users/{name}/servers/{server_name}", nil, who, "wild~..%2F").is(404)
	// A start that fails says so where its progress is followed.
	h.call("POST", "/users/{name}/servers/{server_name}", nil, who, "exits").is(202)
	if end := h.progress("/hub/api/users/test-1/servers/exits/progress"); end["failed"] != true || end["ready"] == true {
		t.Errorf("the start ended with %v", end)
	}
}

func hubTokens(t *testing.T, h jupyter) {
	ana := jupyter{h.person("test-2"), h.published}
	made := parse[struct{ ID, Token, User string }](ana.call("POST", "/users/{name}/tokens", map[string]any{"note": "mine", "expires_in": 60}, "test-2").is(201))
	if made.User != "test-2" || strings.Count(made.Token, ".") != 2 {
		t.Errorf("made %+v", made)
	}
	listed := ana.call("GET", "/users/{name}/tokens", nil, "test-2").is(200, made.ID)
	if strings.Contains(listed.body, made.Token) {
		t.Error("the secret is shown again")
	}
	ana.call("GET", "/users/{name}/tokens/{token_id}", nil, "test-2", made.ID).is(200)
	ana.call("GET", "/users/{name}/tokens", nil, "test-1").is(404)
	h.call("GET", "/users/{name}/tokens", nil, "test-2").is(404)
	ana.call("POST", "/users/{name}/tokens", map[string]any{"roles": []string{"hub-operator"}}, "test-2").is(403)
	ana.call("DELETE", "/users/{name}/tokens/{token_id}", nil, "test-2", made.ID).is(204)
	ana.call("GET", "/users/{name}/tokens/{token_id}", nil, "test-2", made.ID).is(404)
	gone := h.asHub(caller{h.lodge, made.Token, h.http, nil})
	eventually(t, "the token is refused", func() bool { return gone.call("GET", "/user", nil).status == 401 })
}

func hubRefusals(t *testing.T, h jupyter) {
	ben := jupyter{h.person("ben"), h.published}
	ben.call("GET", "/user", nil).is(200, `"kind":"user"`, `"name":"ben"`)
	ben.call("GET", "/users", nil).is(403)
	ben.call("GET", "/groups", nil).is(403)
	ben.call("POST", "/users", map[string]any{"usernames": []string{"cem"}}).is(403)
	ben.call("GET", "/users/{name}", nil, "ben").is(200)
	missing := ben.call("GET", "/users/{name}", nil, "nobody-of-that-name").is(404)
	equal(t, "another person and a missing one", ben.call("GET", "/users/{name}", nil, "test-0").is(404).body, missing.body)
	for _, path := range []string{"/users/{name}/server", "/users/{name}/servers/{server_name}"} {
		parts := []string{"test-0", "wild"}[:strings.Count(path, "{")]
		ben.call("POST", path, nil, parts...).is(404)
		ben.call("DELETE", path, nil, parts...).is(404)
		ben.call("GET", path+"/progress", nil, parts...).is(404)
	}
	ben.call("POST", "/users/{name}/server", nil, "ben").is(202)
	ben.progress("/hub/api/users/ben/server/progress")
	ben.call("POST", "/users/{name}/server", nil, "ben").is(400, "ben is already running")
	ben.call("DELETE", "/users/{name}/server", nil, "ben").is(204)
	nobody := jupyter{h.nobody(), h.published}
	nobody.call("GET", "/user", nil).is(401)
	nobody.call("POST", "/users/{name}/server", nil, "ben").is(401)
	for _, path := range []string{"/proxy", "/services", "/shares", "/oauth2/token"} {
		h.call("GET", path, nil).is(404)
	}
	h.lodge.asHub(h.administrator()).call("POST", "/shutdown", nil).is(405)
	// Elsewhere the scheme is Bearer, and no other.
	h.get("/api/v1/me").is(401)
	// Starts that meet a limit say when to come back.
	cem := jupyter{h.person("cem"), h.published}
	for range 3 {
		cem.call("POST", "/users/{name}/servers/{server_name}", nil, "cem", "exits").is(202)
		cem.progress("/hub/api/users/cem/servers/exits/progress")
	}
	if a := cem.call("POST", "/users/{name}/servers/{server_name}", nil, "cem", "exits").is(429); a.header.Get("Retry-After") == "" {
		t.Error(fmt.Sprint("nobody says when to come back: ", a.header))
	}
}

// python is an interpreter with what the requirements name.
func python(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	run(t, nil, "python3", "-m", "venv", dir)
	at := filepath.Join(dir, "bin", "python")
	run(t, nil, at, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", filepath.Join("testdata", "jupyterhub", "requirements.txt"))
	return at
}

// source unpacks what a package was made of, which has the tests and examples that its wheel has not.
func source(t testing.TB, python, name, version string) string {
	t.Helper()
	dir := t.TempDir()
	run(t, nil, python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:", "--dest", dir, name+"=="+version)
	found, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	noError(t, err)
	equal(t, "archives of "+name, len(found), 1)
	run(t, nil, "tar", "-xzf", found[0], "-C", dir, "--strip-components=1")
	return dir
}

// run runs a program to its end and gives what it said.
func run(t testing.TB, env []string, program string, args ...string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	defer stop()
	command := exec.CommandContext(ctx, program, args...)
	command.Env = append(os.Environ(), env...)
	said, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, said)
	}
	return string(said)
}

// hubTools runs JupyterHub's own programs as they are: the idle culler's tests, the culler itself, and
// the documented example.
func hubTools(t *testing.T, operator, culler jupyter) {
	at := python(t)
	env := []string{"LODGE_HUB=" + operator.url(), "LODGE_ADMIN_TOKEN=" + operator.secret, "LODGE_CULL_TOKEN=" + culler.secret}
	fixtures, err := filepath.Abs(filepath.Join("testdata", "jupyterhub"))
	noError(t, err)
	tests := filepath.Join(source(t, at, "jupyterhub-idle-culler", "2.0.0"), "tests")
	said := run(t, append(env, "PYTHONPATH="+fixtures), at, "-m", "pytest", "-p", "lodge_site", "-o", "addopts=", "-o", "asyncio_mode=auto", "--rootdir", tests, tests)
	if !strings.Contains(said, "5 passed") || strings.Contains(said, "skipped") {
		t.Errorf("the culler's own tests said %s", said)
	}
	example := filepath.Join(source(t, at, "jupyterhub", "5.2.1"), "examples", "server-api", "start-stop-server.py")
	said = run(t, env, at, filepath.Join(fixtures, "start_stop.py"), example, "test-1")
	if !strings.Contains(said, "started and stopped") {
		t.Errorf("the example said %s", said)
	}
	// The culler as a program, which looks every second.
	operator.call("POST", "/users/{name}/server", nil, "test-2").is(202)
	operator.progress("/hub/api/users/test-2/server/progress")
	command := exec.CommandContext(t.Context(), at, "-m", "jupyterhub_idle_culler", "--timeout=1", "--cull-every=1", "--url="+operator.url()+"/hub/api")
	command.Env = append(os.Environ(), "JUPYTERHUB_API_TOKEN="+culler.secret)
	noError(t, command.Start())
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
	}()
	eventually(t, "the culler has stopped it", func() bool { return operator.call("GET", "/users?state=active", nil).body == "[]" })
}
