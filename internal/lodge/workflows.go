package lodge

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"lodge/internal/access"
	"lodge/internal/config"
	"lodge/internal/httpapi"
	"lodge/internal/workflows"
	"lodge/internal/workflows/local"
	"lodge/internal/workflows/local/process"
)

// workflowsPart is the workflows part with what runs its jobs.
type workflowsPart struct {
	*workflows.Service
	engine *local.Engine // nil without
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
	var engine workflows.Engine // a nil *local.Engine in it would be no nil
	if w.engine, err = openLocalEngine(p, b); err != nil {
		return nil, err
	}
	if w.engine != nil {
		engine = w.engine
	}
	w.Service, err = workflows.New(workflows.Config{
		Prefix: prefix, Commit: commit, BuildTime: built, CreatorRoles: roles, AnyVolume: c.AnyVolume, SecretKey: key,
		MaxDocument: int64(c.MaxDocument), MaxPage: c.MaxPage, Retention: c.Retention, Changed: func(kind string) { p.publish("workflows." + kind) },
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

// openLocalEngine makes what runs jobs on this machine; nil when none are to be run.
func openLocalEngine(p *platform, b *bucket) (*local.Engine, error) {
	c := p.cfg.Workflows
	if c.Engine == "off" {
		return nil, nil //nolint:nilnil // a site that only keeps workflows is a site like any other
	}
	if c.Local.Driver == "auto" && !forDevelopment(p.cfg) {
		p.log.Warn("jobs are not run: plain processes are for development alone; choose with workflows.local.driver")
		return nil, nil //nolint:nilnil // as above
	}
	driver, err := process.New(process.Config{Folder: cmp.Or(c.Local.Folder, p.folder.path(workflowsDir)), Path: c.Local.Path}, p.now, p.log)
	if err != nil {
		return nil, fmt.Errorf("workflows.local: %w", err)
	}
	p.log.Warn("jobs run as plain processes that can do whatever the server can: for development alone")
	return local.New(local.Config{
		Parallelism: c.Local.Parallelism, StepTimeout: c.Local.StepTimeout, MaxLog: int64(c.Local.MaxLog), MaxFile: int64(c.Local.MaxFile), Note: processNote,
	}, p.db, b, p.queue, p.bus, driver, p.now, p.log), nil
}

// forDevelopment says whether only this machine can reach the server.
func forDevelopment(cfg *config.Loaded) bool {
	return cfg.PublicURL == "" && isLoopback(hostOf(cfg.Listen))
}

func (w *workflowsPart) depend(*httpapi.Checks) {}

func (w *workflowsPart) beside(*httpapi.Server) {}

// Run runs the service and its jobs.
func (w *workflowsPart) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.Service.Run(ctx) })
	if w.engine != nil {
		g.Go(func() error { return w.engine.Run(ctx) })
	}
	return g.Wait()
}

func (w *workflowsPart) close() error { return nil }

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
