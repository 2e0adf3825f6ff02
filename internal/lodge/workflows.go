package lodge

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"lodge/internal/access"
	"lodge/internal/httpapi"
	"lodge/internal/workflows"
)

// workflowsPart is the workflows part.
type workflowsPart struct {
	*workflows.Service
}

// firstRole may use the workspace that a new site has.
const firstRole = "sandbox-developer"

func openWorkflows(ctx context.Context, p *platform, prefix, version string) (part, error) {
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
	w.Service, err = workflows.New(workflows.Config{
		Prefix: prefix, Commit: commit, BuildTime: built, CreatorRoles: roles, AnyVolume: c.AnyVolume, SecretKey: key,
		MaxDocument: int64(c.MaxDocument), MaxPage: c.MaxPage, Changed: func(kind string) { p.publish("workflows." + kind) },
	}, p.db, p.queue, p.bus, p.access, p.audit, nil, p.now, p.log)
	if err != nil {
		return nil, err
	}
	if c.FirstWorkspace != "" {
		if err := w.FirstWorkspace(ctx, c.FirstWorkspace, firstRole); err != nil {
			return nil, fmt.Errorf("workflows.first_workspace: %w", err)
		}
	}
	return w, nil
}

func (w *workflowsPart) depend(*httpapi.Checks) {}

func (w *workflowsPart) beside(*httpapi.Server) error { return nil }

func (w *workflowsPart) drain() {}

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
