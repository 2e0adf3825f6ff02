package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"lodge/internal/fault"
	"lodge/internal/objects"
)

// fault gives an error of the store its kind, and says what was being done.
func (b *Bucket) fault(err error, doing, key string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", doing, key, b.kind(err, key))
}

func (b *Bucket) kind(err error, key string) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return fault.Wrap(err, fault.Unavailable, "the object store at %s does not answer", b.endpoint)
	}
	// The rest of the answer may name the access key.
	cause := fmt.Errorf("%s (HTTP %d): %s", answer.Code, answer.StatusCode, answer.Message)
	switch answer.Code {
	case minio.NoSuchKey:
		return fault.New(fault.Missing, "there is no object %s", key)
	case minio.NoSuchBucket:
		return b.noBucket(cause)
	case minio.InvalidRange:
		return fault.Wrap(cause, fault.Invalid, "the range begins past the end of the object")
	case minio.InvalidAccessKeyID, minio.SignatureDoesNotMatch, "XAdminUserNotFound":
		return b.refused(cause)
	case "ObjectParentIsFile", "ExistingObjectIsDirectory", "XMinioParentIsObject", "XMinioObjectExistsAsDirectory":
		return fault.Wrap(cause, fault.Conflict, "a key cannot be the folder of another")
	case "XMinioStorageFull", "QuotaExceeded", "InsufficientCapacity", "EntityTooLarge":
		return fault.Wrap(cause, fault.Full, "there is no room left to store objects")
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return b.refused(cause)
	case http.StatusInsufficientStorage:
		return fault.Wrap(cause, fault.Full, "there is no room left to store objects")
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fault.Wrap(cause, fault.Unavailable, "the object store at %s is not available", b.endpoint)
	default:
		return fault.Wrap(cause, fault.Upstream, "the object store at %s failed", b.endpoint)
	}
}

func (b *Bucket) refused(cause error) error {
	return fault.Wrap(cause, fault.Upstream, "the object store at %s does not accept our access key for the bucket %q", b.endpoint, b.bucket)
}

func (b *Bucket) noBucket(cause error) error {
	return fault.Wrap(cause, fault.Upstream, "the object store at %s has no bucket %q: create it, or name another in objects.s3.bucket", b.endpoint, b.bucket)
}

var _ objects.Bucket = (*Bucket)(nil)
