package lodge

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"lodge/internal/config"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
)

// publicRoutes are all that need no login; a part that is alone stands at the root.
var publicRoutes = []string{
	"GET /.well-known/jwks.json", "GET /auth/callback", "GET /redirect_uri", "POST /auth/backchannel-logout", "GET /auth/login", "POST /auth/logout", "GET /auth/page/{file}",
	"GET /docs", "GET /docs/docs.css", "GET /docs/oauth2-redirect", "GET /healthz", "GET /openapi.json", "GET /readyz", "GET /redoc",
	"GET /results/docs", "GET /results/docs/docs.css", "GET /results/docs/oauth2-redirect", "GET /results/healthz", "GET /results/openapi.json", "GET /results/redoc",
	"GET /fleet/docs", "GET /fleet/docs/docs.css", "GET /fleet/docs/oauth2-redirect", "GET /fleet/openapi.json", "GET /fleet/redoc",
	"GET /fleet/time", "GET /fleet/socket.io", "GET /fleet/cache/{map}/{image}", "GET /fleet/_internal",
	"GET /workflows/docs", "GET /workflows/docs/docs.css", "GET /workflows/docs/oauth2-redirect", "GET /workflows/openapi.json", "GET /workflows/redoc", "GET /workflows/livez", "GET /workflows/readyz", "GET /workflows/versionz",
	"GET /workflows/api/v1/spec", "GET /workflows/api/v1/spec/flowify.json",
	"GET /auth/app", "GET /open/{app}",
	"GET /hub/api", "GET /hub/api/docs", "GET /hub/api/docs/docs.css", "GET /hub/api/docs/oauth2-redirect", "GET /hub/api/openapi.json", "GET /hub/api/redoc",
}

// asksItself is the route that finds its caller itself: stock fleet adapters can only be given an
// address, so that their token stands in it.
const asksItself = "/_internal"

// site is a server with everybody who may call it.
type site struct {
	*Lodge
	key    *rsa.PrivateKey
	client *http.Client
}

const (
	walkIssuer   = "https://issuer.test"
	walkAudience = "lodge"
)

func startSite(t *testing.T, parts ...string) *site {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	dir := t.TempDir()
	keyFile := filepath.Join(dir, "issuer.pem")
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	issuers, err := json.Marshal([]map[string]any{{"issuer": walkIssuer, "public_key_file": keyFile, "audiences": []string{walkAudience}}})
	must(t, err)
	cfg, err := config.Load(config.Input{File: os.DevNull, Environ: []string{
		"LODGE_DATA=" + filepath.Join(dir, "data"), "LODGE_LISTEN=127.0.0.1:0", "LODGE_IDENTITY_ISSUERS=" + string(issuers),
		"LODGE_IDENTITY_TRUSTED_HEADER_NAME=X-User", "LODGE_IDENTITY_TRUSTED_HEADER_PROXIES=127.0.0.1", "LODGE_IDENTITY_ADMINS=boss", "LODGE_APPS_JUPYTERHUB_API=true",
	}})
	must(t, err)
	l, err := Open(t.Context(), cfg, Options{Parts: parts, Version: "test", Out: io.Discard, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- l.Serve(ctx) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		must(t, l.Close())
	})
	return &site{l, key, &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// token is a token of the issuer, good but for the changes.
func (s *site) token(t *testing.T, alg jose.SignatureAlgorithm, key any, changes map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": walkIssuer, "aud": walkAudience, "sub": "stranger", "preferred_username": "stranger",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	body, err := json.Marshal(claims)
	must(t, err)
	if alg == "none" {
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(body) + "."
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	must(t, err)
	signed, err := signer.Sign(body)
	must(t, err)
	text, err := signed.CompactSerialize()
	must(t, err)
	return text
}

// service makes a service token that is no analysis.
func (s *site) service(t *testing.T, admin bool) (token, id string) {
	t.Helper()
	office := &Office{s.platform}
	jwt, err := office.CreateToken(t.Context(), "test", identity.TokenRequest{Name: "walker", Admin: admin, Claims: map[string]any{"client_id": ""}})
	must(t, err)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt.Reveal(), ".")[1])
	must(t, err)
	var claims struct {
		ID string `json:"jti"`
	}
	must(t, json.Unmarshal(payload, &claims))
	return jwt.Reveal(), claims.ID
}

var wildcard = regexp.MustCompile(`\{[a-z_]+(\.\.\.)?\}`)

// call calls a route with something in the place of every name in its path, and gives the status
// and the beginning of the body.
func (s *site) call(t *testing.T, r httpapi.RegisteredRoute, head http.Header) (int, string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	path := strings.ReplaceAll(r.Pattern, "{version}", "1")
	path = wildcard.ReplaceAllString(path, "0192f3a1-0000-7000-8000-000000000001")
	req, err := http.NewRequestWithContext(ctx, r.Method, s.Address()+path, http.NoBody)
	must(t, err)
	if text := sent(r); text != "" {
		req, err = http.NewRequestWithContext(ctx, r.Method, s.Address()+path, strings.NewReader(text))
		must(t, err)
		req.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(req.Header, head)
	resp, err := s.client.Do(req)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return resp.StatusCode, "" // it does not end by itself
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 2000))
	must(t, err)
	return resp.StatusCode, string(body)
}

// sent is what a route of the workflows part must read before it knows whose workspace it is about.
func sent(r httpapi.RegisteredRoute) string {
	if !strings.HasPrefix(r.Action, "workflows.") || r.Method == http.MethodGet {
		return ""
	}
	const (
		id       = "0192f3a1-0000-7000-8000-000000000001"
		workflow = `{"type":"workflow","name":"w","uid":"` + id + `","workspace":"elsewhere","component":{"type":"component","uid":"` + id + `","implementation":{"type":"any"}}}`
	)
	_, at, _ := strings.Cut(r.Pattern, "/api/v1/")
	switch kind, _, _ := strings.Cut(at, "/"); {
	case kind == "workspaces":
		return `{"name":"elsewhere","roles":["x"]}`
	case kind == "workflows" && r.Method == http.MethodPost:
		return `{"workflow":` + strings.Replace(workflow, `"uid":"`+id+`",`, "", 1) + `}`
	case kind == "workflows" && r.Method != http.MethodDelete:
		return `{"workflow":` + workflow + `}`
	case at == "jobs":
		return `{"job":{"type":"job","workflow":` + workflow + `}}`
	case kind == "secrets" && r.Method == http.MethodPut:
		return `{"key":"` + id + `","value":"v"}`
	case kind == "volumes" && r.Method == http.MethodPost:
		return `{"workspace":"` + id + `","volume":{"name":"v","emptyDir":{}}}`
	case kind == "volumes" && r.Method == http.MethodPut:
		return `{"uid":"` + id + `","workspace":"` + id + `","volume":{"name":"v","emptyDir":{}}}`
	}
	return ""
}

// unknownToWorkflows is how that part's clients know a missing login.
func unknownToWorkflows(r httpapi.RegisteredRoute, status int, body string) bool {
	theirs := strings.HasPrefix(r.Action, "workflows.") || strings.Contains(r.Pattern, "/api/v1/")
	return theirs && status == http.StatusBadRequest && strings.Contains(body, `"summary":"could not authenticate"`)
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// TestAuthorisationWalk calls every route there is as nobody, with tokens that must not be believed,
// without the permission, from another site's page, and as an administrator: so that a route that
// lets somebody in, or nobody, cannot be added unseen. The classes "route accepts a bogus token",
// "forgotten permission on one route" and "CSRF".
func TestAuthorisationWalk(t *testing.T) {
	t.Parallel()
	for name, parts := range map[string][]string{"all parts": nil, "results alone": {"results"}, "fleet alone": {"fleet"}, "workflows alone": {"workflows"}, "apps alone": {"apps"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, parts...)
			routes := s.Routes()
			if len(routes) < 50 {
				t.Fatalf("only %d routes", len(routes))
			}
			s.walkPublic(t, routes, len(parts) == 1)
			guarded := slices.DeleteFunc(routes, func(r httpapi.RegisteredRoute) bool { return r.Action == httpapi.Public })
			s.walkGuarded(t, guarded)
		})
	}
}

// walkPublic compares the routes that need no login with the list, and sees that they need none.
func (s *site) walkPublic(t *testing.T, routes []httpapi.RegisteredRoute, alone bool) {
	t.Helper()
	for _, r := range routes {
		if r.Action != httpapi.Public {
			continue
		}
		if !slices.ContainsFunc(publicRoutes, func(listed string) bool {
			method, path, _ := strings.Cut(listed, " ")
			return method == r.Method && (path == r.Pattern || alone && strings.HasSuffix(path, r.Pattern))
		}) {
			t.Errorf("%s %s needs no login: is that meant?", r.Method, r.Pattern)
		}
		status, body := s.call(t, r, nil)
		if strings.HasSuffix(r.Pattern, asksItself) {
			if status != http.StatusUnauthorized {
				t.Errorf("%s lets nobody in: %d", r.Pattern, status)
			}
			continue
		}
		if status == http.StatusUnauthorized || status >= 500 {
			t.Errorf("%s %s: %d %s", r.Method, r.Pattern, status, body)
		}
	}
	if alone {
		return
	}
	for _, want := range publicRoutes {
		if !slices.ContainsFunc(routes, func(r httpapi.RegisteredRoute) bool { return r.Method+" "+r.Pattern == want }) {
			t.Errorf("%s is listed as public and not served", want)
		}
	}
}

func (s *site) walkGuarded(t *testing.T, routes []httpapi.RegisteredRoute) {
	t.Helper()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(s.key.Public())
	must(t, err)
	asSecret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	now := time.Now()
	good := s.token(t, jose.RS256, s.key, nil)
	revoked, id := s.service(t, true)
	must(t, s.identity.RevokeToken((&Office{s.platform}).as(t.Context(), "test"), id))

	bogus := map[string]string{
		"garbage":                  "garbage",
		"expired":                  s.token(t, jose.RS256, s.key, map[string]any{"exp": now.Add(-time.Hour).Unix(), "iat": now.Add(-2 * time.Hour).Unix()}),
		"for another audience":     s.token(t, jose.RS256, s.key, map[string]any{"aud": "somebody else"}),
		"from another issuer":      s.token(t, jose.RS256, s.key, map[string]any{"iss": "https://elsewhere.test"}),
		"unsigned":                 s.token(t, "none", nil, nil),
		"signed by another key":    s.token(t, jose.RS256, other, nil),
		"of another algorithm":     s.token(t, jose.RS512, s.key, nil),
		"the public key as secret": s.token(t, jose.HS256, asSecret, nil),
		"the signature cut off":    good[:strings.LastIndexByte(good, '.')+1],
		"revoked":                  revoked,
	}
	refusals := map[string]http.Header{"nobody": nil, "another scheme": {"Authorization": {"Basic Ym9zczpib3Nz"}}}
	for name, token := range bogus {
		refusals[name] = bearer(token)
	}
	admin, _ := s.service(t, true)
	for _, r := range routes {
		at := r.Method + " " + r.Pattern
		for name, head := range refusals {
			status, body := s.call(t, r, head)
			if status != http.StatusUnauthorized && status != http.StatusForbidden && !unknownToWorkflows(r, status, body) {
				t.Errorf("%s, %s: %d %s", at, name, status, body)
			}
		}
		status, body := s.call(t, r, bearer(good))
		switch {
		case r.Action == "self":
			if status == http.StatusUnauthorized || status == http.StatusForbidden {
				t.Errorf("%s refuses whoever is known: %d %s", at, status, body)
			}
		case strings.HasPrefix(r.Action, "workflows."):
			// What is in a workspace that one cannot see is not there; some clients know 401 for 403.
			none := status == http.StatusOK && strings.HasPrefix(body, `{"items":[],`)
			if status != http.StatusForbidden && status != http.StatusUnauthorized && status != http.StatusNotFound && !none {
				t.Errorf("%s, without %s: %d %s", at, r.Action, status, body)
			}
		case (r.Mount == "apps" || r.Mount == "jupyterhub") && r.InService && (status == http.StatusNotFound || status == http.StatusOK && strings.HasPrefix(body, `{"items":[]`)):
			// What is not theirs to see does not exist.
		case status != http.StatusForbidden:
			t.Errorf("%s, without %s: %d %s", at, r.Action, status, body)
		}
		if r.Method != http.MethodGet {
			head := http.Header{"X-User": {"boss"}, "Origin": {"https://evil.test"}, "Sec-Fetch-Site": {"cross-site"}}
			if status, body := s.call(t, r, head); status != http.StatusForbidden && (status != http.StatusUnauthorized || !strings.Contains(body, "not authorized")) {
				t.Errorf("%s, from another site's page: %d %s", at, status, body)
			}
		}
		// Whoever may, gets past all that: otherwise this walk would prove nothing.
		for name, head := range map[string]http.Header{
			"an administrator's token": bearer(admin), "an administrator behind the proxy": {"X-User": {"boss"}, "Sec-Fetch-Site": {"same-origin"}},
		} {
			if status, body := s.call(t, r, head); status == http.StatusUnauthorized || status == http.StatusForbidden {
				t.Errorf("%s refuses %s: %s", at, name, fmt.Sprint(status, " ", body))
			}
		}
	}
}
