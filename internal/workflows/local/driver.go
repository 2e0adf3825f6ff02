package local

import (
	"context"
	"errors"
	"io"
	"time"

	"lodge/internal/secret"
	"lodge/internal/workflows/spec"
)

// ErrLost says that a step neither runs nor has ended: it may be run again.
var ErrLost = errors.New("the step was lost")

// A Driver runs steps. Its methods may be called for steps that an earlier life of this program
// began: what a driver knows of a step, it finds by the step's id. When what it stands on is away, it
// fails as fault.Unavailable, and is asked again later.
type Driver interface {
	// Name is what people call it.
	Name() string
	// Refuse says why steps like this can never be run; nothing if they can.
	Refuse(c Container, volumes []spec.KubeVolume) []string
	// Begin starts a step that was never begun. An error that is not fault.Unavailable ends the step.
	Begin(ctx context.Context, s Step) error
	// Wait copies what the step writes, from that byte on, until it has ended. It returns at the end of
	// ctx without harm to the step, and ErrLost when there is nothing to wait for.
	Wait(ctx context.Context, id ID, from int64, log io.Writer) (Exit, error)
	// Fetch opens a file of a step that has ended; fault.Missing when it wrote none.
	Fetch(ctx context.Context, id ID, path string) (io.ReadCloser, error)
	// Kill ends a step. One that does not run is no error.
	Kill(ctx context.Context, id ID) error
	// Remove removes what is left of a step, and Clean what is left of a job.
	Remove(ctx context.Context, id ID) error
	Clean(ctx context.Context, job string) error
}

// ID names one attempt at a step of a job. It is made of letters, digits and dashes.
type ID struct {
	Job, Step string
	Attempt   int
}

// Container is what a step runs, as its component says it.
type Container struct {
	Name, Image, WorkingDir string
	Command, Args           []string
	Env                     []Variable
	Mounts                  []Mount
	CPU                     float64 // 0 is no limit
	Memory                  int64   // bytes; 0 is no limit
	User                    int64   // 0 is the driver's choice, never root
	Network                 bool
}

// Variable is one of a container's environment. Its value stands in it, or is a secret's.
type Variable struct {
	Name   string
	Value  secret.String
	Secret string // the name in the workspace; Value is filled in when the step begins
}

// Mount is a volume at a path.
type Mount struct {
	Volume, Path, SubPath string
	ReadOnly              bool
}

// Step is a container with everything that it needs to be run.
type Step struct {
	ID        ID
	Workspace string
	Container Container
	Volumes   []spec.KubeVolume
	Inputs    []Input
	Results   []string // the files that will be fetched
}

// Input is a file that the step finds at a path.
type Input struct {
	Path string
	Size int64
	// Open reads it from its beginning.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Exit is how a step ended.
type Exit struct {
	Code int
	At   time.Time
	// Reason is more than the code says, such as that it ran out of memory.
	Reason string
}
