package objects

import (
	"context"
	"io"
	"iter"
	"time"
)

// Info describes a stored object.
type Info struct {
	Key string
	// Size is that of the whole object, also when only a range was asked for.
	Size int64
	// SHA256 is lower-case hex, computed while the body streamed in. Only Put knows it: the
	// caller keeps it in its row. Get and List leave it empty.
	SHA256 string
	// Modified is when the object was put; zero from a Put whose store does not say.
	Modified time.Time
}

// Bucket is where objects live. Every implementation passes drivertest.Bucket.
//
// Keys are checked with CheckKey; a bad one is fault.Invalid. A key cannot also be the folder
// of another ("a" and "a/b"): some stores refuse the second with fault.Conflict.
// An ended context is its own error, wrapped.
type Bucket interface {
	// Put streams r to key and returns what was stored. When it returns without an error the
	// object survives a loss of power; when it returns an error nothing stands under key that did
	// not stand there before (unless a remote store broke off before it answered: then only a
	// look can tell). Putting a key again replaces it. A full disk is fault.Full, a store
	// that is away fault.Unavailable, an error of r is returned wrapped and nothing is stored.
	// r is not used after Put has returned.
	Put(ctx context.Context, key string, r io.Reader) (Info, error)
	// Get opens the object, or length bytes of it from offset; length -1 means to the end, and
	// a length that reaches beyond the end is cut there.
	// No such object is fault.Missing; a range that begins past the last byte is fault.Invalid.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error)
	// Delete removes the object, durably. Deleting one that does not exist is no error.
	Delete(ctx context.Context, key string) error
	// List walks all objects whose key begins with prefix, in no promised order. Objects put
	// or deleted meanwhile may or may not be among them. An error ends the walk.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Check says whether the store can be used now.
	Check(ctx context.Context) error
}
