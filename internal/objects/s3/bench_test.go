package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/minio/minio-go/v7"

	"lodge/internal/drivertest/services"
)

// BenchmarkPut compares with the client library alone, which is told the size.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20, 256 << 20} {
		at := services.S3(b)
		bucket, alone := open(b, config(at)), client(b, at)
		body := make([]byte, size)
		for name, put := range map[string]func(r io.Reader) error{
			"lodge": func(r io.Reader) error { _, err := bucket.Put(b.Context(), "k", r); return err },
			"library": func(r io.Reader) error {
				_, err := alone.PutObject(b.Context(), at.Name, "k", r, int64(size), minio.PutObjectOptions{})
				return err
			},
		} {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, name), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					if err := put(struct{ io.Reader }{bytes.NewReader(body)}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkGet compares with the client library alone.
func BenchmarkGet(b *testing.B) {
	for _, size := range []int{64 << 10, 256 << 20} {
		at := services.S3(b)
		bucket, alone := open(b, config(at)), client(b, at)
		if _, err := bucket.Put(b.Context(), "k", bytes.NewReader(make([]byte, size))); err != nil {
			b.Fatal(err)
		}
		for name, get := range map[string]func() (io.ReadCloser, error){
			"lodge": func() (io.ReadCloser, error) { r, _, err := bucket.Get(b.Context(), "k", 0, -1); return r, err },
			"library": func() (io.ReadCloser, error) {
				return alone.GetObject(b.Context(), at.Name, "k", minio.GetObjectOptions{})
			},
		} {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, name), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					r, err := get()
					if err != nil {
						b.Fatal(err)
					}
					if n, err := io.Copy(struct{ io.Writer }{io.Discard}, r); err != nil || n != int64(size) {
						b.Fatal(n, err)
					}
					_ = r.Close()
				}
			})
		}
	}
}
