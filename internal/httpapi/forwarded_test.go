package httpapi

import (
	"net/http"
	"strings"
	"testing"
)

// TestForwarded is header smuggling: what peers say is believed of listed proxies alone.
func TestForwarded(t *testing.T) {
	t.Parallel()
	h := newServer(t, Config{TrustedProxies: prefixes("10.0.0.0/8", "fd00::/8", "127.0.0.1/32")}, Mount{Name: "x", Routes: []Route{
		get("/who", func(w http.ResponseWriter, r *http.Request) error {
			var left []string
			for _, name := range forwardedHeaders {
				if r.Header.Get(name) != "" {
					left = append(left, name)
				}
			}
			return JSON(w, http.StatusOK, strings.Join([]string{ClientAddress(r.Context()), PublicURL(r), strings.Join(left, "+")}, " "))
		}),
	}}).Handler()
	const outside, proxy = "203.0.113.9:4711", "10.1.2.3:80"
	tests := []struct {
		name, peer string
		headers    map[string][]string
		want       string
	}{
		{"direct", outside, nil, "203.0.113.9 http://example.com "},
		{"a stranger says whatever", outside, map[string][]string{
			"X-Forwarded-For": {"1.1.1.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil.example"}, "Forwarded": {"for=1.1.1.1"}, "X-Real-Ip": {"1.1.1.1"},
		}, "203.0.113.9 http://example.com "},
		{
			"a proxy", proxy,
			map[string][]string{"X-Forwarded-For": {"198.51.100.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"Lodge.Example:8443"}},
			"198.51.100.1 https://lodge.example:8443 X-Forwarded-For+X-Forwarded-Host+X-Forwarded-Proto",
		},
		{"the client wrote the left part", proxy, map[string][]string{"X-Forwarded-For": {"1.1.1.1, 198.51.100.1"}}, "198.51.100.1 http://example.com X-Forwarded-For"},
		{"two proxies", proxy, map[string][]string{"X-Forwarded-For": {"1.1.1.1, 198.51.100.1, 10.9.9.9"}}, "198.51.100.1 http://example.com X-Forwarded-For"},
		{"several headers are one list", proxy, map[string][]string{"X-Forwarded-For": {"1.1.1.1", "198.51.100.1", "10.9.9.9"}}, "198.51.100.1 http://example.com X-Forwarded-For"},
		{"all are proxies", proxy, map[string][]string{"X-Forwarded-For": {"10.5.5.5, 10.6.6.6"}}, "10.5.5.5 http://example.com X-Forwarded-For"},
		{"rubbish ends the walk", proxy, map[string][]string{"X-Forwarded-For": {"1.1.1.1, unknown, 10.6.6.6"}}, "10.6.6.6 http://example.com X-Forwarded-For"},
		{"only rubbish", proxy, map[string][]string{"X-Forwarded-For": {"<script>"}}, "10.1.2.3 http://example.com X-Forwarded-For"},
		{"empty", proxy, map[string][]string{"X-Forwarded-For": {""}}, "10.1.2.3 http://example.com "},
		{"with ports", proxy, map[string][]string{"X-Forwarded-For": {"198.51.100.1:5000, [fd00::1]:80"}}, "198.51.100.1 http://example.com X-Forwarded-For"},
		{"IPv6", "[fd00::2]:80", map[string][]string{"X-Forwarded-For": {"2001:db8::1"}}, "2001:db8::1 http://example.com X-Forwarded-For"},
		{"mapped IPv4 is IPv4", "[::ffff:10.1.2.3]:80", map[string][]string{"X-Forwarded-For": {"::ffff:198.51.100.1"}}, "198.51.100.1 http://example.com X-Forwarded-For"},
		{"underscores are another header", proxy, map[string][]string{"X_forwarded_for": {"1.1.1.1"}, "X_Forwarded_Proto": {"https"}}, "10.1.2.3 http://example.com "},
		{
			"the nearest proxy's word counts", proxy,
			map[string][]string{"X-Forwarded-Proto": {"https, http"}, "X-Forwarded-Host": {"evil.example", "good.example"}},
			"10.1.2.3 http://good.example X-Forwarded-Host+X-Forwarded-Proto",
		},
		{"no other scheme", proxy, map[string][]string{"X-Forwarded-Proto": {"javascript"}}, "10.1.2.3 http://example.com X-Forwarded-Proto"},
		{"no host with a path", proxy, map[string][]string{"X-Forwarded-Host": {"evil.example/x?"}}, "10.1.2.3 http://example.com X-Forwarded-Host"},
		{"a neighbour of the network is none", "11.0.0.1:1", map[string][]string{"X-Forwarded-For": {"1.1.1.1"}}, "11.0.0.1 http://example.com "},
		{"a peer without an address", "@", map[string][]string{"X-Forwarded-For": {"1.1.1.1"}}, " http://example.com "},
	}
	for _, tt := range tests {
		w := do(h, "GET", "/who", from(tt.peer), func(r *http.Request) {
			for name, values := range tt.headers {
				r.Header[name] = values
			}
		})
		if got := strings.Trim(w.Body.String(), `"`); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestPublicURLFromConfig(t *testing.T) {
	t.Parallel()
	h := newServer(t, Config{PublicURL: "https://lodge.example/"}, Mount{Name: "x", Routes: []Route{
		get("/", func(w http.ResponseWriter, r *http.Request) error { return JSON(w, http.StatusOK, PublicURL(r)) }),
	}}).Handler()
	if got := do(h, "GET", "/").Body.String(); got != `"https://lodge.example"` {
		t.Errorf("got %s", got)
	}
}

func TestPublicURLWithoutASaneHost(t *testing.T) {
	t.Parallel()
	h := newServer(t, Config{}, Mount{Name: "x", Routes: []Route{
		get("/", func(w http.ResponseWriter, r *http.Request) error { return JSON(w, http.StatusOK, PublicURL(r)) }),
	}}).Handler()
	for _, host := range []string{"", "evil/path", "a b", `"><script>`} {
		if got := do(h, "GET", "/", func(r *http.Request) { r.Host = host }).Body.String(); got != `"http://localhost"` {
			t.Errorf("Host %q: got %s", host, got)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	h := newServer(t, Config{TrustedProxies: prefixes("10.0.0.0/8")}, Mount{Name: "x", Routes: []Route{
		get("/", func(w http.ResponseWriter, r *http.Request) error {
			return JSON(w, http.StatusOK, RequestID(r.Context()))
		}),
	}}).Handler()
	for _, tt := range []struct {
		peer string
		ids  []string
		kept bool
	}{
		{"10.0.0.1:1", []string{"trace-0123_a.b"}, true},
		{"192.0.2.1:1", []string{"trace-0123_a.b"}, false},
		{"10.0.0.1:1", []string{"short"}, false},
		{"10.0.0.1:1", []string{strings.Repeat("x", 65)}, false},
		{"10.0.0.1:1", []string{"with space and more"}, false},
		{"10.0.0.1:1", []string{"new\nline-in-it"}, false},
		{"10.0.0.1:1", []string{"trace-0123", "trace-4567"}, false},
		{"10.0.0.1:1", nil, false},
	} {
		w := do(h, "GET", "/", from(tt.peer), header("X-Request-Id", tt.ids...))
		id := w.Header().Get("X-Request-Id")
		if w.Body.String() != `"`+id+`"` || len(id) < 8 {
			t.Errorf("%q: the handler saw %s, the client %q", tt.ids, w.Body, id)
		}
		if kept := len(tt.ids) == 1 && id == tt.ids[0]; kept != tt.kept {
			t.Errorf("%q from %s: kept %v, want %v", tt.ids, tt.peer, kept, tt.kept)
		}
	}
}
