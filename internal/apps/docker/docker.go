// Package docker runs apps as containers of a Docker engine, or of anything that speaks its API.
//
// Whoever owns an app has a network of their own, so that two people's apps cannot reach each other.
// A container has no root user, no capability, no way to new privileges and no writable root unless
// its entry says so in words, and always limits of processor, memory, processes and log. Everything
// that is ours carries labels: whoever comes back finds it by them, and touches nothing else.
package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// The labels of everything that is ours.
const (
	labelInstallation = "lodge.installation"
	labelSession      = "lodge.session"
	labelRun          = "lodge.run"
	labelApp          = "lodge.app"
	labelOwner        = "lodge.owner"
	labelSlug         = "lodge.user"
	labelSpec         = "lodge.spec"
	labelPort         = "lodge.port"
	labelVolume       = "lodge.volume"
	labelNetwork      = "lodge.network"
)

// When to fetch images.
const (
	PullMissing = "missing"
	PullAlways  = "always"
	PullNever   = "never"
)

// Config says which engine to use and how.
type Config struct {
	// Host is the engine's address; "" is the usual socket.
	Host string
	// Installation marks what is ours.
	Installation string
	// Network is one that is there already and that all apps share; "" gives every person one.
	Network string
	// Pool is what people's networks are cut from.
	Pool netip.Prefix
	// MTU of people's networks; 0 is the engine's.
	MTU int
	// Publish reaches apps by ports on this machine's loopback, for an engine in a virtual machine.
	Publish bool
	// AllowedSources are the folders below which volumes of the machine may lie.
	AllowedSources []string
	// Pull says when to fetch images; "" is PullMissing.
	Pull string
	// AuthFile holds registries' logins, as docker login writes them.
	AuthFile string
}

// Driver implements apps.Driver.
type Driver struct {
	cfg    Config
	engine *client.Client
	now    func() time.Time
	log    *slog.Logger

	mu   sync.Mutex
	busy map[string]*sync.Mutex // one change of a thing at a time
}

// defaultPool has room for two thousand networks of 30 containers.
var defaultPool = netip.MustParsePrefix("10.77.0.0/16")

// New makes the driver. It does not need the engine yet.
func New(cfg Config, now func() time.Time, log *slog.Logger) (*Driver, error) {
	if cfg.Installation == "" {
		return nil, errors.New("docker driver: there is no installation")
	}
	options := []client.Opt{client.WithUserAgent("lodge")}
	if cfg.Host != "" {
		options = append(options, client.WithHost(cfg.Host))
	}
	engine, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("docker driver: %w", err)
	}
	if cfg.Pull == "" {
		cfg.Pull = PullMissing
	}
	if !cfg.Pool.IsValid() {
		cfg.Pool = defaultPool
	}
	return &Driver{cfg: cfg, engine: engine, now: now, log: log, busy: map[string]*sync.Mutex{}}, nil
}

// Close lets go of the engine.
func (d *Driver) Close() error { return d.engine.Close() }

// Name implements apps.Driver.
func (d *Driver) Name() string { return "docker" }

// hold keeps others in this process from changing the same thing.
func (d *Driver) hold(what string) (release func()) {
	d.mu.Lock()
	m := d.busy[what]
	if m == nil {
		m = &sync.Mutex{}
		d.busy[what] = m
	}
	d.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// ours filters what belongs to this installation.
func (d *Driver) ours(labels ...string) client.Filters {
	return client.Filters{}.Add("label", append(labels, labelInstallation+"="+d.cfg.Installation)...)
}

// short is the beginning of the installation's mark, for names that people read.
func (d *Driver) short() string { return d.cfg.Installation[:min(8, len(d.cfg.Installation))] }

// plain gives an engine's error the kind that callers act on.
func plain(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case client.IsErrConnectionFailed(err), errdefs.IsUnavailable(err):
		return fault.Wrap(err, fault.Unavailable, "the container service does not answer")
	case errdefs.IsNotFound(err):
		return fault.Wrap(err, fault.Missing, "%s: it is not there", doing)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Health implements apps.Driver.
func (d *Driver) Health(ctx context.Context) (apps.Health, error) {
	info, err := d.engine.Info(ctx, client.InfoOptions{})
	if err != nil {
		return apps.Health{}, plain(err, "ask the engine how it is")
	}
	i := info.Info
	says := func(able bool) string {
		if able {
			return "enforced"
		}
		return "not enforced: the engine cannot"
	}
	h := apps.Health{
		Version: i.ServerVersion,
		Enforced: map[string]string{
			"memory": says(i.MemoryLimit), "cpu": says(i.CPUCfsQuota), "pids": says(i.PidsLimit), "read_only_root": "enforced",
			"disk":   "tmpfs only: what is written elsewhere is in volumes",
			"egress": "none is enforced; internet needs firewall rules of the machine, private ranges can be reached without them",
		},
		Warnings: []string{},
	}
	if d.cfg.Network != "" {
		h.Warnings = append(h.Warnings, "apps of different people share the network "+d.cfg.Network+" and may reach each other")
	}
	if !i.IPv4Forwarding {
		h.Warnings = append(h.Warnings, "the machine does not forward packets: apps have no way out")
	}
	return h, nil
}
