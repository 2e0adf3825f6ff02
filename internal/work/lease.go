package work

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"lodge/internal/database"
)

// Lease gives a duty to one replica at a time.
type Lease struct {
	queue *Queue
	name  string
	ttl   time.Duration
}

// Lease makes the lease with the name. ttl is how long after the holder's last sign of life
// another replica takes over.
func (q *Queue) Lease(name string, ttl time.Duration) *Lease {
	return &Lease{queue: q, name: name, ttl: ttl}
}

// Run waits until it holds the lease and runs the duty. When the lease is lost, the duty's
// context ends, and after its return Run waits for the lease again. A duty that returns
// while it holds the lease ends Run with what it returned. Run returns nil when ctx ends,
// and has given the lease back then, so that another replica takes over at once.
func (l *Lease) Run(ctx context.Context, duty func(ctx context.Context) error) error {
	owner := uuid.NewString()
	news := l.queue.listen(ctx, "lease."+l.name)
	poll := time.NewTicker(max(l.ttl/4, 1))
	defer poll.Stop()
	well := true
	for ctx.Err() == nil {
		until, got, err := l.acquire(ctx, owner)
		if (err == nil) != well && ctx.Err() == nil {
			if well = err == nil; !well {
				l.queue.log.ErrorContext(ctx, "a duty waits", slog.String("lease", l.name), slog.Any("error", err))
			}
		}
		if got {
			lost, err := l.hold(ctx, owner, until, duty)
			if ctx.Err() != nil {
				return nil
			}
			if !lost {
				return err
			}
			l.queue.log.WarnContext(ctx, "a duty's lease was lost", slog.String("lease", l.name))
		}
		select {
		case <-ctx.Done():
		case _, open := <-news:
			if !open {
				news = nil
			}
		case <-poll.C:
		}
	}
	return nil
}

// hold runs the duty while it renews the lease. lost says that the duty was ended by that.
func (l *Lease) hold(ctx context.Context, owner string, until time.Time, duty func(ctx context.Context) error) (lost bool, err error) {
	doing, stop := context.WithCancelCause(ctx)
	// A duty that takes its time to stop keeps the lease.
	held, end := context.WithCancel(context.WithoutCancel(ctx))
	var keeping sync.WaitGroup
	keeping.Go(func() {
		if !l.keep(held, owner, until) {
			stop(errLost)
		}
	})
	// Deferred, so that a duty that panics gives the lease back too.
	defer func() {
		end()
		keeping.Wait()
		lost = errors.Is(context.Cause(doing), errLost)
		stop(nil)
		if !lost {
			l.release(ctx, owner)
		}
	}()
	return false, duty(doing)
}

// keep renews the lease until the context ends. It is false when the lease is lost, or when
// there is only little time left to end the duty before another replica begins it.
func (l *Lease) keep(ctx context.Context, owner string, until time.Time) bool {
	margin := l.ttl / 4
	tick := time.NewTicker(max(margin, 1))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return true
		case <-tick.C:
		}
		// A database that does not answer must not keep the duty running.
		renewing, stop := context.WithTimeout(ctx, max(margin, time.Millisecond))
		next := l.queue.now().Add(l.ttl)
		ours, err := changed(renewing, l.queue.db, "UPDATE leases SET until = ? WHERE name = ? AND owner = ? AND until > ?",
			database.Micros(next), l.name, owner, database.Micros(l.queue.now()))
		stop()
		switch {
		case ctx.Err() != nil:
			return true
		case err == nil && ours:
			until = next
		case err == nil || !l.queue.now().Add(margin).Before(until):
			return false
		}
	}
}

// acquire takes the lease when it is free.
func (l *Lease) acquire(ctx context.Context, owner string) (until time.Time, got bool, err error) {
	// Only read while another replica holds it: waiting costs no write.
	var end int64
	err = l.queue.db.QueryRow(ctx, "SELECT until FROM leases WHERE name = ?", l.name).Scan(&end)
	if err == nil && database.Time(end).After(l.queue.now()) {
		return until, false, nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return until, false, fmt.Errorf("read lease %s: %w", l.name, err)
	}
	err = l.queue.db.Tx(ctx, func(tx *database.Tx) error {
		now := l.queue.now()
		until = now.Add(l.ttl)
		insert := database.InsertAbsent(l.queue.db.Dialect(), "leases", []string{"name"}, []string{"owner", "until"})
		if _, err := tx.Exec(ctx, insert, l.name, owner, 0); err != nil {
			return err
		}
		var err error
		got, err = changed(ctx, tx, "UPDATE leases SET owner = ?, until = ? WHERE name = ? AND until <= ?",
			owner, database.Micros(until), l.name, database.Micros(now))
		return err
	})
	if err != nil {
		return until, false, fmt.Errorf("take lease %s: %w", l.name, err)
	}
	return until, got, nil
}

// release gives the lease back. When that fails it runs out by itself.
func (l *Lease) release(ctx context.Context, owner string) {
	giving, stop := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer stop()
	if _, err := l.queue.db.Exec(giving, "UPDATE leases SET until = 0 WHERE name = ? AND owner = ?", l.name, owner); err != nil {
		l.queue.log.WarnContext(ctx, "a lease was not given back", slog.String("lease", l.name), slog.Any("error", err))
		return
	}
	l.queue.tell("lease." + l.name)
}
