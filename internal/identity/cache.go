package identity

import (
	"container/list"
	"hash/maphash"
	"sync"
	"time"
)

// cache remembers a bounded number of answers until a time of their own, and forgets the least
// recently used first. It is split into shards so that requests seldom wait for one another.
type cache[K comparable, V any] struct {
	seed   maphash.Seed
	shards [16]shard[K, V]
}

type shard[K comparable, V any] struct {
	mu    sync.Mutex
	room  int
	items map[K]*list.Element
	order *list.List // front = most recently used
	// forgotten counts forget calls, so that an answer read before one is not put after it.
	forgotten uint64
}

type item[K comparable, V any] struct {
	key   K
	value V
	until time.Time
}

func newCache[K comparable, V any](room int) *cache[K, V] {
	c := &cache[K, V]{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i] = shard[K, V]{room: max(1, room/len(c.shards)), items: map[K]*list.Element{}, order: list.New()}
	}
	return c
}

func (c *cache[K, V]) shard(key K) *shard[K, V] {
	return &c.shards[maphash.Comparable(c.seed, key)%uint64(len(c.shards))]
}

// get gives what is remembered for key and still good now.
func (c *cache[K, V]) get(key K, now time.Time) (value V, ok bool) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.items[key]
	if e == nil {
		return value, false
	}
	i := e.Value.(*item[K, V])
	if !now.Before(i.until) {
		s.remove(e)
		return value, false
	}
	s.order.MoveToFront(e)
	return i.value, true
}

// mark is to be taken before the answer is looked up, and given to put.
func (c *cache[K, V]) mark(key K) uint64 {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forgotten
}

// put remembers value until then, unless something was forgotten since mark: the answer may be
// older than that.
func (c *cache[K, V]) put(key K, value V, until time.Time, mark uint64) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forgotten != mark {
		return
	}
	if e := s.items[key]; e != nil {
		s.remove(e)
	}
	s.items[key] = s.order.PushFront(&item[K, V]{key, value, until})
	for s.order.Len() > s.room {
		s.remove(s.order.Back())
	}
}

// add remembers key until then and reports whether it was new.
func (c *cache[K, V]) add(key K, value V, now, until time.Time) bool {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.items[key]; e != nil {
		if now.Before(e.Value.(*item[K, V]).until) {
			return false
		}
		s.remove(e)
	}
	s.items[key] = s.order.PushFront(&item[K, V]{key, value, until})
	for s.order.Len() > s.room {
		s.remove(s.order.Back())
	}
	return true
}

func (c *cache[K, V]) forget(key K) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten++
	if e := s.items[key]; e != nil {
		s.remove(e)
	}
}

func (s *shard[K, V]) remove(e *list.Element) {
	delete(s.items, e.Value.(*item[K, V]).key)
	s.order.Remove(e)
}
