package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"lodge/internal/fault"
)

const (
	// checkTimeout is how long a dependency may take to answer.
	checkTimeout = 2 * time.Second
	// checkFresh is how long its answer is good for: probes must not become load.
	checkFresh = time.Second
)

// Readiness is the answer of /readyz.
type Readiness struct {
	Status string       `json:"status" enum:"ready,not ready,draining"`
	Checks []CheckState `json:"checks" nullable:"false"`
}

// CheckState is one dependency as it was found last.
type CheckState struct {
	Name  string `json:"name" example:"database"`
	State string `json:"state" enum:"ok,failed"`
	// Error is for everybody: the sentence of a fault, never the text of its cause.
	Error     string    `json:"error,omitempty"`
	Since     time.Time `json:"since" doc:"Since when it is in this state"`
	LatencyMS float64   `json:"latency_ms"`
	// Needed says that the server is not ready without it.
	Needed bool `json:"needed" doc:"Whether the server is not ready without it"`
	// Cause is the error itself, for those who may see more.
	Cause error `json:"-"`
}

// Checks knows the dependencies and asks how they are.
type Checks struct {
	now      func() time.Time
	log      *slog.Logger
	timeout  time.Duration
	mu       sync.Mutex
	checks   []*check
	draining bool
}

type check struct {
	name   string
	needed bool
	ask    func(context.Context) error

	mu      sync.Mutex
	state   CheckState
	asked   time.Time
	pending chan struct{} // closed when the question under way was answered
}

// NewChecks makes an empty list.
func NewChecks(now func() time.Time, log *slog.Logger) *Checks {
	return &Checks{now: now, log: log, timeout: checkTimeout}
}

// Need adds a dependency that the server cannot do without.
func (c *Checks) Need(name string, ask func(context.Context) error) { c.add(name, true, ask) }

// Watch adds a dependency that is reported but can be done without, such as the hub: what is
// meant for it waits in a queue.
func (c *Checks) Watch(name string, ask func(context.Context) error) { c.add(name, false, ask) }

func (c *Checks) add(name string, needed bool, ask func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checks = append(c.checks, &check{name: name, needed: needed, ask: ask})
}

// Drain makes the server not ready for good.
func (c *Checks) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
}

// States asks every dependency, all at once, unless the last answer is fresh.
func (c *Checks) States(ctx context.Context) Readiness {
	c.mu.Lock()
	checks, draining := c.checks, c.draining
	c.mu.Unlock()

	out := Readiness{Status: "ready", Checks: make([]CheckState, len(checks))}
	var all sync.WaitGroup
	for i, one := range checks {
		all.Go(func() { out.Checks[i] = c.current(ctx, one) })
	}
	all.Wait()
	for _, state := range out.Checks {
		if state.Needed && state.State != "ok" {
			out.Status = "not ready"
		}
	}
	if draining {
		out.Status = "draining"
	}
	return out
}

// current is the state of one dependency. Whoever asks first asks for all that come while the
// answer is pending; a check that hangs is not asked a second time beside it.
func (c *Checks) current(ctx context.Context, one *check) CheckState {
	one.mu.Lock()
	if !one.asked.IsZero() && c.now().Sub(one.asked) < checkFresh {
		defer one.mu.Unlock()
		return one.state
	}
	pending := one.pending
	if pending == nil {
		pending = make(chan struct{})
		one.pending = pending
		go c.question(context.WithoutCancel(ctx), one, pending)
	}
	one.mu.Unlock()

	// The check has the same time; the margin lets it report its own end.
	limit := time.NewTimer(c.timeout + c.timeout/4)
	defer limit.Stop()
	select {
	case <-pending:
	case <-ctx.Done():
	case <-limit.C:
		one.mu.Lock()
		defer one.mu.Unlock()
		if one.pending == pending { // still hanging
			c.settle(one, fault.New(fault.Timeout, "does not answer within %s", c.timeout), c.timeout)
		}
		return one.state
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.state.Name == "" {
		return CheckState{Name: one.name, State: "failed", Error: "is not known yet", Since: c.now(), Needed: one.needed}
	}
	return one.state
}

func (c *Checks) question(ctx context.Context, one *check, pending chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	began := c.now()
	err := one.answer(ctx)
	one.mu.Lock()
	defer one.mu.Unlock()
	c.settle(one, err, c.now().Sub(began))
	one.pending = nil
	close(pending)
}

// answer asks, and survives a check that panics.
func (one *check) answer(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("check panicked: %v", p)
		}
	}()
	return one.ask(ctx)
}

// settle notes an answer and logs it when it is news. The caller holds the lock.
func (c *Checks) settle(one *check, err error, took time.Duration) {
	one.asked = c.now()
	next := CheckState{
		Name: one.name, State: "ok", Needed: one.needed, Cause: err, Since: one.state.Since,
		LatencyMS: float64(took.Microseconds()) / 1000,
	}
	if err != nil {
		next.State, next.Error = "failed", inWords(err)
	}
	if next.State != one.state.State {
		next.Since = one.asked
		switch {
		case err != nil:
			c.log.Warn("dependency failed", slog.String("name", one.name), slog.String("error", err.Error()))
		case one.state.State != "":
			c.log.Info("dependency is back", slog.String("name", one.name))
		}
	}
	one.state = next
}

// inWords is what everybody may read about a failure: addresses and user names stay in the log.
func inWords(err error) string {
	var f *fault.Error
	switch {
	case errors.As(err, &f) && f.Kind != fault.Internal:
		return f.Detail
	case errors.Is(err, context.DeadlineExceeded):
		return "does not answer in time"
	default:
		return "failed; the log says why"
	}
}

// Routes are /healthz and /readyz.
func (c *Checks) Routes() []Route {
	return []Route{
		{
			Method: "GET", Path: "/healthz", Action: Public,
			Doc:    Doc{ID: "getHealth", Summary: "Whether the server is alive", Tags: []string{"health"}, Response: Health{}},
			Handle: c.Alive,
		},
		{
			Method: "GET", Path: "/readyz", Action: Public,
			Doc: Doc{
				ID: "getReadiness", Summary: "Whether the server can work, and each dependency", Tags: []string{"health"},
				Response: Readiness{}, Errors: []int{http.StatusServiceUnavailable},
			},
			Handle: c.Ready,
		},
	}
}

// Health is the answer of /healthz.
type Health struct {
	Status string `json:"status" enum:"ok"`
}

// Alive answers as long as the process does: restarting it would not bring a database back.
func (c *Checks) Alive(w http.ResponseWriter, _ *http.Request) error {
	return JSON(w, http.StatusOK, Health{"ok"})
}

// Ready answers 200 when all needed dependencies are fine, else 503, with the states in both cases.
func (c *Checks) Ready(w http.ResponseWriter, r *http.Request) error {
	states := c.States(r.Context())
	status := http.StatusOK
	if states.Status != "ready" {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	return JSON(w, status, states)
}
