// Package docker runs steps as containers of a Docker engine, or of anything
// that speaks its API.
//
// A container has no root user, no capability, no way to new privileges, no
// network unless its component asks for it, and limits. It is named by the
// step's attempt and carries labels, so that a later life of the server finds
// it; how it ended is what the engine knows of it. Files go in and out through
// the engine's API, which works for an engine on another machine too.
package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"lodge/internal/fault"
	"lodge/internal/workflows/local"
	"lodge/internal/workflows/spec"
)

// The labels of everything that is ours.
const (
	labelInstallation = "lodge.installation"
	labelJob          = "lodge.workflows.job"
	labelWorkspace    = "lodge.workflows.workspace"
)

// When to fetch images.
const (
	PullMissing = "missing"
	PullAlways  = "always"
	PullNever   = "never"
)

// Config says which engine to use and how. Installation must be given.
type Config struct {
	// Host is the engine's address; "" is the usual socket.
	Host string
	// Installation marks what is ours.
	Installation string
	// Pull says when to fetch images; "" is PullMissing.
	Pull string
	// CPU and Memory are the limits of containers that name none; 0 is no limit.
	CPU    float64
	Memory int64
	// Network is what a container that asks for the network is connected with; "" is "bridge".
	Network string
}

// Driver runs containers. It is safe for concurrent use.
type Driver struct {
	cfg    Config
	engine *client.Client
	log    *slog.Logger
}

// New makes the driver. It does not need the engine yet.
func New(cfg Config, log *slog.Logger) (*Driver, error) {
	if cfg.Installation == "" {
		return nil, errors.New("docker driver: there is no installation")
	}
	cfg.Pull, cfg.Network = cmp.Or(cfg.Pull, PullMissing), cmp.Or(cfg.Network, "bridge")
	options := []client.Opt{client.WithUserAgent("lodge")}
	if cfg.Host != "" {
		options = append(options, client.WithHost(cfg.Host))
	}
	engine, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("docker driver: %w", err)
	}
	return &Driver{cfg: cfg, engine: engine, log: log}, nil
}

// Close lets go of the engine.
func (d *Driver) Close() error { return d.engine.Close() }

// Check says whether the engine answers.
func (d *Driver) Check(ctx context.Context) error {
	_, err := d.engine.Ping(ctx, client.PingOptions{})
	return plain(err, "ask")
}

// Name is "docker".
func (d *Driver) Name() string { return "docker" }

// Refuse says what a container cannot do.
func (d *Driver) Refuse(c local.Container, volumes []spec.KubeVolume) (wrong []string) {
	if c.Image == "" {
		wrong = append(wrong, "it names no image")
	}
	for _, m := range c.Mounts {
		if _, err := d.mounted("w", local.ID{}, m, volumes); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return wrong
}

// nameOf is the container of an attempt.
func nameOf(id local.ID) string {
	return "lodge-" + id.Job + "-" + id.Step + "-" + strconv.Itoa(id.Attempt)
}

// plain gives an engine's error the kind that callers act on.
func plain(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case client.IsErrConnectionFailed(err), errdefs.IsUnavailable(err), errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Wrap(err, fault.Unavailable, "the container engine does not answer")
	case errdefs.IsNotFound(err):
		return fault.Wrap(err, fault.Missing, "%s: the container engine has no such thing", doing)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// Between two times that a log that waits is handed on.
const handOn = 200 * time.Millisecond

// Wait follows a container to its end.
func (d *Driver) Wait(ctx context.Context, id local.ID, from int64, log io.Writer) (local.Exit, error) {
	name := nameOf(id)
	state, err := d.state(ctx, name)
	if err != nil {
		return local.Exit{}, err
	}
	if state.Status == container.StateCreated {
		return local.Exit{}, local.ErrLost // it was never started
	}
	body, err := d.engine.ContainerLogs(ctx, name, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		return local.Exit{}, lostOr(plain(err, "read the log"))
	}
	defer func() { _ = body.Close() }()
	to := &steady{to: log, skip: from}
	beat := time.NewTicker(handOn)
	stop := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() {
		for {
			select {
			case <-beat.C:
				_, _ = to.Write(nil) // what fails here fails again when there is more to write
			case <-stop:
				return
			}
		}
	})
	_, err = stdcopy.StdCopy(to, to, body)
	beat.Stop()
	close(stop)
	beating.Wait()
	switch {
	case ctx.Err() != nil:
		return local.Exit{}, ctx.Err()
	case to.failed != nil:
		return local.Exit{}, to.failed
	case err != nil:
		return local.Exit{}, fault.Wrap(err, fault.Unavailable, "the log of the container broke off")
	}
	return d.exit(ctx, name)
}

// exit waits for the end of a container whose log has ended.
func (d *Driver) exit(ctx context.Context, name string) (local.Exit, error) {
	waiting := d.engine.ContainerWait(ctx, name, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case err := <-waiting.Error:
		if ctx.Err() != nil {
			return local.Exit{}, ctx.Err()
		}
		return local.Exit{}, lostOr(plain(err, "wait for the container"))
	case <-waiting.Result:
	}
	state, err := d.state(ctx, name)
	if err != nil {
		return local.Exit{}, err
	}
	exit := local.Exit{Code: state.ExitCode, Reason: state.Error}
	if at, err := time.Parse(time.RFC3339Nano, state.FinishedAt); err == nil && at.Year() > 2000 {
		exit.At = at
	}
	switch {
	case state.OOMKilled:
		exit.Reason = "it needs more memory than its limit"
	case state.ExitCode == killed && exit.Reason == "":
		// The engine learns of the end and of its reason separately, and may miss the latter.
		exit.Reason = "it was killed, perhaps as it needs more memory than its limit"
	}
	return exit, nil
}

// killed is the exit code of what the signal KILL ended.
const killed = 128 + 9

func (d *Driver) state(ctx context.Context, name string) (*container.State, error) {
	found, err := d.engine.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err != nil {
		return nil, lostOr(plain(err, "look at the container"))
	}
	return found.Container.State, nil
}

// lostOr says that a container that is not there was lost.
func lostOr(err error) error {
	if fault.Is(err, fault.Missing) {
		return local.ErrLost
	}
	return err
}

// steady is a writer for two, which leaves out what was kept already.
type steady struct {
	mu     sync.Mutex
	to     io.Writer
	skip   int64
	failed error
}

func (s *steady) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return 0, s.failed
	}
	rest := p
	if cut := min(s.skip, int64(len(p))); cut > 0 {
		s.skip -= cut
		rest = p[cut:]
	}
	if _, s.failed = s.to.Write(rest); s.failed != nil {
		return 0, s.failed
	}
	return len(p), nil
}

// grace is how long a container may take to end when it is asked to.
const grace = 2

// Kill ends a container.
func (d *Driver) Kill(ctx context.Context, id local.ID) error {
	seconds := grace
	_, err := d.engine.ContainerStop(ctx, nameOf(id), client.ContainerStopOptions{Timeout: &seconds})
	if err = plain(err, "stop the container"); fault.Is(err, fault.Missing) {
		return nil
	}
	return err
}

// Remove removes a container.
func (d *Driver) Remove(ctx context.Context, id local.ID) error { return d.remove(ctx, nameOf(id)) }

func (d *Driver) remove(ctx context.Context, name string) error {
	_, err := d.engine.ContainerRemove(ctx, name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err = plain(err, "remove the container"); fault.Is(err, fault.Missing) || errdefs.IsConflict(err) {
		return nil // it is gone, or going
	}
	return err
}

// Clean removes the containers and volumes of a job.
func (d *Driver) Clean(ctx context.Context, job string) error {
	ours := client.Filters{}.Add("label", labelInstallation+"="+d.cfg.Installation, labelJob+"="+job)
	list, err := d.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return plain(err, "list containers")
	}
	var failures []error
	for _, c := range list.Items {
		failures = append(failures, d.remove(ctx, c.ID))
	}
	volumes, err := d.engine.VolumeList(ctx, client.VolumeListOptions{Filters: ours})
	if err != nil {
		return errors.Join(append(failures, plain(err, "list volumes"))...)
	}
	for _, v := range volumes.Items {
		if _, err := d.engine.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
			failures = append(failures, plain(err, "remove the volume"))
		}
	}
	return errors.Join(failures...)
}

// rootless says whether an image's own user is certainly not root.
func rootless(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	n, err := strconv.Atoi(name)
	return err == nil && n > 0
}
