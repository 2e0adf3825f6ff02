package local_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/moby/moby/client"

	"lodge/internal/drivertest/services"
	"lodge/internal/fault"
	"lodge/internal/workflows/local"
	"lodge/internal/workflows/local/docker"
)

const stepImage = "lodge-step:latest"

// buildStep makes the image of testdata/step, from scratch, once for an engine.
var buildStep = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "lodge-step")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "step")
	build := exec.Command("go", "build", "-o", binary, "./docker/testdata/step")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, text := range map[string][]byte{"Dockerfile": []byte("FROM scratch\nCOPY step /step\nENTRYPOINT [\"/step\"]\n"), "step": program} {
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
	engine, err := client.New(client.WithHost(stepEngine))
	if err != nil {
		return err
	}
	defer func() { _ = engine.Close() }()
	answer, err := engine.ImageBuild(context.Background(), &archive, client.ImageBuildOptions{Tags: []string{stepImage}, Remove: true})
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	if err == nil && bytes.Contains(said, []byte("errorDetail")) {
		err = errors.New(string(said))
	}
	return err
})

// stepEngine is the address of the engine of this test process.
var stepEngine string

// inContainers has a site run steps as containers of a real engine.
func inContainers(t *testing.T) func(*setup) {
	t.Helper()
	stepEngine = services.Docker(t)
	must(t, buildStep())
	d, err := docker.New(docker.Config{Host: stepEngine, Installation: strings.ToLower(t.Name()), Pull: docker.PullNever}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return func(set *setup) { set.driver, set.cfg.StepTimeout = d, 20*time.Second }
}

// does writes a brick that does something in the image: words that begin with $ are inputs, and a file
// that begins with > is an output, a volume that begins with % is mounted below /vol.
func does(in, out, words string, more ...string) string {
	var args, results []string
	for _, word := range strings.Fields(words) {
		switch {
		case strings.HasPrefix(word, "$"):
			name, kind := strings.TrimSuffix(word[1:], "@"), "parameter"
			if strings.HasSuffix(word, "@") {
				kind = "artifact"
			}
			args = append(args, fmt.Sprintf(`{"source":{"port":%q},"target":{"type":%q}}`, name, kind))
		case strings.HasPrefix(word, ">"):
			args = append(args, fmt.Sprintf("{\"source\":%q}", "/out/deep/"+word[1:]))
			results = append(results, fmt.Sprintf(`{"source":{"file":"/out/deep/%s"},"target":{"port":%q}}`, word[1:], word[1:]))
		case strings.HasPrefix(word, "%"):
			args = append(args, fmt.Sprintf(`{"source":{"port":%q},"target":{"type":"volume","prefix":"/vol"}}`, word[1:]))
		default:
			args = append(args, fmt.Sprintf("{\"source\":%q}", word))
		}
	}
	for i := range args {
		if strings.HasPrefix(args[i], `{"source":"`) {
			var v struct{ Source string }
			_ = json.Unmarshal([]byte(args[i]), &v)
			text, _ := json.Marshal(v.Source)
			args[i] = fmt.Sprintf(`{"source":%s,"target":{"type":"parameter"}}`, text)
		}
	}
	return component(in, out, fmt.Sprintf(`{"type":"brick","container":{"name":"c","image":%q%s},"args":[%s],"results":[%s]}`,
		stepImage, strings.Join(more, ""), strings.Join(args, ","), strings.Join(results, ",")))
}

// TestContainers runs steps in containers of a real engine: what goes in, what comes out, what they may.
func TestContainers(t *testing.T) {
	t.Parallel()
	s := newSite(t, inContainers(t))
	_, err := s.svc.PutSecret(s.ctx, "w", "KEY", "s3cr3t")
	must(t, err)
	write, copied := does("t", "f@", "write >f $t"), does("f@", "g@", "copy $f@ >g")
	for name, x := range map[string]struct {
		job, phase, message, log string
		out                      map[string]string
	}{
		"a text":        {job(does("t", "o", "write >o $t"), "t", "hello $(x)"), "Succeeded", "", "", map[string]string{"o": "hello $(x)"}},
		"a file":        {job(graph("t", "h@", "t>a.t", "b.g>h", "a.f>b.f", "a", write, "b", copied), "t", "through files"), "Succeeded", "", "", map[string]string{"h": "through files"}},
		"a secret":      {job(does("TOKEN!", "", "variable TOKEN"), "TOKEN", "KEY"), "Succeeded", "", "s3cr3t", nil},
		"no privileges": {job(does("", "", "look")), "Succeeded", "", "Uid: 65532 65532 65532 65532\nCapEff: 0000000000000000\nCapBnd: 0000000000000000\nNoNewPrivs: 1\ninterface lo\n", nil},
		"another user":  {job(does("", "", "look", `,"securityContext":{"runAsUser":1234}`)), "Succeeded", "", "Uid: 1234 1234", nil},
		"a failure":     {job(does("", "", "exit 7")), "Failed", "exit code 7", "", nil},
		"no result":     {job(does("", "o", "variable X >o")), "Error", "wrote no file", "", nil},
		"no image":      {job(strings.ReplaceAll(does("", "", "look"), stepImage, "lodge-nothing:1")), "Error", "is not on this machine", "", nil},
		"no command":    {job(does("", "", "look", `,"command":["/nothing"]`)), "Error", "start the container", "", nil},
		"too much":      {job(does("", "", "eat 200", `,"resources":{"limits":{"memory":"32Mi","cpu":"500m"}}`)), "Failed", "it needs more memory than its limit", "", nil},
		"both streams":  {job(does("", "", "slowly 3")), "Succeeded", "", "error 2", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := *s
			s.t = t
			id := s.submit(x.job)
			o := s.wait(id)
			if o.Status.Phase != x.phase || !strings.Contains(o.Status.Message, x.message) {
				t.Fatalf("%s: %s, want %s: %s", o.Status.Phase, o.Status.Message, x.phase, x.message)
			}
			if text := s.log(id, id.String()); !strings.Contains(text, x.log) {
				t.Errorf("the log is %q, want %q in it", text, x.log)
			}
			for port, want := range x.out {
				got := o.output(port)
				if port == "h" {
					got = s.artifact(o, port)
				}
				if got != want {
					t.Errorf("%s is %q, want %q", port, got, want)
				}
			}
		})
	}
}

// TestContainersResume finds a container that ran on, and whose log goes on where it was left; and one
// that is gone runs again. At the end nothing of the job is left on the engine.
func TestContainersResume(t *testing.T) {
	t.Parallel()
	set := inContainers(t)
	s := newSite(t, set)
	stays, goes := s.submit(job(does("", "", "slowly 40"))), s.submit(job(does("", "", "slowly 40")))
	both := []uuid.UUID{stays, goes}
	for _, id := range both {
		eventually(t, "it writes", func() bool {
			_, there := s.told(id).Status.Nodes[id.String()]
			return there && strings.Contains(s.log(id, id.String()), "line 2")
		})
	}
	engine, err := client.New(client.WithHost(stepEngine))
	must(t, err)
	defer func() { must(t, engine.Close()) }()
	s.stop()
	list := func(id uuid.UUID) []string {
		found, err := engine.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", "lodge.workflows.job="+id.String())})
		must(t, err)
		var ids []string
		for _, c := range found.Items {
			ids = append(ids, c.ID)
		}
		return ids
	}
	for _, id := range list(goes) {
		_, err := engine.ContainerRemove(t.Context(), id, client.ContainerRemoveOptions{Force: true})
		must(t, err)
	}
	s = s.again(set)
	for _, id := range both {
		if o := s.wait(id); o.Status.Phase != "Succeeded" {
			t.Errorf("%s: %s", o.Status.Phase, o.Status.Message)
		}
		eventually(t, "nothing is left", func() bool { return len(list(id)) == 0 })
	}
	if text := s.log(stays, stays.String()); strings.Count(text, "line") != 40 || strings.Count(text, "error 7\n") != 1 {
		t.Errorf("the log of the one that ran on has %d lines: %s", strings.Count(text, "line"), text)
	}
	if text := s.log(goes, goes.String()); !strings.Contains(text, "line 39") {
		t.Errorf("the log of the one that was lost: %s", text)
	}
}

// TestContainerVolumes keeps a claim's files for the next job, and an empty volume for the steps of one.
func TestContainerVolumes(t *testing.T) {
	t.Parallel()
	s := newSite(t, inContainers(t))
	claim, empty := `{"name":"v","persistentVolumeClaim":{"claimName":"data"}}`, `{"name":"v","emptyDir":{}}`
	s.offer(claim)
	s.offer(empty)
	engine, err := client.New(client.WithHost(stepEngine))
	must(t, err)
	volumes := client.Filters{}.Add("label", "lodge.installation=testcontainervolumes")
	left := func(ctx context.Context) (names []string) {
		list, err := engine.VolumeList(ctx, client.VolumeListOptions{Filters: volumes})
		must(t, err)
		for _, v := range list.Items {
			names = append(names, v.Name)
		}
		return names
	}
	t.Cleanup(func() {
		for _, v := range left(context.WithoutCancel(t.Context())) {
			_, err := engine.VolumeRemove(context.WithoutCancel(t.Context()), v, client.VolumeRemoveOptions{})
			must(t, err)
		}
		must(t, engine.Close())
	})
	add, show := does("v/ x", "done", "append /vol/v/f $x %v", `,"workingDir":"/"`), does("v/ x", "o", "copy /vol/v/f >o %v")
	add = strings.Replace(add, `"results":[]`, `"results":[{"source":{"file":"/vol/v/f"},"target":{"port":"done"}}]`, 1)
	both := graph("v/ x", "o", "v>a.v v>b.v x>a.x", "b.o>o", "a.done>b.x", "a", add, "b", show)
	for volume, wants := range map[string][]string{claim: {"one", "onetwo"}, empty: {"one", "two"}} {
		for i, x := range []string{"one", "two"} {
			if got := s.run(job(both, "v", volume, "x", x)).output("o"); got != wants[i] {
				t.Errorf("%s: got %q, want %q", volume, got, wants[i])
			}
		}
	}
	eventually(t, "the claim alone is left", func() bool { return len(left(t.Context())) == 1 })
}

// TestContainersBeginTwice starts a step once, also when the answer to the first call got lost.
func TestContainersBeginTwice(t *testing.T) {
	t.Parallel()
	var s setup
	inContainers(t)(&s)
	step := local.Step{ID: local.ID{Job: uuid.NewString(), Step: "a", Attempt: 1}, Container: local.Container{Image: stepImage, Args: []string{"slowly", "10"}}}
	t.Cleanup(func() { must(t, s.driver.Clean(context.WithoutCancel(t.Context()), step.ID.Job)) })
	if _, err := s.driver.Wait(t.Context(), step.ID, 0, io.Discard); !errors.Is(err, local.ErrLost) {
		t.Errorf("%v", err)
	}
	for range 2 {
		must(t, s.driver.Begin(t.Context(), step))
	}
	var log bytes.Buffer
	exit, err := s.driver.Wait(t.Context(), step.ID, 0, &log)
	must(t, err)
	must(t, s.driver.Begin(t.Context(), step))
	var again bytes.Buffer
	_, err = s.driver.Wait(t.Context(), step.ID, 10, &again)
	must(t, err)
	if exit.Code != 0 || strings.Count(log.String(), "line") != 10 || again.String() != log.String()[10:] {
		t.Errorf("%+v: %q and %q", exit, log.String(), again.String())
	}
	must(t, s.driver.Kill(t.Context(), step.ID))
	must(t, s.driver.Remove(t.Context(), step.ID))
	must(t, s.driver.Kill(t.Context(), step.ID))
	must(t, s.driver.Remove(t.Context(), step.ID))
	if _, err := s.driver.Fetch(t.Context(), step.ID, "/out"); !fault.Is(err, fault.Missing) {
		t.Errorf("%v", err)
	}
}

// TestContainersEnd stops containers that are to end, and waits for an engine that is away.
func TestContainersEnd(t *testing.T) {
	t.Parallel()
	set := inContainers(t)
	away := &absent{}
	s := newSite(t, set, func(set *setup) {
		set.wrap = func(d local.Driver) local.Driver { away.Driver = d; return away }
	})
	id := s.submit(job(does("", "", "slowly 1000")))
	eventually(t, "it runs", func() bool { return s.told(id).Status.Phase == "Running" && s.told(id).phases()[""] == "Running" })
	must(t, s.svc.Terminate(s.ctx, id))
	if o := s.wait(id); o.Status.Phase != "Failed" {
		t.Errorf("%s", o.Status.Phase)
	}
	away.set(true)
	id = s.submit(job(does("t", "o", "write >o $t"), "t", "late"))
	eventually(t, "it is tried", func() bool { return away.asked() > 0 })
	away.set(false)
	if o := s.wait(id); o.output("o") != "late" {
		t.Errorf("%s: %s", o.Status.Phase, o.Status.Message)
	}
}

// absent is a driver whose engine is away now and then.
type absent struct {
	local.Driver
	mu    sync.Mutex
	away  bool
	tries int
}

func (a *absent) set(away bool) { a.mu.Lock(); a.away = away; a.mu.Unlock() }

func (a *absent) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tries
}

func (a *absent) Begin(ctx context.Context, s local.Step) error {
	a.mu.Lock()
	away := a.away
	if away {
		a.tries++
	}
	a.mu.Unlock()
	if away {
		return fault.New(fault.Unavailable, "the container engine does not answer")
	}
	return a.Driver.Begin(ctx, s)
}
