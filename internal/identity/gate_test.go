package identity

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"lodge/internal/access"
	"lodge/internal/fault"
)

func headerSite(t *testing.T) *site {
	return newSite(t, Config{TrustedHeader: TrustedHeader{Name: "X-Remote-User", Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::/64")}}})
}

// TestHeaderSmuggling is the class "header smuggling by spelling".
func TestHeaderSmuggling(t *testing.T) {
	t.Parallel()
	s := headerSite(t)
	for name, c := range map[string]struct {
		peer   string
		header http.Header
		want   string // the caller's subject; empty is nobody
		bad    bool
	}{
		"a proxy names alice":            {"10.0.0.5:99", http.Header{"X-Remote-User": {"alice"}}, "alice", false},
		"over IPv6":                      {"[fd00::1%eth0]:99", http.Header{"X-Remote-User": {"alice"}}, "alice", false},
		"IPv4 in IPv6":                   {"[::ffff:10.0.0.5]:99", http.Header{"X-Remote-User": {"alice"}}, "alice", false},
		"a proxy names nobody":           {"10.0.0.5:99", http.Header{"X-Remote-User": {""}}, "", false},
		"a proxy without the header":     {"10.0.0.5:99", http.Header{}, "", false},
		"a stranger":                     {"10.0.1.5:99", http.Header{"X-Remote-User": {"alice"}}, "", false},
		"a stranger on loopback":         {"127.0.0.1:99", http.Header{"X-Remote-User": {"alice"}}, "", false},
		"a stranger forwards":            {"10.0.1.5:99", http.Header{"X-Remote-User": {"alice"}, "X-Forwarded-For": {"10.0.0.5"}, "X-Real-Ip": {"10.0.0.5"}, "Forwarded": {"for=10.0.0.5"}}, "", false},
		"a peer without address":         {"@", http.Header{"X-Remote-User": {"alice"}}, "", false},
		"twice":                          {"10.0.0.5:99", http.Header{"X-Remote-User": {"alice", "admin"}}, "", true},
		"twice the same":                 {"10.0.0.5:99", http.Header{"X-Remote-User": {"alice", "alice"}}, "", true},
		"joined by a comma":              {"10.0.0.5:99", http.Header{"X-Remote-User": {"alice,admin"}}, "", true},
		"an underscore beside it":        {"10.0.0.5:99", http.Header{"X-Remote-User": {"alice"}, "X_remote_user": {"admin"}}, "", true},
		"other case beside it":           {"10.0.0.5:99", http.Header{"X-Remote-User": {"alice"}, "x-remote-user": {"admin"}}, "", true},
		"a dot beside it":                {"10.0.0.5:99", http.Header{"X-Remote-User": {"alice"}, "X.Remote.User": {"admin"}}, "", true},
		"a line feed":                    {"10.0.0.5:99", http.Header{"X-Remote-User": {"alice\nadmin"}}, "", true},
		"too long":                       {"10.0.0.5:99", http.Header{"X-Remote-User": {strings.Repeat("a", 300)}}, "", true},
		"Connection names it":            {"10.0.0.5:99", http.Header{"X-Remote-User": {"alice"}, "Connection": {"X-Remote-User"}}, "alice", false},
		"a bad token does not fall back": {"10.0.0.5:99", http.Header{"X-Remote-User": {"alice"}, "Authorization": {"Bearer x"}}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.RemoteAddr, r.Header = c.peer, c.header
			ctx, err := s.Authenticate(r)
			if (err != nil) != c.bad {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				caller := access.CallerFrom(ctx)
				if c.want == "" && caller != nil || c.want != "" && (caller == nil || caller.Subject != c.want || caller.Issuer != "header:x-remote-user" || caller.Credential.Kind != "header") {
					t.Errorf("got %+v", caller)
				}
			}
			for left := range r.Header {
				if spelling(left) == "x-remote-user" {
					t.Errorf("%s reaches the handlers", left)
				}
			}
		})
	}
}

// TestCrossSite is the class "CSRF": whatever browsers add by themselves needs a sign that it was
// not another site that asked.
func TestCrossSite(t *testing.T) {
	t.Parallel()
	s := newSite(t, Config{})
	cookie := s.loggedIn(t, "alice")
	for name, c := range map[string]struct {
		method string
		header http.Header
		good   bool
	}{
		"our own page":                 {"POST", http.Header{"Sec-Fetch-Site": {"same-origin"}}, true},
		"our own page, older":          {"POST", http.Header{"Origin": {"http://lodge.test"}}, true},
		"no sign, but our header":      {"DELETE", http.Header{"X-Lodge-Csrf": {"1"}}, true},
		"reading from anywhere":        {"GET", http.Header{"Sec-Fetch-Site": {"cross-site"}}, true},
		"a foreign form":               {"POST", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.test"}, "Content-Type": {"application/x-www-form-urlencoded"}}, false},
		"a foreign form, older":        {"POST", http.Header{"Origin": {"https://evil.test"}}, false},
		"a sandboxed frame":            {"POST", http.Header{"Origin": {"null"}}, false},
		"a sibling site":               {"PUT", http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://apps.lodge.test"}}, false},
		"another port":                 {"PATCH", http.Header{"Origin": {"http://lodge.test:81"}}, false},
		"no sign at all":               {"POST", http.Header{}, false},
		"no sign and a wrong header":   {"POST", http.Header{"X-Lodge-Csrf": {"0"}}, false},
		"foreign, with our header":     {"POST", http.Header{"Sec-Fetch-Site": {"cross-site"}, "X-Lodge-Csrf": {"1"}}, false},
		"a WebSocket from our page":    {"GET", http.Header{"Upgrade": {"websocket"}, "Origin": {"http://lodge.test"}}, true},
		"a WebSocket from a foreign":   {"GET", http.Header{"Upgrade": {"WebSocket"}, "Origin": {"https://evil.test"}}, false},
		"a WebSocket from a sibling":   {"GET", http.Header{"Upgrade": {"websocket"}, "Origin": {"http://apps.lodge.test"}, "Sec-Fetch-Site": {"same-site"}}, false},
		"a form with another's method": {"POST", http.Header{"X-Http-Method-Override": {"GET"}, "Origin": {"https://evil.test"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "http://lodge.test/api/v1/tokens", http.NoBody)
			r.Header = c.header
			r.AddCookie(cookie)
			_, err := s.Authenticate(r)
			if c.good != (err == nil) || !c.good && !fault.Is(err, fault.Denied) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a token needs no sign", func(t *testing.T) {
		_, jwt := s.token(t, TokenRequest{})
		r := httptest.NewRequest("POST", "http://lodge.test/", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+jwt)
		r.Header.Set("Origin", "https://evil.test")
		r.AddCookie(cookie)
		ctx, err := s.Authenticate(r)
		if err != nil || access.CallerFrom(ctx).Credential.Kind != "token" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the trusted header", func(t *testing.T) {
		s := headerSite(t)
		r := httptest.NewRequest("POST", "http://lodge.test/", http.NoBody)
		r.RemoteAddr = "10.0.0.5:1"
		r.Header = http.Header{"X-Remote-User": {"alice"}, "Origin": {"https://evil.test"}}
		if _, err := s.Authenticate(r); !fault.Is(err, fault.Denied) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDisabledPersonBehindAProxy(t *testing.T) {
	t.Parallel()
	s := headerSite(t)
	ask := func() (context.Context, error) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr, r.Header = "10.0.0.5:1", http.Header{"X-Remote-User": {"alice"}}
		return s.Authenticate(r)
	}
	ctx, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	if _, err := s.acc.ChangeUser(asAdmin(t.Context()), access.CallerFrom(ctx).UserID, access.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(); !errors.Is(err, ErrBadToken) {
		t.Errorf("got %v", err)
	}
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	s := newSite(t, Config{})
	alice := s.person(t, "alice", "audit.read")
	if err := s.Authorize(t.Context(), "audit.read", "site", false); !fault.Is(err, fault.Unauthenticated) || !errors.Is(err, ErrNobody) {
		t.Errorf("nobody: %v", err)
	}
	if err := s.Authorize(t.Context(), "audit.read", "site", true); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("nobody, in the service: %v", err)
	}
	if err := s.Authorize(t.Context(), "self", "site", false); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("nobody for themselves: %v", err)
	}
	if err := s.Authorize(alice, "audit.read", "site", false); err != nil {
		t.Error(err)
	}
	if err := s.Authorize(alice, "self", "site", false); err != nil {
		t.Error(err)
	}
	if err := s.Authorize(alice, "users.write", "site", true); err != nil {
		t.Errorf("in the service: %v", err)
	}
	err := s.Authorize(alice, "users.write", "site", false)
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Denied || f.Permission != "users.write on site" {
		t.Errorf("alice: %v", err)
	}
}

// Every refusal is in the journal, with what was asked; that of nobody too.
func TestRefusalsAreWrittenDown(t *testing.T) {
	t.Parallel()
	s := newSite(t, Config{})
	ctx, err := s.Authenticate(httptest.NewRequest(http.MethodDelete, "/api/v1/users/7", http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	alice := access.WithCaller(ctx, access.CallerFrom(s.person(t, "alice")))
	_ = s.Authorize(ctx, "self", "site", false) // every browser asks who it is: that is not written down
	_ = s.Authorize(ctx, "users.write", "site", false)
	_ = s.Authorize(alice, "users.write", "site", false)
	if _, err := s.ask(t, "a.bad.token"); err == nil {
		t.Fatal("believed")
	}
	for query, want := range map[string]int{
		"outcome = 'denied'": 3,
		"outcome = 'denied' AND action = 'users.write' AND object = 'DELETE /api/v1/users/7'":                       2,
		"outcome = 'denied' AND caller = 'alice' AND rule = 'no role of the caller has users.write on site'":        1,
		"outcome = 'denied' AND action = 'login' AND object = 'GET /api/v1/me' AND detail NOT LIKE '%a.bad.token%'": 1,
	} {
		var got int
		if err := s.db.QueryRow(t.Context(), "SELECT COUNT(*) FROM audit_records WHERE "+query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %d, %v", query, got, err)
		}
	}
}
