//go:build !linux

package spec

import (
	"testing"
	"time"
)

// worked is the clock's time where a thread's own cannot be had.
func worked(*testing.T) time.Duration { return time.Duration(time.Now().UnixNano()) }
