package audit

import (
	"context"
	"sync"
	"time"
)

const (
	// maxWaiting bounds the refusals that wait to be written. More of them wait outside.
	maxWaiting = 1024
	// maxGrouped refusals share a transaction.
	maxGrouped = 100
	// writeTime bounds one transaction, which serves many requests and outlives each of them.
	writeTime = 10 * time.Second
)

// refusals write records that have no transaction of their own, many at a time.
// There is a writing goroutine only while there is something to write.
type refusals struct {
	write func(ctx context.Context, records []Record) error
	// places bounds what is in memory: a record holds one until it is written.
	places chan struct{}

	mu      sync.Mutex
	waiting []pending
	writing bool
}

type pending struct {
	record Record
	done   chan error
}

func newRefusals(write func(context.Context, []Record) error) *refusals {
	return &refusals{write: write, places: make(chan struct{}, maxWaiting)}
}

// add waits for a place, then for the record to be durable. A record that got
// its place is written also when whoever asked has gone.
func (q *refusals) add(ctx context.Context, r Record) error {
	select {
	case q.places <- struct{}{}:
	case <-ctx.Done():
		return unrecorded(ctx.Err())
	}
	p := pending{r, make(chan error, 1)}
	q.mu.Lock()
	q.waiting = append(q.waiting, p)
	if !q.writing {
		q.writing = true
		go q.drain(context.WithoutCancel(ctx))
	}
	q.mu.Unlock()
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return unrecorded(ctx.Err())
	}
}

// drain writes group after group until nothing waits.
func (q *refusals) drain(ctx context.Context) {
	for {
		group := q.take()
		if len(group) == 0 {
			return
		}
		records := make([]Record, len(group))
		for i, p := range group {
			records[i] = p.record
		}
		within, cancel := context.WithTimeout(ctx, writeTime)
		err := q.write(within, records)
		cancel()
		if err != nil {
			err = unrecorded(err)
		}
		for _, p := range group {
			p.done <- err
			<-q.places
		}
	}
}

// take removes the next group; with none left the writing ends.
func (q *refusals) take() []pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), maxGrouped)
	group := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	if n == 0 {
		q.waiting, q.writing = nil, false
	}
	return group
}
