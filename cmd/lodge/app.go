package main

import (
	"io"
	"time"

	"lodge/internal/apps/process"
	"lodge/internal/apps/sample"
	"lodge/internal/lodge"
)

// isApp says whether this process is to become an app: that is for the process driver alone, and has
// no flags that could be told from the app's.
func isApp(args []string) bool {
	return len(args) > 1 && (args[0] == lodge.ShimCommand || args[0] == lodge.SampleCommand)
}

// runApp returns only when the app could not be run, or has ended.
func runApp(args []string, getenv func(string) string, out io.Writer) error {
	if args[0] == lodge.ShimCommand {
		return process.Shim(args[1:])
	}
	return sample.Run(args[1], getenv, time.Now, out)
}
