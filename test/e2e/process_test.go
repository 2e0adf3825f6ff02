package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// place is where processes run: a folder of their own for everything that is not told them, with
// nothing in it of whoever runs the tests.
type place struct {
	dir string
	env []string
	// inside is a command that other commands are run by; usually there is none.
	inside []string
}

func newPlace(t testing.TB, env ...string) *place {
	t.Helper()
	p := &place{dir: t.TempDir()}
	for _, name := range []string{"tmp", "home", "work"} {
		noError(t, os.Mkdir(filepath.Join(p.dir, name), 0o700))
	}
	p.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(p.dir, "home"), "TMPDIR=" + filepath.Join(p.dir, "tmp"),
	}, env...)
	return p
}

func (p *place) workDir() string { return filepath.Join(p.dir, "work") }

// process is one run of the binary that stays.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	// url is what it said that it listens on.
	url string

	done chan struct{} // closed when it has ended
	log  string        // the file of its standard error

	mu   sync.Mutex
	said []string // lines of its standard output
}

var address = regexp.MustCompile(`(?:https?|ws)://(?:127\.0\.0\.1|localhost|\[::1\]):\d+`)

// startTime is how long a server may take to be ready on a machine that has much else to do. How long
// it takes on one that has not is measured by `make bench`.
const startTime = 40 * time.Second

// serve starts a server and waits until it says where it listens. The command may have another one
// before it, that runs it.
func (p *place) serve(t testing.TB, command ...string) *process {
	t.Helper()
	s := p.begin(t, command[0], command[1:]...)
	deadline := time.After(startTime)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		if s.url = address.FindString(s.output()); s.url != "" {
			return s
		}
		select {
		case <-s.done:
			t.Fatalf("%s ended with status %d before it was ready:\n%s", s.name, s.code(), s.logs())
		case <-deadline:
			t.Fatalf("%s is not ready within %s:\n%s", s.name, startTime, s.logs())
		case <-look.C:
		}
	}
}

// begin starts a program. It ends with the test at the latest, or with the test program.
func (p *place) begin(t testing.TB, path string, args ...string) *process {
	t.Helper()
	s := &process{t: t, name: filepath.Base(path) + " " + strings.Join(args, " "), done: make(chan struct{}), log: filepath.Join(p.dir, "log")}
	s.cmd = exec.CommandContext(context.Background(), path, args...) // the test's own context ends before its cleanup
	s.cmd.Dir, s.cmd.Env = p.workDir(), p.env
	// Should the test program be killed, the server goes too. The kernel watches the thread that starts
	// it, which is why the goroutine keeps that.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	noError(t, err)
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	noError(t, err)
	s.cmd.Stderr = log
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		_ = log.Close()
		started <- err
		if err != nil {
			return
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.mu.Lock()
			s.said = append(s.said, lines.Text())
			s.mu.Unlock()
		}
		_ = s.cmd.Wait() // its state says how it ended
		close(s.done)
	}()
	noError(t, <-started)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the log of %s ends with:\n%s", s.name, s.logs())
		}
	})
	return s
}

func (s *process) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.said, "\n")
}

// logs is the end of the log, without what went well.
func (s *process) logs() []byte {
	text, _ := os.ReadFile(s.log)
	lines := slices.DeleteFunc(bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n")), func(line []byte) bool {
		return bytes.Contains(line, []byte("level=INFO msg=request ")) // those that a story waits with would hide the rest
	})
	return bytes.Join(lines[max(0, len(lines)-60):], []byte("\n"))
}

// kill ends it as a power cut does. One that has ended already is left alone.
func (s *process) kill() {
	s.signal(syscall.SIGKILL)
	<-s.done
}

// signal sends a signal, unless it has ended.
func (s *process) signal(sig os.Signal) {
	select {
	case <-s.done:
	default:
		_ = s.cmd.Process.Signal(sig) // it may have ended by now
	}
}

// stopTime is more than the server gives running requests.
const stopTime = 45 * time.Second

// wait waits until it has ended and gives its exit status.
func (s *process) wait() int {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(stopTime):
		s.t.Fatalf("%s does not end within %s:\n%s", s.name, stopTime, s.logs())
	}
	return s.code()
}

// code is the exit status, or -1 when a signal ended it.
func (s *process) code() int { return s.cmd.ProcessState.ExitCode() }

// outcome is what came of a command.
type outcome struct {
	t              testing.TB
	command        string
	stdout, stderr string
	code           int
}

// commandTime is far more than any command here takes.
const commandTime = 2 * time.Minute

// run runs a command to its end.
func (p *place) run(t testing.TB, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	command := slices.Concat(p.inside, []string{theBinary(t)}, args)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = p.workDir(), p.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{t, "lodge " + strings.Join(args, " "), out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// ok demands success and gives what it printed.
func (o outcome) ok() string {
	o.t.Helper()
	if o.code != 0 {
		o.t.Fatalf("%s: exit status %d\n%s%s", o.command, o.code, o.stdout, o.stderr)
	}
	return strings.TrimRight(o.stdout, "\n")
}

// fails demands an exit status other than 0 and a plain sentence that holds the words.
func (o outcome) fails(words ...string) outcome {
	o.t.Helper()
	if o.code == 0 {
		o.t.Fatalf("%s: exit status 0, want a failure\n%s%s", o.command, o.stdout, o.stderr)
	}
	if o.code < 0 || strings.Contains(o.stderr, "goroutine ") || !strings.HasPrefix(o.stderr, "lodge: ") {
		o.t.Fatalf("%s: exit status %d, and this is no plain sentence:\n%s", o.command, o.code, o.stderr)
	}
	for _, word := range words {
		if !strings.Contains(o.stderr, word) {
			o.t.Fatalf("%s: does not mention %q:\n%s", o.command, word, o.stderr)
		}
	}
	return o
}
