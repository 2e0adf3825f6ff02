package results

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"lodge/internal/fault"
	"lodge/internal/results/hub"
)

// hubBucket finds an analysis's bucket on the hub. A bucket that the hub has not provisioned yet is
// fault.Unavailable.
func (s *Service) hubBucket(ctx context.Context, typ hub.BucketType, analysis string) (hub.Bucket, error) {
	return s.buckets.get(ctx, string(typ)+"/"+analysis, func(ctx context.Context) (hub.Bucket, error) {
		b, err := s.hub.FindBucket(ctx, analysis, typ)
		if err == nil && b.StorageID == "" {
			err = fault.Wrap(errNotProvisioned, fault.Unavailable, "The hub has not made the %s bucket of analysis %s yet", strings.ToLower(string(typ)), analysis)
		}
		return b, err
	})
}

var errNotProvisioned = errors.New("the bucket has no storage bucket")

// forgetBucket makes sure that a bucket that the hub no longer knows is looked up again.
func (s *Service) forgetBucket(err error, typ hub.BucketType, analysis string) {
	if hub.Status(err) == http.StatusNotFound {
		s.buckets.forget(string(typ) + "/" + analysis)
	}
}

// content is a file on its way to the hub. open gives it from its beginning, each time it is called.
type content struct {
	filename, contentType string
	size                  int64
	open                  func() (io.Reader, error)
}

// provisioning is how often, and how long apart, a request looks for a bucket that is being made.
const (
	provisioningLooks = 4
	provisioningPause = 500 * time.Millisecond
)

// sendNow uploads and links a file while the request waits, and leaves nothing half-done on the hub.
func (s *Service) sendNow(ctx context.Context, typ hub.BucketType, analysis string, c content) (hub.File, error) {
	f, err := s.trySendNow(ctx, typ, analysis, c)
	s.link.note(s.now(), err)
	s.forgetBucket(err, typ, analysis)
	return f, hubFault(err)
}

func (s *Service) trySendNow(ctx context.Context, typ hub.BucketType, analysis string, c content) (hub.File, error) {
	bucket, err := s.hubBucket(ctx, typ, analysis)
	for look := 1; errors.Is(err, errNotProvisioned) && look < provisioningLooks; look++ {
		select {
		case <-ctx.Done():
			return hub.File{}, ctx.Err()
		case <-time.After(provisioningPause):
		}
		bucket, err = s.hubBucket(ctx, typ, analysis)
	}
	if err != nil {
		return hub.File{}, err
	}
	id, err := newID()
	if err != nil {
		return hub.File{}, err
	}
	// The hub overwrites a file of the same name and then fails, so a name that is taken must not be sent.
	name := nameOr(c.filename, unnamed)
	taken, err := s.hub.FindUploaded(ctx, bucket.StorageID, name)
	if err != nil {
		return hub.File{}, err
	}
	if len(taken) > 0 {
		name = uniqueName(name, id)
	}
	f, err := s.uploadTwice(ctx, bucket, name, c)
	if hub.Status(err) == http.StatusConflict {
		name = uniqueName(c.filename, id)
		f, err = s.uploadTwice(ctx, bucket, name, c)
	}
	if err != nil || !bucket.LinkNeeded {
		return f, err
	}
	if err := s.hub.Link(ctx, bucket.ID, f); err != nil {
		if gone := s.hub.DeleteFile(context.WithoutCancel(ctx), f.ID); gone != nil {
			s.log.WarnContext(ctx, "a file that could not be linked stays on the hub", "file", f.ID, "error", gone)
		}
		return hub.File{}, err
	}
	return f, nil
}

// uploadTwice uploads, and once more when the hub no longer knew our token: a stream cannot be wound
// back by the client, but be made again here.
func (s *Service) uploadTwice(ctx context.Context, bucket hub.Bucket, name string, c content) (hub.File, error) {
	for attempt := 1; ; attempt++ {
		body, err := c.open()
		if err != nil {
			return hub.File{}, err
		}
		f, err := s.hub.Upload(ctx, bucket.StorageID, name, c.contentType, c.size, body)
		if hub.Status(err) != http.StatusUnauthorized || attempt == 2 {
			return f, err
		}
	}
}

// uniqueName makes a name that no other file on the hub has, and that still says what it was: the id
// goes before the extension.
func uniqueName(name, id string) string {
	name = nameOr(name, unnamed)
	ext := path.Ext(name)
	if ext == name || strings.HasSuffix(name, "/"+ext) {
		ext = "" // a name that begins with a point has no extension
	}
	return strings.TrimSuffix(name, ext) + "-" + id + ext
}
