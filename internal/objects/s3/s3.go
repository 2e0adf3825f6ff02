// Package s3 keeps objects in an S3-compatible store.
//
// Addresses are path style and requests are signed with version 4. An object that fits one part (8 MiB) is
// one request with its SHA-256 in the signature, a longer one a multipart upload with the CRC-32C of each
// part: the store checks what arrives. Sizes need not be known. A long upload fills one part at a time; while the store
// is slower than the sender it may fill more, from a budget that all uploads share. So memory stays under 8 MiB for
// each running upload and 32 MiB for all. 10,000 parts make 78 GiB, the largest object.
//
// Downloads stream. Durability is the store's: it answers when it has stored.
package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lodge/internal/fault"
	"lodge/internal/objects"
	"lodge/internal/secret"
)

// firstCheck is how long Open waits to know whether the store is there.
const firstCheck = 3 * time.Second

// Config says where the store is and who we are there.
type Config struct {
	// Endpoint is host:port, or a URL whose scheme then decides about TLS.
	Endpoint  string
	Bucket    string
	Region    string // us-east-1 if empty
	AccessKey string
	SecretKey secret.String
	UseTLS    bool
	// CAFile holds certificates in PEM to trust beside the system's.
	CAFile string
}

// Bucket is an objects.Bucket.
type Bucket struct {
	client   minio.Core
	bucket   string
	endpoint string
	parts    *parts
}

// Open prepares the client. Only a wrong configuration is an error: a store that cannot be used
// now is logged, and Check tells when it can.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Bucket, error) {
	host, secure, err := cfg.address()
	if err != nil {
		return nil, err
	}
	if cfg.Bucket == "" {
		return nil, fault.New(fault.Invalid, "the object store's bucket is not named")
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	transport, err := newTransport(secure, cfg.CAFile)
	if err != nil {
		return nil, err
	}
	client, err := minio.NewCore(host, &minio.Options{
		Creds:        credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey.Reveal(), ""),
		Secure:       secure,
		Transport:    transport,
		Region:       cfg.Region,
		BucketLookup: minio.BucketLookupPath,
		MaxRetries:   1, // whoever calls knows whether to wait
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the object store's endpoint %s is not an address", host)
	}
	b := &Bucket{client: *client, bucket: cfg.Bucket, endpoint: host, parts: newParts()}
	ctx, cancel := context.WithTimeout(ctx, firstCheck)
	defer cancel()
	if err := b.Check(ctx); err != nil {
		log.Warn("the object store cannot be used yet", "endpoint", host, "bucket", cfg.Bucket, "error", err)
	}
	return b, nil
}

// address parts the endpoint into host:port and whether to use TLS.
func (cfg Config) address() (host string, secure bool, err error) {
	address := cfg.Endpoint
	switch {
	case strings.Contains(address, "://"):
	case cfg.UseTLS:
		address = "https://" + address
	default:
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", false, fault.New(fault.Invalid, "the object store's endpoint must be host:port or http(s)://host:port")
	}
	return u.Host, u.Scheme == "https", nil
}

func newTransport(secure bool, caFile string) (*http.Transport, error) {
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, fmt.Errorf("prepare the object store's client: %w", err)
	}
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns // there is one host
	transport.WriteBufferSize, transport.ReadBufferSize = 64<<10, 64<<10
	if caFile == "" {
		return transport, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the object store's CA file cannot be read")
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Invalid, "%s holds no PEM certificate", caFile)
	}
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	return transport, nil
}

// Get implements objects.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, objects.Info, error) {
	if err := errors.Join(objects.CheckKey(key), objects.CheckRange(offset, length)); err != nil {
		return nil, objects.Info{}, err
	}
	var opts minio.GetObjectOptions
	ranged := offset > 0 || length >= 0
	switch {
	case length == 0: // HTTP has no empty ranges
		return b.getNothing(ctx, key, offset)
	case length > 0:
		// Added up, a hostile length could wrap around.
		opts.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, uint64(offset)+uint64(length)-1))
	case ranged:
		opts.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	body, stat, header, err := b.client.GetObject(ctx, b.bucket, key, opts)
	if ranged && offset == 0 && minio.ToErrorResponse(err).StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return b.getNothing(ctx, key, 0) // an empty object has no first byte to begin at
	}
	if err != nil {
		return nil, objects.Info{}, b.fault(err, "get", key)
	}
	info := objects.Info{Key: key, Size: stat.Size, Modified: stat.LastModified}
	if ranged {
		info.Size, err = wholeSize(header)
		if err != nil {
			_ = body.Close()
			return nil, objects.Info{}, fault.Wrap(err, fault.Upstream, "the object store does not serve ranges")
		}
	}
	return &reader{ReadCloser: body, bucket: b, key: key}, info, nil
}

// getNothing answers for no bytes of an object.
func (b *Bucket) getNothing(ctx context.Context, key string, offset int64) (io.ReadCloser, objects.Info, error) {
	stat, err := b.client.StatObject(ctx, b.bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return nil, objects.Info{}, b.fault(err, "get", key)
	}
	if offset > 0 && offset >= stat.Size {
		return nil, objects.Info{}, objects.PastEnd(offset, stat.Size)
	}
	return http.NoBody, objects.Info{Key: key, Size: stat.Size, Modified: stat.LastModified}, nil
}

// wholeSize reads the size from "Content-Range: bytes 0-9/100".
func wholeSize(header http.Header) (int64, error) {
	_, size, _ := strings.Cut(header.Get("Content-Range"), "/")
	return strconv.ParseInt(size, 10, 64)
}

// reader gives errors of the transfer their kind.
type reader struct {
	io.ReadCloser
	bucket *Bucket
	key    string
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.bucket.fault(err, "read", r.key)
	}
	return n, err
}

// Delete implements objects.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := objects.CheckKey(key); err != nil {
		return err
	}
	err := b.client.RemoveObject(ctx, b.bucket, key, minio.RemoveObjectOptions{})
	if err = b.fault(err, "delete", key); fault.Is(err, fault.Missing) {
		return nil
	}
	return err
}

// List implements objects.Bucket.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[objects.Info, error] {
	return func(yield func(objects.Info, error) bool) {
		if err := objects.CheckPrefix(prefix); err != nil {
			yield(objects.Info{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for object := range b.client.ListObjectsIter(ctx, b.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
			if object.Err != nil {
				yield(objects.Info{}, b.fault(object.Err, "list", prefix))
				return
			}
			if strings.HasSuffix(object.Key, "/") {
				continue // a folder that someone made visible, no object of ours
			}
			if !yield(objects.Info{Key: object.Key, Size: object.Size, Modified: object.LastModified}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(objects.Info{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

// Check implements objects.Bucket: the store answers, knows us, and has the bucket.
func (b *Bucket) Check(ctx context.Context) error {
	// Not a HEAD request, whose answer has no body to say what is wrong.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for object := range b.client.ListObjectsIter(ctx, b.bucket, minio.ListObjectsOptions{MaxKeys: 1}) {
		return b.fault(object.Err, "check", b.bucket)
	}
	return ctx.Err()
}
