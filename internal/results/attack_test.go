package results

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lodge/internal/results/hubsim"
)

// TestStoredScript stores what a browser would run if it came from us as it is. The class "stored
// script in user files shown by the server".
func TestStoredScript(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	auth := analysis(t, uuid.NewString())
	const script = `<script>fetch("/api/v1/tokens")</script>`
	for name, p := range map[string]sentPart{
		"a page":                  {header: `name="file"; filename="a.html"`, kind: "text/html", body: script},
		"a page without a type":   {header: `name="file"; filename="a.html"`, body: script},
		"a page called a picture": {header: `name="file"; filename="a.png"`, kind: "image/png", body: script},
		"a page with a charset":   {header: `name="file"; filename="a"`, kind: "text/html; charset=utf-7", body: "+ADw-script+AD4-"},
		"a picture that runs":     {header: `name="file"; filename="a.svg"`, kind: "image/svg+xml", body: `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`},
		"XHTML":                   {header: `name="file"; filename="a.xhtml"`, kind: "application/xhtml+xml", body: `<html xmlns="http://www.w3.org/1999/xhtml">` + script + `</html>`},
		"XML with a style sheet":  {header: `name="file"; filename="a.xml"`, kind: "text/xml", body: `<?xml-stylesheet type="text/xsl" href="/evil"?><a/>`},
		"a script":                {header: `name="file"; filename="a.js"`, kind: "text/javascript", body: "alert(1)"},
		"PDF":                     {header: `name="file"; filename="a.pdf"`, kind: "application/pdf", body: "%PDF-1.7 /JS (alert)"},
		"several parts":           {header: `name="file"; filename="a"`, kind: "multipart/x-mixed-replace; boundary=b", body: "--b\r\n\r\n" + script},
		"a type that is none":     {header: `name="file"; filename="a"`, kind: "text/html;;; <script>", body: script},
		"a name with a quote":     {header: `name="file"; filename="a\"; x=\".html"`, kind: "text/html", body: script},
		"a name with a path":      {header: `name="file"; filename="../../ui/index.html"`, kind: "text/html", body: script},
		"an encoded line break":   {header: `name="file"; filename*=UTF-8''a%0d%0aSet-Cookie:%20a=b%0d%0a%0d%0a`, kind: "text/html", body: script},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			local := parse[LocalUploadResponse](t, s.put("/local", auth, p).is(t, 200, "")).ObjectID
			passed := parse[IntermediateUploadResponse](t, s.put("/intermediate", auth, p).is(t, 200, "")).ObjectID
			answers := map[string]answer{
				"local":        s.get("/local/"+local, auth).is(t, 200, p.body),
				"a range":      s.do("GET", "/local/"+local, auth, http.Header{"Range": {"bytes=0-"}}, nil).is(t, 206, p.body),
				"intermediate": s.get("/intermediate/"+passed, auth).is(t, 200, p.body),
			}
			for from, a := range answers {
				policy, disposition := a.Header.Get("Content-Security-Policy"), a.Header.Get("Content-Disposition")
				if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "sandbox") || strings.Contains(policy, "allow-") {
					t.Errorf("%s: the policy is %q", from, policy)
				}
				if a.Header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s: a browser may guess the type", from)
				}
				if a.Header.Get("Set-Cookie") != "" {
					t.Errorf("%s: the file's name set a header", from)
				}
				if from == "intermediate" {
					equal(t, a.Header.Get("Content-Type"), octetStream)
				} else if !strings.HasPrefix(disposition, "attachment; ") || strings.ContainsAny(disposition, "\"/\\\r\n") {
					t.Errorf("%s: Content-Disposition: %s", from, disposition)
				}
			}
		})
	}
}

// TestForeignObject names things of another project wherever a request can name one. The class
// "referenced object from another tenant".
func TestForeignObject(t *testing.T) {
	t.Parallel()
	s := newSite(t, withKey(t), withConfig(func(c *Config) { c.Retention = time.Hour }))
	mine, theirs, node := uuid.NewString(), uuid.NewString(), uuid.NewString()
	s.sim.AddNode(node, strings.TrimSpace(fixture(t, "p384_b.pub.hex")))
	me, they, project := analysis(t, mine), analysis(t, theirs), s.projectOf(theirs)
	s.projectOf(mine)

	object := parse[LocalUploadResponse](t, s.put("/local", they, file("f", "theirs"), text("tag", "x")).is(t, 200, "")).ObjectID
	passed := parse[IntermediateUploadResponse](t, s.put("/intermediate", they, file("f", "theirs")).is(t, 200, "")).ObjectID
	s.sim.SetMode(hubsim.Mode{Mode: "500", Path: "/upload"})
	upload := parse[UploadInfo](t, s.put("/final", they, file("f", "theirs")).is(t, 202, "")).ID
	s.sim.SetMode(hubsim.Mode{Mode: "ok"})
	s.waitFor("/uploads/"+upload, they, "delivered")

	f, eps, sens := file("f", "1"), text("epsilon", "1"), text("sensitivity", "1")
	for _, test := range []struct {
		request string
		parts   []sentPart
		status  int
	}{
		{"GET /local/" + object, nil, 404},
		{"GET /local/" + object + "?project_id=" + project, nil, 404},
		{"GET /local/tags?project_id=" + project, nil, 403},
		{"GET /local/tags/x?project_id=" + project, nil, 403},
		{"POST /local/tags?tag_name=y&object_id=" + object, nil, 404},
		{"PUT /local/upload?object_id=" + object + "&remote_node_id=" + node, nil, 404},
		{"PUT /local?project_id=" + project, []sentPart{f}, 403},
		{"DELETE /local?project_id=" + project, nil, 403},
		{"DELETE /files/" + object, nil, 404},
		{"GET /intermediate/" + passed, nil, 404},
		{"GET /intermediate/" + passed + "?node_id=" + node, nil, 404},
		{"PUT /intermediate?analysis_id=" + theirs, []sentPart{f}, 403},
		{"PUT /final?analysis_id=" + theirs, []sentPart{f}, 403},
		{"PUT /final/localdp?analysis_id=" + theirs, []sentPart{f, eps, sens}, 403},
		{"GET /uploads/" + upload, nil, 404},
		{"POST /uploads/" + upload + "/retry", nil, 404},
		{"DELETE /uploads/" + upload, nil, 404},
	} {
		method, path, _ := strings.Cut(test.request, " ")
		var a answer
		if test.parts != nil {
			a = s.put(path, me, test.parts...)
		} else {
			a = s.do(method, path, me, nil, nil)
		}
		if a.StatusCode != test.status {
			t.Errorf("%s: %d %s, want %d", test.request, a.StatusCode, a.body, test.status)
		}
		if strings.Contains(a.body, "theirs") {
			t.Errorf("%s gives it out: %s", test.request, a.body)
		}
	}
	for _, list := range []string{"/files", "/projects", "/uploads", "/files?project=" + project, "/files?q=" + object, "/files?tag=x", "/uploads?project=" + project} {
		equal(t, parse[httpPage[struct{}]](t, s.get(list, me).is(t, 200, "")).Total, 0)
	}
	// Nothing of it has changed for those whose it is.
	s.get("/local/"+object, they).is(t, 200, "theirs")
	s.get("/local/tags", they).is(t, 200, `{"tags":[{"name":"x","url":"`+s.url+`/local/tags/x"}]}`)
	s.get("/intermediate/"+passed, they).is(t, 200, "theirs")
	equal(t, parse[httpPage[UploadInfo]](t, s.get("/uploads", they).is(t, 200, "")).Total, 1)
	equal(t, len(s.sent(theirs)), 2)
}
