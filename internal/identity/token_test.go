package identity

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"lodge/internal/access"
	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
)

func (s *site) token(t testing.TB, req TokenRequest) (Token, string) {
	t.Helper()
	if req.Name == "" {
		req.Name = "robot"
	}
	token, jwt, err := s.CreateToken(asAdmin(t.Context()), req)
	if err != nil {
		t.Fatal(err)
	}
	return token, jwt.Reveal()
}

// person makes a user with roles that carry the rights, and gives a context of theirs.
func (s *site) person(t testing.TB, name string, rights ...access.Action) context.Context {
	t.Helper()
	admin := asAdmin(t.Context())
	u, err := s.acc.FirstSight(t.Context(), "https://issuer.test", name, name, "")
	if err != nil {
		t.Fatal(err)
	}
	role := access.Role("role-of-" + name)
	if _, err := s.acc.CreateRole(admin, role, ""); err != nil {
		t.Fatal(err)
	}
	for _, a := range rights {
		if _, err := s.acc.Permit(admin, access.Grant{Role: role, Group: access.Site, Action: a}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.acc.GiveRole(admin, u.ID, role); err != nil {
		t.Fatal(err)
	}
	return access.WithCaller(t.Context(), &access.Caller{
		UserID: u.ID, Issuer: u.Issuer, Subject: name, Name: name, Roles: []access.Role{role}, Credential: access.Credential{Kind: "bearer"},
	})
}

func TestServiceToken(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newSiteOn(t, Config{}, db, newClock())
		if _, err := s.acc.CreateRole(asAdmin(t.Context()), "uploader", ""); err != nil {
			t.Fatal(err)
		}
		made, jwt := s.token(t, TokenRequest{Name: "analysis-7", Roles: []access.Role{"uploader", "uploader"}, Claims: map[string]any{"project_id": "p1"}, TTL: time.Hour})
		c, err := s.ask(t, jwt)
		if err != nil {
			t.Fatal(err)
		}
		if c.Name != "analysis-7" || c.Issuer != "lodge" || c.Subject != "token:"+made.ID || c.UserID != "" || c.Credential != (access.Credential{Kind: "token", ID: made.ID}) ||
			!slices.Equal(c.Roles, []access.Role{"uploader"}) || c.Admin || c.Claims["client_id"] != "analysis-7" || c.Claims["project_id"] != "p1" {
			t.Errorf("got %+v", c)
		}
		list, total, err := s.Tokens(asAdmin(t.Context()), true, 10, 0)
		if err != nil || total != 1 || len(list) != 1 || list[0].ID != made.ID || list[0].CreatedBy != "test" || !list[0].Expires.Equal(s.now().Add(time.Hour)) {
			t.Errorf("list: %+v, %d, %v", list, total, err)
		}
		s.move(time.Hour + leeway + time.Second)
		if _, err := s.ask(t, jwt); !errors.Is(err, ErrBadToken) {
			t.Errorf("expired: %v", err)
		}
	})
}

func TestServiceTokenIsRevoked(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		clock := newClock()
		here, elsewhere := newSiteOn(t, Config{}, db, clock), newSiteOn(t, Config{}, db, clock)
		made, jwt := here.token(t, TokenRequest{})
		for _, s := range []*site{here, elsewhere} {
			if _, err := s.ask(t, jwt); err != nil {
				t.Fatal(err)
			}
		}
		if err := here.RevokeToken(asAdmin(t.Context()), made.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := here.ask(t, jwt); !errors.Is(err, ErrBadToken) {
			t.Errorf("not at once: %v", err)
		}
		clock.move(time.Second)
		if _, err := elsewhere.ask(t, jwt); !errors.Is(err, ErrBadToken) {
			t.Errorf("not within a second elsewhere: %v", err)
		}
		if err := here.RevokeToken(asAdmin(t.Context()), made.ID); err != nil {
			t.Errorf("revoked twice: %v", err)
		}
		if err := here.RevokeToken(asAdmin(t.Context()), "nothing"); !fault.Is(err, fault.Missing) {
			t.Errorf("revoked nothing: %v", err)
		}
	})
}

// With the bus, the news is there before the second is over.
func TestRevocationTravels(t *testing.T) {
	t.Parallel()
	clock := newClock()
	here := newSiteOn(t, Config{}, databasetest.SQLite(t), clock)
	elsewhere := newSiteOn(t, Config{}, here.db, clock)
	b, err := bus.Open(bus.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	here.bus, elsewhere.bus = b, b
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = elsewhere.Run(ctx) })
	defer done.Wait()
	defer cancel()
	for deadline := time.After(10 * time.Second); ; {
		made, jwt := here.token(t, TokenRequest{})
		if _, err := elsewhere.ask(t, jwt); err != nil {
			t.Fatal(err)
		}
		if err := here.RevokeToken(asAdmin(t.Context()), made.ID); err != nil {
			t.Fatal(err)
		}
		for range 1000 { // the clock stands still: only the bus can tell
			if _, err := elsewhere.ask(t, jwt); errors.Is(err, ErrBadToken) {
				return
			}
		}
		select {
		case <-deadline:
			t.Fatal("the news did not arrive")
		default: // the subscription may not have stood yet
		}
	}
}

// TestTokenNeverExceedsItsCreator is the class "a role may grant itself more".
func TestTokenNeverExceedsItsCreator(t *testing.T) {
	t.Parallel()
	s := newSite(t, Config{})
	alice := s.person(t, "alice", "audit.read")
	s.person(t, "bob", "users.write")
	program := access.WithCaller(t.Context(), &access.Caller{Name: "x", Subject: "token:x", Credential: access.Credential{Kind: "token", ID: "x"}})
	for name, c := range map[string]struct {
		ctx context.Context
		req TokenRequest
	}{
		"administration":          {alice, TokenRequest{Name: "x", Admin: true}},
		"a role beyond theirs":    {alice, TokenRequest{Name: "x", Roles: []access.Role{"role-of-bob"}}},
		"a role that is not":      {alice, TokenRequest{Name: "x", Roles: []access.Role{"later"}}},
		"a client id":             {alice, TokenRequest{Name: "x", Claims: map[string]any{"client_id": "analysis"}}},
		"a project":               {alice, TokenRequest{Name: "x", Claims: map[string]any{"project_id": "p"}}},
		"a token makes another":   {program, TokenRequest{Name: "x"}},
		"nobody":                  {t.Context(), TokenRequest{Name: "x"}},
		"roles by a claim":        {asAdmin(t.Context()), TokenRequest{Name: "x", Claims: map[string]any{"roles": []string{"admin"}}}},
		"another subject":         {asAdmin(t.Context()), TokenRequest{Name: "x", Claims: map[string]any{"sub": "u1"}}},
		"another id":              {asAdmin(t.Context()), TokenRequest{Name: "x", Claims: map[string]any{"jti": "u1"}}},
		"for ever":                {asAdmin(t.Context()), TokenRequest{Name: "x", TTL: maxTTL + 1}},
		"ended before it began":   {asAdmin(t.Context()), TokenRequest{Name: "x", TTL: -1}},
		"no name":                 {asAdmin(t.Context()), TokenRequest{}},
		"a name of two lines":     {asAdmin(t.Context()), TokenRequest{Name: "a\nb"}},
		"more than a header is":   {asAdmin(t.Context()), TokenRequest{Name: "x", Claims: map[string]any{"x": strings.Repeat("x", maxClaims)}}},
		"a claim that is no JSON": {asAdmin(t.Context()), TokenRequest{Name: "x", Claims: map[string]any{"x": func() {}}}},
	} {
		_, jwt, err := s.CreateToken(c.ctx, c.req)
		if jwt != "" || err == nil || fault.KindOf(err) == fault.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What they have themselves they may hand on; it names no client.
	made, jwt, err := s.CreateToken(alice, TokenRequest{Name: "some-analysis", Roles: []access.Role{"role-of-alice"}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.ask(t, jwt.Reveal())
	if err != nil || c.Claims["client_id"] != nil || c.Admin {
		t.Errorf("got %+v, %v", c, err)
	}
	if err := s.Authorize(access.WithCaller(t.Context(), c), "audit.read", "site", false); err != nil {
		t.Error(err)
	}
	if err := s.Authorize(access.WithCaller(t.Context(), c), "users.write", "site", false); !fault.Is(err, fault.Denied) {
		t.Error(err)
	}
	// Others' tokens are not theirs to see.
	_, foreign := s.token(t, TokenRequest{})
	caller, _ := s.ask(t, foreign)
	if err := s.RevokeToken(alice, caller.Credential.ID); !fault.Is(err, fault.Missing) {
		t.Errorf("revoked a foreign token: %v", err)
	}
	if _, _, err := s.Tokens(alice, true, 10, 0); !fault.Is(err, fault.Denied) {
		t.Errorf("listed all: %v", err)
	}
	if list, _, err := s.Tokens(alice, false, 10, 0); err != nil || len(list) != 1 || list[0].ID != made.ID || list[0].CreatedBy != "alice" {
		t.Errorf("own: %+v, %v", list, err)
	}
	if err := s.RevokeToken(alice, made.ID); err != nil {
		t.Error(err)
	}
}

// A disabled person keeps no way in: neither their provider's tokens nor those that they made.
func TestDisabledPerson(t *testing.T) {
	t.Parallel()
	k := testKeys()
	s := newSite(t, Config{Issuers: []Issuer{inProcess(public(k.rsa, ""))}})
	alice := s.person(t, "alice")
	_, made, err := s.CreateToken(alice, TokenRequest{Name: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	bearer := sign(t, jose.RS256, k.rsa, nil, s.claims(map[string]any{"sub": "alice"}))
	for _, token := range []string{made.Reveal(), bearer} {
		if _, err := s.ask(t, token); err != nil {
			t.Fatal(err)
		}
	}
	yes := true
	if _, err := s.acc.ChangeUser(asAdmin(t.Context()), access.CallerFrom(alice).UserID, access.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if c, err := s.ask(t, bearer); !errors.Is(err, ErrBadToken) {
		t.Errorf("not at once: %+v, %v", c, err)
	}
	s.move(time.Second)
	for _, token := range []string{made.Reveal(), bearer} {
		_, err := s.ask(t, token)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Unauthenticated || f.Detail != "the credential is not valid, or no longer" {
			t.Errorf("a disabled person reads: %v", err)
		}
	}
}

func TestUseIsWrittenDownOnceAMinute(t *testing.T) {
	t.Parallel()
	s := newSite(t, Config{})
	made, jwt := s.token(t, TokenRequest{})
	for range 10 {
		if _, err := s.ask(t, jwt); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.touched) != 1 {
		t.Fatalf("%d notes of one use", len(s.touched))
	}
	if err := s.writeTouch(t.Context(), <-s.touched); err != nil {
		t.Fatal(err)
	}
	row, err := readToken(t.Context(), s.db, made.ID)
	if err != nil || row.Used == nil || !row.Used.Equal(s.now()) {
		t.Errorf("got %+v, %v", row, err)
	}
	s.move(59 * time.Second)
	_, _ = s.ask(t, jwt)
	if len(s.touched) != 0 {
		t.Error("noted again within the minute")
	}
	s.move(2 * time.Second)
	_, _ = s.ask(t, jwt)
	if len(s.touched) != 1 {
		t.Error("not noted after a minute")
	}
}

func TestOwnKey(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		var all sync.WaitGroup
		kids := make([]string, 3)
		for i := range kids {
			all.Go(func() {
				key, err := LoadKey(t.Context(), db, newClock().now)
				if err != nil {
					t.Error(err)
					return
				}
				own, err := newOwnKey(key)
				if err != nil {
					t.Error(err)
					return
				}
				kids[i] = own.kid
			})
		}
		all.Wait()
		if kids[0] == "" || kids[0] != kids[1] || kids[1] != kids[2] {
			t.Errorf("three replicas have the keys %v", kids)
		}
	})
	if _, err := New(Config{PublicURL: "http://x"}, nil, nil, nil, nil, nil, newClock().now, nil); err == nil {
		t.Error("made a service without a key")
	}
}

// Tokens forged with what is published, or for another token's row.
func TestForgedServiceTokens(t *testing.T) {
	t.Parallel()
	k := testKeys()
	s := newSite(t, Config{})
	_, jwt := s.token(t, TokenRequest{Admin: true})
	at := s.now().Unix()
	header := map[string]any{"kid": s.own.kid}
	claims := map[string]any{"iss": "http://lodge.test", "sub": "token:x", "jti": "x", "iat": at, "exp": at + 60}
	for name, token := range map[string]string{
		"another key":      sign(t, jose.RS256, k.other, header, claims),
		"unknown row":      sign(t, jose.RS256, k.own, header, claims),
		"no row":           sign(t, jose.RS256, k.own, header, map[string]any{"iat": at, "exp": at + 60}),
		"PS256":            sign(t, jose.PS256, k.own, header, claims),
		"HS256":            sign(t, jose.HS256, k.own.N.Bytes(), header, claims),
		"without key id":   sign(t, jose.RS256, k.own, nil, claims),
		"cut":              jwt[:len(jwt)-4],
		"expired":          sign(t, jose.RS256, k.own, header, map[string]any{"jti": "x", "iat": 1, "exp": 2}),
		"signature of one": jwt[:strings.LastIndex(jwt, ".")+1] + strings.Split(sign(t, jose.RS256, k.own, header, claims), ".")[2],
	} {
		if c, err := s.ask(t, token); c != nil || !errors.Is(err, ErrBadToken) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestBearerHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []string
		want   string
		scheme bool
	}{
		{nil, "", true},
		{[]string{""}, "", true},
		{[]string{"Bearer"}, "", true},
		{[]string{"Bearer  "}, "", true},
		{[]string{"Bearer x"}, "x", true},
		{[]string{"bEARER   x "}, "x", true},
		{[]string{"Bearer x", "Bearer y"}, "x", true},
		{[]string{"Basic eDp5"}, "", false},
		{[]string{"x y"}, "", false},
		{[]string{"token"}, "", true},
	} {
		got, err := bearer(http.Header{"Authorization": c.values}, false)
		if got != c.want || (err == nil) != c.scheme || err != nil && !errors.Is(err, ErrScheme) {
			t.Errorf("%q: %q, %v", c.values, got, err)
		}
	}
}
