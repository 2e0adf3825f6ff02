// Package results keeps what analyses produce: local results, which every
// analysis of the same project may read; intermediate results, which pass
// between nodes through the FLAME hub, encrypted for one of them; and final
// results, which are delivered to the hub. It answers byte for byte like the
// service that it replaces where somebody depends on that, and is better where
// nobody can: docs/differences.md lists how.
//
// Its truths are rows and objects. An object is stored first, durably, and its
// rows follow in one transaction; whatever a crash leaves between the two is
// swept away. A final result is answered with success once it is on the hub, or
// once it is certain to get there: the queue delivers it across restarts, and
// the hub sees it once.
package results

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/database"
	"lodge/internal/httpapi"
	"lodge/internal/objects"
	"lodge/internal/results/hub"
	"lodge/internal/work"
)

// What can be done here. The group is the project's id.
const (
	Read         access.Action = "results.read"
	Write        access.Action = "results.write"
	Delete       access.Action = "results.delete"
	ReadUploads  access.Action = "results.uploads.read"
	WriteUploads access.Action = "results.uploads.write"
)

// Actions is this part's share of the catalogue of actions.
func Actions() []access.ActionInfo {
	return []access.ActionInfo{
		{Action: Read, Help: "Read a project's results and tags", Part: "results"},
		{Action: Write, Help: "Store and tag results of a project", Part: "results"},
		{Action: Delete, Help: "Delete results of a project", Part: "results"},
		{Action: ReadUploads, Help: "See a project's uploads to the hub", Part: "results"},
		{Action: WriteUploads, Help: "Retry and remove a project's uploads to the hub", Part: "results"},
	}
}

// Config says how this part behaves. The zero value works.
type Config struct {
	// Prefix is where the part is mounted: "/results", or "" when it is alone.
	Prefix string
	// ClientIDClaim is the claim with the id of the calling analysis; "" is client_id.
	ClientIDClaim string
	// HubAdapterClientID is the client that may delete a project's local results; "" is hub-adapter.
	HubAdapterClientID string
	// AnyoneReadsIntermediate lets every analysis read every intermediate result, as the original does.
	AnyoneReadsIntermediate bool
	// NoQueue answers with the hub's errors instead of queueing, as the original does.
	NoQueue bool
	// UnauthenticatedStatus answers callers without a login; 0 is 403, as the original; 401 as its successor.
	UnauthenticatedStatus int
	// MaxUploadSize bounds one uploaded file; 0 is no limit.
	MaxUploadSize int64
	// SyncTimeout is how long an upload waits for the hub before it is answered with 202; 0 is 10 s.
	SyncTimeout time.Duration
	// Retention is how long a delivered final result stays here; 0 removes it at once.
	Retention time.Duration
	// MaxSubmissions bounds how many noised results an analysis may submit in all; 0 is no limit.
	MaxSubmissions int
	// PrivateKey is this node's, for encrypted intermediate results; nil has none. See ParsePrivateKey.
	PrivateKey *ecdh.PrivateKey
	// TempDir holds the temporary files, which are encrypted and have no names; "" is the system's.
	TempDir string
	// OrphanAge is how old an object without a row must be before the sweep removes it; 0 is an hour,
	// far longer than an upload takes between storing its object and its rows.
	OrphanAge time.Duration
	// Changed, if set, hears of every change that a live view may want to show: the topic is
	// "files" or "uploads". It must not block.
	Changed func(topic, project, id string)
}

func (c Config) withDefaults() (Config, error) {
	if c.ClientIDClaim == "" {
		c.ClientIDClaim = "client_id"
	}
	if c.HubAdapterClientID == "" {
		c.HubAdapterClientID = "hub-adapter"
	}
	if c.SyncTimeout == 0 {
		c.SyncTimeout = 10 * time.Second
	}
	if c.TempDir == "" {
		c.TempDir = os.TempDir()
	}
	if err := os.MkdirAll(c.TempDir, 0o700); err != nil {
		return c, fmt.Errorf("results: the folder for temporary files: %w", err)
	}
	if c.OrphanAge == 0 {
		c.OrphanAge = time.Hour
	}
	if c.Changed == nil {
		c.Changed = func(string, string, string) {}
	}
	switch c.UnauthenticatedStatus {
	case 0:
		c.UnauthenticatedStatus = 403
	case 401, 403:
	default:
		return c, fmt.Errorf("results: the status for a missing login is 401 or 403, not %d", c.UnauthenticatedStatus)
	}
	return c, nil
}

// Service is this part's one entrance. It is safe for concurrent use.
type Service struct {
	cfg    Config
	store  *store
	bucket objects.Bucket
	queue  *work.Queue
	access *access.Service
	audit  *audit.Log
	hub    *hub.Client // nil when there is none
	now    func() time.Time
	log    *slog.Logger

	projects *cache[string, string]     // analysis → project, as the hub says
	buckets  *cache[string, hub.Bucket] // type/analysis → analysis bucket
	owners   *cache[string, hub.Bucket] // storage bucket → analysis bucket
	link     linkState

	mu      sync.Mutex
	waiting map[string]chan error // requests that wait for their upload's first attempt
}

// New makes the service. h is nil when no hub is configured: final results then wait.
func New(cfg Config, db *database.DB, bucket objects.Bucket, queue *work.Queue, acc *access.Service, log *audit.Log,
	h *hub.Client, now func() time.Time, logger *slog.Logger,
) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.NoQueue && h == nil {
		return nil, errors.New("results: without a hub the queue cannot be off, or no final result could be taken")
	}
	if cfg.AnyoneReadsIntermediate {
		logger.Warn("every analysis may read every intermediate result", "setting", "results.intermediate_access=any")
	}
	return &Service{
		cfg: cfg, store: &store{db: db}, bucket: bucket, queue: queue, access: acc, audit: log, hub: h, now: now, log: logger,
		projects: newCache[string, string](now), buckets: newCache[string, hub.Bucket](now), owners: newCache[string, hub.Bucket](now),
		waiting: map[string]chan error{},
	}, nil
}

// Run delivers uploads, watches the hub and sweeps, until the context ends.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.runSweep(ctx) })
	if s.hub != nil {
		g.Go(func() error { return s.runUploads(ctx) })
		g.Go(func() error { return s.runHubWatch(ctx) })
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// Mount is the part's API. When the part is alone, /healthz is among its routes as well.
func (s *Service) Mount() httpapi.Mount {
	return httpapi.Mount{
		Name: "results", Prefix: s.cfg.Prefix, Title: "FLAME Node Result Service", Version: "0.1.4",
		Description: "Stores local, intermediate and final results of analyses, and delivers them to the FLAME hub.",
		Routes:      s.routes(), Problem: s.writeProblem, ProblemDoc: HTTPValidationError{},
	}
}
