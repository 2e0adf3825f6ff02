package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"lodge/internal/fault"
)

// directFrom is where a body is long enough to go past the page cache: it would push others out of
// it, and what it leaves unwritten would make every flush on this filesystem wait.
const directFrom = 8 << 20

// reserve is what objects leave free on their disk. Whoever fills it is to be able to make room again, and
// the database beside them needs some to write down that an object is deleted.
const reserve = 16 << 20

// errReserve says that what is left is not for objects.
var errReserve = errors.New("only the reserve is left")

// checkRoom refuses n more bytes when they would take from the reserve.
func checkRoom(file *os.File, n int) error {
	if free, known := freeSpace(file); known && free < int64(n)+reserve {
		return fault.Wrap(errReserve, fault.Full, "there is no room left to store objects")
	}
	return nil
}

// writeBody streams r into a new file and returns its SHA-256. Nothing is flushed yet.
func writeBody(ctx context.Context, file *os.File, r io.Reader) (sum string, err error) {
	w := &bodyWriter{file: file}
	err = pump(Body(ctx, r), largeBuffers, w.write, func(chunk []byte, total string) error {
		sum = total
		return w.end(chunk)
	})
	return sum, err
}

// bodyWriter writes chunk after chunk. Only the last may be of an odd size.
type bodyWriter struct {
	file    *os.File
	written int64
	direct  bool
	refused bool // the filesystem cannot write directly
}

func (w *bodyWriter) write(chunk []byte) error {
	if err := checkRoom(w.file, len(chunk)); err != nil {
		return err
	}
	if w.written >= directFrom && !w.direct && !w.refused {
		// What is cached so far goes to the disk while the rest arrives.
		startWriting(w.file, 0, w.written)
		w.setDirect(true)
	}
	n, err := w.file.Write(chunk)
	if w.direct && errors.Is(err, syscall.EINVAL) { // it took the flag, but not the write
		w.setDirect(false)
		_, err = w.file.Write(chunk[n:])
	}
	w.written += int64(len(chunk))
	if w.refused && w.written%directFrom == 0 {
		startWriting(w.file, w.written-directFrom, directFrom)
	}
	return diskError(err)
}

// end writes the last chunk, whose size suits no direct write.
func (w *bodyWriter) end(chunk []byte) error {
	if w.direct {
		w.setDirect(false)
	}
	if err := checkRoom(w.file, len(chunk)); err != nil {
		return err
	}
	_, err := w.file.Write(chunk)
	return diskError(err)
}

func (w *bodyWriter) setDirect(on bool) {
	w.direct = setDirect(w.file, on) == nil && on
	w.refused = !w.direct
}

// Body is for drivers. It reads what the caller of Put sends until the context ends, and its errors
// say where they are from.
func Body(ctx context.Context, r io.Reader) io.Reader { return &body{ctx, r} }

type body struct {
	ctx context.Context // lives as long as one call
	r   io.Reader
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read the body: %w", err)
	}
	return n, err
}
