package results

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"lodge/internal/fault"
	"lodge/internal/objects"
	"lodge/internal/results/hubsim"
)

// TestLocal is the reference's suite for /local, untagged, with and without a slash at the end.
func TestLocal(t *testing.T) {
	t.Parallel()
	s := newSite(t, withConfig(func(c *Config) { c.Prefix = "/results" }))
	id := uuid.NewString()
	auth, project := analysis(t, id), s.projectOf(id)
	for _, path := range []string{"/local", "/local/"} {
		before := len(s.keys("local/" + project + "/"))
		stored := parse[LocalUploadResponse](t, s.put(path, auth, sentPart{header: `name="file"; filename="a.txt"`, kind: "text/plain", body: "hello"}).is(t, 200, ""))
		equal(t, len(s.keys("local/"+project+"/")), before+1)
		equal(t, stored.URL, s.url+"/local/"+stored.ObjectID)
		a := s.get(path[:len("/local")]+"/"+stored.ObjectID+strings.TrimPrefix(path, "/local"), auth).is(t, 200, "hello")
		equal(t, a.Header.Get("Content-Type"), "text/plain; charset=utf-8")
		equal(t, a.Header.Get("Content-Length"), "5")
		equal(t, a.Header.Get("X-Content-Type-Options"), "nosniff")
		equal(t, a.Header.Get("Content-Disposition"), "attachment; filename*=UTF-8''a.txt")
		s.get("/local/"+strings.ToUpper(stored.ObjectID), auth).is(t, 200, "hello")
		s.get("/local/"+strings.ReplaceAll(stored.ObjectID, "-", ""), auth).is(t, 200, "hello")
		s.get("/local/urn:uuid:"+stored.ObjectID, auth).is(t, 200, "hello")
		equal(t, s.do("HEAD", "/local/"+stored.ObjectID, auth, nil, nil).is(t, 200, "").Header.Get("Content-Length"), "5")
	}
	for _, table := range []string{"tag", "result", "taggedresult"} {
		equal(t, s.count(table), 0)
	}
	// Every result is recorded, the tagged and the others (W17).
	equal(t, s.count("result_files"), 2)
	missing := uuid.NewString()
	s.get("/local/"+missing, auth).is(t, 404, "Object with ID "+missing+" does not exist")
	s.get("/local/not-a-uuid", auth).is(t, 422, `{"detail":[{"type":"uuid_parsing","loc":["path","object_id"],`+
		`"msg":"Input should be a valid UUID, invalid character: found `+"`n`"+` at 1","input":"not-a-uuid","ctx":{"error":"invalid character: found `+"`n`"+` at 1"}}]}`)
	s.put("/local", auth).is(t, 422, `{"detail":[{"type":"missing","loc":["body","file"],"msg":"Field required","input":null}]}`)
	s.put("/local", auth, text("file", "x")).is(t, 422,
		`{"detail":[{"type":"value_error","loc":["body","file"],"msg":"Value error, Expected UploadFile, received: <class 'str'>","input":"x","ctx":{"error":{}}}]}`)
	s.put("/local", auth, file("a", ""), sentPart{header: `name="tag"; filename="x"`}).is(t, 422, "")
	s.do("PUT", "/local", auth, http.Header{"Content-Type": {"application/json"}}, strings.NewReader("{}")).is(t, 422, "")
	s.do("PUT", "/local", auth, http.Header{"Content-Type": {"multipart/form-data"}}, strings.NewReader("x")).is(t, 400, "Missing boundary in multipart.")
	s.do("PUT", "/local", auth, http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}, strings.NewReader("xyz")).is(t, 400, "There was an error parsing the body")
}

// TestLocalIsTheProjects reads as another analysis of the project, and as one of another project.
func TestLocalIsTheProjects(t *testing.T) {
	t.Parallel()
	s := newSite(t, withoutHub)
	token := func(client, project string) string {
		return "Bearer " + sign(t, "RS256", testRSA(), claims{"client_id": client, "project_id": project})
	}
	id := parse[LocalUploadResponse](t, s.put("/local", token("a", "p"), file("f", "data"), text("tag", "x")).is(t, 200, "")).ObjectID
	s.get("/local/"+id, token("b", "p")).is(t, 200, "data")
	s.get("/local/tags/x", token("b", "p")).is(t, 200, "")
	s.get("/local/"+id, token("a", "q")).is(t, 404, "Object with ID "+id+" does not exist")
	s.get("/local/tags", token("a", "q")).is(t, 200, `{"tags":[]}`)
	s.get("/local/tags/x", token("a", "q")).is(t, 200, `{"results":[]}`)
	s.do("POST", "/local/tags?tag_name=y&object_id="+id, token("a", "q"), nil, nil).is(t, 404, "Object with ID "+id+" does not exist")
	// Without a hub nobody is asked whether the project still exists.
	remove := func(project, auth string) answer { return s.do("DELETE", "/local?project_id="+project, auth, nil, nil) }
	remove("p", token("a", "p")).is(t, 403, "")
	remove("p", token("hub-adapter", "p")).is(t, 200, "null")
	s.get("/local/"+id, token("b", "p")).is(t, 404, "")
	// A project cannot be the name of a group that means more.
	for _, project := range []string{"*", "site"} {
		s.get("/local/tags", token("a", project)).is(t, 404, "")
	}
	for _, project := range []string{"../q", "a/b", ".", strings.Repeat("x", 150), "Ä", "sha256.x"} {
		auth := token("a", project)
		id := parse[LocalUploadResponse](t, s.put("/local", auth, file("f", project)).is(t, 200, "")).ObjectID
		s.get("/local/"+id, auth).is(t, 200, project)
		s.get("/local/"+id, token("a", "p")).is(t, 404, "")
	}
}

func TestTagSyntax(t *testing.T) {
	t.Parallel()
	for tag, valid := range map[string]bool{
		"": false, " ": false, "-": false, "--": false, "-ab": false, "ab-": false, "-0": false, "0-": false, " -a": false, "a- ": false,
		"a" + strings.Repeat("-", 31) + "a": false, strings.Repeat("a", 33): false, "A": false, "ä": false, "a\n": false, "a_b": false,
		"a": true, "0": true, "aa": true, "00": true, "a0": true, "0a": true, "result1": true, "result-1": true, "result--1": true,
		"a" + strings.Repeat("-", 30) + "a": true, strings.Repeat("a", 32): true,
	} {
		err := checkTag(tag)
		if (err == nil) != valid {
			t.Errorf("%q: %v", tag, err)
		}
		var f *fault.Error
		if err != nil && (!errors.As(err, &f) || f.Detail != "Invalid tag `"+tag+"`") {
			t.Errorf("%q: %v", tag, err)
		}
	}
}

// TestTags is the reference's suite for tagged results.
func TestTags(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := uuid.NewString()
	auth, project := analysis(t, id), s.projectOf(id)
	for _, tag := range []string{"", "-", "A"} {
		s.put("/local", auth, text("tag", tag), file("a", "1")).is(t, 400, "Invalid tag `"+tag+"`")
		s.put("/local", auth, file("a", "1"), text("tag", tag)).is(t, 400, "Invalid tag `"+tag+"`")
	}
	s.put("/local", auth, file(strings.Repeat("n", 256), "1"), text("tag", "x")).is(t, 400, "The file name has 256 characters, 255 is the most")
	s.put("/local", auth, file(strings.Repeat("n", 1001), "1")).is(t, 400, "The file name has 1001 characters, 1000 is the most")
	equal(t, len(s.keys("")), 0)
	equal(t, s.count("tag"), 0)

	var urls []string
	for i, parts := range [][]sentPart{
		{file("one.bin", "1"), text("tag", "foo")},
		{text("tag", "foo"), file("", "2")},
		{text("tag", "bar"), file("one.bin", "3"), text("tag", "foo")},
	} {
		urls = append(urls, parse[LocalUploadResponse](t, s.put("/local", auth, parts...).is(t, 200, "")).URL)
		for _, table := range []string{"result", "taggedresult", "result_files"} {
			equal(t, s.count(table), int64(i+1))
		}
	}
	equal(t, s.count("tag"), 1)
	s.get("/local/tags", auth).is(t, 200, `{"tags":[{"name":"foo","url":"`+s.url+`/local/tags/foo"}]}`)
	s.get("/local/tags/foo", auth).is(t, 200, fmt.Sprintf(
		`{"results":[{"filename":"one.bin","url":"%s"},{"filename":"data.bin","url":"%s"},{"filename":"one.bin","url":"%s"}]}`, urls[0], urls[1], urls[2]))
	s.get("/local/tags/none", auth).is(t, 200, `{"results":[]}`)
	s.get("/local/tags/NOT%20A%20TAG", auth).is(t, 200, `{"results":[]}`)
	s.get("/local/tags/a/b", auth).is(t, 404, "Not Found")

	var client, object, filename string
	row := s.db.QueryRow(t.Context(), "SELECT r.client_id, r.object_id, r.filename FROM result r JOIN taggedresult x ON x.result_id = r.id JOIN tag t ON t.id = x.tag_id WHERE t.tag_name = 'foo' AND t.project_id = ? ORDER BY r.id LIMIT 1", project)
	noError(t, row.Scan(&client, &object, &filename))
	equal(t, client, id)
	equal(t, urls[0], s.url+"/local/"+object)
	equal(t, filename, "one.bin")

	// The successor tags what is stored already.
	post := func(query string) answer { return s.do("POST", "/local/tags?"+query, auth, nil, nil) }
	post("tag_name=late&object_id="+object).is(t, 200, `{"filename":"one.bin","url":"`+urls[0]+`"}`)
	post("tag_name=late&object_id="+object).is(t, 200, "")
	s.get("/local/tags/late", auth).is(t, 200, `{"results":[{"filename":"one.bin","url":"`+urls[0]+`"}]}`)
	post("tag_name=late&filename=other&object_id="+object).is(t, 400, "")
	post("tag_name=-&object_id="+object).is(t, 400, "Invalid tag `-`")
	post("object_id="+object).is(t, 422, `{"detail":[{"type":"missing","loc":["query","tag_name"],"msg":"Field required","input":null}]}`)
	post("tag_name=x&object_id=y").is(t, 422, "")
	none := uuid.NewString()
	post("tag_name=x&object_id="+none).is(t, 404, "Object with ID "+none+" does not exist")

	files := parse[httpPage[FileInfo]](t, s.get("/files?tag=foo", auth).is(t, 200, ""))
	equal(t, files.Total, 3)
	equal(t, parse[httpPage[FileInfo]](t, s.get("/files?tag=late&q=ONE", auth)).Total, 1)
	equal(t, strings.Join(parse[httpPage[FileInfo]](t, s.get("/files?tag=late", auth)).Items[0].Tags, " "), "foo late")
}

// TestLastFileWins stores the last of several files only.
func TestLastFileWins(t *testing.T) {
	t.Parallel()
	s := newSite(t, withoutHub)
	auth := analysis(t, "a")
	stored := parse[LocalUploadResponse](t, s.put("/local", auth, file("a", "one"), file("b", "two"), file("c", "three")).is(t, 200, ""))
	s.get("/local/"+stored.ObjectID, auth).is(t, 200, "three")
	equal(t, len(s.keys("")), 1)
	s.put("/local", auth, file("a", "one"), text("file", "text")).is(t, 422, "")
	equal(t, len(s.keys("")), 1)
}

// TestTruncatedBody leaves nothing behind, wherever it is cut.
func TestTruncatedBody(t *testing.T) {
	t.Parallel()
	s := newSite(t, withoutHub)
	kind, body := buildForm(text("tag", "x"), file("a", strings.Repeat("data", 1000)), text("more", "x"))
	for at := 0; at < len(body)-4; at += 97 {
		s.do("PUT", "/local", analysis(t, "a"), http.Header{"Content-Type": {kind}}, strings.NewReader(body[:at])).is(t, 422, "")
	}
	equal(t, len(s.keys("")), 0)
	equal(t, s.count("result_files")+s.count("tag"), 0)
}

func TestUploadLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, withoutHub, withConfig(func(c *Config) { c.MaxUploadSize = 10 }))
	auth := analysis(t, "a")
	s.put("/local", auth, file("a", "0123456789")).is(t, 200, "")
	s.put("/local", auth, file("a", "0123456789x")).is(t, 413, "The file is larger than the limit of 10 bytes")
	s.put("/final", auth, file("a", "0123456789x")).is(t, 413, "")
	equal(t, len(s.keys("")), 1)
}

// TestRanges resumes downloads.
func TestRanges(t *testing.T) {
	t.Parallel()
	s := newSite(t, withoutHub)
	auth := analysis(t, "a")
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	id := parse[LocalUploadResponse](t, s.put("/local", auth, file("a", string(data))).is(t, 200, "")).ObjectID
	sum := sha256.Sum256(data)
	whole := s.get("/local/"+id, auth).is(t, 200, string(data))
	etag := whole.Header.Get("Etag")
	equal(t, etag, `"`+hex.EncodeToString(sum[:])+`"`)
	ask := func(head http.Header) answer { return s.do("GET", "/local/"+id, auth, head, nil) }
	for spec, want := range map[string]string{
		"bytes=0-9": string(data[:10]), "bytes=999990-": string(data[999990:]), "bytes=-5": string(data[len(data)-5:]), "bytes=500000-600000": string(data[500000:600001]),
	} {
		a := ask(http.Header{"Range": {spec}, "If-Range": {etag}}).is(t, 206, want)
		equal(t, a.Header.Get("Content-Length"), fmt.Sprint(len(want)))
	}
	ask(http.Header{"Range": {"bytes=5-"}, "If-Range": {`"other"`}}).is(t, 200, string(data))
	ask(http.Header{"Range": {"bytes=9000000-"}}).is(t, 416, "")
	ask(http.Header{"If-None-Match": {etag}}).is(t, 304, "")
}

// TestDeleteProject is the reference's suite for DELETE /local.
func TestDeleteProject(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id, otherID := uuid.NewString(), uuid.NewString()
	project, other := s.projectOf(id), s.projectOf(otherID)
	for range 3 {
		s.put("/local", analysis(t, id), file("a", "1"), text("tag", "x")).is(t, 200, "")
		s.put("/local", analysis(t, id), file("a", "1")).is(t, 200, "")
	}
	s.put("/local", analysis(t, otherID), file("a", "1"), text("tag", "x")).is(t, 200, "")
	// An object of an older service, without a row.
	_, err := s.bucket.Put(t.Context(), "local/"+project+"/"+uuid.NewString(), strings.NewReader("old"))
	noError(t, err)

	remove := func(auth, project string) answer {
		return s.do("DELETE", "/local?project_id="+project, auth, http.Header{"Content-Type": {"application/json"}}, strings.NewReader("{}"))
	}
	adapter := analysis(t, "hub-adapter")
	remove(analysis(t, id), project).is(t, 403, "Only the Hub Adapter client is allowed to delete local results, got client ID '"+id+"'.")
	remove(adapter, project).is(t, 400, "Project '"+project+"' will not be deleted because it is still available on the Hub.")
	remove(adapter, "nonsense").is(t, 422, "")
	s.do("DELETE", "/local", adapter, nil, nil).is(t, 422, `{"detail":[{"type":"missing","loc":["query","project_id"],"msg":"Field required","input":null}]}`)
	equal(t, len(s.keys("local/"+project+"/")), 7)

	s.sim.SetMode(hubsim.Mode{Mode: "down"})
	remove(adapter, project).is(t, 502, "")
	s.sim.SetMode(hubsim.Mode{Mode: "html", Status: 404})
	remove(adapter, project).is(t, 502, "Hub returned an unexpected response (unknown)")
	s.sim.SetMode(hubsim.Mode{Mode: "ok"})
	equal(t, len(s.keys("local/"+project+"/")), 7)

	s.deleteOnHub("projects", project)
	for range 2 { // it can be repeated
		remove(adapter, strings.ToUpper(project)).is(t, 200, "null")
		equal(t, len(s.keys("local/"+project+"/")), 0)
	}
	equal(t, len(s.keys("local/"+other+"/")), 1)
	for _, table := range []string{"tag", "result", "taggedresult", "result_files"} {
		equal(t, s.count(table), 1)
	}
}

// deleteOnHub removes a record from the simulated hub.
func (s *site) deleteOnHub(resource, id string) {
	s.t.Helper()
	login := s.do("POST", s.hubURL+"/auth/token", "", http.Header{"Content-Type": {"application/json"}}, strings.NewReader(`{"grant_type":"robot_credentials","id":"x","secret":"s3cret"}`))
	token := parse[struct {
		AccessToken string `json:"access_token"`
	}](s.t, login)
	s.do("DELETE", s.hubURL+"/core/"+resource+"/"+id, "Bearer "+token.AccessToken, nil, nil).is(s.t, 202, "")
}

// TestOlderData reads what the replaced service stored: objects without rows, under the project or,
// until its 0.1.3, under the analysis. The sweep does not touch them.
func TestOlderData(t *testing.T) {
	t.Parallel()
	s := newSite(t, asleep)
	id := uuid.NewString()
	auth, project := analysis(t, id), s.projectOf(id)
	byProject, byClient := uuid.NewString(), uuid.NewString()
	for key, body := range map[string]string{"local/" + project + "/" + byProject: "project", "local/" + id + "/" + byClient: "client"} {
		_, err := s.bucket.Put(t.Context(), key, strings.NewReader(body))
		noError(t, err)
	}
	s.svc.now = later
	_, err := s.svc.Sweep(t.Context())
	noError(t, err)
	a := s.get("/local/"+byProject, auth).is(t, 200, "project")
	equal(t, a.Header.Get("Content-Type"), octetStream)
	s.get("/local/"+byClient, auth).is(t, 200, "client")
	s.get("/local/"+byProject, analysis(t, uuid.NewString())).is(t, 404, "")
	s.get("/local/"+byClient, analysis(t, uuid.NewString())).is(t, 404, "")
	s.do("POST", "/local/tags?tag_name=x&filename=n&object_id="+byProject, auth, nil, nil).is(t, 200, "")
	s.get("/local/tags/x", auth).is(t, 200, `{"results":[{"filename":"n","url":"`+s.url+`/local/`+byProject+`"}]}`)
}

// failing is a bucket that fails when it is told to.
type failing struct {
	objects.Bucket
	mu       sync.Mutex
	put, get error
	corrupt  bool
}

func (f *failing) fail(put, get error, corrupt bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put, f.get, f.corrupt = put, get, corrupt
}

func (f *failing) failures() (put, get error, corrupt bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.put, f.get, f.corrupt
}

func (f *failing) Put(ctx context.Context, key string, r io.Reader) (objects.Info, error) {
	if err, _, _ := f.failures(); err != nil {
		return objects.Info{}, err
	}
	return f.Bucket.Put(ctx, key, r)
}

func (f *failing) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, objects.Info, error) {
	_, fails, corrupt := f.failures()
	if fails != nil {
		return nil, objects.Info{}, fails
	}
	body, info, err := f.Bucket.Get(ctx, key, offset, length)
	if err == nil && corrupt {
		body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(io.MultiReader(strings.NewReader("X"), body), info.Size), body}
	}
	return body, info, err
}

// TestStoreFails gives each failure of the object store its answer, and leaves nothing half-done.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	bucket := &failing{}
	s := newSite(t, withoutHub, func(set *setup) {
		files, err := objects.OpenFiles(t.TempDir(), quiet)
		noError(t, err)
		t.Cleanup(func() { noError(t, files.Close()) })
		bucket.Bucket = files
		set.bucket, set.asleep = bucket, true
	})
	auth := analysis(t, "a")
	put := func() answer { return s.put("/local", auth, file("a", "hello"), text("tag", "x")) }
	id := parse[LocalUploadResponse](t, put().is(t, 200, "")).ObjectID

	bucket.fail(fault.New(fault.Full, "The disk is full"), nil, false)
	put().is(t, 507, "The disk is full")
	bucket.fail(fault.New(fault.Unavailable, "S3 is away"), nil, false)
	put().is(t, 502, "Unexpected error from object store")
	bucket.fail(errors.New("boom"), nil, false)
	put().is(t, 502, "Unexpected error from object store")
	bucket.fail(nil, nil, false)
	equal(t, s.count("result_files"), 1)

	bucket.fail(nil, errors.New("boom"), false)
	s.get("/local/"+id, auth).is(t, 502, "Unexpected error from object store")
	bucket.fail(nil, nil, true)
	if resp, err := http.DefaultClient.Do(request(t, s.url+"/local/"+id, auth)); err == nil {
		defer func() { _ = resp.Body.Close() }()
		if body, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("a damaged object is delivered as %q", body)
		}
	}
	bucket.fail(nil, nil, false)

	// A database that fails after the object is stored takes the object with it (W14).
	_, err := s.db.Exec(t.Context(), "DROP TABLE taggedresult")
	noError(t, err)
	put().is(t, 500, "Internal Server Error")
	equal(t, len(s.keys("")), 1)
	equal(t, s.count("result_files"), 1)
	equal(t, s.count("tag"), 1)
}

func request(t *testing.T, url, auth string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	noError(t, err)
	req.Header.Set("Authorization", auth)
	return req
}

// TestDeleteFile removes one result with its tags, for whoever may.
func TestDeleteFile(t *testing.T) {
	t.Parallel()
	s := newSite(t, withoutHub)
	auth := analysis(t, "a")
	keep := parse[LocalUploadResponse](t, s.put("/local", auth, file("a", "1"), text("tag", "both")).is(t, 200, "")).ObjectID
	id := parse[LocalUploadResponse](t, s.put("/local", auth, file("b", "2"), text("tag", "both")).is(t, 200, "")).ObjectID
	s.do("POST", "/local/tags?tag_name=only&object_id="+id, auth, nil, nil).is(t, 200, "")
	s.do("DELETE", "/files/"+id, auth, nil, nil).is(t, 403, "")
	s.permit("keeper", "results.delete", "a")
	s.do("DELETE", "/files/"+id, person(t, "p", "keeper"), nil, nil).is(t, 404, "")
	s.permit("keeper", "results.read", "a")
	s.do("DELETE", "/files/"+id, person(t, "p", "keeper"), nil, nil).is(t, 204, "")
	s.do("DELETE", "/files/"+id, person(t, "p", "keeper"), nil, nil).is(t, 404, "")
	s.get("/local/"+id, auth).is(t, 404, "")
	s.get("/local/"+keep, auth).is(t, 200, "1")
	s.get("/local/tags", auth).is(t, 200, `{"tags":[{"name":"both","url":"`+s.url+`/local/tags/both"}]}`)
	equal(t, len(s.keys("")), 1)
}

// TestUnknownPaths are answered as the original answers them, without any redirect.
func TestUnknownPaths(t *testing.T) {
	t.Parallel()
	s := newSite(t, withoutHub)
	for _, path := range []string{"/", "/nothing", "//healthz", "/Local", "/local/tags/a/b", "/healthz/x", "/upload/"} {
		s.get(path, "").is(t, 404, `{"detail":"Not Found"}`)
	}
	a := s.do("POST", "/local", "", nil, nil).is(t, 405, `{"detail":"Method Not Allowed"}`)
	equal(t, a.Header.Get("Allow"), "DELETE, PUT")
	s.do("OPTIONS", "/final", "", nil, nil).is(t, 405, "")
	for _, path := range []string{"/healthz", "/healthz/"} {
		s.get(path, "").is(t, 200, `{"status":"ok"}`)
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	s := newSite(t, withoutHub)
	var doc struct {
		OpenAPI    string
		Info       struct{ Title, Version string }
		Paths      map[string]map[string]struct{ OperationID string }
		Components struct{ Schemas map[string]json.RawMessage }
	}
	noError(t, json.Unmarshal([]byte(s.get("/openapi.json", "").is(t, 200, "").body), &doc))
	equal(t, doc.OpenAPI, "3.1.0")
	equal(t, doc.Info.Title, "FLAME Node Result Service")
	equal(t, doc.Info.Version, "0.1.4")
	for route, id := range map[string]string{
		"GET /healthz": "getHealth", "PUT /final": "putFinalResult", "PUT /final/localdp": "putFinalResultWithLocalDP",
		"PUT /intermediate": "putIntermediateResult", "GET /intermediate/{object_id}": "getIntermediateResult", "PUT /local": "putLocalResult",
		"DELETE /local": "deleteLocalResults", "GET /local/tags": "getProjectTags", "GET /local/tags/{tag_name}": "getTaggedResults",
		"GET /local/{object_id}": "getLocalResult",
	} {
		method, path, _ := strings.Cut(route, " ")
		equal(t, doc.Paths[path][strings.ToLower(method)].OperationID, id)
	}
	for _, name := range []string{
		"Body_putFinalResult", "Body_putFinalResultWithLocalDP", "Body_putIntermediateResult", "Body_putLocalResult", "IntermediateUploadResponse",
		"LocalUploadResponse", "LocalTag", "LocalTagListResponse", "LocalTaggedResult", "LocalTaggedResultListResponse", "HTTPValidationError", "ValidationError",
	} {
		if doc.Components.Schemas[name] == nil {
			t.Errorf("no schema %s", name)
		}
	}
}
