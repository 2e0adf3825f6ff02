package local_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
	"lodge/internal/objects"
	"lodge/internal/work"
	"lodge/internal/workflows"
	"lodge/internal/workflows/local"
	"lodge/internal/workflows/local/process"
	"lodge/internal/workflows/spec"
)

// site is the workflows part with the local engine and plain processes, without HTTP.
type site struct {
	t      testing.TB
	ctx    context.Context
	db     *database.DB
	bucket objects.Bucket
	svc    *workflows.Service
	folder string
	// workspace is where told looks for jobs.
	workspace string
	stop      func()
}

func sandbox() workflows.WorkspaceChange {
	return workflows.WorkspaceChange{Name: "sandbox", Roles: [][]string{{"r"}}}
}

// setup is what a test wants to be different; what a second site takes over is set as well.
type setup struct {
	cfg    local.Config
	driver local.Driver
	folder string
	db     *database.DB
	bucket objects.Bucket
	wrap   func(local.Driver) local.Driver
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSite(t testing.TB, change ...func(*setup)) *site {
	t.Helper()
	var set setup
	for _, c := range change {
		c(&set)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	if set.folder == "" {
		set.folder = t.TempDir()
	}
	if set.db == nil {
		set.db = databasetest.SQLite(t)
	}
	if set.bucket == nil {
		files, err := objects.OpenFiles(t.TempDir(), log)
		must(t, err)
		t.Cleanup(func() { must(t, files.Close()) })
		set.bucket = files
	}
	s := &site{t: t, db: set.db, bucket: set.bucket, folder: set.folder, workspace: "w"}
	b, err := bus.Open(bus.Config{}, log)
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	queue := work.NewQueue(s.db, b, time.Now, log)
	auditLog := audit.New(s.db, queue, ed25519.NewKeyFromSeed(make([]byte, 32)), time.Now, log)
	acc := access.New(s.db, b, func(context.Context, *database.Tx, string, string, string) error { return nil }, workflows.Actions(), time.Now, log)
	if set.driver == nil {
		set.driver, err = process.New(process.Config{Folder: s.folder}, time.Now, log)
		must(t, err)
	}
	if set.wrap != nil {
		set.driver = set.wrap(set.driver)
	}
	engine := local.New(set.cfg, s.db, s.bucket, queue, b, set.driver, time.Now, log)
	key, err := workflows.NewSecretKey(make([]byte, 32))
	must(t, err)
	s.svc, err = workflows.New(workflows.Config{SecretKey: key}, s.db, s.bucket, queue, b, acc, auditLog, engine, time.Now, log)
	must(t, err)
	engine.Attach(s.svc)
	must(t, queue.Inherit(t.Context()))
	must(t, s.svc.FirstWorkspace(t.Context(), "w", "r"))
	s.ctx = access.WithCaller(t.Context(), &access.Caller{Name: "test", Admin: true})
	running, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	for _, run := range []func(context.Context) error{s.svc.Run, engine.Run} {
		group.Go(func() {
			if err := run(running); err != nil {
				t.Error(err)
			}
		})
	}
	s.stop = sync.OnceFunc(func() { cancel(); group.Wait() })
	t.Cleanup(s.stop)
	return s
}

// port writes the ports of a component: "x" is a parameter, "x[]" a list, "x@" a file, "x!" a secret,
// "x/" a volume.
func ports(names ...string) string {
	var all []string
	for _, n := range names {
		kind := "parameter"
		switch {
		case strings.HasSuffix(n, "[]"):
			kind = "parameter_array"
		case strings.HasSuffix(n, "@"):
			kind = "artifact"
		case strings.HasSuffix(n, "!"):
			kind = "env_secret"
		case strings.HasSuffix(n, "/"):
			kind = "volume"
		}
		all = append(all, fmt.Sprintf(`{"name":%q,"type":%q}`, strings.TrimRight(n, "[]@!/"), kind))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func split(names string) []string { return strings.Fields(names) }

// component writes a component of any kind.
func component(in, out, implementation string) string {
	return fmt.Sprintf(`{"type":"component","uid":%q,"inputs":%s,"outputs":%s,"implementation":%s}`, uuid.NewString(), ports(split(in)...), ports(split(out)...), implementation)
}

// brick writes a brick that runs a script. Its parameters and files are $1, $2 and so on; its outputs
// are /out/NAME.
func brick(in, out, script string, more ...string) string {
	var args, results []string
	for _, n := range split(in) {
		kind := "parameter"
		switch {
		case strings.HasSuffix(n, "@"):
			kind = "artifact"
		case strings.HasSuffix(n, "!"):
			continue
		case strings.HasSuffix(n, "/"):
			args = append(args, fmt.Sprintf(`{"source":{"port":%q},"target":{"type":"volume","prefix":"/vol"}}`, strings.TrimSuffix(n, "/")))
			continue
		}
		args = append(args, fmt.Sprintf(`{"source":{"port":%q},"target":{"type":%q}}`, strings.TrimRight(n, "[]@"), kind))
	}
	for _, n := range split(out) {
		n = strings.TrimRight(n, "[]@")
		results = append(results, fmt.Sprintf(`{"source":{"file":"/out/%s"},"target":{"port":%q}}`, n, n))
	}
	command, _ := json.Marshal([]string{"sh", "-ec", script, "step"})
	return component(in, out, fmt.Sprintf(`{"type":"brick","container":{"name":"c","image":"busybox","command":%s%s},"args":[%s],"results":[%s]}`,
		command, strings.Join(more, ""), strings.Join(args, ","), strings.Join(results, ",")))
}

// edges writes "a.x>b.y c>d.z" as edges or mappings.
func edges(text string) string {
	var all []string
	end := func(p string) string {
		if node, port, ok := strings.Cut(p, "."); ok {
			return fmt.Sprintf(`{"node":%q,"port":%q}`, node, port)
		}
		return fmt.Sprintf(`{"port":%q}`, p)
	}
	for _, e := range split(text) {
		from, to, _ := strings.Cut(e, ">")
		all = append(all, fmt.Sprintf(`{"source":%s,"target":%s}`, end(from), end(to)))
	}
	return "[" + strings.Join(all, ",") + "]"
}

// graph writes a graph; nodes are id, component, id, component…
func graph(in, out, mapIn, mapOut, wires string, nodes ...string) string {
	var all []string
	for i := 0; i < len(nodes); i += 2 {
		all = append(all, fmt.Sprintf(`{"id":%q,"node":%s}`, nodes[i], nodes[i+1]))
	}
	return component(in, out, fmt.Sprintf(`{"type":"graph","nodes":[%s],"edges":%s,"inputMappings":%s,"outputMappings":%s}`,
		strings.Join(all, ","), edges(wires), edges(mapIn), edges(mapOut)))
}

func mapping(in, out, mapIn, mapOut, node string) string {
	return component(in, out, fmt.Sprintf(`{"type":"map","node":%s,"inputMappings":%s,"outputMappings":%s}`, node, edges(mapIn), edges(mapOut)))
}

// job writes a job with input values, whose texts that begin with [ are lists.
func job(c string, values ...string) string {
	var all []string
	for i := 0; i < len(values); i += 2 {
		v := values[i+1]
		if !strings.HasPrefix(v, "[") {
			text, _ := json.Marshal(v)
			v = string(text)
		}
		all = append(all, fmt.Sprintf(`{"target":%q,"value":%s}`, values[i], v))
	}
	return fmt.Sprintf(`{"job":{"type":"job","inputValues":[%s],"workflow":{"type":"workflow","name":"w","workspace":"w","component":%s}}}`, strings.Join(all, ","), c)
}

// submit submits a job with more members after it, such as options.
func (s *site) submit(text string, more ...string) uuid.UUID {
	s.t.Helper()
	text = strings.TrimSuffix(text, "}") + strings.Join(more, "") + "}"
	j, options, findings := spec.JobRequest([]byte(text))
	if len(findings) > 0 {
		s.t.Fatalf("%s\n%s", findings, text)
	}
	must(s.t, s.svc.Submit(s.ctx, j, options))
	return j.UID
}

// refused are the findings that keep a job from being run.
func (s *site) refused(text string) string {
	s.t.Helper()
	j, options, findings := spec.JobRequest([]byte(text))
	if len(findings) == 0 {
		var err error
		findings, err = s.svc.CheckJob(s.ctx, j, options)
		must(s.t, err)
	}
	return findings.String()
}

// offer has the workspace offer a volume.
func (s *site) offer(volume string) {
	s.t.Helper()
	v, findings := spec.ReadVolume([]byte(`{"workspace":"w","volume":` + volume + `}`))
	if len(findings) > 0 {
		s.t.Fatal(findings)
	}
	must(s.t, s.svc.CreateVolume(s.ctx, v))
}

// told is what a job's last Workflow says.
type told struct {
	Metadata struct {
		Annotations map[string]string
	}
	Status struct {
		Phase, Message, Progress string
		Nodes                    map[string]struct {
			ID, Name, DisplayName, Type, Phase, Message string
			Children                                    []string
		}
		Outputs struct {
			Parameters []struct{ Name, Value string }
			Artifacts  []struct {
				Name string
				S3   struct{ Key string }
			}
		}
	}
}

func (o told) output(name string) string {
	for _, p := range o.Status.Outputs.Parameters {
		if p.Name == name {
			return p.Value
		}
	}
	return "(none)"
}

// phases are those of the nodes by what they are called.
func (o told) phases() map[string]string {
	all := map[string]string{}
	for _, n := range o.Status.Nodes {
		_, name, _ := strings.Cut(n.Name, ".")
		all[name] = n.Phase
	}
	return all
}

func (s *site) told(id uuid.UUID) told {
	s.t.Helper()
	var o told
	text, err := s.svc.JobObject(s.ctx, s.workspace, id.String())
	if fault.Is(err, fault.Missing) {
		return o // it has not begun
	}
	must(s.t, err)
	must(s.t, json.Unmarshal(text, &o))
	return o
}

// wait waits for the end of a job.
func (s *site) wait(id uuid.UUID) told {
	s.t.Helper()
	eventually(s.t, "the job ends", func() bool {
		phase, err := s.svc.JobStatus(s.ctx, id)
		must(s.t, err)
		return phase.Final()
	})
	return s.told(id)
}

// run runs a job that must succeed.
func (s *site) run(text string, more ...string) told {
	s.t.Helper()
	id := s.submit(text, more...)
	o := s.wait(id)
	if o.Status.Phase != "Succeeded" {
		s.t.Fatalf("%s: %s, %v", o.Status.Phase, o.Status.Message, o.phases())
	}
	return o
}

func (s *site) log(id uuid.UUID, node string) string {
	s.t.Helper()
	var out strings.Builder
	must(s.t, s.svc.JobLog(s.ctx, id, node, &out))
	return out.String()
}

// artifact is the contents of a file of the job's outputs.
func (s *site) artifact(o told, name string) string {
	s.t.Helper()
	for _, a := range o.Status.Outputs.Artifacts {
		if a.Name == name {
			body, _, err := s.bucket.Get(s.ctx, a.S3.Key, 0, -1)
			must(s.t, err)
			defer func() { _ = body.Close() }()
			text, err := io.ReadAll(body)
			must(s.t, err)
			return string(text)
		}
	}
	s.t.Fatalf("no file %s", name)
	return ""
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for pause := time.Millisecond; !is(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		wait := time.NewTimer(pause)
		<-wait.C
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return ""
	}
	must(t, err)
	return string(text)
}

// killStep ends the processes of a step and removes its folder.
func killStep(t testing.TB, folder string) {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(folder, "pid"))))
	must(t, err)
	must(t, syscall.Kill(-pid, syscall.SIGKILL))
	must(t, os.RemoveAll(folder))
}
