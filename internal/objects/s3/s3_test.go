package s3_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lodge/internal/drivertest"
	"lodge/internal/drivertest/services"
	"lodge/internal/fault"
	"lodge/internal/objects"
	"lodge/internal/objects/s3"
	"lodge/internal/secret"
)

const large = 20 << 20 // three parts

func TestS3(t *testing.T) {
	drivertest.Bucket(t, func(t *testing.T) objects.Bucket { return open(t, config(services.S3(t))) })
}

func config(b services.Bucket) s3.Config {
	return s3.Config{
		Endpoint: b.Endpoint, Bucket: b.Name, Region: b.Region,
		AccessKey: b.AccessKey, SecretKey: secret.String(b.SecretKey),
	}
}

func open(t testing.TB, cfg s3.Config) *s3.Bucket {
	t.Helper()
	bucket, err := s3.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	notPEM := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]s3.Config{
		"no endpoint":            {Bucket: "b"},
		"no bucket":              {Endpoint: "127.0.0.1:1"},
		"a path":                 {Endpoint: "http://127.0.0.1:1/store", Bucket: "b"},
		"another scheme":         {Endpoint: "ftp://127.0.0.1:1", Bucket: "b"},
		"a login":                {Endpoint: "http://me:hush@127.0.0.1:1", Bucket: "b"},
		"a login, no scheme":     {Endpoint: "me:hush@127.0.0.1:1", Bucket: "b"},
		"no such CA file":        {Endpoint: "127.0.0.1:1", Bucket: "b", UseTLS: true, CAFile: notPEM + "x"},
		"a CA file without a CA": {Endpoint: "127.0.0.1:1", Bucket: "b", UseTLS: true, CAFile: notPEM},
	} {
		_, err := s3.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want fault.Invalid", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the error shows the login: %v", name, err)
		}
	}
}

// TestFaults uses a store that cannot be used, in every way that we tell apart.
func TestFaults(t *testing.T) {
	t.Parallel()
	good := config(services.S3(t))
	noBucket, badSecret, badKey, away, slow := good, good, good, good, good
	noBucket.Bucket = "there-is-no-such-bucket"
	badSecret.SecretKey = "not-the-secret"
	badKey.AccessKey = "not-the-key"
	away.Endpoint = unusedAddress(t)
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(busy.Close)
	slow.Endpoint = busy.URL
	full := good
	noRoom := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInsufficientStorage)
	}))
	t.Cleanup(noRoom.Close)
	full.Endpoint = noRoom.URL

	for _, c := range []struct {
		name string
		cfg  s3.Config
		want fault.Kind
		says string
	}{
		{"no bucket", noBucket, fault.Upstream, `has no bucket "there-is-no-such-bucket": create it`},
		{"wrong secret", badSecret, fault.Upstream, "does not accept our access key"},
		{"wrong key", badKey, fault.Upstream, "does not accept our access key"},
		{"away", away, fault.Unavailable, "does not answer"},
		{"busy", slow, fault.Unavailable, "is not available"},
		{"full", full, fault.Full, "no room"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, c.cfg)
			_, small := b.Put(t.Context(), "k", strings.NewReader("x"))
			_, multi := b.Put(t.Context(), "k", bytes.NewReader(make([]byte, large)))
			_, _, get := b.Get(t.Context(), "k", 0, -1)
			var list error
			for _, list = range b.List(t.Context(), "") {
				break
			}
			for op, err := range map[string]error{
				"Check": b.Check(t.Context()), "Put": small, "large Put": multi, "Get": get, "List": list, "Delete": b.Delete(t.Context(), "k"),
			} {
				if !fault.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s: %v, want %v that says %q", op, err, c.want, c.says)
				}
				if err != nil && (strings.Contains(err.Error(), string(c.cfg.SecretKey)) || strings.Contains(err.Error(), c.cfg.AccessKey)) {
					t.Errorf("%s: the error shows the login: %v", op, err)
				}
			}
		})
	}
}

func unusedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// proxied opens a bucket of the real store through a proxy that sees every request first.
func proxied(t *testing.T, b services.Bucket, see func(w http.ResponseWriter, r *http.Request) (handled bool)) *s3.Bucket {
	t.Helper()
	proxy := newProxy(b, see)
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	cfg := config(b)
	cfg.Endpoint = server.URL
	return open(t, cfg)
}

func newProxy(b services.Bucket, see func(w http.ResponseWriter, r *http.Request) bool) http.Handler {
	target := &url.URL{Scheme: "http", Host: b.Endpoint}
	forward := &httputil.ReverseProxy{
		// The Host stays as it was signed.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !see(w, r) {
			forward.ServeHTTP(w, r)
		}
	})
}

func TestFailedUploadsAreAborted(t *testing.T) {
	t.Parallel()
	errBroken := errors.New("broken")
	for name, body := range map[string]func(cancel func()) io.Reader{
		"a failing body": func(func()) io.Reader {
			return io.MultiReader(bytes.NewReader(make([]byte, large)), iotest.ErrReader(errBroken))
		},
		"a caller who leaves": func(cancel func()) io.Reader {
			return io.MultiReader(bytes.NewReader(make([]byte, large)), readerFunc(func([]byte) (int, error) {
				cancel()
				return 0, nil
			}))
		},
		"a store that fails at part 2": func(func()) io.Reader { return bytes.NewReader(make([]byte, large)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := services.S3(t)
			b := proxied(t, at, func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("partNumber") != "2" || !strings.Contains(name, "part 2") {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusInternalServerError)
				return true
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if _, err := b.Put(ctx, "k", body(cancel)); err == nil {
				t.Error("Put succeeded")
			}
			if _, _, err := b.Get(t.Context(), "k", 0, -1); !fault.Is(err, fault.Missing) {
				t.Errorf("Get: %v, want fault.Missing", err)
			}
			for upload := range client(t, at).ListIncompleteUploads(t.Context(), at.Name, "", true) {
				t.Errorf("the store still holds parts of %s (%v)", upload.Key, upload.Err)
			}
		})
	}
}

func client(t testing.TB, b services.Bucket) *minio.Client {
	t.Helper()
	c, err := minio.New(b.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(b.AccessKey, b.SecretKey, ""), Region: b.Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRequests counts what goes over the wire: one signed request for what fits a part.
func TestRequests(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	b := proxied(t, services.S3(t), func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Method)
		if sha, crc := r.Header.Get("X-Amz-Content-Sha256"), r.Header.Get("X-Amz-Checksum-Crc32c"); r.Method == http.MethodPut && len(sha) != 64 && crc == "" {
			t.Errorf("nothing protects the body: X-Amz-Content-Sha256: %s", sha)
		}
		return false
	})
	for _, c := range []struct {
		size int
		want string
	}{
		{0, "PUT"},
		{1 << 10, "PUT"},
		{1 << 20, "PUT"},
		{8<<20 - 1, "PUT"},
		{8<<20 + 1, "POST PUT PUT POST"},
		{large, "POST PUT PUT PUT POST"},
	} {
		mu.Lock()
		seen = nil
		mu.Unlock()
		if _, err := b.Put(t.Context(), "k", bytes.NewReader(make([]byte, c.size))); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(seen, " "); got != c.want {
			t.Errorf("%d bytes took %s, want %s", c.size, got, c.want)
		}
	}
}

// TestDamagedOnTheWay changes a byte of each body between us and the store.
func TestDamagedOnTheWay(t *testing.T) {
	t.Parallel()
	b := proxied(t, services.S3(t), func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return true // once a part is refused, the others are broken off
			}
			body[len(body)/2] ^= 1
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		return false
	})
	for _, size := range []int{100, 1 << 20, large} {
		if _, err := b.Put(t.Context(), "k", bytes.NewReader(make([]byte, size))); !fault.Is(err, fault.Upstream) {
			t.Errorf("Put of %d bytes: %v, want fault.Upstream", size, err)
		}
		if _, _, err := b.Get(t.Context(), "k", 0, -1); !fault.Is(err, fault.Missing) {
			t.Errorf("Get after a damaged put of %d bytes: %v, want fault.Missing", size, err)
		}
	}
}

// TestCutDownload breaks the connection in the middle of a body.
func TestCutDownload(t *testing.T) {
	t.Parallel()
	var cut atomic.Bool
	b := proxied(t, services.S3(t), func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !cut.Load() {
			return false
		}
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		_, _ = w.Write(make([]byte, 500))
		return true // net/http closes the connection: 500 bytes are owed
	})
	if _, err := b.Put(t.Context(), "k", bytes.NewReader(make([]byte, 1000))); err != nil {
		t.Fatal(err)
	}
	cut.Store(true)
	r, _, err := b.Get(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	n, err := io.Copy(io.Discard, r)
	if n != 500 || !fault.Is(err, fault.Unavailable) {
		t.Errorf("read %d bytes, %v; want 500 and fault.Unavailable", n, err)
	}
}

// TestOwnCA reaches the real store through TLS with a certificate that no system knows.
func TestOwnCA(t *testing.T) {
	t.Parallel()
	at := services.S3(t)
	server := httptest.NewTLSServer(newProxy(at, func(http.ResponseWriter, *http.Request) bool { return false }))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(at)
	cfg.Endpoint, cfg.UseTLS = server.Listener.Addr().String(), true
	if err := open(t, cfg).Check(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a store with an unknown certificate: %v, want fault.Unavailable", err)
	}
	cfg.CAFile = ca
	b := open(t, cfg)
	body := bytes.Repeat([]byte("over TLS "), large/9)
	if _, err := b.Put(t.Context(), "k", bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	r, _, err := b.Get(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
		t.Errorf("read %d bytes that are not the %d put: %v", len(got), len(body), err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
