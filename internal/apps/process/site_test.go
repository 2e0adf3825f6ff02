package process_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lodge/internal/access"
	"lodge/internal/apps"
	"lodge/internal/apps/process"
	"lodge/internal/audit"
	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
	"lodge/internal/work"
)

var key = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// house is the part with this driver, behind the edge, until it ends.
type house struct {
	svc    *apps.Service
	server *httptest.Server
	driver *process.Driver
	end    func()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openHouse(t testing.TB, db *database.DB, dir string) *house {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	b, err := bus.Open(bus.Config{}, log)
	check(t, err)
	queue := work.NewQueue(db, b, time.Now, log)
	check(t, queue.Inherit(t.Context()))
	auditLog := audit.New(db, queue, ed25519.NewKeyFromSeed(make([]byte, 32)), time.Now, log)
	acc := access.New(db, b, func(context.Context, *database.Tx, string, string, string) error { return nil }, apps.Actions(), time.Now, log)
	var handler atomic.Pointer[http.Handler]
	h := &house{server: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*handler.Load()).ServeHTTP(w, r) }))}
	public := strings.Replace(h.server.URL, "127.0.0.1", "localhost", 1)
	gate, err := identity.New(identity.Config{
		PublicURL: public, TrustedHeader: identity.TrustedHeader{Name: "userid", Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	}, db, b, acc, auditLog, key(), time.Now, log)
	check(t, err)
	installation, err := apps.Installation(t.Context(), db, time.Now())
	check(t, err)
	h.driver = open(t, dir, installation)
	catalogue, err := apps.ParseCatalogue([]byte(fmt.Sprintf(`
- {id: demo, command: [%q, app, serve], allow: {users: ["*"]}}
- {id: broken, command: [%q, app, exit], allow: {users: ["*"]}}
- {id: sock, command: [%q, app, serve], socket: true, allow: {users: ["*"]}}
- {id: none, command: [/no/such/program], allow: {users: ["*"]}}
`, os.Args[0], os.Args[0], os.Args[0])))
	check(t, err)
	h.svc, err = apps.New(t.Context(), apps.Config{PublicURL: public, Catalogue: catalogue, Limits: apps.Limits{SessionsPerUser: 50}}, apps.Deps{
		DB: db, Bus: b, Queue: queue, Access: acc, Audit: auditLog, Identity: gate, Now: time.Now, Log: log,
	}, h.driver)
	check(t, err)
	edge := httpapi.New(httpapi.Config{PublicURL: public}, gate, log, time.Now, nil)
	check(t, edge.Mount(h.svc.Mount()))
	check(t, h.svc.Connect(edge))
	served := edge.Handler()
	handler.Store(&served)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.svc.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	h.end = sync.OnceFunc(func() {
		h.server.Close()
		cancel()
		running.Wait()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.end)
	return h
}

// ask sends a request to somebody's app, or to Lodge's own host when app is "".
func (h *house) ask(t testing.TB, who, app, method, path string) (int, string) {
	t.Helper()
	_, port, err := net.SplitHostPort(h.server.Listener.Addr().String())
	check(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, h.server.URL+path, nil)
	check(t, err)
	req.Host = "localhost:" + port
	if app != "" {
		req.Host = app + "--" + who + ".apps.localhost:" + port
	}
	req.Header.Set("userid", who)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, string(text)
}

func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// A hundred first requests at once: one process, and a hundred good answers.
func TestAHundredFirstRequests(t *testing.T) {
	t.Parallel()
	h := openHouse(t, databasetest.SQLite(t), t.TempDir())
	var group sync.WaitGroup
	answers := make([]string, 100)
	for i := range answers {
		group.Go(func() {
			if status, text := h.ask(t, "ana", "", "POST", "/api/v1/apps/demo/sessions"); status != 202 && status != 200 {
				t.Errorf("launch: %d %s", status, text)
			}
			until(t, "the app answers", func() bool {
				status, text := h.ask(t, "ana", "demo", "GET", "/")
				answers[i] = text
				return status == 200
			})
		})
	}
	group.Wait()
	for _, pid := range answers {
		if pid != answers[0] {
			t.Fatalf("two processes answer: %s and %s", pid, answers[0])
		}
	}
	list, err := h.driver.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Errorf("%d instances run (%v)", len(list), err)
	}
	stopAll(t, h)
}

func stopAll(t testing.TB, h *house) {
	t.Helper()
	list, err := h.driver.List(t.Context())
	check(t, err)
	for _, inst := range list {
		check(t, h.driver.Stop(t.Context(), inst.ID, inst.Run, 0))
	}
}

// Lodge ends with apps running and comes back: they answer as before, none is doubled.
func TestLodgeComesBack(t *testing.T) {
	t.Parallel()
	db, dir := databasetest.SQLite(t), t.TempDir()
	h := openHouse(t, db, dir)
	pids := map[string]string{}
	const people = 10
	for i := range people {
		who := fmt.Sprintf("user%d", i)
		if status, text := h.ask(t, who, "", "POST", "/api/v1/apps/demo/sessions"); status != 202 {
			t.Fatalf("launch: %d %s", status, text)
		}
	}
	for i := range people {
		who := fmt.Sprintf("user%d", i)
		until(t, "the app answers", func() bool {
			status, text := h.ask(t, who, "demo", "GET", "/")
			pids[who] = text
			return status == 200
		})
	}
	h.end()
	back := openHouse(t, db, dir)
	for who, pid := range pids {
		if status, text := back.ask(t, who, "demo", "GET", "/"); status != 200 || text != pid {
			t.Errorf("%s: %d %s, want the process %s", who, status, text, pid)
		}
	}
	check(t, back.svc.Reconcile(t.Context()))
	list, err := back.driver.List(t.Context())
	if err != nil || len(list) != people {
		t.Errorf("%d instances run (%v)", len(list), err)
	}
	// A process that is killed is seen, also one that another Lodge has started.
	if _, text := back.ask(t, "user0", "demo", "GET", "/exit"); !strings.Contains(text, "app_") {
		t.Logf("the request that killed it got %q", text)
	}
	until(t, "the crash is seen", func() bool {
		status, text := back.ask(t, "user0", "demo", "GET", "/")
		return status == 503 && strings.Contains(text, `"app_failed"`)
	})
	stopAll(t, back)
}

func TestWhatProcessesDoWrong(t *testing.T) {
	t.Parallel()
	h := openHouse(t, databasetest.SQLite(t), t.TempDir())
	for app, want := range map[string]string{"broken": `"cause":"exited_early"`, "none": `"cause":"image_missing"`} {
		if status, text := h.ask(t, "ana", "", "POST", "/api/v1/apps/"+app+"/sessions"); status != 202 {
			t.Fatalf("launch: %d %s", status, text)
		}
		until(t, app+" fails", func() bool {
			_, text := h.ask(t, "ana", app, "GET", "/")
			return strings.Contains(text, want)
		})
	}
	if _, text := h.ask(t, "ana", "", "GET", "/api/v1/app-sessions?app=broken"); !strings.Contains(text, "last words") || !strings.Contains(text, `"code":3`) {
		t.Errorf("neither log nor exit code: %s", text)
	}
	list, err := h.driver.List(t.Context())
	if err != nil || len(list) != 0 {
		t.Errorf("%d instances are left (%v)", len(list), err)
	}
}

// The way from a launch to the first byte costs little beyond the app's own start.
func BenchmarkSpawn(b *testing.B) {
	h := openHouse(b, databasetest.SQLite(b), b.TempDir())
	for i := range b.N {
		who := fmt.Sprintf("user%d", i)
		h.ask(b, who, "", "POST", "/api/v1/apps/demo/sessions")
		if status, text := h.ask(b, who, "demo", "GET", "/"); status != 200 {
			b.Fatalf("%d %s", status, text)
		}
	}
	b.StopTimer()
	stopAll(b, h)
}
