package fleet

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// dial connects as a fleet adapter does.
func (s *site) dial(path string, header http.Header) (*websocket.Conn, *http.Response, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(s.url, "http")+path, &websocket.DialOptions{HTTPHeader: header})
	if err == nil {
		s.t.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, resp, err
}

func send(t testing.TB, conn *websocket.Conn, kind websocket.MessageType, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	noError(t, conn.Write(ctx, kind, []byte(text)))
}

func TestAdapterSocket(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.cfg.Prefix, set.cfg.AdapterMaxMessage = "/fleet", 64<<10 })
	s.permit("adapter", Report, "site")
	by := func(name, roles string) string { return token(t, name, roles) }
	for _, tt := range []struct {
		name, path string
		header     http.Header
		status     int
	}{
		{"nobody", "/_internal", nil, 401},
		{"a bad token", "/_internal?token=bogus", nil, 401},
		{"a token without the right", "/_internal?token=" + by("mallory", "other"), nil, 403},
		{"a token in the query", "/_internal?token=" + by("adapter", "adapter"), nil, 101},
		{"a token in the header", "/_internal", http.Header{"Authorization": {"Bearer " + by("adapter", "adapter")}}, 101},
		{"a page of another site", "/_internal?token=" + by("adapter", "adapter"), http.Header{"Origin": {"https://evil.example"}}, 403},
	} {
		_, resp, err := s.dial(tt.path, tt.header) //nolint:bodyclose // read whole by the library
		if resp == nil || resp.StatusCode != tt.status || (err == nil) != (tt.status == 101) {
			t.Errorf("%s: %v %v", tt.name, resp, err)
		}
	}
	conn, _, err := s.dial("/_internal?token="+by("adapter", "adapter"), nil) //nolint:bodyclose // it has none
	noError(t, err)
	send(t, conn, websocket.MessageText, `{"type":"task_state_update","data":{"booking":{"id":"t1"},"status":"underway"}}`)
	eventually(t, "the task", func() bool { return s.get("/tasks/t1/state").StatusCode == 200 })

	// What is wrong is answered, and the connection stays.
	for _, wrong := range []struct {
		kind       websocket.MessageType
		text, want string
	}{
		{websocket.MessageText, "nonsense", "no JSON object"},
		{websocket.MessageBinary, "{}", "not binary"},
		{websocket.MessageText, `{"type":"fleet_state_update","data":{"name":7}}`, "name"},
	} {
		send(t, conn, wrong.kind, wrong.text)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, answer, err := conn.Read(ctx)
		cancel()
		if err != nil || !strings.HasPrefix(string(answer), `{"type":"error","error":"`) || !strings.Contains(string(answer), wrong.want) {
			t.Errorf("%s: %s %v", wrong.text, answer, err)
		}
	}
	send(t, conn, websocket.MessageText, `{"type":"fleet_state_update","data":{"name":"f1"}}`)
	eventually(t, "the fleet", func() bool { return s.get("/fleets/f1/state").StatusCode == 200 })

	// Many messages at once, and none is lost.
	for i := range 300 {
		send(t, conn, websocket.MessageText, `{"type":"task_log_update","data":{"task_id":"t1","log":[{"seq":`+number(i)+`,"tier":"info","unix_millis_time":1,"text":"x"}]}}`)
	}
	eventually(t, "all entries", func() bool {
		a := s.get("/tasks/t1/log?between=0,10")
		return a.StatusCode == 200 && len(parse[TaskEventLog](t, a.body).Log) == 300
	})
	// One that is too large ends the connection: it cannot be skipped.
	_ = conn.Write(t.Context(), websocket.MessageText, []byte(strings.Repeat("x", 65<<10)))
	if _, _, err := conn.Read(t.Context()); err == nil {
		t.Error("a message over the limit was taken")
	}
}

func TestAdapterPeers(t *testing.T) {
	t.Parallel()
	open := newSite(t, withConfig(func(c *Config) { c.AllowedPeers = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }))
	conn, _, err := open.dial("/_internal", nil) //nolint:bodyclose // it has none
	noError(t, err)
	send(t, conn, websocket.MessageText, `{"type":"fleet_state_update","data":{"name":"f1"}}`)
	eventually(t, "the fleet", func() bool { return open.get("/fleets/f1/state").StatusCode == 200 })
	eventually(t, "the connection is counted", func() bool { return open.svc.Adapters() == 1 })
	open.stop()
	if _, _, err := conn.Read(t.Context()); err == nil {
		t.Error("the connection outlives the service")
	}
	if _, resp, err := open.dial("/_internal?token=bogus", nil); err == nil || resp.StatusCode != 401 { //nolint:bodyclose // read whole by the library
		t.Errorf("a bad token from a listed address: %v", err)
	}
	closed := newSite(t, withConfig(func(c *Config) { c.AllowedPeers = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }))
	if _, resp, err := closed.dial("/_internal", nil); err == nil || resp.StatusCode != 401 { //nolint:bodyclose // read whole by the library
		t.Errorf("from another address: %v", err)
	}
}

// TestTokensAreNotLogged looks for the token of an adapter in the log.
func TestTokensAreNotLogged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	secret := token(t, "adapter")
	_, _, _ = s.dial("/_internal?token="+secret, nil) //nolint:bodyclose // refused
	var n int
	noError(t, s.db.QueryRow(t.Context(), "SELECT COUNT(*) FROM audit_records WHERE object LIKE ? OR detail LIKE ?", "%"+secret+"%", "%"+secret+"%").Scan(&n))
	if n != 0 {
		t.Error("the audit log has the token")
	}
}
