package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is the folder without any server: what dd and cat do there.
type disk struct{ file, data string }

func newDisk(folder, data string) *disk {
	return &disk{file: filepath.Join(folder, fmt.Sprintf("load-%d.tmp", os.Getpid())), data: data}
}

// write puts zeros into a new file and flushes it.
func (d *disk) write(ctx context.Context, size int64) error {
	d.clean()
	const block = 1 << 20
	count := max(1, size/block)
	return plain(ctx, "dd", "if=/dev/zero", "of="+d.file, fmt.Sprintf("bs=%d", min(size, block)), fmt.Sprintf("count=%d", count), "conv=fsync")
}

func (d *disk) read(ctx context.Context) error { return plain(ctx, "cat", d.file) }

func plain(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).Output(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("%s: %w: %s", name, err, exit.Stderr)
		}
		return fmt.Errorf("%s after %d bytes: %w", name, len(out), err)
	}
	return nil
}

func (d *disk) clean() { _ = os.Remove(d.file) }

// forget drops the file and the server's files from the page cache, so that the next reading comes
// from the disk for both. Without the server's folder it drops neither.
func (d *disk) forget() {
	if d.data == "" {
		return
	}
	drop := func(path string) {
		f, err := os.Open(path)
		if err != nil {
			return
		}
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		_ = f.Close()
	}
	drop(d.file)
	_ = filepath.WalkDir(d.data, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // a file that has gone needs no dropping
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 16<<20 {
			drop(path)
		}
		return nil
	})
}
