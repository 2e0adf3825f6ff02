package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lodge/internal/fault"
)

// serving is a server under Serve, ended by stop.
type serving struct {
	addr string
	l    net.Listener
	log  *logBuffer
	stop context.CancelFunc
	end  chan error
}

func serve(t *testing.T, cfg ServeConfig, h http.Handler) *serving {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listener = l
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	log, lines := newLog()
	s := &serving{addr: l.Addr().String(), l: l, log: lines, stop: stop, end: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.end <- Serve(ctx, cfg, h, log)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return s
}

func mustServe(t *testing.T, cfg Config, routes ...Route) http.Handler {
	t.Helper()
	return newServer(t, cfg, Mount{Name: "x", Routes: routes}).Handler()
}

// TestDrain: running requests finish, new ones are not taken, readiness says so in between.
func TestDrain(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	log, _ := newLog()
	checks := NewChecks(time.Now, log)
	routes := append(checks.Routes(), get("/slow", func(w http.ResponseWriter, _ *http.Request) error {
		close(entered)
		<-release
		return JSON(w, http.StatusOK, "done")
	}))
	draining := make(chan struct{})
	s := serve(t, ServeConfig{OnDrain: func() {
		checks.Drain()
		close(draining)
	}}, mustServe(t, Config{}, routes...))

	type result struct {
		body string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		res, err := http.Get("http://" + s.addr + "/slow")
		if err != nil {
			got <- result{"", err}
			return
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		got <- result{string(body), err}
	}()
	<-entered
	s.stop()
	<-draining
	if code, states := readyz(t, checks); code != http.StatusServiceUnavailable || states.Status != "draining" {
		t.Errorf("readiness: %d %+v", code, states)
	}
	waitFor(t, "the listener to close", func() bool {
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(release)
	if r := <-got; r.err != nil || r.body != `"done"` {
		t.Errorf("the running request: %q, %v", r.body, r.err)
	}
	if err := <-s.end; err != nil {
		t.Errorf("an orderly end: %v", err)
	}
}

func TestDrainDelay(t *testing.T) {
	t.Parallel()
	draining := make(chan struct{})
	s := serve(t, ServeConfig{DrainDelay: time.Hour, OnDrain: func() { close(draining) }}, mustServe(t, Config{}, get("/x", answer("x"))))
	s.stop()
	<-draining
	res, err := http.Get("http://" + s.addr + "/x")
	if err != nil {
		t.Fatalf("requests are refused before the load balancer knows: %v", err)
	}
	_ = res.Body.Close()
	_ = s.l.Close() // nobody waits for the hour
	if err := <-s.end; err == nil {
		t.Error("a listener that breaks while draining is not reported")
	}
}

func TestDrainCutsOffAtTheEnd(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	s := serve(t, ServeConfig{ShutdownTimeout: 20 * time.Millisecond}, mustServe(t, Config{}, get("/endless", func(_ http.ResponseWriter, r *http.Request) error {
		close(entered)
		<-r.Context().Done()
		return r.Context().Err()
	})))
	go func() {
		if res, err := http.Get("http://" + s.addr + "/endless"); err == nil {
			_ = res.Body.Close()
		}
	}()
	<-entered
	s.stop()
	if err := <-s.end; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("got %v", err)
	}
}

func TestServeReportsABrokenListener(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	log, _ := newLog()
	if err := Serve(t.Context(), ServeConfig{Listener: l}, http.NotFoundHandler(), log); err == nil {
		t.Error("served without a listener")
	}
}

// TestSlowHeader is a slow loris: headers that never end.
func TestSlowHeader(t *testing.T) {
	t.Parallel()
	s := serve(t, ServeConfig{ReadHeaderTimeout: 50 * time.Millisecond}, mustServe(t, Config{}, get("/x", answer("x"))))
	conn := dial(t, s.addr)
	_, _ = io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	if got, err := io.ReadAll(conn); err != nil || strings.Contains(string(got), "200") {
		t.Errorf("got %q, %v; want the connection closed", got, err)
	}
}

func TestHugeHeader(t *testing.T) {
	t.Parallel()
	s := serve(t, ServeConfig{MaxHeader: 8 << 10}, mustServe(t, Config{}, get("/x", answer("x"))))
	conn := dial(t, s.addr)
	go func() {
		_, _ = io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: x\r\nX-Big: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	}()
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "431") {
		t.Errorf("got %q, %v", line, err)
	}
}

func upload(limits Limits) Route {
	return Route{Method: "PUT", Path: "/x", Action: Public, Limits: limits, Handle: func(w http.ResponseWriter, r *http.Request) error {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "the upload broke")
		}
		return JSON(w, http.StatusOK, n)
	}}
}

// TestStalledUpload: a body that stops coming is dropped with a reason.
func TestStalledUpload(t *testing.T) {
	t.Parallel()
	s := serve(t, ServeConfig{}, mustServe(t, Config{StallTimeout: 50 * time.Millisecond}, upload(Limits{Body: -1, Timeout: -1})))
	conn := dial(t, s.addr)
	_, _ = io.WriteString(conn, "PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome")
	got, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 408 ") || !strings.Contains(string(got), "Connection: close") {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestUploadTimeLimit: progress does not help where the route limits the whole.
func TestUploadTimeLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, ServeConfig{}, mustServe(t, Config{}, upload(Limits{Timeout: 50 * time.Millisecond})))
	conn := dial(t, s.addr)
	_, _ = io.WriteString(conn, "PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome")
	if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 408 ") {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestSlowUpload: a body may take much longer than the stall time as long as it moves, and the
// connection can be used again.
func TestSlowUpload(t *testing.T) {
	t.Parallel()
	const stall, pieces = 400 * time.Millisecond, 20
	s := serve(t, ServeConfig{}, mustServe(t, Config{StallTimeout: stall}, upload(Limits{Body: -1, Timeout: -1})))
	conn := dial(t, s.addr)
	in := bufio.NewReader(conn)
	for range 2 {
		began := time.Now()
		_, _ = fmt.Fprintf(conn, "PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", pieces)
		pace := time.NewTicker(stall / 8)
		for range pieces {
			<-pace.C
			_, _ = conn.Write([]byte("x"))
		}
		pace.Stop()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if string(body) != fmt.Sprint(pieces) || time.Since(began) < stall {
			t.Errorf("got %d %q after %s", res.StatusCode, body, time.Since(began))
		}
	}
}

// TestHandlerLongerThanTheStallTime: after its body a request may take its time, and must not be
// taken for a client that went away.
func TestHandlerLongerThanTheStallTime(t *testing.T) {
	t.Parallel()
	const stall = 30 * time.Millisecond
	s := serve(t, ServeConfig{}, mustServe(t, Config{StallTimeout: stall}, Route{Method: "PUT", Path: "/x", Action: Public, Handle: func(w http.ResponseWriter, r *http.Request) error {
		if _, err := io.ReadAll(r.Body); err != nil {
			return err
		}
		select {
		case <-time.After(3 * stall):
		case <-r.Context().Done():
			return errors.New("taken for gone")
		}
		return JSON(w, http.StatusOK, "ok")
	}}))
	req, _ := http.NewRequestWithContext(t.Context(), "PUT", "http://"+s.addr+"/x", strings.NewReader("body"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("got %s", res.Status)
	}
}

// TestStuckDownload: a client that takes nothing is dropped.
func TestStuckDownload(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	s := serve(t, ServeConfig{}, mustServe(t, Config{StallTimeout: 50 * time.Millisecond}, Route{
		Method: "GET", Path: "/x", Action: Public, Limits: Limits{Timeout: -1}, Handle: func(w http.ResponseWriter, _ *http.Request) error {
			piece := make([]byte, 64<<10)
			for {
				if _, err := w.Write(piece); err != nil {
					failed <- err
					return err
				}
			}
		},
	}))
	conn := dial(t, s.addr)
	_, _ = io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-failed:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the stuck client is still served")
	}
}

// TestFileDownload goes the way of the kernel, whole and in ranges.
func TestFileDownload(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	content := bytes.Repeat([]byte("0123456789abcde\n"), (3*sendPiece+4096)/16)
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, ServeConfig{}, mustServe(t, Config{},
		get("/content", func(w http.ResponseWriter, r *http.Request) error {
			http.ServeFile(w, r, name)
			return nil
		}),
		get("/copy", func(w http.ResponseWriter, _ *http.Request) error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			n, err := io.Copy(w, f)
			if n != int64(len(content)) {
				t.Errorf("copied %d bytes", n)
			}
			return err
		}),
	))
	for _, tt := range []struct {
		path, ranged string
		want         []byte
	}{
		{"/content", "", content},
		{"/copy", "", content},
		{"/content", "bytes=5-9", content[5:10]},
		{"/content", fmt.Sprintf("bytes=10-%d", 2*sendPiece+9), content[10 : 2*sendPiece+10]},
		{"/content", "bytes=-100", content[len(content)-100:]},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.addr+tt.path, nil)
		if tt.ranged != "" {
			req.Header.Set("Range", tt.ranged)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || sha256.Sum256(got) != sha256.Sum256(tt.want) {
			t.Errorf("%s %s: %d bytes, want %d, error %v", tt.path, tt.ranged, len(got), len(tt.want), err)
		}
	}
}

func TestTLSFromFiles(t *testing.T) {
	t.Parallel()
	ca := newTestCA(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca.issueFiles(t, cert, key, 1, "localhost")
	s := serve(t, ServeConfig{TLS: &TLSConfig{CertFile: cert, KeyFile: key}}, mustServe(t, Config{}, get("/x", func(w http.ResponseWriter, r *http.Request) error {
		return JSON(w, http.StatusOK, r.Proto+" "+PublicURL(r))
	})))
	ask := func(http2 bool) string {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.pool, ServerName: "localhost"}, ForceAttemptHTTP2: http2}
		defer transport.CloseIdleConnections()
		res, err := (&http.Client{Transport: transport}).Get("https://" + s.addr + "/x")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		return fmt.Sprintf("%s serial %d", body, res.TLS.PeerCertificates[0].SerialNumber)
	}
	if got, want := ask(true), `"HTTP/2.0 https://`+s.addr+`" serial 1`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := ask(false), `"HTTP/1.1 https://`+s.addr+`" serial 1`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: ca.pool, ServerName: "localhost", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if s.log.String() != "" {
		t.Errorf("a failed handshake is a warning: %s", s.log)
	}
}

// TestCertificateReplaced: a renewed certificate is served without a restart, a broken one is not.
func TestCertificateReplaced(t *testing.T) {
	t.Parallel()
	ca := newTestCA(t)
	dir := t.TempDir()
	log, lines := newLog()
	files := &certificateFiles{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), log: log}
	serial := func() int64 {
		files.looked = time.Time{} // long ago
		pair, err := files.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.Int64()
	}
	age := func(d time.Duration) {
		for _, name := range []string{files.cert, files.key} {
			if err := os.Chtimes(name, time.Time{}, time.Now().Add(d)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if files.load() == nil {
		t.Error("loaded files that are not there")
	}
	ca.issueFiles(t, files.cert, files.key, 1, "localhost")
	age(-time.Hour)
	if err := files.load(); err != nil || serial() != 1 {
		t.Fatalf("first: %v", err)
	}
	if err := os.WriteFile(files.cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 1 || len(lines.lines(t, "certificate not replaced")) != 1 {
		t.Errorf("with a broken file: serial %d, log %s", got, lines)
	}
	ca.issueFiles(t, files.cert, files.key, 2, "localhost")
	if got := serial(); got != 2 {
		t.Errorf("after the renewal: serial %d", got)
	}
}

func TestTLSConfigIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cfg  TLSConfig
		want string
	}{
		{TLSConfig{CertFile: "a", ACME: &ACMEConfig{}}, "not both"},
		{TLSConfig{CertFile: filepath.Join(dir, "none"), KeyFile: empty}, "no such file"},
		{TLSConfig{CertFile: empty, KeyFile: empty}, "PEM"},
		{TLSConfig{ACME: &ACMEConfig{CacheDir: dir}}, "name the domains"},
		{TLSConfig{ACME: &ACMEConfig{CacheDir: dir, Domains: []string{"x"}, CAFile: empty}}, "holds no certificate"},
		{TLSConfig{ACME: &ACMEConfig{CacheDir: dir, Domains: []string{"x"}, CAFile: filepath.Join(dir, "none")}}, "no such file"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		log, _ := newLog()
		if err := Serve(t.Context(), ServeConfig{Listener: l, TLS: &tt.cfg}, http.NotFoundHandler(), log); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want %q", tt.cfg, err, tt.want)
		}
	}
}

// TestACME fetches a certificate from an authority of its own.
func TestACME(t *testing.T) {
	t.Parallel()
	ca := newTestCA(t)
	authority, caFile := fakeACME(t, ca)
	cache := t.TempDir()
	s := serve(t, ServeConfig{TLS: &TLSConfig{ACME: &ACMEConfig{
		Domains: []string{"lodge.example"}, Email: "ops@lodge.example", CacheDir: cache, DirectoryURL: authority + "/directory", CAFile: caFile,
	}}}, mustServe(t, Config{}, get("/x", answer("x"))))
	for range 2 {
		conn, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: ca.pool, ServerName: "lodge.example"})
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	if _, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: ca.pool, ServerName: "other.example"}); err == nil {
		t.Error("got a certificate for a foreign name")
	}
	if entries, err := os.ReadDir(cache); err != nil || len(entries) == 0 {
		t.Errorf("nothing is kept for the next start: %v %v", entries, err)
	}
}

func TestAdminHandler(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
		if w := do(AdminHandler(), "GET", path); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := do(mustServe(t, Config{}), "GET", "/debug/pprof/"); w.Code != http.StatusNotFound {
		t.Errorf("profiles are public: %d", w.Code)
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// waitFor asks until a condition holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for tick := time.NewTicker(2 * time.Millisecond); !holds(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("still waiting for %s", what)
		}
	}
}
