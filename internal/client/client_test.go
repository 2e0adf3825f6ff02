package client_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lodge/internal/client"
	"lodge/internal/fault"
)

// server is a small Lodge: it keeps local results and can break in the ways that tests want.
type server struct {
	prefix string

	mu      sync.Mutex
	files   map[string][]byte
	tags    map[string][]string
	puts    []*http.Request
	asked   []string // METHOD path range
	token   string
	cutAt   int  // end an answer after so many bytes, …
	cuts    int  // … so many times
	damage  bool // change a byte
	noETag  bool // do not say which version it is
	answers http.HandlerFunc
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, s.prefix)
	if path == "/healthz" && ok {
		_, _ = io.WriteString(w, `{"status":"ok"}`)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.HasSuffix(path, "/healthz") {
		s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+path+" "+r.Header.Get("Range")))
	}
	switch {
	case !ok:
		w.WriteHeader(404)
		_, _ = io.WriteString(w, `{"detail":"Not Found"}`)
	case r.Header.Get("Authorization") != "Bearer "+s.token:
		w.WriteHeader(401)
		_, _ = io.WriteString(w, `{"detail":"JWT is malformed"}`)
	case s.answers != nil:
		s.answers(w, r)
	case r.Method == "PUT":
		s.put(w, r, strings.Trim(path, "/"))
	case strings.HasPrefix(path, "/local/tags/"):
		var items []string
		for _, id := range s.tags[strings.TrimPrefix(path, "/local/tags/")] {
			items = append(items, fmt.Sprintf(`{"filename":"of-%s.txt","url":"http://x/local/%s"}`, id, id))
		}
		_, _ = fmt.Fprintf(w, `{"results":[%s]}`, strings.Join(items, ","))
	default:
		s.get(w, r, strings.TrimPrefix(path, "/"))
	}
}

func (s *server) put(w http.ResponseWriter, r *http.Request, kind string) {
	if err := r.ParseMultipartForm(64 << 20); err != nil {
		w.WriteHeader(400)
		_, _ = io.WriteString(w, `{"detail":"There was an error parsing the body"}`)
		return
	}
	s.puts = append(s.puts, r)
	f, h, err := r.FormFile("file")
	if err != nil {
		w.WriteHeader(422)
		_, _ = io.WriteString(w, `{"detail":[{"type":"missing","loc":["body","file"],"msg":"Field required","input":null}]}`)
		return
	}
	body, _ := io.ReadAll(f)
	id := fmt.Sprintf("id-%d", len(s.files)+1)
	s.files[kind+"/"+id] = body
	switch h.Filename {
	case "delivered.bin":
		w.WriteHeader(204)
	case "queued.bin":
		w.Header().Set("Location", "/results/uploads/"+id)
		w.WriteHeader(202)
	default:
		_, _ = fmt.Fprintf(w, `{"url":"http://lodge/%s/%s"}`, kind, id)
	}
}

func (s *server) get(w http.ResponseWriter, r *http.Request, key string) {
	body, ok := s.files[key]
	if !ok {
		w.WriteHeader(404)
		_, _ = fmt.Fprintf(w, `{"detail":"Object with ID %s does not exist"}`, filepath.Base(key))
		return
	}
	if !s.noETag {
		w.Header().Set("ETag", `"`+sum(body)+`"`)
	}
	if s.damage {
		body = bytes.Clone(body)
		body[len(body)/2] ^= 1
	}
	if s.cuts > 0 {
		s.cuts--
		w = &cutter{ResponseWriter: w, left: s.cutAt}
	}
	if s.noETag { // as the original: neither lengths nor ranges
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(body)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func start(t *testing.T, s *server) *client.Client {
	t.Helper()
	if s.files == nil {
		s.files = map[string][]byte{}
	}
	s.token = "t"
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return connect(t, h.URL, client.StaticToken("t"))
}

func connect(t *testing.T, url string, token client.TokenSource) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Server: url, Token: token, Pause: time.Millisecond, Idle: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"/results", ""} {
		s := &server{prefix: prefix}
		c := start(t, s)
		content := random(t, 3<<20)
		last := int64(0)
		stored, err := c.Put(t.Context(), client.PutOptions{File: write(t, "model ü.csv", content), Tag: "best"}, func(done, total int64) {
			if done < last || total != 3<<20 {
				t.Errorf("progress went from %d to %d of %d", last, done, total)
			}
			last = done
		})
		if err != nil || stored.ID != "id-1" || stored.String() != "http://lodge/local/id-1" || stored.SHA256 != sum(content) || last != 3<<20 {
			t.Fatalf("put: %+v, %v after %d bytes", stored, err, last)
		}
		r := s.puts[0]
		if h := r.MultipartForm.File["file"][0]; r.FormValue("tag") != "best" || h.Filename != "model ü.csv" || !strings.HasPrefix(h.Header.Get("Content-Type"), "text/csv") {
			t.Errorf("the server got %v %v", r.MultipartForm.Value, h)
		}
		out := filepath.Join(t.TempDir(), "out")
		got, err := c.Get(t.Context(), client.GetOptions{ID: stored.URL, Out: out}, nil)
		if err != nil || !got.Checked || got.SHA256 != stored.SHA256 || got.Path != out {
			t.Fatalf("get: %+v, %v", got, err)
		}
		back, err := os.ReadFile(out)
		if err != nil || !bytes.Equal(back, content) {
			t.Errorf("%d bytes came back, %v", len(back), err)
		}
		if left, _ := filepath.Glob(out + ".*"); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestFinalAndIntermediate(t *testing.T) {
	t.Parallel()
	s := &server{prefix: "/results"}
	c := start(t, s)
	for name, want := range map[string]string{"delivered.bin": "delivered", "queued.bin": "/results/uploads/"} {
		got, err := c.Put(t.Context(), client.PutOptions{File: write(t, name, []byte("x")), Kind: client.Final}, nil)
		if err != nil || !strings.Contains(got.String(), want) || (name == "queued.bin") != strings.HasPrefix(got.String(), "http://127") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	got, err := c.Put(t.Context(), client.PutOptions{File: write(t, "n", nil), Kind: client.Intermediate, To: "node-b"}, nil)
	if err != nil || s.puts[2].FormValue("remote_node_id") != "node-b" {
		t.Fatalf("intermediate: %v, %v", got, err)
	}
	// Without a kind it is found among the intermediate results when the local ones lack it.
	out := filepath.Join(t.TempDir(), "out")
	if got, err := c.Get(t.Context(), client.GetOptions{ID: got.ID, Out: out}, nil); err != nil || got.Size != 0 || !got.Checked {
		t.Errorf("get: %+v, %v", got, err)
	}
	for _, bad := range []client.PutOptions{
		{Kind: "other"}, {Kind: client.Final, Tag: "t"}, {Kind: client.Local, To: "n"}, {File: t.TempDir()}, {File: "/no/such/file"},
	} {
		if _, err := c.Put(t.Context(), bad, nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestGoesOnAfterACut(t *testing.T) {
	t.Parallel()
	content := random(t, 1<<20)
	for _, toStdout := range []bool{false, true} {
		s := &server{files: map[string][]byte{"local/x": content}, cutAt: 300_000, cuts: 3}
		c := start(t, s)
		var pipe bytes.Buffer
		o := client.GetOptions{ID: "x", Kind: client.Local, Out: filepath.Join(t.TempDir(), "out"), Stdout: &pipe}
		if toStdout {
			o.Out = "-"
		}
		got, err := c.Get(t.Context(), o, nil)
		if err != nil || !got.Checked || got.SHA256 != sum(content) {
			t.Fatalf("get: %+v, %v", got, err)
		}
		if toStdout && !bytes.Equal(pipe.Bytes(), content) {
			t.Errorf("%d other bytes came out", pipe.Len())
		}
		for i, want := range []string{"", "bytes=300000-", "bytes=600000-", "bytes=900000-"} {
			if line := strings.TrimSpace("GET /local/x " + want); i >= len(s.asked) || s.asked[i] != line {
				t.Errorf("the requests were %q, want %q as number %d", s.asked, line, i)
			}
		}
	}
}

func TestALaterDownloadGoesOn(t *testing.T) {
	t.Parallel()
	content := random(t, 1<<20)
	s := &server{files: map[string][]byte{"local/x": content}, cutAt: 400_000, cuts: 1}
	c := start(t, s)
	o := client.GetOptions{ID: "x", Kind: client.Local, Out: filepath.Join(t.TempDir(), "out")}
	ctx, stop := context.WithCancel(t.Context())
	_, err := c.Get(ctx, o, func(done, _ int64) {
		if done >= 400_000 {
			stop()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a download that was stopped: %v", err)
	}
	if _, err := os.Stat(o.Out); err == nil {
		t.Error("half a file stands under the name of the whole")
	}
	part, err := os.Stat(o.Out + ".part")
	if err != nil || part.Size() == 0 {
		t.Fatalf("the part: %v, %v", part, err)
	}
	got, err := c.Get(t.Context(), o, nil)
	if err != nil || got.SHA256 != sum(content) {
		t.Fatalf("the later download: %+v, %v", got, err)
	}
	if want := "GET /local/x bytes=" + strconv.FormatInt(part.Size(), 10) + "-"; s.asked[len(s.asked)-1] != want {
		t.Errorf("the requests were %q, the last should be %q", s.asked, want)
	}
	// Another version in the meantime: begin again.
	other := random(t, 500_000)
	for name, left := range map[string][]byte{"shorter": content[:1000], "longer": content, "whole": other} {
		tag := `"` + sum(content) + `"`
		if name == "whole" {
			tag = `"` + sum(other) + `"`
		}
		_ = os.WriteFile(o.Out+".part", left, 0o600)
		_ = os.WriteFile(o.Out+".part.etag", []byte(tag), 0o600)
		s.files["local/x"] = other
		if got, err := c.Get(t.Context(), o, nil); err != nil || got.SHA256 != sum(other) || got.Size != 500_000 {
			t.Errorf("after a part that is %s: %+v, %v", name, got, err)
		}
	}
}

func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	s := &server{files: map[string][]byte{"local/x": random(t, 100_000)}, damage: true}
	c := start(t, s)
	out := filepath.Join(t.TempDir(), "out")
	_, err := c.Get(t.Context(), client.GetOptions{ID: "x", Out: out}, nil)
	if !fault.Is(err, fault.Upstream) || !strings.HasPrefix(err.Error(), "The file arrived damaged") {
		t.Errorf("damage: %v", err)
	}
	if left, _ := filepath.Glob(out + "*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAServerWithoutVersions(t *testing.T) {
	t.Parallel()
	content := random(t, 100_000)
	s := &server{files: map[string][]byte{"local/x": content}, noETag: true, cutAt: 50_000, cuts: 1}
	c := start(t, s)
	got, err := c.Get(t.Context(), client.GetOptions{ID: "x", Out: filepath.Join(t.TempDir(), "out")}, nil)
	if err != nil || got.Checked || got.SHA256 != sum(content) {
		t.Errorf("a file: %+v, %v", got, err)
	}
	s.cuts = 1
	_, err = c.Get(t.Context(), client.GetOptions{ID: "x", Out: "-", Stdout: io.Discard}, nil)
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("a pipe: %v", err)
	}
	s.cuts = 100
	if _, err = c.Get(t.Context(), client.GetOptions{ID: "x", Out: filepath.Join(t.TempDir(), "out")}, nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a server that always cuts: %v", err)
	}
}

func TestTheNewestOfATag(t *testing.T) {
	t.Chdir(t.TempDir())
	s := &server{
		files: map[string][]byte{"local/old": []byte("old"), "local/new": []byte("new")},
		tags:  map[string][]string{"best": {"old", "new"}},
	}
	c := start(t, s)
	got, err := c.Get(t.Context(), client.GetOptions{Tag: "best"}, nil)
	if err != nil || got.Path != "of-new.txt" || got.SHA256 != sum([]byte("new")) {
		t.Errorf("by tag: %+v, %v", got, err)
	}
	if _, err := c.Get(t.Context(), client.GetOptions{Tag: "best"}, nil); !fault.Is(err, fault.Conflict) {
		t.Errorf("a name that the server chose replaced a file: %v", err)
	}
	if _, err := c.Get(t.Context(), client.GetOptions{Tag: "none"}, nil); !fault.Is(err, fault.Missing) {
		t.Errorf("a tag without results: %v", err)
	}
	if _, err := c.Get(t.Context(), client.GetOptions{Tag: "a", ID: "b"}, nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("a tag and an id: %v", err)
	}
	if got, err := c.Get(t.Context(), client.GetOptions{ID: "new", Out: os.DevNull}, nil); err != nil || got.Size != 3 {
		t.Errorf("to a device: %+v, %v", got, err)
	}
}

func TestErrorsAreSentences(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		body   string
		kind   fault.Kind
		want   string
	}{
		{404, `{"detail":"Object with ID x does not exist"}`, fault.Missing, "Object with ID x does not exist"},
		{400, "{\"detail\":\"Invalid tag `A`\"}", fault.Invalid, "Invalid tag `A`"},
		{422, `{"detail":[{"type":"uuid_parsing","loc":["path","object_id"],"msg":"Input should be a valid UUID"},{"loc":["body",0],"msg":"no"}]}`, fault.Invalid, "path.object_id: Input should be a valid UUID; body.0: no"},
		{403, `{"detail":"Not authenticated"}`, fault.Unauthenticated, "Lodge does not know you (Not authenticated). Log in with `lodge login`, or set LODGE_TOKEN."},
		{401, `{"error":{"kind":"unauthenticated","message":"The token has expired."}}`, fault.Unauthenticated, "Lodge does not know you (The token has expired). Log in with `lodge login`, or set LODGE_TOKEN."},
		{403, `{"error":{"kind":"denied","message":"You need results.write on p.","request_id":"r1"}}`, fault.Denied, "You need results.write on p."},
		{400, `{"error":{"message":"the request is not valid","fields":[{"loc":["query","limit"],"message":"too large"}]}}`, fault.Invalid, "the request is not valid; query.limit: too large"},
		{507, `{"error":{"message":"No room is left.","request_id":"r2"}}`, fault.Full, "No room is left. (request r2)"},
		{500, "<html>", fault.Internal, "Lodge answered 500 Internal Server Error"},
		{413, "", fault.TooLarge, "Lodge answered 413 Request Entity Too Large"},
	} {
		s := &server{answers: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		}}
		c := start(t, s)
		_, getErr := c.Get(t.Context(), client.GetOptions{ID: "x", Kind: client.Local, Out: "-", Stdout: io.Discard}, nil)
		_, putErr := c.Put(t.Context(), client.PutOptions{File: write(t, "f", []byte("x"))}, nil)
		for _, err := range []error{getErr, putErr} {
			if fault.KindOf(err) != tt.kind || fmt.Sprint(err) != tt.want {
				t.Errorf("%d %s: %q (%s)", tt.status, tt.body, err, fault.KindOf(err))
			}
		}
	}
}

func TestServersThatAreNotThere(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	redirecting := httptest.NewServer(http.RedirectHandler("https://lodge.example/x", http.StatusMovedPermanently))
	t.Cleanup(redirecting.Close)
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	for url, want := range map[string]string{
		gone.URL:        "Lodge cannot be reached: nothing listens at " + gone.URL + ". Is it running?",
		redirecting.URL: "The server sends us on to https://lodge.example: use that address.",
		other.URL:       "At " + other.URL + " nothing answers as Lodge's results part does.",
	} {
		_, err := connect(t, url, nil).Put(t.Context(), client.PutOptions{File: write(t, "f", nil)}, nil)
		if fmt.Sprint(err) != want {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"", "lodge.example", "ftp://x", "https://u:canary@x"} {
		if _, err := client.New(client.Config{Server: url}); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestATokenThatIsRefusedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	s := &server{files: map[string][]byte{"local/x": []byte("x")}, token: "t"}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	tokens := []string{"old", "t\n"}
	c := connect(t, h.URL, func(context.Context) (string, error) {
		next := tokens[0]
		if len(tokens) > 1 {
			tokens = tokens[1:]
		}
		return next, nil
	})
	if _, err := c.Get(t.Context(), client.GetOptions{ID: "x", Out: "-", Stdout: io.Discard}, nil); err != nil {
		t.Error(err)
	}
	broken := errors.New("no login is stored")
	_, err := connect(t, h.URL, func(context.Context) (string, error) { return "", broken }).
		Get(t.Context(), client.GetOptions{ID: "x", Out: "-", Stdout: io.Discard}, nil)
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestAFileThatShrinksIsNotStored(t *testing.T) {
	t.Parallel()
	s := &server{}
	c := start(t, s)
	path := write(t, "f", random(t, 8<<20))
	_, err := c.Put(t.Context(), client.PutOptions{File: path}, func(done, _ int64) {
		_ = os.Truncate(path, min(done, 1<<20))
	})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "changed while it was sent") {
		t.Errorf("a file that shrinks: %v", err)
	}
	if len(s.puts) != 0 {
		t.Error("the server took it")
	}
}
