package apps

import (
	"context"
	"io"
	"time"
)

// Spec is one app session as a driver is asked to run it. Everything in it was checked.
type Spec struct {
	// Installation marks what belongs to this site; a driver never touches anything else.
	Installation string `json:"-"`
	// ID is the app session's; Run counts its starts, so that what is left of an earlier one is known.
	ID  string `json:"id"`
	Run int64  `json:"run"`

	App     AppID  `json:"app"`
	OwnerID string `json:"owner_id"`
	Slug    string `json:"slug"`
	Name    string `json:"name,omitempty"`
	// Hash is that of the catalogue's entry.
	Hash string `json:"hash"`

	Image   string            `json:"image,omitempty"`
	Command []Filled          `json:"command,omitempty"`
	Env     map[string]Filled `json:"env,omitempty"`
	// Secrets are further variables, read at the start and kept nowhere.
	Secrets   map[string]string `json:"-"`
	Port      int               `json:"port,omitempty"`
	Socket    bool              `json:"socket,omitempty"`
	Volumes   []Volume          `json:"volumes,omitempty"`
	Resources Resources         `json:"resources"`
	Security  SecurityRule      `json:"security"`
	// MaxLifetime is after when even a site whose Lodge is away should end it; 0 is never.
	MaxLifetime time.Duration `json:"max_lifetime,omitempty"`
	GraceStop   time.Duration `json:"-"`
}

// Instance is what runs, or ran, for a Spec.
type Instance struct {
	ID  string
	Run int64
	// App, OwnerID and Hash are read back from what the driver marked the instance with.
	App     AppID
	OwnerID string
	Hash    string
	// Address is where it listens: "127.0.0.1:40123" or "unix:/path".
	Address string
	// Ref is the driver's own name for it, for administrators: a process id, a container id.
	Ref         string
	ImageDigest string
	Created     time.Time
	// Exit is nil while it runs.
	Exit *Exit
}

// Exit is how an instance ended.
type Exit struct {
	// Code is nil when nobody saw it.
	Code   *int   `json:"code"`
	Signal string `json:"signal,omitempty"`
	OOM    bool   `json:"oom,omitempty"`
}

// Step is how far a start is, in a driver's words.
type Step struct {
	// Name is image, create or start.
	Name    string
	Message string
	// Done and Total count bytes, where there is something to count.
	Done, Total int64
}

// Health is how a driver is, and which limits it truly enforces.
type Health struct {
	Version  string            `json:"version"`
	Enforced map[string]string `json:"enforced" nullable:"false" doc:"What becomes of each limit: enforced, or why not"`
	Warnings []string          `json:"warnings" nullable:"false"`
}

// Stats is what an instance uses now.
type Stats struct {
	// CPU is the processor time used since the start.
	CPU    time.Duration `json:"-"`
	Memory int64         `json:"memory_bytes"`
	PIDs   int           `json:"pids"`
}

// A Driver runs app sessions. Every implementation passes drivertest.Apps. Instances outlive the
// process that started them; their id, run and installation are marked on them, so that any later
// process finds and adopts them by Look and List.
//
// A driver whose daemon is away fails as fault.Unavailable. Methods are safe for concurrent use.
type Driver interface {
	// Name is what configuration and metrics call the driver.
	Name() string
	// Prepare fetches what Start needs, such as an image. It fails as fault.Missing when there is no
	// such image. Where only starting fetches, it starts already; what fails leaves nothing, except
	// what waits for room.
	Prepare(ctx context.Context, s Spec, report func(Step)) error
	// Start runs the spec and returns where it will listen; it does not wait until it does. Called
	// again for the same id and run it returns what runs already, or what has ended already. An
	// instance of an earlier run is removed first. It fails as fault.Exhausted when there is no room
	// now, and as fault.Invalid when the spec cannot be run by this driver.
	Start(ctx context.Context, s Spec, report func(Step)) (Instance, error)
	// Look finds an instance, running or ended. None is fault.Missing. An instance that nobody in this
	// process started is adopted by it.
	Look(ctx context.Context, id string) (Instance, error)
	// Stop ends an instance of this run or an earlier one, with all that belongs to it, and removes it;
	// its volumes and logs stay. Stopping what is not there is no error, and an instance of a later run
	// is left alone. It returns when it is gone.
	Stop(ctx context.Context, id string, run int64, grace time.Duration) error
	// List finds every instance of this installation, running or ended.
	List(ctx context.Context) ([]Instance, error)
	// Watch calls died with the id of every instance that ends by itself, soon after it did, until
	// ctx ends. It may miss some, and may name one twice.
	Watch(ctx context.Context, died func(id string)) error
	// Logs reads what an instance has written: its last lines, and with follow what comes until the
	// instance ends or ctx does. Logs outlive the instance until Forget.
	Logs(ctx context.Context, id string, tail int, follow bool) (io.ReadCloser, error)
	// Stats measures a running instance. It fails as fault.Unavailable where nothing measures.
	Stats(ctx context.Context, id string) (Stats, error)
	// Forget removes the logs of an instance and its volumes that are per session.
	Forget(ctx context.Context, id string) error
	// Health asks how the driver is.
	Health(ctx context.Context) (Health, error)
}
