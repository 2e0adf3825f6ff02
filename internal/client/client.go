// Package client is what `lodge put`, `lodge get` and `lodge run` do: it carries
// files to and from the results part of a Lodge server, and jobs to its workflows
// part. Bodies stream; a download that was cut goes on where it stopped; what
// arrives is compared with the server's SHA-256. Every error is a sentence for the person at the terminal.
//
// The package reads no environment and no stored login: whoever makes a Client
// says where the server is and hands it a source of tokens.
package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"lodge/internal/fault"
)

// TokenSource gives the bearer token for the next request. It is asked again when the server
// refuses a token, and may then give another.
type TokenSource func(ctx context.Context) (string, error)

// StaticToken always gives the same token.
func StaticToken(token string) TokenSource {
	return func(context.Context) (string, error) { return token, nil }
}

// Progress is told how many bytes of how many are done; total is -1 when it is not known.
type Progress func(done, total int64)

// Config says which server to talk to.
type Config struct {
	// Server is the address of Lodge, such as https://lodge.example.
	Server string
	// Token gives the token; nil asks without one.
	Token TokenSource
	// CAFile is a PEM bundle that is trusted beside the system's.
	CAFile string
	// Attempts is how often in a row a download may stop without having gone on; 0 is 6.
	Attempts int
	// Pause is how long to wait before the first new attempt, doubled each time; 0 is 500 ms.
	Pause time.Duration
	// Idle is how long a transfer may make no progress; 0 is 90 s.
	Idle time.Duration
}

// Client carries files. It is safe for concurrent use.
type Client struct {
	cfg  Config
	base string
	http *http.Client

	mu       sync.Mutex
	prefixes map[string]string // where parts stand, once that is known
}

// New makes a client; it does not call the server.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.Server)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fault.New(fault.Invalid, "The server's address must be like https://lodge.example.")
	}
	if u.User != nil {
		return nil, fault.New(fault.Invalid, "The server's address must not contain a user or password.")
	}
	u.RawQuery, u.Fragment = "", ""
	roots, err := roots(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	cfg.Pause, cfg.Idle = cmp.Or(cfg.Pause, 500*time.Millisecond), cmp.Or(cfg.Idle, 90*time.Second)
	cfg.Attempts = cmp.Or(cfg.Attempts, 6)
	return &Client{
		cfg: cfg, base: strings.TrimRight(u.String(), "/"), prefixes: map[string]string{},
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
				TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout: 10 * time.Second,
				ForceAttemptHTTP2:   true,
				// How long a server may think before it takes or refuses the body.
				ExpectContinueTimeout: 2 * time.Second,
				DisableCompression:    true, // a range counts the file's own bytes
				WriteBufferSize:       256 << 10,
				ReadBufferSize:        256 << 10,
			},
			// A body cannot be sent twice, and a token belongs to the address that was given.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close drops the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil // the system's
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The CA file cannot be read.")
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Invalid, "The CA file %s holds no PEM certificate.", file)
	}
	return pool, nil
}

// address gives the address of a route of the results part.
func (c *Client) address(ctx context.Context, elements ...string) (string, error) {
	return c.below(ctx, "results", "/healthz", elements...)
}

// below gives the address of a route of a part, which stands under its name when all parts are served
// and at the root when it is served alone. It is found by a page that needs no login.
func (c *Client) below(ctx context.Context, part, page string, elements ...string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	prefix, found := c.prefixes[part]
	for _, candidate := range []string{"/" + part, ""} {
		if found {
			break
		}
		ctx, stop := context.WithTimeoutCause(ctx, 15*time.Second, errSlow)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+candidate+page, nil)
		if err != nil {
			stop()
			return "", fmt.Errorf("make a request: %w", err)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			err = c.failure(ctx, err)
			stop()
			return "", err
		}
		drain(resp)
		stop()
		if resp.StatusCode/100 == 3 {
			return "", redirected(resp)
		}
		if resp.StatusCode/100 == 2 {
			prefix, found = candidate, true
			c.prefixes[part] = prefix
		}
	}
	if !found {
		return "", fault.New(fault.Unavailable, "At %s nothing answers as Lodge's %s part does.", c.base, part)
	}
	var s strings.Builder
	s.WriteString(c.base + prefix)
	for _, e := range elements {
		s.WriteString("/" + url.PathEscape(e))
	}
	return s.String(), nil
}

// authorize puts the token on the request.
func (c *Client) authorize(req *http.Request) error {
	if c.cfg.Token == nil {
		return nil
	}
	token, err := c.cfg.Token(req.Context())
	if err != nil {
		return err // whoever gives tokens has said what to do
	}
	if token = strings.TrimSpace(token); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return nil
}

// get asks for an address; a token that is refused is asked for again once.
func (c *Client) get(ctx context.Context, address string, head http.Header) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, fmt.Errorf("make a request: %w", err)
		}
		for k, v := range head {
			req.Header[k] = v
		}
		req.Header.Set("Accept-Encoding", "identity")
		if err := c.authorize(req); err != nil {
			return nil, err
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return nil, c.failure(ctx, err)
		}
		if attempt > 0 || c.cfg.Token == nil || resp.StatusCode != http.StatusUnauthorized {
			return resp, nil
		}
		drain(resp)
	}
}

// watch gives a context that ends when progress has not been called for the idle time.
func (c *Client) watch(ctx context.Context) (_ context.Context, progress, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(c.cfg.Idle, func() { cancel(errSlow) })
	return ctx, func() {
			if timer.Stop() {
				timer.Reset(c.cfg.Idle)
			}
		}, func() {
			timer.Stop()
			cancel(context.Canceled)
		}
}

var errSlow = errors.New("no progress")
