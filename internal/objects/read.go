package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"lodge/internal/fault"
)

// Get implements Bucket. io.Copy from the reader to a TCP connection lets the kernel send
// the file (sendfile) without passing it through this process.
func (s *Files) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error) {
	if err := errors.Join(CheckKey(key), CheckRange(offset, length)); err != nil {
		return nil, Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return nil, Info{}, fmt.Errorf("get %s: %w", key, err)
	}
	file, err := os.Open(s.path(key))
	if isMissing(err) {
		return nil, Info{}, fault.New(fault.Missing, "there is no object %s", key)
	}
	if err != nil {
		return nil, Info{}, fmt.Errorf("get %s: %w", key, diskError(err))
	}
	piece, info, err := cut(file, key, offset, length)
	if err != nil {
		_ = file.Close()
		return nil, Info{}, err
	}
	return piece, info, nil
}

// cut makes the wanted piece of an open file a reader.
func cut(file *os.File, key string, offset, length int64) (*piece, Info, error) {
	stat, err := file.Stat()
	if err != nil {
		return nil, Info{}, fmt.Errorf("get %s: %w", key, diskError(err))
	}
	if !stat.Mode().IsRegular() {
		return nil, Info{}, fault.New(fault.Missing, "there is no object %s", key)
	}
	size := stat.Size()
	if offset > 0 && offset >= size {
		return nil, Info{}, PastEnd(offset, size)
	}
	if offset > 0 {
		if _, err := file.Seek(offset, io.SeekStart); err != nil {
			return nil, Info{}, fmt.Errorf("get %s: %w", key, diskError(err))
		}
	}
	if length == -1 || length > size-offset {
		length = size - offset
	}
	p := &piece{Closer: file, limited: io.LimitedReader{R: file, N: length}}
	return p, Info{Key: key, Size: size, Modified: stat.ModTime()}, nil
}

// piece is a part of a file. It hands net a *io.LimitedReader over a *os.File, the form that it
// knows how to send with sendfile.
type piece struct {
	io.Closer
	limited io.LimitedReader
}

func (p *piece) Read(b []byte) (int, error) { return p.limited.Read(b) }

func (p *piece) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, &p.limited) }

// List implements Bucket.
func (s *Files) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := CheckPrefix(prefix); err != nil {
			yield(Info{}, err)
			return
		}
		folder, start := splitPrefix(prefix)
		s.walk(ctx, folder, start, yield)
	}
}

// walk lists what lies under a folder and begins with start. It reports whether to go on.
func (s *Files) walk(ctx context.Context, folder, start string, yield func(Info, error) bool) bool {
	fail := func(err error) bool {
		yield(Info{}, fmt.Errorf("list %s: %w", folder, err))
		return false
	}
	dir, err := os.Open(s.path(folder))
	if isMissing(err) {
		return true
	}
	if err != nil {
		return fail(diskError(err))
	}
	defer func() { _ = dir.Close() }()
	for {
		if err := ctx.Err(); err != nil {
			return fail(err)
		}
		entries, err := dir.ReadDir(256)
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), start) && !s.visit(ctx, joinKey(folder, entry.Name()), entry, yield) {
				return false
			}
		}
		if errors.Is(err, io.EOF) || isMissing(err) { // missing: prefix led to an object, not a folder
			return true
		}
		if err != nil {
			return fail(diskError(err))
		}
	}
}

func (s *Files) visit(ctx context.Context, key string, entry os.DirEntry, yield func(Info, error) bool) bool {
	if entry.IsDir() {
		return s.walk(ctx, key, "", yield)
	}
	stat, err := entry.Info()
	if isMissing(err) || err == nil && !stat.Mode().IsRegular() {
		return true // deleted meanwhile, or not ours
	}
	if err != nil {
		yield(Info{}, fmt.Errorf("list %s: %w", key, diskError(err)))
		return false
	}
	return yield(Info{Key: key, Size: stat.Size(), Modified: stat.ModTime()}, nil)
}

func joinKey(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}
