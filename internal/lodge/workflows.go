package lodge

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"lodge/internal/access"
	"lodge/internal/cluster"
	"lodge/internal/config"
	"lodge/internal/httpapi"
	"lodge/internal/workflows"
	"lodge/internal/workflows/kubernetes"
	"lodge/internal/workflows/local"
	"lodge/internal/workflows/local/docker"
	"lodge/internal/workflows/local/process"
)

// workflowsPart is the workflows part with what runs its jobs.
type workflowsPart struct {
	*workflows.Service
	engine  jobEngine          // nil without
	docker  *docker.Driver     // nil without
	cluster *kubernetes.Engine // nil without
}

// jobEngine runs jobs, here or elsewhere.
type jobEngine interface {
	workflows.Engine
	Attach(svc *workflows.Service)
	Run(ctx context.Context) error
}

// firstRole may use the workspace that a new site has.
const firstRole = "sandbox-developer"

func openWorkflows(ctx context.Context, p *platform, b *bucket, prefix, version string) (part, error) {
	c := p.cfg.Workflows
	key, err := workflows.OpenSecretKey(cmp.Or(c.SecretKeyFile, p.folder.path(workflowsKey)))
	if err != nil {
		return nil, fmt.Errorf("workflows.secret_key_file: %w", err)
	}
	roles := []access.Role{}
	for _, r := range c.CreatorRoles {
		roles = append(roles, access.Role(r))
	}
	if c.AnyVolume {
		p.log.Warn("workflows.any_volume is on: jobs mount volumes that nobody has registered")
	}
	commit, built := buildOf(version)
	w := &workflowsPart{}
	if err := w.openEngine(ctx, p, b); err != nil {
		return nil, err
	}
	var places workflows.Places
	if w.cluster != nil {
		places = w.cluster
	}
	var engine workflows.Engine // a nil jobEngine in it would be no nil
	if w.engine != nil {
		engine = w.engine
	}
	w.Service, err = workflows.New(workflows.Config{
		Prefix: prefix, Commit: commit, BuildTime: built, CreatorRoles: roles, AnyVolume: c.AnyVolume, SecretKey: key,
		MaxDocument: int64(c.MaxDocument), MaxPage: c.MaxPage, Retention: c.Retention, Places: places, Changed: func(kind string) { p.publish("workflows." + kind) },
	}, p.db, b, p.queue, p.bus, p.access, p.audit, engine, p.now, p.log)
	if err != nil {
		return nil, err
	}
	if w.engine != nil {
		w.engine.Attach(w.Service)
	}
	if c.FirstWorkspace != "" {
		if err := w.FirstWorkspace(ctx, c.FirstWorkspace, firstRole); err != nil {
			return nil, fmt.Errorf("workflows.first_workspace: %w", err)
		}
	}
	return w, nil
}

// processNote says of every job that plain processes run what that means.
const processNote = "runs as plain processes of the server, for development alone"

// engineWait is how long the container engine may take to answer at start.
const engineWait = 3 * time.Second

// openEngine makes what runs jobs; nothing when none are to be run.
func (w *workflowsPart) openEngine(ctx context.Context, p *platform, b *bucket) (err error) {
	switch p.cfg.Workflows.Engine {
	case "off":
		return nil
	case "argo":
		installation, err := installationOf(ctx, p)
		if err != nil {
			return err
		}
		if w.cluster, err = newCluster(p, installation); err != nil {
			return fmt.Errorf("workflows.engine: %w", err)
		}
		p.log.Info("jobs run on the cluster", "kubeconfig", p.cfg.Kubernetes.Kubeconfig)
		w.engine = w.cluster
		return nil
	default:
		return w.openLocalEngine(ctx, p, b)
	}
}

// installationOf marks what is ours where others have things too.
func installationOf(ctx context.Context, p *platform) (string, error) {
	return p.db.EnsureSiteValue(ctx, "workflows.installation", uuid.NewString(), p.now())
}

// newCluster gives the engine that runs jobs on a cluster, which need not answer.
func newCluster(p *platform, installation string) (*kubernetes.Engine, error) {
	k, c := p.cfg.Kubernetes, p.cfg.Workflows.Argo
	access, err := cluster.Place{Kubeconfig: k.Kubeconfig, Context: k.Context}.Access()
	if err != nil {
		return nil, err
	}
	return kubernetes.New(kubernetes.Config{
		Installation: installation, Namespace: c.Namespace, ServiceAccount: c.ServiceAccount, Keep: c.Keep, MaxLog: int64(c.MaxLog),
	}, access, p.queue, p.now, p.log)
}

// openLocalEngine makes what runs jobs on this machine.
func (w *workflowsPart) openLocalEngine(ctx context.Context, p *platform, b *bucket) error {
	c := p.cfg.Workflows
	config := local.Config{
		Parallelism: c.Local.Parallelism, StepTimeout: c.Local.StepTimeout, MaxLog: int64(c.Local.MaxLog), MaxFile: int64(c.Local.MaxFile), MaxNodes: c.Local.MaxNodes, HostPaths: c.Local.HostPaths,
	}
	driver, err := w.containers(ctx, p)
	if err == nil && driver == nil {
		if driver, err = processes(p); driver != nil {
			config.Note = processNote
		}
	}
	if err != nil || driver == nil {
		return err
	}
	p.log.Info("jobs run on this machine", "driver", driver.Name())
	w.engine = local.New(config, p.db, b, p.queue, p.bus, driver, p.now, p.log)
	return nil
}

// containers gives the driver of containers; nil when steps are not to be run as such.
func (w *workflowsPart) containers(ctx context.Context, p *platform) (local.Driver, error) {
	c := p.cfg.Workflows.Local
	if c.Driver == "process" {
		return nil, nil //nolint:nilnil // there are others
	}
	installation, err := installationOf(ctx, p)
	if err != nil {
		return nil, err
	}
	d, err := newDocker(p.cfg, installation, p.log)
	if err != nil {
		return nil, fmt.Errorf("workflows.local.docker: %w", err)
	}
	if c.Driver == "auto" {
		asking, stop := context.WithTimeout(ctx, engineWait)
		defer stop()
		if d.Check(asking) != nil {
			return nil, d.Close() //nolint:nilnil // there are others
		}
	}
	w.docker = d
	return d, nil
}

func newDocker(cfg *config.Loaded, installation string, log *slog.Logger) (*docker.Driver, error) {
	c := cfg.Workflows.Local.Docker
	return docker.New(docker.Config{
		Host: c.Host, Installation: installation, Pull: c.Pull, CPU: float64(c.CPUs), Memory: int64(c.Memory), Network: c.Network,
	}, log)
}

// processes gives the driver of plain processes; nil where they would be dangerous and nobody chose them.
func processes(p *platform) (local.Driver, error) {
	c := p.cfg.Workflows.Local
	if c.Driver == "auto" && !forDevelopment(p.cfg) {
		p.log.Warn("jobs are not run: no container engine answers, and plain processes are for development alone; choose with workflows.local.driver")
		return nil, nil //nolint:nilnil // a site that only keeps workflows is a site like any other
	}
	p.log.Warn("jobs run as plain processes that can do whatever the server can: for development alone")
	driver, err := process.New(process.Config{Folder: cmp.Or(c.Folder, p.folder.path(workflowsDir)), Path: c.Path}, p.now, p.log)
	if err != nil {
		return nil, fmt.Errorf("workflows.local: %w", err)
	}
	return driver, nil
}

// forDevelopment says whether only this machine can reach the server.
func forDevelopment(cfg *config.Loaded) bool {
	return cfg.PublicURL == "" && isLoopback(hostOf(cfg.Listen))
}

func (w *workflowsPart) depend(checks *httpapi.Checks) {
	if w.docker != nil {
		checks.Watch("containers", w.docker.Check)
	}
	if w.cluster != nil {
		checks.Watch("cluster", w.cluster.Check)
	}
}

func (w *workflowsPart) beside(*httpapi.Server) error { return nil }

func (w *workflowsPart) drain() {}

// Run runs the service and its jobs.
func (w *workflowsPart) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.Service.Run(ctx) })
	if w.engine != nil {
		g.Go(func() error { return w.engine.Run(ctx) })
	}
	return g.Wait()
}

func (w *workflowsPart) close() error {
	if w.docker == nil {
		return nil
	}
	return w.docker.Close()
}

// buildOf says which commit this program was made of, and when; its version where that is not known.
func buildOf(version string) (commit string, built time.Time) {
	commit = version
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return commit, built
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.time":
			if at, err := time.Parse(time.RFC3339, s.Value); err == nil {
				built = at
			}
		}
	}
	return commit, built
}
