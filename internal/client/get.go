package client

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"lodge/internal/fault"
)

// GetOptions say what to fetch and where to put it.
type GetOptions struct {
	// ID is the id of a result, or an address that ends in it. Without Kind it is looked for among
	// the local results first, then among the intermediate ones.
	ID   string
	Kind Kind
	// Tag, instead of ID, fetches the newest local result with that tag.
	Tag string
	// From is the id of the node that an intermediate result was encrypted by, to decrypt it.
	From string
	// Out is the path to write to; "-" writes to Stdout; empty is the file's name if Tag found it,
	// else the id, in the current folder, and nothing that is there is replaced.
	Out    string
	Stdout io.Writer
}

// Fetched is a file that has arrived.
type Fetched struct {
	// Path is where it is; empty when it went to Stdout.
	Path   string
	Size   int64
	SHA256 string
	// Checked says that the server named the SHA-256 and that it is the same.
	Checked bool
}

// Get fetches a file. What it writes appears under its name only when it is whole and, if the
// server says its SHA-256, unchanged; until then it is NAME.part, and a later Get goes on with it.
func (c *Client) Get(ctx context.Context, o GetOptions, progress Progress) (Fetched, error) {
	if (o.ID == "") == (o.Tag == "") {
		return Fetched{}, fault.New(fault.Invalid, "Say either an id or a tag.")
	}
	name := ""
	if o.Tag != "" {
		var err error
		if o.ID, name, err = c.newest(ctx, o.Tag); err != nil {
			return Fetched{}, err
		}
		o.Kind = Local
	}
	for _, kind := range []Kind{Local, Intermediate} {
		if o.Kind == "" && strings.Contains(o.ID, "/"+string(kind)+"/") {
			o.Kind = kind
		}
	}
	o.ID = lastElement(o.ID)
	if o.Out == "" {
		o.Out = cmp.Or(baseName(name), baseName(o.ID), "result")
		if _, err := os.Lstat(o.Out); err == nil {
			return Fetched{}, fault.New(fault.Conflict, "%s exists already: say with -o where to write to.", o.Out)
		}
	}
	tries := []Kind{Local, Intermediate}
	if o.From != "" {
		tries = []Kind{Intermediate}
	}
	if o.Kind != "" {
		tries = []Kind{o.Kind}
	}
	var err error
	for _, kind := range tries {
		var address string
		if address, err = c.address(ctx, string(kind), o.ID); err != nil {
			return Fetched{}, err
		}
		if o.From != "" {
			address += "?node_id=" + url.QueryEscape(o.From)
		}
		var f Fetched
		if f, err = c.download(ctx, address, o, progress); !fault.Is(err, fault.Missing) {
			return f, err
		}
	}
	return Fetched{}, err
}

// newest finds the last result of a tag, and its file name.
func (c *Client) newest(ctx context.Context, tag string) (id, name string, err error) {
	address, err := c.address(ctx, "local", "tags", tag)
	if err != nil {
		return "", "", err
	}
	ctx, stop := context.WithTimeoutCause(ctx, c.cfg.Idle, errSlow)
	defer stop()
	resp, err := c.get(ctx, address, nil)
	if err != nil {
		return "", "", err
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusOK {
		return "", "", refused(resp)
	}
	var in struct {
		Results []struct {
			Filename string `json:"filename"`
			URL      string `json:"url"`
		} `json:"results"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(&in); err != nil {
		return "", "", fault.Wrap(err, fault.Upstream, "Lodge's answer cannot be understood")
	}
	if len(in.Results) == 0 {
		return "", "", fault.New(fault.Missing, "No result has the tag %s.", tag)
	}
	last := in.Results[len(in.Results)-1]
	return lastElement(last.URL), last.Filename, nil
}

// transfer is one download over as many requests as it takes.
type transfer struct {
	client   *Client
	address  string
	progress Progress

	sink *sink
	etag string
	// total is -1 while it is not known.
	total int64
	sum   hash.Hash
}

func (c *Client) download(ctx context.Context, address string, o GetOptions, progress Progress) (Fetched, error) {
	t := &transfer{client: c, address: address, progress: progress, total: -1, sum: sha256.New()}
	var err error
	if t.sink, err = openSink(o, t.sum); err != nil {
		return Fetched{}, err
	}
	defer t.sink.close()
	t.etag = t.sink.etag
	if err := t.run(ctx); err != nil {
		return Fetched{}, err
	}
	f := Fetched{Path: t.sink.path, Size: t.sink.size, SHA256: hex.EncodeToString(t.sum.Sum(nil))}
	if want := sha256Of(t.etag); want != "" {
		if want != f.SHA256 {
			t.sink.discard()
			return Fetched{}, fault.New(fault.Upstream, "The file arrived damaged: its SHA-256 is %s, Lodge says %s.", f.SHA256, want)
		}
		f.Checked = true
	}
	return f, t.sink.finish()
}

// baseName is a file name without any folder. It is empty when nothing is left that a server may
// choose: a name that begins with a dot could be one that some program obeys.
func baseName(name string) string {
	name = filepath.Base(strings.ReplaceAll(name, `\`, "/"))
	if strings.HasPrefix(name, ".") || name == "/" || strings.ContainsFunc(name, unicode.IsControl) {
		return ""
	}
	return name
}

var hexSum = regexp.MustCompile(`^"([0-9a-f]{64})"$`)

// sha256Of is the SHA-256 that a strong ETag of Lodge is; empty for others.
func sha256Of(etag string) string {
	if m := hexSum.FindStringSubmatch(etag); m != nil {
		return m[1]
	}
	return ""
}

// run asks until the file is whole. It gives up when Attempts requests in a row brought nothing.
func (t *transfer) run(ctx context.Context) error {
	pause := t.client.cfg.Pause
	for failed := 0; ; {
		before := t.sink.size
		err := t.request(ctx)
		if err == nil {
			return nil
		}
		if t.sink.size > before {
			failed, pause = 0, t.client.cfg.Pause
		}
		if failed++; failed >= t.client.cfg.Attempts || !passing(err) || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("stopped: %w", context.Cause(ctx))
		}
		pause = min(2*pause, 10*time.Second)
	}
}

// passing says that trying again may help.
func passing(err error) bool {
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.Timeout, fault.Upstream, fault.Exhausted:
		return true
	default:
		return false
	}
}

// request makes one request and copies what it brings.
func (t *transfer) request(ctx context.Context) error {
	ctx, touch, stop := t.client.watch(ctx)
	defer stop()
	head := http.Header{}
	offset := t.sink.size
	if offset > 0 && t.etag != "" {
		head.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		head.Set("If-Range", t.etag)
	}
	resp, err := t.client.get(ctx, t.address, head)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
		err = t.beginAgain(resp)
	case http.StatusPartialContent:
		err = t.goOn(resp, offset)
	case http.StatusRequestedRangeNotSatisfiable:
		// Either all is here already, or the part on disk is longer than the file.
		if total := rangeTotal(resp); total == offset {
			return nil
		}
		if err = t.restart(); err == nil {
			err = fault.New(fault.Unavailable, "The file on the server is shorter than what is here.")
		}
	default:
		err = refused(resp)
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(io.MultiWriter(t.sum, t.sink), &meter{
		r: resp.Body, done: t.sink.size, total: t.total, progress: t.progress, touch: touch,
	})
	if t.sink.err != nil {
		return fault.Wrap(t.sink.err, fault.Full, "The file cannot be written")
	}
	if err != nil {
		return t.client.failure(ctx, err)
	}
	if t.total >= 0 && t.sink.size != t.total {
		return fault.New(fault.Unavailable, "The connection to Lodge ended after %d of %d bytes.", t.sink.size, t.total)
	}
	return nil
}

// beginAgain takes an answer that is the whole file, whether we asked for it or for the rest.
func (t *transfer) beginAgain(resp *http.Response) error {
	etag := strongTag(resp)
	skip := int64(0)
	if t.sink.part == nil {
		// What was written cannot be taken back: only the same file can follow it.
		if skip = t.sink.size; skip > 0 && (etag == "" || etag != t.etag) {
			return fault.New(fault.Conflict, "The connection was cut, and the file cannot be continued.")
		}
	} else if err := t.restart(); err != nil {
		return err
	}
	t.etag, t.total = etag, resp.ContentLength
	if _, err := io.CopyN(io.Discard, resp.Body, skip); err != nil {
		return fault.Wrap(err, fault.Unavailable, "The connection to Lodge was cut")
	}
	return t.sink.remember(etag)
}

func (t *transfer) goOn(resp *http.Response, offset int64) error {
	var from, to, total int64
	if n, _ := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &total); n != 3 || from != offset {
		return fault.New(fault.Upstream, "Lodge sent another part of the file than was asked for.")
	}
	if tag := strongTag(resp); tag != "" && tag != t.etag {
		if err := t.restart(); err != nil {
			return err
		}
		return fault.New(fault.Unavailable, "The file on the server has changed.")
	}
	t.total = total
	return nil
}

// restart forgets what has arrived.
func (t *transfer) restart() error {
	if t.sink.part == nil && t.sink.size > 0 {
		return fault.New(fault.Conflict, "The file on the server has changed, and what was written cannot be taken back.")
	}
	t.sum.Reset()
	t.etag = ""
	return t.sink.restart()
}

func strongTag(resp *http.Response) string {
	if tag := resp.Header.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return ""
}

func rangeTotal(resp *http.Response) int64 {
	_, after, _ := strings.Cut(resp.Header.Get("Content-Range"), "*/")
	n, err := strconv.ParseInt(after, 10, 64)
	if err != nil {
		return -1
	}
	return n
}
