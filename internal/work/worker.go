package work

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// settleTime is how long a stopping worker tries to write down what came of an attempt.
const settleTime = 5 * time.Second

// errLost is why a function's context ends when its claim does.
var errLost = errors.New("the lease on this work was lost")

// WorkerConfig is how the items of a kind are done. The zero value is usable.
type WorkerConfig struct {
	// Parallel is how many are done at a time on this replica; 0 means 1.
	Parallel int
	// MaxAttempts sets an item aside when as many attempts have failed; 0 means never.
	MaxAttempts int
	// Backoff lies between attempts; zero means from 1 second to 5 minutes.
	Backoff Backoff
	// Lease is how long after a worker's last sign of life another takes over; 0 means 1 minute.
	Lease time.Duration
	// Poll is how often to look for work that no message told of; 0 means every second.
	Poll time.Duration
}

func (c WorkerConfig) filled() WorkerConfig {
	c.Parallel = max(c.Parallel, 1)
	c.Backoff.Min = cmp.Or(c.Backoff.Min, time.Second)
	c.Backoff.Max = max(cmp.Or(c.Backoff.Max, 5*time.Minute), c.Backoff.Min)
	c.Lease = cmp.Or(c.Lease, time.Minute)
	c.Poll = cmp.Or(c.Poll, time.Second)
	return c
}

// Worker does the items of one kind.
type Worker struct {
	queue *Queue
	kind  string
	cfg   WorkerConfig
	fn    Func
}

// Worker makes the worker of a kind. It does nothing before Run.
func (q *Queue) Worker(kind string, cfg WorkerConfig, fn Func) *Worker {
	return &Worker{queue: q, kind: kind, cfg: cfg.filled(), fn: fn}
}

// Run does items until ctx ends. Then it waits for the functions that run, whose context
// ends too, and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	news := w.queue.listen(ctx, "work."+w.kind)
	var running sync.WaitGroup
	defer running.Wait()
	busy, finished := 0, make(chan struct{}, w.cfg.Parallel)
	poll := time.NewTicker(w.cfg.Poll)
	defer poll.Stop()
	waiting := false
	for ctx.Err() == nil {
		var claims []claim
		var contested bool
		if free := w.cfg.Parallel - busy; free > 0 {
			var err error
			claims, contested, err = w.queue.claim(ctx, w.kind, w.cfg, free)
			waiting = w.note(ctx, waiting, err)
		}
		for _, c := range claims {
			busy++
			running.Go(func() {
				defer func() { finished <- struct{}{} }()
				w.handle(ctx, c)
			})
		}
		if contested && busy < w.cfg.Parallel {
			continue
		}
		select {
		case <-ctx.Done():
		case _, open := <-news:
			if !open {
				news = nil
			}
		case <-finished:
			busy--
		case <-poll.C:
		}
	}
	return nil
}

// note logs once when claiming begins to fail, and once when it is well again.
func (w *Worker) note(ctx context.Context, waiting bool, err error) bool {
	switch {
	case ctx.Err() != nil:
		return waiting
	case err != nil && !waiting:
		w.queue.log.ErrorContext(ctx, "work waits", slog.String("kind", w.kind), slog.Any("error", err))
	case err == nil && waiting:
		w.queue.log.InfoContext(ctx, "work goes on", slog.String("kind", w.kind))
	}
	return err != nil
}

// handle does one item, keeping its claim, and writes down what came of it.
func (w *Worker) handle(ctx context.Context, c claim) {
	doing, stop := context.WithCancelCause(ctx)
	// A function that takes its time to stop keeps its claim.
	claimed, end := context.WithCancel(context.WithoutCancel(ctx))
	var keeping sync.WaitGroup
	keeping.Go(func() {
		if !w.keep(claimed, c) {
			stop(errLost)
		}
	})
	outcome := w.call(doing, c)
	end()
	keeping.Wait()
	lost := errors.Is(context.Cause(doing), errLost)
	stop(nil)
	if lost {
		w.queue.log.WarnContext(ctx, "work was taken over or removed while it ran", slog.String("kind", c.kind), slog.String("id", c.id))
		return
	}
	w.record(ctx, c, w.judge(ctx, c, outcome))
}

// keep renews the claim until the context ends. It is false when the claim is lost.
func (w *Worker) keep(ctx context.Context, c claim) bool {
	pause := max(w.cfg.Lease/3, 1)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	until := c.until
	for {
		select {
		case <-ctx.Done():
			return true
		case <-tick.C:
		}
		next := w.queue.now().Add(w.cfg.Lease)
		renewing, stop := context.WithTimeout(ctx, pause)
		ours, err := w.queue.renew(renewing, c, next)
		stop()
		switch {
		case ctx.Err() != nil:
			return true
		case err == nil && ours:
			until = next
		case err == nil || !w.queue.now().Before(until):
			return false
		}
	}
}

// call calls the function. A panic, or runtime.Goexit, becomes a final outcome.
func (w *Worker) call(ctx context.Context, c claim) (outcome *Outcome) {
	returned := false
	defer func() {
		if returned {
			return
		}
		why := recover()
		outcome = &Outcome{Err: fmt.Errorf("panic: %v", why), Final: true}
		w.queue.log.ErrorContext(ctx, "work panicked", slog.String("kind", c.kind), slog.String("id", c.id),
			slog.Any("panic", why), slog.String("stack", string(debug.Stack())))
	}()
	outcome = w.fn(ctx, c.id)
	returned = true
	return outcome
}

// judge says how the item stands after the attempt.
func (w *Worker) judge(ctx context.Context, c claim, outcome *Outcome) settlement {
	now := w.queue.now()
	if outcome == nil {
		return settlement{state: Done, attempts: c.attempts, due: now}
	}
	s := settlement{state: Queued, attempts: c.attempts, due: now}
	if outcome.Err != nil {
		s.lastError = outcome.Err.Error()
	}
	switch {
	case outcome.Final:
		s.state = Failed
	case ctx.Err() != nil:
		// It failed because we are told to stop: another replica begins this attempt anew.
		s.attempts--
	case w.cfg.MaxAttempts > 0 && c.attempts >= w.cfg.MaxAttempts:
		s.state = Failed
	case outcome.After > 0:
		s.due = now.Add(outcome.After)
	default:
		s.due = now.Add(w.cfg.Backoff.wait(c.attempts))
	}
	return s
}

// record writes the outcome down, and tries as long as the claim lasts.
func (w *Worker) record(ctx context.Context, c claim, s settlement) {
	patience := w.cfg.Lease
	if ctx.Err() != nil {
		patience = min(patience, settleTime)
	}
	trying, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer stop()
	log := w.queue.log.With(slog.String("kind", c.kind), slog.String("id", c.id))
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		ours, err := w.queue.settle(trying, c, s)
		switch {
		case err == nil && !ours:
			log.WarnContext(ctx, "work was taken over or removed before its outcome was written")
			return
		case err == nil:
			if s.state == Failed {
				log.ErrorContext(ctx, "work set aside", slog.Int("attempts", s.attempts), slog.String("error", s.lastError))
			}
			return
		}
		select {
		case <-trying.Done():
			log.ErrorContext(ctx, "the outcome of work could not be written, it will be done again", slog.Any("error", err))
			return
		case <-time.After(pause):
		}
	}
}
