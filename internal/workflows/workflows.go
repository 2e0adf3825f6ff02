// Package workflows keeps components, workflows and jobs, and decides who may
// do what with them. It answers like the Flowify server, so that its clients
// work unchanged; what differs on purpose is listed in docs/differences.md.
//
// What documents mean and whether they are right is said by package spec.
// Versions do not change once there is a newer one, numbers are never given out
// again, and a component cannot go while something refers to it. A workspace is
// a group of the platform's access model whose members follow from their roles.
package workflows

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/httpapi"
	"lodge/internal/objects"
	"lodge/internal/secret"
	"lodge/internal/work"
	"lodge/internal/workflows/spec"
)

// What can be done here. The group is the workspace's name, or the site for components and for
// making workspaces.
const (
	Read             access.Action = "workflows.read"
	Write            access.Action = "workflows.write"
	Delete           access.Action = "workflows.delete"
	Run              access.Action = "workflows.run"
	ReadSecrets      access.Action = "workflows.secrets.read"
	WriteSecrets     access.Action = "workflows.secrets.write"
	ReadVolumes      access.Action = "workflows.volumes.read"
	WriteVolumes     access.Action = "workflows.volumes.write"
	WriteWorkspace   access.Action = "workflows.workspaces.write"
	CreateWorkspace  access.Action = "workflows.workspaces.create"
	DeleteComponents access.Action = "workflows.components.delete"
)

// Actions is this part's share of the catalogue of actions.
func Actions() []access.ActionInfo {
	const part = "workflows"
	return []access.ActionInfo{
		{Action: Read, Help: "Read a workspace's workflows and jobs", Part: part},
		{Action: Write, Help: "Write workflows of a workspace", Part: part},
		{Action: Delete, Help: "Delete workflows of a workspace", Part: part},
		{Action: Run, Help: "Submit, stop and delete jobs of a workspace", Part: part},
		{Action: ReadSecrets, Help: "See the names of a workspace's secrets", Part: part},
		{Action: WriteSecrets, Help: "Set and delete a workspace's secrets", Part: part},
		{Action: ReadVolumes, Help: "See a workspace's volumes", Part: part},
		{Action: WriteVolumes, Help: "Set and delete a workspace's volumes", Part: part},
		{Action: WriteWorkspace, Help: "Edit and delete a workspace", Part: part},
		{Action: CreateWorkspace, Help: "Make workspaces", Part: part},
		{Action: DeleteComponents, Help: "Delete components that others wrote", Part: part},
	}
}

// Config says how this part behaves. The zero value works, without secrets.
type Config struct {
	// Prefix is where the part is mounted: "/workflows", or "" when it is alone.
	Prefix string
	// Commit and BuildTime stand in the headers that clients of the original look at.
	Commit    string
	BuildTime time.Time
	// CreatorRoles may make workspaces; nil is those of the original.
	CreatorRoles []access.Role
	// AnyVolume lets a job mount what its workspace has not registered, as the original does.
	AnyVolume bool
	// SecretKey encrypts secrets; nil takes none.
	SecretKey *SecretKey
	// MaxDocument bounds a posted document in bytes; 0 is 8 MiB.
	MaxDocument int64
	// MaxPage bounds the limit of lists; 0 is 1000.
	MaxPage int
	// Retention is how long jobs that have ended are kept; 0 is for ever.
	Retention time.Duration
	// Places keep workspaces and their secrets elsewhere; nil keeps them in rows.
	Places Places
	// Changed hears that something of a kind changed: "jobs", "components", and so on; nil hears nothing.
	Changed func(kind string)
}

func (c Config) withDefaults() Config {
	if c.CreatorRoles == nil {
		c.CreatorRoles = []access.Role{"admin", "developer-admin", "sandbox-developer"}
	}
	if c.Commit == "" {
		c.Commit = "unknown"
	}
	if c.MaxDocument == 0 {
		c.MaxDocument = 8 << 20
	}
	if c.MaxPage == 0 {
		c.MaxPage = 1000
	}
	if c.Changed == nil {
		c.Changed = func(string) {}
	}
	return c
}

// Places are where workspaces are when they are not in the database alone: namespaces of a cluster,
// which others may make and change too. The database follows them, by FollowWorkspaces.
type Places interface {
	// CreateWorkspace makes a place, or fails with fault.Conflict if there is one of that name.
	CreateWorkspace(ctx context.Context, w Workspace) error
	EditWorkspace(ctx context.Context, w Workspace) error
	// DeleteWorkspace removes a place as far as it was made by CreateWorkspace.
	DeleteWorkspace(ctx context.Context, name string) error

	SecretNames(ctx context.Context, workspace string) ([]string, error)
	PutSecret(ctx context.Context, workspace, name string, value secret.String) (isNew bool, err error)
	DeleteSecret(ctx context.Context, workspace, name string) (was bool, err error)
}

// Order is a job as an engine runs it.
type Order struct {
	Job     *spec.Job
	Library *spec.Library
	Options spec.JobOptions
	// Manifest is what Prepare made of it.
	Manifest []byte
	// Round counts how often the job was retried after it had ended.
	Round int
}

// An Engine runs jobs. Every call may be repeated, also at the same time by another replica.
type Engine interface {
	// Prepare writes the job as the engine will run it. What the engine cannot run is a finding, and
	// nothing is stored then. It has no effect elsewhere.
	Prepare(o Order) (manifest []byte, findings spec.Findings, err error)
	// Start begins a job, or does nothing if it has begun. The engine reports to the Service by Report.
	Start(ctx context.Context, o Order) error
	// Stop ends a job soon. One that has ended, or that there is not, is no error.
	Stop(ctx context.Context, job uuid.UUID) error
	// Forget removes all that the engine keeps of a job that has ended.
	Forget(ctx context.Context, job uuid.UUID) error
}

// Service is this part's one entrance. It is safe for concurrent use.
type Service struct {
	cfg    Config
	db     *database.DB
	store  *store
	bucket objects.Bucket
	queue  *work.Queue
	access *access.Service
	audit  *audit.Log
	bus    *bus.Bus
	engine Engine
	now    func() time.Time
	log    *slog.Logger
}

// New makes the service. engine is nil where jobs cannot be run.
func New(cfg Config, db *database.DB, bucket objects.Bucket, queue *work.Queue, b *bus.Bus, acc *access.Service, log *audit.Log, engine Engine,
	now func() time.Time, logger *slog.Logger,
) (*Service, error) {
	if db == nil || bucket == nil || queue == nil || b == nil {
		return nil, errors.New("workflows: database, objects, queue and bus are needed")
	}
	return &Service{
		cfg: cfg.withDefaults(), db: db, store: &store{db}, bucket: bucket, queue: queue, bus: b, access: acc, audit: log,
		engine: engine, now: now, log: logger,
	}, nil
}

// Mount is the part's API.
func (s *Service) Mount() httpapi.Mount {
	return httpapi.Mount{
		Name: "workflows", Prefix: s.cfg.Prefix, Title: "Flowify V1 API", Version: "2",
		Description: "Components, workflows, jobs, workspaces, secrets and volumes.",
		Routes:      s.routes(), Problem: s.writeProblem, ProblemDoc: Failure{},
	}
}
