package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// otherProvider starts an OpenID provider of another make, which knows the site at the address as a client
// that was once registered for ServiceHub, and gives its own address.
func otherProvider(t testing.TB, site string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "provider.mjs"} {
		text, err := os.ReadFile(filepath.Join("testdata", "provider", name))
		noError(t, err)
		noError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = dir
	if said, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, said)
	}
	node := exec.CommandContext(context.WithoutCancel(t.Context()), "node", "provider.mjs", site)
	node.Dir, node.Stderr = dir, os.Stderr
	out, err := node.StdoutPipe()
	noError(t, err)
	noError(t, node.Start())
	t.Cleanup(func() {
		_ = node.Process.Kill()
		_ = node.Wait() // it was killed
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	noError(t, err)
	return strings.TrimSpace(line)
}

// visitor is a browser of somebody whom the other provider knows.
func (l *lodge) visitor(name string) tab {
	l.t.Helper()
	c := l.nobody()
	jar, err := cookiejar.New(nil)
	noError(l.t, err)
	c.http.Jar = jar
	c.head = http.Header{"X-Person": {name}}
	return tab{c}
}

var xsrfField = regexp.MustCompile(`name="xsrf" value="([^"]+)"`)

// startAtProvider starts a site of one app whose people log in at a provider of another make, and gives the
// provider's address too.
func startAtProvider(t testing.TB, app string, settings ...setting) (*lodge, string) {
	t.Helper()
	address := reservedHub(t).address
	issuer := otherProvider(t, "http://"+address)
	program, err := os.Executable()
	noError(t, err)
	l := newLodge(t, all(settings...), with("LODGE_IDENTITY_CALLBACK", "/redirect_uri"),
		with("LODGE_IDENTITY_ISSUERS", fmt.Sprintf(`[{"issuer": %q, "client_id": "lodge", "client_secret": "a secret between the two", "role_claim": "roles"}]`, issuer)),
		with("LODGE_APPS_CATALOGUE", strings.ReplaceAll("["+app+"]", "{wild}", program+", wild-app")),
		with("LODGE_APPS_PROCESS_ALLOW_ROOT", strconv.FormatBool(os.Geteuid() == 0)))
	l.listen = address
	t.Cleanup(func() { endApps(t, l.data) })
	l.start()
	return l, issuer
}

// enter logs somebody in at the other provider.
func (l *lodge) enter(name string) tab {
	l.t.Helper()
	b := l.visitor(name)
	at, page := b.navigate(l.url() + "/auth/login?next=" + url.QueryEscape("/api/v1/me?x=1"))
	if at.RequestURI() != "/api/v1/me?x=1" || !strings.Contains(page.body, `"subject":"`+name+`"`) {
		l.t.Fatalf("%s came to %s: %d %s", name, at, page.status, page.body)
	}
	return b
}

// socket opens one to an app.
func (b tab) socket(session appSession) *websocket.Conn {
	b.t.Helper()
	c, _, err := websocket.Dial(b.t.Context(), session.host()+"/ws", &websocket.DialOptions{HTTPClient: b.http, HTTPHeader: http.Header{"Origin": {session.host()}}}) //nolint:bodyclose // what follows is no body
	noError(b.t, err)
	return c
}

// closes waits until a socket is closed.
func closes(t testing.TB, c *websocket.Conn) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if _, _, err := c.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the socket was not closed: %v", err)
	}
}

// A role that is taken from somebody at the provider is gone here without a new login: their app is as if
// it were not there, and its sockets close. Given back, it is there again.
func TestARoleIsTakenAtTheProvider(t *testing.T) {
	t.Parallel()
	l, issuer := startAtProvider(t, `{id: wild, command: [{wild}, serve], allow: {roles: [scientist]}}`, with("LODGE_IDENTITY_RENEW_EVERY", "1s"))
	roles := func(list string) {
		t.Helper()
		l.nobody().do("PUT", issuer+"/roles/ana"+list, nil, "").is(200)
	}
	roles("/scientist/driver")
	ana := l.enter("ana")
	session := parse[appSession](ana.do("POST", "/api/v1/apps/wild/sessions", http.Header{"Origin": {l.url()}, "Sec-Fetch-Site": {"same-origin"}}, ""))
	ana.until(session.ID, "ready")
	ana.navigate(session.URL)
	socket := ana.socket(session)

	roles("/driver")
	closes(t, socket)
	ana.get(session.host() + "/x").is(404)
	ana.get("/api/v1/me").is(200, `"roles":["driver"]`)

	roles("/scientist")
	eventually(t, "the role is back", func() bool { return ana.get(session.host()+"/x").status == 200 })
	equal(t, "changes of roles on record", strings.Contains(l.administrator().get("/api/v1/audit?limit=500&action=sessions.write").body, "the roles of ana were [scientist driver] and are [driver]"), true)
}

// People log in at a provider of another make, through the callback that ServiceHub had; what is not their
// login's answer lets nobody in; and logging out, here or there, ends tabs and sockets everywhere.
func TestAnotherProvider(t *testing.T) {
	t.Parallel()
	l, issuer := startAtProvider(t, everyone("wild", "serve", ", identity: {headers: [userid]}"))
	desk, phone, ben := l.enter("ana"), l.enter("ana"), l.enter("ben")

	// Each of them has an app, and ana a socket to hers from either browser.
	same := http.Header{"Origin": {l.url()}, "Sec-Fetch-Site": {"same-origin"}}
	session := parse[appSession](desk.do("POST", "/api/v1/apps/wild/sessions", same, ""))
	desk.until(session.ID, "ready")
	_, page := desk.navigate(session.URL)
	// The userid is as Apache sent it: the subject, and the issuer without its scheme.
	page.is(200, "Userid: ana@"+strings.TrimPrefix(issuer, "http://")+"\r\n")
	phone.navigate(session.URL)
	atDesk, atPhone := desk.socket(session), phone.socket(session)

	refusedLogins(t, l, issuer)

	doctorAtTheProvider(t, issuer, l.listen)

	// Ana logs out at the desk: her other tab there and its socket end, and the provider is told who it was.
	parted := desk.do("POST", "/auth/logout", same, "").is(200)
	closes(t, atDesk)
	desk.get(session.host() + "/x").is(401)
	desk.get("/api/v1/me").is(401)
	onward, err := url.Parse(parse[struct{ Location string }](parted).Location)
	noError(t, err)
	equal(t, "where the provider's logout is", "http://"+onward.Host, issuer)
	equal(t, "parts of the hint", strings.Count(onward.Query().Get("id_token_hint"), "."), 2)
	home := logOutThere(t, desk, onward.String())
	equal(t, "where the provider leads back to", home, l.url()+"/")
	phone.get(session.host()+"/x").is(200, "GET /x")

	// On the phone she logs out at the provider alone, which tells Lodge behind the browser's back.
	logOutThere(t, phone, issuer+"/session/end")
	closes(t, atPhone)
	eventually(t, "the login on the phone has ended", func() bool { return phone.get("/api/v1/me").status == 401 })
	phone.get(session.host() + "/x").is(401)
	ben.get("/api/v1/me").is(200)
	equal(t, "logouts by the provider that are on record", strings.Contains(l.administrator().get("/api/v1/audit?limit=500&action=logout").body, "logged out by the provider"), true)
	equal(t, "processes", len(appProcesses(t, l.data)), 1)
}

// logOutThere says yes to the provider's question whether to log out, and gives where it leads.
func logOutThere(t testing.TB, b tab, address string) string {
	t.Helper()
	page := b.do("GET", address, nil, "").is(200)
	field := xsrfField.FindStringSubmatch(page.body)
	if field == nil {
		t.Fatalf("the provider asks nothing: %s", page.body)
	}
	at, err := url.Parse(address)
	noError(t, err)
	form := url.Values{"xsrf": {field[1]}, "logout": {"yes"}}.Encode()
	answer := b.do("POST", "http://"+at.Host+"/session/end/confirm", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form)
	equal(t, "the provider's answer", answer.status, 303)
	return strings.SplitN(answer.header.Get("Location"), "?", 2)[0]
}

// refusedLogins: a login without PKCE, one that another browser began, and an answer that is used twice.
func refusedLogins(t *testing.T, l *lodge, issuer string) {
	t.Helper()
	callback := l.url() + "/redirect_uri"
	eve := l.visitor("eve")
	at, page := eve.navigate(issuer + "/auth?" + url.Values{"client_id": {"lodge"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"x"}}.Encode())
	if at.Path != "/redirect_uri" || page.status != 400 || !strings.Contains(at.RawQuery, "invalid_request") {
		t.Errorf("without PKCE one comes to %s: %d %s", at, page.status, page.body)
	}
	// Eve gets as far as the callback, whose address she stops at.
	began := eve.do("GET", "/auth/login?next=/ui/", nil, "").header.Get("Location")
	query, err := url.Parse(began)
	noError(t, err)
	if q := query.Query(); q.Get("code_challenge_method") != "S256" || q.Get("redirect_uri") != callback {
		t.Errorf("the provider is asked %s", began)
	}
	answer := began
	for hops := 0; !strings.HasPrefix(answer, callback); hops++ {
		if hops > 10 {
			t.Fatalf("led around in circles, to %s", answer)
		}
		a := eve.do("GET", answer, nil, "")
		base, err := url.Parse(answer)
		noError(t, err)
		next, err := base.Parse(a.header.Get("Location"))
		noError(t, err)
		answer = next.String()
	}
	refused := func(what string, b tab, address string) {
		t.Helper()
		a := b.page(address)
		if a.status < 400 || a.status >= 500 || !strings.Contains(a.body, "Try again") && !strings.Contains(a.body, "again") {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
		b.get("/api/v1/me").is(401)
	}
	refused("in another browser", l.visitor("victim"), answer)
	refused("with another state", eve, strings.Replace(answer, "state=", "state=x", 1))
	eve.page(answer).is(303)
	eve.get("/api/v1/me").is(200, `"subject":"eve"`)
	again := l.visitor("eve")
	again.http.Jar = eve.http.Jar
	a := again.page(answer)
	if a.status != 400 {
		t.Errorf("used twice: %d %s", a.status, a.body)
	}
}

// doctorAtTheProvider: what a provider would refuse is told before anybody tries to log in, and by a proxy
// that shows another time, that the clocks differ.
func doctorAtTheProvider(t *testing.T, issuer, site string) {
	t.Helper()
	examine := func(issuer, secret, callback string) string {
		t.Helper()
		l := newLodge(t, with("LODGE_PUBLIC_URL", "http://"+site), with("LODGE_IDENTITY_CALLBACK", callback),
			with("LODGE_IDENTITY_ISSUERS", fmt.Sprintf(`[{"issuer": %q, "client_id": "lodge", "client_secret": %q}]`, issuer, secret)))
		var lines []string
		for _, line := range strings.Split(l.admin("doctor").stdout, "\n") {
			if strings.Contains(line, "issuer "+issuer) && !strings.Contains(line, "gives its keys") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "\n")
	}
	const secret, callback = "a secret between the two", "/redirect_uri"
	equal(t, "a word about what is well", strings.Contains(examine(issuer, secret, callback), "knows us, and lets logins begin"), true)
	if said := examine(issuer, "another secret", callback); !strings.Contains(said, "check client_id and client_secret") || strings.Contains(said, "redirect URI") || strings.Contains(said, "another secret") {
		t.Errorf("about a wrong secret: %s", said)
	}
	if said := examine(issuer, secret, "/auth/callback"); !strings.Contains(said, "register the redirect URI http://"+site+"/auth/callback there") || strings.Contains(said, "client_secret") {
		t.Errorf("about a callback that is not registered: %s", said)
	}
	late := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(-5*time.Minute).UTC().Format(http.TimeFormat))
		_, _ = fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q, "authorization_endpoint": %q, "token_endpoint": %q, "keys": []}`, "http://"+r.Host, "http://"+r.Host+"/keys", issuer+"/auth", issuer+"/token")
	}))
	defer late.Close()
	if said := examine(late.URL, secret, callback); !strings.Contains(said, "its clock and ours differ by 5m") {
		t.Errorf("about a clock that is late: %s", said)
	}
}
