package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// keeperScript runs a server and waits for the end of its standard input, a pipe that the
// starter holds: it closes when the starter stops the server, ends, panics or is killed.
const keeperScript = `
dir=$1 signal=$2
shift 2
"$@" >"$dir/log" 2>&1 </dev/null &
pid=$!
echo $pid >"$dir/pid"
stop() {
	trap '' TERM INT HUP
	kill -s "$signal" $pid 2>/dev/null
	wait $pid
	rm -rf "$dir"
	exit 0
}
trap stop TERM INT HUP
while read -r _; do :; done
stop
`

const (
	startTime = 60 * time.Second
	stopTime  = 20 * time.Second
)

// errExited is a server that ended before it answered.
var errExited = errors.New("the server ended")

// Server is a running server.
type Server struct {
	// URL holds the login of an administrator.
	URL string

	keeper *exec.Cmd
	pipe   io.Closer
}

// Stop ends the server and removes its folder. Stopping again does nothing.
func (s *Server) Stop() error {
	if s.pipe == nil {
		return nil
	}
	err := s.pipe.Close()
	s.pipe = nil
	stuck := time.AfterFunc(stopTime, func() { _ = syscall.Kill(-s.keeper.Process.Pid, syscall.SIGKILL) })
	defer stuck.Stop()
	return errors.Join(err, s.keeper.Wait())
}

// recipe is how to run one kind of server.
type recipe struct {
	name string
	// stop is the name of the signal that ends it at once and tidily.
	stop string
	// asUser runs it as somebody else when we are root, which it refuses to be run by.
	asUser string
	env    []string
	// prepare makes what the server needs in its folder, before the first start.
	prepare func(ctx context.Context, run runner, dir string) error
	// command listens on the loopback port.
	command func(dir string, port int) []string
	url     func(port int) string
	// ready asks the server for a sign of life.
	ready func(ctx context.Context, url string) error
}

// runner runs a program to its end, as the server's user.
type runner func(ctx context.Context, program string, args ...string) error

// start runs a server and waits until it answers.
func (r recipe) start(ctx context.Context) (_ *Server, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	dir, err := os.MkdirTemp("", "lodge-"+r.name+"-")
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", r.name, err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	as, err := credential(r.asUser, dir)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", r.name, err)
	}
	run := func(ctx context.Context, program string, args ...string) error {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, bytes.TrimSpace(out))
		}
		return nil
	}
	if err := r.prepare(ctx, run, dir); err != nil {
		return nil, fmt.Errorf("start %s: %w", r.name, err)
	}
	// Somebody may take the free port before the server does.
	for range 3 {
		var s *Server
		if s, err = r.attempt(ctx, as, dir); !errors.Is(err, errExited) {
			return s, err
		}
	}
	return nil, err
}

func (r recipe) attempt(ctx context.Context, as *syscall.Credential, dir string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	keeper := exec.Command("sh", append([]string{"-c", keeperScript, "keeper", dir, r.stop}, r.command(dir, port)...)...)
	keeper.Dir = dir
	keeper.Env = append(keeper.Environ(), r.env...)
	// A group of its own: a Ctrl-C is for the tests, the keeper tidies up after them.
	keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
	pipe, err := keeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := keeper.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", r.name, err)
	}
	s := &Server{URL: r.url(port), keeper: keeper, pipe: pipe}
	if err := r.await(ctx, s, dir); err != nil {
		text, _ := os.ReadFile(filepath.Join(dir, "log"))
		if errors.Is(err, errExited) {
			// The folder is needed for the next attempt: only the keeper goes.
			_ = syscall.Kill(-keeper.Process.Pid, syscall.SIGKILL)
			_ = pipe.Close()
			_ = keeper.Wait()
		} else {
			_ = s.Stop()
		}
		return nil, fmt.Errorf("start %s: %w; it said:\n%s", r.name, err, bytes.TrimSpace(text))
	}
	return s, nil
}

// await returns when the server answers.
func (r recipe) await(ctx context.Context, s *Server, dir string) error {
	for {
		err := r.ready(ctx, s.URL)
		if err == nil {
			return nil
		}
		if exited(filepath.Join(dir, "pid")) {
			return errExited
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it did not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// exited reports whether the process whose number stands in the file has come to its end.
func exited(pidFile string) bool {
	pid, err := os.ReadFile(pidFile)
	if err != nil || len(pid) == 0 {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z")
}

// credential gives the folder to the user when we are root. Otherwise everything runs as we do.
func credential(name, dir string) (*syscall.Credential, error) {
	if name == "" || os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("it does not run as root, and there is neither a user %s nor nobody: %w", name, err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// program finds the file to run: in PATH, or at the places that the patterns name.
func program(name, howto string, patterns ...string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err == nil && len(found) > 0 {
			// The newest release sorts last.
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("these tests need %s: %s", name, howto)
}
