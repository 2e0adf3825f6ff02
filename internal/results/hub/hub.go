// Package hub is the client of the FLAME hub: its auth, core and storage
// services, in each of the generations that are in use. It holds one token for
// all callers, streams what it sends and what it receives, and turns every
// failure of the hub into one of the few kinds of fault. It keeps nothing and
// retries nothing but a refused token: repeating is the queue's duty.
package hub

import (
	"context"
	"io"
	"log/slog"
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
type Client struct{}

// New checks the configuration; it does not call the hub.
func New(cfg Config, now func() time.Time, log *slog.Logger) (*Client, error) { return &Client{}, nil }

// FindBucket finds the bucket of the type that the analysis has. None is fault.Missing.
func (c *Client) FindBucket(ctx context.Context, analysisID string, typ BucketType) (Bucket, error) {
	return Bucket{}, nil
}

// BucketOf finds the analysis bucket that the storage bucket belongs to. None is fault.Missing.
func (c *Client) BucketOf(ctx context.Context, storageBucketID string) (Bucket, error) {
	return Bucket{}, nil
}

// Analysis gets an analysis; fault.Missing if the hub has none such.
func (c *Client) Analysis(ctx context.Context, id string) (Analysis, error) { return Analysis{}, nil }

// Project gets a project; fault.Missing if the hub has none such.
func (c *Client) Project(ctx context.Context, id string) (Project, error) { return Project{}, nil }

// Node gets a node; fault.Missing if the hub has none such.
func (c *Client) Node(ctx context.Context, id string) (Node, error) { return Node{}, nil }

// NodeByClientID finds the one node that logs in as the client; fault.Missing if there is none.
func (c *Client) NodeByClientID(ctx context.Context, clientID string) (Node, error) {
	return Node{}, nil
}

// Upload streams size bytes (-1: unknown) of body into the storage bucket. An error of body comes
// back as it is, wrapped; the hub then has no file. After any other error the hub may have it:
// FindUploaded tells. Status(err) is 409 (or 5xx) when the bucket has a file of that name already.
func (c *Client) Upload(ctx context.Context, storageID, filename, contentType string, size int64, body io.Reader) (File, error) {
	return File{}, nil
}

// FindUploaded lists the files that were uploaded into the storage bucket under exactly this name.
func (c *Client) FindUploaded(ctx context.Context, storageID, name string) ([]File, error) {
	return nil, nil
}

// Link makes the file known to core as one of the analysis bucket's. Linking twice is no error.
func (c *Client) Link(ctx context.Context, bucketID string, f File) error { return nil }

// BucketFile gets a file's record; fault.Missing if the hub has none such.
func (c *Client) BucketFile(ctx context.Context, id string) (File, error) { return File{}, nil }

// Stream opens the file's bytes. The reader fails when the hub cuts the transfer or stalls, but a
// hub may also end it early without a sign: compare the length with File.Size.
func (c *Client) Stream(ctx context.Context, fileID string) (io.ReadCloser, error) { return nil, nil }

// DeleteFile removes the file. Removing one that does not exist is no error.
func (c *Client) DeleteFile(ctx context.Context, id string) error { return nil }

// Check says whether the hub can be reached and accepts our login.
func (c *Client) Check(ctx context.Context) error { return nil }

// Status is the HTTP status with which the hub refused, or 0 when err is of another kind.
func Status(err error) int { return 0 }
