// Package objects keeps the bytes: files in folders (embedded) or an
// S3-compatible store, behind one Bucket. Bodies stream; none is held in memory.
package objects

import (
	"context"
	"io"
	"iter"
	"time"
)

// Info describes a stored object.
type Info struct {
	Key  string
	Size int64
	// SHA256 is lower-case hex, computed while the body streamed in. List leaves it empty.
	SHA256   string
	Modified time.Time
}

// Bucket is where objects live. Every implementation passes drivertest.Bucket.
type Bucket interface {
	// Put streams r to key and returns what was stored. When it returns without an error the
	// object survives a loss of power; when it returns an error nothing stands under key that did
	// not stand there before. Putting a key again replaces it. A full disk is fault.Full, a store
	// that is away fault.Unavailable, an error of r is returned wrapped and nothing is stored.
	Put(ctx context.Context, key string, r io.Reader) (Info, error)
	// Get opens the object, or length bytes of it from offset; length -1 means to the end.
	// No such object is fault.Missing; a range that begins past the end is fault.Invalid.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error)
	// Delete removes the object. Deleting one that does not exist is no error.
	Delete(ctx context.Context, key string) error
	// List walks all objects whose key begins with prefix, in no promised order.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Check says whether objects can be read and written now.
	Check(ctx context.Context) error
}
