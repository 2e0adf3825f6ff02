package kubernetes

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	fakedynamic "k8s.io/client-go/dynamic/fake"
	fakecore "k8s.io/client-go/kubernetes/fake"

	"lodge/internal/access"
	"lodge/internal/audit"
	"lodge/internal/bus"
	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/objects"
	"lodge/internal/work"
	"lodge/internal/workflows"
	"lodge/internal/workflows/spec"
)

// site is the workflows part with a cluster that only remembers: the test plays Argo's controller.
type site struct {
	t      testing.TB
	ctx    context.Context
	db     *database.DB
	svc    *workflows.Service
	engine *Engine
	stop   func()

	mu      sync.Mutex
	version int
	// logs are what pods have written; one that is not there is gone.
	logs map[string]string
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lasting is what outlives a server.
type lasting struct {
	db      *database.DB
	objects *fakedynamic.FakeDynamicClient
	core    *fakecore.Clientset
}

func newCluster(t testing.TB) lasting {
	kinds := map[schema.GroupVersionResource]string{workflowResource(): "WorkflowList"}
	return lasting{databasetest.SQLite(t), fakedynamic.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds), fakecore.NewClientset()}
}

func newSite(t testing.TB, c lasting, change ...func(*Config)) *site {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	files, err := objects.OpenFiles(t.TempDir(), log)
	must(t, err)
	t.Cleanup(func() { must(t, files.Close()) })
	b, err := bus.Open(bus.Config{}, log)
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	queue := work.NewQueue(c.db, b, time.Now, log)
	sealed := audit.New(c.db, queue, ed25519.NewKeyFromSeed(make([]byte, 32)), time.Now, log)
	acc := access.New(c.db, b, func(context.Context, *database.Tx, string, string, string) error { return nil }, workflows.Actions(), time.Now, log)
	cfg := Config{Installation: "here", Keep: 100_000 * time.Hour}
	for _, set := range change {
		set(&cfg)
	}
	s := &site{t: t, db: c.db, logs: map[string]string{}}
	s.engine = newEngine(cfg, c.objects, c.core, queue, time.Now, log)
	s.engine.open = s.open
	key, err := workflows.NewSecretKey(make([]byte, 32))
	must(t, err)
	s.svc, err = workflows.New(workflows.Config{SecretKey: key, Places: s.engine}, c.db, files, queue, b, acc, sealed, s.engine, time.Now, log)
	must(t, err)
	s.engine.Attach(s.svc)
	must(t, queue.Inherit(t.Context()))
	must(t, s.svc.FirstWorkspace(t.Context(), "w", "r"))
	s.ctx = access.WithCaller(t.Context(), &access.Caller{Name: "test", Admin: true})
	running, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	for _, run := range []func(context.Context) error{s.svc.Run, s.engine.Run} {
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

func (s *site) open(_ context.Context, _, pod string, _ bool) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.logs[pod]
	if !ok {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, pod)
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

// pod says how a pod is.
func (s *site) pod(name string, phase corev1.PodPhase) {
	s.t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "w", Name: name}, Status: corev1.PodStatus{Phase: phase}}
	pods := s.engine.core.CoreV1().Pods("w")
	if _, err := pods.Create(s.ctx, p, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
		_, err = pods.Update(s.ctx, p, metav1.UpdateOptions{})
		must(s.t, err)
	}
}

// write makes a pod's log.
func (s *site) write(pod, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs[pod] = text
}

const brick = `{"type":"component","uid":"00000000-0000-4000-8000-000000000001","inputs":[{"name":"x","type":"parameter"}],"outputs":[{"name":"o","type":"parameter"}],
	"implementation":{"type":"brick","container":{"name":"c","image":"busybox","command":["sh"]},
	"args":[{"source":{"port":"x"},"target":{"type":"parameter"}}],"results":[{"source":{"file":"/tmp/o"},"target":{"port":"o"}}]}}`

func (s *site) submit() uuid.UUID {
	s.t.Helper()
	j, options, findings := spec.JobRequest([]byte(`{"job":{"type":"job","inputValues":[{"target":"x","value":"7"}],
		"workflow":{"type":"workflow","name":"w","workspace":"w","component":` + brick + `}}}`))
	if len(findings) > 0 {
		s.t.Fatal(findings)
	}
	must(s.t, s.svc.Submit(s.ctx, j, options))
	return j.UID
}

// object waits for a job's Workflow.
func (s *site) object(job uuid.UUID) (u *unstructured.Unstructured) {
	s.t.Helper()
	s.eventually("the Workflow is there", func() bool {
		var err error
		u, err = s.engine.in("w").Get(s.ctx, job.String(), metav1.GetOptions{})
		return err == nil
	})
	return u
}

// play writes a status, as a controller does.
func (s *site) play(job uuid.UUID, status string) {
	s.t.Helper()
	u := s.object(job)
	var made map[string]any
	must(s.t, json.Unmarshal([]byte(strings.ReplaceAll(status, "JOB", job.String())), &made))
	u.Object["status"] = made
	s.update(u)
}

func (s *site) update(u *unstructured.Unstructured) {
	s.t.Helper()
	s.mu.Lock()
	s.version++
	u.SetResourceVersion(strconv.Itoa(s.version))
	s.mu.Unlock()
	_, err := s.engine.in("w").Update(s.ctx, u, metav1.UpdateOptions{})
	must(s.t, err)
}

func (s *site) phase(job uuid.UUID) workflows.Phase {
	s.t.Helper()
	p, err := s.svc.JobStatus(s.ctx, job)
	must(s.t, err)
	return p
}

func (s *site) becomes(job uuid.UUID, phase workflows.Phase) {
	s.t.Helper()
	s.eventually("the job is "+string(phase), func() bool { return s.phase(job) == phase })
}

// log is what is kept of a node's log.
func (s *site) log(job uuid.UUID, node string) string {
	s.t.Helper()
	var text strings.Builder
	must(s.t, s.svc.JobLog(s.ctx, job, node, &text))
	return text.String()
}

// patience for what must happen soon, on a busy machine.
const longest = 20 * time.Second

func (s *site) eventually(what string, is func() bool) {
	s.t.Helper()
	eventually(s.t, what, is)
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(longest)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", longest, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
