package e2e

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestFirstStart is what an empty folder becomes, and what is served to everybody.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	l := startLodge(t)
	file := filepath.Join(l.data, "admin-password")
	secret, err := os.ReadFile(file)
	noError(t, err)
	info, err := os.Stat(file)
	noError(t, err)
	equal(t, "who may read the password", info.Mode().Perm(), fs.FileMode(0o600))
	noError(t, filepath.WalkDir(l.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %s", path, info.Mode())
		}
		return err
	}))
	admin, status := l.login("admin", strings.TrimSpace(string(secret)))
	equal(t, "the administrator's login", status, 200)
	admin.get("/api/v1/me").is(200, `"admin":true`)
	admin.get("/api/v1/site/health").is(200, "database")

	nobody := l.nobody()
	equal(t, "/healthz", nobody.get("/healthz").is(200).body, `{"status":"ok"}`)
	nobody.get("/readyz").is(200, `"status":"ready"`, `"name":"database"`, `"name":"objects"`)
	nobody.get("/metrics").is(200, "go_goroutines", "# TYPE")
	nobody.get("/openapi.json").is(200, `"openapi":"3.1`, "/api/v1/me", "/results/local")
	nobody.get("/results/openapi.json").is(200, "putLocalResult")
	nobody.get("/docs").is(200, "/results/local")
	nobody.get("/.well-known/jwks.json").is(200, `"kty":"RSA"`)
	nobody.get("/").is(302)
	nobody.get("/ui/").is(200, "<!doctype html>")
	nobody.get("/api/v1/me").is(401, `"kind":"unauthenticated"`)
	nobody.get("/results/local/tags").is(403, `{"detail":"Not authenticated"}`)
	nobody.get("/nowhere").is(404)
	for _, path := range []string{"/ui/", "/api/v1/me", "/results/local/tags", "/docs", "/healthz", "/nowhere", "/openapi.json"} {
		h := nobody.get(path).header
		policy := h.Get("Content-Security-Policy")
		if h.Get("X-Content-Type-Options") != "nosniff" || policy == "" || strings.Contains(policy, "unsafe") || h.Get("Referrer-Policy") == "" || h.Get("X-Request-Id") == "" {
			t.Errorf("GET %s: headers %v", path, h)
		}
	}

	// A second start changes none of this.
	l.stop()
	l.start()
	again, err := os.ReadFile(file)
	noError(t, err)
	equal(t, "the password after the second start", string(again), string(secret))
	l.admin("doctor").ok()
}

// TestRefusedStarts are servers that say why they do not start.
func TestRefusedStarts(t *testing.T) {
	t.Parallel()
	l := startLodge(t)
	// A second server on the same folder: whichever way it is written.
	l.run(t, "serve", "--data", l.data, "--listen", "127.0.0.1:0").fails("data")
	link := filepath.Join(l.dir, "link")
	noError(t, os.Symlink(l.data, link))
	l.run(t, "serve", "--data", link, "--listen", "127.0.0.1:0").fails("data")
	l.nobody().get("/healthz").is(200)

	elsewhere := func(name string) string { return filepath.Join(l.dir, name) }
	taken := strings.TrimPrefix(l.url(), "http://")
	l.run(t, "serve", "--data", elsewhere("a"), "--listen", taken).fails(taken)
	noError(t, os.WriteFile(elsewhere("a-file"), nil, 0o600))
	l.run(t, "serve", "--data", elsewhere("a-file"), "--listen", "127.0.0.1:0").fails("a-file")
	l.run(t, "serve", "kitchen", "--data", elsewhere("b"), "--listen", "127.0.0.1:0").fails("kitchen")
	l.run(t, "serve", "--data", elsewhere("c"), "--listen", "nowhere").fails("nowhere")
	l.run(t, "serve", "--data", elsewhere("d"), "--config", "not-there.yaml").fails("not-there.yaml")

	away := newPlace(t, "LODGE_DATABASE_URL=postgres://lodge:s3cr3t@127.0.0.1:1/lodge")
	if out := away.run(t, "serve", "--data", elsewhere("e"), "--listen", "127.0.0.1:0").fails("127.0.0.1:1"); strings.Contains(out.stderr, "s3cr3t") {
		t.Errorf("the password of the database is told: %s", out.stderr)
	}

	// A database that a later Lodge has been at.
	l.stop()
	db := l.database()
	_, err := db.Exec(t.Context(), "INSERT INTO lodge_migrations (version_id, is_applied) VALUES (9999, 1)")
	noError(t, err)
	noError(t, db.Close())
	l.run(t, "serve", "--data", l.data, "--listen", "127.0.0.1:0").fails("newer")
}

// TestConfiguration says everything that is wrong with it at once, and shows what holds without telling
// secrets.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "LODGE_LOG_LEVEL=loud", "LODGE_RESULTS_HUB_SECRETS=x")
	noError(t, os.WriteFile(filepath.Join(p.workDir(), "lodge.yaml"), []byte(strings.Join([]string{
		"listen: 127.0.0.1:0",
		"shutdown_timeout: soon",
		"lisen: 127.0.0.1:1",
		"http:",
		"  max_body: 3 apples",
		"  trusted_proxies: [everybody]",
		"results:",
		"  intermediate_access: some",
		"  crypto:",
		"    private_key: a",
		"    private_key_file: b",
	}, "\n")), 0o600))
	p.run(t, "serve").fails(
		"lodge.yaml:2: shutdown_timeout", `lodge.yaml:3: there is no setting "lisen"; did you mean "listen"?`, "lodge.yaml:5: http.max_body",
		"everybody", "lodge.yaml:8: results.intermediate_access", "own, any", "LODGE_LOG_LEVEL", "debug, info, warn, error",
		"LODGE_RESULTS_HUB_SECRETS", `did you mean "LODGE_RESULTS_HUB_SECRET"?`, "private_key_file",
	)
	p.run(t, "config", "show").fails("lodge.yaml:3")

	const canary = "canary-in-the-coal-mine"
	l := startLodge(t, with("LODGE_RESULTS_HUB_URL", "http://127.0.0.1:1"), with("LODGE_RESULTS_HUB_ID", "me"),
		with("LODGE_RESULTS_HUB_SECRET", canary), with("LODGE_LOG_LEVEL", "debug"), with("LODGE_ADMIN_LISTEN", "127.0.0.1:0"))
	shown := l.run(t, "config", "show").ok()
	for _, want := range []string{"results.hub.secret", "***", "LODGE_RESULTS_HUB_SECRET", "http://127.0.0.1:1", "default"} {
		if !strings.Contains(shown, want) {
			t.Errorf("lodge config show has no %q:\n%s", want, shown)
		}
	}
	root := l.administrator()
	root.put("/results/final", bytesFile("f", []byte("f"))) // whatever comes of it, it is logged
	for what, text := range map[string]string{
		"lodge config show": shown, "the log": string(l.server.logs()), "standard output": l.server.output(), "lodge doctor": l.admin("doctor").stdout,
		"site/config": root.get("/api/v1/site/config").is(200, "***").body, "site/health": root.get("/api/v1/site/health").is(200).body,
		"readyz": root.get("/readyz").is(200).body, "metrics": root.get("/metrics").body, "audit": root.get("/api/v1/audit").is(200).body,
	} {
		if strings.Contains(text, canary) {
			t.Errorf("%s tells the hub's secret", what)
		}
	}
	example := filepath.Join(p.dir, "example.yaml")
	noError(t, os.WriteFile(example, []byte(l.run(t, "config", "example").ok()), 0o600))
	newPlace(t).run(t, "config", "show", "--config", example).ok()
	l.run(t, "--version").ok()
	l.run(t, "--help").ok()
}

// TestDraining ends a server in the middle of an upload: the upload is taken to its end, nothing new.
func TestDraining(t *testing.T) {
	t.Parallel()
	l := startLodge(t)
	analysis := l.analysis("drained")
	f := randomFile("slow.bin", 8, 2<<20)
	rest := make(chan struct{})
	answered := analysis.putSlowly(f, rest)
	l.server.signal(syscall.SIGTERM)
	eventually(t, "nothing new is taken", func() bool {
		a, err := l.nobody().try(t.Context(), http.MethodGet, "/readyz", nil, nil, 0)
		return err != nil || a.status == 503
	})
	close(rest)
	a := <-answered
	a.is(200)
	equal(t, "exit status", l.server.wait(), 0)
	l.start()
	got := analysis.get("/results/local/" + parse[stored](a).ObjectID).is(200).body
	equal(t, "SHA-256 after the restart", shaOf(got), f.sha256())
}

// TestDrainingEnds does not wait for a client that never comes to its end.
func TestDrainingEnds(t *testing.T) {
	t.Parallel()
	l := startLodge(t, with("LODGE_SHUTDOWN_TIMEOUT", "1s"))
	never := make(chan struct{})
	answered := l.analysis("endless").putSlowly(randomFile("slow.bin", 8, 2<<20), never)
	began := time.Now()
	l.server.signal(syscall.SIGTERM)
	code := l.server.wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("with one second to end, it took %s", took)
	}
	if code < 0 {
		t.Error("a signal ended it")
	}
	close(never)
	if a := <-answered; a.status == 200 {
		t.Errorf("half an upload was answered with success: %s", a.body)
	}
	l.start()
	equal(t, "files", len(list[fileInfo](l.administrator(), "/results/files")), 0)
}

// putSlowly sends the first half of a file, waits for the signal, and sends the rest. It returns when the
// server has begun to take the file. What is answered is zero if the connection breaks.
func (c caller) putSlowly(f file, rest <-chan struct{}) <-chan answer {
	c.t.Helper()
	half := make(chan struct{})
	slow := file{f.name, f.kind, f.size, func() io.Reader {
		return io.MultiReader(io.LimitReader(f.open(), f.size/2), &gate{half, rest}, skip(f.open(), f.size/2))
	}}
	answered := make(chan answer, 1)
	go func() {
		a, _ := c.tryPut(context.Background(), "/results/local", slow) // the connection may break
		answered <- a
	}()
	select {
	case <-half:
	case <-time.After(patience):
		c.t.Fatal("the upload does not get half way")
	}
	return answered
}

func skip(r io.Reader, n int64) io.Reader {
	_, _ = io.CopyN(io.Discard, r, n) // it has that many
	return r
}

// gate is an empty reader that tells that it is reached and waits there.
type gate struct {
	reached chan<- struct{}
	open    <-chan struct{}
}

func (g *gate) Read([]byte) (int, error) {
	close(g.reached)
	<-g.open
	return 0, io.EOF
}

// TestFullDisk fills the disk that the site lies on: first with results, then by somebody else, to the last
// byte.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	l := newLodge(t, at(startHub(t)))
	onSmallDisk(t, l, "48m")
	id := uuid.NewString()
	analysis, root := l.analysis(id), l.administrator()

	for _, path := range []string{"/results/local", "/results/final", "/results/intermediate"} {
		analysis.put(path, randomFile("too-large.bin", 1, 100<<20)).is(507, "left")
	}
	first := randomFile("first.bin", 2, 16<<20)
	firstID := parse[stored](analysis.put("/results/local", first).is(200)).ObjectID
	kept := map[string]file{firstID: first}
	fill := func() {
		t.Helper()
		for _, size := range []int64{1 << 20, 64 << 10, 4 << 10} {
			for i := range 2000 {
				f := randomFile("more.bin", uint64(size)+uint64(i), size)
				a := analysis.put("/results/local", f)
				if a.status == 507 {
					break
				}
				kept[parse[stored](a.is(200)).ObjectID] = f
			}
		}
	}
	check := func() {
		t.Helper()
		l.nobody().get("/healthz").is(200)
		equal(t, "files that are listed", len(list[fileInfo](root, "/results/files")), len(kept))
		for id, f := range kept {
			equal(t, "SHA-256 on a full disk", shaOf(analysis.get("/results/local/"+id).is(200).body), f.sha256())
		}
	}
	fill()
	check()
	// Who filled the disk can make room again, by Lodge itself.
	root.send("DELETE", "/results/files/"+firstID, nil).is(204)
	delete(kept, firstID)
	fill()

	// Somebody else takes even what Lodge leaves: what is there can be read, everything else is refused.
	ballast := filepath.Join(l.data, "ballast")
	noError(t, exec.CommandContext(t.Context(), l.inside[0], append(l.inside[1:], "sh", "-c", "cat /dev/zero > '"+ballast+"' 2>&-; test -s '"+ballast+"'")...).Run())
	analysis.put("/results/local", bytesFile("one", []byte("1"))).is(507)
	analysis.put("/results/final", bytesFile("one", []byte("1"))).is(507)
	check()
	noError(t, exec.CommandContext(t.Context(), l.inside[0], append(l.inside[1:], "rm", ballast)...).Run())
	for id := range kept {
		root.send("DELETE", "/results/files/"+id, nil).is(204)
	}
	analysis.put("/results/local", first, "tag", "again").is(200)
	analysis.put("/results/final", bytesFile("one", []byte("1"))).is(204)
	l.admin("audit verify").ok()
}

// onSmallDisk starts the site with its data on a disk of its own, in memory, which is gone when the server
// is. Commands are run where that disk is seen.
func onSmallDisk(t testing.TB, l *lodge, size string) {
	t.Helper()
	var user, sameUser []string
	if os.Getuid() != 0 {
		user, sameUser = []string{"--user", "--map-root-user"}, []string{"--user", "--preserve-credentials"}
	}
	noError(t, os.Mkdir(l.data, 0o700))
	mount := "mount -t tmpfs -o mode=0700,size=" + size + " lodge-e2e '" + l.data + `' && exec "$@"`
	l.within = slices.Concat([]string{"unshare", "--mount"}, user, []string{"sh", "-c", mount, "sh"})
	if out, err := exec.CommandContext(t.Context(), l.within[0], append(l.within[1:], "true")...).CombinedOutput(); err != nil {
		t.Fatalf("this story fills a small disk, which takes root or user namespaces, and the commands unshare, nsenter and mount "+
			"(Debian: apt-get install util-linux mount): %v: %s", err, out)
	}
	l.start()
	l.inside = slices.Concat([]string{"nsenter", "--mount", "--target", strconv.Itoa(l.server.cmd.Process.Pid)}, sameUser)
}
