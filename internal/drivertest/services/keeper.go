package services

import (
	"bytes"
	"context"
	"crypto/rand"
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

// keeperScript runs every line of its standard input beside itself, which is one of our
// commands, and waits for the end of it: the pipe closes when the starter stops the server,
// ends, panics or is killed. Then whatever runs is ended, and the folder goes. It makes the folder
// too: a starter that is killed in between would leave one that nobody knows of.
const keeperScript = `
dir=$1 signal=$2 farewell=$3 pid=
stop() {
	trap '' TERM INT HUP
	if [ -n "$pid" ]; then
		(eval "$farewell") >>"$dir/log" 2>&1
		kill -s "$signal" "$pid" 2>/dev/null
		kill -s TERM 0
		wait
	fi
	# What was started may outlive it by a moment, and write while we remove. An engine that was ended
	# early leaves its folder mounted upon itself.
	tries=0
	until rm -rf "$dir" 2>/dev/null; do
		grep -o " $dir/[^ ]*" /proc/self/mounts | sort -r | xargs -r umount -l 2>/dev/null
		tries=$((tries + 1))
		[ $tries -lt 200 ] || exit 1
		sleep 0.05
	done
	exit 0
}
trap stop TERM INT HUP
mkdir -m 700 "$dir" && cd "$dir" || exit 1
while read -r line; do
	eval "$line" >"$dir/log" 2>&1 </dev/null &
	pid=$!
	echo $pid >"$dir/pid"
done
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

	dir    string
	keeper *exec.Cmd
	pipe   io.WriteCloser
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
	// farewell is what the shell does before that, in the server's folder.
	farewell string
	// asUser runs it as somebody else when we are root, which it refuses to be run by.
	asUser string
	env    []string
	// prepare writes what the server needs into its folder, and gives the command that does
	// the rest before the first start, or nil.
	prepare func(dir string) (command []string, err error)
	// command listens on the loopback port.
	command func(dir string, port int) []string
	url     func(dir string, port int) string
	// ready asks the server for a sign of life.
	ready func(ctx context.Context, url string) error
}

// start runs a server and waits until it answers.
func (r recipe) start(ctx context.Context) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	s, err := r.keep()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", r.name, err)
	}
	if err := s.folder(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", r.name, err), s.Stop())
	}
	if err := r.bringUp(ctx, s); err != nil {
		said, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return nil, errors.Join(fmt.Errorf("start %s: %w; it said:\n%s", r.name, err, bytes.TrimSpace(said)), s.Stop())
	}
	return s, nil
}

// keep starts the keeper of all that is to come.
func (r recipe) keep() (*Server, error) {
	as, err := credential(r.asUser)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(os.TempDir(), "lodge-"+r.name+"-"+rand.Text()[:10])
	// Its life is the pipe's and no context's.
	keeper := exec.CommandContext(context.Background(), "sh", "-c", keeperScript, "keeper", dir, r.stop, r.farewell)
	keeper.Dir = os.TempDir()
	keeper.Env = append(keeper.Environ(), r.env...)
	// A group of its own: a Ctrl-C is for the tests, the keeper tidies up after them.
	keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
	pipe, err := keeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	return &Server{dir: dir, keeper: keeper, pipe: pipe}, keeper.Start()
}

// folder waits until the keeper has made the folder.
func (s *Server) folder(ctx context.Context) error {
	for {
		if _, err := os.Stat(s.dir); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the folder %s cannot be made: %w", s.dir, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// bringUp prepares the folder and runs the server until it answers.
func (r recipe) bringUp(ctx context.Context, s *Server) error {
	command, err := r.prepare(s.dir)
	if err != nil {
		return err
	}
	if command != nil {
		prepared := filepath.Join(s.dir, "prepared")
		err := s.run(ctx, quoted(command)+" && : >"+quoted([]string{prepared}), func() error {
			_, err := os.Stat(prepared)
			return err
		})
		if err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
	}
	// Somebody may take the free port before the server does.
	for range 3 {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.URL = r.url(s.dir, port)
		err = s.run(ctx, "exec "+quoted(r.command(s.dir, port)), func() error { return r.ready(ctx, s.URL) })
		if !errors.Is(err, errExited) {
			return err
		}
	}
	return errExited
}

// run has the keeper run a line, and returns when it is ready or has ended without that.
func (s *Server) run(ctx context.Context, line string, ready func() error) error {
	pid := filepath.Join(s.dir, "pid")
	if err := os.RemoveAll(pid); err != nil {
		return err
	}
	if _, err := io.WriteString(s.pipe, line+"\n"); err != nil {
		return err
	}
	for {
		// Asked for before: what is ready may have ended, as a preparation does.
		ended := exited(pid)
		err := ready()
		if err == nil {
			return nil
		}
		if ended {
			return errExited
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is not ready in time: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// quoted writes a command for the shell.
func quoted(command []string) string {
	words := make([]string, len(command))
	for i, word := range command {
		words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

// exited reports whether the process whose number stands in the file has come to its end.
func exited(pidFile string) bool {
	pid, err := os.ReadFile(pidFile)
	if err != nil || !bytes.HasSuffix(pid, []byte("\n")) {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z")
}

// credential is the user's when we are root. Otherwise everything runs as we do.
func credential(name string) (*syscall.Credential, error) {
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
