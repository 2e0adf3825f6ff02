package httpapi

import (
	"io"
	"path/filepath"
	"testing"
	"time"
)

// TestSlowHandshake keeps a peer from holding a connection by not finishing its TLS handshake, or by
// not beginning it. The class "unbounded input".
func TestSlowHandshake(t *testing.T) {
	t.Parallel()
	ca, dir := newTestCA(t), t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca.issueFiles(t, cert, key, 1, "localhost")
	s := serve(t, ServeConfig{TLS: &TLSConfig{CertFile: cert, KeyFile: key}, ReadHeaderTimeout: 50 * time.Millisecond},
		mustServe(t, Config{}, get("/x", answer("x"))))
	for name, sent := range map[string]string{
		"nothing":                   "",
		"the first byte":            "\x16",
		"a record that never comes": "\x16\x03\x01\x40\x00\x01",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, s.addr)
			if _, err := io.WriteString(conn, sent); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(conn); err != nil {
				t.Errorf("%v; want the connection closed", err)
			}
		})
	}
}

// TestIdleConnection closes a connection that is kept alive and not used.
func TestIdleConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, ServeConfig{IdleTimeout: 50 * time.Millisecond}, mustServe(t, Config{}, get("/x", answer("x"))))
	conn := dial(t, s.addr)
	if _, err := io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || len(got) == 0 {
		t.Errorf("got %q, %v; want an answer and then the end", got, err)
	}
}
