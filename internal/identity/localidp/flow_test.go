package localidp_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/oauth2"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
	"lodge/internal/identity/localidp"
)

// site is Lodge's platform with its provider, on a real address.
type site struct {
	url      string
	provider *localidp.Provider
	identity *identity.Service
	access   *access.Service
	db       *database.DB
	log      *syncBuffer
	move     func(time.Duration)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const password = "correct horse battery"

// sharedKey is the site's key, made once: it takes longest.
var sharedKey = sync.OnceValues(func() (keys struct{ seal ed25519.PrivateKey }, err error) {
	_, keys.seal, err = ed25519.GenerateKey(rand.Reader)
	return keys, err
})

func newSite(t testing.TB, change ...func(*localidp.Config)) *site {
	t.Helper()
	var mu sync.Mutex
	at := time.Now() // and there it stands, unless moved
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}
	s := &site{log: &syncBuffer{}, db: databasetest.SQLite(t), move: func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		at = at.Add(d)
	}}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	s.url = server.URL

	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := sharedKey()
	must(err)
	journal := audit.New(s.db, nil, keys.seal, now, log)
	s.access = access.New(s.db, nil, func(ctx context.Context, tx *database.Tx, action, object, detail string) error {
		return journal.Record(ctx, tx, audit.Entry{Action: action, Group: "site", Object: object, Detail: detail})
	}, []access.ActionInfo{{Action: "users.read", Help: "h", Part: "platform"}}, now, log)
	cfg := localidp.Config{PublicURL: s.url, HashCost: bcrypt.MinCost}
	for _, fn := range change {
		fn(&cfg)
	}
	s.provider, err = localidp.New(t.Context(), cfg, s.db, identity.NewLimiter(now), now, log)
	must(err)
	key, err := identity.LoadKey(t.Context(), s.db, now)
	must(err)
	s.identity, err = identity.New(identity.Config{PublicURL: s.url, Issuers: []identity.Issuer{s.provider.Issuer()}}, s.db, nil, s.access, journal, key, now, log)
	must(err)
	edge := httpapi.New(httpapi.Config{PublicURL: s.url}, s.identity, log, now, prometheus.NewRegistry())
	must(edge.Mount(httpapi.Mount{Name: "platform", Title: "t", Version: "1", Routes: s.identity.Routes()}))
	edge.Handle(localidp.Path+"/", s.provider.Handler())
	edge.Handle("/ui/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the console") }))
	handler = edge.Handler()
	_, err = s.provider.AddUser(t.Context(), "alice", "", password)
	must(err)
	return s
}

// browser is somebody with a browser: cookies are kept, redirects followed.
type browser struct {
	t      testing.TB
	site   *site
	client *http.Client
	// seen is every address that the browser was sent to.
	seen []string
}

type shown struct {
	*http.Response
	body string
}

func (s *site) browser(t testing.TB) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, site: s}
	b.client = &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		b.seen = append(b.seen, r.URL.String())
		if len(via) > 10 {
			return fmt.Errorf("round in a circle: %v", b.seen)
		}
		return nil
	}}
	return b
}

func (b *browser) do(r *http.Request) shown {
	b.t.Helper()
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return shown{resp, string(body)}
}

func (b *browser) get(address string) shown {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.site.url + address
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

var (
	formAction = regexp.MustCompile(`<form method="post"(?: action="([^"]*)")?>`)
	hidden     = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// submit fills in the form of a page.
func (b *browser) submit(p shown, fields map[string]string) shown {
	b.t.Helper()
	m := formAction.FindStringSubmatch(p.body)
	if m == nil {
		b.t.Fatalf("%s %s has no form: %s", p.Status, p.Request.URL, p.body)
	}
	target, err := p.Request.URL.Parse(html.UnescapeString(m[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	if m[1] == "" {
		target = p.Request.URL
	}
	form := url.Values{}
	for _, h := range hidden.FindAllStringSubmatch(p.body, -1) {
		form.Set(h[1], html.UnescapeString(h[2]))
	}
	for k, v := range fields {
		form.Set(k, v)
	}
	return b.post(target.String(), form)
}

func (b *browser) post(address string, form url.Values) shown {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

func (b *browser) login(next string) shown {
	b.t.Helper()
	page := b.get("/auth/login?next=" + url.QueryEscape(next))
	return b.submit(page, map[string]string{"login": "alice", "password": password})
}

func (b *browser) me() (identity.Me, int) {
	b.t.Helper()
	p := b.get("/api/v1/me")
	var me identity.Me
	if p.StatusCode == http.StatusOK {
		if err := json.Unmarshal([]byte(p.body), &me); err != nil {
			b.t.Fatal(err)
		}
	}
	return me, p.StatusCode
}

func (b *browser) cookie(name string) string {
	u, _ := url.Parse(b.site.url)
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func TestBrowserLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser(t)
	if _, status := b.me(); status != http.StatusUnauthorized {
		t.Fatalf("before the login: %d", status)
	}
	page := b.get("/auth/login?next=/ui/results%3Ftag%3Dx")
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, `<label for="login">User name</label>`) || !strings.Contains(page.body, "<title>Lodge</title>") {
		t.Fatalf("the login page: %d %s", page.StatusCode, page.body)
	}
	wrong := b.submit(page, map[string]string{"login": "alice", "password": "wrong"})
	unknown := b.submit(page, map[string]string{"login": "nobody", "password": "wrong"})
	if wrong.StatusCode != http.StatusUnauthorized || !strings.Contains(wrong.body, "not right") || strings.ReplaceAll(wrong.body, "alice", "nobody") != unknown.body {
		t.Errorf("a wrong password: %d %s", wrong.StatusCode, wrong.body)
	}
	in := b.submit(wrong, map[string]string{"login": "Alice", "password": password})
	if in.StatusCode != http.StatusOK || in.body != "the console" || in.Request.URL.RequestURI() != "/ui/results?tag=x" {
		t.Fatalf("after the login: %d at %s: %s", in.StatusCode, in.Request.URL, in.body)
	}
	me, _ := b.me()
	if me.Name != "alice" || me.Admin || me.Credential.Kind != "session" || me.Issuer != localidp.UserIssuer || len(me.Actions) != 0 {
		t.Errorf("me: %+v", me)
	}
	// Log out: this browser is out, and the cookie that somebody copied is worth nothing.
	copied := b.cookie("lodge_session")
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/auth/logout", http.NoBody)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if out := b.do(r); out.StatusCode != http.StatusOK || out.body != `{"location":"/"}` {
		t.Errorf("logout: %d %s", out.StatusCode, out.body)
	}
	if _, status := b.me(); status != http.StatusUnauthorized || b.cookie("lodge_session") != "" {
		t.Errorf("after the logout: %d", status)
	}
	other := s.browser(t)
	u, _ := url.Parse(s.url)
	other.client.Jar.SetCookies(u, []*http.Cookie{{Name: "lodge_session", Value: copied}})
	if _, status := other.me(); status != http.StatusUnauthorized {
		t.Errorf("with a copied cookie after the logout: %d", status)
	}
	// The provider remembers nobody: the next login asks again.
	if page := b.get("/auth/login"); !strings.Contains(page.body, `id="password"`) {
		t.Errorf("no password asked: %s", page.body)
	}
}

// TestPagesHoldTheirPolicy: no script, no inline style, nothing from elsewhere.
func TestPagesHoldTheirPolicy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser(t)
	login := b.get("/auth/login")
	pages := []shown{login, b.submit(login, map[string]string{"login": "x", "password": "y"}), b.get("/idp/device?user_code=ABCD-EFGH"), b.get("/idp/auth?client_id=what"), b.get("/auth/callback?state=x")}
	for _, p := range pages {
		policy := p.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", p.Request.URL.Path, policy)
		}
		for _, bad := range []string{"<script", "style=", "<style", "javascript:", "onclick", "onload"} {
			if strings.Contains(p.body, bad) {
				t.Errorf("%s holds %s", p.Request.URL.Path, bad)
			}
		}
		for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(p.body, -1) {
			at, err := p.Request.URL.Parse(html.UnescapeString(m[1]))
			if err != nil || !strings.HasPrefix(at.String(), s.url+"/") {
				t.Errorf("%s refers to %s", p.Request.URL.Path, m[1])
				continue
			}
			if strings.HasPrefix(at.Path, "/idp/theme/") || strings.HasPrefix(at.Path, "/auth/page/") {
				if got := b.get(at.String()); got.StatusCode != http.StatusOK {
					t.Errorf("%s: %d", at, got.StatusCode)
				}
			}
		}
		if p.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", p.Request.URL.Path)
		}
	}
	for _, path := range []string{"/idp", "/idp/", "/idp/healthz", "/idp/theme/", "/idp/logout", "/idp/mfa/totp", "/idp/static/README", "/idp/auth/github", "/idp/api"} {
		if p := b.get(path); p.StatusCode < 400 {
			t.Errorf("%s is served: %d", path, p.StatusCode)
		}
	}
}

// TestSeveralTabs: several logins under way in one browser all arrive, each where it wanted to.
func TestSeveralTabs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser(t)
	one, two := b.get("/auth/login?next=/ui/one"), b.get("/auth/login?next=/ui/two")
	if in := b.submit(two, map[string]string{"login": "alice", "password": password}); in.Request.URL.Path != "/ui/two" {
		t.Errorf("the second tab arrived at %s: %s", in.Request.URL, in.body)
	}
	if in := b.submit(one, map[string]string{"login": "alice", "password": password}); in.Request.URL.Path != "/ui/one" {
		t.Errorf("the first tab arrived at %s: %s", in.Request.URL, in.body)
	}
	for range 20 {
		b.get("/auth/login")
	}
	u, _ := url.Parse(s.url)
	n := 0
	for _, c := range b.client.Jar.Cookies(u) {
		if strings.HasPrefix(c.Name, "lodge_login_") {
			n++
		}
	}
	if n > 5 {
		t.Errorf("%d logins under way", n)
	}
}

// stop makes the browser stop before the callback, and gives its address.
func (b *browser) stopAtCallback(next string) string {
	b.t.Helper()
	page := b.get("/auth/login?next=" + url.QueryEscape(next))
	follow := b.client.CheckRedirect
	b.client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Path == "/auth/callback" || r.URL.Hostname() == "127.0.0.1" && r.URL.Path == "/done" {
			return http.ErrUseLastResponse
		}
		return follow(r, via)
	}
	defer func() { b.client.CheckRedirect = follow }()
	p := b.submit(page, map[string]string{"login": "alice", "password": password})
	return p.Header.Get("Location")
}

// TestCodeReuse is the class "OIDC code stolen or reused".
func TestCodeReuse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	t.Run("in another browser", func(t *testing.T) {
		victim, thief := s.browser(t), s.browser(t)
		at := victim.stopAtCallback("/ui/")
		if p := thief.get(at); p.StatusCode != http.StatusBadRequest {
			t.Errorf("the thief: %d %s", p.StatusCode, p.body)
		}
		if _, status := thief.me(); status != http.StatusUnauthorized {
			t.Error("the thief is in")
		}
		if p := victim.get(at); p.Request.URL.Path != "/ui/" {
			t.Errorf("the victim: %d %s", p.StatusCode, p.body)
		}
		if p := victim.get(at); p.StatusCode != http.StatusBadRequest {
			t.Errorf("a second time: %d", p.StatusCode)
		}
	})
	t.Run("an attacker's code for the victim", func(t *testing.T) {
		victim, attacker := s.browser(t), s.browser(t)
		theirs, err := url.Parse(attacker.stopAtCallback("/ui/"))
		if err != nil {
			t.Fatal(err)
		}
		ours, err := url.Parse(victim.stopAtCallback("/ui/"))
		if err != nil {
			t.Fatal(err)
		}
		q := ours.Query()
		q.Set("code", theirs.Query().Get("code")) // our state, their code: PKCE and nonce differ
		ours.RawQuery = q.Encode()
		if p := victim.get(ours.String()); p.StatusCode != http.StatusForbidden {
			t.Errorf("got %d %s", p.StatusCode, p.body)
		}
		if _, status := victim.me(); status != http.StatusUnauthorized {
			t.Error("the victim is in as the attacker")
		}
	})
	t.Run("under race", func(t *testing.T) {
		b := s.browser(t)
		at := b.stopAtCallback("/ui/")
		var all sync.WaitGroup
		var in, out int
		var mu sync.Mutex
		for range 20 {
			all.Go(func() {
				r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, at, http.NoBody)
				c := &http.Client{Jar: b.client.Jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				u, _ := url.Parse(at)
				for _, cookie := range b.client.Jar.Cookies(u) {
					r.AddCookie(cookie)
				}
				c.Jar = nil
				resp, err := c.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
				mu.Lock()
				defer mu.Unlock()
				if resp.StatusCode == http.StatusSeeOther {
					in++
				} else {
					out++
				}
			})
		}
		all.Wait()
		if in != 1 || out != 19 {
			t.Errorf("%d times in, %d times out", in, out)
		}
	})
	t.Run("too late", func(t *testing.T) {
		b := s.browser(t)
		at := b.stopAtCallback("/ui/")
		s.move(16 * time.Minute)
		if p := b.get(at); p.StatusCode != http.StatusBadRequest {
			t.Errorf("got %d", p.StatusCode)
		}
	})
	t.Run("errors of the provider", func(t *testing.T) {
		b := s.browser(t)
		at, _ := url.Parse(b.stopAtCallback("/ui/"))
		p := b.get("/auth/callback?error=%3Cscript%3Ex&state=" + at.Query().Get("state"))
		if p.StatusCode != http.StatusForbidden || strings.Contains(p.body, "<script>") {
			t.Errorf("got %d %s", p.StatusCode, p.body)
		}
	})
}

// TestCodeAtTheTokenEndpoint: codes belong to their client, their redirect and their verifier, once.
func TestCodeAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser(t)
	verifier := oauth2.GenerateVerifier()
	oauth := oauth2.Config{
		ClientID: localidp.CLIClient, RedirectURL: "http://127.0.0.1:1/done", Scopes: []string{"openid", "profile", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: s.url + "/idp/auth", TokenURL: s.url + "/idp/token", AuthStyle: oauth2.AuthStyleInParams},
	}
	code := func() string {
		t.Helper()
		follow := b.client.CheckRedirect
		b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if r.URL.Path == "/done" {
				return http.ErrUseLastResponse
			}
			return nil
		}
		defer func() { b.client.CheckRedirect = follow }()
		page := b.submit(b.get(oauth.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier))), map[string]string{"login": "alice", "password": password})
		if !strings.Contains(page.body, "May the lodge command line act for you?") {
			t.Fatalf("no consent asked: %s", page.body)
		}
		p := b.submit(page, map[string]string{"approval": "approve"})
		at, err := url.Parse(p.Header.Get("Location"))
		if err != nil || at.Query().Get("code") == "" {
			t.Fatalf("no code: %d %s %s", p.StatusCode, p.Header.Get("Location"), p.body)
		}
		return at.Query().Get("code")
	}
	c := code()
	if _, err := oauth.Exchange(t.Context(), c); err == nil {
		t.Error("exchanged without verifier")
	}
	if _, err := oauth.Exchange(t.Context(), c, oauth2.VerifierOption(oauth2.GenerateVerifier())); err == nil {
		t.Error("exchanged with another verifier")
	}
	other := oauth
	other.ClientID = localidp.ConsoleClient
	if _, err := other.Exchange(t.Context(), c, oauth2.VerifierOption(verifier)); err == nil {
		t.Error("exchanged by another client")
	}
	elsewhere := oauth
	elsewhere.RedirectURL = "http://127.0.0.1:2/done"
	if _, err := elsewhere.Exchange(t.Context(), c, oauth2.VerifierOption(verifier)); err == nil {
		t.Error("exchanged for another redirect")
	}
	token, err := oauth.Exchange(t.Context(), c, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oauth.Exchange(t.Context(), c, oauth2.VerifierOption(verifier)); err == nil {
		t.Error("exchanged twice")
	}
	if me := s.bearer(t, token.AccessToken); me.Name != "alice" || me.Credential.Kind != "bearer" {
		t.Errorf("me: %+v", me)
	}
	// Under race a code is good for one.
	c = code()
	var all sync.WaitGroup
	good := make(chan *oauth2.Token, 10)
	for range 10 {
		all.Go(func() {
			if token, err := oauth.Exchange(t.Context(), c, oauth2.VerifierOption(verifier)); err == nil {
				good <- token
			}
		})
	}
	all.Wait()
	if len(good) != 1 {
		t.Errorf("one code gave %d tokens", len(good))
	}
	// Logins that go round PKCE, or elsewhere.
	for name, change := range map[string]url.Values{
		"without PKCE":        {"code_challenge": nil, "code_challenge_method": nil},
		"plain PKCE":          {"code_challenge_method": {"plain"}},
		"another host":        {"redirect_uri": {"http://evil.test/done"}},
		"a host like ours":    {"redirect_uri": {"http://127.0.0.1.evil.test/done"}},
		"https":               {"redirect_uri": {"https://127.0.0.1/done"}},
		"out of band":         {"redirect_uri": {"urn:ietf:wg:oauth:2.0:oob"}},
		"implicit":            {"response_type": {"token"}},
		"id_token":            {"response_type": {"id_token"}},
		"the console's, away": {"client_id": {localidp.ConsoleClient}},
	} {
		at, _ := url.Parse(oauth.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)))
		q := at.Query()
		for k, v := range change {
			q[k] = v
		}
		at.RawQuery = q.Encode()
		nowhere := s.browser(t)
		nowhere.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if !strings.HasPrefix(r.URL.String(), s.url+"/idp/") {
				return http.ErrUseLastResponse
			}
			return nil
		}
		if p := nowhere.get(at.String()); strings.Contains(p.body, `id="password"`) {
			t.Errorf("%s: the login page is shown", name)
		}
	}
}

// bearer asks who a token is.
func (s *site) bearer(t testing.TB, token string) identity.Me {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/v1/me", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var me identity.Me
	if resp.StatusCode == http.StatusOK {
		if err := json.NewDecoder(resp.Body).Decode(&me); err != nil {
			t.Fatal(err)
		}
	}
	return me
}

func TestGuessingAtTheLoginPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser(t)
	page := b.get("/auth/login")
	for _, name := range []string{"alice", "nobody"} {
		var last shown
		for range 6 {
			last = b.submit(page, map[string]string{"login": name, "password": "wrong"})
		}
		if last.StatusCode != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" || !strings.Contains(last.body, "Too many tries") {
			t.Errorf("%s: %d %s", name, last.StatusCode, last.body)
		}
		if p := b.submit(page, map[string]string{"login": name, "password": password}); p.StatusCode != http.StatusTooManyRequests {
			t.Errorf("%s: the right password was looked at: %d", name, p.StatusCode)
		}
	}
	s.move(time.Minute)
	if in := b.login("/ui/"); in.Request.URL.Path != "/ui/" {
		t.Errorf("alice herself, later: %d %s", in.StatusCode, in.body)
	}
	code := b.get("/idp/device")
	var last shown
	for range 7 {
		last = b.submit(code, map[string]string{"user_code": "AAAA-AAAA"})
	}
	if last.StatusCode != http.StatusTooManyRequests {
		t.Errorf("device codes: %d", last.StatusCode)
	}
}

func TestPasswordGrantIsOffUnlessConfigured(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		s := newSite(t, func(c *localidp.Config) { c.PasswordGrant = on })
		oauth := oauth2.Config{
			ClientID: localidp.CLIClient, Scopes: []string{"openid", "profile"},
			Endpoint: oauth2.Endpoint{TokenURL: s.url + "/idp/token", AuthStyle: oauth2.AuthStyleInParams},
		}
		token, err := oauth.PasswordCredentialsToken(t.Context(), "alice", password)
		if on != (err == nil) {
			t.Fatalf("configured %v: %v", on, err)
		}
		if on && s.bearer(t, token.AccessToken).Name != "alice" {
			t.Error("the token is not alice's")
		}
		for range 5 {
			_, _ = oauth.PasswordCredentialsToken(t.Context(), "alice", "wrong")
		}
		if _, err := oauth.PasswordCredentialsToken(t.Context(), "alice", password); err == nil {
			t.Error("guessing goes on")
		}
	}
}

// TestOpenRedirectAtTheDoor: whatever next says, the browser stays here.
func TestOpenRedirectAtTheDoor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, next := range []string{"//evil.test", "https://evil.test/", `/\evil.test`, "/%2f%2fevil.test", "\t//evil.test", "/ui/../..//evil.test"} {
		b := s.browser(t)
		b.login(next)
		for _, at := range b.seen {
			if !strings.HasPrefix(at, s.url+"/") {
				t.Errorf("next=%q led to %s", next, at)
			}
		}
	}
	// Another Host leads to the public address, and nowhere else.
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/auth/login?next=/ui/", http.NoBody)
	r.Host = "evil.test"
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if at := resp.Header.Get("Location"); at != s.url+"/auth/login?next=%2Fui%2F" || len(resp.Cookies()) != 0 {
		t.Errorf("leads to %q", at)
	}
}

// TestNoSecretLeaks: what was secret in a login stands in no log, answer, address or row.
func TestNoSecretLeaks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const canary = "canary-in-the-coal-mine"
	if _, err := s.provider.SetPassword(t.Context(), "alice", canary); err != nil {
		t.Fatal(err)
	}
	b := s.browser(t)
	page := b.get("/auth/login")
	b.submit(page, map[string]string{"login": canary, "password": canary}) // typed into the wrong field
	b.submit(page, map[string]string{"login": "alice", "password": canary})
	session := b.cookie("lodge_session")
	if session == "" {
		t.Fatal("not logged in")
	}
	admin := access.WithCaller(t.Context(), &access.Caller{Name: "test", Subject: "test", Admin: true})
	_, jwt, err := s.identity.CreateToken(admin, identity.TokenRequest{Name: "robot"})
	if err != nil {
		t.Fatal(err)
	}
	s.bearer(t, jwt.Reveal())
	s.bearer(t, jwt.Reveal()+"x")
	var dump strings.Builder
	dump.WriteString(s.log.String())
	for _, query := range []string{
		"SELECT detail || object || caller || credential FROM audit_records", "SELECT claims || secret_hash || id FROM sessions",
		"SELECT claims || roles || id FROM tokens", "SELECT body FROM idp_records WHERE kind <> 'keys'",
	} {
		rows, err := s.db.Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				t.Fatal(err)
			}
			dump.WriteString(text + "\n")
		}
		_ = rows.Close()
	}
	for name, secret := range map[string]string{
		"the password": canary, "the session": session, "the token": jwt.Reveal(), "the token's signature": jwt.Reveal()[len(jwt.Reveal())-40:],
	} {
		if strings.Contains(dump.String(), secret) {
			t.Errorf("%s leaks", name)
		}
	}
	for _, path := range []string{"/api/v1/me", "/api/v1/sessions", "/api/v1/tokens"} {
		if p := b.get(path); p.StatusCode != http.StatusOK || strings.Contains(p.body, session) || strings.Contains(p.body, canary) {
			t.Errorf("%s: %d %s", path, p.StatusCode, p.body)
		}
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v %s", jwt, jwt, jwt, jwt), jwt.Reveal()) {
		t.Error("the token prints itself")
	}
}

func TestTokensOverHTTP(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	who, err := s.provider.AdminIdentity(t.Context())
	if err != nil || who != "" {
		t.Fatal(who, err)
	}
	b := s.browser(t)
	b.login("/ui/")
	me, _ := b.me()
	if err := s.access.EnsureAdmins(t.Context(), []string{me.Issuer + "|" + me.Subject}); err != nil {
		t.Fatal(err)
	}
	post := func(body string, header map[string]string) shown {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/tokens", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		for k, v := range header {
			r.Header.Set(k, v)
		}
		return b.do(r)
	}
	ours := map[string]string{"Sec-Fetch-Site": "same-origin"}
	if p := post(`{"name":"x"}`, nil); p.StatusCode != http.StatusForbidden {
		t.Errorf("without a sign of where from: %d %s", p.StatusCode, p.body)
	}
	p := post(`{"name":"robot","ttl":"2h","claims":{"project_id":"p"},"admin":true}`, ours)
	var made identity.NewToken
	if err := json.Unmarshal([]byte(p.body), &made); err != nil || p.StatusCode != http.StatusCreated || made.Secret == "" || made.Claims["client_id"] != "robot" {
		t.Fatalf("created: %d %s, %v", p.StatusCode, p.body, err)
	}
	if robot := s.bearer(t, made.Secret); !robot.Admin || robot.Credential.ID != made.ID || len(robot.Actions) != 1 {
		t.Errorf("robot: %+v", robot)
	}
	if p := b.get("/api/v1/tokens?all=true&limit=5"); p.StatusCode != http.StatusOK || strings.Contains(p.body, made.Secret) || !strings.Contains(p.body, `"total":1`) {
		t.Errorf("list: %d %s", p.StatusCode, p.body)
	}
	for _, body := range []string{`{"name":""}`, `{"name":"x","ttl":"soon"}`, `{"name":"x","ttl":"-1h"}`, `{"name":"x","sub":"admin"}`, `{"name":"x","claims":{"sub":"admin"}}`, `[]`, `{`} {
		if p := post(body, ours); p.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, p.StatusCode, p.body)
		}
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.url+"/api/v1/tokens/"+made.ID, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+made.Secret)
	if p := b.do(r); p.StatusCode != http.StatusNoContent {
		t.Errorf("revoked by itself: %d %s", p.StatusCode, p.body)
	}
	if robot := s.bearer(t, made.Secret); robot.Name != "" {
		t.Error("a revoked token works")
	}
	if p := b.get("/.well-known/jwks.json"); p.StatusCode != http.StatusOK || !strings.Contains(p.body, `"kty":"RSA"`) || strings.Contains(p.body, `"d":`) {
		t.Errorf("keys: %d %s", p.StatusCode, p.body)
	}
	var refused int
	if err := s.db.QueryRow(t.Context(), "SELECT COUNT(*) FROM audit_records WHERE outcome = 'denied' AND object LIKE 'POST /api/v1/tokens%'").Scan(&refused); err != nil || refused == 0 {
		t.Errorf("%d refusals in the journal, %v", refused, err)
	}
	if err := s.db.QueryRow(t.Context(), "SELECT COUNT(*) FROM audit_records WHERE action = 'tokens.write' AND outcome = 'allowed'").Scan(&refused); err != nil || refused != 2 {
		t.Errorf("%d changes in the journal, %v", refused, err)
	}
}
