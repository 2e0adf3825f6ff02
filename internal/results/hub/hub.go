// Package hub is the client of the FLAME hub: its auth, core and storage
// services, in each of the generations that are in use. It holds one token for
// all callers, streams what it sends and what it receives, and turns every
// failure of the hub into one of the few kinds of fault. It keeps nothing and
// retries nothing but a refused token: repeating is the queue's duty.
package hub

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"lodge/internal/secret"
)

// Config says where the hub is and how to log in to it.
type Config struct {
	// CoreURL, StorageURL and AuthURL are the bases of the three services; they may have a path.
	CoreURL, StorageURL, AuthURL string
	// Flow is "robot", "password" or "client".
	Flow string
	// ID and Secret are the robot's or the client's.
	ID     string
	Secret secret.String
	// Username and Password are for the password flow.
	Username string
	Password secret.String
	// Generation is the hub's API generation: "a" (up to 0.8.24), "b" (0.8.25 to 0.11), "c" (0.12
	// and later) or "auto", which learns it from the answers. Empty is "auto".
	Generation string
	// Timeout bounds every call that carries no file; 0 is 10 s.
	Timeout time.Duration
	// UploadTimeout is how long a transfer may make no progress; 0 is 90 s.
	UploadTimeout time.Duration
	// ProxyHTTP and ProxyHTTPS are the proxies for the two schemes, as http://user:pass@host:port.
	// One alone serves both schemes.
	ProxyHTTP, ProxyHTTPS secret.String
	// NoProxy lists hosts that are reached directly, in the syntax of the variable NO_PROXY.
	NoProxy string
	// CAFile is a PEM bundle that is trusted beside the system's.
	CAFile string
}

// BucketType is what an analysis keeps in a bucket.
type BucketType string

// The bucket types that this node writes to.
const (
	Result BucketType = "RESULT"
	Temp   BucketType = "TEMP"
)

// Bucket is an analysis bucket: core's record of a storage bucket.
type Bucket struct {
	ID string
	// StorageID is the storage bucket; empty while the hub has not provisioned it yet.
	StorageID  string
	AnalysisID string
	Type       BucketType
	// LinkNeeded says that uploads must be made known to core with Link. Later hubs do that alone.
	LinkNeeded bool
}

// Analysis is what we use of an analysis.
type Analysis struct{ ID, ProjectID string }

// Project is what we use of a project.
type Project struct{ ID string }

// Node is what we use of a node. PublicKey is as the hub gives it, empty when it has none.
type Node struct{ ID, PublicKey string }

// File is a file in a storage bucket.
type File struct {
	ID string
	// Name is the last element of Path, the name that the file was uploaded under.
	Name, Path string
	BucketID   string
	// Size is -1 when the hub does not say.
	Size int64
}

// Client calls the hub. It is safe for concurrent use.
type Client struct {
	core, storage base
	http          *http.Client
	tokens        *tokens
	timeout, idle time.Duration
	log           *slog.Logger

	generation string
	// camel and linksItself are what generation "auto" has learned from the answers.
	camel, linksItself atomic.Bool
}

// New checks the configuration; it does not call the hub.
func New(cfg Config, now func() time.Time, log *slog.Logger) (*Client, error) {
	c := &Client{
		timeout: cmp.Or(cfg.Timeout, 10*time.Second), idle: cmp.Or(cfg.UploadTimeout, 90*time.Second),
		generation: cmp.Or(cfg.Generation, "auto"), log: log,
	}
	var errs []error
	switch c.generation {
	case "auto", "a":
	case "b":
		c.linksItself.Store(true)
	case "c":
		c.linksItself.Store(true)
		c.camel.Store(true)
	default:
		errs = append(errs, fmt.Errorf("the hub's generation is auto, a, b or c, not %q", cfg.Generation))
	}
	parse := func(name, text string) base {
		b, err := parseBase(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("the hub's %s address: %w", name, err))
		}
		return b
	}
	c.core, c.storage = parse("core", cfg.CoreURL), parse("storage", cfg.StorageURL)
	auth := parse("auth", cfg.AuthURL)
	grant, err := newGrant(cfg)
	if err != nil {
		errs = append(errs, err)
	}
	transport, err := newTransport(cfg)
	if err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	c.http = &http.Client{
		Transport: transport,
		// A redirect would carry our token to wherever the answer points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.tokens = &tokens{now: now, login: c.loginAt(auth.at("token"), grant, now), timeout: c.timeout}
	return c, nil
}

// Close drops the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }
