package identity

import (
	"net/url"
	"strings"
	"testing"
)

// hostileNext is a corpus of addresses that some browser, proxy or server has taken for another
// site's, or for more than a place to go to.
func hostileNext() []string {
	list := []string{
		"", " ", "ui", "ui/", "./", "../", "..", ".", "?x", "#x", "evil.test", "evil.test/", "www.evil.test", "evil.test:80/",
		"http:", "http:/", "http://", "http:evil.test", "http:/evil.test", "http:///evil.test", "http://evil.test", "HTTP://evil.test", "hTTps://evil.test",
		"https://evil.test", "https:evil.test", "https:/evil.test", "https:///evil.test", "https:\\\\evil.test", "http://lodge.test", "http://lodge.test@evil.test",
		"http://lodge.test.evil.test", "http://evil.test/http://lodge.test", "http://evil.test?lodge.test", "http://evil.test#lodge.test", "http://[::1]", "http://127.1", "http://2130706433",
		"ftp://evil.test", "ws://evil.test", "file:///etc/passwd", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "javascript://evil.test/%0aalert(1)",
		"data:text/html,<script>alert(1)</script>", "data:,x", "vbscript:x", "blob:http://lodge.test/x", "about:blank", "mailto:a@evil.test", "tel:1", "view-source:http://evil.test", "//",
		"///", "////", "//evil.test", "///evil.test", "////evil.test", "/////evil.test", "//evil.test/", "//evil.test/..", "//evil.test/%2e%2e", "//user@evil.test", "//lodge.test@evil.test",
		"//evil.test:443", "//[::1]", "//127.0.0.1", "//evil%2etest", "//evil.test%2f", "//evil.test?", "//evil.test#", "//./evil.test", "//../evil.test",
		"\\", "\\\\", "\\evil.test", "\\\\evil.test", "\\/evil.test", "/\\", "/\\evil.test", "/\\\\evil.test", "/\\/evil.test", "//\\evil.test", "\\\\\\evil.test", "/ui\\..\\evil.test", "/ui/\\evil.test",
		"/%5cevil.test", "/%5Cevil.test", "/%5c%5cevil.test", "/%5c/evil.test", "%5c%5cevil.test", "/ui/%5cevil.test", "/%255cevil.test", "/%25255cevil.test",
		"/%2fevil.test", "/%2Fevil.test", "/%2f%2fevil.test", "%2f%2fevil.test", "%2Fevil.test", "/ui/%2f%2fevil.test", "/ui/%2fevil.test", "/%252fevil.test", "/%25252fevil.test", "/ui%2f%2fevil.test",
		"/ui//evil.test", "/ui///evil.test", "/ui//", "/ui/..//evil.test", "/ui/../..//evil.test", "/../evil.test", "/..", "/.", "/./evil.test", "/ui/../evil.test", "/ui/./x", "/.//evil.test", "/..//evil.test",
		"/%2e%2e/evil.test", "/%2E%2E/x", "/ui/%2e%2e/x", "/ui/.%2e/x", "/ui/%2e./x", "/%252e%252e/x", "/ui/%2e/x", "/ui/%2e%2e%2fx", "/%2e%2e%2f%2fevil.test",
		"\t//evil.test", "\n//evil.test", "\r//evil.test", "\r\n//evil.test", "\x00//evil.test", "\x0b//evil.test", "\x0c//evil.test", " //evil.test", "\u00a0//evil.test", "\ufeff//evil.test", "\u2028//evil.test",
		"/\t/evil.test", "/\n/evil.test", "/\r/evil.test", "/\x00/evil.test", "/ /evil.test", "/\x0b/evil.test", "/\x0c/evil.test", "/\x1f/evil.test", "/\x7f/evil.test", "/\u00a0/evil.test", "/\u0085/evil.test",
		"/%09/evil.test", "/%0a/evil.test", "/%0d/evil.test", "/%0d%0a/evil.test", "/%00/evil.test", "/%20/evil.test", "/%0b/evil.test", "/%7f/evil.test", "/%c2%a0/evil.test", "/%c2%85/evil.test", "/%e2%80%a8/evil.test", "/%ef%bb%bf/evil.test",
		"/ui\r\nSet-Cookie: a=b", "/ui%0d%0aSet-Cookie:%20a=b", "/ui%0aLocation:%20http://evil.test", "/ui%250d%250aX:y", "/ui\x00", "/ui%00", "/ui%00.html",
		"/\u2044evil.test", "/\u2215evil.test", "/\u29f8evil.test", "/\uff0fevil.test", "/\uff3cevil.test", "/\u2571evil.test", "\uff0f\uff0fevil.test", "/\u3002evil.test", "/\uff0e\uff0e/evil.test", "/\ufe68evil.test",
		"/%e2%81%84evil.test", "/%e2%88%95evil.test", "/%ef%bc%8fevil.test", "/%ef%bc%bcevil.test", "/%ef%bc%8f%ef%bc%8fevil.test", "/%ef%bc%8e%ef%bc%8e/x", "/%e3%80%82evil.test", "/%e2%a7%b8evil.test",
		"/\u202eevil.test", "/\u200bevil.test", "/\u2060evil.test", "/%e2%80%aeevil.test", "/%e2%80%8bevil.test", "/\xff\xfe", "/%ff%fe", "/%c0%afevil.test", "/%c0%ae%c0%ae/x", "/%e0%80%afevil.test", "/\xc0\xafevil.test",
		"/%", "/%2", "/%zz", "/%u002f", "/%%32%66evil.test", "/ui%", "/%f",
		"/<script>", "/\"onload=x", "/ui`x`", "/{x}", "/|x", "/^", "/ui?x=<script>", "/ui#<img>", "/ui?x=\"", "/ui?a=\\", "/ui#\\evil.test",
		"@evil.test", "user@evil.test", "user:pass@evil.test", ":", ":80", "://evil.test", "?//evil.test", "#//evil.test", ";//evil.test", "*", "~", "-", "0", "\ufffd",
		"/auth/login", "/auth/login?next=/ui", "/auth/callback?code=x&state=y", "/auth/logout", "/idp/auth", "/idp", "/%61uth/login", "/%69dp/auth", "/" + strings.Repeat("a", 2048),
	}
	for _, prefix := range []string{"/", "//", "/\\", "http://", "https:", "\t/", "/%2f", "/%5c"} {
		for _, host := range []string{"evil.test", "evil.test:8080", "user@evil.test", "[::ffff:1.2.3.4]", "xn--vil-tma.test", "evil%E3%80%82test"} {
			if prefix != "/" {
				list = append(list, prefix+host)
			}
		}
	}
	return list
}

// TestOpenRedirect is the class "open redirect after login": whatever is odd leads home.
func TestOpenRedirect(t *testing.T) {
	t.Parallel()
	corpus := hostileNext()
	if len(corpus) < 200 {
		t.Fatalf("only %d forms", len(corpus))
	}
	for _, next := range corpus {
		if got := safeNext(next); got != "/" {
			t.Errorf("%q leads to %q", next, got)
		}
	}
	for _, next := range []string{
		"/", "/ui/", "/ui/results", "/ui/results?tag=a&project=b%20c", "/ui/access/people?q=%22x%22#top", "/ui/a.b/c-d_e~f", "/ui/@me", "/ui/x:y", "/ui/r%C3%A9sultats", "/ui/?next=//evil.test", "/ui/a;b=c", "/ui/...",
		"/results/docs", "/authors", "/ui/%E2%9C%93", "/ui/a%20b",
	} {
		if got := safeNext(next); got != next {
			t.Errorf("%q leads to %q", next, got)
		}
	}
}

func FuzzNext(f *testing.F) {
	for _, next := range hostileNext() {
		f.Add(next)
	}
	f.Add("/ui/results?tag=x")
	base, err := url.Parse("https://lodge.test/auth/callback")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, next string) {
		got := safeNext(next)
		if got != next && got != "/" {
			t.Fatalf("%q became %q", next, got)
		}
		to, err := base.Parse(got)
		if err != nil || to.Host != "lodge.test" || to.Scheme != "https" || to.User != nil || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t\x00") {
			t.Fatalf("%q leads to %v, %v", next, to, err)
		}
	})
}
