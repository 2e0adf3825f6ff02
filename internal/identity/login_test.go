package identity

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"lodge/internal/access"
)

// otherProvider is a provider elsewhere, whose token endpoint answers what a test wants.
type otherProvider struct {
	*httptest.Server
	claims func(claims map[string]any)
	answer func(w http.ResponseWriter) bool
	nonce  string
	// refresh is given along with the ID token, if there is one.
	refresh string
	form    url.Values
	site    *site
}

func newOther(t *testing.T) (*site, *otherProvider) {
	p := &otherProvider{}
	k := testKeys()
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/auth?tenant=1", "token_endpoint": p.URL + "/token", "end_session_endpoint": p.URL + "/logout",
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public(k.rsa, "one")}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		p.form = r.PostForm
		if p.answer != nil && p.answer(w) {
			return
		}
		claims := p.site.claims(map[string]any{"iss": p.URL, "aud": "lodge-at-other", "nonce": p.nonce})
		if p.claims != nil {
			p.claims(claims)
		}
		w.Header().Set("Content-Type", "application/json")
		given := map[string]any{"access_token": "opaque", "token_type": "Bearer", "id_token": sign(t, jose.RS256, k.rsa, map[string]any{"kid": "one"}, claims)}
		if p.refresh != "" {
			given["refresh_token"] = p.refresh
		}
		_ = json.NewEncoder(w).Encode(given)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	p.site = newSite(t, Config{Issuers: []Issuer{{Issuer: p.URL, ClientID: "lodge-at-other", ClientSecret: "s3cret-of-client", RoleClaim: "groups"}}})
	return p.site, p
}

// arrive logs in up to the provider and comes back with the query; state and nonce are filled in.
func (p *otherProvider) arrive(t *testing.T, query url.Values) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := p.site.handleLogin(w, httptest.NewRequest(http.MethodGet, "http://lodge.test/auth/login?next=/ui/", http.NoBody)); err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(w.Header().Get("Location"))
	if err != nil || !strings.HasPrefix(at.String(), p.URL+"/auth?") {
		t.Fatalf("sent to %q", w.Header().Get("Location"))
	}
	q := at.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("tenant") != "1" || q.Get("redirect_uri") != "http://lodge.test/auth/callback" || len(q.Get("state")) < 40 || len(q.Get("nonce")) < 40 {
		t.Errorf("asked %v", q)
	}
	p.nonce = q.Get("nonce")
	back := url.Values{"code": {"the-code"}, "state": {q.Get("state")}}
	maps.Copy(back, query)
	r := httptest.NewRequest(http.MethodGet, "http://lodge.test/auth/callback?"+back.Encode(), http.NoBody)
	for _, c := range w.Result().Cookies() {
		r.AddCookie(c)
	}
	w = httptest.NewRecorder()
	if err := p.site.handleCallback(w, r); err != nil {
		t.Fatal(err)
	}
	return w
}

func sessionOf(w *httptest.ResponseRecorder) *http.Cookie {
	for _, c := range w.Result().Cookies() {
		if c.Name == "lodge_session" && c.MaxAge > 0 {
			return c
		}
	}
	return nil
}

func TestLoginAtAnotherProvider(t *testing.T) {
	t.Parallel()
	s, p := newOther(t)
	p.claims = func(c map[string]any) { c["groups"] = []string{"lab"} }
	w := p.arrive(t, nil)
	cookie := sessionOf(w)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/ui/" || cookie == nil {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if p.form.Get("code_verifier") == "" || p.form.Get("code") != "the-code" {
		t.Errorf("exchanged %v", p.form)
	}
	c := s.by(t, cookie)
	if c == nil || c.Issuer != p.URL || c.Name != "alice" || len(c.Roles) != 1 || c.Roles[0] != "lab" {
		t.Errorf("got %+v", c)
	}
	// Logging out leads on to the provider, with the ID token as a hint.
	r := httptest.NewRequest(http.MethodPost, "http://lodge.test/auth/logout", http.NoBody)
	r.AddCookie(cookie)
	r.Header.Set("Origin", "http://lodge.test")
	w = httptest.NewRecorder()
	if err := s.handleLogout(w, r); err != nil {
		t.Fatal(err)
	}
	var out LogoutAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(out.Location)
	if err != nil || !strings.HasPrefix(out.Location, p.URL+"/logout?") || strings.Count(at.Query().Get("id_token_hint"), ".") != 2 || at.Query().Get("post_logout_redirect_uri") != "http://lodge.test/" {
		t.Errorf("leads to %q", out.Location)
	}
}

// TestLoginIsNotBelieved: ID tokens and answers that are not for this login, this client, this site.
func TestLoginIsNotBelieved(t *testing.T) {
	t.Parallel()
	set := func(name string, v any) func(p *otherProvider) {
		return func(p *otherProvider) { p.claims = func(c map[string]any) { c[name] = v } }
	}
	for name, c := range map[string]struct {
		change func(p *otherProvider)
		query  url.Values
		status int
	}{
		"another nonce":     {set("nonce", "another"), nil, http.StatusForbidden},
		"another audience":  {set("aud", "other"), nil, http.StatusForbidden},
		"another azp":       {set("azp", "other"), nil, http.StatusForbidden},
		"another issuer":    {set("iss", "https://evil.test"), nil, http.StatusForbidden},
		"expired":           {set("exp", 1), nil, http.StatusForbidden},
		"nobody":            {func(p *otherProvider) { p.claims = func(c map[string]any) { delete(c, "sub") } }, nil, http.StatusForbidden},
		"no ID token":       {answers(200, `{"access_token":"x","token_type":"Bearer"}`), nil, http.StatusForbidden},
		"code refused":      {answers(400, `{"error":"invalid_grant","error_description":"s3cret-of-client"}`), nil, http.StatusForbidden},
		"provider broken":   {answers(500, `oops s3cret-of-client`), nil, http.StatusBadGateway},
		"rubbish":           {answers(200, `<html>`), nil, http.StatusBadGateway},
		"too much":          {answers(200, `{"x":"`+strings.Repeat("x", 2<<20)+`"}`), nil, http.StatusBadGateway},
		"mixed up provider": {func(*otherProvider) {}, url.Values{"iss": {"https://evil.test"}}, http.StatusForbidden},
		"no code":           {func(*otherProvider) {}, url.Values{"code": nil}, http.StatusForbidden},
		"declined":          {func(*otherProvider) {}, url.Values{"error": {"access_denied"}}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := newOther(t)
			c.change(p)
			w := p.arrive(t, c.query)
			if w.Code != c.status || sessionOf(w) != nil || !strings.Contains(w.Body.String(), "Who can help: an administrator") {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if strings.Contains(w.Body.String(), "s3cret") || strings.Contains(s.log.String(), "s3cret") || strings.Contains(s.log.String(), "the-code") {
				t.Error("a secret leaks")
			}
		})
	}
}

func TestDisabledPersonCannotLogIn(t *testing.T) {
	t.Parallel()
	s, p := newOther(t)
	cookie := sessionOf(p.arrive(t, nil))
	c := s.by(t, cookie)
	yes := true
	if _, err := s.acc.ChangeUser(asAdmin(t.Context()), c.UserID, access.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if s.by(t, cookie) != nil {
		t.Error("the session lives on")
	}
	if w := p.arrive(t, nil); w.Code != http.StatusForbidden || sessionOf(w) != nil {
		t.Errorf("got %d", w.Code)
	}
}

func TestLoginWithSeveralProviders(t *testing.T) {
	t.Parallel()
	k := testKeys()
	one, two := newFakeIssuer(t, public(k.rsa, "")), newFakeIssuer(t, public(k.rsa, ""))
	s := newSite(t, Config{Issuers: []Issuer{{Issuer: one.URL, ClientID: "a"}, {Issuer: "https://keys-only.test", JWKSURL: one.URL}, {Issuer: two.URL, ClientID: "b"}}})
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		if err := s.handleLogin(w, httptest.NewRequest(http.MethodGet, "http://lodge.test"+path, http.NoBody)); err != nil {
			t.Fatal(err)
		}
		return w
	}
	if w := ask("/auth/login?next=/ui/x"); w.Code != http.StatusOK || strings.Count(w.Body.String(), `class="button"`) != 2 || !strings.Contains(w.Body.String(), "next=%2Fui%2Fx&amp;provider=1") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := ask("/auth/login?provider=1"); !strings.HasPrefix(w.Header().Get("Location"), two.URL+"/auth?") {
		t.Errorf("sent to %q", w.Header().Get("Location"))
	}
	for _, bad := range []string{"2", "-1", "x", "99999999999999999999"} {
		if w := ask("/auth/login?provider=" + bad); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	one.Close()
	if w := ask("/auth/login?provider=0"); w.Code != http.StatusBadGateway {
		t.Errorf("a provider that is away: %d", w.Code)
	}
	nobody := newSite(t, Config{})
	w := httptest.NewRecorder()
	if err := nobody.handleLogin(w, httptest.NewRequest(http.MethodGet, "http://lodge.test/auth/login", http.NoBody)); err != nil || w.Code != http.StatusNotFound {
		t.Errorf("without a provider: %d, %v", w.Code, err)
	}
}
