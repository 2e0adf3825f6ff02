// Command wfexec is what wfstub puts into the pods of a workflow's steps: see package step. It stands
// in for Argo's executor and, like it, mixes lines of its own into main's log.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lodge/tools/kube/internal/step"
)

func main() {
	code, err := 0, error(nil)
	switch {
	case len(os.Args) == 2 && os.Args[1] == "init":
		err = prepare()
	case len(os.Args) == 2 && os.Args[1] == "wait":
		err = finish()
	case len(os.Args) > 3 && os.Args[1] == "run" && os.Args[2] == "--":
		code, err = run(os.Args[3:])
	default:
		err = errors.New("usage: wfexec init | wait | run -- COMMAND…")
	}
	if err != nil {
		say("error", err.Error())
		os.Exit(64)
	}
	os.Exit(code)
}

// say writes a line as Argo's executor does, with the mark by which readers of logs leave it out.
func say(level, what string) {
	fmt.Fprintf(os.Stderr, "time=%q level=%s msg=%q argo=true\n", time.Now().UTC().Format(time.RFC3339Nano), level, what)
}

// prepare is the init container.
func prepare() error {
	text := os.Getenv(step.PlanEnv)
	var plan step.Plan
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Main may run as anybody.
	syscall.Umask(0)
	if err := copyFile(self, step.Program, 0o755); err != nil {
		return err
	}
	for _, folder := range []string{step.Collected + "/parameters", step.Collected + "/artifacts"} {
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{step.PlanFile: text, step.Lock: ""} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			return err
		}
	}
	for _, a := range plan.Inputs {
		if err := unpack(filepath.Join(step.Store, a.Key), filepath.Join(step.Inputs, a.Name)); err != nil {
			return fmt.Errorf("the input artifact %s: %w", a.Name, err)
		}
	}
	return nil
}

// run is main: it runs the user's command, hands on signals, and collects what the command left.
func run(command []string) (int, error) {
	plan, err := readPlan()
	if err != nil {
		return 0, err
	}
	lock, err := os.OpenFile(step.Lock, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return 0, err
	}
	if err := os.WriteFile(step.Started, nil, 0o644); err != nil {
		return 0, err
	}
	say("info", "capturing logs")
	//nolint:noctx // the command ends when it likes
	child := exec.Command(command[0], command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	if err := child.Start(); err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			_ = child.Process.Signal(s)
		}
	}()
	code, err := exitCode(child.Wait())
	if err != nil {
		return 0, err
	}
	say("info", fmt.Sprintf("sub-process exited with code %d", code))
	return code, collect(plan)
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case !errors.As(err, &exit):
		return 0, err
	case exit.ExitCode() < 0:
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal()), nil // Linux has no other
	default:
		return exit.ExitCode(), nil
	}
}

// collect puts outputs where wait finds them. What is missing is for wait to say.
func collect(plan step.Plan) error {
	for _, p := range plan.Parameters {
		err := copyFile(p.Path, filepath.Join(step.Collected, "parameters", p.Name), 0o644)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("the output parameter %s: %w", p.Name, err)
		}
	}
	for _, a := range plan.Artifacts {
		err := pack(a.Path, filepath.Join(step.Collected, "artifacts", a.Name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("the output artifact %s: %w", a.Name, err)
		}
	}
	return nil
}

// finish is wait.
func finish() error {
	plan, err := readPlan()
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	gone := make(chan error, 1)
	go func() { gone <- awaitMain() }()
	select {
	case err = <-gone:
	case <-stop: // main may be ending at the same moment, or will never start
		err = errors.New("stopped before main had ended")
	}
	if err != nil {
		return err
	}
	result := step.Result{Parameters: map[string]string{}}
	for _, p := range plan.Parameters {
		text, err := os.ReadFile(filepath.Join(step.Collected, "parameters", p.Name))
		if err != nil {
			result.Missing = append(result.Missing, p.Path)
			continue
		}
		// One newline at the end belongs to the file and not to the value.
		result.Parameters[p.Name] = strings.TrimSuffix(string(text), "\n")
	}
	for _, a := range plan.Artifacts {
		to := filepath.Join(step.Store, a.Key)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := copyFile(filepath.Join(step.Collected, "artifacts", a.Name), to, 0o644); err != nil {
			result.Missing = append(result.Missing, a.Path)
		}
	}
	text, err := json.Marshal(result)
	fmt.Println(string(text))
	if err == nil && len(result.Missing) > 0 {
		err = fmt.Errorf("open %s: no such file or directory", result.Missing[0])
	}
	return err
}

// awaitMain returns when main has been there and is gone. The kernel frees the lock however main ends.
func awaitMain() error {
	for range time.Tick(100 * time.Millisecond) {
		if _, err := os.Stat(step.Started); err == nil {
			break
		}
	}
	lock, err := os.OpenFile(step.Lock, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
}

func readPlan() (plan step.Plan, err error) {
	text, err := os.ReadFile(step.PlanFile)
	if err != nil {
		return plan, err
	}
	return plan, json.Unmarshal(text, &plan)
}

func copyFile(from, to string, mode os.FileMode) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
