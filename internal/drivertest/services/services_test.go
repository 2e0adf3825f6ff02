package services_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"lodge/internal/drivertest/services"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("all of these start real servers: none is run by -short")
		return
	}
	os.Exit(m.Run())
}

func TestEachTestGetsItsOwn(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func() string{
		"PostgreSQL": func() string { return services.Postgres(t) },
		"MariaDB":    func() string { return services.MariaDB(t) },
		"S3":         func() string { return services.S3(t).Name },
	} {
		one := fresh()
		// A server that nobody holds on to would end here.
		runtime.GC()
		if two := fresh(); one == two {
			t.Errorf("%s was given out twice: %s", name, one)
		}
	}
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(context.Context) (*services.Server, error){
		"postgres": services.StartPostgres, "mariadb": services.StartMariaDB, "s3": services.StartS3, "docker": services.StartDocker,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !listens(t, s.URL) {
				t.Error("the server does not listen")
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if listens(t, s.URL) {
				t.Error("the server still listens")
			}
			if err := s.Stop(); err != nil {
				t.Errorf("stopping again: %v", err)
			}
		})
	}
}

// A bridge that an engine leaves behind would lead another engine's traffic away.
func TestNetworksGoWithTheEngine(t *testing.T) {
	t.Parallel()
	s, err := services.StartDocker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	engine, err := client.New(client.WithHost(s.URL))
	if err != nil {
		t.Fatal(err)
	}
	made, err := engine.NetworkCreate(t.Context(), "stays", client.NetworkCreateOptions{Driver: "bridge", Options: map[string]string{
		"com.docker.network.bridge.name": "lodge-stays",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.InterfaceByName("lodge-stays"); err != nil {
		t.Errorf("network %s: %v", made.ID, err)
	}
	if err := errors.Join(engine.Close(), s.Stop()); err != nil {
		t.Error(err)
	}
	if left, err := net.InterfaceByName("lodge-stays"); err == nil {
		t.Errorf("the engine left %+v", left)
	}
}

// The starter is killed in the worst way, and its server and folder go all the same.
func TestKilledStarterLeavesNothing(t *testing.T) {
	t.Parallel()
	program := build(t)
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "interrupted": syscall.SIGINT, "terminated": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			temp := temporary(t)
			cmd := exec.CommandContext(t.Context(), program, "sh", "-c", "echo $"+services.PostgresVariable+"; exec sleep 600")
			cmd.Env = alone(temp)
			cmd.Stderr = t.Output()
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line := make([]byte, 200)
			n, err := out.Read(line)
			if err != nil {
				t.Fatal(err)
			}
			address := strings.TrimSpace(string(line[:n]))
			if !listens(t, address) {
				t.Errorf("nothing listens at %s", address)
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) {
				t.Errorf("it ended with %v, want an error", err)
			}
			until(t, "the server ends", func() bool { return !listens(t, address) })
			until(t, "the folders go", func() bool {
				left, err := os.ReadDir(temp)
				return err == nil && len(left) == 0
			})
		})
	}
}

func TestExitStatusIsTheCommands(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./cmd/withservices", "sh", "-c", "exit 7")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "exit status 7") {
		t.Errorf("got %v: %s, want exit status 7", err, out)
	}
}

func listens(t *testing.T, address string) bool {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	network, at := "tcp", u.Host
	if u.Scheme == "unix" {
		network, at = u.Scheme, u.Path
	}
	c, err := net.DialTimeout(network, at, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.After(30 * time.Second); !done(); {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// The starter is killed before its servers are up, while they prepare their folders.
func TestKilledEarlyLeavesNothing(t *testing.T) {
	t.Parallel()
	program, temp := build(t), temporary(t)
	cmd := exec.CommandContext(t.Context(), program, "true")
	cmd.Env = alone(temp)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	files := func(pattern string) int {
		found, err := filepath.Glob(filepath.Join(temp, pattern))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	until(t, "the folders are being prepared", func() bool { return files("lodge-postgres-*/data/base") > 0 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	t.Cleanup(func() {
		if t.Failed() {
			left, err := exec.Command("find", temp).CombinedOutput()
			t.Logf("left: %s %v", left, err)
		}
	})
	until(t, "the folders go", func() bool { return files("*") == 0 })
}

// alone is the environment without servers that run already, which would be used.
func alone(temp string) (env []string) {
	for _, one := range os.Environ() {
		if !strings.HasPrefix(one, "LODGE_TEST_") {
			env = append(env, one)
		}
	}
	if os.Getenv(services.DockerVariable) != "" {
		env = append(env, services.BesideVariable+"=1")
	}
	return append(env, "TMPDIR="+temp)
}

// build makes the program withservices.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "withservices")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/withservices").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// temporary is a folder that others may enter, which those of t.TempDir are not:
// PostgreSQL runs as a user of its own.
func temporary(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lodge-killed-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return dir
}
