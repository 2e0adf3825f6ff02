package identity

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lodge/internal/audit"
)

// loggedInWithRoles is a login that the provider can be asked about again, and what it says of roles.
func loggedInWithRoles(t *testing.T) (s *site, p *otherProvider, cookie *http.Cookie, roles *atomic.Value) {
	t.Helper()
	s, p = newOther(t)
	roles = &atomic.Value{}
	roles.Store([]string{"lab", "hall"})
	p.claims = func(c map[string]any) { c["groups"] = roles.Load() }
	p.refresh = "refresh-1"
	if cookie = sessionOf(p.arrive(t, nil)); cookie == nil {
		t.Fatal("not logged in")
	}
	return s, p, cookie, roles
}

func (s *site) renewAfter(t *testing.T, d time.Duration) {
	t.Helper()
	s.move(d)
	if err := s.renewDue(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (s *site) rolesBy(t *testing.T, cookie *http.Cookie) string {
	t.Helper()
	c := s.by(t, cookie)
	if c == nil {
		return "nobody"
	}
	text := make([]string, len(c.Roles))
	for i, r := range c.Roles {
		text[i] = string(r)
	}
	return strings.Join(text, " ")
}

func TestRolesAreReadAgain(t *testing.T) {
	t.Parallel()
	s, p, cookie, roles := loggedInWithRoles(t)
	roles.Store([]string{"hall"})
	p.form = nil
	s.renewAfter(t, 9*time.Minute)
	if p.form != nil || s.rolesBy(t, cookie) != "lab hall" {
		t.Errorf("too early: asked %v, the roles are %q", p.form, s.rolesBy(t, cookie))
	}
	p.refresh = "refresh-2"
	s.renewAfter(t, time.Minute)
	if got := s.rolesBy(t, cookie); got != "hall" {
		t.Errorf("the roles are %q", got)
	}
	if p.form.Get("grant_type") != "refresh_token" || p.form.Get("refresh_token") != "refresh-1" {
		t.Errorf("asked %v", p.form)
	}
	// The next time by the token that came last, also where the provider gives no new one.
	p.refresh = ""
	for range 2 {
		s.renewAfter(t, 10*time.Minute)
		if p.form.Get("refresh_token") != "refresh-2" {
			t.Errorf("asked %v", p.form)
		}
	}
	var stored string
	if err := s.db.QueryRow(t.Context(), "SELECT claims FROM sessions").Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stored, "refresh-") || strings.Contains(s.log.String(), "refresh-") {
		t.Error("a refresh token can be read")
	}
	records, _, err := s.audit.List(t.Context(), audit.Filter{Action: "sessions.write"}, audit.Cursor{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 1 || !strings.Contains(records[0].Detail, "were [lab hall] and are [hall]") {
		t.Errorf("on record is %+v", records)
	}
}

func TestAWithdrawnLoginEnds(t *testing.T) {
	t.Parallel()
	s, p, cookie, _ := loggedInWithRoles(t)
	p.answer = func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		says(`{"error":"invalid_grant"}`)(w)
		return true
	}
	s.renewAfter(t, 10*time.Minute)
	if got := s.rolesBy(t, cookie); got != "nobody" {
		t.Errorf("still in, with %q", got)
	}
	records, _, err := s.audit.List(t.Context(), audit.Filter{Action: "logout"}, audit.Cursor{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 1 || !strings.Contains(records[0].Detail, "may not stay") {
		t.Errorf("on record is %+v", records)
	}
}

// TestOddAnswersEndNoLogin: what is no clear answer changes nothing, and is asked again two minutes later.
func TestOddAnswersEndNoLogin(t *testing.T) {
	t.Parallel()
	says := func(name string, v any) func(p *otherProvider) {
		return func(p *otherProvider) { p.claims = func(c map[string]any) { c[name], c["groups"] = v, "chief" } }
	}
	for name, change := range map[string]func(p *otherProvider){
		"away":             answers(503, "refresh-1"),
		"rubbish":          answers(200, "<html>refresh-1"),
		"our own fault":    answers(401, `{"error":"invalid_client","error_description":"refresh-1"}`),
		"another person":   says("sub", "u2"),
		"another audience": says("aud", "somebody"),
		"another issuer":   says("iss", "https://evil.test"),
		"expired":          says("exp", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p, cookie, roles := loggedInWithRoles(t)
			change(p)
			s.renewAfter(t, 10*time.Minute)
			if got := s.rolesBy(t, cookie); got != "lab hall" {
				t.Errorf("the roles are %q", got)
			}
			if log := s.log.String(); !strings.Contains(log, "could not be renewed") || strings.Contains(log, "refresh-1") {
				t.Errorf("logged %s", log)
			}
			p.answer, p.claims = nil, func(c map[string]any) { c["groups"] = roles.Load() }
			roles.Store([]string{"hall"})
			s.renewAfter(t, renewPause)
			if got := s.rolesBy(t, cookie); got != "hall" {
				t.Errorf("asked again, the roles are %q", got)
			}
		})
	}
}

func TestAnswerWithoutIDToken(t *testing.T) {
	t.Parallel()
	s, p, cookie, _ := loggedInWithRoles(t)
	p.answer = func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "opaque", "token_type": "Bearer", "refresh_token": "refresh-2"})
		return true
	}
	s.renewAfter(t, 10*time.Minute)
	s.renewAfter(t, 10*time.Minute)
	if got := s.rolesBy(t, cookie); got != "lab hall" || p.form.Get("refresh_token") != "refresh-2" {
		t.Errorf("the roles are %q; asked %v", got, p.form)
	}
}

// TestReplicasRenewOnce: of two that look at the same time, one asks.
func TestReplicasRenewOnce(t *testing.T) {
	t.Parallel()
	s, p, _, _ := loggedInWithRoles(t)
	var asked atomic.Int32
	p.answer = func(http.ResponseWriter) bool { asked.Add(1); return false }
	other := newSiteOn(t, s.cfg, s.db, s.clock)
	s.move(10 * time.Minute)
	var all sync.WaitGroup
	for _, one := range []*site{s, other} {
		all.Go(func() {
			if err := one.renewDue(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestARefreshTokenFitsItsRowAlone: whoever can write the database cannot give one login another's.
func TestARefreshTokenFitsItsRowAlone(t *testing.T) {
	t.Parallel()
	s, p, cookie, _ := loggedInWithRoles(t)
	p.refresh = "refresh-of-another"
	second := sessionOf(p.arrive(t, nil))
	one, _ := sessionKeys(cookie.Value)
	two, _ := sessionKeys(second.Value)
	if _, err := s.db.Exec(t.Context(), "UPDATE sessions SET claims = (SELECT claims FROM sessions WHERE id = ?) WHERE id = ?", two, one); err != nil {
		t.Fatal(err)
	}
	row, err := readSession(t.Context(), s.db, one)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := s.refreshOf(row); err == nil {
		t.Errorf("got %q", text)
	}
}
