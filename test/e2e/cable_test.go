package e2e

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// cable is the way to a server, which can be cut.
type cable struct {
	address string
	to      string

	mu     sync.Mutex
	broken bool
	ends   map[net.Conn]bool
}

func newCable(t testing.TB, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	c := &cable{address: l.Addr().String(), to: to, ends: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { c.carry(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.cut()
		running.Wait()
	})
	return c
}

// carry connects somebody with the server, until one of them ends or the cable is cut.
func (c *cable) carry(from net.Conn) {
	network, address := "tcp", c.to
	if path, ok := strings.CutPrefix(c.to, "unix://"); ok {
		network, address = "unix", path
	}
	to, err := net.Dial(network, address)
	if err != nil {
		_ = from.Close()
		return
	}
	if !c.hold(from, to) {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // it ends in whatever way
			_ = way[0].Close()
			_ = way[1].Close()
		})
	}
	both.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ends, from)
	delete(c.ends, to)
}

func (c *cable) hold(from, to net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		_ = from.Close()
		_ = to.Close()
		return false
	}
	c.ends[from], c.ends[to] = true, true
	return true
}

// cut ends all connections; new ones are closed at once.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
	for end := range c.ends {
		_ = end.Close()
	}
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = false
}
