package identity

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/secret"
)

// inProcess is an issuer whose keys need no network.
func inProcess(keys ...jose.JSONWebKey) Issuer {
	return Issuer{Issuer: "https://issuer.test", Audiences: []string{"lodge"}, Keys: staticKeys(keys)}
}

// TestBogusToken is the class "a route accepts a bogus token", with algorithm and key confusion.
func TestBogusToken(t *testing.T) {
	t.Parallel()
	k := testKeys()
	s := newSite(t, Config{Issuers: []Issuer{inProcess(public(k.rsa, "rsa"), public(k.ec, "ec"), public(k.ed, "ed"))}})
	header := map[string]any{"kid": "rsa"}
	good := s.claims(nil)
	with := func(changes map[string]any) string { return sign(t, jose.RS256, k.rsa, header, s.claims(changes)) }
	head := func(changes map[string]any) string {
		h := map[string]any{"kid": "rsa"}
		maps.Copy(h, changes)
		return sign(t, jose.RS256, k.rsa, h, good)
	}
	body := func(raw string) string { return signBody(t, jose.RS256, k.rsa, header, []byte(raw)) }
	at := s.now().Unix()
	der, _ := x509.MarshalPKIXPublicKey(k.rsa.Public())
	pub := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	valid := sign(t, jose.RS256, k.rsa, header, good)
	parts := strings.Split(valid, ".")
	embedded := jose.JSONWebKey{Key: k.other.Public(), KeyID: "rsa"}

	if c, err := s.ask(t, valid); err != nil || c.Subject != "u1" || c.Name != "alice" || c.Credential.Kind != "bearer" {
		t.Fatalf("the valid token: %+v, %v", c, err)
	}
	for name, token := range map[string]string{
		"garbage": "garbage", "dots": "..", "four parts": valid + ".x", "two parts": parts[0] + "." + parts[1],
		"JSON serialization":               `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"no signature":                     parts[0] + "." + parts[1] + ".",
		"another signature":                parts[0] + "." + parts[1] + "." + strings.Split(head(map[string]any{"x": 1}), ".")[2],
		"claims changed":                   parts[0] + "." + b64(s.claims(map[string]any{"sub": "admin"})) + "." + parts[2],
		"alg none":                         b64(map[string]any{"alg": "none", "kid": "rsa"}) + "." + b64(good) + ".",
		"alg None":                         b64(map[string]any{"alg": "None", "kid": "rsa"}) + "." + b64(good) + ".",
		"alg empty":                        b64(map[string]any{"alg": "", "kid": "rsa"}) + "." + b64(good) + "." + parts[2],
		"alg missing":                      b64(map[string]any{"kid": "rsa"}) + "." + b64(good) + "." + parts[2],
		"alg no text":                      b64(map[string]any{"alg": 5, "kid": "rsa"}) + "." + b64(good) + "." + parts[2],
		"HS256 with the public key as PEM": sign(t, jose.HS256, pub, header, good),
		"HS256 with the modulus":           sign(t, jose.HS256, k.rsa.N.Bytes(), header, good),
		"HS256 with an empty kid":          sign(t, jose.HS256, pub, nil, good),
		"RS512, not in the list":           sign(t, jose.RS512, k.rsa, header, good),
		"PS256, not in the list":           sign(t, jose.PS256, k.rsa, header, good),
		"ES256 under an RSA key's id":      sign(t, jose.ES256, k.ec, header, good),
		"RS256 under an EC key's id":       sign(t, jose.RS256, k.rsa, map[string]any{"kid": "ec"}, good),
		"a stranger's key":                 sign(t, jose.RS256, k.other, header, good),
		"a stranger's key without id":      sign(t, jose.RS256, k.other, nil, good),
		"an unknown key id":                sign(t, jose.RS256, k.rsa, map[string]any{"kid": "what"}, good),
		"a key id that is no text":         b64(map[string]any{"alg": "RS256", "kid": []string{"rsa"}}) + "." + b64(good) + "." + parts[2],
		"an embedded key":                  sign(t, jose.RS256, k.other, map[string]any{"jwk": embedded}, good),
		"an embedded key, rightly signed":  head(map[string]any{"jwk": embedded}),
		"jku":                              head(map[string]any{"jku": "https://evil.test/keys"}),
		"x5u":                              head(map[string]any{"x5u": "https://evil.test/cert"}),
		"x5c":                              b64(map[string]any{"alg": "RS256", "kid": "rsa", "x5c": []string{"AAAA"}}) + "." + b64(good) + "." + parts[2],
		"crit":                             head(map[string]any{"crit": []string{"exp"}, "exp": 1}),
		"b64 false":                        b64(map[string]any{"alg": "RS256", "kid": "rsa", "b64": false}) + "." + b64(good) + "." + parts[2],
		"compressed":                       head(map[string]any{"zip": "DEF"}),
		"alg twice in the header":          b64([]byte(`{"alg":"none","alg":"RS256","kid":"rsa"}`)) + "." + b64(good) + "." + parts[2],
		"a logout token":                   head(map[string]any{"typ": "logout+jwt"}),
		"a proof":                          head(map[string]any{"typ": "dpop+jwt"}),
		"typ no text":                      head(map[string]any{"typ": 1}),
		"expired":                          with(map[string]any{"exp": at - 61}),
		"exp missing":                      with(map[string]any{"exp": nil}),
		"exp text":                         with(map[string]any{"exp": "9999999999"}),
		"exp null":                         body(`{"iss":"https://issuer.test","sub":"u1","aud":"lodge","iat":1,"exp":null}`),
		"exp negative":                     with(map[string]any{"exp": -1}),
		"not yet valid":                    with(map[string]any{"nbf": at + 61}),
		"nbf text":                         with(map[string]any{"nbf": "0"}),
		"issued in the future":             with(map[string]any{"iat": at + 61}),
		"iat missing":                      with(map[string]any{"iat": nil}),
		"iat text":                         with(map[string]any{"iat": "1"}),
		"another issuer":                   with(map[string]any{"iss": "https://evil.test"}),
		"issuer with a slash":              with(map[string]any{"iss": "https://issuer.test/"}),
		"issuer missing":                   with(map[string]any{"iss": nil}),
		"issuers in a list":                with(map[string]any{"iss": []string{"https://issuer.test"}}),
		"another audience":                 with(map[string]any{"aud": "other"}),
		"other audiences":                  with(map[string]any{"aud": []string{"a", "b"}}),
		"audience missing":                 with(map[string]any{"aud": nil}),
		"audience an object":               with(map[string]any{"aud": map[string]any{"lodge": true}}),
		"audience of another case":         with(map[string]any{"aud": "Lodge"}),
		"sub a number":                     with(map[string]any{"sub": 5}),
		"sub empty":                        with(map[string]any{"sub": ""}),
		"sub with a line feed":             with(map[string]any{"sub": "u1\nadmin"}),
		"sub too long":                     with(map[string]any{"sub": strings.Repeat("x", 256)}),
		"a claim twice":                    body(`{"iss":"https://issuer.test","sub":"u1","sub":"admin","aud":"lodge","iat":1,"exp":9999999999}`),
		"a claim twice, deep":              body(`{"iss":"https://issuer.test","sub":"u1","aud":"lodge","iat":1,"exp":9999999999,"x":{"a":1,"a":2}}`),
		"claims no object":                 body(`["sub"]`),
		"claims null":                      body(`null`),
		"claims cut off":                   body(`{"iss":"https://issuer.test"`),
		"claims and more":                  body(`{"iss":"https://issuer.test","sub":"u1","aud":"lodge","iat":1,"exp":9999999999}{}`),
		"too long":                         with(map[string]any{"pad": strings.Repeat("x", maxToken)}),
		"padded base64":                    parts[0] + "=." + parts[1] + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := s.ask(t, token)
			if c != nil || !fault.Is(err, fault.Unauthenticated) || !errors.Is(err, ErrBadToken) {
				t.Fatalf("got %+v, %v", c, err)
			}
			var f *fault.Error
			if errors.As(err, &f); f.Detail != "the credential is not valid, or no longer" {
				t.Errorf("the client reads %q", f.Detail)
			}
			if len(token) > 100 && strings.Contains(err.Error(), token[len(token)-40:]) {
				t.Error("the error quotes the token")
			}
		})
	}
}

func TestGoodTokens(t *testing.T) {
	t.Parallel()
	k := testKeys()
	s := newSite(t, Config{Issuers: []Issuer{inProcess(public(k.rsa, "rsa"), public(k.ec, "ec"), public(k.ed, "ed"))}})
	at := s.now().Unix()
	for name, token := range map[string]string{
		"RS256":                 sign(t, jose.RS256, k.rsa, map[string]any{"kid": "rsa", "typ": "JWT"}, s.claims(nil)),
		"without key id":        sign(t, jose.RS256, k.rsa, nil, s.claims(nil)),
		"ES256":                 sign(t, jose.ES256, k.ec, map[string]any{"kid": "ec"}, s.claims(nil)),
		"EdDSA":                 sign(t, jose.EdDSA, k.ed, map[string]any{"kid": "ed", "typ": "at+jwt"}, s.claims(nil)),
		"expired 30 s ago":      sign(t, jose.RS256, k.rsa, nil, s.claims(map[string]any{"exp": at - 30})),
		"fractions":             sign(t, jose.RS256, k.rsa, nil, s.claims(map[string]any{"exp": float64(at) + 0.5, "iat": float64(at) - 0.5})),
		"valid in 59 s":         sign(t, jose.RS256, k.rsa, nil, s.claims(map[string]any{"nbf": at + 59})),
		"audience in a list":    sign(t, jose.RS256, k.rsa, nil, s.claims(map[string]any{"aud": []string{"a", "lodge"}})),
		"expires in aeons":      sign(t, jose.RS256, k.rsa, nil, s.claims(map[string]any{"exp": 1e300})),
		"unknown header fields": sign(t, jose.RS256, k.rsa, map[string]any{"x5t": "abc", "foo": true}, s.claims(nil)),
	} {
		if c, err := s.ask(t, token); err != nil || c == nil || c.Subject != "u1" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

// A token stops working when its time is over, also while its verification is remembered.
func TestRememberedTokenExpires(t *testing.T) {
	t.Parallel()
	k := testKeys()
	s := newSite(t, Config{Issuers: []Issuer{inProcess(public(k.rsa, ""))}})
	token := sign(t, jose.RS256, k.rsa, nil, s.claims(map[string]any{"exp": s.now().Unix() + 20}))
	for range 3 {
		if _, err := s.ask(t, token); err != nil {
			t.Fatal(err)
		}
	}
	s.move(79 * time.Second) // within the leeway
	if _, err := s.ask(t, token); err != nil {
		t.Fatal(err)
	}
	s.move(2 * time.Second)
	if _, err := s.ask(t, token); err == nil {
		t.Error("an expired token still works")
	}
}

func TestIssuerOfOnlyKeys(t *testing.T) {
	t.Parallel()
	k := testKeys()
	f := newFakeIssuer(t, public(k.rsa, "thumb"))
	s := newSite(t, Config{Issuers: []Issuer{{JWKSURL: f.URL + "/certs", Algorithms: []string{"RS256"}}}})
	// As the original's test suite signs: no kid, no iss, no aud, no sub.
	at := s.now().Unix()
	c, err := s.ask(t, sign(t, jose.RS256, k.rsa, nil, map[string]any{"client_id": "analysis", "iat": at, "exp": at + 60}))
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject != "client:analysis" || c.UserID != "" || c.Issuer != f.URL+"/certs" || c.Claims["client_id"] != "analysis" {
		t.Errorf("got %+v", c)
	}
	// iss is not looked at, and is nobody's identity.
	c, err = s.ask(t, sign(t, jose.RS256, k.rsa, nil, s.claims(map[string]any{"iss": "http://lodge.test/idp"})))
	if err != nil || c.Issuer != f.URL+"/certs" || c.UserID == "" {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := s.ask(t, sign(t, jose.EdDSA, k.ed, nil, s.claims(nil))); !errors.Is(err, ErrBadToken) {
		t.Errorf("an algorithm that is not listed: %v", err)
	}
}

// A nameless issuer must not speak for one that has a name.
func TestNamelessIssuerCannotSpeakForANamedOne(t *testing.T) {
	t.Parallel()
	k := testKeys()
	nameless := newFakeIssuer(t, public(k.other, ""))
	s := newSite(t, Config{Issuers: []Issuer{{JWKSURL: nameless.URL}, inProcess(public(k.rsa, ""))}})
	if _, err := s.ask(t, sign(t, jose.RS256, k.other, nil, s.claims(nil))); !errors.Is(err, ErrBadToken) {
		t.Errorf("got %v", err)
	}
	if _, err := s.ask(t, sign(t, jose.RS256, k.rsa, nil, s.claims(nil))); err != nil {
		t.Error(err)
	}
}

func TestSharedSecretAndKeyFile(t *testing.T) {
	t.Parallel()
	k := testKeys()
	long := secret.String(strings.Repeat("s", 32))
	der, _ := x509.MarshalPKIXPublicKey(k.rsa.Public())
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, Config{Issuers: []Issuer{{Issuer: "legacy", HS256Secret: long}, {Issuer: "file", PublicKeyFile: file}}})
	for name, c := range map[string]struct {
		token string
		good  bool
	}{
		"secret":             {sign(t, jose.HS256, []byte(long.Reveal()), nil, s.claims(map[string]any{"iss": "legacy", "iat": nil})), true},
		"another secret":     {sign(t, jose.HS256, bytes.Repeat([]byte("t"), 32), nil, s.claims(map[string]any{"iss": "legacy"})), false},
		"RSA for the secret": {sign(t, jose.RS256, k.rsa, nil, s.claims(map[string]any{"iss": "legacy"})), false},
		"file":               {sign(t, jose.RS256, k.rsa, map[string]any{"kid": "any"}, s.claims(map[string]any{"iss": "file"})), true},
		"secret for file":    {sign(t, jose.HS256, []byte(long.Reveal()), nil, s.claims(map[string]any{"iss": "file"})), false},
	} {
		if _, err := s.ask(t, c.token); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// People may be told apart by their user name instead of sub.
func TestSubjectClaims(t *testing.T) {
	t.Parallel()
	k := testKeys()
	issuer := inProcess(public(k.rsa, ""))
	issuer.SubjectClaims = []string{"preferred_username", "https://x.test/preferred_username"}
	s := newSite(t, Config{Issuers: []Issuer{issuer}})
	for _, c := range []struct {
		claims map[string]any
		want   string
	}{
		{map[string]any{"sub": "stub", "preferred_username": "anna"}, "anna"},
		{map[string]any{"sub": "stub", "preferred_username": "", "https://x.test/preferred_username": "ben"}, "ben"},
		{map[string]any{"preferred_username": "anna", "https://x.test/preferred_username": "ben"}, "anna"},
		{map[string]any{"sub": "stub", "preferred_username": ""}, ""},
		{map[string]any{"sub": "stub", "preferred_username": nil}, ""},
		{map[string]any{"sub": "stub", "preferred_username": 7}, ""},
	} {
		caller, err := s.ask(t, sign(t, jose.RS256, k.rsa, nil, s.claims(c.claims)))
		if c.want == "" {
			if !errors.Is(err, ErrBadToken) {
				t.Errorf("%v: %v", c.claims, err)
			}
			continue
		}
		if err != nil || caller.Subject != c.want {
			t.Errorf("%v: %+v, %v", c.claims, caller, err)
		}
	}
}

func TestRoleClaim(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path   string
		claims map[string]any
		want   []access.Role
	}{
		{"roles", map[string]any{"roles": []any{"a", "b", "a", 5, "", "x\ny"}}, []access.Role{"a", "b"}},
		{"roles", map[string]any{"roles": "a b"}, []access.Role{"a", "b"}},
		{"realm_access.roles", map[string]any{"realm_access": map[string]any{"roles": []any{"a"}}}, []access.Role{"a"}},
		{"https://x.test/roles", map[string]any{"https://x.test/roles": []any{"a"}}, []access.Role{"a"}},
		{"a.b.c", map[string]any{"a": map[string]any{"b": "c"}}, nil},
		{"a.b", map[string]any{"a": "b"}, nil},
		{"roles", map[string]any{"roles": map[string]any{"a": true}}, nil},
		{"roles", map[string]any{}, nil},
	} {
		if got := rolesIn(c.claims, c.path); !slices.Equal(got, c.want) {
			t.Errorf("%s in %v: %v", c.path, c.claims, got)
		}
	}
}

// The roles of a token count only where the issuer's role claim is configured.
func TestRolesNeedAConfiguredClaim(t *testing.T) {
	t.Parallel()
	k := testKeys()
	trusting := inProcess(public(k.rsa, ""))
	trusting.RoleClaim = "roles"
	for _, c := range []struct {
		issuer Issuer
		want   int
	}{{inProcess(public(k.rsa, "")), 0}, {trusting, 1}} {
		s := newSite(t, Config{Issuers: []Issuer{c.issuer}})
		caller, err := s.ask(t, sign(t, jose.RS256, k.rsa, nil, s.claims(map[string]any{"roles": []string{"boss"}, "admin": true})))
		if err != nil || len(caller.Roles) != c.want || caller.Admin {
			t.Errorf("got %+v, %v", caller, err)
		}
	}
}

func TestSkipVerificationIsNobodyElse(t *testing.T) {
	t.Parallel()
	k := testKeys()
	s := newSite(t, Config{SkipVerification: true, Issuers: []Issuer{inProcess(public(k.rsa, ""))}})
	c, err := s.ask(t, b64(map[string]any{"alg": "none"})+"."+b64(s.claims(map[string]any{"exp": 1}))+".")
	if err != nil || c.Issuer != "unverified" || c.Admin {
		t.Errorf("got %+v, %v", c, err)
	}
	if !strings.Contains(s.log.String(), "without looking at their signature") {
		t.Error("nothing warns")
	}
	// Service tokens are checked all the same.
	forged := b64(map[string]any{"alg": "none", "kid": s.own.kid}) + "." + b64(map[string]any{"jti": "x", "exp": 9e9}) + "."
	if _, err := s.ask(t, forged); !errors.Is(err, ErrBadToken) {
		t.Errorf("got %v", err)
	}
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no public address":   {PublicURL: "lodge.test"},
		"user in it":          {PublicURL: "http://u:p@lodge.test"},
		"nothing":             {PublicURL: "http://l", Issuers: []Issuer{{}}},
		"two sources":         {PublicURL: "http://l", Issuers: []Issuer{{JWKSURL: "http://x/", PublicKeyFile: "x"}}},
		"short secret":        {PublicURL: "http://l", Issuers: []Issuer{{HS256Secret: "rmfisawesome"}}},
		"HS256 for keys":      {PublicURL: "http://l", Issuers: []Issuer{{JWKSURL: "http://x/", Algorithms: []string{"HS256"}}}},
		"RS256 for a secret":  {PublicURL: "http://l", Issuers: []Issuer{{HS256Secret: secret.String(strings.Repeat("x", 32)), Algorithms: []string{"RS256"}}}},
		"none":                {PublicURL: "http://l", Issuers: []Issuer{{JWKSURL: "http://x/", Algorithms: []string{"none"}}}},
		"a file":              {PublicURL: "http://l", Issuers: []Issuer{{PublicKeyFile: "/nowhere"}}},
		"a scheme":            {PublicURL: "http://l", Issuers: []Issuer{{JWKSURL: "file:///etc/passwd"}}},
		"header without peer": {PublicURL: "http://l", TrustedHeader: TrustedHeader{Name: "userid"}},
		"header of browsers":  {PublicURL: "http://l", TrustedHeader: TrustedHeader{Name: "Cookie"}},
	} {
		_, err := New(cfg, nil, nil, nil, nil, testKeys().own, newClock().now, nil)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "rmfisawesome") {
			t.Errorf("%s: the error quotes a secret", name)
		}
	}
}

func FuzzVerify(f *testing.F) {
	k := testKeys()
	keys := []jose.JSONWebKey{public(k.rsa, "rsa")}
	is, err := newIssuer(inProcess(keys...), newClock().now, nil)
	if err != nil {
		f.Fatal(err)
	}
	good := sign(f, jose.RS256, k.rsa, map[string]any{"kid": "rsa"}, newClock().claims(nil))
	f.Add(good)
	f.Add("..")
	f.Add(b64(map[string]any{"alg": "none"}) + "." + b64(map[string]any{"exp": 1}) + ".")
	f.Fuzz(func(t *testing.T, token string) {
		head, claims, err := parseToken(token)
		if err != nil {
			return
		}
		v, err := is.verify(t.Context(), token, head, claims, newClock().now())
		if err == nil && (token != good && !bytes.Equal([]byte(strings.Split(token, ".")[1]), []byte(strings.Split(good, ".")[1])) || v.subject != "u1") {
			t.Errorf("believed %q", token)
		}
		rolesIn(claims, "a.b.c")
	})
}

// BenchmarkVerify is what a busy caller costs, beside a bare RSA verification.
func BenchmarkVerify(b *testing.B) {
	k := testKeys()
	is, err := newIssuer(inProcess(public(k.rsa, "rsa")), newClock().now, nil)
	if err != nil {
		b.Fatal(err)
	}
	own, _ := newOwnKey(k.own)
	s := &Service{issuers: []*issuer{is}, own: own, now: newClock().now, verified: newCache[[32]byte, *verified](4096)}
	token := sign(b, jose.RS256, k.rsa, map[string]any{"kid": "rsa"}, newClock().claims(nil))
	b.Run("warm", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.verifyAnew(b.Context(), token, s.now()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bareRSA", func(b *testing.B) { benchRSA(b, k.rsa) })
}

func benchRSA(b *testing.B, key *rsa.PrivateKey) {
	sum, signature := rsaSignature(b, key)
	for b.Loop() {
		if err := rsaVerify(&key.PublicKey, sum, signature); err != nil {
			b.Fatal(err)
		}
	}
}
