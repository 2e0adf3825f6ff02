package spec

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// worked is how long the processor has worked for this thread: unlike a clock's, that time does not
// depend on who else is busy.
func worked(t *testing.T) time.Duration {
	t.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
