package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockFolder locks the folder of SQLite's file: that leaves nothing behind, and unlike
// the file itself it may be opened and closed beside SQLite.
func lockFolder(ctx context.Context, path string) (unlock func(), err error) {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("lock schema: %w", err)
	}
	for {
		err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			// Closing gives the lock back.
			return func() { _ = folder.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = folder.Close()
			return nil, fmt.Errorf("lock schema: %w", err)
		}
		select {
		case <-ctx.Done():
			_ = folder.Close()
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
