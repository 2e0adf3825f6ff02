// Command withservices starts a PostgreSQL, a MariaDB, an S3-compatible server and a Docker
// engine, runs the command given with their addresses in its environment, and stops them
// again. Those that the environment names already are left to whoever runs them.
//
//	withservices go test ./...
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sync/errgroup"

	"lodge/internal/drivertest/services"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "withservices:", err)
	}
	os.Exit(code)
}

// run gives the command's exit status, or 1 with an error when it could not be run.
func run(args []string) (code int, err error) {
	if len(args) == 0 {
		return 2, errors.New("give the command to run, such as: go test")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	starts := []struct {
		variable string
		start    func(context.Context) (*services.Server, error)
	}{
		{services.PostgresVariable, services.StartPostgres},
		{services.MariaDBVariable, services.StartMariaDB},
		{services.S3Variable, services.StartS3},
		{services.DockerVariable, services.StartDocker},
	}
	servers := make([]*services.Server, len(starts))
	defer func() {
		var stopping errgroup.Group
		for _, s := range servers {
			if s != nil {
				stopping.Go(s.Stop)
			}
		}
		if failed := stopping.Wait(); failed != nil {
			code, err = max(code, 1), errors.Join(err, failed)
		}
	}()
	starting, startCtx := errgroup.WithContext(ctx)
	for i, s := range starts {
		if os.Getenv(s.variable) != "" {
			continue
		}
		starting.Go(func() (err error) {
			servers[i], err = s.start(startCtx)
			return err
		})
	}
	if err := starting.Wait(); err != nil {
		return 1, err
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = os.Environ()
	for i, s := range starts {
		if servers[i] != nil {
			cmd.Env = append(cmd.Env, s.variable+"="+servers[i].URL)
		}
	}
	// Were we killed, the command goes too. The kernel watches the thread that starts it.
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	// The command gets the chance to tidy up.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		// A command that a signal ended has no status of its own.
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
