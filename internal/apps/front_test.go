package apps

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
	"golang.org/x/net/websocket"

	"lodge/internal/access"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
)

// mirror is an app that shows what it got.
func mirror() http.Handler {
	socket := websocket.Server{Handler: func(c *websocket.Conn) {
		for {
			var text string
			if websocket.Message.Receive(c, &text) != nil {
				return
			}
			if websocket.Message.Send(c, "echo "+text) != nil {
				return
			}
		}
	}}
	// No mux: it would clean the paths that we want to see.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" {
			socket.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Server", "app/1")
		w.Header().Set("Strict-Transport-Security", "max-age=1")
		for _, line := range r.Header["X-Set"] {
			w.Header().Add("Set-Cookie", line)
		}
		if to := r.Header.Get("X-Go"); to != "" {
			w.Header().Set("Location", strings.ReplaceAll(to, "SELF", r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()))
			w.WriteHeader(http.StatusFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"uri": r.RequestURI, "method": r.Method, "host": r.Host, "header": r.Header, "body": string(body)})
	})
}

type mirrored struct {
	URI, Method, Host, Body string
	Header                  http.Header
}

func mirrorSite(t testing.TB, change ...func(*setup)) *site {
	t.Helper()
	d := newFakeDriver()
	d.handler = mirror()
	return newSite(t, append([]func(*setup){func(set *setup) { set.driver = d }}, change...)...)
}

// client talks to the site's server by whatever host.
func (s *site) client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", s.server.Listener.Addr().String())
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// reply is an answer whose body was read.
type reply struct{ *http.Response }

// ask sends a request as a person whom the proxy in front names.
func (s *site) ask(method, target, who string, body io.Reader, headers ...string) (reply, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, target, body)
	noError(s.t, err)
	if who != "" {
		req.Header.Set("userid", who)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header[headers[i]] = append(req.Header[headers[i]], headers[i+1])
	}
	c := s.client()
	defer c.CloseIdleConnections()
	resp, err := c.Do(req)
	noError(s.t, err)
	text, err := io.ReadAll(resp.Body)
	noError(s.t, err)
	noError(s.t, resp.Body.Close())
	return reply{resp}, string(text)
}

// up starts an app and gives its address without a slash.
func (s *site) up(who string, app AppID) (Session, string) {
	s.t.Helper()
	row := s.until(s.launch(s.as(who), app).ID, Running)
	return row, strings.TrimSuffix(s.url(row), "/")
}

const navigate = "Sec-Fetch-Mode"

func TestTheRequestThatTheAppGets(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t, func(set *setup) {
		set.cfg.Catalogue = []App{demo(func(a *App) { a.Identity.Headers = []string{"userid", "X-Lodge-Name", "X-Lodge-App"} })}
	})
	row, at := s.up("ana", "demo")
	resp, text := s.ask("POST", at+"/a%2Fb//c;d?e=%20&f", "ana", strings.NewReader("hello"),
		"Cookie", "a=1; lodge_session=x;  b=2;__Host-lodge-app=y; lodge-app=z", "User_Id", "evil", "X_Lodge_Name", "evil", "X-Lodge-App", "evil", "x-lodge-roles", "admin",
		"Oidc_claim_sub", "evil", "OIDC-Access-Token", "evil", "Remote-User", "evil", "X-Forwarded-User", "evil", "X-Auth-Request-Email", "evil",
		"X-Forwarded-For", "1.2.3.4", "Forwarded", "for=1.2.3.4", "X-Real-Ip", "1.2.3.4", "Connection", "x-lodge-app, userid", "X-Mine", "kept")
	equal(t, resp.StatusCode, 200)
	var got mirrored
	noError(t, json.Unmarshal([]byte(text), &got))
	equal(t, got.URI, "/a%2Fb//c;d?e=%20&f")
	equal(t, got.Method, "POST")
	equal(t, got.Body, "hello")
	equal(t, got.Host, strings.TrimPrefix(at, "http://"))
	equal(t, got.Header.Get("Userid"), "ana")
	equal(t, got.Header.Get("X-Lodge-Name"), "ana")
	equal(t, got.Header.Get("X-Lodge-App"), "demo")
	equal(t, got.Header.Get("X-Mine"), "kept")
	equal(t, got.Header.Get("Cookie"), "a=1;  b=2")
	equal(t, got.Header.Get("X-Forwarded-For"), "127.0.0.1")
	equal(t, got.Header.Get("X-Forwarded-Proto"), "http")
	equal(t, got.Header.Get("X-Forwarded-Host"), strings.TrimPrefix(at, "http://"))
	equal(t, got.Header.Get("X-Request-Id"), resp.Header.Get("X-Request-Id"))
	if strings.Contains(text, "evil") || strings.Contains(text, "1.2.3.4") || strings.Contains(text, "admin") || strings.Contains(strings.ToLower(text), "lodge-app=") {
		t.Errorf("what the client says about itself reached the app: %s", text)
	}
	for _, name := range []string{"Server", "Strict-Transport-Security"} {
		equal(t, resp.Header.Get(name), "")
	}
	if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "frame-ancestors") {
		t.Error("the app may be framed by anybody")
	}
	noError(t, s.waitActive(row.ID))
}

// An app that asks for it is told by a token who calls, which anybody can verify with Lodge's public
// key, which lets nobody in, and which no client can send itself.
func TestTheAppIsAssured(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t, func(set *setup) {
		set.cfg.Catalogue = []App{demo(func(a *App) { a.Identity.Assertion = true }), demo(func(a *App) { a.ID = "plain" })}
	})
	_, at := s.up("ana", "demo")
	told := func(at string) string {
		resp, text := s.ask("GET", at+"/", "ana", nil, "X-Lodge-Assertion", "evil", "x_lodge_assertion", "evil")
		equal(t, resp.StatusCode, 200)
		var got mirrored
		noError(t, json.Unmarshal([]byte(text), &got))
		if strings.Contains(text, "evil") {
			t.Errorf("the client's own word reached the app: %s", text)
		}
		return got.Header.Get("X-Lodge-Assertion")
	}
	text := told(at)
	equal(t, told(at), text) // signed once
	signed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	noError(t, err)
	var claims struct {
		jwt.Claims
		Name string `json:"name"`
		IDP  string `json:"idp"`
	}
	noError(t, signed.Claims(testRSA().Public(), &claims))
	noError(t, claims.Validate(jwt.Expected{Issuer: s.cfg.PublicURL, Subject: "ana", AnyAudience: jwt.Audience{"demo"}}))
	equal(t, claims.Name+" of "+claims.IDP, "ana of header:userid")
	equal(t, claims.Expiry.Time().Sub(claims.IssuedAt.Time()), time.Minute)
	if resp, _ := s.ask("GET", s.cfg.PublicURL+"/api/v1/app-sessions", "", nil, "Authorization", "Bearer "+text); resp.StatusCode != 401 {
		t.Errorf("it let somebody in: %d", resp.StatusCode)
	}
	_, at = s.up("ana", "plain")
	equal(t, told(at), "")
}

// waitActive reports whether a use was seen.
func (s *site) waitActive(id string) error {
	if s.tracker.of(id).active.Load() == 0 {
		return fmt.Errorf("no use of %s was seen", id)
	}
	return nil
}

func TestForwardedFromATrustedProxy(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t, func(set *setup) { set.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	_, at := s.up("ana", "demo")
	_, text := s.ask("GET", at+"/", "ana", nil, "X-Forwarded-For", "203.0.113.5")
	var got mirrored
	noError(t, json.Unmarshal([]byte(text), &got))
	equal(t, got.Header.Get("X-Forwarded-For"), "203.0.113.5, 127.0.0.1")
}

func TestTheAnswerThatTheBrowserGets(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t, func(set *setup) {
		set.cfg.Catalogue = []App{demo(func(a *App) {
			a.Responses = ResponseHeader{Set: map[string]string{"X-Frame": "no"}, Remove: []string{"X-Gone"}}
		})}
	})
	_, at := s.up("ana", "demo")
	resp, _ := s.ask("GET", at+"/", "ana", nil, "X-Set", "a=1; Path=/", "X-Set", "b=2; Domain=apps.localhost", "X-Set", "__Host-lodge-app=x; Path=/", "X-Set", "lodge_session=x", "X-Set", "c=3; Domain=.localhost")
	equal(t, strings.Join(resp.Header["Set-Cookie"], "|"), "a=1; Path=/")
	equal(t, resp.Header.Get("X-Frame"), "no")
	for to, want := range map[string]string{"http://SELF/x?y=1": at + "/x?y=1", "/z": "/z", "https://example.org/": "https://example.org/", at + "/here": at + "/here"} {
		resp, _ := s.ask("GET", at+"/", "ana", nil, "X-Go", to)
		equal(t, resp.Header.Get("Location"), want)
	}
}

// Whatever ben tries at ana's app, he gets what a missing one gets.
func TestAnothersApp(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t)
	row, at := s.up("ana", "demo")
	s.as("ben")
	for _, path := range []string{"/", "/.lodge/events", "/.lodge/state", "/ws"} {
		for _, mode := range []string{"navigate", "cors"} {
			foreign, one := s.ask("GET", at+path, "ben", nil, navigate, mode, "Sec-Fetch-Dest", "document")
			none, other := s.ask("GET", strings.Replace(at, "demo--ana", "demo--nobody", 1)+path, "ben", nil, navigate, mode, "Sec-Fetch-Dest", "document")
			equal(t, foreign.StatusCode, 404)
			equal(t, none.StatusCode, 404)
			equal(t, scrub(one), scrub(other))
			equal(t, fmt.Sprint(len(foreign.Header)), fmt.Sprint(len(none.Header)))
		}
	}
	for _, path := range []string{"", "/events", "/logs", "/stats"} {
		foreign, one := s.ask("GET", s.public.String()+"/api/v1/app-sessions/"+row.ID+path, "ben", nil)
		none, other := s.ask("GET", s.public.String()+"/api/v1/app-sessions/"+uuid.NewString()+path, "ben", nil)
		equal(t, foreign.StatusCode, 404)
		equal(t, none.StatusCode, 404)
		equal(t, scrub(one), scrub(other))
	}
	// A forged host, two of them, or a path of another's decide nothing.
	resp, _ := s.ask("GET", at+"/", "ben", nil, "X-Forwarded-Host", "demo--ben.apps.localhost")
	equal(t, resp.StatusCode, 404)
	resp, _ = s.ask("GET", at+"/", "", nil)
	equal(t, resp.StatusCode, 401)
}

// scrub takes out what is new in every answer.
func scrub(text string) string {
	var out []string
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \"'<>;", r) }) {
		if len(part) != 26 && !strings.HasPrefix(part, "nonce-") {
			out = append(out, part)
		}
	}
	return strings.Join(out, " ")
}

func TestOpenAny(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t)
	row, at := s.up("ana", "demo")
	ctx := s.as("boss")
	s.permit("support", OpenAny, DefaultGroup)
	_, err := s.db.Exec(t.Context(), "INSERT INTO user_roles (user_id, role) VALUES (?, 'support')", access.CallerFrom(ctx).UserID)
	noError(t, err)
	s.permit("touch", OpenAny, "elsewhere") // any change makes the others be read again
	// A browser is shown whose it is before it opens.
	boss, _ := s.login("boss")
	page := []string{navigate, "navigate", "Sec-Fetch-Dest", "document"}
	resp, _ := s.ask("GET", at+"/", "", nil, page...)
	resp, text := s.ask("GET", resp.Header.Get("Location"), "", nil, append(page, "Cookie", boss)...)
	equal(t, resp.StatusCode, 200)
	link := regexp.MustCompile(`href="(/auth/app[^"]+)"`).FindStringSubmatch(text)
	if link == nil || !strings.Contains(text, "ana is told") {
		t.Fatalf("the way in shows %s", text)
	}
	recorded := func() int {
		return s.count("SELECT COUNT(*) FROM audit_records WHERE action = 'apps.open-any' AND outcome = 'allowed'")
	}
	equal(t, recorded(), 0)
	resp, _ = s.ask("GET", s.public.String()+html.UnescapeString(link[1]), "", nil, append(page, "Cookie", boss)...)
	if to := resp.Header.Get("Location"); !strings.HasPrefix(to, at+"/.lodge/enter?code=") {
		t.Errorf("led to %q", to)
	}

	// What they do there is on record once a minute, and the owner is told.
	changed, end := s.news.listen(row.ID)
	defer end()
	for range 2 {
		resp, _ = s.ask("GET", at+"/", "boss", nil)
		equal(t, resp.StatusCode, 200)
	}
	equal(t, recorded(), 1)
	select {
	case <-changed:
	default:
		t.Error("nobody who looks is told of a change")
	}
	_, text = s.ask("GET", s.public.String()+"/api/v1/app-sessions/"+row.ID, "ana", nil)
	if !strings.Contains(text, `"visitor":{"name":"boss","at":"20`) {
		t.Errorf("the owner reads %s", text)
	}
	// Another start leaves it there.
	resp, _ = s.ask("POST", s.public.String()+"/api/v1/app-sessions/"+row.ID+"/restart", "ana", nil)
	equal(t, resp.StatusCode, 202)
	_, text = s.ask("GET", s.public.String()+"/api/v1/app-sessions/"+row.ID, "ana", nil)
	if !strings.Contains(text, `"visitor":{"name":"boss"`) {
		t.Errorf("after a restart the owner reads %s", text)
	}
}

func TestWhatTheStatesAnswer(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t)
	owner := s.as("ana")
	_, err := s.store.ensureOwner(t.Context(), func() Owner { o, _ := ownerOf(access.CallerFrom(owner)); return o }(), s.now())
	noError(t, err)
	at := "http://" + s.withPort("demo--ana.apps.localhost")
	page := func() (reply, string) {
		return s.ask("GET", at+"/deep?x=1", "ana", nil, navigate, "navigate", "Sec-Fetch-Dest", "document")
	}
	// Absent: a page with a button; programs and pictures start nothing.
	resp, text := page()
	equal(t, resp.StatusCode, 200)
	if !strings.Contains(text, "is not running") || !strings.Contains(text, `/.lodge/start?next=%2Fdeep%3Fx%3D1`) {
		t.Errorf("no way to start it: %s", text)
	}
	resp, text = s.ask("GET", at+"/api", "ana", nil, navigate, "cors")
	equal(t, resp.StatusCode, 503)
	if !strings.Contains(text, "app_not_running") || resp.Header.Get("Retry-After") == "" {
		t.Errorf("programs are not told: %s", text)
	}
	equal(t, s.count("SELECT COUNT(*) FROM app_sessions"), 0)
	resp, _ = s.ask("POST", at+"/.lodge/start", "ana", nil, "Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site")
	if resp.StatusCode != 403 && resp.StatusCode != 401 {
		t.Errorf("another site pressed the button: %d", resp.StatusCode)
	}
	// The button: a page that says how it goes, then the app.
	gate := make(chan struct{})
	s.driver.with(func() { s.driver.slow = gate })
	resp, _ = s.ask("POST", at+"/.lodge/start?next=%2Fdeep%3Fx%3D1", "ana", nil)
	equal(t, resp.StatusCode, 303)
	equal(t, resp.Header.Get("Location"), "/deep?x=1")
	resp, text = page()
	equal(t, resp.StatusCode, 200)
	equal(t, resp.Header.Get("Cache-Control"), "no-store")
	if !strings.Contains(text, "Starting demo") || !strings.Contains(text, "http-equiv=\"refresh\"") {
		t.Errorf("no progress: %s", text)
	}
	// A request of a program is held, and comes to the app once, whole.
	type result struct {
		status int
		text   string
	}
	held := make(chan result, 1)
	go func() {
		resp, text := s.ask("POST", at+"/save", "ana", strings.NewReader("precious"), navigate, "cors")
		held <- result{resp.StatusCode, text}
	}()
	row, err := s.store.sessionOf(t.Context(), s.db, access.CallerFrom(owner).UserID, "demo", "")
	noError(t, err)
	eventually(t, "the request is held", func() bool { return s.tracker.of(row.ID).held.Load() == 1 })
	close(gate)
	got := <-held
	equal(t, got.status, 200)
	if !strings.Contains(got.text, `"body":"precious"`) {
		t.Errorf("the body was lost: %s", got.text)
	}
	resp, text = page()
	equal(t, resp.StatusCode, 200)
	if !strings.Contains(text, `"uri":"/deep?x=1"`) {
		t.Errorf("not the app: %s", text)
	}
	// A death: the next page says so.
	s.driver.die(t, row.ID)
	s.until(row.ID, Failed)
	resp, text = page()
	if !strings.Contains(text, "has failed") || !strings.Contains(text, "started demo run 1") || !strings.Contains(text, "Try again") {
		t.Errorf("a failure is not shown: %s", text)
	}
	equal(t, resp.StatusCode, 200)
	resp, text = s.ask("GET", at+"/api", "ana", nil, navigate, "cors")
	equal(t, resp.StatusCode, 503)
	if !strings.Contains(text, `"code":"app_failed"`) || !strings.Contains(text, `"cause":"crashed"`) {
		t.Errorf("programs are not told: %s", text)
	}
}

// Every page that refuses something says who can help; the others do not make people ask.
func TestWhoCanHelp(t *testing.T) {
	t.Parallel()
	const help = "Who can help: ask &lt;Maria&gt; in room 12."
	s := mirrorSite(t, func(set *setup) {
		set.cfg.Contact = "ask <Maria> in room 12"
		set.cfg.Limits.SessionsPerUser = 1
		set.cfg.Catalogue = []App{demo(), demo(func(a *App) { a.ID = "other" }), demo(func(a *App) { a.ID, a.Image = "broken", "broken" })}
	})
	row, at := s.up("ana", "demo")
	page := func(target, who string) string {
		t.Helper()
		_, text := s.ask("GET", target, who, nil, navigate, "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html")
		return text
	}
	owner, err := s.store.owner(t.Context(), s.store.db, row.OwnerID)
	noError(t, err)
	host := func(app AppID) string {
		return s.public.Scheme + "://" + s.withPort(hostLabel(app, owner.Slug, "")+"."+s.cfg.HostSuffix)
	}
	_, limit := s.ask("POST", host("other")+ownPath+"start", "ana", nil, navigate, "navigate", "Accept", "text/html", "Origin", host("other"))
	_, foreign := s.ask("POST", host("other")+ownPath+"start", "ana", nil, navigate, "navigate", "Accept", "text/html", "Origin", "https://evil.example", "Sec-Fetch-Site", "")
	for name, text := range map[string]string{
		"another's app": page(at+"/", "ben"), "no such app": page(strings.Replace(at, "demo--", "none--", 1)+"/", "ana"),
		"a limit": limit, "another site's form": foreign, "an odd way in": page(s.cfg.PublicURL+"/open/nothing", "ana"),
	} {
		if !strings.Contains(text, help) {
			t.Errorf("%s: nobody says who can help: %s", name, text)
		}
	}
	if text := page(host("other")+"/", "ana"); !strings.Contains(text, "is not running") || strings.Contains(text, "Who can help") {
		t.Errorf("an app that is not running refuses nothing: %s", text)
	}
	eventually(t, "the watch has begun", func() bool {
		s.driver.mu.Lock()
		defer s.driver.mu.Unlock()
		return len(s.driver.watchers) > 0
	})
	s.driver.die(t, row.ID)
	s.until(row.ID, Failed)
	if text := page(at+"/", "ana"); !strings.Contains(text, help) {
		t.Errorf("an app that failed: %s", text)
	}
}

func TestAHoldEnds(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t, func(set *setup) { set.cfg.Hold = 20 * time.Millisecond })
	s.driver.with(func() { s.driver.slow = make(chan struct{}) })
	row := s.until(s.launch(s.as("ana"), "demo").ID, Starting)
	resp, text := s.ask("GET", strings.TrimSuffix(s.url(row), "/")+"/api", "ana", nil)
	equal(t, resp.StatusCode, 503)
	if !strings.Contains(text, "app_starting") {
		t.Error(text)
	}
}

func TestEventsOfAStart(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t)
	gate := make(chan struct{})
	s.driver.with(func() { s.driver.slow = gate })
	row := s.until(s.launch(s.as("ana"), "demo").ID, Starting)
	go func() {
		<-time.After(50 * time.Millisecond)
		close(gate)
	}()
	_, text := s.ask("GET", s.public.String()+"/api/v1/app-sessions/"+row.ID+"/events", "ana", nil)
	var last Progress
	var ids []string
	for _, line := range strings.Split(text, "\n") {
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			ids = append(ids, id)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			was, at := last.Progress, last.At
			last = Progress{}
			noError(t, json.Unmarshal([]byte(data), &last))
			if last.Progress < was {
				t.Errorf("the bar went back from %d to %d", was, last.Progress)
			}
			if last.At.Before(at) && last.Position == 0 {
				t.Errorf("an event of %v came after one of %v", last.At, at)
			}
		}
	}
	if !last.Ready || last.URL != s.url(row) || last.Progress != 100 {
		t.Errorf("the last event is %+v in:\n%s", last, text)
	}
	_, again := s.ask("GET", s.public.String()+"/api/v1/app-sessions/"+row.ID+"/events", "ana", nil, "Last-Event-ID", ids[len(ids)-2])
	if n := strings.Count(again, "data: "); n != 1 {
		t.Errorf("whoever comes back gets %d events, want 1: %s", n, again)
	}
}

// dialSocket opens a WebSocket as a browser would.
func (s *site) dialSocket(at, who, origin string) (net.Conn, *bufio.Reader, int) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	noError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nuserid: %s\r\nOrigin: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
		strings.TrimPrefix(at, "http://"), who, origin)
	noError(s.t, err)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	noError(s.t, err)
	noError(s.t, resp.Body.Close()) // what follows an upgrade is no body
	return conn, r, resp.StatusCode
}

// frame is a masked frame from a browser.
func frame(opcode byte, text string) []byte {
	out := []byte{0x80 | opcode, 0x80 | byte(len(text)), 1, 2, 3, 4}
	for i, c := range []byte(text) {
		out = append(out, c^[]byte{1, 2, 3, 4}[i%4])
	}
	return out
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t)
	row, at := s.up("ana", "demo")
	if _, _, status := s.dialSocket(at, "ana", "http://evil.example"); status != 403 {
		t.Errorf("a foreign origin: %d", status)
	}
	if _, _, status := s.dialSocket(at, "ben", at); status != 404 {
		t.Errorf("another person: %d", status)
	}
	conn, r, status := s.dialSocket(at, "ana", at)
	equal(t, status, 101)
	l := s.tracker.of(row.ID)
	say := func(b []byte) {
		t.Helper()
		_, err := conn.Write(b)
		noError(t, err)
	}
	hear := func(n int) string {
		t.Helper()
		buf := make([]byte, n)
		_, err := io.ReadFull(r, buf)
		noError(t, err)
		return string(buf)
	}
	before := l.active.Load()
	say(frame(9, "hi")) // a ping is no use of the app
	equal(t, hear(4), "\x8a\x02hi")
	say(frame(1, "2")) // nor is what socket.io sends by itself
	equal(t, hear(8), "\x81\x06echo 2")
	equal(t, l.active.Load(), before)
	say(frame(1, "x")[:3])
	say(frame(1, "x")[3:])
	equal(t, hear(8), "\x81\x06echo x")
	if l.active.Load() <= before {
		t.Error("typing is no use")
	}
	equal(t, l.count(), 1)
	_, err := s.StopSession(s.as("ana"), row.ID, false)
	noError(t, err)
	noError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	rest, err := io.ReadAll(r)
	noError(t, err)
	if len(rest) > 0 && string(rest) != "\x88\x02\x03\xe9" {
		t.Errorf("at the end came %q", rest)
	}
	eventually(t, "it is forgotten", func() bool { return l.count() == 0 })
}

func TestAForgottenSocketEndsWithTheAccount(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t)
	row, at := s.up("ana", "demo")
	conn, r, status := s.dialSocket(at, "ana", at)
	equal(t, status, 101)
	s.setDisabled(row.OwnerID)
	noError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	rest, err := io.ReadAll(r)
	noError(t, err)
	equal(t, string(rest), "\x88\x02\x03\xe9")
}

func TestStreams(t *testing.T) {
	t.Parallel()
	var cancelled atomic.Bool
	d := newFakeDriver()
	d.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/sse":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: first\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			cancelled.Store(true)
		case "/both":
			_ = http.NewResponseController(w).EnableFullDuplex()
			w.WriteHeader(200)
			buf := make([]byte, 5)
			for {
				n, err := r.Body.Read(buf)
				_, _ = w.Write(buf[:n])
				_ = http.NewResponseController(w).Flush()
				if err != nil {
					w.Header().Set(http.TrailerPrefix+"X-Sum", "done")
					return
				}
			}
		case "/big":
			for range 4000 {
				w.Header().Add("X-Much", strings.Repeat("x", 1000))
			}
		}
	})
	s := newSite(t, func(set *setup) { set.driver = d })
	_, at := s.up("ana", "demo")
	client := s.client()
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", at+"/sse", nil)
	noError(t, err)
	req.Header.Set("userid", "ana")
	resp, err := client.Do(req)
	noError(t, err)
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	noError(t, err)
	equal(t, line, "data: first\n")
	cancel()
	_ = resp.Body.Close()
	eventually(t, "the app hears that the client went away", cancelled.Load)

	pr, pw := io.Pipe()
	req, err = http.NewRequestWithContext(t.Context(), "POST", at+"/both", pr)
	noError(t, err)
	req.Header.Set("userid", "ana")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	go func() { _, _ = io.WriteString(pw, "hello") }()
	resp, err = client.Do(req)
	noError(t, err)
	buf := make([]byte, 5)
	_, err = io.ReadFull(resp.Body, buf)
	noError(t, err)
	equal(t, string(buf), "hello")
	noError(t, pw.Close())
	_, err = io.ReadAll(resp.Body)
	noError(t, err)
	_ = resp.Body.Close()
	equal(t, resp.Trailer.Get("X-Sum"), "done")

	big, _ := s.ask("GET", at+"/big", "ana", nil)
	equal(t, big.StatusCode, 502)
}

// login makes a browser's session as a login at a provider would.
func (s *site) login(who string) (cookie, id string) {
	s.t.Helper()
	c := access.CallerFrom(s.as(who))
	value := uuid.NewString()
	sum := sha256.Sum256([]byte(value))
	id = uuid.UUID(sum[:16]).String()
	now := time.Now().UnixMicro()
	_, err := s.db.Exec(s.t.Context(), "INSERT INTO sessions (id, secret_hash, user_id, claims, user_agent, address, created_at, seen_at, expires_at) VALUES (?, ?, ?, '{}', '', '', ?, ?, ?)",
		id, hex.EncodeToString(sum[:]), c.UserID, now, now, now+3600e6)
	noError(s.t, err)
	return "lodge_session=" + value, id
}

func TestTheHandOver(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t)
	_, at := s.up("ana", "demo")
	_, bens := s.up("ben", "demo")
	main, loginID := s.login("ana")
	page := []string{navigate, "navigate", "Sec-Fetch-Dest", "document"}
	cookieOf := func(r reply, name string) string {
		for _, c := range r.Cookies() {
			if c.Name == name && c.MaxAge >= 0 {
				if !c.HttpOnly || c.Domain != "" || c.Path != "/" {
					t.Errorf("the cookie %s is not for this host alone: %+v", name, c)
				}
				return c.Name + "=" + c.Value
			}
		}
		return ""
	}
	// begin leads a browser from an app's host to the code.
	begin := func(host string) (state, enter string) {
		t.Helper()
		resp, _ := s.ask("GET", host+"/deep?x=%2F1", "", nil, page...)
		equal(t, resp.StatusCode, 302)
		state = cookieOf(resp, "lodge-app-state")
		to := resp.Header.Get("Location")
		if !strings.HasPrefix(to, s.public.String()+"/auth/app?") {
			t.Fatalf("led to %s", to)
		}
		if resp, _ := s.ask("GET", to, "", nil, page...); !strings.HasPrefix(resp.Header.Get("Location"), "/auth/login?next=%2Fauth%2Fapp") {
			t.Errorf("without a login: %d %s", resp.StatusCode, resp.Header.Get("Location"))
		}
		resp, _ = s.ask("GET", to, "", nil, append(page, "Cookie", main)...)
		return state, resp.Header.Get("Location")
	}
	_, enter := begin(at)
	if !strings.HasPrefix(enter, at+"/.lodge/enter?code=") {
		t.Fatalf("led to %s", enter)
	}
	resp, _ := s.ask("GET", enter, "", nil, append(page, "Cookie", "lodge-app-state=another")...)
	equal(t, resp.StatusCode, 403)
	state, fresh := begin(at)
	resp, _ = s.ask("GET", fresh, "", nil, append(page, "Cookie", state)...)
	equal(t, resp.StatusCode, 303)
	equal(t, resp.Header.Get("Location"), "/deep?x=%2F1")
	pass := cookieOf(resp, "lodge-app")
	again, _ := s.ask("GET", fresh, "", nil, append(page, "Cookie", state)...)
	equal(t, again.StatusCode, 403)
	_, elsewhere := begin(at)
	resp, _ = s.ask("GET", strings.Replace(elsewhere, at, bens, 1), "", nil, append(page, "Cookie", state)...)
	equal(t, resp.StatusCode, 403)
	// The way in to another's app leads nowhere.
	if _, to := begin(bens); to != "" {
		t.Errorf("the way to ben's app leads on to %s", to)
	}
	resp, text := s.ask("GET", at+"/", "", nil, "Cookie", pass)
	equal(t, resp.StatusCode, 200)
	if strings.Contains(text, "lodge-app") {
		t.Error("the app sees the pass")
	}
	resp, _ = s.ask("GET", bens+"/", "", nil, "Cookie", pass)
	equal(t, resp.StatusCode, 401)
	// Lodge's own cookie opens nothing on an app's host.
	resp, _ = s.ask("GET", at+"/", "", nil, "Cookie", main)
	equal(t, resp.StatusCode, 401)
	// Another of ana's apps, by a script with her cookies: the browser says where it comes from.
	resp, _ = s.ask("POST", at+"/", "", strings.NewReader("x"), "Cookie", pass, "Origin", bens)
	equal(t, resp.StatusCode, 403)
	// The login ends, and everything with it.
	noError(t, s.identity.RevokeSession(s.as("ana"), loginID))
	resp, _ = s.ask("GET", at+"/", "", nil, "Cookie", pass)
	equal(t, resp.StatusCode, 401)
}

// A program with a token calls its own app directly; neither token nor another app's own reach it
// unless the entry says so.
func TestTokens(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t, func(set *setup) {
		set.cfg.Catalogue = []App{
			demo(),
			demo(func(a *App) { a.ID, a.Identity.PassAuthorization = "passing", true }),
			demo(func(a *App) { a.ID, a.Identity.PassAuthorization, a.Trusted = "trusted", true, true }),
		}
	})
	root := access.WithCaller(t.Context(), &access.Caller{Name: "root", Admin: true})
	token, secret, err := s.identity.CreateToken(root, identity.TokenRequest{Name: "robot"})
	noError(t, err)
	as := access.WithCaller(t.Context(), &access.Caller{Issuer: "lodge", Subject: "token:" + token.ID, Name: "robot", Credential: access.Credential{Kind: "token", ID: token.ID}})
	for app, passes := range map[AppID]bool{"demo": false, "passing": false, "trusted": true} {
		row := s.until(s.launch(as, app).ID, Running)
		at := strings.TrimSuffix(s.url(row), "/")
		resp, text := s.ask("POST", at+"/x", "", strings.NewReader("hi"), "Authorization", "Bearer "+secret.Reveal())
		equal(t, resp.StatusCode, 200)
		equal(t, strings.Contains(text, secret.Reveal()), passes)
		resp, _ = s.ask("GET", at+"/", "", nil, "Authorization", "Bearer nonsense")
		equal(t, resp.StatusCode, 401)
	}
	_, at := s.up("ana", "passing")
	main, _ := s.login("ana")
	sealed, err := s.seal(appPass{Login: sessionID(main), User: access.CallerFrom(s.as("ana")).UserID, Host: "passing--ana", Until: time.Now().Add(time.Hour).Unix()})
	noError(t, err)
	for header, passes := range map[string]bool{"token abc": true, "Bearer the-apps-own": true, "Bearer " + secret.Reveal(): false} {
		resp, text := s.ask("GET", at+"/", "", nil, "Cookie", "lodge-app="+sealed, "Authorization", header)
		equal(t, resp.StatusCode, 200)
		equal(t, strings.Contains(text, header), passes)
	}
	// A pass that somebody wrote by themselves, or that is for another host, is none.
	for _, pass := range []string{"lodge-app=AAAA", "lodge-app=" + sealed + "x", "lodge-app=" + sealed + "; lodge-app=" + sealed} {
		resp, _ := s.ask("GET", at+"/", "", nil, "Cookie", pass)
		equal(t, resp.StatusCode, 401)
	}
}

// sessionID is the id of the session that a cookie stands for.
func sessionID(cookie string) string {
	sum := sha256.Sum256([]byte(strings.TrimPrefix(cookie, "lodge_session=")))
	return uuid.UUID(sum[:16]).String()
}

func TestOpenLeadsEverybodyToTheirOwn(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t)
	for path, want := range map[string]string{"/notebooks/x.ipynb": "/notebooks/x.ipynb", "//evil.example": "/", "/\\evil": "/", "https:evil": "/", "": "/"} {
		resp, _ := s.ask("GET", s.public.String()+"/open/demo?path="+url.QueryEscape(path), "ana", nil)
		equal(t, resp.StatusCode, 303)
		equal(t, resp.Header.Get("Location"), "http://"+s.withPort("demo--ana.apps.localhost")+want)
	}
}

func TestPathMode(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t, func(set *setup) {
		set.cfg.Routing = ByPath
		set.cfg.Catalogue = []App{demo(func(a *App) { a.Trusted, a.Autostart = true, true }), demo(func(a *App) { a.ID = "wild" }), demo(func(a *App) { a.ID, a.Trusted, a.BasePath = "bare", true, "/" })}
	})
	s.up("ana", "demo")
	s.up("ana", "bare")
	base := s.public.String() + "/apps/"
	_, text := s.ask("GET", base+"demo/a%2Fb?x", "ana", nil, "X-Set", "a=1; Path=/", "X-Set", "b=2")
	if !strings.Contains(text, `"uri":"/apps/demo/a%2Fb?x"`) {
		t.Error(text)
	}
	resp, text := s.ask("GET", base+"bare/a%2Fb?x", "ana", nil, "X-Set", "a=1; Path=/sub", "X-Set", "b=2")
	if !strings.Contains(text, `"uri":"/a%2Fb?x"`) || !strings.Contains(text, `"X-Forwarded-Prefix":["/apps/bare"]`) {
		t.Error(text)
	}
	equal(t, strings.Join(resp.Header["Set-Cookie"], "|"), "a=1; Path=/apps/bare/sub|b=2; Path=/apps/bare/")
	resp, _ = s.ask("GET", base+"bare/", "ana", nil, "X-Go", "/login")
	equal(t, resp.Header.Get("Location"), "/apps/bare/login")
	resp, text = s.ask("GET", base+"wild/", "ana", nil, navigate, "navigate", "Sec-Fetch-Dest", "document")
	equal(t, resp.StatusCode, 404)
	if !strings.Contains(text, "trusted") {
		t.Error(text)
	}
	resp, _ = s.ask("GET", base+"demo/%2e%2e/%2e%2e/api", "ana", nil)
	equal(t, resp.StatusCode, 400)
	resp, _ = s.ask("GET", base+"demo", "ana", nil)
	equal(t, resp.Header.Get("Location"), "/apps/demo/")
	resp, _ = s.ask("GET", base+"demo/", "ben", nil, navigate, "navigate", "Sec-Fetch-Dest", "document")
	equal(t, resp.StatusCode, 200)
	equal(t, s.count("SELECT COUNT(*) FROM app_sessions WHERE app = 'demo'"), 2)
}

func TestAloneAsServiceHub(t *testing.T) {
	t.Parallel()
	hub, err := ParseServiceHub([]byte("[image]\nname=echoheaders\n[session]\nlifetime=3600\n"))
	noError(t, err)
	s := mirrorSite(t, func(set *setup) {
		set.cfg.Routing, set.cfg.Catalogue, set.cfg.DefaultApp = Alone, hub.Apps, hub.Apps[0].ID
	})
	at := s.public.String()
	resp, _ := s.ask("GET", at+"/", "", nil, "Accept", "text/html")
	equal(t, resp.StatusCode, 401)
	_, alive := s.ask("GET", at+"/alive", "", nil)
	equal(t, alive, "ok\n")
	resp, text := s.ask("GET", at+"/x", "42@issuer.example.org", nil, "Accept", "text/html", "Sec-Fetch-Site", "")
	equal(t, resp.StatusCode, 200)
	if !strings.Contains(text, "Starting echoheaders") {
		t.Error(text)
	}
	eventually(t, "the headers come", func() bool {
		_, text = s.ask("GET", at+"/x", "42@issuer.example.org", nil, "Accept", "text/html", "Sec-Fetch-Site", "")
		return strings.Contains(text, `"Userid":["42@issuer.example.org"]`)
	})
}

func TestAPI(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t, func(set *setup) {
		set.cfg.Catalogue = []App{demo(func(a *App) {
			a.Named = 1
			a.Options = []Option{{ID: "size", Type: "choice", Default: "small", Choices: map[string]Resources{"small": {}, "large": {CPU: 2}}}}
		})}
	})
	at := s.public.String() + "/api/v1"
	post := func(path, who, body string, want int) string {
		t.Helper()
		resp, text := s.ask("POST", at+path, who, strings.NewReader(body), "Content-Type", "application/json")
		if resp.StatusCode != want {
			t.Fatalf("%s: %d, want %d: %s", path, resp.StatusCode, want, text)
		}
		return text
	}
	get := func(path, who string, want int) string {
		t.Helper()
		resp, text := s.ask("GET", at+path, who, nil)
		if resp.StatusCode != want {
			t.Fatalf("%s: %d, want %d: %s", path, resp.StatusCode, want, text)
		}
		return text
	}
	var row SessionInfo
	noError(t, json.Unmarshal([]byte(post("/apps/demo/sessions", "ana", `{"options":{"size":"large"}}`, 202)), &row))
	equal(t, row.Resources.CPU, 2)
	s.until(row.ID, Running)
	post("/apps/demo/sessions", "ana", ``, 200)
	post("/apps/nothing/sessions", "ana", `{}`, 404)
	for _, body := range []string{`{"options":{"size":"huge"}}`, `{"options":{"image":"x"}}`, `{"name":"../x"}`} {
		post("/apps/demo/sessions", "ben", body, 422)
	}
	post("/apps/demo/sessions", "ana", `{"name":"second"}`, 202)
	if text := post("/apps/demo/sessions", "ana", `{"name":"third"}`, 429); !strings.Contains(text, "limit named") {
		t.Error(text)
	}
	var one SessionInfo
	noError(t, json.Unmarshal([]byte(get("/app-sessions/"+row.ID, "ana", 200)), &one))
	equal(t, one.URL, "http://"+s.withPort("demo--ana.apps.localhost")+"/")
	equal(t, one.ExpiresWhy, "idle")
	equal(t, one.Address, "")
	var list httpapi.Page[SessionInfo]
	noError(t, json.Unmarshal([]byte(get("/app-sessions", "ana", 200)), &list))
	equal(t, list.Total, 2)
	noError(t, json.Unmarshal([]byte(get("/app-sessions?user=*", "ben", 200)), &list))
	equal(t, len(list.Items), 0)
	var apps AppList
	noError(t, json.Unmarshal([]byte(get("/apps", "ana", 200)), &apps))
	equal(t, len(apps.Items), 1)
	equal(t, len(apps.Items[0].Sessions), 2)
	equal(t, apps.Items[0].CanLaunch, true)
	if text := get("/app-sessions/"+row.ID+"/logs", "ana", 200); !strings.Contains(text, "started demo") {
		t.Error(text)
	}
	get("/app-capacity", "ana", 200)
	equal(t, one.Extend.Step, 3600)
	equal(t, one.Extend.Left, 4*3600)
	equal(t, one.Extend.Soon, false)
	equal(t, apps.Items[0].Allow.Everyone, true)
	equal(t, apps.Items[0].Options[0].Choices[1], ChoiceInfo{"large", ResourceInfo{CPU: 2}})
	get("/app-drivers", "ana", 403)
	post("/app-sessions/"+row.ID+"/extend", "ana", `{}`, 200)
	post("/app-sessions/"+row.ID+"/activity", "ana", fmt.Sprintf(`{"last_activity":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339)), 422)
	post("/app-sessions/"+row.ID+"/activity", "ana", fmt.Sprintf(`{"last_activity":%q}`, time.Now().Format(time.RFC3339)), 204)
	resp, _ := s.ask("DELETE", at+"/app-sessions/"+row.ID+"?forget=true", "ana", nil)
	equal(t, resp.StatusCode, 204)
	get("/app-sessions/"+row.ID, "ana", 404)
}

func TestCatalogueByAPI(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t)
	s.permit("keeper", Admin, "lab")
	keeper := s.as("kim", "keeper")
	parse := func(text string) App {
		a, err := ParseApp([]byte(text))
		noError(t, err)
		return a
	}
	plain := parse(`{"id":"lab","image":"x","group":"lab","allow":{"users":["*"]}}`)
	one, created, err := s.PutApp(keeper, plain, 0)
	noError(t, err)
	equal(t, created, true)
	if _, _, err := s.PutApp(keeper, plain, 0); !errors.Is(err, errChanged) {
		t.Errorf("written over unseen: %v", err)
	}
	row := s.until(s.launch(s.as("ana"), "lab").ID, Running)
	plain.Description = "new"
	one, _, err = s.PutApp(keeper, plain, one.Version)
	noError(t, err)
	equal(t, one.Version, 2)
	equal(t, s.info(s.as("ana"), row).RestartNeeded, true)
	for name, text := range map[string]string{
		"another group": `{"id":"lab","image":"x","group":"other"}`, "trusted": `{"id":"lab","image":"x","group":"lab","trusted":true}`,
		"the machine's folders": `{"id":"lab","image":"x","group":"lab","volumes":[{"name":"v","path":"/v","source":"/etc"}]}`,
		"processes":             `{"id":"lab","command":["x"],"driver":"process","group":"lab"}`,
	} {
		if _, _, err := s.PutApp(keeper, parse(text), -1); err == nil {
			t.Errorf("%s: somebody with a group alone may", name)
		}
	}
	if _, _, err := s.PutApp(s.admin(), demo(), -1); err == nil {
		t.Error("the configuration's entry was changed")
	}
	noError(t, s.DeleteApp(keeper, "lab"))
	_, _, err = s.Launch(s.as("ben"), Request{App: "lab"})
	equal(t, errors.Is(err, errHidden), true)
}

// A dry run says what is wrong with an entry, all of it and at its keys, and changes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	s := mirrorSite(t)
	s.permit("keeper", Admin, "lab")
	member := s.as("kim")
	noError(t, s.access.GiveRole(access.WithCaller(t.Context(), &access.Caller{Name: "test", Admin: true}), access.CallerFrom(member).UserID, "keeper"))
	for name, row := range map[string]struct {
		body  string
		who   string
		want  int
		wants []string
	}{
		"right":             {`{"id":"lab","image":"x","group":"lab"}`, "kim", 200, []string{`"group":"lab"`, `"roles":[]`}},
		"wrong kinds":       {`{"id":"lab","image":"x","group":"lab","port":"many","resources":{"cpu":"two"},"idle_timeout":"soon","nonsense":{"a":1},"security":{"privileged":true},"volumes":[{"name":"a","path":"/a"},{"name":"b","path":"/b","size":"big"}]}`, "kim", 422, []string{`["body","volumes[1]","size"]`, `["body","port"]`, "is no number", `["body","resources","cpu"]`, `["body","idle_timeout"]`, `["body","nonsense"],"type":"invalid","message":"an app has no such key"`, `["body","security","privileged"]`}},
		"wrong values":      {`{"id":"lab","group":"lab","volumes":[{"name":"V","path":"x"}]}`, "kim", 422, []string{`["body","image"]`, `["body","volumes[0]","name"]`, `["body","volumes[0]","path"]`}},
		"no such driver":    {`{"id":"lab","image":"x","group":"lab","driver":"steam"}`, "kim", 422, []string{`["body","driver"]`}},
		"no object":         {`[]`, "kim", 422, []string{`["body"]`}},
		"another group":     {`{"id":"lab","image":"x","group":"other"}`, "kim", 403, nil},
		"the configuration": {`{"id":"demo","image":"x","group":"lab"}`, "kim", 422, []string{"is not the one in the address"}},
		"nobody's":          {`{"id":"lab","image":"x","group":"lab"}`, "ben", 403, nil},
	} {
		resp, text := s.ask("PUT", s.public.String()+"/api/v1/apps/lab?dry_run=true", row.who, strings.NewReader(row.body), "Content-Type", "application/json")
		if resp.StatusCode != row.want {
			t.Errorf("%s: %d, want %d: %s", name, resp.StatusCode, row.want, text)
		}
		for _, part := range row.wants {
			if !strings.Contains(text, part) {
				t.Errorf("%s: %s is not in %s", name, part, text)
			}
		}
	}
	equal(t, s.count("SELECT COUNT(*) FROM app_entries"), 0)
}

func TestFrames(t *testing.T) {
	t.Parallel()
	type seen struct {
		opcode byte
		size   uint64
		text   string
	}
	var got []seen
	f := &frames{done: func(op byte, _ bool, size uint64, small []byte) { got = append(got, seen{op, size, string(small)}) }}
	var stream []byte
	stream = append(stream, frame(1, "hello")...)
	stream = append(stream, 0x82, 126, 0x01, 0x00)
	stream = append(stream, make([]byte, 256)...)
	stream = append(stream, 0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0)
	stream = append(stream, make([]byte, 65536)...)
	stream = append(stream, frame(9, "")...)
	for _, piece := range []int{1, 7, len(stream)} {
		got = nil
		for at := 0; at < len(stream); at += piece {
			f.feed(stream[at:min(at+piece, len(stream))])
		}
		equal(t, fmt.Sprint(got), "[{1 5 hello} {2 256 } {2 65536 } {9 0 }]")
		equal(t, f.boundary(), true)
	}
}

// FuzzFrames: whatever a browser sends, following it neither fails nor keeps much.
func FuzzFrames(f *testing.F) {
	f.Add(frame(1, "x"), 3)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		piece = max(1, piece%64)
		var a, b int
		one := &frames{done: func(byte, bool, uint64, []byte) { a++ }}
		two := &frames{done: func(byte, bool, uint64, []byte) { b++ }}
		one.feed(stream)
		for at := 0; at < len(stream); at += piece {
			two.feed(stream[at:min(at+piece, len(stream))])
		}
		if a != b || cap(two.small) > 64 {
			t.Errorf("%d and %d frames, %d bytes kept", a, b, cap(two.small))
		}
	})
}

func TestCookiesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a=1; b=2": "a=1; b=2", "lodge_session=x": "", "a=1;lodge-app=x;b=2": "a=1;b=2", "__Host-lodge_session=x; a=\"q;\"": "a=\"q;\"",
		"lodger=1": "lodger=1", "A=1;  __Secure-LODGE=x;B=2": "A=1;B=2", "": "",
	} {
		h := http.Header{"Cookie": {in}}
		cleanCookies(h)
		equal(t, h.Get("Cookie"), want)
	}
}

func TestLocalPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{"/": true, "/a?b=//c": true, "//x": false, "/\\x": false, "https:x": false, "": false, "/%2F/x": false, "/%5Cx": false, "/a\nb": false} {
		equal(t, localPath(path), want)
	}
}
