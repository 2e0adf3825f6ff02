package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"lodge/internal/apps"
)

// limits are what the kernel enforces for each process of an instance.
type limits struct {
	// Data bounds memory that a process can write to; 0 is no bound.
	Data  uint64 `json:"data,omitempty"`
	Files uint64 `json:"files"`
}

const maxFiles = 4096

func limitsOf(s apps.Spec) limits {
	l := limits{Files: maxFiles}
	if s.Resources.Memory > 0 {
		l.Data = uint64(s.Resources.Memory)
	}
	return l
}

// Shim becomes an app: it limits this process and replaces it by the program in args, which are the
// limits, the program's path and its arguments. It returns only when it fails. The child of a fork
// cannot be limited otherwise before its own code runs.
func Shim(args []string) error {
	if len(args) < 3 {
		return errors.New("nothing to run")
	}
	var l limits
	if err := json.Unmarshal([]byte(args[0]), &l); err != nil {
		return fmt.Errorf("the limits: %w", err)
	}
	set := func(what int, to uint64) error {
		return unix.Setrlimit(what, &unix.Rlimit{Cur: to, Max: to})
	}
	if err := errors.Join(set(unix.RLIMIT_CORE, 0), set(unix.RLIMIT_NOFILE, l.Files)); err != nil {
		return fmt.Errorf("limit: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up privileges: %w", err)
	}
	if l.Data > 0 {
		if err := set(unix.RLIMIT_DATA, l.Data); err != nil {
			return fmt.Errorf("limit memory: %w", err)
		}
	}
	return fmt.Errorf("run %s: %w", args[1], syscall.Exec(args[1], args[2:], os.Environ())) //nolint:gosec,forbidigo // G204: this is what it is for; the driver made the environment
}
