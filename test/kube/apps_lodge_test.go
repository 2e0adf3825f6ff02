//go:build kube

package kube

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// lodge is the built binary with apps on the cluster.
type lodge struct {
	appSite
	binary, data, listen string
	env                  []string
	server               *exec.Cmd
	ended                chan struct{}
}

const catalogue = `[{id: demo, image: "` + demoApp + `", allow: {users: ["*"]}, volumes: [{name: home, path: /home/user, size: 1Mi}], resources: {cpu_request: 0.02, memory: 64Mi}},
	{id: missing, image: "lodge.test/none:1", allow: {users: ["*"]}},
	{id: greedy, image: "` + testApp + `", command: [greedy], allow: {users: ["*"]}, resources: {cpu_request: 0.02, memory: 32Mi}},
	{id: exits, image: "` + testApp + `", command: [exit], allow: {users: ["*"]}, resources: {cpu_request: 0.02, memory: 64Mi}},
	{id: large, image: "` + testApp + `", command: [serve], allow: {users: ["*"]}, resources: {memory: 900Ti}}]`

// newLodge builds Lodge and makes a site that is not started yet.
func newLodge(t testing.TB, s appSite) *lodge {
	t.Helper()
	dir := t.TempDir()
	l := &lodge{appSite: s, binary: filepath.Join(dir, "lodge"), data: filepath.Join(dir, "data")}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", l.binary, "lodge/cmd/lodge").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.listen = listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	l.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LODGE_KUBERNETES_KUBECONFIG=" + s.kubeconfig, "LODGE_APPS_DRIVER=kubernetes",
		"LODGE_APPS_KUBERNETES_NAMESPACE=" + s.namespace, "LODGE_APPS_KUBERNETES_LODGE_NETWORKS=" + host, "LODGE_APPS_KUBERNETES_PULL=never",
		"LODGE_APPS_CATALOGUE=" + catalogue, "LODGE_IDENTITY_TRUSTED_HEADER_NAME=userid", "LODGE_IDENTITY_TRUSTED_HEADER_PROXIES=127.0.0.1",
		"LODGE_APPS_LIMITS_LAUNCHES_PER_MINUTE=100", "LODGE_APPS_CULL_RECONCILE=1s", "LODGE_APPS_CULL_ORPHAN_AFTER=1s",
	}
	return l
}

// start starts the server, which ends with the test at the latest.
func (l *lodge) start() {
	l.t.Helper()
	l.server = exec.CommandContext(context.Background(), l.binary, "serve", "apps", "--no-simulator", "--data", l.data, "--listen", l.listen)
	l.server.Env, l.server.Dir = l.env, filepath.Dir(l.binary)
	var log bytes.Buffer
	l.server.Stderr = &log
	l.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said, err := l.server.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.server.Start(); err != nil {
		l.t.Fatal(err)
	}
	server, ended := l.server, make(chan struct{})
	l.ended = ended
	ready := make(chan bool, 1)
	go func() {
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if strings.Contains(lines.Text(), l.listen) {
				select {
				case ready <- true:
				default:
				}
			}
		}
		_ = server.Wait() // its state says how it ended
		close(ended)
	}()
	l.t.Cleanup(func() {
		_ = server.Process.Kill()
		<-ended
		if l.t.Failed() {
			l.t.Logf("Lodge said:\n%s", log.Bytes()[max(0, log.Len()-6000):])
		}
	})
	select {
	case <-ready:
	case <-ended:
		l.t.Fatalf("Lodge ended: %s\n%s", server.ProcessState, log.String())
	case <-time.After(patience):
		l.t.Fatal("Lodge is not ready")
	}
}

// kill ends the server as a power cut does.
func (l *lodge) kill() {
	_ = l.server.Process.Kill()
	<-l.ended
}

// doctor is what Lodge finds about itself.
func (l *lodge) doctor() string {
	l.t.Helper()
	c := exec.CommandContext(l.t.Context(), l.binary, "doctor", "--data", l.data)
	c.Env, c.Dir = append(l.env, "LODGE_LISTEN="+l.listen), filepath.Dir(l.binary)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	return string(out)
}

// person is somebody whom the proxy in front names.
type person struct {
	*lodge
	name string
}

// here leads every name to Lodge, as browsers do with those that end in localhost.
func (l *lodge) here() *http.Client {
	return &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", l.listen)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (p person) head(more http.Header) http.Header {
	h := http.Header{"Userid": {p.name}, "Sec-Fetch-Site": {"same-origin"}}
	for name, values := range more {
		h[name] = values
	}
	return h
}

// ask sends a request and gives the answer's status and body.
func (p person) ask(method, address, body string, more http.Header) (int, string) {
	p.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = "http://" + p.listen + address
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header = p.head(more)
	resp, err := p.here().Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// page opens a page as somebody who types its address.
func (p person) page(address string) (int, string) {
	p.t.Helper()
	return p.ask(http.MethodGet, address, "", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"}, "Accept": {"text/html"}})
}

type appSession struct {
	ID, State, Cause, Message, URL string
	LogTail                        string `json:"log_tail"`
}

func (s appSession) host() string { return strings.TrimSuffix(s.URL, "/") }

func (p person) read(method, path, body string) (s appSession) {
	p.t.Helper()
	code, text := p.ask(method, path, body, nil)
	if code < 200 || code > 202 {
		p.t.Fatalf("%s %s: %d %s", method, path, code, text)
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p person) launch(app string) appSession {
	p.t.Helper()
	return p.read(http.MethodPost, "/api/v1/apps/"+app+"/sessions", "")
}

// until waits until an app session is in the state.
func (p person) until(id, state string) (s appSession) {
	p.t.Helper()
	eventually(p.t, "the app session is "+state, func() bool {
		s = p.read(http.MethodGet, "/api/v1/app-sessions/"+id, "")
		if s.State != state && (s.State == "failed" || s.State == "stopped") {
			p.t.Fatalf("the app session is %s (%s: %s), want %s", s.State, s.Cause, s.Message, state)
		}
		return s.State == state
	})
	return s
}

// pods are an app session's, by their UIDs.
func (l *lodge) pods(id string) (uids []string, names []string) {
	l.t.Helper()
	var list struct {
		Items []pod `json:"items"`
	}
	l.get(l.path("", "pods")+"?labelSelector=lodge/session="+id, &list)
	for _, p := range list.Items {
		uids, names = append(uids, p.Metadata.UID), append(names, p.Metadata.Name)
	}
	return uids, names
}

// From the first click to nothing left: launched, used over HTTP and a WebSocket, kept apart, adopted
// after a power cut, told of when it goes, and stopped.
func TestLodgeRunsAppsHere(t *testing.T) {
	t.Parallel()
	l := newLodge(t, newAppSite(t))
	l.start()
	ana, ben := person{l, "ana"}, person{l, "ben"}

	began := time.Now()
	anas := ana.until(ana.launch("demo").ID, "ready")
	t.Logf("from launch to ready: %s", time.Since(began).Round(100*time.Millisecond))
	code, text := ana.ask(http.MethodPut, anas.host()+"/files/note.txt", "written by ana", nil)
	equal(t, "saving a note: "+text, code, http.StatusNoContent)
	bounded, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	live := "ws" + strings.TrimPrefix(anas.host(), "http") + "/live"
	socket, _, err := websocket.Dial(bounded, live, &websocket.DialOptions{ //nolint:bodyclose // it has none once it is a WebSocket
		HTTPClient: l.here(), HTTPHeader: ana.head(http.Header{"Origin": {anas.host()}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	if err := socket.Write(bounded, websocket.MessageText, []byte("anybody there?")); err != nil {
		t.Fatal(err)
	}
	for answered := false; !answered; {
		_, line, err := socket.Read(bounded)
		if err != nil {
			t.Fatal(err)
		}
		answered = bytes.Contains(line, []byte("ANYBODY THERE?"))
	}

	// Ben has his own, and ana's is not there for him.
	bens := ben.until(ben.launch("demo").ID, "ready")
	if code, text := ben.ask(http.MethodGet, bens.host()+"/files", "", nil); code != 200 || strings.Contains(text, "note.txt") {
		t.Errorf("ben's files: %d %s", code, text)
	}
	if code, _ := ben.ask(http.MethodGet, anas.host()+"/files/note.txt", "", nil); code != http.StatusNotFound {
		t.Errorf("ben reads ana's note: %d", code)
	}

	// A power cut: the same pods serve on, and nobody else's are touched.
	before, _ := l.pods(anas.ID)
	stranger := l.open(t, "stranger")
	other := specFor("serve")
	other.ID, other.Run, other.App, other.OwnerID, other.Slug, other.Hash = "99999999-9999-4999-8999-999999999999", 1, "test", "owner", "cem", "0"
	if _, err := stranger.Start(t.Context(), other, nil); err != nil {
		t.Fatal(err)
	}
	l.kill()
	if inst, err := stranger.Look(t.Context(), other.ID); err != nil || says(inst.Address, "/") == "" {
		t.Errorf("the stranger's app: %+v, %v", inst, err)
	}
	l.start()
	if code, text := ana.ask(http.MethodGet, anas.host()+"/files/note.txt", "", nil); code != 200 || text != "written by ana" {
		t.Errorf("after the power cut: %d %s", code, text)
	}
	after, _ := l.pods(anas.ID)
	equal(t, "ana's pods", fmt.Sprint(after), fmt.Sprint(before))
	report := l.doctor()
	contains(t, "doctor", report, "apps, kubernetes driver")
	contains(t, "doctor", report, "answers, version 1.34")
	contains(t, "doctor", report, "network policies")

	// Removed from outside: the page says so, and Try again works, with the same volume.
	_, names := l.pods(anas.ID)
	l.do(http.MethodDelete, l.path("", "pods", names[0]), nil, nil)
	began = time.Now()
	eventually(t, "the page says so", func() bool {
		_, text := ana.page(anas.URL)
		return strings.Contains(text, "Try again")
	})
	t.Logf("the page says so after %s", time.Since(began).Round(100*time.Millisecond))
	equal(t, "the cause", ana.until(anas.ID, "failed").Cause, "lost")
	t.Logf("and why after %s", time.Since(began).Round(100*time.Millisecond))
	s := ana.until(ana.launch("demo").ID, "ready")
	if code, text := ana.ask(http.MethodGet, s.host()+"/files/note.txt", "", nil); code != 200 || text != "written by ana" {
		t.Errorf("in a new pod: %d %s", code, text)
	}

	// What goes wrong is called by its name, and leaves nothing.
	for app, want := range map[string]struct{ cause, says string }{
		"missing": {"image_missing", "lodge.test/none:1"}, "greedy": {"out_of_memory", "more memory"}, "exits": {"exited_early", "exit code 3"},
	} {
		id := ana.launch(app).ID
		var got appSession
		eventually(t, app+" fails", func() bool {
			got = ana.read(http.MethodGet, "/api/v1/app-sessions/"+id, "")
			return got.State == "failed"
		})
		equal(t, "the cause of "+app, got.Cause, want.cause)
		contains(t, "the message of "+app, got.Message, want.says)
		if uids, _ := l.pods(id); len(uids) > 0 {
			t.Errorf("%s leaves %v", app, uids)
		}
	}
	large := ana.launch("large")
	eventually(t, "no room is said", func() bool {
		return strings.Contains(ana.read(http.MethodGet, "/api/v1/app-sessions/"+large.ID, "").Message, "Insufficient memory")
	})
	for _, one := range []struct {
		person
		id string
	}{{ana, s.ID}, {ana, large.ID}, {ben, bens.ID}} {
		one.ask(http.MethodDelete, "/api/v1/app-sessions/"+one.id, "", nil)
		one.until(one.id, "stopped")
		if uids, _ := l.pods(one.id); len(uids) > 0 {
			t.Errorf("after its stop %v is left", uids)
		}
	}
	if uids, _ := l.pods(other.ID); len(uids) != 1 {
		t.Error("the stranger's pod was touched")
	}
	if err := stranger.Stop(t.Context(), other.ID, 1, 0); err != nil {
		t.Error(err)
	}
	equal(t, "pods at the end", l.count("", "pods"), 0)
	equal(t, "policies at the end", l.count("networking.k8s.io", "networkpolicies"), 0)
	equal(t, "people's volumes", l.count("", "persistentvolumeclaims"), 2)
}

// cable is the way to the API server, which can be cut.
type cable struct {
	address string
	mu      sync.Mutex
	cut     bool
	open    map[net.Conn]bool
}

func newCable(t testing.TB, to string) *cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{address: listener.Addr().String(), open: map[net.Conn]bool{}}
	t.Cleanup(func() {
		_ = listener.Close()
		c.set(true)
	})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil || !c.add(near, far) {
				_ = near.Close()
				continue
			}
			for from, into := range map[net.Conn]net.Conn{near: far, far: near} {
				go func() {
					_, _ = io.Copy(into, from)
					_, _ = into.Close(), from.Close()
				}()
			}
		}
	}()
	return c
}

func (c *cable) add(both ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range both {
		c.open[one] = true
		if c.cut {
			_ = one.Close()
		}
	}
	return !c.cut
}

func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for one := range c.open {
		if cut {
			_ = one.Close()
			delete(c.open, one)
		}
	}
}

// The cluster's API server is away: apps that run answer all the same, a launch says why it waits, and
// all goes on by itself once the server is back.
func TestTheClusterIsAway(t *testing.T) {
	t.Parallel()
	s := newAppSite(t)
	server := strings.TrimPrefix(address, "https://")
	way := newCable(t, server)
	text, err := os.ReadFile(s.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	node, _, _ := strings.Cut(server, ":")
	text = bytes.Replace(text, []byte(`"`+address+`"`), []byte(fmt.Sprintf(`"https://%s", tls-server-name: %q`, way.address, node)), 1)
	if err := os.WriteFile(s.kubeconfig, text, 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLodge(t, s)
	l.start()
	ana, ben := person{l, "ana"}, person{l, "ben"}
	anas := ana.until(ana.launch("demo").ID, "ready")
	before, _ := l.pods(anas.ID)

	way.set(true)
	if code, text := ana.ask(http.MethodGet, anas.host()+"/files", "", nil); code != 200 {
		t.Errorf("while the cluster is away: %d %s", code, text)
	}
	id := ben.launch("demo").ID
	eventually(t, "ben is told", func() bool {
		return strings.Contains(ben.read(http.MethodGet, "/api/v1/app-sessions/"+id, "").Message, "does not answer")
	})
	contains(t, "doctor", l.doctor(), "check kubernetes.kubeconfig")
	equal(t, "ana's app session", ana.read(http.MethodGet, "/api/v1/app-sessions/"+anas.ID, "").State, "ready")

	way.set(false)
	ben.until(id, "ready")
	after, _ := l.pods(anas.ID)
	equal(t, "ana's pods", fmt.Sprint(after), fmt.Sprint(before))
	// Deaths are heard of again.
	_, names := l.pods(anas.ID)
	l.do(http.MethodDelete, l.path("", "pods", names[0]), nil, nil)
	equal(t, "the cause", ana.until(anas.ID, "failed").Cause, "lost")
}

// Killed again and again in the middle of launches and stops, Lodge ends up with what its rows say:
// nothing twice, and nothing that nobody knows of.
func TestLodgeIsKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	l := newLodge(t, newAppSite(t))
	people := make([]person, 6)
	for i := range people {
		people[i] = person{l, fmt.Sprintf("user%d", i)}
	}
	sessions := func(p person) (all []appSession) {
		code, text := p.ask(http.MethodGet, "/api/v1/app-sessions", "", nil)
		var page struct {
			Items []appSession `json:"items"`
		}
		if code != 200 || json.Unmarshal([]byte(text), &page) != nil {
			return nil
		}
		return page.Items
	}
	for round := range 4 {
		l.start()
		var busy sync.WaitGroup
		for i, p := range people {
			busy.Go(func() {
				if list := sessions(p); (i+round)%3 == 0 && len(list) > 0 {
					p.ask(http.MethodDelete, "/api/v1/app-sessions/"+list[0].ID, "", nil)
					return
				}
				p.ask(http.MethodPost, "/api/v1/apps/demo/sessions", "", nil)
			})
		}
		<-time.After(time.Duration(200+rand.IntN(2500)) * time.Millisecond) // into the middle of it
		l.kill()
		busy.Wait()
	}
	l.start()
	eventually(t, "what was begun has come to an end, with a pod each for those that are ready", func() bool {
		ready := 0
		for _, p := range people {
			for _, s := range sessions(p) {
				uids, _ := l.pods(s.ID)
				switch {
				case s.State == "failed":
					t.Fatalf("%s's app session failed: %s: %s", p.name, s.Cause, s.Message)
				case s.State == "ready" && len(uids) == 1:
					ready++
				case s.State != "stopped" || len(uids) > 0:
					return false
				}
			}
		}
		t.Logf("%d of %d run", ready, len(people))
		return l.count("", "pods") == ready && l.count("networking.k8s.io", "networkpolicies") == ready
	})
	for _, p := range people {
		s := p.until(p.launch("demo").ID, "ready")
		if code, text := p.ask(http.MethodGet, s.host()+"/files", "", nil); code != 200 {
			t.Errorf("%s: %d %s", p.name, code, text)
		}
	}
	equal(t, "pods", l.count("", "pods"), len(people))
}
