package objects

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// temporary is the folder of one process for files that are not whole yet. Its lock ends with the
// process, however that ends, and tells the next one what may be removed.
type temporary struct {
	dir  string
	lock *os.File

	mu      sync.Mutex
	current string // the folder in dir for new files
	made    int
}

// perFolder is after how many files a new folder is begun, see spread. The old ones stay, empty,
// until the process ends.
const perFolder = 4096

// openTemporary removes what dead processes left under parent and makes a folder of our own.
func openTemporary(parent string, log *slog.Logger) (*temporary, error) {
	// Holding the parent keeps another process from seeing our folder before it is locked.
	door, err := os.Open(parent)
	if err != nil {
		return nil, err
	}
	defer func() { _ = door.Close() }()
	if err := flock(door, unix.LOCK_EX); err != nil {
		return nil, err
	}
	spread(door)
	entries, err := door.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		dir := filepath.Join(parent, entry.Name())
		removed, err := removeUnlocked(dir)
		if err != nil {
			return nil, err
		}
		if removed {
			log.Info("removed what an interrupted process had not finished", "folder", dir)
		}
	}
	dir, err := os.MkdirTemp(parent, "")
	if err != nil {
		return nil, err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := flock(lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, err
	}
	spread(lock)
	return &temporary{dir: dir, lock: lock}, nil
}

// removeUnlocked removes dir if nobody holds it.
func removeUnlocked(dir string) (bool, error) {
	lock, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer func() { _ = lock.Close() }()
	err = flock(lock, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, os.RemoveAll(dir)
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		return nil
	}
}

// create opens a new empty file.
func (t *temporary) create() (*os.File, error) {
	name, err := t.next()
	if err != nil {
		return nil, err
	}
	return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

func (t *temporary) next() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.made%perFolder == 0 {
		dir, err := os.MkdirTemp(t.dir, "") // its name decides where: it must be a new one each time
		if err != nil {
			return "", err
		}
		t.current = dir
	}
	t.made++
	return filepath.Join(t.current, strconv.Itoa(t.made)), nil
}

// close removes the folder and lets go of it.
func (t *temporary) close() error {
	return errors.Join(os.RemoveAll(t.dir), t.lock.Close())
}
