package identity

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"lodge/internal/fault"
)

const (
	// fetchTimeout bounds a call to an issuer, fetchSize the answer.
	fetchTimeout = 5 * time.Second
	fetchSize    = 1 << 20
	// minSecret is the least length of an HS256 secret: the output size of the hash.
	minSecret = 32
)

// issuer is a configured Issuer, ready for use.
type issuer struct {
	Issuer
	// id is what identifies its people together with their subject.
	id        string
	algs      []jose.SignatureAlgorithm
	audiences []string
	keys      keySource
	set       *keySet // nil without a network
	client    *http.Client
	now       func() time.Time

	mu         sync.Mutex
	provider   *discovered
	discovered time.Time
}

// discovered is what an issuer's discovery document says.
type discovered struct {
	JWKSURI        string `json:"jwks_uri"`
	AuthURL        string `json:"authorization_endpoint"`
	TokenURL       string `json:"token_endpoint"`
	EndSessionURL  string `json:"end_session_endpoint"`
	RequiresIssuer bool   `json:"authorization_response_iss_parameter_supported"`
}

func newIssuer(c Issuer, now func() time.Time, log *slog.Logger) (*issuer, error) {
	is := &issuer{Issuer: c, id: cmp.Or(c.ID, c.Issuer), audiences: c.Audiences, now: now}
	if len(is.audiences) == 0 && c.ClientID != "" {
		is.audiences = []string{c.ClientID}
	}
	if is.NameClaim == "" {
		is.NameClaim = "preferred_username"
	}
	if err := is.setAlgorithms(); err != nil {
		return nil, err
	}
	var err error
	if is.client, err = newClient(c); err != nil {
		return nil, err
	}
	if c.ClientID != "" && c.Issuer == "" {
		return nil, errors.New("a client_id for browser logins needs issuer, which tells where people log in")
	}
	return is, is.setKeys(log)
}

// setAlgorithms checks the allow-list, or gives the default one.
func (is *issuer) setAlgorithms() error {
	symmetric := is.HS256Secret != ""
	if len(is.Algorithms) == 0 {
		is.algs = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}
		if symmetric {
			is.algs = []jose.SignatureAlgorithm{jose.HS256}
		}
		return nil
	}
	known := []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}
	if symmetric {
		known = []jose.SignatureAlgorithm{jose.HS256}
	}
	for _, name := range is.Algorithms {
		alg := jose.SignatureAlgorithm(name)
		if !slices.Contains(known, alg) {
			return fmt.Errorf("algorithm %q is not one of %v, which fit its keys", name, known)
		}
		is.algs = append(is.algs, alg)
	}
	return nil
}

// setKeys finds the one source of keys.
func (is *issuer) setKeys(log *slog.Logger) error {
	sources := 0
	for _, given := range []bool{is.JWKSURL != "", is.PublicKeyFile != "", is.HS256Secret != "", is.Keys != nil} {
		if given {
			sources++
		}
	}
	if sources > 1 {
		return errors.New("give one source of keys: jwks_url, public_key_file or hs256_secret")
	}
	for name, address := range map[string]string{"issuer": is.Issuer.Issuer, "jwks_url": is.JWKSURL} {
		if name == "issuer" && sources > 0 {
			continue // a name only; some are no addresses
		}
		if u, err := url.Parse(address); address != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return fmt.Errorf("%s %q is not an http or https address", name, address)
		}
	}
	switch {
	case is.PublicKeyFile != "":
		keys, err := readKeyFile(is.PublicKeyFile)
		if err != nil {
			return err
		}
		is.keys = static(keys)
		is.nameAfter("key:" + thumbprint(keys[0]))
	case is.HS256Secret != "":
		key := []byte(is.HS256Secret.Reveal())
		if len(key) < minSecret && !is.ShortSecret {
			return fmt.Errorf("the hs256_secret is too short: it needs at least %d bytes, such as the output of `openssl rand -hex 32`", minSecret)
		}
		// The library takes no short keys. HMAC fills them up with zeros anyway.
		key = append(key, make([]byte, max(0, minSecret-len(key)))...)
		is.keys = static([]jose.JSONWebKey{{Key: key}})
		is.nameAfter("secret:hs256")
	case is.Keys != nil:
		if is.Issuer.Issuer == "" {
			return errors.New("a provider in this process needs issuer")
		}
		is.keys = func(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
			keys, err := is.Keys(ctx)
			return choose(keys, kid), err
		}
	case is.JWKSURL != "" || is.Issuer.Issuer != "":
		is.nameAfter(is.JWKSURL)
		is.set = &keySet{name: is.id, fetch: is.fetchKeys, now: is.now, log: log}
		is.keys = is.set.find
	default:
		return errors.New("it needs issuer, jwks_url, public_key_file or hs256_secret")
	}
	return nil
}

func (is *issuer) nameAfter(source string) {
	if is.id == "" {
		is.id = source
	}
}

// static gives keys that never change. A file's keys have no ids, so a token's is not looked at
// unless some key has one.
func static(keys []jose.JSONWebKey) keySource {
	named := slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool { return k.KeyID != "" })
	return func(_ context.Context, kid string) ([]jose.JSONWebKey, error) {
		if !named {
			return keys, nil
		}
		return choose(keys, kid), nil
	}
}

// fetchKeys gets the published keys.
func (is *issuer) fetchKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	address := is.JWKSURL
	if address == "" {
		d, err := is.discover(ctx)
		if err != nil {
			return nil, err
		}
		address = d.JWKSURI
	}
	body, err := is.get(ctx, address)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(body)
	if err != nil {
		return nil, fault.Wrap(fmt.Errorf("%w: %w", ErrProvider, err), fault.Upstream, "Auth provider is unavailable")
	}
	return keys, nil
}

func (is *issuer) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, away(err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := is.client.Do(req)
	if err != nil {
		return nil, away(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, away(fmt.Errorf("%s answered %s", address, resp.Status))
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, away(err)
	}
	return body, nil
}

func away(err error) error {
	return fault.Wrap(fmt.Errorf("%w: %w", ErrProvider, err), fault.Upstream, "Auth provider is unavailable")
}

// discover reads the discovery document, and again after a while: providers move their keys.
func (is *issuer) discover(ctx context.Context) (*discovered, error) {
	is.mu.Lock()
	d, at := is.provider, is.discovered
	is.mu.Unlock()
	if d != nil && is.now().Sub(at) < time.Hour {
		return d, nil
	}
	fresh, err := is.readDiscovery(ctx)
	if err != nil {
		if d != nil {
			return d, nil
		}
		return nil, err
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	is.provider, is.discovered = fresh, is.now()
	return fresh, nil
}

func (is *issuer) readDiscovery(ctx context.Context) (*discovered, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, is.client), fetchTimeout)
	defer cancel()
	p, err := oidc.NewProvider(ctx, is.Issuer.Issuer) // refuses a document for another issuer
	if err != nil {
		return nil, away(err)
	}
	var d discovered
	if err := p.Claims(&d); err != nil {
		return nil, away(err)
	}
	for _, address := range []string{d.JWKSURI, d.AuthURL, d.TokenURL, d.EndSessionURL} {
		if u, err := url.Parse(address); address != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || downgraded(is.Issuer.Issuer, u)) {
			return nil, away(fmt.Errorf("the discovery document names the address %q", address))
		}
	}
	return &d, nil
}

// downgraded refuses to leave TLS because a document says so.
func downgraded(issuer string, u *url.URL) bool {
	return strings.HasPrefix(issuer, "https:") && u.Scheme != "https"
}

// newClient makes the HTTP client for one issuer: bounded in time and size, without redirects.
func newClient(c Issuer) (*http.Client, error) {
	transport := c.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.ResponseHeaderTimeout = fetchTimeout
		if c.CAFile != "" {
			pool, err := x509.SystemCertPool()
			if err != nil {
				pool = x509.NewCertPool()
			}
			pem, err := os.ReadFile(c.CAFile)
			if err != nil {
				return nil, fmt.Errorf("read ca_file: %w", err)
			}
			if !pool.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("ca_file %s holds no certificate", c.CAFile)
			}
			t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		}
		transport = t
	}
	return &http.Client{
		Transport: limited{transport}, Timeout: fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// limited bounds the size of answers.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{http.MaxBytesReader(nil, resp.Body, fetchSize), resp.Body}
	}
	return resp, err
}
