package identity

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"lodge/internal/access"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
)

// loggedIn starts a session, as a login does at its end, and gives its cookie.
func (s *site) loggedIn(t testing.TB, name string, cookies ...*http.Cookie) *http.Cookie {
	t.Helper()
	u, err := s.acc.FirstSight(t.Context(), "https://issuer.test", name, name, "")
	if err != nil {
		t.Fatal(err)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/auth/callback", http.NoBody)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	v := &verified{issuer: u.Issuer, subject: name, name: name, roles: []access.Role{"of-token"}, claims: map[string]any{"department": "lab"}}
	token := (&oauth2.Token{}).WithExtra(map[string]any{"id_token": "the-id-token"})
	if err := s.startSession(w, r, u, v, token); err != nil {
		t.Fatal(err)
	}
	return w.Result().Cookies()[0]
}

func (s *site) by(t testing.TB, cookies ...*http.Cookie) *access.Caller {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/api/v1/me", http.NoBody)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	ctx, err := s.Authenticate(r)
	if err != nil {
		t.Fatal(err)
	}
	return access.CallerFrom(ctx)
}

func TestSession(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newSiteOn(t, Config{SessionTTL: 8 * time.Hour, SessionIdle: time.Hour}, db, newClock())
		cookie := s.loggedIn(t, "alice")
		c := s.by(t, cookie)
		if c == nil || c.Subject != "alice" || c.Credential.Kind != "session" || c.Claims["department"] != "lab" || len(c.Roles) != 1 {
			t.Fatalf("got %+v", c)
		}
		var stored string
		if err := db.QueryRow(t.Context(), "SELECT secret_hash || claims || id FROM sessions").Scan(&stored); db.Dialect() == database.SQLite && err != nil {
			t.Fatal(err)
		}
		if strings.Contains(stored, cookie.Value) || strings.Contains(stored, "the-id-token") {
			t.Error("the database holds a secret")
		}
		list, total, err := s.Sessions(access.WithCaller(t.Context(), c), false, "", 10, 0)
		if err != nil || total != 1 || !list[0].Current || list[0].UserName != "alice" {
			t.Errorf("list: %+v, %v", list, err)
		}
		// Idle, and kept alive by use.
		for range 3 {
			s.move(50 * time.Minute)
			if s.by(t, cookie) == nil {
				t.Fatal("ended though in use")
			}
			if err := s.writeTouch(t.Context(), <-s.touched); err != nil {
				t.Fatal(err)
			}
		}
		s.move(time.Hour + time.Second)
		if s.by(t, cookie) != nil {
			t.Error("idle for an hour and still in")
		}
		if _, total, _ := s.Sessions(access.WithCaller(t.Context(), c), false, "", 10, 0); total != 0 {
			t.Error("an idle session is listed")
		}
		// The absolute end comes also when it is in use.
		cookie = s.loggedIn(t, "alice")
		for range 9 {
			s.move(55 * time.Minute)
			s.by(t, cookie)
			select {
			case n := <-s.touched:
				_ = s.writeTouch(t.Context(), n)
			default:
			}
		}
		if s.by(t, cookie) != nil {
			t.Error("in after the absolute end")
		}
		s.move(keepSessions + time.Hour)
		if err := s.clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := db.QueryRow(t.Context(), "SELECT COUNT(*) FROM sessions").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d rows left, %v", left, err)
		}
	})
}

func TestCookieAttributes(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]struct {
		name   string
		secure bool
	}{"http://lodge.test": {"lodge_session", false}, "https://lodge.test": {"__Host-lodge_session", true}} {
		s := newSite(t, Config{PublicURL: address})
		c := s.loggedIn(t, "alice")
		raw, err := base64.RawURLEncoding.DecodeString(c.Value)
		if c.Name != want.name || c.Secure != want.secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || err != nil || len(raw) != 32 {
			t.Errorf("%s: %+v", address, c)
		}
		if s.by(t, c) == nil {
			t.Errorf("%s: not in", address)
		}
	}
}

// TestSessionFixation: a value that somebody else chose or knew is worth nothing after a login, and
// a second cookie of the name, set by another host, makes neither count.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	s := newSite(t, Config{})
	planted := &http.Cookie{Name: "lodge_session", Value: "chosen-by-the-attacker"}
	after := s.loggedIn(t, "alice", planted)
	if after.Value == planted.Value || s.by(t, planted) != nil {
		t.Error("a planted value became a session")
	}
	mallory := s.loggedIn(t, "mallory")
	again := s.loggedIn(t, "alice", mallory)
	if s.by(t, mallory) != nil {
		t.Error("the session that the browser had before lives on")
	}
	if c := s.by(t, again); c == nil || c.Name != "alice" {
		t.Errorf("got %+v", c)
	}
	other := s.loggedIn(t, "mallory")
	if c := s.by(t, other, again); c != nil {
		t.Errorf("of two cookies one was believed: %+v", c)
	}
}

// TestIncompleteLogout: a logout ends every tab, everywhere, at once or within a second.
func TestIncompleteLogout(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		clock := newClock()
		here, elsewhere := newSiteOn(t, Config{}, db, clock), newSiteOn(t, Config{}, db, clock)
		cookie, second := here.loggedIn(t, "alice"), here.loggedIn(t, "alice")
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.AddCookie(cookie)
		stream, err := elsewhere.Authenticate(r)
		if err != nil || elsewhere.Recheck(stream) != nil {
			t.Fatal(err)
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/auth/logout", http.NoBody)
		r.AddCookie(cookie)
		r.Header.Set("X-Lodge-CSRF", "1")
		if err := here.handleLogout(w, r); err != nil || w.Code != http.StatusOK {
			t.Fatal(w.Code, err)
		}
		if c := w.Result().Cookies(); len(c) != 1 || c[0].MaxAge >= 0 || c[0].Name != cookie.Name {
			t.Errorf("the cookie stays: %v", c)
		}
		if here.by(t, cookie) != nil {
			t.Error("still in here")
		}
		clock.move(time.Second)
		if elsewhere.by(t, cookie) != nil {
			t.Error("still in elsewhere after a second")
		}
		if err := elsewhere.Recheck(stream); !errors.Is(err, ErrBadToken) {
			t.Errorf("a stream lives on: %v", err)
		}
		if here.by(t, second) == nil {
			t.Error("the other browser was logged out too")
		}
		caller := here.by(t, second)
		if err := here.EndSessions(t.Context(), caller.UserID, "test"); err != nil {
			t.Fatal(err)
		}
		if here.by(t, second) != nil {
			t.Error("still in after all sessions ended")
		}
	})
}

func TestLogoutFromAnotherSite(t *testing.T) {
	t.Parallel()
	s := newSite(t, Config{})
	cookie := s.loggedIn(t, "alice")
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/auth/logout", http.NoBody)
	r.AddCookie(cookie)
	r.Header.Set("Origin", "https://evil.test")
	if err := s.handleLogout(w, r); !fault.Is(err, fault.Denied) || len(w.Result().Cookies()) != 0 {
		t.Errorf("got %v", err)
	}
	if s.by(t, cookie) == nil {
		t.Error("another site logged alice out")
	}
	// Without a session it is fine, and does nothing.
	w, r = httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/auth/logout", http.NoBody)
	if err := s.handleLogout(w, r); err != nil || w.Code != http.StatusOK {
		t.Errorf("got %d, %v", w.Code, err)
	}
}

func TestSessionsOfOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t, Config{})
	alice, warden := s.person(t, "alice"), s.person(t, "warden", "sessions.read", "sessions.write")
	cookie := s.loggedIn(t, "bob")
	bob := s.by(t, cookie)
	if err := s.RevokeSession(alice, bob.Credential.ID); !fault.Is(err, fault.Missing) {
		t.Errorf("alice ended bob's session: %v", err)
	}
	if _, _, err := s.Sessions(alice, true, "", 10, 0); !fault.Is(err, fault.Denied) {
		t.Errorf("alice sees all: %v", err)
	}
	if list, total, err := s.Sessions(alice, false, "", 10, 0); err != nil || total != 0 || len(list) != 0 {
		t.Errorf("alice's: %v, %v", list, err)
	}
	if list, total, err := s.Sessions(warden, true, "", 10, 0); err != nil || total != 1 || list[0].UserName != "bob" {
		t.Errorf("all: %v, %v", list, err)
	}
	if _, _, err := s.Sessions(alice, false, bob.UserID, 10, 0); !fault.Is(err, fault.Denied) {
		t.Errorf("alice sees bob's: %v", err)
	}
	if list, total, err := s.Sessions(warden, false, bob.UserID, 10, 0); err != nil || total != 1 || list[0].UserID != bob.UserID {
		t.Errorf("bob's: %v, %v", list, err)
	}
	if list, total, err := s.Sessions(warden, false, "nobody", 10, 0); err != nil || total != 0 {
		t.Errorf("nobody's: %v, %v", list, err)
	}
	if err := s.RevokeSession(warden, bob.Credential.ID); err != nil {
		t.Error(err)
	}
	if s.by(t, cookie) != nil {
		t.Error("bob is still in")
	}
}
