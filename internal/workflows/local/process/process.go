// Package process runs steps as plain processes of this machine. It is for
// development alone: a step can do whatever the server can.
//
// Each step has a folder. Its paths for files (artifacts, results, mounts) lie
// in that folder, wherever they stand in the command, the arguments or the
// environment. The image is not looked at.
//
// A step is started through a shell that writes down how it ended, so that
// nobody has to wait for it; and it holds a lock on a file of its folder for as
// long as it lives. So whoever comes later sees whether it runs, has ended, or
// was lost, also when this program was killed in between.
package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"lodge/internal/fault"
	"lodge/internal/workflows/local"
	"lodge/internal/workflows/spec"
)

// Config is where steps find what they need. Folder must be given.
type Config struct {
	// Folder is where steps have their folders, and workspaces their volumes.
	Folder string
	// Path is where commands are looked for; "" is the usual places.
	Path string
}

const usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Driver runs processes. It is safe for concurrent use.
type Driver struct {
	cfg   Config
	shell string
	now   func() time.Time
	log   *slog.Logger

	mu    sync.Mutex
	begun map[local.ID]chan struct{} // closed when a process that was begun here has ended
}

// New makes the driver. There must be a shell.
func New(cfg Config, now func() time.Time, log *slog.Logger) (*Driver, error) {
	cfg.Path = cmp.Or(cfg.Path, usualPath)
	folder, err := filepath.Abs(cfg.Folder)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of steps: %w", err)
	}
	if cfg.Folder, err = filepath.EvalSymlinks(folder); err != nil {
		return nil, err
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "plain processes need a shell: there is no sh")
	}
	return &Driver{cfg: cfg, shell: shell, now: now, log: log, begun: map[local.ID]chan struct{}{}}, nil
}

// Name is "process".
func (d *Driver) Name() string { return "process" }

// Refuse says what a process cannot do.
func (d *Driver) Refuse(c local.Container, volumes []spec.KubeVolume) (wrong []string) {
	if len(c.Command) == 0 {
		wrong = append(wrong, "it names no command, and plain processes have no image to take one from")
	}
	for _, m := range c.Mounts {
		if _, err := d.volume("w", local.ID{Job: "j"}, m.Volume, volumes); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return wrong
}

func (d *Driver) jobFolder(job string) string { return filepath.Join(d.cfg.Folder, "jobs", job) }

func (d *Driver) folder(id local.ID) string {
	return filepath.Join(d.jobFolder(id.Job), id.Step+"-"+strconv.Itoa(id.Attempt))
}

// The files in a step's folder.
const (
	rootName = "root" // what the step sees as its own
	logName  = "log"
	lockName = "lock"
	pidName  = "pid"
	exitName = "exit"
)

// script runs a step and writes down how it ended. The lock is the file 3, which the step inherits.
const script = `d=$1; shift
echo $$ >"$d/pid"
ulimit -c 0
"$@"
code=$?
echo $code >"$d/exit.new" && mv "$d/exit.new" "$d/exit"
exit $code`

// Begin starts a step.
func (d *Driver) Begin(ctx context.Context, s local.Step) error {
	dir := d.folder(s.ID)
	root := filepath.Join(dir, rootName)
	// What is there is of a step that was begun and lost before it could run.
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	moved := newMoves(root)
	for _, in := range s.Inputs {
		moved.add(in.Path, "")
		if err := d.stage(ctx, filepath.Join(root, in.Path), in); err != nil {
			return err
		}
	}
	for _, m := range s.Container.Mounts {
		at, err := d.volume(s.Workspace, s.ID, m.Volume, s.Volumes)
		if err != nil {
			return err
		}
		at = filepath.Join(at, m.SubPath)
		if err := os.MkdirAll(at, 0o700); err != nil {
			return err
		}
		moved.add(m.Path, at)
	}
	// Whatever a path says, it is below the root.
	below := func(path string) string { return filepath.Join(root, filepath.Clean("/"+path)) }
	for _, name := range s.Results {
		moved.add(name, "")
		if err := os.MkdirAll(filepath.Dir(below(name)), 0o700); err != nil {
			return err
		}
	}
	home := below(s.Container.WorkingDir)
	for _, path := range []string{home, filepath.Join(root, "tmp")} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
	}
	return d.start(s, dir, home, moved)
}

// stage puts an input where the step looks for it.
func (d *Driver) stage(ctx context.Context, at string, in local.Input) (err error) {
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	body, err := in.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	f, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	return errors.Join(err, f.Close())
}

func (d *Driver) start(s local.Step, dir, home string, moved *moves) error {
	log, err := os.OpenFile(filepath.Join(dir, logName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // the step's own descriptor keeps the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("lock the step: %w", err)
	}
	args := []string{"-c", script, "lodge-step", dir}
	for _, a := range append(append([]string{}, s.Container.Command...), s.Container.Args...) {
		args = append(args, moved.in(a))
	}
	cmd := exec.Command(d.shell, args...) //nolint:gosec,noctx // running what a workflow says is what it is for, and it outlives us
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = home, log, log, []*os.File{lock}
	cmd.Env = []string{"PATH=" + d.cfg.Path, "HOME=" + home, "TMPDIR=" + filepath.Join(dir, rootName, "tmp"), "LANG=C.UTF-8"}
	for _, v := range s.Container.Env {
		cmd.Env = append(cmd.Env, v.Name+"="+moved.in(v.Value.Reveal()))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("the step cannot be started: %w", err)
	}
	ended := make(chan struct{})
	d.mu.Lock()
	d.begun[s.ID] = ended
	d.mu.Unlock()
	go func() {
		_ = cmd.Wait() // how it ended stands in its folder
		close(ended)
	}()
	return nil
}

// Between two looks at a step that writes or runs.
const lookEvery = 50 * time.Millisecond

// Wait follows a step to its end.
func (d *Driver) Wait(ctx context.Context, id local.ID, from int64, log io.Writer) (local.Exit, error) {
	dir := d.folder(id)
	f, err := os.Open(filepath.Join(dir, logName))
	if errors.Is(err, fs.ErrNotExist) {
		return local.Exit{}, local.ErrLost
	}
	if err != nil {
		return local.Exit{}, err
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return local.Exit{}, err
	}
	d.mu.Lock()
	ended := d.begun[id]
	d.mu.Unlock()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		over, exit, err := d.state(dir)
		if err != nil {
			return exit, err
		}
		// What it wrote before it ended is read after that was seen.
		n, err := io.Copy(log, f)
		if err == nil && n == 0 {
			_, err = log.Write(nil)
		}
		if err != nil || over {
			return exit, err
		}
		select {
		case <-ctx.Done():
			return exit, ctx.Err()
		case <-ended:
			ended = nil
		case <-look.C:
		}
	}
}

// state says whether a step has ended, and how; ErrLost if it did not come to its end.
func (d *Driver) state(dir string) (over bool, exit local.Exit, err error) {
	if exit, err = readExit(dir); !errors.Is(err, fs.ErrNotExist) {
		return true, exit, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if err != nil {
		return false, exit, local.ErrLost
	}
	defer func() { _ = lock.Close() }()
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, exit, nil // it lives
	}
	if err != nil {
		return false, exit, err
	}
	if exit, err = readExit(dir); errors.Is(err, fs.ErrNotExist) {
		return false, exit, local.ErrLost
	}
	return true, exit, err
}

func readExit(dir string) (local.Exit, error) {
	path := filepath.Join(dir, exitName)
	text, err := os.ReadFile(path)
	if err != nil {
		return local.Exit{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return local.Exit{}, err
	}
	code, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return local.Exit{}, local.ErrLost
	}
	exit := local.Exit{Code: code, At: info.ModTime()}
	switch {
	case code == 126 || code == 127:
		exit.Reason = "the command cannot be run: is it on this machine?"
	case code > 128 && code < 165:
		exit.Reason = "ended by the signal " + syscall.Signal(code-128).String()
	}
	return exit, nil
}

// Fetch opens a file of a step, never one outside its folder.
func (d *Driver) Fetch(_ context.Context, id local.ID, path string) (io.ReadCloser, error) {
	root, err := os.OpenRoot(filepath.Join(d.folder(id), rootName))
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	f, err := root.Open(strings.TrimPrefix(filepath.Clean("/"+path), "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Missing, "there is no file %s", path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fault.New(fault.Invalid, "%s is no plain file", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// How long a step may take to end when it is asked to.
const grace = 2 * time.Second

// Kill ends a step with everything that it started.
func (d *Driver) Kill(ctx context.Context, id local.ID) error {
	dir := d.folder(id)
	look := time.NewTicker(lookEvery / 5)
	defer look.Stop()
	asked, signal := d.now(), syscall.SIGTERM
	for {
		if over, _, err := d.state(dir); over || err != nil {
			break
		}
		// The lock is held, so whatever the number stands for still lives.
		if pid, err := readPID(dir); err == nil {
			_ = syscall.Kill(-pid, signal) // it may have ended just now
		}
		if d.now().Sub(asked) > grace {
			signal = syscall.SIGKILL
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
	return nil
}

func readPID(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, pidName))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil && pid <= 1 {
		err = errors.New("no process")
	}
	return pid, err
}

// Remove removes a step's folder, and ends what it left running.
func (d *Driver) Remove(_ context.Context, id local.ID) error {
	dir := d.folder(id)
	d.mu.Lock()
	delete(d.begun, id)
	d.mu.Unlock()
	return removeTree(dir)
}

// Clean removes what is left of a job.
func (d *Driver) Clean(_ context.Context, job string) error { return removeTree(d.jobFolder(job)) }

// removeTree removes folders also where a step took its own rights away.
func removeTree(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // a folder, which nobody else can enter
		}
		return nil
	})
	return os.RemoveAll(dir)
}
