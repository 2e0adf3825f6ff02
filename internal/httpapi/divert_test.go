package httpapi

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestDivert(t *testing.T) {
	t.Parallel()
	log, lines := newLog()
	s := New(Config{AccessLog: true, TrustedProxies: prefixes("10.0.0.0/8")}, nil, log, time.Now, nil)
	mustMount(t, s, Mount{Name: "x", Routes: []Route{get("/who", answer("ours"))}})
	s.Divert("apps", func(r *http.Request) bool { return strings.HasSuffix(Host(r), ".apps.test") }, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("oh")
		}
		Note(r.Context(), "ana", slog.String("app", "demo"))
		_, _ = io.WriteString(w, r.RequestURI)
	}))
	h := s.Handler()
	ask := func(host, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
		return do(h, "GET", path, append(change, func(r *http.Request) { r.Host = host })...)
	}
	if got := ask("lodge.test", "/who").Body.String(); !strings.Contains(got, "ours") {
		t.Errorf("our own host: %q", got)
	}
	w := ask("a.apps.test", "/a%2Fb//c;d?e=%20&f")
	if got := w.Body.String(); got != "/a%2Fb//c;d?e=%20&f" {
		t.Errorf("the address changed on the way: %q", got)
	}
	if w.Header().Get("X-Request-Id") == "" || w.Header().Get("Content-Security-Policy") != "" {
		t.Errorf("headers: %v", w.Header())
	}
	if got := ask("a.apps.test", "/who").Body.String(); got != "/who" {
		t.Errorf("our routes are served on a foreign host: %q", got)
	}
	if w := ask("a.apps.test", "/panic"); w.Code != http.StatusInternalServerError {
		t.Errorf("a panic: %d", w.Code)
	}
	if got := ask("lodge.test", "/who", from("203.0.113.9:1"), header("X-Forwarded-Host", "a.apps.test")).Body.String(); got == "/who" {
		t.Error("a stranger's word for the host was believed")
	}
	if got := ask("lodge.test", "/who", from("10.0.0.1:1"), header("X-Forwarded-Host", "a.apps.test")).Body.String(); got != "/who" {
		t.Errorf("a proxy's word for the host was not believed: %q", got)
	}
	var found bool
	for _, line := range lines.lines(t, "request") {
		found = found || line["caller"] == "ana" && line["app"] == "demo" && line["mount"] == "apps"
	}
	if !found {
		t.Errorf("the log does not name caller and app:\n%s", lines.String())
	}
}
