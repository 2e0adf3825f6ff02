package work

import (
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait after an attempt that failed: at most Min after the first,
// twice as long after each further one, and never more than Max. The wait is spread evenly
// from nothing to that, so that what failed together does not come back together.
type Backoff struct{ Min, Max time.Duration }

// bound is the longest wait after so many attempts.
func (b Backoff) bound(attempts int) time.Duration {
	d := b.Min
	for range attempts - 1 {
		// Before it doubles, so that it cannot overflow.
		if d > b.Max/2 {
			return b.Max
		}
		d *= 2
	}
	return min(d, b.Max)
}

// wait draws a wait.
func (b Backoff) wait(attempts int) time.Duration {
	return rand.N(b.bound(attempts) + 1) //nolint:gosec // spreads attempts, protects nothing
}
