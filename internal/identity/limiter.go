package identity

import (
	"container/list"
	"strings"
	"sync"
	"time"
)

// Limiter slows the guessing of secrets down, for every route that checks one. It counts tries by
// account and address, by account, and by address, whether or not the account exists, so that it
// gives nothing away. It keeps a bounded number of counts and never blocks anybody for good.
type Limiter struct {
	now func() time.Time

	mu     sync.Mutex
	counts map[string]*list.Element
	order  *list.List // front = latest
}

type count struct {
	key   string
	tries int
	free  time.Time // when the next try may come
	last  time.Time
}

// A rule is how many tries are free and how long one may have to wait afterwards.
type rule struct {
	free int
	max  time.Duration
}

var (
	// One person mistypes a few times; whoever goes on waits twice as long each time.
	byBoth = rule{5, 15 * time.Minute}
	// An account under attack from many addresses stays usable for its owner, with some patience.
	byAccount = rule{50, 30 * time.Second}
	// An address may serve a whole institute.
	byAddress = rule{100, time.Minute}
)

const (
	// maxCounts bounds the memory, forgetAfter is how long a count lasts without tries.
	maxCounts   = 30_000
	forgetAfter = time.Hour
)

// NewLimiter makes a limiter.
func NewLimiter(now func() time.Time) *Limiter {
	return &Limiter{now: now, counts: map[string]*list.Element{}, order: list.New()}
}

// Try counts a try before its secret is looked at, so that many at once do not slip through. With
// wait above zero it was not counted, and the secret must not be looked at.
func (l *Limiter) Try(account, address string) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	keys := keysOf(account, address)
	for _, k := range keys {
		if c := l.find(k.key, now); c != nil && now.Before(c.free) {
			wait = max(wait, c.free.Sub(now))
		}
	}
	if wait > 0 {
		return wait
	}
	for _, k := range keys {
		c := l.find(k.key, now)
		if c == nil {
			c = &count{key: k.key}
			l.counts[k.key] = l.order.PushFront(c)
		}
		l.order.MoveToFront(l.counts[k.key])
		c.tries++
		c.last = now
		if over := c.tries - k.rule.free; over >= 0 {
			c.free = now.Add(min(time.Second<<min(over, 20), k.rule.max))
		}
	}
	for l.order.Len() > maxCounts {
		l.remove(l.order.Back())
	}
	return 0
}

// Succeeded takes back the try that turned out right, and forgives those of the same person.
func (l *Limiter) Succeeded(account, address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, k := range keysOf(account, address) {
		e := l.counts[k.key]
		switch {
		case e == nil:
		case i == 0:
			l.remove(e)
		default:
			c := e.Value.(*count)
			if c.tries--; c.tries < k.rule.free {
				c.free = time.Time{}
			}
		}
	}
}

func (l *Limiter) find(key string, now time.Time) *count {
	e := l.counts[key]
	if e == nil {
		return nil
	}
	c := e.Value.(*count)
	if now.Sub(c.last) > forgetAfter {
		l.remove(e)
		return nil
	}
	return c
}

func (l *Limiter) remove(e *list.Element) {
	delete(l.counts, e.Value.(*count).key)
	l.order.Remove(e)
}

type keyed struct {
	key  string
	rule rule
}

// keysOf names the counts of a try: by both, by account, by address.
func keysOf(account, address string) [3]keyed {
	account = strings.ToLower(clip(account, 200))
	return [3]keyed{
		{"b " + account + "\n" + address, byBoth},
		{"n " + account, byAccount},
		{"a " + address, byAddress},
	}
}
