package identity

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestGuessing is the classes "guessing behind a session" and "account probing".
func TestGuessing(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := NewLimiter(c.now)
	for i := range byBoth.free {
		if wait := l.Try("alice", "1.1.1.1"); wait != 0 {
			t.Fatalf("try %d waits %v", i, wait)
		}
	}
	total := time.Duration(0)
	for want := time.Second; want < time.Minute; want *= 2 {
		wait := l.Try("Alice", "1.1.1.1")
		if wait != want {
			t.Errorf("waits %v, want %v", wait, want)
		}
		if again := l.Try("alice", "1.1.1.1"); again != wait {
			t.Errorf("a try in vain changed the wait to %v", again)
		}
		c.move(wait)
		total += wait
		if wait := l.Try("alice", "1.1.1.1"); wait != 0 {
			t.Fatalf("after the wait it waits %v", wait)
		}
	}
	// In an hour of trying without rest nobody gets far.
	tries := 0
	for end := c.now().Add(time.Hour); c.now().Before(end); {
		if wait := l.Try("alice", "1.1.1.1"); wait > 0 {
			c.move(wait)
		} else {
			tries++
		}
	}
	if tries > 20 {
		t.Errorf("%d guesses in an hour", tries)
	}
	if wait := l.Try("alice", "2.2.2.2"); wait != 0 {
		t.Errorf("alice herself, elsewhere, waits %v", wait)
	}
	if wait := l.Try("bob", "1.1.1.1"); wait != 0 {
		t.Errorf("bob beside the attacker waits %v", wait)
	}
}

func TestGuessingManyAccountsFromOneAddress(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := NewLimiter(c.now)
	good := 0
	for i := range 1000 {
		if l.Try(fmt.Sprint("user", i), "1.1.1.1") == 0 {
			good++
		}
	}
	if good != byAddress.free {
		t.Errorf("%d tries at once", good)
	}
}

func TestGuessingOneAccountFromManyAddresses(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := NewLimiter(c.now)
	good := 0
	for i := range 1000 {
		if l.Try("alice", fmt.Sprint("10.0.", i/256, ".", i%256)) == 0 {
			good++
		}
	}
	if good != byAccount.free {
		t.Errorf("%d tries at once", good)
	}
	c.move(byAccount.max)
	if wait := l.Try("alice", "9.9.9.9"); wait != 0 {
		t.Errorf("the owner is locked out for %v", wait)
	}
}

func TestSuccessForgives(t *testing.T) {
	t.Parallel()
	l := NewLimiter(newClock().now)
	for range 1000 {
		if wait := l.Try("alice", "1.1.1.1"); wait != 0 {
			t.Fatal("whoever knows the password waits")
		}
		l.Succeeded("alice", "1.1.1.1")
	}
}

func TestManyGuessesAtOnce(t *testing.T) {
	t.Parallel()
	l := NewLimiter(newClock().now)
	var let atomic.Int32
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if l.Try("alice", "1.1.1.1") == 0 {
				let.Add(1)
			}
		})
	}
	all.Wait()
	if n := let.Load(); n != int32(byBoth.free) {
		t.Errorf("%d of 200 slipped through", n)
	}
}

func TestLimiterMemoryIsBounded(t *testing.T) {
	t.Parallel()
	l := NewLimiter(newClock().now)
	for i := range 20_000 {
		l.Try(fmt.Sprint(i), fmt.Sprint(i))
	}
	if n := l.order.Len(); n != maxCounts || len(l.counts) != n {
		t.Errorf("%d counts", n)
	}
}
