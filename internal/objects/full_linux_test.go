package objects_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lodge/internal/fault"
	"lodge/internal/objects"
)

func helpers() map[string]func(dir string) error {
	return map[string]func(string) error{"put": putForever, "full": fullDisk, "limit": fullLimit}
}

// TestFullDisk fills a real filesystem: a small one in memory, that only the helper process sees.
// Where not even such a one can be had, TestFullLimit still stands.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	cmd := helper(t, "full", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, os.ErrPermission) {
		t.Logf("this system lets nobody mount a filesystem, so it is not filled: %v", err)
		return
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestFullLimit meets the limit for the size of a file, which fails a write just as a full disk does.
func TestFullLimit(t *testing.T) {
	t.Parallel()
	if out, err := helper(t, "limit", t.TempDir()).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func fullDisk(dir string) error {
	// Nothing of this may reach the system's own view of its filesystems.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts ours: %w", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=40m"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if err := fill(dir, 40<<20); err != nil {
		return err
	}
	return fill(dir, 6<<20) // what is there leaves no room for it
}

func fullLimit(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	for _, limit := range []uint64{20 << 20, 3 << 20, 100 << 10} {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: unix.RLIM_INFINITY}); err != nil {
			return err
		}
		if err := fill(filepath.Join(dir, fmt.Sprint(limit)), int(limit)+1000); err != nil {
			return fmt.Errorf("limit %d: %w", limit, err)
		}
	}
	return nil
}

// fill puts what fits and then what does not.
func fill(dir string, tooMuch int) error {
	files, err := objects.OpenFiles(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	ctx := context.Background()
	old := bytes.Repeat([]byte("fits"), 10_000)
	if _, err := files.Put(ctx, "k", bytes.NewReader(old)); err != nil {
		return fmt.Errorf("put what fits: %w", err)
	}
	if tooMuch == 6<<20 {
		if _, err := files.Put(ctx, "ballast", bytes.NewReader(make([]byte, 20<<20))); err != nil {
			return fmt.Errorf("put the ballast: %w", err)
		}
	}
	for _, key := range []string{"k", "new/one"} {
		if _, err := files.Put(ctx, key, bytes.NewReader(make([]byte, tooMuch))); !fault.Is(err, fault.Full) {
			return fmt.Errorf("put %s, which does not fit: %w, want fault.Full", key, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "tmp", "*", "*", "*")); err != nil || len(left) > 0 {
		return fmt.Errorf("temporary files are left: %q, %w", left, err)
	}
	if _, _, err := files.Get(ctx, "new/one", 0, -1); !fault.Is(err, fault.Missing) {
		return fmt.Errorf("get what did not fit: %w, want fault.Missing", err)
	}
	r, _, err := files.Get(ctx, "k", 0, -1)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, old) {
		return fmt.Errorf("what stood there before has %d bytes, %w", len(got), err)
	}
	// With room again, it goes on.
	if err := files.Delete(ctx, "ballast"); err != nil {
		return err
	}
	_, err = files.Put(ctx, "k", bytes.NewReader(old))
	return err
}
