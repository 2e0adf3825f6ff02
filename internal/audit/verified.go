package audit

import (
	"context"
	"sync"
	"time"
)

const (
	// verifiedFor is how long a verification answers for the next one.
	verifiedFor = time.Minute
	// verifyPatience is how long a request waits for one that runs.
	verifyPatience = 5 * time.Second
)

// Verification is the last verification, and whether another one runs.
type Verification struct {
	Report  *Report `json:"report,omitempty" doc:"What the last verification found; absent until the first one ended"`
	Running bool    `json:"running" doc:"A verification runs now; ask again"`
	Error   string  `json:"error,omitempty" doc:"Why the last attempt found nothing out"`
}

// verified keeps the last verification of this process. Reading a long chain
// takes a while: so many who ask share one, in the background, and none of them
// has to hold a connection for as long.
type verified struct {
	wanted chan struct{}

	mu   sync.Mutex
	last Verification
	// done is closed when the verification that runs ends.
	done chan struct{}
}

func newVerified() *verified { return &verified{wanted: make(chan struct{}, 1)} }

// run verifies whenever somebody wants it.
func (v *verified) run(ctx context.Context, l *Log) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.wanted:
		}
		report, err := l.Verify(ctx)
		v.mu.Lock()
		if err != nil && ctx.Err() == nil {
			l.log.Warn("the audit chain could not be verified", "error", err)
			v.last.Error = "the audit log could not be read"
		}
		if err == nil {
			v.last.Report, v.last.Error = &report, ""
			if !report.OK {
				l.log.Error("the audit chain does not hold", "faults", report.Faults, "first", report.First.Message)
			}
		}
		close(v.done)
		v.done = nil
		v.mu.Unlock()
	}
}

// Verified gives the last verification if it is fresh. Otherwise it has one run,
// waits a little for it, and gives what there is then. Run must be running.
func (l *Log) Verified(ctx context.Context) Verification {
	v := l.verified
	v.mu.Lock()
	if v.done == nil && v.last.Error == "" && v.last.Report != nil && l.now().Sub(v.last.Report.At) < verifiedFor {
		defer v.mu.Unlock()
		return v.last
	}
	if v.done == nil {
		v.done = make(chan struct{})
		v.wanted <- struct{}{}
	}
	done := v.done
	v.mu.Unlock()

	wait, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	select {
	case <-done:
	case <-wait.Done():
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	last := v.last
	last.Running = v.done != nil
	return last
}
