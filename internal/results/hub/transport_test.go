package hub_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lodge/internal/fault"
	"lodge/internal/results/hub"
	"lodge/internal/results/hubsim"
	"lodge/internal/secret"
)

// forwarder is an HTTP proxy that asks for a password and sends everything to one address.
type forwarder struct {
	to   string
	mu   sync.Mutex
	seen []string
}

func (f *forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.seen = append(f.seen, r.Method+" "+r.Host)
	f.mu.Unlock()
	if r.Header.Get("Proxy-Authorization") != "Basic dXNlcjpwYXNz" { // user:pass
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		r.URL.Host, r.RequestURI = f.to, ""
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
		return
	}
	hub, err := net.Dial("tcp", f.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = hub.Close()
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(hub, client); _ = hub.Close() }()
	_, _ = io.Copy(client, hub)
	_ = client.Close()
}

func TestProxiesAndAuthorities(t *testing.T) {
	t.Parallel()
	sim := hubsim.New(hubsim.Options{Dir: t.TempDir()})
	plain := httptest.NewServer(sim.Handler())
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(sim.Handler()) // its certificate is for example.com too
	t.Cleanup(secure.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		hub     string
		to      *httptest.Server
		proxy   func(*hub.Config, secret.String)
		ca      string
		user    string
		want    string // what the proxy sees first
		kind    fault.Kind
		noProxy string
	}{
		"plain by http proxy":     {hub: "http://hub.test", to: plain, proxy: httpProxy, user: "user:pass", want: "POST hub.test"},
		"plain by the only proxy": {hub: "http://hub.test", to: plain, proxy: httpsProxy, user: "user:pass", want: "POST hub.test"},
		"tunnel":                  {hub: "https://example.com", to: secure, proxy: httpsProxy, ca: ca, user: "user:pass", want: "CONNECT example.com:443"},
		"tunnel by the only":      {hub: "https://example.com", to: secure, proxy: httpProxy, ca: ca, user: "user:pass", want: "CONNECT example.com:443"},
		"loopback too":            {hub: plain.URL, to: plain, proxy: httpProxy, user: "user:pass", want: "POST " + strings.TrimPrefix(plain.URL, "http://")},
		"exempt":                  {hub: plain.URL, to: plain, proxy: httpProxy, user: "user:pass", noProxy: "a.example, 127.0.0.1"},
		"not trusted":             {hub: "https://example.com", to: secure, proxy: httpsProxy, user: "user:pass", want: "CONNECT example.com:443", kind: fault.Unavailable},
		"wrong password":          {hub: "https://example.com", to: secure, proxy: httpsProxy, ca: ca, user: "user:canary", want: "CONNECT example.com:443", kind: fault.Unavailable},
		"direct with CA":          {hub: secure.URL, ca: ca},
		"direct, not trusted":     {hub: secure.URL, kind: fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(tt.hub)
			cfg.CAFile, cfg.NoProxy = tt.ca, tt.noProxy
			f := &forwarder{}
			if tt.to != nil {
				f.to = tt.to.Listener.Addr().String()
				proxy := httptest.NewServer(f)
				t.Cleanup(proxy.Close)
				tt.proxy(&cfg, secret.String("http://"+tt.user+"@"+proxy.Listener.Addr().String()))
			}
			c := client(t, cfg)
			_, err := c.Analysis(t.Context(), analysis)
			c.Close()
			if fault.KindOf(err) != tt.kind && (err != nil || tt.kind != fault.Internal) {
				t.Errorf("%v (%s)", err, fault.KindOf(err))
			}
			if strings.Contains(fmt.Sprint(err), "canary") || strings.Contains(fmt.Sprint(err), "pass") {
				t.Errorf("the error tells the proxy's password: %v", err)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			first := ""
			if len(f.seen) > 0 {
				first = f.seen[0]
			}
			if first != tt.want {
				t.Errorf("the proxy saw %q first, want %q", first, tt.want)
			}
		})
	}
}

func httpProxy(c *hub.Config, p secret.String)  { c.ProxyHTTP = p }
func httpsProxy(c *hub.Config, p secret.String) { c.ProxyHTTPS = p }
