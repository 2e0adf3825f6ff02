package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/google/uuid"

	"lodge/internal/fault"
)

// smallBody is how much of a body is held in memory so that it can be sent twice.
const smallBody = 256 << 10

// Upload streams size bytes (-1: unknown) of body into the storage bucket. An error of body comes
// back wrapped; the hub then has no file. After any other error the hub may have it: FindUploaded
// tells. Status(err) is 409, or 500 and above, when the bucket has a file of that name already.
// Body is not read after Upload has returned. A refused token is replaced only if body is an
// io.Seeker or small; otherwise the error says 401 and the next upload has a new token.
func (c *Client) Upload(ctx context.Context, storageID, filename, contentType string, size int64, body io.Reader) (File, error) {
	id, ok := canonical(storageID)
	if !ok {
		return File{}, fault.New(fault.Missing, "Bucket with ID %s was not found", storageID)
	}
	seeker, seekable := body.(io.Seeker)
	if !seekable && size >= 0 && size <= smallBody {
		all, err := io.ReadAll(io.LimitReader(body, size+1))
		if err != nil {
			return File{}, fmt.Errorf("read the file for the hub: %w", err)
		}
		r := bytes.NewReader(all)
		body, seeker, seekable = r, r, true
	}
	start := int64(0)
	if seekable {
		var err error
		if start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			seekable = false // a pipe with a method that it cannot keep
		}
	}
	ctx, w := watch(ctx, c.idle)
	defer w.stop()
	form := newForm(filename, contentType)
	address := c.storage.at("buckets", id, "upload")
	for refusedToken := ""; ; {
		token, err := c.tokens.get(ctx, refusedToken)
		if err != nil {
			return File{}, err
		}
		source := &source{r: body, left: size, progress: func() { w.progress(c.idle) }}
		resp, err := c.sendForm(ctx, address, token, form, size, source)
		source.detach()
		if err != nil {
			return File{}, uploadFailure(ctx, err, source)
		}
		if resp.StatusCode == http.StatusUnauthorized && refusedToken == "" && seekable {
			drain(resp)
			refusedToken = token
			if _, err := seeker.Seek(start, io.SeekStart); err != nil {
				return File{}, fmt.Errorf("read the file for the hub again: %w", err)
			}
			continue
		}
		if resp.StatusCode == http.StatusUnauthorized {
			c.tokens.drop(token)
		}
		defer drain(resp)
		return readUploaded(ctx, resp, filename, id)
	}
}

func (c *Client) sendForm(ctx context.Context, address, token string, f form, size int64, body *source) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader(f.head), body, strings.NewReader(f.tail)), body})
	if err != nil {
		return nil, fmt.Errorf("make an upload to the hub: %w", err)
	}
	req.ContentLength = -1
	if size >= 0 {
		req.ContentLength = int64(len(f.head)) + size + int64(len(f.tail))
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "multipart/form-data; boundary="+f.boundary)
	req.Header.Set("Accept", "application/json")
	return c.http.Do(req)
}

func uploadFailure(ctx context.Context, err error, s *source) error {
	if s.err != nil {
		return fmt.Errorf("read the file for the hub: %w", s.err)
	}
	return failure(ctx, err)
}

func readUploaded(ctx context.Context, resp *http.Response, filename, bucketID string) (File, error) {
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		return File{}, refused(resp).fault()
	}
	p, err := readPage(ctx, resp)
	if err != nil {
		return File{}, err
	}
	if len(p.Data) != 1 {
		return File{}, fault.New(fault.Upstream, "Expected single uploaded file to be returned by storage service, got %d", len(p.Data))
	}
	f := file(p.Data[0])
	if f.ID == "" {
		return File{}, unexpected(errors.New("the uploaded file has no id"))
	}
	if f.BucketID == "" {
		f.BucketID = bucketID
	}
	if f.Name == "" {
		f.Name, f.Path = filename, filename
	}
	return f, nil
}

// form is what stands around the file in the multipart body.
type form struct{ boundary, head, tail string }

func newForm(filename, contentType string) form {
	boundary := strings.ReplaceAll(uuid.NewString(), "-", "")
	if contentType == "" || strings.ContainsAny(contentType, "\r\n") {
		contentType = "application/octet-stream"
	}
	return form{
		boundary: boundary,
		head: "--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + uuid.NewString() +
			"\"; filename=\"" + quote(filename) + "\"\r\nContent-Type: " + contentType + "\r\n\r\n",
		tail: "\r\n--" + boundary + "--\r\n",
	}
}

// quote writes a file name as browsers and the original do, so that the hub sees the same name.
func quote(name string) string {
	var s strings.Builder
	for i := range len(name) {
		switch b := name[i]; {
		case b == '"', b < 0x20 && b != 0x1b:
			fmt.Fprintf(&s, "%%%02X", b)
		case b == '\\':
			s.WriteString(`\\`)
		default:
			s.WriteByte(b)
		}
	}
	return s.String()
}

// source is the caller's reader while the transport has it. It remembers the reader's error, and
// lets nobody read once it is detached: the transport may try after the request has ended.
//
// It fails when the file is not as long as was said. The form's end must not follow then: a hub
// that sees it takes the short file for a whole one, whatever the request's length was to be.
type source struct {
	progress func()

	mu   sync.Mutex
	r    io.Reader
	left int64 // negative: not known
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.r == nil {
		return 0, errors.New("the upload has ended")
	}
	if s.err != nil {
		return 0, s.err
	}
	s.progress()
	n, err := s.r.Read(p)
	known := s.left >= 0
	if known && int64(n) > s.left {
		n, err = int(s.left), errors.New("the file is longer than was said")
	}
	if known {
		s.left -= int64(n)
	}
	if errors.Is(err, io.EOF) && known && s.left > 0 {
		err = fmt.Errorf("the file is shorter than was said: %w", io.ErrUnexpectedEOF)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Close is the transport's; the file is the caller's to close.
func (s *source) Close() error { return nil }

func (s *source) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.r = nil
}
