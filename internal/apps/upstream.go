package apps

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// front leads requests to apps.
type front struct {
	*Service
	// transport is for requests of our own, patient those for requests of people, by how long they wait.
	transport *http.Transport
	patient   map[time.Duration]*http.Transport
	mu        sync.Mutex
	proxy     *httputil.ReverseProxy
	pages     *template.Template
	// framing is who may show apps in frames: themselves and Lodge.
	framing string
	// assertions is for apps that do not trust the network.
	assertions assertions
}

const (
	connectTimeout = 5 * time.Second
	probeTimeout   = 2 * time.Second
	// maxAppHeader bounds the header of an app's answer.
	maxAppHeader = 1 << 20
	copyBuffer   = 64 << 10
)

// network gives what to dial for an address of an instance.
func network(address string) (kind, where string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, hostPort string) (net.Conn, error) {
			// Connections are pooled by the URL's host, which names the instance: see poolHost.
			address, err := fromPoolHost(hostPort)
			if err != nil {
				return nil, err
			}
			kind, where := network(address)
			return dialer.DialContext(ctx, kind, where)
		},
		MaxIdleConns: 4096, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second,
		MaxResponseHeaderBytes: maxAppHeader, DisableCompression: true,
		ExpectContinueTimeout: time.Second, WriteBufferSize: 8 << 10, ReadBufferSize: 8 << 10,
		// An app speaks HTTP/1.1; no proxy of the environment stands between it and us.
		Proxy: nil, ForceAttemptHTTP2: false,
	}
}

// poolHost writes an instance's address as a host for a URL: addresses of sockets have letters that
// hosts cannot have.
func poolHost(address string) string {
	if kind, where := network(address); kind == "unix" {
		return "unix-" + url.PathEscape(strings.ReplaceAll(fmt.Sprintf("%x", where), " ", "")) + ":0"
	}
	return address
}

func fromPoolHost(host string) (string, error) {
	text, ok := strings.CutPrefix(host, "unix-")
	if !ok {
		return host, nil
	}
	text, _, _ = strings.Cut(text, ":")
	path := make([]byte, len(text)/2)
	if _, err := fmt.Sscanf(text, "%x", &path); err != nil {
		return "", fmt.Errorf("the address of a socket: %w", err)
	}
	return "unix:" + string(path), nil
}

// ask sends a small request of our own to an instance.
func (f *front) ask(ctx context.Context, row Session, address, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+poolHost(address)+path, nil)
	if err != nil {
		return nil, err
	}
	req.Host = f.hostOf(row)
	req.Header.Set("User-Agent", "Lodge")
	return f.transport.RoundTrip(req)
}

// probe reports whether an instance answers as its entry says; nil means that it does.
func (f *front) probe(ctx context.Context, row Session, address string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if row.Entry.Ready.TCP {
		kind, where := network(address)
		conn, err := (&net.Dialer{}).DialContext(ctx, kind, where)
		if err != nil {
			return plainDial(err)
		}
		return conn.Close()
	}
	path := row.Entry.Ready.Path
	if prefix := f.prefixOf(row); prefix != "" && row.Entry.keepsPrefix() {
		path = prefix + path
	}
	resp, err := f.ask(ctx, row, address, path)
	if err != nil {
		return plainDial(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	ranges, err := parseStatuses(row.Entry.Ready.Status)
	if err != nil {
		return err
	}
	for _, one := range ranges {
		if one.from <= resp.StatusCode && resp.StatusCode <= one.to {
			return nil
		}
	}
	return fmt.Errorf("%s answers with the status %d", row.Entry.Ready.Path, resp.StatusCode)
}

// plainDial says in words why an instance could not be asked.
func plainDial(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("it does not answer in time")
	case errors.As(err, &op) && op.Op == "dial":
		return errors.New("nothing listens at its port yet")
	}
	return err
}

// keepsPrefix says whether the app was told its base path, so that paths go to it whole.
func (a *App) keepsPrefix() bool { return strings.Contains(a.BasePath, "{prefix}") }

// stripped says whether the prefix is taken off on the way to the app: it knows nothing of the one that
// programs use.
func (p *passage) stripped() bool {
	return p.prefix != "" && (p.program || !p.row.Entry.keepsPrefix())
}

// idleness asks an app since when nobody has used it.
func (f *front) idleness(ctx context.Context, row Session, path string) (time.Duration, bool) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	resp, err := f.ask(ctx, row, row.Address, path)
	if err != nil {
		return 0, false
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return 0, false
	}
	return readIdleness(resp.Body, f.now())
}

// buffers hands out the buffers that bodies are copied through.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, copyBuffer)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
