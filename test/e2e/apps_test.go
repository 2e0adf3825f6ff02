package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// apps serves the apps part with this catalogue, for people whom a proxy names in the header userid.
// {wild} in it is the program that does what a story asks of it.
func withApps(catalogue string, settings ...setting) setting {
	return func(l *lodge) {
		program, err := os.Executable()
		noError(l.t, err)
		with("LODGE_APPS_CATALOGUE", strings.ReplaceAll(catalogue, "{wild}", program+", wild-app"))(l)
		with("LODGE_APPS_PROCESS_ALLOW_ROOT", strconv.FormatBool(os.Geteuid() == 0))(l)
		with("LODGE_IDENTITY_TRUSTED_HEADER_NAME", "userid")(l)
		with("LODGE_IDENTITY_TRUSTED_HEADER_PROXIES", "127.0.0.1")(l)
		// What outlives the server is ended here: whatever carries the mark of this site's folder.
		l.t.Cleanup(func() { endApps(l.t, l.data) })
		all(settings...)(l)
	}
}

// everyone is an entry of the catalogue for everybody, with further keys.
func everyone(id, behaviour, more string) string {
	return fmt.Sprintf(`{id: %s, command: [{wild}, %s], allow: {users: ["*"]}%s}`, id, behaviour, more)
}

const wildOnly = `[{id: wild, command: [{wild}, serve], allow: {users: ["*"]}}]`

// endApps ends the processes whose records lie in a site's folder.
func endApps(t testing.TB, data string) {
	t.Helper()
	for _, pid := range appProcesses(t, data) {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Signal(syscall.SIGKILL)
		}
	}
}

// appProcesses are those that run for a site's apps: their numbers, by the folder that they run in.
func appProcesses(t testing.TB, data string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	noError(t, err)
	var list []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if at, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd")); err == nil && strings.HasPrefix(at, filepath.Join(data, "apps")+"/") {
			list = append(list, pid)
		}
	}
	return list
}

// person is somebody whom the proxy in front names.
func (l *lodge) person(name string) caller {
	c := l.nobody()
	c.head = http.Header{"userid": {name}, "Sec-Fetch-Site": {"same-origin"}}
	return c
}

// dialHere leads every name below localhost to this machine, as browsers do.
func dialHere(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err == nil && strings.HasSuffix(host, ".localhost") {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// appSession is what the API tells of one.
type appSession struct {
	ID            string `json:"id"`
	App           string `json:"app"`
	State         string `json:"state"`
	Cause         string `json:"cause"`
	Message       string `json:"message"`
	URL           string `json:"url"`
	LogTail       string `json:"log_tail"`
	RestartNeeded bool   `json:"restart_needed"`
	Position      int    `json:"queued_position"`
	User          struct {
		ID string `json:"id"`
	} `json:"user"`
}

// host is where the app answers, without a slash at the end.
func (s appSession) host() string { return strings.TrimSuffix(s.URL, "/") }

// launch asks for an app.
func (c caller) launch(app string) appSession {
	c.t.Helper()
	a := c.send("POST", "/api/v1/apps/"+app+"/sessions", nil)
	if a.status != 200 && a.status != 201 && a.status != 202 {
		c.t.Fatalf("launch %s: %d %s", app, a.status, a.body)
	}
	return parse[appSession](a)
}

func (c caller) look(id string) appSession {
	c.t.Helper()
	return parse[appSession](c.get("/api/v1/app-sessions/" + id).is(200))
}

// until waits until an app session is in the state.
func (c caller) until(id, state string) (s appSession) {
	c.t.Helper()
	eventually(c.t, "the app session is "+state, func() bool {
		s = c.look(id)
		if s.State != state && (s.State == "failed" || s.State == "stopped") {
			c.t.Fatalf("the app session is %s (%s: %s), want %s\n%s", s.State, s.Cause, s.Message, state, s.LogTail)
		}
		return s.State == state
	})
	return s
}

// up launches an app and waits until it is ready.
func (c caller) up(app string) appSession {
	c.t.Helper()
	return c.until(c.launch(app).ID, "ready")
}

// open asks for a page as somebody who types its address.
func (c caller) page(address string) answer {
	c.t.Helper()
	return c.do("GET", address, http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"}, "Accept": {"text/html"}}, "")
}

// raw sends bytes as they are and gives the answer's status line and all that follows, until the
// server has been silent for a moment or closes.
func (l *lodge) raw(text string) string {
	l.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(l.url(), "http://"))
	noError(l.t, err)
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write([]byte(text)) // a server that refuses need not read it all
	var got []byte
	buf := make([]byte, 64<<10)
	for {
		noError(l.t, conn.SetReadDeadline(time.Now().Add(1500*time.Millisecond)))
		n, err := conn.Read(buf)
		if got = append(got, buf[:n]...); err != nil {
			return string(got)
		}
	}
}

// records are what the audit log holds of an action.
func (l *lodge) records(action string) int {
	l.t.Helper()
	a := l.administrator().get("/api/v1/audit?limit=500&action=" + action).is(200)
	return len(parse[struct {
		Items []json.RawMessage `json:"items"`
	}](a).Items)
}
