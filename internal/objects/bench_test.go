package objects

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
)

// The folder is the test's own: set TMPDIR to measure another disk.

func BenchmarkFilesPut64K(b *testing.B) {
	for _, connections := range []int{1, 16, 64} {
		b.Run(strconv.Itoa(connections), func(b *testing.B) {
			files := benchFiles(b)
			body := randomBytes(64 << 10)
			var n atomic.Int64
			b.SetBytes(int64(len(body)))
			at(b, connections, func() {
				key := fmt.Sprintf("local/p/%d", n.Add(1))
				if _, err := files.Put(b.Context(), key, bytes.NewReader(body)); err != nil {
					b.Error(err)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
		})
	}
}

// BenchmarkFilesPutLarge is to be compared with dd conv=fsync of as much.
func BenchmarkFilesPutLarge(b *testing.B) {
	for _, size := range []int64{16 << 20, 256 << 20, 1 << 30} {
		b.Run(fmt.Sprintf("%dMiB", size>>20), func(b *testing.B) {
			if testing.Short() && size > 256<<20 {
				size = 256 << 20
			}
			files := benchFiles(b)
			chunk := randomBytes(1 << 20)
			b.SetBytes(size)
			for b.Loop() {
				if _, err := files.Put(b.Context(), "large", io.LimitReader(&endless{chunk: chunk}, size)); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := files.Delete(b.Context(), "large"); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkFilesGet copies to a TCP connection, as a download does.
func BenchmarkFilesGet(b *testing.B) {
	for _, size := range []int{64 << 10, 64 << 20} {
		for _, verify := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dKiB/verify=%t", size>>10, verify), func(b *testing.B) {
				files := benchFiles(b)
				info, err := files.Put(b.Context(), "k", bytes.NewReader(randomBytes(size)))
				if err != nil {
					b.Fatal(err)
				}
				conn := sink(b)
				b.SetBytes(int64(size))
				for b.Loop() {
					r, _, err := files.Get(b.Context(), "k", 0, -1)
					if err != nil {
						b.Fatal(err)
					}
					if verify {
						r = Verify(r, info.SHA256)
					}
					if n, err := io.Copy(conn, r); err != nil || n != int64(size) {
						b.Fatal(n, err)
					}
					_ = r.Close()
				}
			})
		}
	}
}

// at runs op b.N times over so many goroutines.
func at(b *testing.B, goroutines int, op func()) {
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	b.ResetTimer()
	for range goroutines {
		go func() {
			for left.Add(-1) >= 0 {
				op()
			}
			done <- struct{}{}
		}()
	}
	for range goroutines {
		<-done
	}
	b.StopTimer()
}

func benchFiles(b *testing.B) *Files {
	files, err := OpenFiles(b.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = files.Close() })
	return files
}

// sink is a TCP connection whose other end reads and forgets.
func sink(b *testing.B) net.Conn {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, conn, make([]byte, 256<<10))
		}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}

// endless repeats a chunk.
type endless struct {
	chunk []byte
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.chunk[e.at:])
	e.at = (e.at + n) % len(e.chunk)
	return n, nil
}
