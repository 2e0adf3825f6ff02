package results

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"

	"lodge/internal/fault"
	"lodge/internal/objects"
)

// localKey is where a local result is stored.
func localKey(project, id string) string { return localPrefix(project) + id }

func localPrefix(project string) string { return "local/" + safeSegment(project) + "/" }

// finalKey is where a final result waits for its delivery.
func finalKey(id string) string { return "final/" + id }

// safeSegment makes one segment of an object's key of any text. Ids and plain names stay what they
// are; everything else becomes a hash, which no plain name can look like, because of its point.
func safeSegment(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	if text != "" && len(text) <= 80 && text[0] != '-' && strings.Trim(text, plain) == "" {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256." + hex.EncodeToString(sum[:])
}

// keep stores an uploaded part under the key.
func (s *Service) keep(ctx context.Context, key string, body io.Reader) (objects.Info, error) {
	limited := &limitedBody{r: body, max: s.cfg.MaxUploadSize}
	info, err := s.bucket.Put(ctx, key, limited)
	if limited.err != nil {
		return info, limited.err
	}
	return info, storeFault(err)
}

// limitedBody refuses what is larger than max, and remembers why reading ended, so that a client's
// failure is not taken for the store's.
type limitedBody struct {
	r   io.Reader
	max int64 // 0 is no limit
	n   int64
	err error
}

func (l *limitedBody) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.r.Read(p)
	l.n += int64(n)
	if l.max > 0 && l.n > l.max {
		err = fault.New(fault.TooLarge, "The file is larger than the limit of %d bytes", l.max)
	}
	if err != nil && err != io.EOF { //nolint:errorlint // a reader's end is io.EOF itself
		l.err = err
		return 0, err
	}
	return n, err
}

// discard removes an object that no row will speak of. What it fails to remove, the sweep will.
func (s *Service) discard(ctx context.Context, key string) {
	if key == "" {
		return
	}
	if err := s.bucket.Delete(context.WithoutCancel(ctx), key); err != nil {
		s.log.WarnContext(ctx, "an object that is not needed stays until the next sweep", "key", key, "error", err)
	}
}

// objectReader reads a stored object, or from any place in it, and opens it when that is needed. Whole
// reads are checked against the sum.
type objectReader struct {
	ctx    context.Context // of the request that the reader lives in; io.ReadSeeker has no place for it
	bucket objects.Bucket
	key    string
	size   int64
	sha256 string

	at     int64 // where the next Read begins
	body   io.ReadCloser
	bodyAt int64
	err    error // the first failure of the store
}

func (s *Service) objectReader(ctx context.Context, f storedFile) *objectReader {
	return &objectReader{ctx: ctx, bucket: s.bucket, key: f.Key, size: f.Size, sha256: f.SHA256}
}

// open makes sure that there is something to read, before anything is promised to anyone.
func (o *objectReader) open() error {
	if o.body != nil && o.bodyAt == o.at {
		return nil
	}
	if err := o.Close(); err != nil {
		return err
	}
	body, info, err := o.bucket.Get(o.ctx, o.key, o.at, -1)
	if err != nil {
		return o.failed(err)
	}
	if info.Size != o.size {
		cause := errors.Join(errors.New("the object "+o.key+" is not as long as it was"), body.Close())
		return o.failed(fault.Wrap(cause, fault.Upstream, "Unexpected error from object store"))
	}
	if o.at == 0 {
		body = objects.Verify(body, o.sha256)
	}
	o.body, o.bodyAt = body, o.at
	return nil
}

func (o *objectReader) failed(err error) error {
	if o.err == nil {
		o.err = err
	}
	return err
}

func (o *objectReader) Read(p []byte) (int, error) {
	if o.at >= o.size {
		return 0, io.EOF
	}
	if err := o.open(); err != nil {
		return 0, err
	}
	n, err := o.body.Read(p)
	o.at += int64(n)
	o.bodyAt = o.at
	switch {
	case err == nil || o.at >= o.size && err == io.EOF:
		return n, nil
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, o.failed(err)
}

// WriteTo writes the whole object, which is hashed beside the writing instead of before it.
func (o *objectReader) WriteTo(w io.Writer) (int64, error) {
	if err := o.open(); err != nil {
		return 0, err
	}
	sink := &sink{Writer: w}
	n, err := io.Copy(sink, o.body)
	o.at += n
	o.bodyAt = o.at
	if err == nil && o.at < o.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && sink.err == nil {
		return n, o.failed(err)
	}
	return n, err
}

// sink remembers that it was the writing that failed.
type sink struct {
	io.Writer
	err error
}

func (s *sink) Write(p []byte) (n int, err error) {
	n, err = s.Writer.Write(p)
	s.err = err
	return n, err
}

// wholeWriter is for http.ServeContent, which hides the object's WriteTo behind a limit even when all of
// it is to be sent.
type wholeWriter struct {
	http.ResponseWriter
	object *objectReader
}

func (w *wholeWriter) ReadFrom(src io.Reader) (int64, error) {
	if l, ok := src.(*io.LimitedReader); ok && l.R == io.Reader(w.object) && w.object.at == 0 && l.N == w.object.size {
		n, err := w.object.WriteTo(w.ResponseWriter)
		l.N -= n
		return n, err
	}
	return io.Copy(w.ResponseWriter, src)
}

func (o *objectReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.at
	case io.SeekEnd:
		offset += o.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning of " + o.key)
	}
	o.at = offset
	return offset, nil
}

func (o *objectReader) Close() error {
	if o.body == nil {
		return nil
	}
	body := o.body
	o.body = nil
	return body.Close()
}
