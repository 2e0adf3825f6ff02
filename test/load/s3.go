package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

type s3Options struct{ endpoint, bucket, access, secret string }

// s3 compares Lodge with the S3 client going to the same store directly.
func (b *bench) s3(ctx context.Context) error {
	if b.o.s3.endpoint == "" {
		return errors.New("it needs --s3-endpoint, --s3-access and --s3-secret")
	}
	store, err := minio.New(b.o.s3.endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(b.o.s3.access, b.o.s3.secret, ""), BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return fmt.Errorf("make the S3 client: %w", err)
	}
	const rounds = 2
	t := b.table(fmt.Sprintf("One object of %s on S3, best of %d", size(b.o.large), rounds), "transfer", "MB/s", "of S3 directly", "CPU", "RSS at its highest")
	key := fmt.Sprintf("load/%d", time.Now().UnixNano())
	defer func() {
		_ = store.RemoveObject(context.WithoutCancel(ctx), b.o.s3.bucket, key, minio.RemoveObjectOptions{})
	}()
	var put, get, plainPut, plainGet, checkedGet measured
	for range rounds {
		m, err := b.one(b.o.large, func() error {
			// As a stream, which is what a server has in hand.
			_, err := store.PutObject(ctx, b.o.s3.bucket, key, io.LimitReader(newPattern(true), b.o.large), b.o.large, minio.PutObjectOptions{})
			return err
		})
		if err != nil {
			return fmt.Errorf("put directly: %w", err)
		}
		plainPut = best(plainPut, m)
		var id string
		if m, err = b.one(b.o.large, func() (err error) { id, err = b.put(ctx, b.o.large, newPattern(true)); return err }); err != nil {
			return err
		}
		put = best(put, m)
		if m, err = b.one(b.o.large, func() error { return readObject(ctx, store, b.o.s3.bucket, key, b.o.large, io.Discard) }); err != nil {
			return fmt.Errorf("get directly: %w", err)
		}
		plainGet = best(plainGet, m)
		// Lodge gives out nothing that it has not checked: this is what the same costs a client of its own.
		if m, err = b.one(b.o.large, func() error { return readObject(ctx, store, b.o.s3.bucket, key, b.o.large, sha256.New()) }); err != nil {
			return fmt.Errorf("get directly: %w", err)
		}
		checkedGet = best(checkedGet, m)
		if m, err = b.one(b.o.large, func() error { return b.get(ctx, id, b.o.large, make([]byte, 1<<20)) }); err != nil {
			return err
		}
		get = best(get, m)
	}
	t.row("S3 client, put", speed(plainPut.bytes, plainPut.took), "", "", "")
	t.row("put", speed(put.bytes, put.took), ratio(put, plainPut), b.cpu(put), b.memory(put.usage))
	t.row("S3 client, get", speed(plainGet.bytes, plainGet.took), "", "", "")
	t.row("S3 client, get and check the SHA-256", speed(checkedGet.bytes, checkedGet.took), ratio(checkedGet, plainGet), "", "")
	t.row("get", speed(get.bytes, get.took), ratio(get, plainGet), b.cpu(get), b.memory(get.usage))
	return nil
}

func readObject(ctx context.Context, store *minio.Client, bucket, key string, size int64, to io.Writer) error {
	object, err := store.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }()
	n, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{object}, make([]byte, 1<<20))
	if err == nil && n != size {
		err = fmt.Errorf("%d of %d bytes came", n, size)
	}
	return err
}
