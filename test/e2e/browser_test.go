package e2e

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

var (
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// login logs somebody in as a browser does, through the page of the embedded provider, and gives the
// caller and the status of the last page: 200 once they are in.
func (l *lodge) login(name, password string) (caller, int) {
	l.t.Helper()
	jar, err := cookiejar.New(nil)
	noError(l.t, err)
	c := l.nobody()
	c.http = &http.Client{Jar: jar, Transport: c.http.Transport, Timeout: time.Minute}
	// What a browser says of requests by a page of the same site.
	c.head = http.Header{"Sec-Fetch-Site": {"same-origin"}}
	at, _, page := c.visit(http.MethodGet, l.url()+"/auth/login?next=/api/v1/me", nil)
	m := formAction.FindStringSubmatch(page)
	if m == nil {
		l.t.Fatalf("the login's page at %s has no form: %s", at, page)
	}
	target, err := at.Parse(html.UnescapeString(m[1]))
	noError(l.t, err)
	fields := url.Values{"login": {name}, "password": {password}}
	for _, h := range hiddenField.FindAllStringSubmatch(page, -1) {
		fields.Set(h[1], html.UnescapeString(h[2]))
	}
	_, status, _ := c.visit(http.MethodPost, target.String(), fields)
	return c, status
}

// visit gets a page or sends a form, and says where that led to.
func (c caller) visit(method, address string, fields url.Values) (at *url.URL, status int, page string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, address, strings.NewReader(fields.Encode()))
	noError(c.t, err)
	if fields != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.http.Do(req)
	noError(c.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	noError(c.t, err)
	return resp.Request.URL, resp.StatusCode, string(body)
}
