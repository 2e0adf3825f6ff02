package results

import (
	"context"
	"sync"
	"time"

	"lodge/internal/fault"
)

const (
	// cacheFresh is how long an answer of the hub is used without asking again.
	cacheFresh = time.Minute
	// cacheStale is how long it is used while the hub cannot be asked. What is kept here hardly ever
	// changes: an analysis stays in its project.
	cacheStale = 24 * time.Hour
	cacheSize  = 10_000
)

// cache remembers what the hub said, never what it said is not there.
type cache[K comparable, V any] struct {
	now   func() time.Time
	mu    sync.Mutex
	items map[K]cached[V]
}

type cached[V any] struct {
	value V
	at    time.Time
}

func newCache[K comparable, V any](now func() time.Time) *cache[K, V] {
	return &cache[K, V]{now: now, items: map[K]cached[V]{}}
}

// get gives what is known and fresh, or asks. While the answer cannot be had, an old one holds; that
// there is no such thing is an answer.
func (c *cache[K, V]) get(ctx context.Context, key K, ask func(context.Context) (V, error)) (V, error) {
	c.mu.Lock()
	known, ok := c.items[key]
	c.mu.Unlock()
	age := c.now().Sub(known.at)
	if ok && age < cacheFresh {
		return known.value, nil
	}
	value, err := ask(ctx)
	if err != nil {
		if ok && age < cacheStale && !fault.Is(err, fault.Missing) && ctx.Err() == nil {
			return known.value, nil
		}
		return value, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.items) >= cacheSize {
		clear(c.items) // asking again is cheap, and simpler than knowing which one is needed least
	}
	c.items[key] = cached[V]{value, c.now()}
	return value, nil
}

// forget makes the next get ask.
func (c *cache[K, V]) forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.items, key)
}

// peek gives what is known, also if it is old, without asking; the zero value when nothing is.
func (c *cache[K, V]) peek(key K) (v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.items[key]; ok && c.now().Sub(known.at) < cacheStale {
		return known.value
	}
	return v
}
