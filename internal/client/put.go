package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"

	"lodge/internal/fault"
)

// Kind is which of the three results a file is.
type Kind string

// The kinds. The zero value is Local.
const (
	Final        Kind = "final"
	Local        Kind = "local"
	Intermediate Kind = "intermediate"
)

// PutOptions say what to send.
type PutOptions struct {
	// File is the path of the file.
	File string
	// Name is the name that it gets; empty is the file's own.
	Name string
	Kind Kind
	// To is the id of the node that an intermediate result is encrypted for; empty is for none.
	To string
	// Tag is for local results.
	Tag string
}

// Stored is a file that the server has.
type Stored struct {
	// ID and URL name local and intermediate results; a final result on the hub has neither.
	ID, URL string
	// Upload is the address of the upload when a final result waits for the hub; else empty.
	Upload string
	Size   int64
	// SHA256 is lower-case hex, of the file as it was read.
	SHA256 string
}

// String is what `lodge put` prints.
func (s Stored) String() string {
	switch {
	case s.URL != "":
		return s.URL
	case s.Upload != "":
		return s.Upload
	default:
		return "delivered"
	}
}

// Put sends a file. When it returns without an error the server keeps the file durably.
func (c *Client) Put(ctx context.Context, o PutOptions, progress Progress) (Stored, error) {
	if err := o.check(); err != nil {
		return Stored{}, err
	}
	file, err := os.Open(o.File)
	if err != nil {
		return Stored{}, fault.Wrap(errors.Unwrap(err), fault.Invalid, "%s cannot be read", o.File)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || info.IsDir() {
		return Stored{}, fault.New(fault.Invalid, "%s is no file.", o.File)
	}
	address, err := c.address(ctx, string(o.Kind))
	if err != nil {
		return Stored{}, err
	}
	size := int64(-1)
	if info.Mode().IsRegular() {
		size = info.Size()
	}
	head, tail, contentType, err := o.form()
	if err != nil {
		return Stored{}, err
	}
	ctx, touch, stop := c.watch(ctx)
	defer stop()
	body := &meter{r: file, total: size, exact: true, progress: progress, touch: touch}
	sum := sha256.New()
	parts := io.MultiReader(strings.NewReader(head), io.TeeReader(body, sum), strings.NewReader(tail))
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, address, io.NopCloser(parts))
	if err != nil {
		return Stored{}, fmt.Errorf("make a request: %w", err)
	}
	req.ContentLength = -1
	if size >= 0 {
		req.ContentLength = int64(len(head)) + size + int64(len(tail))
	}
	req.Header.Set("Content-Type", contentType)
	// Who is not known, or may not, learns it before the file has travelled.
	req.Header.Set("Expect", "100-continue")
	if err := c.authorize(req); err != nil {
		return Stored{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if body.err != nil {
			return Stored{}, fault.Wrap(body.err, fault.Invalid, "%s cannot be read", o.File)
		}
		return Stored{}, c.failure(ctx, err)
	}
	defer drain(resp)
	if resp.StatusCode/100 != 2 {
		return Stored{}, refused(resp)
	}
	s, err := readStored(resp)
	s.Size, s.SHA256 = body.done, hex.EncodeToString(sum.Sum(nil))
	return s, err
}

func (o *PutOptions) check() error {
	switch o.Kind {
	case "":
		o.Kind = Local
	case Local, Final, Intermediate:
	default:
		return fault.New(fault.Invalid, "A result is final, local or intermediate, not %q.", o.Kind)
	}
	if o.Tag != "" && o.Kind != Local {
		return fault.New(fault.Invalid, "Only local results have tags.")
	}
	if o.To != "" && o.Kind != Intermediate {
		return fault.New(fault.Invalid, "Only intermediate results go to a node.")
	}
	if o.Name == "" {
		o.Name = filepath.Base(o.File)
	}
	return nil
}

// form gives what stands before and after the file in the multipart body.
func (o *PutOptions) form() (head, tail, contentType string, err error) {
	var b strings.Builder
	w := multipart.NewWriter(&b)
	for name, value := range map[string]string{"tag": o.Tag, "remote_node_id": o.To} {
		if value != "" {
			err = errors.Join(err, w.WriteField(name, value))
		}
	}
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", multipart.FileContentDisposition("file", o.Name))
	h.Set("Content-Type", "application/octet-stream")
	if t := mime.TypeByExtension(filepath.Ext(o.Name)); t != "" {
		h.Set("Content-Type", t)
	}
	_, partErr := w.CreatePart(h)
	n := b.Len()
	if err = errors.Join(err, partErr, w.Close()); err != nil {
		return "", "", "", fmt.Errorf("write the form: %w", err)
	}
	return b.String()[:n], b.String()[n:], w.FormDataContentType(), nil
}

func readStored(resp *http.Response) (Stored, error) {
	var s Stored
	if resp.StatusCode == http.StatusAccepted {
		if u, err := resp.Location(); err == nil {
			s.Upload = u.String()
		}
		return s, nil
	}
	if resp.StatusCode == http.StatusNoContent {
		return s, nil
	}
	var in struct {
		URL      string `json:"url"`
		ObjectID string `json:"object_id"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&in); err != nil || in.URL == "" {
		return s, fault.New(fault.Upstream, "Lodge took the file, but its answer cannot be understood.")
	}
	s.URL, s.ID = in.URL, in.ObjectID
	if s.ID == "" {
		s.ID = lastElement(in.URL)
	}
	return s, nil
}

// lastElement is the id at the end of an address.
func lastElement(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return address[strings.LastIndexByte(address, '/')+1:]
}

// meter counts what is read and tells of it.
type meter struct {
	r           io.Reader
	done, total int64
	// exact makes a body fail that is not as long as was announced. The form's end must not follow
	// then: whoever sees it takes a short file for a whole one.
	exact    bool
	progress Progress
	touch    func()
	err      error
}

var errChanged = errors.New("it changed while it was sent")

func (m *meter) Read(p []byte) (int, error) {
	m.touch()
	n, err := m.r.Read(p)
	m.done += int64(n)
	if m.exact && m.total >= 0 && (m.done > m.total || (errors.Is(err, io.EOF) && m.done < m.total)) {
		n, err = 0, errChanged
	}
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	if m.progress != nil && n > 0 {
		m.progress(m.done, m.total)
	}
	return n, err
}
