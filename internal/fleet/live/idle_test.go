package live_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"lodge/internal/fleet/live"
)

// BenchmarkIdle holds ten thousand idle clients, each with a login and a room, and reports what one of
// them costs the server in memory. Each WebSocket needs two file descriptors:
//
//	go test ./internal/fleet/live -run '^$' -bench Idle -benchtime 1x
func BenchmarkIdle(b *testing.B) {
	for _, c := range []struct {
		name             string
		sockets, pollers int
	}{{"polling", 0, 10_000}, {"websocket", 9_900, 100}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				idle(b, c.sockets, c.pollers)
			}
		})
	}
}

func used() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func idle(b *testing.B, sockets, pollers int) {
	clients := sockets + pollers
	s := newSite(b, live.Options{MaxClients: clients})
	before, goroutines := used(), runtime.NumGoroutine()
	for range pollers {
		p := s.poller(b)
		p.post(`421["subscribe",{"room":"/log/quiet"}]`)
		p.next()
	}
	for range sockets {
		rawClient(b, s.web)
	}
	eventually(b, "all are there", func() bool { return s.Stats().Subscriptions == clients })
	b.ReportMetric(float64(used()-before)/float64(clients), "B/client")
	b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/float64(clients), "goroutines/client")
	start, sent := time.Now(), s.Stats().Sent
	s.Publish("/log/quiet", "", []byte(`{"n":1}`))
	eventually(b, "all are told", func() bool { return s.Stats().Sent >= sent+uint64(sockets) })
	b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/fanout")
}

// rawClient costs the test next to nothing: it says what must be said and reads no more.
func rawClient(b *testing.B, web *httptest.Server) net.Conn {
	b.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(web.URL, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	_, _ = fmt.Fprintf(conn, "GET /socket.io/?%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", over)
	in := bufio.NewReaderSize(conn, 4096)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		b.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		b.Fatalf("handshake: %s", res.Status)
	}
	for _, text := range []string{`40{"token":"anna"}`, `421["subscribe",{"room":"/log/quiet"}]`} {
		frame := []byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0} // a mask of zeros changes nothing
		if _, err := conn.Write(append(frame, text...)); err != nil {
			b.Fatal(err)
		}
	}
	return conn
}

// BenchmarkFanout publishes one event to 200 listeners that read, as WebSocket frames.
func BenchmarkFanout(b *testing.B) {
	const listeners = 200
	for _, size := range []int{300, 3_300, 30_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := newSite(b, live.Options{})
			data := []byte(`"` + strings.Repeat("x", size-2) + `"`)
			for range listeners {
				conn := rawClient(b, s.web)
				go func() {
					buffer := make([]byte, 256<<10)
					for {
						if _, err := conn.Read(buffer); err != nil {
							return
						}
					}
				}()
			}
			eventually(b, "all are there", func() bool { return s.Stats().Subscriptions == listeners })
			sent := s.Stats().Sent
			b.SetBytes(int64(listeners * size))
			n := uint64(0)
			for b.Loop() {
				s.Publish("/log/quiet", "", data)
				if n++; n%64 == 0 { // within the queues
					for s.Stats().Sent < sent+n*listeners {
						runtime.Gosched()
					}
				}
			}
			b.ReportMetric(float64(s.Stats().Sent-sent)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
