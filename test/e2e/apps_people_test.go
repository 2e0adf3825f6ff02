package e2e

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// tab is a browser's: it keeps cookies by host and says where its requests come from.
type tab struct{ caller }

// navigate types an address and follows wherever that leads.
func (b tab) navigate(address string) (at *url.URL, a answer) {
	b.t.Helper()
	return b.follow("GET", address, "none", "")
}

func (b tab) follow(method, address, site, origin string) (at *url.URL, a answer) {
	b.t.Helper()
	for hops := 0; hops < 10; hops++ {
		head := http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {site}, "Accept": {"text/html"}}
		if origin != "" {
			head.Set("Origin", origin)
		}
		if strings.HasPrefix(address, "/") {
			b.t.Fatalf("%s is no address", address)
		}
		a = b.do(method, address, head, "")
		at, err := url.Parse(address)
		noError(b.t, err)
		to := a.header.Get("Location")
		if a.status < 300 || a.status >= 400 || to == "" {
			return at, a
		}
		next, err := at.Parse(to)
		noError(b.t, err)
		if next.String() == address && method == "GET" {
			b.t.Fatalf("%s leads to itself", address)
		}
		method, address, origin = "GET", next.String(), ""
	}
	b.t.Fatal("led around in circles")
	return nil, a
}

// browse gives somebody who has logged in a tab.
func (l *lodge) browse(name, password string) tab {
	l.t.Helper()
	c, status := l.login(name, password)
	equal(l.t, name+"'s login", status, 200)
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.head = nil
	return tab{c}
}

// Out of the box: two people log in, open the sample app, each has a copy, and neither gets to the
// other's by any way.
func TestTwoPeopleAndTheSample(t *testing.T) {
	t.Parallel()
	l := startLodge(t)
	t.Cleanup(func() { endApps(t, l.data) })
	passwordOf := map[string]string{"ana": "a porter at the gate", "ben": "a lantern in the hall", "cem": "a key on the hook"}
	for _, name := range []string{"ana", "ben"} {
		l.admin("user add", name, "--password", passwordOf[name], "--role", "app-user").ok()
	}
	l.admin("user add", "cem", "--password", passwordOf["cem"]).ok()
	nobody := tab{l.nobody()}
	at, form := nobody.navigate(l.url() + "/open/demo?path=/%3Fx=1")
	if !strings.HasPrefix(at.Path, "/idp/") {
		t.Errorf("nobody was led to %s", at)
	}
	// Browsers hold the login's form to its policy through every redirect, to the app's host too.
	if policy := form.header.Get("Content-Security-Policy"); !strings.Contains(policy, " http://*.apps.localhost:"+at.Port()) {
		t.Errorf("a browser would not follow the login to an app: %s", policy)
	}
	if a := nobody.do("GET", "/open/demo", http.Header{"Sec-Fetch-Mode": {"cors"}}, ""); a.status == 200 {
		t.Errorf("a script of nobody's got %d", a.status)
	}

	ana, ben := l.browse("ana", passwordOf["ana"]), l.browse("ben", passwordOf["ben"])
	open := func(who tab) string {
		t.Helper()
		at, page := who.navigate(l.url() + "/open/demo?path=" + url.QueryEscape("/?x=1"))
		if page.status != 200 || !strings.Contains(page.body, "is not running") || at.RequestURI() != "/?x=1" {
			t.Fatalf("at %s: %d %s", at, page.status, page.body)
		}
		host := "http://" + at.Host
		// The button.
		_, page = who.follow("POST", host+"/.lodge/start?next=%2F%3Fx%3D1", "same-origin", host)
		for range 100 {
			if strings.Contains(page.body, "Workbench</h1>") || strings.Contains(page.body, "<title>Workbench</title>") {
				return host
			}
			<-time.After(50 * time.Millisecond)
			_, page = who.navigate(host + "/?x=1")
		}
		t.Fatalf("the app never came: %d %s", page.status, page.body)
		return ""
	}
	anas, bens := open(ana), open(ben)
	if anas == bens {
		t.Fatalf("both have %s", anas)
	}
	same := func(host string) http.Header { return http.Header{"Origin": {host}, "Sec-Fetch-Site": {"same-origin"}} }
	ana.do("PUT", anas+"/files/note.txt", same(anas), "ana's own").is(204)
	ana.get(anas+"/files/note.txt").is(200, "ana's own")
	ben.get(bens+"/files").is(200, "[]")

	// Ben at ana's: by her host, with her host's cookie, by headers, by the API, by a socket.
	none := strings.Replace(bens, "--ben", "--nix", 1)
	if foreign, missing := ben.get(anas+"/files/note.txt"), ben.get(none+"/files/note.txt"); foreign.status != missing.status || foreign.status == 200 || len(foreign.header) != len(missing.header) {
		t.Errorf("ana's app answers ben %d, one that is not there %d", foreign.status, missing.status)
	}
	if _, page := ben.navigate(anas + "/files/note.txt"); page.status != 404 || strings.Contains(page.body, "ana's own") {
		t.Errorf("ben at ana's app: %d %s", page.status, page.body)
	}
	pass := cookiesOf(t, ben, bens)
	if pass == "" {
		t.Fatal("ben has no cookie for his app")
	}
	stolen := l.nobody()
	stolen.head = http.Header{"Cookie": {pass}}
	stolen.get(bens + "/files").is(200)
	stolen.get(anas + "/files").is(401)
	stolen.head = http.Header{"Cookie": {pass}, "X-Forwarded-Host": {strings.TrimPrefix(bens, "http://")}, "userid": {"ana"}, "X-Lodge-User": {"ana"}}
	stolen.get(anas + "/files").is(401)
	stolen.head = http.Header{"Cookie": {pass}}
	stolen.get("/api/v1/me").is(401) // an app's cookie is worth nothing on Lodge's own host
	stolen.head = http.Header{"Cookie": {cookiesOf(t, ben, l.url())}}
	stolen.get(bens + "/files").is(401) // and Lodge's own nothing on an app's
	hers := list[appSession](ana.caller, "/api/v1/app-sessions")
	equal(t, "ana's app sessions", len(hers), 1)
	for _, path := range []string{"", "/events", "/logs", "/stats"} {
		foreign, missing := ben.get("/api/v1/app-sessions/"+hers[0].ID+path), ben.get("/api/v1/app-sessions/0192f3a1-0000-7000-8000-000000000001"+path)
		equal(t, "status of ana's"+path, foreign.status, 404)
		equal(t, "headers of ana's"+path, len(foreign.header), len(missing.header))
	}
	for _, origin := range []string{bens, l.url(), "https://evil.example"} {
		_, resp, err := websocket.Dial(t.Context(), anas+"/live", &websocket.DialOptions{ //nolint:bodyclose // the library has read it
			HTTPClient: ana.http, HTTPHeader: http.Header{"Origin": {origin}},
		})
		if err == nil || resp.StatusCode != 403 {
			t.Errorf("a page of %s opened ana's socket in her browser: %v", origin, err)
		}
	}
	// A page of ben's app in ana's browser: neither her app, nor the API, nor another start.
	ana.do("POST", anas+"/x", http.Header{"Origin": {bens}, "Sec-Fetch-Site": {"same-site"}}, "x").is(403)
	ana.do("POST", "/api/v1/apps/echo/sessions", http.Header{"Origin": {bens}, "Sec-Fetch-Site": {"same-site"}}, "").is(403)
	if a := ana.do("GET", "/api/v1/me", http.Header{"Origin": {bens}, "Sec-Fetch-Site": {"same-site"}}, ""); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another origin's script may read the API's answers")
	}
	ana.get(strings.Replace(anas, "demo--", "echo--", 1) + "/").is(401)

	// Who has not the role sees no app, and no difference to one that is not there.
	cem := l.browse("cem", passwordOf["cem"])
	if apps := parse[struct{ Items []any }](cem.get("/api/v1/apps").is(200)); len(apps.Items) != 0 {
		t.Errorf("cem sees %v", apps.Items)
	}
	cem.get("/open/demo").is(404)
	cem.do("POST", "/api/v1/apps/demo/sessions", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {l.url()}}, "").is(404)

	// Ana logs out: her tabs and her socket end, her app runs on.
	socket, _, err := websocket.Dial(t.Context(), anas+"/live", &websocket.DialOptions{HTTPClient: ana.http, HTTPHeader: http.Header{"Origin": {anas}}}) //nolint:bodyclose // what follows is no body
	noError(t, err)
	ana.do("POST", "/auth/logout", http.Header{"Origin": {l.url()}, "Sec-Fetch-Site": {"same-origin"}}, "")
	began := time.Now()
	for {
		if _, _, err := socket.Read(t.Context()); err != nil {
			break
		}
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("her socket lived for %s", took)
	}
	ana.get(anas + "/files").is(401)
	equal(t, "processes", len(appProcesses(t, l.data)), 2)
}

// An app that is to end with its owner's login ends when the last browser has logged out, and not
// before; the others run on.
func TestStopOnLogout(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	noError(t, err)
	l := startLodge(t, with("LODGE_APPS_CATALOGUE", strings.ReplaceAll("["+everyone("brief", "serve", ", stop_on_logout: true")+", "+everyone("long", "serve", "")+"]", "{wild}", program+", wild-app")),
		with("LODGE_APPS_CULL_EVERY", "200ms"), with("LODGE_APPS_PROCESS_ALLOW_ROOT", strconv.FormatBool(os.Geteuid() == 0)))
	t.Cleanup(func() { endApps(t, l.data) })
	l.admin("user add", "ana", "--password", "a porter at the gate").ok()
	desk, phone := l.browse("ana", "a porter at the gate"), l.browse("ana", "a porter at the gate")
	same := http.Header{"Origin": {l.url()}, "Sec-Fetch-Site": {"same-origin"}}
	var ids []string
	for _, app := range []string{"brief", "long"} {
		s := parse[appSession](desk.do("POST", "/api/v1/apps/"+app+"/sessions", same, ""))
		phone.until(s.ID, "ready")
		ids = append(ids, s.ID)
	}
	desk.do("POST", "/auth/logout", same, "").is(200)
	<-time.After(time.Second) // five looks at who is logged in
	equal(t, "state while the phone is logged in", phone.look(ids[0]).State, "ready")
	phone.do("POST", "/auth/logout", same, "").is(200)
	root := l.administrator()
	eventually(t, "the app has ended with the login", func() bool {
		s := root.look(ids[0])
		return s.State == "stopped" && s.Cause == "logout"
	})
	equal(t, "state of the other", root.look(ids[1]).State, "ready")
}

// cookiesOf are those that a browser has for an address.
func cookiesOf(t testing.TB, who tab, address string) string {
	t.Helper()
	u, err := url.Parse(address + "/")
	noError(t, err)
	jar, ok := who.http.Jar.(*cookiejar.Jar)
	if !ok {
		t.Fatal("no browser")
	}
	var all []string
	for _, c := range jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// Neither a picture on another site nor an old tab starts anything, an app that starts by itself does
// so for whoever types its address, and no answer leads to its own address.
func TestWhatStartsAnApp(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps("["+everyone("wild", "serve", "")+", "+everyone("auto", "serve", ", autostart: true")+"]"))
	ana := l.person("ana")
	ana.get("/open/auto").is(303)
	at := ana.get("/open/auto").header.Get("Location")
	for name, head := range map[string]http.Header{
		"a picture elsewhere":  {"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}, "Sec-Fetch-Site": {"cross-site"}},
		"a script's poll":      {"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}},
		"a link elsewhere":     {"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"cross-site"}},
		"a frame elsewhere":    {"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}, "Sec-Fetch-Site": {"cross-site"}},
		"another app's page":   {"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"same-site"}},
		"a program of old":     {"Accept": {"*/*"}},
		"a form on other site": {"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
	} {
		ana.do("GET", at, head, "")
		if n := len(list[appSession](ana, "/api/v1/app-sessions")); n != 0 {
			t.Fatalf("%s started the app", name)
		}
	}
	page := ana.page(at)
	if page.status != 200 || page.header.Get("Cache-Control") != "no-store" || !strings.Contains(page.body, "http-equiv=\"refresh\"") {
		t.Errorf("typed, it answers %d %s", page.status, page.body)
	}
	sessions := list[appSession](ana, "/api/v1/app-sessions")
	equal(t, "app sessions", len(sessions), 1)
	ana.until(sessions[0].ID, "ready")
	if page := ana.page(at); !strings.Contains(page.body, "GET / HTTP/1.1") {
		t.Errorf("not the app: %s", page.body)
	}
	// Stopped, a forgotten tab that polls gets a plain no.
	ana.send("DELETE", "/api/v1/app-sessions/"+sessions[0].ID, nil)
	eventually(t, "it is stopped", func() bool { return ana.look(sessions[0].ID).State == "stopped" })
	for range 3 {
		a := ana.do("GET", at, http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"same-origin"}}, "").is(503, "app_not_running")
		if a.header.Get("Retry-After") == "" {
			t.Error("nobody says when to come back")
		}
	}
	equal(t, "state after the polling", ana.look(sessions[0].ID).State, "stopped")
}

// Names that look alike are different people with different hosts and folders.
func TestNamesAlike(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps(`[{id: wild, command: [{wild}, serve], allow: {users: ["*"]}, volumes: [{name: home, path: /home/user}]}]`))
	hosts, owners := map[string]string{}, map[string]string{}
	for _, name := range []string{"a.b", "a-b", "A-B", "a@x", "a@y", strings.Repeat("long", 60), "a%D0%B0", "a_b", "a--b", "-a", "ab"} {
		s := l.person(name).launch("wild")
		if other, taken := hosts[s.URL]; taken {
			t.Errorf("%.20q and %.20q share %s", name, other, s.URL)
		}
		if other, taken := owners[s.User.ID]; taken {
			t.Errorf("%.20q and %.20q are one person", name, other)
		}
		hosts[s.URL], owners[s.User.ID] = name, name
		u, err := url.Parse(s.URL)
		noError(t, err)
		if label, _, _ := strings.Cut(u.Hostname(), "."); len(label) > 63 || strings.Count(label, "--") != 1 {
			t.Errorf("%.20q has the host %s", name, u.Host)
		}
	}
}

// The sixth app of a person is refused by name of the limit; a role may have more.
func TestLimits(t *testing.T) {
	t.Parallel()
	var entries []string
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		entries = append(entries, everyone(id, "serve", ""))
	}
	l := startLodge(t, withApps("["+strings.Join(entries, ", ")+"]"), with("LODGE_APPS_LIMITS_LAUNCHES_PER_MINUTE", "100"))
	ana := l.person("ana")
	answers := make(chan int, len(entries))
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		go func() {
			a, err := ana.try(t.Context(), "POST", "/api/v1/apps/"+id+"/sessions", nil, http.NoBody, 0)
			if err != nil {
				t.Error(err)
			}
			answers <- a.status
		}()
	}
	refused := 0
	for range entries {
		if <-answers == 429 {
			refused++
		}
	}
	equal(t, "refused of six at once", refused, 1)
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		if a := ana.send("POST", "/api/v1/apps/"+id+"/sessions", nil); a.status == 429 {
			a.is(429, "sessions_per_user")
			if a.header.Get("Retry-After") == "" {
				t.Error("nobody says when to come back")
			}
		}
	}
	ana.send("POST", "/api/v1/apps/a/sessions", map[string]any{"options": map[string]any{"image": "evil"}})
	ana.send("POST", "/api/v1/apps/a/sessions", map[string]any{"name": "../x"}).is(422, "name")
	ana.send("POST", "/api/v1/apps/a/sessions", map[string]any{"priviledged": true}).is(422, "priviledged")
}

// Two servers on one database serve each other's apps, and one looks after them.
func TestTwoServersOneSite(t *testing.T) {
	t.Parallel()
	stores := onPostgres(t)
	one := startLodge(t, withApps(wildOnly), stores)
	two := startLodge(t, withApps(wildOnly), stores)
	ana := one.person("ana")
	session := ana.up("wild")
	other := two.person("ana")
	at := "http://" + strings.Replace(strings.TrimPrefix(session.host(), "http://"), strings.TrimPrefix(one.url(), "http://127.0.0.1"), strings.TrimPrefix(two.url(), "http://127.0.0.1"), 1)
	equal(t, "the process behind the other server", other.get(at+"/pid").is(200).body, ana.get(session.host()+"/pid").is(200).body)
	equal(t, "launched at the other server", other.launch("wild").ID, session.ID)
	other.send("DELETE", "/api/v1/app-sessions/"+session.ID, nil)
	within(t, 10*time.Second, "the first server knows that it was stopped", func() bool { return ana.get(session.host()+"/pid").status == 503 })
}

// What one server sees of use keeps the other from closing the app.
func TestUseAtTheOtherServer(t *testing.T) {
	t.Parallel()
	stores := all(onPostgres(t), with("LODGE_NATS_URL", natsServer(t)))
	// Both write down at leisure, so that the one that closes has to ask.
	slow := all(with("LODGE_APPS_CULL_EVERY", "300ms"), with("LODGE_APPS_CULL_FLUSH", "10m"), with("LODGE_APPS_CULL_RESTART_GRACE", "1ms"))
	catalogue := "[" + everyone("wild", "serve", ", idle_timeout: 2s, warn_before: 1s") + "]"
	one := startLodge(t, withApps(catalogue), stores, slow)
	two := startLodge(t, withApps(catalogue), stores, slow)
	ana := one.person("ana")
	session := ana.up("wild")
	// Whichever of the two looks after everybody's apps, the use is at the other one too.
	for _, server := range []*lodge{one, two} {
		at := "http://" + strings.Replace(strings.TrimPrefix(session.host(), "http://"), strings.TrimPrefix(one.url(), "http://127.0.0.1"), strings.TrimPrefix(server.url(), "http://127.0.0.1"), 1)
		c := server.person("ana")
		for range 12 { // twice the time-out and more
			c.do("POST", at+"/post", nil, "x").is(200)
			<-time.After(400 * time.Millisecond)
		}
		equal(t, "state while it is used at one of two", ana.look(session.ID).State, "ready")
	}
	eventually(t, "it is closed when nobody uses it", func() bool {
		s := ana.look(session.ID)
		return s.State == "stopped" && s.Cause == "idle"
	})
}

// Who loses the role that an app is for has no app any more: neither a page, nor a socket that is open.
func TestARoleIsTaken(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps(`[{id: wild, command: [{wild}, serve], allow: {roles: [scientist]}}]`))
	root := l.administrator()
	root.send("POST", "/api/v1/roles", map[string]string{"name": "scientist"}).is(201)
	ana := l.person("ana")
	me := parse[struct{ ID string }](ana.get("/api/v1/me").is(200)).ID
	ana.send("POST", "/api/v1/apps/wild/sessions", nil).is(404)
	root.send("PUT", "/api/v1/users/"+me+"/roles/scientist", nil)
	eventually(t, "the role holds", func() bool { return ana.send("POST", "/api/v1/apps/wild/sessions", nil).status < 300 })
	session := list[appSession](ana, "/api/v1/app-sessions")[0]
	ana.until(session.ID, "ready")
	missing := ana.get(strings.Replace(session.host(), "wild--", "none--", 1) + "/").is(404)
	socket, _, err := websocket.Dial(t.Context(), session.host()+"/ws", &websocket.DialOptions{HTTPClient: ana.http, HTTPHeader: http.Header{"userid": {"ana"}, "Origin": {session.host()}}}) //nolint:bodyclose // what follows is no body
	noError(t, err)
	root.send("DELETE", "/api/v1/users/"+me+"/roles/scientist", nil)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if _, _, err := socket.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the socket was not closed: %v", err)
	}
	var gone answer
	eventually(t, "the app is not there any more", func() bool { gone = ana.get(session.host() + "/"); return gone.status == 404 })
	if gone.body == "" || len(gone.header) != len(missing.header) {
		t.Errorf("an app that is not there answers %v, one that is no longer hers %v", missing.header, gone.header)
	}
	// It is hers to stop all the same.
	ana.send("DELETE", "/api/v1/app-sessions/"+session.ID, nil)
	eventually(t, "she has stopped it", func() bool { return ana.look(session.ID).State == "stopped" })
}
