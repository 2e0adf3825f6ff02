package kubernetes

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"lodge/internal/apps"
)

// server is an API server that keeps objects, tells watchers of them, and does what a test says. Real
// ones are asked in test/kube.
type server struct {
	t    testing.TB
	http *httptest.Server

	mu       sync.Mutex
	objects  map[string]*unstructured.Unstructured // by resource/name
	count    int
	watchers map[chan []byte]watching
	// fate is the status that a new pod comes to have at once.
	fate func(p *corev1.Pod)
	// refuse answers a request instead of the server; "" lets it pass.
	refuse func(r *http.Request) (code int, reason metav1.StatusReason, message string)
	// answers are for paths that are no resource.
	answers map[string]string
	// linger has pods that are deleted stay until clear.
	linger bool
	// denied are rights that Lodge lacks, as "verb resource".
	denied []string
}

type watching struct {
	resource string
	selector labels.Selector
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, objects: map[string]*unstructured.Unstructured{}, watchers: map[chan []byte]watching{}, fate: runs("10.1.2.3"), answers: map[string]string{
		"/version": `{"gitVersion": "v1.34.4"}`, "/api/v1/namespaces/apps": `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps"}}`,
	}}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		s.drop()
		s.http.Close()
	})
	return s
}

// runs has pods run at an address.
func runs(ip string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.PodIP, p.Status.Phase = ip, corev1.PodRunning
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container, ImageID: "sha256:1", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}
}

// waits has pods wait for a reason.
func waits(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodPending
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
	}
}

// ends has pods end.
func ends(code int32, reason string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodFailed
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}}}
	}
}

// homeless has pods find no node.
func homeless(message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodPending
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message}}
	}
}

func (s *server) driver(change ...func(*Config)) *Driver {
	s.t.Helper()
	cfg := Config{
		Access: &rest.Config{Host: s.http.URL, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeJSON}}, Installation: "0123456789abcdef", Namespace: "apps",
		LodgeNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")},
	}
	for _, c := range change {
		c(&cfg)
	}
	d, err := New(cfg, time.Now, slog.New(slog.NewTextHandler(s.t.Output(), nil)))
	must(s.t, err)
	s.t.Cleanup(func() { must(s.t, d.Close()) })
	return d
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func specFor(id string) apps.Spec {
	return apps.Spec{
		ID: id, Run: 1, App: "test", OwnerID: "owner-ana", Slug: "ana", Hash: "0123", Image: "registry.example.org/x:1", Port: 8080,
		Resources: apps.Resources{CPU: 0.5, Memory: 64 << 20}, Security: apps.SecurityRule{RunAs: "10001"},
	}
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	refuse := s.refuse
	answer, ok := s.answers[r.URL.Path]
	s.mu.Unlock()
	if refuse != nil {
		if code, reason, message := refuse(r); code != 0 {
			fail(w, code, reason, message)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasPrefix(r.URL.Path, "/apis/metrics") && !ok:
		fail(w, 404, metav1.StatusReasonNotFound, "the server could not find the requested resource")
	case ok:
		_, _ = io.WriteString(w, answer)
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		s.review(w, r)
	case r.Method == http.MethodGet && r.URL.Query().Get("watch") == "true":
		s.watch(w, r)
	default:
		s.object(w, r)
	}
}

func fail(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: int32(code), Reason: reason, Message: message})
}

// lists are what the lists of resources say that they are.
var lists = map[string]schema.GroupVersionKind{
	"pods":                   corev1.SchemeGroupVersion.WithKind("PodList"),
	"persistentvolumeclaims": corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaimList"),
	"networkpolicies":        networkingv1.SchemeGroupVersion.WithKind("NetworkPolicyList"),
}

// place takes a path apart: what it is of, and whose name it ends in, if any.
func place(path string) (resource, name string) {
	_, rest, _ := strings.Cut(path, "/namespaces/apps/")
	resource, name, _ = strings.Cut(rest, "/")
	return resource, name
}

func (s *server) object(w http.ResponseWriter, r *http.Request) {
	resource, name := place(r.URL.Path)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := resource + "/" + name
	known := s.objects[key]
	switch {
	case resource == "" || name != "" && known == nil:
		fail(w, 404, metav1.StatusReasonNotFound, "not found")
		return
	case r.Method == http.MethodPost:
		var made unstructured.Unstructured
		must(s.t, json.NewDecoder(r.Body).Decode(&made.Object))
		key += made.GetName()
		if s.objects[key] != nil {
			fail(w, 409, metav1.StatusReasonAlreadyExists, "already exists")
			return
		}
		s.count++
		made.SetUID(types.UID(fmt.Sprint("uid-", s.count)))
		made.SetCreationTimestamp(metav1.Now())
		known = s.keep(resource, &made, "ADDED")
		if resource == "pods" && s.fate != nil {
			known = s.become(known, s.fate)
		}
	case r.Method == http.MethodDelete:
		var o metav1.DeleteOptions
		must(s.t, json.NewDecoder(r.Body).Decode(&o))
		if o.Preconditions != nil && *o.Preconditions.UID != known.GetUID() {
			fail(w, 409, metav1.StatusReasonConflict, "another")
			return
		}
		if s.linger && resource == "pods" {
			known = known.DeepCopy()
			known.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
			s.keep(resource, known, "MODIFIED")
			break
		}
		delete(s.objects, key)
		s.tell(resource, known, "DELETED")
	case name == "":
		selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
		must(s.t, err)
		items := []any{}
		for _, k := range slices.Sorted(maps.Keys(s.objects)) {
			if o := s.objects[k]; strings.HasPrefix(k, key) && selector.Matches(labels.Set(o.GetLabels())) {
				items = append(items, o.Object)
			}
		}
		known = &unstructured.Unstructured{Object: map[string]any{"kind": lists[resource].Kind, "apiVersion": lists[resource].GroupVersion().String(), "metadata": map[string]any{"resourceVersion": fmt.Sprint(s.count)}, "items": items}}
	}
	_ = json.NewEncoder(w).Encode(known.Object)
}

// keep stores an object under a new version, and tells of it. The caller holds the lock.
func (s *server) keep(resource string, o *unstructured.Unstructured, how string) *unstructured.Unstructured {
	s.count++
	o.SetResourceVersion(fmt.Sprint(s.count))
	s.objects[resource+"/"+o.GetName()] = o
	s.tell(resource, o, how)
	return o
}

// become gives a pod another status. The caller holds the lock.
func (s *server) become(o *unstructured.Unstructured, fate func(*corev1.Pod)) *unstructured.Unstructured {
	var p corev1.Pod
	must(s.t, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &p))
	p.Status = corev1.PodStatus{}
	fate(&p)
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&p)
	must(s.t, err)
	fields["kind"], fields["apiVersion"] = "Pod", "v1"
	return s.keep("pods", &unstructured.Unstructured{Object: fields}, "MODIFIED")
}

// change lets a test change the server while it serves.
func (s *server) change(how func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how()
}

// all has every pod become something.
func (s *server) all(fate func(*corev1.Pod)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, o := range maps.Clone(s.objects) {
		if strings.HasPrefix(key, "pods/") {
			s.become(o, fate)
		}
	}
}

// clear removes every pod, as somebody else would.
func (s *server) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, o := range maps.Clone(s.objects) {
		if strings.HasPrefix(key, "pods/") {
			delete(s.objects, key)
			s.tell("pods", o, "DELETED")
		}
	}
}

// names are those of the objects of a resource.
func (s *server) names(resource string) (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.objects {
		if name, ok := strings.CutPrefix(key, resource+"/"); ok {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

func (s *server) tell(resource string, o *unstructured.Unstructured, how string) {
	line, err := json.Marshal(map[string]any{"type": how, "object": o.Object})
	must(s.t, err)
	for c, w := range s.watchers {
		if w.resource == resource && w.selector.Matches(labels.Set(o.GetLabels())) {
			c <- line
		}
	}
}

func (s *server) watch(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		fail(w, 422, metav1.StatusReasonInvalid, "only lists say what there is")
		return
	}
	resource, _ := place(r.URL.Path)
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	must(s.t, err)
	c := make(chan []byte, 100)
	s.mu.Lock()
	s.watchers[c] = watching{resource, selector}
	s.mu.Unlock()
	w.(http.Flusher).Flush()
	for {
		select {
		case <-r.Context().Done():
			s.mu.Lock()
			delete(s.watchers, c)
			s.mu.Unlock()
			return
		case line, ok := <-c:
			if !ok {
				return
			}
			_, _ = fmt.Fprintf(w, "%s\n", line)
			w.(http.Flusher).Flush()
		}
	}
}

// drop ends every watch, and gives how many there were.
func (s *server) drop() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.watchers)
	for c := range s.watchers {
		close(c)
	}
	clear(s.watchers)
	return n
}

func (s *server) watched(resource string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(slices.Collect(maps.Values(s.watchers)), func(w watching) bool { return w.resource == resource })
}

func (s *server) review(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Spec struct {
			ResourceAttributes struct{ Verb, Resource, Namespace string }
		}
	}
	must(s.t, json.NewDecoder(r.Body).Decode(&asked))
	a := asked.Spec.ResourceAttributes
	s.mu.Lock()
	defer s.mu.Unlock()
	allowed := a.Namespace == "apps" && !slices.Contains(s.denied, a.Verb+" "+a.Resource)
	_, _ = fmt.Fprintf(w, `{"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": {}, "status": {"allowed": %v}}`, allowed)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
