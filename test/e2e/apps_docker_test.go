package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"lodge/internal/drivertest/services"
)

// engine is a Docker engine with the images that the stories need.
func engine(t testing.TB) (address string, c *client.Client) {
	t.Helper()
	address = services.Docker(t)
	c, err := client.New(client.WithHost(address))
	noError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	imagesOnce.Do(func() {
		for _, one := range []struct{ image, program, user string }{
			{"echoheaders:latest", "lodge/examples/apps/echo", "10001"},
			{"testapp:latest", "lodge/internal/drivertest/testapp", "10001"},
			{"rootapp:latest", "lodge/examples/apps/echo", ""},
		} {
			if imagesError == nil {
				imagesError = buildImage(c, one.image, one.program, one.user)
			}
		}
	})
	noError(t, imagesError)
	return address, c
}

var (
	imagesOnce  sync.Once
	imagesError error
)

// buildImage makes an image that holds one static program and nothing else.
func buildImage(c *client.Client, image, program, user string) error {
	dir, err := os.MkdirTemp("", "lodge-image")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "app")
	build := exec.Command("go", "build", "-o", binary, program)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", program, err, out)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	recipe := "FROM scratch\nCOPY app /app\nEXPOSE 8080\nENTRYPOINT [\"/app\"]\n"
	if user != "" {
		recipe += "USER " + user + "\n"
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, text := range map[string][]byte{"Dockerfile": []byte(recipe), "app": text} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	answer, err := c.ImageBuild(context.Background(), &archive, client.ImageBuildOptions{Tags: []string{image}, Remove: true})
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	if err == nil && bytes.Contains(said, []byte("errorDetail")) {
		return fmt.Errorf("build %s: %s", image, said)
	}
	return err
}

// containers are those of a site's app sessions; whatever carries one's id.
func containers(t testing.TB, c *client.Client, ids ...string) (list []container.Summary) {
	t.Helper()
	for _, id := range ids {
		found, err := c.ContainerList(context.Background(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", "lodge.session="+id)})
		noError(t, err)
		list = append(list, found.Items...)
	}
	return list
}

// removed has what a site leaves running removed when the test ends.
func removed(t testing.TB, c *client.Client, l *lodge) {
	t.Helper()
	t.Cleanup(func() {
		l.kill()
		list, err := c.ContainerList(context.Background(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", "lodge.session")})
		if err != nil {
			return
		}
		for _, one := range list.Items {
			if l.owns(one.Labels["lodge.session"]) {
				_, _ = c.ContainerRemove(context.Background(), one.ID, client.ContainerRemoveOptions{Force: true})
			}
		}
	})
}

// ownedSessions are the app sessions that stories have seen, by site.
var ownedSessions sync.Map

func (l *lodge) owns(id string) bool { _, ok := ownedSessions.Load(l.data + id); return ok }

func (l *lodge) own(s appSession) appSession { ownedSessions.Store(l.data+s.ID, true); return s }

// With the original's file, its sample and a proxy that names people: what ServiceHub did, and what it
// meant to do.
func TestServiceHubsHeir(t *testing.T) {
	t.Parallel()
	address, docker := engine(t)
	file := filepath.Join(t.TempDir(), "servicehub.conf")
	noError(t, os.WriteFile(file, []byte("[application]\nloglevel = ERROR\n\n[session]\nlifetime = 3\nremove = False\n\n[image]\nname = echoheaders\nlabel = latest\n"), 0o600))
	l := startLodge(t, serving("apps", "--servicehub-conf", file), with("LODGE_APPS_DOCKER_HOST", address), with("LODGE_APPS_DOCKER_PULL", "never"),
		with("LODGE_APPS_CULL_EVERY", "300ms"), with("LODGE_APPS_CULL_FLUSH", "200ms"))
	removed(t, docker, l)

	l.nobody().get("/alive").is(200)
	equal(t, "alive", l.nobody().get("/alive").body, "ok\n")
	l.nobody().get("/").is(401)
	l.nobody().page("/x").is(401)
	// As Apache named people: subject and issuer.
	who := l.nobody()
	who.head = http.Header{"Userid": {"42@login.example.org/realms/hbp"}}
	first := who.do("GET", "/deep/path?q=1", http.Header{"Accept": {"text/html"}}, "")
	first.is(200, "Starting echoheaders")
	var page answer
	eventually(t, "the headers are shown", func() bool {
		page = who.do("GET", "/deep/path?q=1", http.Header{"Accept": {"text/html"}}, "")
		return strings.Contains(page.body, "Userid: 42@login.example.org/realms/hbp")
	})
	page.is(200, "GET /deep/path?q=1", "Host: "+strings.TrimPrefix(l.url(), "http://"))
	who.get("/again").is(200, "GET /again")
	head := who.do("HEAD", "/again", nil, "")
	equal(t, "HEAD", head.status, 200)
	post := who.do("POST", "/form", nil, "x=1")
	post.is(200, "POST /form")

	sessions := list[appSession](who, "/api/v1/app-sessions")
	equal(t, "app sessions", len(sessions), 1)
	l.own(sessions[0])
	// Another person, who is not all digits, has another one.
	other := l.nobody()
	other.head = http.Header{"Userid": {"4a2f-ee@login.example.org/realms/hbp"}}
	other.do("GET", "/", http.Header{"Accept": {"text/html"}}, "").is(200, "Starting echoheaders")
	mine := list[appSession](other, "/api/v1/app-sessions")
	l.own(mine[0])
	eventually(t, "another person's headers are shown", func() bool {
		return strings.Contains(other.do("GET", "/", http.Header{"Accept": {"text/html"}}, "").body, "Userid: 4a2f-ee@")
	})
	if sessions[0].ID == mine[0].ID {
		t.Error("two people share an app session")
	}
	// The lifetime, which never acted, acts; and nothing is left of it.
	eventually(t, "what nobody uses is closed and removed", func() bool { return len(containers(t, docker, sessions[0].ID, mine[0].ID)) == 0 })
}

// The engine goes away and comes back: running apps answer all the same, launches say why, and all goes
// on without anybody's doing.
func TestTheEngineIsAway(t *testing.T) {
	t.Parallel()
	address, docker := engine(t)
	way := newCable(t, address)
	l := startLodge(t, withApps(`[{id: echo, image: "echoheaders:latest", allow: {users: ["*"]}, idle_timeout: 4s}, {id: missing, image: "no/such:image", allow: {users: ["*"]}},
		{id: rooted, image: "rootapp:latest", allow: {users: ["*"]}, security: {run_as: image}},
		{id: greedy, image: "testapp:latest", command: [greedy], allow: {users: ["*"]}, resources: {memory: 32Mi}},
		{id: exits, image: "testapp:latest", command: [exit], allow: {users: ["*"]}},
		{id: elsewhere, image: "testapp:latest", command: [silent], allow: {users: ["*"]}, ready: {timeout: 2s}}]`),
		with("LODGE_APPS_DRIVER", "docker"), with("LODGE_APPS_DOCKER_HOST", "tcp://"+way.address), with("LODGE_APPS_DOCKER_PULL", "never"),
		with("LODGE_APPS_CULL_EVERY", "300ms"), with("LODGE_APPS_CULL_FLUSH", "200ms"))
	removed(t, docker, l)
	ana := l.person("ana")
	for app, cause := range map[string]string{"missing": "image_missing", "greedy": "out_of_memory", "exits": "exited_early", "elsewhere": "not_answering", "rooted": "spec"} {
		s := l.own(ana.launch(app))
		var got appSession
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s was seen last as %+v", app, got)
			}
		})
		eventually(t, app+" fails", func() bool { got = ana.look(s.ID); return got.State == "failed" })
		if app == "greedy" && got.Cause == "exited_early" && strings.Contains(got.Message, "SIGKILL") {
			// The engine learns of the end and of its reason separately, and may miss the latter.
			cause = got.Cause
		}
		equal(t, app+"'s cause", got.Cause, cause)
		if left := containers(t, docker, s.ID); len(left) != 0 {
			t.Errorf("%s leaves %+v", app, left)
		}
		if page := ana.page(got.URL); page.status != 200 || !strings.Contains(page.body, "Try again") {
			t.Errorf("%s: %d %s", app, page.status, page.body)
		}
	}
	s := l.own(ana.up("echo"))
	way.cut()
	ana.get(s.host()+"/still").is(200, "GET /still")
	ben := l.person("ben")
	launched := l.own(ben.launch("echo"))
	eventually(t, "ben is told", func() bool {
		got := ben.look(launched.ID)
		return strings.Contains(got.Message, "does not answer") && strings.Contains(ben.page(got.URL).body, "does not answer")
	})
	// Idle for longer than it may: while nobody can be asked, nothing is closed.
	<-time.After(5 * time.Second)
	equal(t, "state while the engine is away", ana.look(s.ID).State, "ready")
	way.mend()
	ben.until(launched.ID, "ready")
	ben.get(launched.host()+"/").is(200, "GET /")
	eventually(t, "culling goes on", func() bool { return len(containers(t, docker, s.ID)) == 0 })

	// Killed from outside: told within seconds, and Try again works.
	again := l.own(ana.up("echo"))
	one := containers(t, docker, again.ID)
	equal(t, "containers", len(one), 1)
	_, err := docker.ContainerKill(t.Context(), one[0].ID, client.ContainerKillOptions{})
	noError(t, err)
	within(t, 5*time.Second, "the page tells of it", func() bool { return strings.Contains(ana.page(again.URL).body, "Try again") })
	ana.do("POST", again.host()+"/.lodge/start", http.Header{"Origin": {again.host()}}, "").is(303)
	ana.until(again.ID, "ready")
	// Removed from outside.
	one = containers(t, docker, again.ID)
	_, err = docker.ContainerRemove(t.Context(), one[0].ID, client.ContainerRemoveOptions{Force: true})
	noError(t, err)
	within(t, 10*time.Second, "the page tells of it", func() bool {
		page := ana.page(again.URL).body
		return strings.Contains(page, "removed outside Lodge") || strings.Contains(page, "Try again")
	})
}

// Killed and started again, Lodge finds its containers and leaves those of others alone.
func TestContainersAreAdopted(t *testing.T) {
	t.Parallel()
	address, docker := engine(t)
	site := func() *lodge {
		return newLodge(t, withApps(`[{id: echo, image: "echoheaders:latest", allow: {users: ["*"]}}]`), behindNothing(t), with("LODGE_APPS_DRIVER", "docker"),
			with("LODGE_APPS_DOCKER_HOST", address), with("LODGE_APPS_DOCKER_PULL", "never"), with("LODGE_APPS_CULL_ORPHAN_AFTER", "1s"), with("LODGE_APPS_CULL_RECONCILE", "1s"))
	}
	one, two := site(), site()
	for _, l := range []*lodge{one, two} {
		l.start()
		removed(t, docker, l)
	}
	before := map[string]string{}
	people := 4
	if *full {
		people = 20
	}
	for _, l := range []*lodge{one, two} {
		for i := range people {
			s := l.own(l.person(fmt.Sprintf("user%d", i)).up("echo"))
			found := containers(t, docker, s.ID)
			equal(t, "containers of an app session", len(found), 1)
			before[s.ID] = found[0].ID
		}
	}
	one.kill()
	one.start()
	for i := range people {
		c := one.person(fmt.Sprintf("user%d", i))
		s := one.own(c.launch("echo"))
		c.get(s.host()+"/back").is(200, "GET /back")
		found := containers(t, docker, s.ID)
		if len(found) != 1 || found[0].ID != before[s.ID] {
			t.Errorf("the container is not the one from before: %+v", found)
		}
	}
	one.administrator().send("POST", "/api/v1/apps/-/reconcile", nil).is(204)
	<-time.After(2 * time.Second) // orphans would be gone by now
	for id, was := range before {
		if found := containers(t, docker, id); len(found) != 1 || found[0].ID != was || found[0].State != container.StateRunning {
			t.Errorf("a container was touched: %+v", found)
		}
	}
}

// What would go wrong with the apps of a site is told before anybody meets it.
func TestDoctorOfApps(t *testing.T) {
	t.Parallel()
	address, _ := engine(t)
	l := newLodge(t, withApps(`[{id: echo, image: "echoheaders:latest"}, {id: missing, image: "no/such:image"},
		{id: rooted, image: "rootapp:latest", security: {run_as: image}}, {id: meant, image: "rootapp:latest", security: {run_as: image, allow_root: true}},
		{id: local, driver: process, command: [/no/such/program]}]`),
		with("LODGE_APPS_DRIVER", "docker"), with("LODGE_APPS_DOCKER_HOST", address), with("LODGE_APPS_DOCKER_PULL", "never"))
	said := l.admin("doctor").fails("must be mended").stdout
	for _, want := range []string{
		`(?m)^ok +app echo +the image echoheaders:latest can be run$`,
		`(?m)^failure +app missing +the image no/such:image is not there`,
		`(?m)^failure +app rooted +the image rootapp:latest would run as root`,
		`(?m)^warning +app meant +may run as root`,
		`(?m)^failure +app local +there is no program /no/such/program`,
		`(?m)^ok +apps, docker driver +answers`,
	} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("nothing says %s:\n%s", want, said)
		}
	}
	// An engine whose socket is not there, hosts that nobody finds, and a certificate that is not for them.
	cert, key := certificate(t, "lodge.invalid")
	far := newLodge(t, withApps(`[{id: echo, image: "echoheaders:latest"}]`), with("LODGE_APPS_DRIVER", "docker"), with("LODGE_APPS_DOCKER_HOST", "unix:///no/such/socket"),
		with("LODGE_PUBLIC_URL", "https://lodge.invalid"), with("LODGE_TLS_CERT_FILE", cert), with("LODGE_TLS_KEY_FILE", key))
	said = far.admin("doctor").fails("must be mended").stdout
	for _, want := range []string{`(?m)^failure +apps, docker driver +.*check apps.docker.host`, `(?m)^failure +apps +doctor--test.apps.lodge.invalid cannot be found: let \*.apps.lodge.invalid lead here`, `(?m)^failure +apps +the certificate does not hold for \*.apps.lodge.invalid`} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("nothing says %s:\n%s", want, said)
		}
	}
}

// certificate makes one for a host and no others, and gives its files.
func certificate(t testing.TB, host string) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	noError(t, err)
	about := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, private.Public(), private)
	noError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	noError(t, err)
	noError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	noError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return cert, key
}
