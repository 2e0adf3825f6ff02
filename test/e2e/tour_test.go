package e2e

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// TestTour is what a newcomer does with a fresh site and a hub.
func TestTour(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	tour(t, startLodge(t, at(h)), h)
}

// tour takes one analysis through the results part: a file is stored, read, tagged, found again, and
// delivered to the hub.
func tour(t *testing.T, l *lodge, h *hub) {
	id := uuid.NewString()
	analysis := l.analysis(id)
	model, license := randomFile("model.bin", 7, 3<<20+11), aRealFile(t)

	// A file is stored, under the address without a slash at its end and under the one with it.
	one := parse[stored](analysis.put("/results/local", model).is(200))
	two := parse[stored](analysis.put("/results/local/", license, "tag", "papers").is(200))
	equal(t, "the address of the stored file", one.URL, l.url()+"/results/local/"+one.ObjectID)
	for object, f := range map[stored]file{one: model, two: license} {
		got := analysis.get(object.URL).is(200)
		equal(t, "SHA-256 of "+f.name, shaOf(got.body), f.sha256())
		equal(t, "ETag of "+f.name, got.header.Get("ETag"), `"`+f.sha256()+`"`)
	}
	// The first gets a tag afterwards; both are found by it, in the order in which they got it.
	analysis.send("POST", "/results/local/tags?tag_name=papers&object_id="+one.ObjectID, nil).is(200)
	analysis.get("/results/local/tags").is(200, `{"name":"papers","url":"`+l.url()+`/results/local/tags/papers"}`)
	found := parse[tagged](analysis.get("/results/local/tags/papers").is(200)).Results
	if len(found) != 2 || found[0].URL != two.URL || found[0].Filename != license.name || found[1].URL != one.URL {
		t.Fatalf("tagged papers: %+v, want %s then %s", found, two.URL, one.URL)
	}
	// What the console shows of them.
	files := list[fileInfo](analysis, "/results/files?project="+h.projectOf(id))
	equal(t, "files", len(files), 2)
	equal(t, "the newest file's SHA-256", files[0].SHA256, license.sha256())
	// Somebody else's analysis does not find them.
	l.analysis(uuid.NewString()).get(one.URL).is(404, "Object with ID "+one.ObjectID+" does not exist")

	// A final result goes to the hub, which has it before the answer is given.
	analysis.put("/results/final/", model).is(204)
	sent := h.received(id)
	equal(t, "files at the hub", len(sent), 1)
	sent[0].once(t, model.sha256())
	equal(t, "its name", sent[0].Name, model.name)
	equal(t, "its bucket", sent[0].Bucket, "RESULT")
	uploads := list[uploadInfo](analysis, "/results/uploads")
	if len(uploads) != 1 || uploads[0].State != "delivered" || uploads[0].Analysis != id {
		t.Fatalf("uploads: %+v, want one delivered", uploads)
	}
}

// aRealFile is a text with lines and no randomness in it.
func aRealFile(t testing.TB) file {
	t.Helper()
	text, err := os.ReadFile("../../LICENSE")
	noError(t, err)
	f := bytesFile("LICENSE", text)
	f.kind = "text/plain"
	return f
}

// TestWithoutAHub is the site as it is out of the box: the token says which project an analysis is in,
// and final results wait.
func TestWithoutAHub(t *testing.T) {
	t.Parallel()
	l := startLodge(t)
	heart, same, lung := l.analysis("heart-1", "project_id=heart"), l.analysis("heart-2", "project_id=heart"), l.analysis("lung")
	hearts := parse[stored](heart.put("/results/local", bytesFile("a", []byte("of the heart"))).is(200))
	lungs := parse[stored](lung.put("/results/local", bytesFile("b", []byte("of the lung"))).is(200))
	heart.get(hearts.URL).is(200, "of the heart")
	same.get(hearts.URL).is(200, "of the heart")
	lung.get(hearts.URL).is(404)
	lung.get(lungs.URL).is(200, "of the lung")
	heart.get(lungs.URL).is(404)

	waiting := heart.put("/results/final", bytesFile("c", []byte("later"))).is(202, "hub")
	upload := parse[uploadInfo](heart.get(waiting.header.Get("Location")).is(200))
	equal(t, "state", upload.State, "queued")
	if !strings.Contains(upload.WaitingFor, "No hub is configured") {
		t.Errorf("it does not say why it waits: %+v", upload)
	}
	lung.get(waiting.header.Get("Location")).is(404)
	heart.get("/results/hub").is(200, `"configured":false`, `"waiting":1`)

	// The day comes: the same data, with a hub. An id that is no UUID is unknown there, and the upload
	// is set aside with a word about it; the one of an analysis that the hub knows is delivered.
	id := uuid.NewString()
	known := l.analysis(id)
	known.put("/results/final", bytesFile("d", []byte("in the end"))).is(202)
	l.stop()
	h := startHub(t)
	at(h)(l)
	l.start()
	root := l.administrator()
	eventually(t, "each upload has its end", func() bool {
		states := map[string]string{}
		for _, u := range list[uploadInfo](root, "/results/uploads") {
			states[u.Analysis] = u.State
		}
		return states[id] == "delivered" && states["heart-1"] == "failed"
	})
	sent := h.received(id)
	equal(t, "files at the hub", len(sent), 1)
	sent[0].once(t, shaOf("in the end"))
}

// TestPutAndGet are the client's commands.
func TestPutAndGet(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	l := startLodge(t, at(h))
	id := uuid.NewString()
	analysis := l.analysis(id)
	mine := analysis.client(l.url())
	content, err := os.ReadFile("../../LICENSE")
	noError(t, err)
	path := filepath.Join(mine.workDir(), "paper.txt")
	noError(t, os.WriteFile(path, content, 0o600))
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(mine.workDir(), name))
		noError(t, err)
		return string(text)
	}

	address := mine.run(t, "put", "paper.txt", "--tag", "papers").ok()
	object := last(address)
	equal(t, "the address", address, l.url()+"/results/local/"+object)
	mine.run(t, "get", object, "-o", "by-id.txt").ok()
	equal(t, "by id", read("by-id.txt"), string(content))
	mine.run(t, "get", address, "-o", "by-address.txt").ok()
	equal(t, "by address", read("by-address.txt"), string(content))
	noError(t, os.Remove(path))
	mine.run(t, "get", "--tag", "papers").ok()
	equal(t, "by tag, under its own name", read("paper.txt"), string(content))
	equal(t, "to standard output", mine.run(t, "get", object, "-o", "-").stdout, string(content))

	mine.run(t, "put", "paper.txt", "--final").ok()
	sent := h.received(id)
	equal(t, "files at the hub", len(sent), 1)
	sent[0].once(t, shaOf(string(content)))
	passing := mine.run(t, "put", "paper.txt", "--intermediate").ok()
	mine.run(t, "get", last(passing), "-o", "passed.txt").ok()
	equal(t, "an intermediate result", read("passed.txt"), string(content))

	// Every failure is a sentence and a status, and leaves nothing behind.
	mine.run(t, "get", "--tag", "papers").fails("paper.txt", "exists already")
	mine.run(t, "get", "--tag", "nothing").fails("nothing")
	mine.run(t, "get", uuid.NewString(), "-o", "x").fails("does not exist")
	mine.run(t, "put", "paper.txt", "--tag", "No Tag").fails("Invalid tag")
	mine.run(t, "put", "paper.txt", "--final", "--tag", "a").fails("tag")
	mine.run(t, "put", "not-there.txt").fails("not-there.txt")
	mine.run(t, "put", ".").fails("no file")
	mine.run(t, "put").fails()
	mine.run(t, "fly").fails()
	l.as("no.good.token").cli("get", object, "-o", "x").fails("Lodge does not know you", "LODGE_TOKEN")
	l.nobody().cli("get", object, "-o", "x").fails("lodge: you are not logged in", "LODGE_TOKEN")
	l.analysis(uuid.NewString()).cli("get", object, "-o", "x").fails("does not exist")
	analysis.client("http://127.0.0.1:1").run(t, "put", path).fails("Is it running?")
	left, err := os.ReadDir(mine.workDir())
	noError(t, err)
	equal(t, "files in the folder", len(left), 4)
}

// TestResumedDownload kills a download half way; the next one goes on where it stopped.
func TestResumedDownload(t *testing.T) {
	t.Parallel()
	l := startLodge(t)
	analysis := l.analysis("resumer")
	big := randomFile("big.bin", 3, 24<<20)
	object := parse[stored](analysis.put("/results/local", big).is(200)).ObjectID

	road := newRoad(t, l.url())
	road.stopAfter(8 << 20)
	mine := analysis.client(road.url)
	first := mine.begin(t, theBinary(t), "get", object, "-o", "big.bin")
	part := filepath.Join(mine.workDir(), "big.bin.part")
	eventually(t, "eight megabytes have arrived", func() bool {
		info, err := os.Stat(part)
		return err == nil && info.Size() == 8<<20
	})
	first.kill()

	road.stopAfter(-1)
	mine.run(t, "get", object, "-o", "big.bin").ok()
	got, err := os.ReadFile(filepath.Join(mine.workDir(), "big.bin"))
	noError(t, err)
	equal(t, "SHA-256", shaOf(string(got)), big.sha256())
	equal(t, "the range that was asked for", road.lastRange(), "bytes="+strconv.Itoa(8<<20)+"-")
	if _, err := os.Stat(part); !os.IsNotExist(err) {
		t.Errorf("the part is still there: %v", err)
	}
}

// road is the way to a server, on which downloads can get stuck.
type road struct {
	url string

	mu        sync.Mutex
	limit     int64
	lastAsked string
}

func newRoad(t testing.TB, to string) *road {
	t.Helper()
	r := &road{limit: -1}
	target, err := url.Parse(to)
	noError(t, err)
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(target) },
		FlushInterval: -1,
		ModifyResponse: func(resp *http.Response) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if strings.Contains(resp.Request.URL.Path, "/local/") {
				r.lastAsked = resp.Request.Header.Get("Range")
				resp.Body = &stuckBody{resp.Body, resp.Request.Context(), r.limit}
			}
			return nil
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// stopAfter lets that many bytes of each download pass; all of them if it is negative.
func (r *road) stopAfter(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = n
}

func (r *road) lastRange() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastAsked
}

// stuckBody gives so much and then nothing more until nobody waits.
type stuckBody struct {
	io.ReadCloser
	ctx  context.Context // of the request that it answers
	left int64           // negative: all of it
}

func (b *stuckBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		<-b.ctx.Done()
		return 0, b.ctx.Err()
	}
	if b.left > 0 {
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	return n, err
}
