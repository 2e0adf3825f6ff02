package sample

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

func ask(t *testing.T, h http.Handler, method, path, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Userid", "42@issuer")
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestEcho(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := Echo(func() time.Time { return now })
	now = now.Add(90 * time.Second)
	for _, row := range []struct{ path, want string }{{"/alive", "ok\n"}, {"/activity", "90"}, {"/a%2Fb//c;d", "GET /a%2Fb//c;d HTTP/1.1\nHost: example.com\nUserid: 42@issuer\n"}, {"/x?y", "GET /x?y HTTP/1.1\nHost: example.com\nUserid: 42@issuer\n"}, {"/activity", "0"}} {
		if _, got := ask(t, h, "GET", row.path, ""); got != row.want {
			t.Errorf("%s: %q, want %q", row.path, got, row.want)
		}
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := Demo(root, "/apps/demo", time.Now)
	for _, row := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/apps/demo/", "", 200, "Workbench"},
		{"GET", "/apps/demo/files", "", 200, "[]"},
		{"PUT", "/apps/demo/files/a.txt", "hello", 204, ""},
		{"GET", "/apps/demo/files", "", 200, `["a.txt"]`},
		{"GET", "/apps/demo/files/a.txt", "", 200, "hello"},
		{"GET", "/apps/demo/files/none", "", 404, ""},
		{"GET", "/apps/demo/files/..%2f..%2fetc%2fpasswd", "", 404, ""},
		{"PUT", "/apps/demo/files/big", strings.Repeat("x", maxNote+1), 413, ""},
	} {
		if status, got := ask(t, h, row.method, row.path, row.body); status != row.status || !strings.Contains(got, row.want) {
			t.Errorf("%s %s: %d %q", row.method, row.path, status, got)
		}
	}
}

func TestDemoIsLive(t *testing.T) {
	t.Parallel()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(Demo(root, "", time.Now))
	defer server.Close()
	c, err := websocket.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"/live", "", server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := websocket.Message.Send(c, "hello"); err != nil {
		t.Fatal(err)
	}
	for said := ""; said != "HELLO"; {
		var m map[string]string
		if err := websocket.JSON.Receive(c, &m); err != nil {
			t.Fatal(err)
		}
		if m["kind"] == "line" {
			said = m["text"]
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	if err := Run("other", func(string) string { return "" }, time.Now, io.Discard); err == nil {
		t.Error("an app that is none was run")
	}
}
