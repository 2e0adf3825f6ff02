package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/websocket"
	"golang.org/x/sys/unix"
)

// proxyOptions are for the scenario proxy.
type proxyOptions struct {
	peers    string
	backend  string
	rounds   int
	duration time.Duration
}

// A front is a proxy before the backend.
type front struct {
	name, address, host string
	head                string // further header lines of every request
	pid                 int
}

// The sizes of the answers that are measured.
const (
	smallAnswer = 200
	largeAnswer = 1 << 20
)

// backend is the app behind every proxy: answers of the size that the path says, and a socket that echoes.
func backend() http.Handler {
	small, large := strings.Repeat("x", smallAnswer), strings.Repeat("x", largeAnswer)
	echo := websocket.Server{Handler: func(c *websocket.Conn) { _, _ = io.Copy(c, c) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ws":
			echo.ServeHTTP(w, r)
		case "/large":
			_, _ = io.WriteString(w, large)
		default:
			_, _ = io.WriteString(w, small)
		}
	})
}

// serveBackend is the command that a catalogue has for the app.
func serveBackend(port string) error {
	return http.ListenAndServe("127.0.0.1:"+port, backend())
}

// serveBare is a proxy of the standard library with nothing besides, tuned like Lodge's.
func serveBare(address, to string) error {
	target, err := url.Parse(to)
	if err != nil {
		return err
	}
	pool := sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}
	return http.ListenAndServe(address, &httputil.ReverseProxy{
		Rewrite:    func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
		BufferPool: poolOf{&pool}, Transport: &http.Transport{MaxIdleConns: 4096, MaxIdleConnsPerHost: 64, DisableCompression: true, WriteBufferSize: 8 << 10, ReadBufferSize: 8 << 10},
	})
}

type poolOf struct{ *sync.Pool }

func (p poolOf) Get() []byte  { return *p.Pool.Get().(*[]byte) }
func (p poolOf) Put(b []byte) { p.Pool.Put(&b) }

// proxy measures proxies before the same backend side by side, in turns: Lodge with everything on –
// login, owner, header rules, activity, access log – and its peers, which do nothing of that.
func (b *bench) proxy(ctx context.Context) error {
	own, err := b.openApp(ctx)
	if err != nil {
		return err
	}
	fronts := []front{own}
	for peer := range strings.SplitSeq(b.o.proxy.peers, ",") {
		if parts := strings.Split(peer, "="); len(parts) == 3 {
			pid, err := strconv.Atoi(parts[2])
			if err != nil {
				return err
			}
			fronts = append(fronts, front{name: parts[0], address: parts[1], host: parts[1], pid: pid})
		}
	}
	lodge := 0.0 // small answers a second
	for _, what := range []struct {
		title, path string
		connections int
	}{
		{"Small answers (200 bytes), 16 connections", "/", 16}, {"Answers of 1 MiB, 4 connections", "/large", 4}, {"WebSocket echo of 64 bytes, 16 connections", "/ws", 16},
	} {
		t := b.table(what.title, "proxy", "requests/s", "p50", "p99", "CPU/request", "of bare")
		results := map[string][]measured{}
		for range b.o.proxy.rounds {
			for _, f := range fronts {
				m, err := f.measure(ctx, what.path, what.connections, 0, b.o.proxy.duration)
				if err != nil {
					return fmt.Errorf("%s: %w", f.name, err)
				}
				results[f.name] = append(results[f.name], m)
			}
		}
		bare := 0.0
		for _, f := range fronts {
			if f.name == "bare" {
				bare = middle(results[f.name]).rate()
			}
		}
		if what.path == "/" {
			lodge = middle(results["lodge"]).rate()
		}
		for _, f := range fronts {
			m := middle(results[f.name])
			t.row(f.name, fmt.Sprintf("%.0f", m.rate()), ms(m.p50), ms(m.p99), fmt.Sprintf("%.0f µs", float64(m.usage.cpu.Microseconds())/float64(m.n)), fmt.Sprintf("%.2f", m.rate()/max(bare, 1)))
		}
	}
	if err := b.halfLoad(ctx, fronts, lodge); err != nil {
		return err
	}
	t := b.table(fmt.Sprintf("%d open WebSockets that have echoed once", heldSockets), "proxy", "memory each")
	for _, f := range fronts {
		each, err := f.hold(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		t.row(f.name, fmt.Sprintf("%.0f KiB", float64(each)/1024))
	}
	return nil
}

// halfLoad asks everybody half as often as Lodge could answer, from when a request was due, and the backend itself
// too: what is above that is the proxy's.
func (b *bench) halfLoad(ctx context.Context, fronts []front, most float64) error {
	const connections = 16
	rate := most / 2
	every := time.Duration(connections / rate * float64(time.Second))
	fronts = append([]front{{name: "no proxy", address: b.o.proxy.backend, host: b.o.proxy.backend}}, fronts...)
	t := b.table(fmt.Sprintf("Small answers, %.0f a second: half of what Lodge can", rate), "proxy", "requests/s", "p50", "p99", "added p99")
	var direct time.Duration
	for i, f := range fronts {
		var all []measured
		for range b.o.proxy.rounds {
			m, err := f.measure(ctx, "/", connections, every, b.o.proxy.duration)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			all = append(all, m)
		}
		slices.SortFunc(all, func(a, b measured) int { return int(a.p99 - b.p99) })
		m := all[len(all)/2]
		if i == 0 {
			direct = m.p99
		}
		t.row(f.name, fmt.Sprintf("%.0f", m.rate()), ms(m.p50), ms(m.p99), ms(m.p99-direct))
	}
	return nil
}

// middle is the measurement in the middle of several.
func middle(all []measured) measured {
	slices.SortFunc(all, func(a, b measured) int { return int(a.rate() - b.rate()) })
	return all[len(all)/2]
}

// openApp starts the app in Lodge and waits for it.
func (b *bench) openApp(ctx context.Context) (front, error) {
	call := func(method, path string, into any) error {
		req, err := http.NewRequestWithContext(ctx, method, b.o.server+path, http.NoBody)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+b.o.token)
		resp, err := b.http.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode >= 300 {
			text, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("%s %s: %s %s", method, path, resp.Status, text)
		}
		return json.NewDecoder(resp.Body).Decode(into)
	}
	var s struct{ ID, State, URL string }
	if err := call(http.MethodPost, "/api/v1/apps/bench/sessions", &s); err != nil {
		return front{}, err
	}
	for s.State != "ready" {
		if s.State == "failed" {
			return front{}, errors.New("the app has failed")
		}
		select {
		case <-ctx.Done():
			return front{}, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if err := call(http.MethodGet, "/api/v1/app-sessions/"+s.ID, &s); err != nil {
			return front{}, err
		}
	}
	at, err := url.Parse(s.URL)
	if err != nil {
		return front{}, err
	}
	server, err := url.Parse(b.o.server)
	return front{name: "lodge", pid: b.o.pid, address: server.Host, host: at.Host, head: "Authorization: Bearer " + b.o.token + "\r\n"}, err
}

// measure asks over so many connections for so long, once every so often over each, or as fast as it goes. It
// speaks HTTP itself: a client library would cost more than what is measured.
func (f front) measure(ctx context.Context, path string, connections int, every, lasts time.Duration) (measured, error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	var times []time.Duration
	var failure error
	before := familyCPU(f.pid)
	began := time.Now()
	until := began.Add(lasts)
	for i := range connections {
		first := began.Add(every * time.Duration(i) / time.Duration(connections))
		all.Go(func() {
			mine, err := f.ask(ctx, path, first, every, until)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, mine...)
			failure = errors.Join(failure, err)
		})
	}
	all.Wait()
	m := measured{n: len(times), took: time.Since(began), usage: usage{cpu: familyCPU(f.pid) - before}}
	if failure != nil || m.n == 0 {
		return m, errors.Join(failure, errors.New("nothing was measured"))
	}
	slices.Sort(times)
	m.p50, m.p99 = times[m.n/2], times[m.n*99/100]
	return m, nil
}

// familyCPU is what a process and its children have used; a proxy with workers has those. An app that
// Lodge runs is no child of it that counts: it has a session of its own.
func familyCPU(pid int) (all time.Duration) {
	all = process{pid}.cpu()
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, field := range strings.Fields(string(children)) {
		child, err := strconv.Atoi(field)
		if err == nil && sessionOf(child) == sessionOf(pid) {
			all += familyCPU(child)
		}
	}
	return all
}

func sessionOf(pid int) int {
	id, err := unix.Getsid(pid)
	if err != nil {
		return 0
	}
	return id
}

// open connects, and gives what asks once: for an answer, or for an echo where the path is the socket's.
func (f front) open(ctx context.Context, path string, buffer int) (conn net.Conn, round func() error, err error) {
	conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", f.address)
	if err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(conn, buffer)
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: " + f.host + "\r\n" + f.head)
	if path != "/ws" {
		request = append(request, "\r\n"...)
		return conn, func() error {
			if _, err := conn.Write(request); err != nil {
				return err
			}
			_, err := answer(r)
			return err
		}, nil
	}
	request = append(request, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://"+f.host+"\r\n\r\n"...)
	if _, err := conn.Write(request); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	if status, err := answer(r); err != nil || status != http.StatusSwitchingProtocols {
		return nil, nil, errors.Join(fmt.Errorf("no socket: %d %w", status, err), conn.Close())
	}
	frame := append([]byte{0x81, 0x80 | 64, 0, 0, 0, 0}, strings.Repeat("x", 64)...)
	echo := make([]byte, 66)
	return conn, func() error {
		if _, err := conn.Write(frame); err != nil {
			return err
		}
		_, err := io.ReadFull(r, echo)
		return err
	}, nil
}

// heldSockets is how many sockets are held open at once.
const heldSockets = 1000

// hold opens sockets, has each echo once, and gives what the proxy's memory grows by for each. What a
// garbage collection would free counts too.
func (f front) hold(ctx context.Context) (each int64, err error) {
	before := process{f.pid}.rss()
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			err = errors.Join(err, conn.Close())
		}
	}()
	for range heldSockets {
		conn, round, err := f.open(ctx, "/ws", 4<<10)
		if err != nil {
			return 0, err
		}
		open = append(open, conn)
		if err := round(); err != nil {
			return 0, err
		}
	}
	return (process{f.pid}.rss() - before) / heldSockets, nil
}

func (f front) ask(ctx context.Context, path string, due time.Time, every time.Duration, until time.Time) ([]time.Duration, error) {
	conn, round, err := f.open(ctx, path, 64<<10)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	var times []time.Duration
	for time.Now().Before(until) && ctx.Err() == nil {
		if every == 0 {
			due = time.Now()
		}
		time.Sleep(time.Until(due))
		if err := round(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(due))
		due = due.Add(every)
	}
	return times, nil
}

// answer reads one answer over and gives its status.
func answer(r *bufio.Reader) (status int, err error) {
	length, chunked := -1, false
	for n := 0; ; n++ {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		text := strings.TrimRight(string(line), "\r\n")
		name, value, _ := strings.Cut(text, ":")
		switch {
		case n == 0:
			if len(text) < 12 {
				return 0, errors.New("no answer")
			}
			if status, err = strconv.Atoi(text[9:12]); err != nil || status != 200 && status != 101 {
				return status, fmt.Errorf("it answers %s", text)
			}
		case text == "" && status == 101:
			return status, nil
		case text == "" && chunked:
			return status, chunks(r)
		case text == "":
			_, err := r.Discard(max(length, 0))
			return status, err
		case strings.EqualFold(name, "content-length"):
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return 0, err
			}
		case strings.EqualFold(name, "transfer-encoding"):
			chunked = true
		}
	}
}

func chunks(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(line)), 16, 32)
		if err != nil {
			return err
		}
		if _, err := r.Discard(int(n) + 2); err != nil || n == 0 {
			return err
		}
	}
}
