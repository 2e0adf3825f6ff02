package httpapi

import (
	"io"
	"net/http"
	"testing"
)

func TestHandleBesideAMount(t *testing.T) {
	t.Parallel()
	beside := get("/sock", answer("route"))
	beside.NoSlash = true
	s := newServer(t, Config{}, Mount{Name: "open", Prefix: "/open", AnyOrigin: true, RedirectSlash: true, Routes: []Route{beside}})
	s.Handle("/open/sock/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "raw") }))
	h := s.Handler()
	for path, want := range map[string]string{"/open/sock": "\"route\"", "/open/sock/": "raw", "/open/sock/x": "raw"} {
		w := do(h, "GET", path, header("Origin", "https://a.example"))
		if w.Body.String() != want || w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %q %v", path, w.Body, w.Header())
		}
	}
	if w := do(h, "OPTIONS", "/open/sock/", header("Origin", "https://a.example"), header("Access-Control-Request-Method", "POST")); w.Body.String() != "OK" {
		t.Errorf("preflight: %d %s", w.Code, w.Body)
	}
}

func TestAnyOriginOfAMount(t *testing.T) {
	t.Parallel()
	h := newServer(t, Config{},
		Mount{Name: "open", Prefix: "/open", AnyOrigin: true, Routes: []Route{get("/x", answer("x"))}},
		Mount{Name: "closed", Prefix: "/closed", Routes: []Route{get("/x", answer("x"))}}).Handler()
	for path, want := range map[string]string{"/open/x": "*", "/open/nothing": "*", "/closed/x": "", "/closed/nothing": ""} {
		if got := do(h, "GET", path, header("Origin", "https://a.example")).Header().Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s: allowed %q, want %q", path, got, want)
		}
	}
	w := do(h, "OPTIONS", "/open/x", header("Origin", "https://a.example"), header("Access-Control-Request-Method", "GET"),
		header("Access-Control-Request-Headers", "authorization, x-custom"))
	if w.Code != 200 || w.Body.String() != "OK" || w.Header().Get("Access-Control-Allow-Headers") != "authorization, x-custom" {
		t.Errorf("preflight: %d %q %v", w.Code, w.Body, w.Header())
	}
}

func TestRedirectSlash(t *testing.T) {
	t.Parallel()
	h := newServer(t, Config{PublicURL: "https://site.example"},
		Mount{Name: "a", Prefix: "/a", RedirectSlash: true, Routes: []Route{get("/x/{id}", answer("x"))}},
		Mount{Name: "b", Prefix: "/b", Routes: []Route{get("/x", answer("x"))}}).Handler()
	for target, want := range map[string]string{
		"/a/x/1": "", "/a/x/1/?q=2": "https://site.example/a/x/1?q=2", "/a/x/a%20b/": "https://site.example/a/x/a%20b", "/b/x/": "",
	} {
		for _, method := range []string{"GET", "POST"} {
			w := do(h, method, target)
			if got := w.Header().Get("Location"); got != want || (want != "") != (w.Code == 307) {
				t.Errorf("%s %s: %d to %q, want %q", method, target, w.Code, got, want)
			}
		}
	}
}
