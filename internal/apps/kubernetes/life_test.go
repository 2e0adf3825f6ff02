package kubernetes

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// Whoever starts the same run gets the same pod, at once or after one another, in this process or in
// another; a later run takes its place, an earlier one does not.
func TestOneStart(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	replicas := []*Driver{s.driver(), s.driver()}
	spec := specFor("11111111-0000")
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			inst, err := replicas[i%2].Start(t.Context(), spec, nil)
			if err != nil || inst.Address != "10.1.2.3:8080" || inst.Run != 1 || inst.App != "test" || inst.OwnerID != "owner-ana" || inst.Hash != "0123" || inst.Exit != nil {
				t.Errorf("Start = %+v, %v", inst, err)
			}
		})
	}
	group.Wait()
	if pods, policies := s.names("pods"), s.names("networkpolicies"); len(pods) != 1 || pods[0] != "lodge-11111111-test-ana" || len(policies) != 1 {
		t.Fatalf("pods %v, policies %v", pods, policies)
	}
	d := replicas[0]
	later := spec
	later.Run = 2
	inst, err := d.Start(t.Context(), later, nil)
	must(t, err)
	if list, err := d.List(t.Context()); inst.Run != 2 || err != nil || len(list) != 1 {
		t.Errorf("after a later run: %+v, %v", list, err)
	}
	if _, err := d.Start(t.Context(), spec, nil); !fault.Is(err, fault.Conflict) {
		t.Errorf("an earlier run: %v", err)
	}
	must(t, d.Stop(t.Context(), spec.ID, 1, 0))
	if _, err := d.Look(t.Context(), spec.ID); err != nil {
		t.Errorf("stopping an earlier run ended a later one: %v", err)
	}
	for range 2 {
		must(t, d.Stop(t.Context(), spec.ID, 2, 0))
	}
	if _, err := d.Look(t.Context(), spec.ID); !fault.Is(err, fault.Missing) || len(s.names("networkpolicies")) != 0 {
		t.Errorf("after the stop: %v, policies %v", err, s.names("networkpolicies"))
	}
}

// A pod that somebody removes is there while it runs, gone once it has ended, and out of the way of
// the next one only then.
func TestAPodThatGoes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.linger = true
	d := s.driver()
	spec := specFor("11111111-0000")
	_, err := d.Start(t.Context(), spec, nil)
	must(t, err)
	stopped := make(chan error, 1)
	go func() { stopped <- s.driver().Stop(t.Context(), spec.ID, 1, time.Second) }()
	eventually(t, "the pod goes", func() bool {
		p, err := d.find(t.Context(), spec.ID)
		return err == nil && going(p)
	})
	if inst, err := d.Look(t.Context(), spec.ID); err != nil || inst.Address == "" {
		t.Errorf("while it runs Look = %+v, %v", inst, err)
	}
	s.all(ends(0, "Completed"))
	if _, err := d.Look(t.Context(), spec.ID); !fault.Is(err, fault.Missing) {
		t.Errorf("when it has ended Look = %v", err)
	}
	if list, err := d.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("when it has ended List = %v, %v", list, err)
	}
	again := make(chan error, 1)
	go func() {
		next := spec
		next.Run = 2
		inst, err := d.Start(t.Context(), next, nil)
		if err == nil && inst.Run != 2 {
			t.Errorf("the next start = %+v", inst)
		}
		again <- err
	}()
	select {
	case err := <-again:
		t.Errorf("the next start did not wait: %v", err)
	case err := <-stopped:
		t.Errorf("the stop did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.change(func() { s.linger = false })
	s.clear()
	must(t, <-stopped)
	must(t, <-again)
}

func TestWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d, other := s.driver(), s.driver(func(c *Config) { c.Installation = "another" })
	spec := specFor("11111111-0000")
	_, err := d.Start(t.Context(), spec, nil)
	must(t, err)
	if list, err := other.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("another installation lists %v, %v", list, err)
	}
	must(t, other.Stop(t.Context(), spec.ID, 1<<40, 0))
	if _, err := other.Start(t.Context(), spec, nil); !fault.Is(err, fault.Conflict) {
		t.Errorf("another's pod was taken over: %v", err)
	}
	if _, err := d.Look(t.Context(), spec.ID); err != nil {
		t.Error(err)
	}
}

// What cannot come up says why, and leaves nothing; what only waits for room keeps its place.
func TestStartsThatFail(t *testing.T) {
	t.Parallel()
	forbidden := func(message string) func(*http.Request) (int, metav1.StatusReason, string) {
		return func(r *http.Request) (int, metav1.StatusReason, string) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pods") {
				return 403, metav1.StatusReasonForbidden, `pods "x" is forbidden: ` + message
			}
			return 0, "", ""
		}
	}
	for name, x := range map[string]struct {
		fate   func(*corev1.Pod)
		refuse func(*http.Request) (int, metav1.StatusReason, string)
		kind   fault.Kind
		says   string
		stays  bool
	}{
		"no such image":    {fate: waits("ErrImagePull", "manifest unknown"), kind: fault.Missing, says: "has no image registry.example.org/x:1"},
		"no such name":     {fate: waits("InvalidImageName", "couldn't parse"), kind: fault.Missing, says: "couldn't parse"},
		"never fetched":    {fate: waits("ErrImageNeverPull", "not present with pull policy of Never"), kind: fault.Missing, says: "Never"},
		"not for us":       {fate: waits("ImagePullBackOff", "pull access denied"), kind: fault.Missing, says: "for us"},
		"registry away":    {fate: waits("ErrImagePull", "dial tcp: i/o timeout"), says: "fetch the image registry.example.org/x:1: dial tcp: i/o timeout"},
		"root":             {fate: waits("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"), kind: fault.Invalid, says: "as root"},
		"no such program":  {fate: ends(128, "StartError"), kind: fault.Invalid, says: "cannot be started"},
		"no such runtime":  {fate: waits("CreateContainerError", "no runtime"), kind: fault.Invalid, says: "no runtime"},
		"no room":          {fate: homeless("0/3 nodes are available: 3 Insufficient memory."), kind: fault.Exhausted, says: "Insufficient memory", stays: true},
		"a quota":          {refuse: forbidden("exceeded quota: apps, requested: cpu=1"), kind: fault.Exhausted, says: "quota"},
		"the site's rules": {refuse: forbidden(`violates PodSecurity "restricted:latest"`), kind: fault.Invalid, says: "violates PodSecurity"},
		"no right":         {refuse: forbidden(`User "lodge" cannot create resource "pods"`), says: "lacks the right"},
		"the wrong place":  {fate: runs("10.9.0.1"), kind: fault.Invalid, says: "trusted proxy"},
		"within our own":   {fate: runs("192.0.2.1"), kind: fault.Invalid, says: "lodge_networks"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.fate, s.refuse = x.fate, x.refuse
			d := s.driver(func(c *Config) { c.Trusted = []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")} })
			var mu sync.Mutex
			now := time.Now()
			d.now = func() time.Time { // time flies
				mu.Lock()
				defer mu.Unlock()
				now = now.Add(3 * time.Second)
				return now
			}
			spec := specFor("11111111-0000")
			err := d.Prepare(t.Context(), spec, nil)
			if err == nil || x.kind != 0 && !fault.Is(err, x.kind) || !strings.Contains(err.Error(), x.says) {
				t.Errorf("Prepare = %v, want %v: %s", err, x.kind, x.says)
			}
			if x.kind == 0 && (fault.Is(err, fault.Missing) || fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Invalid)) {
				t.Errorf("Prepare = %v, which has a kind", err)
			}
			if left := len(s.names("pods")) + len(s.names("networkpolicies")); (left > 0) != x.stays {
				t.Errorf("it leaves %v and %v", s.names("pods"), s.names("networkpolicies"))
			}
			if !x.stays {
				return
			}
			// Once there is room, the same pod is the one that comes up.
			s.all(runs("10.1.2.3"))
			if inst, err := d.Start(t.Context(), spec, nil); err != nil || inst.Address == "" || len(s.names("pods")) != 1 {
				t.Errorf("with room Start = %+v, %v", inst, err)
			}
		})
	}
}

// A start hears of what becomes of its pod, and a pod that goes meanwhile ends it.
func TestAStartWaits(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.fate = waits("ContainerCreating", "")
	d := s.driver()
	var mu sync.Mutex
	var steps []string
	report := func(step apps.Step) {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, step.Name+": "+step.Message)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := d.Start(t.Context(), specFor("11111111-0000"), report)
		answer <- err
	}()
	eventually(t, "its pod and the events are watched", func() bool { return s.watched("pods") && s.watched("events") })
	s.change(func() {
		for c, w := range s.watchers {
			if w.resource == "events" {
				c <- []byte(`{"type": "ADDED", "object": {"kind": "Event", "apiVersion": "v1", "metadata": {"name": "x"}, "reason": "Pulling"}}`)
			}
		}
	})
	eventually(t, "the step is told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(steps) == 2 && steps[0] == "image: Asking the cluster for a place" && steps[1] == "image: Fetching the image"
	})
	s.all(runs("10.1.2.3"))
	must(t, <-answer)

	go func() {
		_, err := d.Start(t.Context(), specFor("22222222-0000"), nil)
		answer <- err
	}()
	eventually(t, "the second pod is there", func() bool { return len(s.names("pods")) == 2 })
	s.clear()
	if err := <-answer; err == nil || !strings.Contains(err.Error(), "removed while it started") {
		t.Errorf("a pod that went: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := d.Start(ctx, specFor("33333333-0000"), nil)
		answer <- err
	}()
	eventually(t, "the third pod is there", func() bool { return len(s.names("pods")) == 1 })
	cancel()
	if err := <-answer; err == nil {
		t.Error("a start that was cancelled went well")
	}
	must(t, d.Stop(t.Context(), "33333333-0000", 1, 0))
	if len(s.names("pods"))+len(s.names("networkpolicies")) > 1 { // the policy of the pod that somebody removed is for the collector
		t.Errorf("left: %v, %v", s.names("pods"), s.names("networkpolicies"))
	}
}

// Deaths are told, also those that happen while the watch is lost, and also removals.
func TestALostWatch(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.driver()
	for _, id := range []string{"11111111-0000", "22222222-0000"} {
		_, err := d.Start(t.Context(), specFor(id), nil)
		must(t, err)
	}
	var mu sync.Mutex
	told := map[string]int{}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(told)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := d.Watch(ctx, func(id string) {
			mu.Lock()
			defer mu.Unlock()
			told[id]++
		}); err != nil {
			t.Error(err)
		}
	})
	defer watching.Wait()
	defer cancel()
	eventually(t, "the pods are watched", func() bool { return s.watched("pods") })
	// The server answers nobody; meanwhile one pod ends and the other goes.
	s.change(func() {
		s.refuse = func(*http.Request) (int, metav1.StatusReason, string) {
			return 503, metav1.StatusReasonServiceUnavailable, "away"
		}
	})
	s.drop()
	if _, err := d.Look(t.Context(), "11111111-0000"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Look while the server is away = %v", err)
	}
	s.change(func() {
		for key, o := range maps.Clone(s.objects) {
			if strings.HasPrefix(key, "pods/lodge-1111") {
				s.become(o, ends(3, "Error"))
			} else if strings.HasPrefix(key, "pods/") {
				delete(s.objects, key)
			}
		}
		s.refuse = nil
	})
	eventually(t, "both are told of", func() bool { return count() == 2 })
	inst, err := d.Look(t.Context(), "11111111-0000")
	if err != nil || inst.Exit == nil || *inst.Exit.Code != 3 || inst.Address != "" {
		t.Errorf("Look = %+v, %v", inst, err)
	}
	if _, err := d.Look(t.Context(), "22222222-0000"); !fault.Is(err, fault.Missing) {
		t.Errorf("Look of what went = %v", err)
	}
	// Another watch begins with what has ended already.
	first := make(chan string, 1)
	second, enough := context.WithCancel(t.Context())
	watching.Go(func() { _ = s.driver().Watch(second, func(id string) { first <- id }) })
	if id := <-first; id != "11111111-0000" {
		t.Errorf("it begins with %s", id)
	}
	enough()
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.driver()
	s.http.Close()
	_, look := d.Look(t.Context(), "x")
	_, list := d.List(t.Context())
	_, health := d.Health(t.Context())
	_, start := d.Start(t.Context(), specFor("11111111-0000"), nil)
	for what, err := range map[string]error{
		"Look": look, "List": list, "Health": health, "Start": start, "Prepare": d.Prepare(t.Context(), specFor("x"), nil),
		"Stop": d.Stop(t.Context(), "x", 1, 0), "Forget": d.Forget(t.Context(), "x"),
	} {
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s = %v, want something unavailable", what, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Look(ctx, "x"); err == nil || fault.Is(err, fault.Unavailable) {
		t.Errorf("after the caller's end Look = %v", err)
	}
}

func TestLogsAndStats(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.driver()
	now := time.Now()
	d.now = func() time.Time { now = now.Add(time.Second); return now }
	_, err := d.Start(t.Context(), specFor("11111111-0000"), nil)
	must(t, err)
	s.change(func() { s.answers["/api/v1/namespaces/apps/pods/lodge-11111111-test-ana/log"] = "one\ntwo\n" })
	r, err := d.Logs(t.Context(), "11111111-0000", 2, false)
	must(t, err)
	text, err := io.ReadAll(r)
	must(t, err)
	if string(text) != "one\ntwo\n" {
		t.Errorf("the log is %q", text)
	}
	if _, err := d.Stats(t.Context(), "11111111-0000"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a metrics server Stats = %v", err)
	}
	const busy = `{"containers": [{"name": "app", "usage": {"cpu": "500m", "memory": "20Mi"}}, {"name": "other", "usage": {"cpu": "9", "memory": "9Gi"}}]}`
	s.change(func() { s.answers["/apis/metrics.k8s.io/v1beta1/namespaces/apps/pods/lodge-11111111-test-ana"] = busy })
	for _, want := range []time.Duration{0, 500 * time.Millisecond, time.Second} {
		stats, err := d.Stats(t.Context(), "11111111-0000")
		if err != nil || stats.CPU != want || stats.Memory != 20<<20 {
			t.Errorf("Stats = %+v, %v; want %s", stats, err, want)
		}
	}
	if _, err := d.Stats(t.Context(), "x"); !fault.Is(err, fault.Missing) {
		t.Errorf("Stats of nothing = %v", err)
	}
}

// What Lodge lacks in its cluster is said with what helps.
func TestHealth(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h, err := s.driver().Health(t.Context())
	if err != nil || h.Version != "1.34.4" || !strings.Contains(h.Enforced["egress"], "plug-in") || len(h.Warnings) != 1 {
		t.Errorf("Health = %+v, %v", h, err)
	}
	s.change(func() { s.denied = []string{"create pods", "watch pods", "patch networkpolicies"} })
	_, err = s.driver().Health(t.Context())
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(fmt.Sprint(err), "namespace apps: create pods, watch pods, patch networkpolicies. deploy/kubernetes/lodge-apps.yaml") {
		t.Errorf("without rights Health = %v", err)
	}
	s.change(func() { delete(s.answers, "/api/v1/namespaces/apps") })
	if _, err = s.driver().Health(t.Context()); !fault.Is(err, fault.Unavailable) || !strings.Contains(fmt.Sprint(err), "has no namespace apps") {
		t.Errorf("without a namespace Health = %v", err)
	}
	s.change(func() {
		s.denied = nil
		s.refuse = func(r *http.Request) (int, metav1.StatusReason, string) {
			if strings.HasSuffix(r.URL.Path, "/namespaces/apps") {
				return 403, metav1.StatusReasonForbidden, "no"
			}
			return 0, "", ""
		}
	})
	d := s.driver()
	if _, err = d.Health(t.Context()); err != nil {
		t.Errorf("who may not look at the namespace has Health = %v", err)
	}
	// Rights that are there are not asked for each time.
	s.change(func() { s.denied = []string{"create pods"} })
	if _, err = d.Health(t.Context()); err != nil {
		t.Errorf("a moment later Health = %v", err)
	}
	at := d.now()
	d.now = func() time.Time { return at.Add(2 * sureFor) }
	if _, err = d.Health(t.Context()); err == nil {
		t.Error("that a right was lost goes unseen")
	}
}
