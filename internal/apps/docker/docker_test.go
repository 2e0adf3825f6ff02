package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"lodge/internal/apps"
	"lodge/internal/drivertest"
	"lodge/internal/drivertest/services"
	"lodge/internal/fault"
)

const testImage = "lodge-testapp:latest"

func open(t testing.TB, installation string, change ...func(*Config)) *Driver {
	t.Helper()
	cfg := Config{Host: services.Docker(t), Installation: installation, Pull: PullNever}
	for _, c := range change {
		c(&cfg)
	}
	d, err := New(cfg, time.Now, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// buildImage makes the image of the test app, from scratch.
func buildImage(host string) error {
	dir, err := os.MkdirTemp("", "lodge-testapp")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "testapp")
	build := exec.Command("go", "build", "-o", binary, "lodge/internal/drivertest/testapp")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return &buildError{string(out), err}
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, text := range map[string][]byte{
		"Dockerfile": []byte("FROM scratch\nCOPY testapp /testapp\nUSER 10001\nEXPOSE 8080\nENTRYPOINT [\"/testapp\"]\n"),
		"testapp":    program,
	} {
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
	engine, err := client.New(client.WithHost(host))
	if err != nil {
		return err
	}
	defer func() { _ = engine.Close() }()
	answer, err := engine.ImageBuild(context.Background(), &archive, client.ImageBuildOptions{Tags: []string{testImage}, Remove: true})
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	if err == nil && bytes.Contains(said, []byte("errorDetail")) {
		err = &buildError{string(said), io.ErrUnexpectedEOF}
	}
	return err
}

// The image is built once in this test process.
var (
	imageOnce  sync.Once
	imageError error
)

type buildError struct {
	said string
	err  error
}

func (e *buildError) Error() string { return e.err.Error() + ": " + e.said }

func image(t testing.TB) string {
	t.Helper()
	host := services.Docker(t)
	imageOnce.Do(func() { imageError = buildImage(host) })
	must(t, imageError)
	return testImage
}

func specFor(behaviour string) apps.Spec {
	return apps.Spec{
		Image: testImage, Command: []apps.Filled{apps.Filled(behaviour)}, Port: 8080,
		Resources: apps.Resources{CPU: 0.5, Memory: 64 << 20, PIDs: 64}, Security: apps.SecurityRule{RunAs: "10001"},
	}
}

func TestDriver(t *testing.T) {
	image(t)
	drivertest.Apps(t, drivertest.AppsFixture{
		Open: func(t testing.TB, installation string) apps.Driver { return open(t, installation) },
		Spec: specFor,
	})
}

// bench is one installation with its driver.
type bench struct {
	*testing.T
	*Driver
}

func newBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	image(t)
	return &bench{t, open(t, "test"+uuid.NewString()[:8], change...)}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run starts an app of somebody, which is removed with its volumes when the test ends.
func (b *bench) run(slug, behaviour string, change ...func(*apps.Spec)) (apps.Spec, apps.Instance, container.InspectResponse) {
	b.Helper()
	s := specFor(behaviour)
	s.ID, s.Run, s.App, s.OwnerID, s.Slug, s.Hash = uuid.NewString(), 1, "test", "owner-"+slug, slug, "0123"
	for _, c := range change {
		c(&s)
	}
	b.Cleanup(func() {
		ctx := context.WithoutCancel(b.Context())
		if err := b.Stop(ctx, s.ID, 1<<40, 0); err != nil {
			b.Error(err)
		}
		for _, v := range s.Volumes {
			if v.Source == "" {
				_, _ = b.engine.VolumeRemove(ctx, b.volumeName(s, v), client.VolumeRemoveOptions{Force: true})
			}
		}
	})
	must(b, b.Prepare(b.Context(), s, nil))
	inst, err := b.Start(b.Context(), s, nil)
	must(b, err)
	c, err := b.find(b.Context(), s.ID)
	must(b, err)
	return s, inst, c
}

// BenchmarkStart is an app of somebody new, from nothing to its first connection, beside the same image by
// Docker's own command, on a network that is there.
func BenchmarkStart(b *testing.B) {
	image(b)
	answers := func(address string) {
		for !reaches(address) {
			<-time.After(time.Millisecond)
		}
	}
	b.Run("driver", func(b *testing.B) {
		d := open(b, "bench"+uuid.NewString()[:8])
		for b.Loop() {
			s := specFor("serve")
			s.ID, s.Run, s.App, s.OwnerID, s.Slug, s.Hash = uuid.NewString(), 1, "test", uuid.NewString(), "a"+uuid.NewString()[:8], "0123"
			must(b, d.Prepare(b.Context(), s, nil))
			inst, err := d.Start(b.Context(), s, nil)
			must(b, err)
			answers(inst.Address)
			b.StopTimer()
			must(b, d.Stop(b.Context(), s.ID, s.Run, 0))
			b.StartTimer()
		}
	})
	b.Run("docker-run", func(b *testing.B) {
		docker := func(args ...string) string {
			b.Helper()
			out, err := exec.CommandContext(b.Context(), "docker", append([]string{"--host", services.Docker(b)}, args...)...).Output()
			must(b, err)
			return strings.TrimSpace(string(out))
		}
		network := docker("network", "create", "bench"+uuid.NewString()[:8])
		defer docker("network", "rm", network)
		for b.Loop() {
			id := docker("run", "--detach", "--init", "--env", "PORT=8080", "--network", network, testImage, "serve")
			answers(docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id) + ":8080")
			b.StopTimer()
			docker("rm", "--force", id)
			b.StartTimer()
		}
	})
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func reaches(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// A container may as little as an entry says, and that is little.
func TestWhatAContainerMay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, inst, c := b.run("ana", "serve")
	h := c.HostConfig
	if c.Config.User != "10001:10001" || !slices.Equal(h.CapDrop, []string{"ALL"}) || len(h.CapAdd) > 0 || h.Privileged || !h.ReadonlyRootfs ||
		!slices.Equal(h.SecurityOpt, []string{"no-new-privileges"}) || h.PidMode != "" || h.IpcMode != "private" || h.Init == nil || !*h.Init || len(h.Binds)+len(h.Devices) > 0 {
		t.Errorf("it may too much: user %s, %+v", c.Config.User, h)
	}
	if h.Memory != 64<<20 || h.MemorySwap != 64<<20 || h.NanoCPUs != 5e8 || h.PidsLimit == nil || *h.PidsLimit != 64 {
		t.Errorf("its limits are %+v", h.Resources)
	}
	if h.LogConfig.Type != "json-file" || h.LogConfig.Config["max-size"] != "10m" || h.RestartPolicy.Name != "no" && h.RestartPolicy.Name != "" {
		t.Errorf("log %+v, restart %+v", h.LogConfig, h.RestartPolicy)
	}
	for name, want := range map[string]string{labelApp: "test", labelOwner: "owner-ana", labelSlug: "ana", labelSpec: "0123", labelRun: "1"} {
		if c.Config.Labels[name] != want {
			t.Errorf("label %s = %q, want %q", name, c.Config.Labels[name], want)
		}
	}
	eventually(t, "it answers", func() bool { return reaches(inst.Address) })
}

// Two people's apps do not reach each other, and nobody's reaches the engine.
func TestPeopleAreKeptApart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, anas, first := b.run("ana", "serve")
	_, bens, second := b.run("ben", "serve")
	eventually(t, "both answer", func() bool { return reaches(anas.Address) && reaches(bens.Address) })
	if first.HostConfig.NetworkMode == second.HostConfig.NetworkMode {
		t.Errorf("both are in %s", first.HostConfig.NetworkMode)
	}
	for who, to := range map[string]string{"ben's": bens.Address, "one's own": anas.Address} {
		_, probe, _ := b.run("ana", "dial:"+to)
		id := probe.ID
		eventually(t, "the probe has ended", func() bool {
			inst, err := b.Look(t.Context(), id)
			must(t, err)
			return inst.Exit != nil
		})
		inst, err := b.Look(t.Context(), id)
		must(t, err)
		if *inst.Exit.Code != 4 {
			t.Errorf("ana's app reached %s app: exit code %d", who, *inst.Exit.Code)
		}
	}
}

// Without a way out there is none.
func TestNoWayOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	must(t, err)
	defer func() { _ = listener.Close() }()
	_, inst, c := b.run("ana", "serve", func(s *apps.Spec) { s.Security.Egress = "none" })
	n, err := b.engine.NetworkInspect(t.Context(), string(c.HostConfig.NetworkMode), client.NetworkInspectOptions{})
	must(t, err)
	if !n.Network.Internal {
		t.Error("its network leads out")
	}
	eventually(t, "it answers all the same", func() bool { return reaches(inst.Address) })
	_, probe, _ := b.run("ana", "dial:169.254.169.254:80", func(s *apps.Spec) { s.Security.Egress = "none" })
	eventually(t, "the probe has ended", func() bool {
		found, err := b.Look(t.Context(), probe.ID)
		must(t, err)
		return found.Exit != nil && *found.Exit.Code == 4
	})
}

// What needs more memory than it may have is ended, and the reason is known.
func TestTooMuchMemory(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s, _, _ := b.run("ana", "greedy")
	eventually(t, "it was ended for its memory", func() bool {
		inst, err := b.Look(t.Context(), s.ID)
		must(t, err)
		// The engine learns of the end and of its reason separately, and may miss the latter.
		return inst.Exit != nil && (inst.Exit.OOM || inst.Exit.Signal == "SIGKILL")
	})
}

// A person's volume is theirs in every app, one of an app session goes with it, and folders of the
// machine are those that the site allows.
func TestVolumes(t *testing.T) {
	t.Parallel()
	allowed, elsewhere := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(allowed, "data"), []byte("shared data"), 0o644))
	must(t, os.Chmod(allowed, 0o755))
	must(t, os.Symlink(elsewhere, filepath.Join(allowed, "link")))
	b := newBench(t, func(c *Config) { c.AllowedSources = []string{allowed} })
	volumes := []apps.Volume{{Name: "home", Path: "/home/user", Per: "user"}, {Name: "scratch", Path: "/scratch", Per: "session"}, {Name: "data", Path: "/data", Source: allowed, ReadOnly: true}}
	with := func(s *apps.Spec) { s.Volumes = volumes }
	ended := func(id string) int {
		t.Helper()
		var code int
		eventually(t, "it has ended", func() bool {
			inst, err := b.Look(t.Context(), id)
			must(t, err)
			if inst.Exit != nil {
				code = *inst.Exit.Code
			}
			return inst.Exit != nil
		})
		return code
	}
	s, _, _ := b.run("ana", "write:/home/user/note", with)
	if code := ended(s.ID); code != 0 {
		t.Errorf("writing into the home ended with %d", code)
	}
	again, _, _ := b.run("ana", "read:/home/user/note", with)
	if code := ended(again.ID); code != 0 {
		t.Errorf("what was written is not there: %d", code)
	}
	bens, _, _ := b.run("ben", "read:/home/user/note", with)
	if code := ended(bens.ID); code == 0 {
		t.Error("ben reads ana's note")
	}
	for what, want := range map[string]bool{"read:/data/data": true, "write:/data/new": false, "write:/new": false, "write:/tmp/new": true, "write:/scratch/new": true} {
		one, _, _ := b.run("ana", what, with)
		if code := ended(one.ID); (code == 0) != want {
			t.Errorf("%s ended with %d", what, code)
		}
		must(t, b.Stop(t.Context(), one.ID, 1, 0))
		must(t, b.Forget(t.Context(), one.ID))
		left, err := b.engine.VolumeList(t.Context(), client.VolumeListOptions{Filters: b.ours(labelSession + "=" + one.ID)})
		must(t, err)
		if len(left.Items) > 0 {
			t.Errorf("its own volume stays: %+v", left.Items)
		}
	}
	for _, source := range []string{elsewhere, "/", "/var/run", filepath.Join(allowed, "link"), filepath.Join(allowed, "..")} {
		s := specFor("serve")
		s.ID, s.Run, s.Slug, s.App, s.Volumes = uuid.NewString(), 1, "ana", "test", []apps.Volume{{Name: "x", Path: "/x", Source: source}}
		if _, err := b.Start(t.Context(), s, nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("the folder %s was mounted: %v", source, err)
			_ = b.Stop(t.Context(), s.ID, 1, 0)
		}
	}
}

// A person's network goes with their last app, and everybody has another.
func TestNetworksComeAndGo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var networks []string
	var specs []apps.Spec
	for _, slug := range []string{"ana", "ben", "cem"} {
		s, _, c := b.run(slug, "serve")
		networks, specs = append(networks, string(c.HostConfig.NetworkMode)), append(specs, s)
	}
	slices.Sort(networks)
	if len(slices.Compact(slices.Clone(networks))) != 3 {
		t.Errorf("networks are %v", networks)
	}
	for _, s := range specs {
		must(t, b.Stop(t.Context(), s.ID, 1, 0))
	}
	left, err := b.engine.NetworkList(t.Context(), client.NetworkListOptions{Filters: b.ours()})
	must(t, err)
	if len(left.Items) > 0 {
		t.Errorf("networks stay: %+v", left.Items)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, s := range map[string]apps.Spec{
		"no image": {Command: []apps.Filled{"x"}}, "a socket": {Image: testImage, Socket: true},
	} {
		if err := b.Prepare(t.Context(), s, nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	away := open(t, "away", func(c *Config) { c.Host = "unix:///no/such/socket" })
	if _, err := away.Health(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without an engine: %v", err)
	}
	if err := away.Prepare(t.Context(), specFor("serve"), nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without an engine: %v", err)
	}
	fetching := open(t, "fetching", func(c *Config) { c.Pull = PullMissing })
	s := specFor("serve")
	s.Image = "127.0.0.1:1/no/such:image"
	if err := fetching.Prepare(t.Context(), s, nil); err == nil || fault.Is(err, fault.Unavailable) {
		t.Errorf("a registry that is away: %v", err)
	}
}

// A subnet that leads somewhere already, as this machine's own here, is given to nobody.
func TestSubnetsInUse(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Pool = netip.MustParsePrefix("127.77.0.0/24") })
	s := specFor("serve")
	s.ID, s.OwnerID = uuid.NewString(), "owner"
	if _, err := b.Start(t.Context(), s, nil); !fault.Is(err, fault.Exhausted) {
		t.Errorf("got %v, want that no network is left", err)
	}
}

func TestRegistries(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{
		"echoheaders": "https://index.docker.io/v1/", "library/x:1": "https://index.docker.io/v1/", "registry.example.org/lab/x:1": "registry.example.org",
		"localhost/x": "localhost", "localhost:5000/x@sha256:00": "localhost:5000",
	} {
		if got := registryOf(image); got != want {
			t.Errorf("%s comes from %s, want %s", image, got, want)
		}
	}
	for user, want := range map[string]bool{"": true, "0": true, "root": true, "0:0": true, "00": true, "root:x": true, "10001": false, "app": false, "1000:0": false} {
		if got := isRoot(user); got != want {
			t.Errorf("user %q is root: %v", user, got)
		}
	}
	file := filepath.Join(t.TempDir(), "config.json")
	must(t, os.WriteFile(file, []byte(`{"auths":{"registry.example.org":{"auth":"YW5hOnNlY3JldA=="}}}`), 0o600))
	d := &Driver{cfg: Config{AuthFile: file}}
	if auth, err := d.auth("registry.example.org/x"); err != nil || auth == "" || strings.Contains(auth, "secret") {
		t.Errorf("auth = %q, %v", auth, err)
	}
	if auth, err := d.auth("other.example.org/x"); err != nil || auth != "" {
		t.Errorf("another registry is given a login: %q, %v", auth, err)
	}
}
