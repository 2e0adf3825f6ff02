package console

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

const testPage = `<!doctype html><meta name="csp-nonce" content=""><script type="module" src="/ui/assets/index-abc.js"></script>`

func testHandler(t *testing.T) http.Handler {
	t.Helper()
	h, err := newHandler(fstest.MapFS{
		".keep":                  {},
		"index.html":             {Data: []byte(testPage)},
		"logo.svg":               {Data: []byte("<svg/>")},
		"assets/index-abc.js":    {Data: []byte("plain script")},
		"assets/index-abc.js.br": {Data: []byte("brotli")},
		"assets/index-abc.js.gz": {Data: []byte("gzip")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPageHasItsNonceInPolicyAndMarkup(t *testing.T) {
	t.Parallel()
	h := testHandler(t)
	nonces := map[string]bool{}
	for _, target := range []string{"/ui/", "/ui/results/files?project=p", "/ui/access/people/some.one@example.org"} {
		r := get(h, "GET", target)
		csp := r.Header().Get("Content-Security-Policy")
		m := regexp.MustCompile(`'nonce-([A-Za-z0-9_-]{24})'`).FindStringSubmatch(csp)
		if r.Code != http.StatusOK || m == nil {
			t.Fatalf("%s: status %d, policy %q", target, r.Code, csp)
		}
		if got := r.Body.String(); !strings.Contains(got, `content="`+m[1]+`"`) {
			t.Errorf("%s: the page does not carry the nonce %s: %s", target, m[1], got)
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s: the policy %q allows something unsafe", target, csp)
		}
		if got := r.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: a page with a nonce may not be kept, but Cache-Control is %q", target, got)
		}
		if nonces[m[1]] {
			t.Errorf("%s: the nonce %s was used before", target, m[1])
		}
		nonces[m[1]] = true
	}
}

func TestFilesAreCompressedAndCached(t *testing.T) {
	t.Parallel()
	h := testHandler(t)
	for _, test := range []struct{ target, accept, encoding, cache, body string }{
		{"/ui/assets/index-abc.js", "gzip, deflate, br, zstd", "br", forever, "brotli"},
		{"/ui/assets/index-abc.js", "gzip", "gzip", forever, "gzip"},
		{"/ui/assets/index-abc.js", "br;q=0, gzip;q=0.5", "gzip", forever, "gzip"},
		{"/ui/assets/index-abc.js", "br;q=0.0, GZIP;q=0", "", forever, "plain script"},
		{"/ui/assets/index-abc.js", "", "", forever, "plain script"},
		{"/ui/logo.svg", "br", "", shortly, "<svg/>"},
	} {
		r := get(h, "GET", test.target, "Accept-Encoding", test.accept)
		if r.Header().Get("Content-Encoding") != test.encoding || r.Header().Get("Cache-Control") != test.cache || r.Body.String() != test.body {
			t.Errorf("%s with %q: %v", test.target, test.accept, r.Header())
		}
		if r.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: a cache could hand the wrong encoding on", test.target)
		}
	}
}

func TestWhatIsNotServed(t *testing.T) {
	t.Parallel()
	h := testHandler(t)
	if r := get(h, "GET", "/ui/assets/index-old.js"); r.Code != http.StatusNotFound {
		t.Errorf("a script of another version: status %d", r.Code)
	}
	if r := get(h, "POST", "/ui/"); r.Code != http.StatusMethodNotAllowed || r.Header().Get("Allow") == "" {
		t.Errorf("POST: status %d, %v", r.Code, r.Header())
	}
	for _, target := range []string{"/ui/index.html", "/ui/.keep", "/ui/../embed.go"} {
		if got := get(h, "GET", target).Body.String(); !strings.Contains(got, "csp-nonce") || strings.Contains(got, "package console") {
			t.Errorf("%s answers %q, not the page", target, got)
		}
	}
}

func TestBeforeTheConsoleIsBuilt(t *testing.T) {
	t.Parallel()
	h, err := newHandler(fstest.MapFS{".keep": {}})
	if err != nil {
		t.Fatal(err)
	}
	r := get(h, "GET", "/ui/")
	if r.Code != http.StatusNotFound || !strings.Contains(r.Body.String(), "make build") {
		t.Errorf("status %d: the answer must say how to build the console", r.Code)
	}
}

func TestPageWithoutPlaceForNonceIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := newHandler(fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}}); err == nil {
		t.Error("a page that cannot carry the nonce would show no styles: it must be refused at start")
	}
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	if _, err := Handler(); err != nil {
		t.Error(err)
	}
}
