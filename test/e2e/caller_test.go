package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// caller is somebody who talks to a site, with a token, or with a browser.
type caller struct {
	*lodge
	// secret is the token.
	secret string
	http   *http.Client
	// head is sent with every request.
	head http.Header
}

// as is whoever has the token; an empty one is nobody.
func (l *lodge) as(token string) caller {
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true, DialContext: dialHere}
	l.t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{
		Transport: transport, Timeout: 10 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	head := http.Header{}
	if token != "" {
		head.Set("Authorization", "Bearer "+token)
	}
	return caller{l, token, client, head}
}

// nobody has no token.
func (l *lodge) nobody() caller { return l.as("") }

// cli runs a command of the client as the caller.
func (c caller) cli(args ...string) outcome {
	c.t.Helper()
	return c.client(c.url()).run(c.t, args...)
}

// client is a place on somebody's own machine, where the server's address and the token are known.
func (c caller) client(server string) *place {
	c.t.Helper()
	return newPlace(c.t, "LODGE_SERVER="+server, "LODGE_TOKEN="+c.secret)
}

// answer is a response with its body.
type answer struct {
	t        testing.TB
	question string
	status   int
	header   http.Header
	body     string
}

// try sends a request. It may be used beside the test's own goroutine.
func (c caller) try(ctx context.Context, method, path string, head http.Header, body io.Reader, size int64) (answer, error) {
	resp, err := c.open(ctx, method, path, head, body, size)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return answer{c.t, method + " " + path, resp.StatusCode, resp.Header, string(text)}, err
}

// open sends a request whose answer is read by whoever asks.
func (c caller) open(ctx context.Context, method, path string, head http.Header, body io.Reader, size int64) (*http.Response, error) {
	address := path
	if strings.HasPrefix(path, "/") {
		address = c.url() + path
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	for _, h := range []http.Header{c.head, head} {
		for name, values := range h {
			req.Header[name] = values
		}
	}
	return c.http.Do(req)
}

func (c caller) do(method, path string, head http.Header, body string) answer {
	c.t.Helper()
	a, err := c.try(c.t.Context(), method, path, head, strings.NewReader(body), int64(len(body)))
	noError(c.t, err)
	return a
}

func (c caller) get(path string) answer {
	c.t.Helper()
	return c.do(http.MethodGet, path, nil, "")
}

// send sends a value as JSON.
func (c caller) send(method, path string, value any) answer {
	c.t.Helper()
	body := []byte{}
	head := http.Header{}
	if value != nil {
		var err error
		body, err = json.Marshal(value)
		noError(c.t, err)
		head.Set("Content-Type", "application/json")
	}
	return c.do(method, path, head, string(body))
}

// put uploads a file with fields of the form, given as name and value in turn.
func (c caller) put(path string, f file, fields ...string) answer {
	c.t.Helper()
	a, err := c.tryPut(c.t.Context(), path, f, fields...)
	noError(c.t, err)
	return a
}

func (c caller) tryPut(ctx context.Context, path string, f file, fields ...string) (answer, error) {
	kind, body, size := form(f, fields...)
	return c.try(ctx, http.MethodPut, path, http.Header{"Content-Type": {kind}}, body, size)
}

// is demands the status, and that the body holds the words.
func (a answer) is(status int, words ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d: %s", a.question, a.status, status, a.body)
	}
	for _, word := range words {
		if !strings.Contains(a.body, word) {
			a.t.Fatalf("%s: %d without %q: %s", a.question, a.status, word, a.body)
		}
	}
	return a
}

// parse reads the body as JSON.
func parse[T any](a answer) (v T) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		a.t.Fatalf("%s: %v in %s", a.question, err, a.body)
	}
	return v
}

// file is something to upload.
type file struct {
	name, kind string
	size       int64
	open       func() io.Reader
}

// bytesFile is a file of these bytes.
func bytesFile(name string, content []byte) file {
	return file{name, "application/octet-stream", int64(len(content)), func() io.Reader { return bytes.NewReader(content) }}
}

// randomFile is a file of bytes that follow from the seed.
func randomFile(name string, seed uint64, size int64) file {
	key := [32]byte{}
	binary.LittleEndian.PutUint64(key[:], seed)
	return file{name, "application/octet-stream", size, func() io.Reader { return io.LimitReader(rand.NewChaCha8(key), size) }}
}

func (f file) sha256() string {
	sum := sha256.New()
	_, _ = io.Copy(sum, f.open()) // neither fails
	return hex.EncodeToString(sum.Sum(nil))
}

func shaOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// form is a body as curl -F makes it: with a length, the file before the fields.
func form(f file, fields ...string) (contentType string, body io.Reader, size int64) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_, _ = w.CreatePart(textproto.MIMEHeader{ // a buffer takes everything
		"Content-Disposition": {fmt.Sprintf(`form-data; name="file"; filename="%s"`, f.name)},
		"Content-Type":        {f.kind},
	})
	n := b.Len()
	for i := 0; i+1 < len(fields); i += 2 {
		_ = w.WriteField(fields[i], fields[i+1])
	}
	_ = w.Close()
	head, end := b.Bytes()[:n], b.Bytes()[n:]
	return w.FormDataContentType(), io.MultiReader(bytes.NewReader(head), f.open(), bytes.NewReader(end)), f.size + int64(b.Len())
}

// What the server tells, as far as these stories listen.
type (
	stored struct {
		URL      string `json:"url"`
		ObjectID string `json:"object_id"`
	}
	tagged struct {
		Results []struct {
			Filename string `json:"filename"`
			URL      string `json:"url"`
		} `json:"results"`
	}
	page[T any] struct {
		Items []T   `json:"items"`
		Total int64 `json:"total"`
	}
	fileInfo struct {
		ID       string   `json:"id"`
		Project  string   `json:"project_id"`
		Client   string   `json:"client_id"`
		Filename string   `json:"filename"`
		Size     int64    `json:"size"`
		SHA256   string   `json:"sha256"`
		Tags     []string `json:"tags"`
	}
	uploadInfo struct {
		ID         string `json:"id"`
		State      string `json:"state"`
		Analysis   string `json:"analysis_id"`
		Filename   string `json:"filename"`
		Attempts   int    `json:"attempts"`
		LastError  string `json:"last_error"`
		WaitingFor string `json:"waiting_for"`
		URL        string `json:"url"`
	}
)

// list gives everything that a list holds, page by page.
func list[T any](c caller, path string) []T {
	c.t.Helper()
	var items []T
	for sep := map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]; ; {
		got := parse[page[T]](c.get(fmt.Sprintf("%s%slimit=500&offset=%d", path, sep, len(items))).is(200))
		items = append(items, got.Items...)
		if len(got.Items) == 0 || int64(len(items)) >= got.Total {
			return items
		}
	}
}

// last is the last element of an address.
func last(address string) string { return filepath.Base(address) }
