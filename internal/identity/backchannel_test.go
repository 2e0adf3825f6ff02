package identity

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// tell sends a logout token as a provider does, and gives the answer's status.
func (p *otherProvider) tell(t *testing.T, head, changes map[string]any) int {
	t.Helper()
	claims := p.site.clock.claims(map[string]any{
		"iss": p.URL, "aud": "lodge-at-other", "jti": "one", "events": map[string]any{logoutEvent: map[string]any{}}, "preferred_username": nil, "email": nil,
	})
	for name, v := range changes {
		if claims[name] = v; v == nil {
			delete(claims, name)
		}
	}
	header := map[string]any{"kid": "one", "typ": "logout+jwt"}
	for name, v := range head {
		header[name] = v
	}
	return p.tellText(t, sign(t, jose.RS256, testKeys().rsa, header, claims))
}

func (p *otherProvider) tellText(t *testing.T, token string) int {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://lodge.test"+backchannelPath, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	if err := p.site.handleBackchannel(w, r); err != nil {
		t.Fatal(err)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Error("the answer may be kept")
	}
	return w.Code
}

// A provider that says that somebody has logged out ends the login that it names, or all of theirs, and
// nobody else's; whatever is no such word of it ends none.
func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	s, p := newOther(t)
	enter := func(subject, sid string) *http.Cookie {
		p.claims = func(c map[string]any) { c["sub"], c["sid"], c["preferred_username"] = subject, sid, subject }
		cookie := sessionOf(p.arrive(t, nil))
		if cookie == nil || s.by(t, cookie) == nil {
			t.Fatal("nobody is logged in")
		}
		return cookie
	}
	desk, phone, other := enter("ana", "s1"), enter("ana", "s2"), enter("ben", "s3")
	in := func() (list [3]bool) {
		for i, c := range []*http.Cookie{desk, phone, other} {
			list[i] = s.by(t, c) != nil
		}
		return list
	}
	for name, c := range map[string]struct{ head, claims map[string]any }{
		"another issuer":          {nil, map[string]any{"sub": "ana", "iss": "https://evil.test"}},
		"another audience":        {nil, map[string]any{"sub": "ana", "aud": "other"}},
		"expired":                 {nil, map[string]any{"sub": "ana", "exp": 1}},
		"without an end":          {nil, map[string]any{"sub": "ana", "exp": nil}},
		"no event":                {nil, map[string]any{"sub": "ana", "events": nil}},
		"another event":           {nil, map[string]any{"sub": "ana", "events": map[string]any{"other": map[string]any{}}}},
		"an ID token":             {nil, map[string]any{"sub": "ana", "nonce": "x"}},
		"nobody":                  {nil, map[string]any{"sub": nil}},
		"an access token by type": {map[string]any{"typ": "at+jwt"}, map[string]any{"sub": "ana"}},
		"a key of its own choice": {map[string]any{"jku": "https://evil.test"}, map[string]any{"sub": "ana"}},
	} {
		if got := p.tell(t, c.head, c.claims); got != http.StatusBadRequest || in() != [3]bool{true, true, true} {
			t.Errorf("%s: %d, logged in are %v", name, got, in())
		}
	}
	forged := sign(t, jose.RS256, testKeys().other, map[string]any{"kid": "one", "typ": "logout+jwt"}, s.clock.claims(map[string]any{
		"iss": p.URL, "aud": "lodge-at-other", "sub": "ana", "events": map[string]any{logoutEvent: map[string]any{}},
	}))
	for name, token := range map[string]string{"forged": forged, "none": "", "rubbish": "a.b.c", "much": strings.Repeat("x", 2*maxToken)} {
		if got := p.tellText(t, token); got != http.StatusBadRequest || in() != [3]bool{true, true, true} {
			t.Errorf("%s: %d, logged in are %v", name, got, in())
		}
	}
	// The login's id with another's name ends nothing; alone it ends that one.
	if got := p.tell(t, nil, map[string]any{"sub": "ben", "sid": "s1"}); got != http.StatusOK || in() != [3]bool{true, true, true} {
		t.Errorf("ben's s1: %d, logged in are %v", got, in())
	}
	if got := p.tell(t, nil, map[string]any{"sub": nil, "sid": "s1"}); got != http.StatusOK || in() != [3]bool{false, true, true} {
		t.Errorf("s1: %d, logged in are %v", got, in())
	}
	desk = enter("ana", "s4")
	for range 2 { // who is told twice does it once
		if got := p.tell(t, map[string]any{"typ": "JWT"}, map[string]any{"sub": "ana"}); got != http.StatusOK || in() != [3]bool{false, false, true} {
			t.Errorf("ana: %d, logged in are %v", got, in())
		}
	}
}

// A provider that knows ServiceHub's callback sends people there, and they are let in.
func TestServiceHubsCallback(t *testing.T) {
	t.Parallel()
	s, p := newOther(t)
	s.cfg.Callback = servicehubPath
	w := httptest.NewRecorder()
	if err := s.handleLogin(w, httptest.NewRequest(http.MethodGet, "http://lodge.test/auth/login?next=/ui/x", http.NoBody)); err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(w.Header().Get("Location"))
	if err != nil || at.Query().Get("redirect_uri") != "http://lodge.test/redirect_uri" {
		t.Fatalf("sent to %s", at)
	}
	p.nonce = at.Query().Get("nonce")
	r := httptest.NewRequest(http.MethodGet, "http://lodge.test/redirect_uri?code=x&state="+at.Query().Get("state"), http.NoBody)
	for _, c := range w.Result().Cookies() {
		r.AddCookie(c)
	}
	served := false
	for _, route := range s.Routes() {
		if route.Method != http.MethodGet || route.Path != servicehubPath {
			continue
		}
		served = true
		w = httptest.NewRecorder()
		if err := route.Handle(w, r); err != nil {
			t.Fatal(err)
		}
	}
	if !served || w.Header().Get("Location") != "/ui/x" || sessionOf(w) == nil || p.form.Get("redirect_uri") != "http://lodge.test/redirect_uri" {
		t.Errorf("served %v, got %d %v, exchanged %v", served, w.Code, w.Header(), p.form)
	}
}
