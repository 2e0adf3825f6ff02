package lodge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"lodge/internal/fault"
)

// folder is the data folder: everything that is kept on this machine.
type folder string

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

// The files in it. The database and the objects are beside them unless they are kept elsewhere.
const (
	lockFile     = "lock"    // held by the server that serves from the folder; says where it is
	addressFile  = "address" // the last public address, for commands that run beside the server
	passwordFile = "admin-password"
	databaseFile = "lodge.db"
	objectsDir   = "objects"
	temporaryDir = "tmp"
	acmeDir      = "acme"
	workflowsDir = "workflows"     // where steps of jobs work
	workflowsKey = "workflows.key" // encrypts the secrets of workspaces
)

func (f folder) make() error {
	for _, dir := range []string{string(f), f.path(temporaryDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the data folder: %w", err)
		}
	}
	return nil
}

// lock keeps a second server out of the folder until the file is closed, or the process ends in
// whatever way. Commands such as `lodge token create` need no lock: the database bears them.
func (f folder) lock() (*os.File, error) {
	held, err := os.OpenFile(f.path(lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	err = syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return held, nil
	}
	_ = held.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	who := "another server"
	if text, err := os.ReadFile(f.path(lockFile)); err == nil && len(text) > 0 {
		who = "the server " + strings.TrimSpace(string(text))
	}
	return nil, fault.New(fault.Conflict, "the data folder %s is in use by %s: stop it, or give --data another folder", f, who)
}

// sign says in the lock who holds it.
func sign(held *os.File, address string) error {
	if err := held.Truncate(0); err != nil {
		return fmt.Errorf("lock the data folder: %w", err)
	}
	_, err := held.WriteAt(fmt.Appendf(nil, "at %s (process %d)\n", address, os.Getpid()), 0)
	return err
}

// write puts a small file into the folder, durably, readable by the owner alone.
func (f folder) write(name, text string) error {
	temporary := f.path(name + ".new")
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(temporary, f.path(name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	dir, err := os.Open(string(f))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// read gives a small file's text, or nothing.
func (f folder) read(name string) string {
	text, err := os.ReadFile(f.path(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
