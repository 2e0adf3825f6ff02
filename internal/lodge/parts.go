package lodge

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"lodge/internal/httpapi"
)

// Parts are the names that `lodge serve` takes. Without any it serves all of them, each under its
// name; a single one stands at the root, where the service stood that it replaces.
func Parts() []string { return []string{"results", "fleet", "workflows"} }

// part is one of them, open and ready to be served.
type part interface {
	// depend names what the part cannot do without, or only badly.
	depend(checks *httpapi.Checks)
	// Mount is its API.
	Mount() httpapi.Mount
	// beside serves what is no route of the API, below the mount's prefix.
	beside(server *httpapi.Server)
	// Run does what goes on beside the requests, until ctx ends.
	Run(ctx context.Context) error
	close() error
}

// openParts opens those of the options. What they listen to themselves, or start, finds the server at
// the address.
func openParts(ctx context.Context, p *platform, b *bucket, o Options, at net.Addr) (parts []part, err error) {
	names := o.Parts
	alone := len(names) == 1
	if len(names) == 0 {
		names = Parts()
	}
	for _, name := range Parts() {
		if !slices.Contains(names, name) {
			continue
		}
		prefix := "/" + name
		if alone {
			prefix = ""
		}
		var opened part
		switch name {
		case "results":
			opened, err = openResults(p, b, prefix)
		case "fleet":
			opened, err = openFleet(ctx, p, b, prefix, at, o.Simulate)
		case "workflows":
			opened, err = openWorkflows(ctx, p, b, prefix, o.Version)
		}
		if err != nil {
			return parts, err
		}
		parts = append(parts, opened)
	}
	return parts, nil
}

// checkParts refuses names that are no parts.
func checkParts(parts []string) error {
	for _, name := range parts {
		if !slices.Contains(Parts(), name) {
			return errors.New("there is no part " + name + ": choose of " + strings.Join(Parts(), ", "))
		}
	}
	return nil
}
