package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
)

// Keys are made once: that is what would cost most of a test's time.
var testKeys = sync.OnceValue(func() (k struct {
	own, rsa, other *rsa.PrivateKey
	ec              *ecdsa.PrivateKey
	ed              ed25519.PrivateKey
},
) {
	must := func(key *rsa.PrivateKey, err error) *rsa.PrivateKey {
		if err != nil {
			panic(err)
		}
		return key
	}
	k.own = must(rsa.GenerateKey(rand.Reader, 2048))
	k.rsa = must(rsa.GenerateKey(rand.Reader, 2048))
	k.other = must(rsa.GenerateKey(rand.Reader, 2048))
	k.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, k.ed, _ = ed25519.GenerateKey(rand.Reader)
	return k
})

// clock stands still unless moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// site is a service on a database of its own.
type site struct {
	*Service
	clock *clock
	db    *database.DB
	acc   *access.Service
	log   *logBuffer
}

func (s *site) now() time.Time                               { return s.clock.now() }
func (s *site) move(d time.Duration)                         { s.clock.move(d) }
func (s *site) claims(changes map[string]any) map[string]any { return s.clock.claims(changes) }

// logBuffer keeps the log, to look for what must not be in it.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

var catalogue = []access.ActionInfo{
	{Action: "users.write", Help: "h", Part: "platform"},
	{Action: "tokens.read", Help: "h", Part: "platform"},
	{Action: "tokens.write", Help: "h", Part: "platform"},
	{Action: "sessions.read", Help: "h", Part: "platform"},
	{Action: "sessions.write", Help: "h", Part: "platform"},
	{Action: "audit.read", Help: "h", Part: "platform"},
}

func newSite(t testing.TB, cfg Config) *site {
	t.Helper()
	c := newClock()
	db := databasetest.SQLite(t)
	return newSiteOn(t, cfg, db, c)
}

func newSiteOn(t testing.TB, cfg Config, db *database.DB, c *clock) *site {
	t.Helper()
	buffer := &logBuffer{}
	log := slog.New(slog.NewTextHandler(buffer, &slog.HandlerOptions{Level: slog.LevelDebug}))
	_, seal, _ := ed25519.GenerateKey(rand.Reader)
	journal := audit.New(db, nil, seal, c.now, log)
	acc := access.New(db, nil, func(context.Context, *database.Tx, string, string, string) error { return nil }, catalogue, c.now, log)
	if cfg.PublicURL == "" {
		cfg.PublicURL = "http://lodge.test"
	}
	s, err := New(cfg, db, nil, acc, journal, testKeys().own, c.now, log)
	if err != nil {
		t.Fatal(err)
	}
	return &site{Service: s, clock: c, db: db, acc: acc, log: buffer}
}

// as is a context of an administrator, as the command line has it.
func asAdmin(ctx context.Context) context.Context {
	return access.WithCaller(ctx, &access.Caller{Name: "test", Subject: "test", Admin: true, Credential: access.Credential{Kind: "cli"}})
}

// ask authenticates a request with the token and gives the caller.
func (s *site) ask(t testing.TB, token string) (*access.Caller, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/api/v1/me", http.NoBody)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	ctx, err := s.Authenticate(r)
	if err != nil {
		return nil, err
	}
	return access.CallerFrom(ctx), nil
}

// claims are good ones at the clock, with changes; nil removes a claim.
func (c *clock) claims(changes map[string]any) map[string]any {
	at := c.now().Unix()
	all := map[string]any{"iss": "https://issuer.test", "sub": "u1", "aud": "lodge", "iat": at, "exp": at + 600, "preferred_username": "alice", "email": "a@x.test"}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// sign makes a token by hand, so that it can be wrong in every way.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, header, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return signBody(t, alg, key, header, body)
}

func signBody(t testing.TB, alg jose.SignatureAlgorithm, key any, header map[string]any, body []byte) string {
	t.Helper()
	opts := &jose.SignerOptions{}
	for k, v := range header {
		opts.WithHeader(jose.HeaderKey(k), v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func b64(v any) string {
	raw, ok := v.([]byte)
	if !ok {
		raw, _ = json.Marshal(v)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func public(key crypto.Signer, kid string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: kid}
}

// fakeIssuer publishes keys, and can be made to misbehave.
type fakeIssuer struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetches int
	answer  func(w http.ResponseWriter) // instead of the keys
}

func newFakeIssuer(t testing.TB, keys ...jose.JSONWebKey) *fakeIssuer {
	f := &fakeIssuer{keys: keys}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeIssuer) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/.well-known/openid-configuration" {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": f.URL, "jwks_uri": f.URL + "/keys", "authorization_endpoint": f.URL + "/auth", "token_endpoint": f.URL + "/token",
			"end_session_endpoint": f.URL + "/logout",
		})
		return
	}
	f.mu.Lock()
	f.fetches++
	answer, keys := f.answer, f.keys
	f.mu.Unlock()
	if answer != nil {
		answer(w)
		return
	}
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: keys})
}

func (f *fakeIssuer) set(answer func(w http.ResponseWriter), keys ...jose.JSONWebKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer, f.keys = answer, keys
}

func (f *fakeIssuer) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fetches
}

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

func says(body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _, _ = io.WriteString(w, body) }
}

// answers lets a provider's token endpoint say this, whatever it is asked.
func answers(status int, body string) func(p *otherProvider) {
	return func(p *otherProvider) {
		p.answer = func(w http.ResponseWriter) bool {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			says(body)(w)
			return true
		}
	}
}

func staticKeys(keys []jose.JSONWebKey) func(context.Context) ([]jose.JSONWebKey, error) {
	return func(context.Context) ([]jose.JSONWebKey, error) { return keys, nil }
}

func rsaSignature(t testing.TB, key *rsa.PrivateKey) (sum, signature []byte) {
	t.Helper()
	digest := sha256.Sum256(make([]byte, 500))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return digest[:], signature
}

func rsaVerify(key *rsa.PublicKey, sum, signature []byte) error {
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, signature)
}

func newLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
