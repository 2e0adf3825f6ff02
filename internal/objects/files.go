package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lodge/internal/fault"
)

// maxFlushes bounds the threads that wait for the disk.
const maxFlushes = 64

// Files is a Bucket in a folder: the object local/p/1 is the file kept/local/p/1. Folders stay
// when their last object is deleted.
type Files struct {
	kept    string
	tmp     *temporary
	folders *folders
	flushes chan struct{} // a slot for each flush of a file
}

// OpenFiles opens the store in dir, which is created, and removes the unfinished files of processes
// that are no more. Several processes may have the same store open.
func OpenFiles(dir string, log *slog.Logger) (*Files, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open the object store: %w", err)
	}
	kept, unfinished := filepath.Join(dir, "kept"), filepath.Join(dir, "tmp")
	for _, d := range []string{kept, unfinished} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("open the object store: %w", err)
		}
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := syncFolder(d); err != nil {
			return nil, fmt.Errorf("open the object store: %w", err)
		}
	}
	tmp, err := openTemporary(unfinished, log)
	if err != nil {
		return nil, fmt.Errorf("open the object store: %w", err)
	}
	return &Files{kept: kept, tmp: tmp, folders: newFolders(kept), flushes: make(chan struct{}, maxFlushes)}, nil
}

// Close lets go of the temporary folder. Nothing else needs it: every Put that returned is durable.
func (s *Files) Close() error { return s.tmp.close() }

// Put implements Bucket.
func (s *Files) Put(ctx context.Context, key string, r io.Reader) (Info, error) {
	if err := CheckKey(key); err != nil {
		return Info{}, err
	}
	info, err := s.put(ctx, key, r)
	if err != nil {
		return Info{}, fmt.Errorf("put %s: %w", key, err)
	}
	return info, nil
}

func (s *Files) put(ctx context.Context, key string, r io.Reader) (_ Info, err error) {
	file, err := s.tmp.create()
	if err != nil {
		return Info{}, diskError(err)
	}
	defer func() {
		_ = file.Close() // its bytes are flushed: nothing is left to fail
		if err != nil {
			_ = os.Remove(file.Name()) // gone already if it was renamed
		}
	}()
	sum, err := writeBody(ctx, file, r)
	if err != nil {
		return Info{}, err
	}
	if err := s.flush(ctx, file); err != nil {
		return Info{}, err
	}
	stat, err := file.Stat()
	if err != nil {
		return Info{}, err
	}
	path := s.path(key)
	if err := s.place(file.Name(), path); err != nil {
		return Info{}, diskError(err)
	}
	if err := s.folders.settle(filepath.Dir(path)); err != nil {
		// The disk refuses to keep the name. That it can be read now would be a false hope.
		_ = os.Remove(path)
		return Info{}, diskError(err)
	}
	return Info{Key: key, Size: stat.Size(), SHA256: sum, Modified: stat.ModTime()}, nil
}

// flush makes the file's content durable.
func (s *Files) flush(ctx context.Context, file *os.File) error {
	select {
	case s.flushes <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.flushes }()
	return diskError(syncData(file))
}

// place renames a finished file to where it belongs.
func (s *Files) place(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := s.folders.create(filepath.Dir(to)); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// Delete implements Bucket.
func (s *Files) Delete(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	path := s.path(key)
	// Not os.Remove, which would remove an empty folder too.
	err := unix.Unlink(path)
	if isMissing(err) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) && isFolder(path) {
		return nil
	}
	if err == nil {
		err = s.folders.flush(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", key, diskError(err))
	}
	return nil
}

// Check implements Bucket: it writes a file and removes it.
func (s *Files) Check(context.Context) error {
	file, err := s.tmp.create()
	if err == nil {
		_, err = file.WriteString("x")
		err = errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	if err == nil {
		_, err = os.Stat(s.kept)
	}
	if err != nil {
		return diskError(err)
	}
	return nil
}

func (s *Files) path(key string) string { return filepath.Join(s.kept, filepath.FromSlash(key)) }

// diskError names what is known about an error of the filesystem.
func diskError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return fault.Wrap(err, fault.Full, "there is no room left to store objects")
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		return fault.Wrap(err, fault.Conflict, "a key cannot be the folder of another")
	default:
		return fault.Wrap(err, fault.Unavailable, "the object store's disk does not work")
	}
}

// isMissing is true also where a folder of the key is an object.
func isMissing(err error) bool { return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

func isFolder(path string) bool {
	stat, err := os.Lstat(path)
	return err == nil && stat.IsDir()
}
