package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"lodge/internal/fault"
	"lodge/internal/objects"
)

const (
	smallSize = 256 << 10 // the common object: one that fits is not worth a part's memory
	partSize  = 8 << 20   // S3 wants at least 5 MiB
	maxParts  = 10_000    // S3 takes no more
	// eachAhead is how many parts an upload may hold beyond the one it fills, if allAhead permits.
	eachAhead = 3
	// allAhead is how many parts all uploads together may hold beyond one each.
	allAhead = 4
	// abortTimeout is how long a failed upload tries to take back what the store holds of it.
	abortTimeout = 30 * time.Second
	// partLinger is how long a part on its way may go on when the upload has failed already.
	partLinger = 10 * time.Second
)

// parts lends buffers to uploads.
type parts struct {
	small, whole sync.Pool
	ahead        chan struct{}
}

func newParts() *parts {
	return &parts{
		small: sync.Pool{New: func() any { return new([smallSize]byte) }},
		whole: sync.Pool{New: func() any { return new([partSize]byte) }},
		ahead: make(chan struct{}, allAhead),
	}
}

// Put implements objects.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader) (objects.Info, error) {
	if err := objects.CheckKey(key); err != nil {
		return objects.Info{}, err
	}
	body := objects.Body(ctx, r)
	small := b.parts.small.Get().(*[smallSize]byte)
	defer b.parts.small.Put(small)
	n, end := objects.Fill(body, small[:])
	if errors.Is(end, io.EOF) {
		return b.putWhole(ctx, key, small[:n])
	}
	if end != nil {
		return objects.Info{}, bodyFault(end, key)
	}
	u := &upload{bucket: b, key: key, sum: sha256.New(), free: make(chan *[partSize]byte, eachAhead+1)}
	defer u.release()
	part := u.take()
	n = copy(part[:], small[:])
	m, end := objects.Fill(body, part[n:])
	if errors.Is(end, io.EOF) {
		return b.putWhole(ctx, key, part[:n+m])
	}
	if end != nil {
		return objects.Info{}, bodyFault(end, key)
	}
	return u.run(ctx, r, part)
}

// putWhole stores a body that is in memory, in one request.
func (b *Bucket) putWhole(ctx context.Context, key string, body []byte) (objects.Info, error) {
	sum := hexSum(body)
	// With the sum at hand the library need not compute another for its signature.
	opts := minio.PutObjectOptions{DisableContentSha256: true}
	_, err := b.client.PutObject(ctx, b.bucket, key, bytes.NewReader(body), int64(len(body)), "", sum, opts)
	if err != nil {
		return objects.Info{}, b.fault(err, "put", key)
	}
	return objects.Info{Key: key, Size: int64(len(body)), SHA256: sum}, nil
}

// upload is one multipart upload.
type upload struct {
	bucket *Bucket
	key    string
	id     string
	sum    hash.Hash // of everything
	size   int64

	mu   sync.Mutex
	sent []minio.CompletePart // in the order in which they were read

	free  chan *[partSize]byte
	made  []*[partSize]byte
	ahead int // of made, how many were taken from the common budget
}

// run uploads the full first part and the rest of r. On failure the store is told to forget it all.
func (u *upload) run(ctx context.Context, r io.Reader, part *[partSize]byte) (_ objects.Info, err error) {
	b := u.bucket
	// The store checks each part by its CRC-32C: a second SHA-256 for the signature would cost as much
	// as all the rest.
	opts := minio.PutObjectOptions{UserMetadata: map[string]string{"X-Amz-Checksum-Algorithm": "CRC32C"}}
	u.id, err = b.client.NewMultipartUpload(ctx, b.bucket, u.key, opts)
	if err != nil {
		return objects.Info{}, b.fault(err, "put", u.key)
	}
	defer func() {
		if err != nil {
			u.abort(ctx)
		}
	}()
	if err := u.send(ctx, r, part); err != nil {
		return objects.Info{}, err
	}
	if _, err := b.client.CompleteMultipartUpload(ctx, b.bucket, u.key, u.id, u.sent, minio.PutObjectOptions{}); err != nil {
		return objects.Info{}, b.fault(err, "put", u.key)
	}
	return objects.Info{Key: u.key, Size: u.size, SHA256: hex.EncodeToString(u.sum.Sum(nil))}, nil
}

// send uploads parts until r ends. All of them have ended when it returns.
func (u *upload) send(ctx context.Context, r io.Reader, part *[partSize]byte) error {
	sending, ctx := errgroup.WithContext(ctx)
	read := u.read(ctx, sending, objects.Body(ctx, r), part)
	// A part that failed is the cause of whatever reading met then.
	if err := sending.Wait(); err != nil {
		return u.bucket.fault(err, "put", u.key)
	}
	return read
}

func (u *upload) read(ctx context.Context, sending *errgroup.Group, body io.Reader, part *[partSize]byte) error {
	n, end := partSize, error(nil)
	for {
		if n > 0 {
			u.sum.Write(part[:n])
			u.size += int64(n)
			number := u.add()
			if number > maxParts {
				return fault.New(fault.TooLarge, "an object of more than %d bytes is too large for this store", int64(maxParts)*partSize)
			}
			u.start(ctx, sending, part, n, number)
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		part = u.take()
		if err := ctx.Err(); err != nil {
			return u.bucket.fault(err, "put", u.key)
		}
		n, end = objects.Fill(body, part[:])
		if end != nil && !errors.Is(end, io.EOF) {
			return bodyFault(end, u.key)
		}
	}
}

// start sends a part beside the reading of the next.
func (u *upload) start(ctx context.Context, sending *errgroup.Group, part *[partSize]byte, n, number int) {
	b := u.bucket
	sending.Go(func() error {
		defer func() { u.free <- part }()
		if err := ctx.Err(); err != nil {
			return err
		}
		// A store may keep a part that we broke off, and write it after it was told to forget all.
		ctx, cancel := lingering(ctx, partLinger)
		defer cancel()
		sum := crc(part[:n])
		opts := minio.PutObjectPartOptions{DisableContentSha256: true, CustomHeader: http.Header{}}
		opts.CustomHeader.Set(minio.ChecksumCRC32C.Key(), sum)
		done, err := b.client.PutObjectPart(ctx, b.bucket, u.key, u.id, number, bytes.NewReader(part[:n]), int64(n), opts)
		if err != nil {
			return err
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.sent[number-1].ETag, u.sent[number-1].ChecksumCRC32C = done.ETag, sum
		return nil
	})
}

// add makes room for another part and returns its number.
func (u *upload) add() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	number := len(u.sent) + 1
	u.sent = append(u.sent, minio.CompletePart{PartNumber: number})
	return number
}

// take gives a part to fill: one that was sent, or a new one if the budget has it. The first
// is always to be had, so no upload waits for another.
func (u *upload) take() *[partSize]byte {
	select {
	case part := <-u.free:
		return part
	default:
	}
	if len(u.made) > eachAhead {
		return <-u.free
	}
	if len(u.made) > 0 {
		select {
		case u.bucket.parts.ahead <- struct{}{}:
			u.ahead++
		default:
			return <-u.free
		}
	}
	part := u.bucket.parts.whole.Get().(*[partSize]byte)
	u.made = append(u.made, part)
	return part
}

// release gives all buffers back.
func (u *upload) release() {
	for _, part := range u.made {
		u.bucket.parts.whole.Put(part)
	}
	for range u.ahead {
		<-u.bucket.parts.ahead
	}
}

// lingering ends some time after ctx does.
func lingering(ctx context.Context, linger time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(linger, cancel) })
	return longer, func() { stop(); cancel() }
}

// abort frees what the store holds of a failed upload, also when the caller has gone.
func (u *upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	// Should this fail too, the store's own rule for unfinished uploads has to do it.
	_ = u.bucket.client.AbortMultipartUpload(ctx, u.bucket.bucket, u.key, u.id)
}

// bodyFault reports what the sender did, which is no failure of the store.
func bodyFault(err error, key string) error { return fmt.Errorf("put %s: %w", key, err) }

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func crc(b []byte) string {
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}
