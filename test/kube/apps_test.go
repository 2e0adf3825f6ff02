//go:build kube

package kube

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lodge/internal/apps"
	"lodge/internal/apps/kubernetes"
	"lodge/internal/cluster"
	"lodge/internal/drivertest"
	"lodge/internal/fault"
)

const (
	testApp = "lodge.test/testapp:1"
	demoApp = "lodge.test/demo:1"
)

// host is where the tests, and Lodge in them, connect from.
const host = "10.213.0.1/32"

// appSite is a namespace for apps, made as a site makes it: by the file in deploy, and with the rights
// of its role alone.
type appSite struct {
	caller
	namespace string
	// kubeconfig is how Lodge logs in.
	kubeconfig string
}

func newAppSite(t testing.TB) appSite {
	t.Helper()
	c := admin(t)
	var made object
	c.do(http.MethodPost, "/api/v1/namespaces", `{"metadata":{"generateName":"apps-"}}`, &made)
	s := appSite{c, made.Metadata.Name, filepath.Join(t.TempDir(), "kubeconfig")}
	t.Cleanup(func() { _, _ = c.try(http.MethodDelete, s.path("", "namespaces", s.namespace), nil, nil) })
	text, err := os.ReadFile("../../deploy/kubernetes/lodge-apps.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(strings.ReplaceAll(string(text), "lodge-apps", s.namespace), "\n---\n") {
		switch {
		case strings.Contains(document, "kind: Namespace\n"):
			c.do(http.MethodPatch, "/api/v1/namespaces/"+s.namespace, map[string]any{"metadata": map[string]any{"labels": map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}, nil)
		case strings.Contains(document, "kind: ServiceAccount\nmetadata"):
			c.do(http.MethodPost, s.path("", "serviceaccounts"), document, nil)
		case strings.Contains(document, "kind: Role\nmetadata"):
			c.do(http.MethodPost, s.path("rbac.authorization.k8s.io", "roles"), document, nil)
		case strings.Contains(document, "kind: RoleBinding\n"):
			c.do(http.MethodPost, s.path("rbac.authorization.k8s.io", "rolebindings"), document, nil)
		default:
			t.Fatalf("what is this?\n%s", document)
		}
	}
	var answer struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	c.do(http.MethodPost, s.path("", "serviceaccounts", "lodge", "token"), "{spec: {expirationSeconds: 3600}}", &answer)
	config := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}]\n"+
		"users: [{name: u, user: {token: %q}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\n",
		address, filepath.Join(theSite.folder, "pki", "apiserver.crt"), answer.Status.Token)
	if err := os.WriteFile(s.kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	lodge := caller{t, answer.Status.Token}
	eventually(t, "the role", func() bool {
		_, err := lodge.try(http.MethodGet, s.path("", "pods"), nil, nil)
		return err == nil
	})
	return s
}

// path is where the API server has something of the namespace.
func (s appSite) path(group, resource string, more ...string) string {
	base := "/api/v1"
	if group != "" {
		base = "/apis/" + group + "/v1"
	}
	if resource != "namespaces" {
		base += "/namespaces/" + s.namespace
	}
	return strings.Join(append([]string{base, resource}, more...), "/")
}

// open opens a driver of an installation.
func (s appSite) open(t testing.TB, installation string, change ...func(*kubernetes.Config)) *kubernetes.Driver {
	t.Helper()
	access, err := cluster.Place{Kubeconfig: s.kubeconfig}.Access()
	if err != nil {
		t.Fatal(err)
	}
	cfg := kubernetes.Config{
		Access: access, Installation: installation, Namespace: s.namespace, Pull: kubernetes.PullNever,
		LodgeNetworks: []netip.Prefix{netip.MustParsePrefix(host)},
	}
	for _, c := range change {
		c(&cfg)
	}
	d, err := kubernetes.New(cfg, time.Now, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func specFor(behaviour string) apps.Spec {
	return apps.Spec{
		Image: testApp, Command: []apps.Filled{apps.Filled(behaviour)}, Port: 8080,
		Resources: apps.Resources{CPU: 0.5, CPURequest: 0.02, Memory: 64 << 20, MemoryRequest: 16 << 20, PIDs: 64}, Security: apps.SecurityRule{RunAs: "10001"},
	}
}

// The suite that every driver of apps passes, with the rights of the role in deploy and no more, in a
// namespace that takes restricted pods only.
func TestAppDriver(t *testing.T) {
	s := newAppSite(t)
	drivertest.Apps(t, drivertest.AppsFixture{
		Open:       func(t testing.TB, installation string) apps.Driver { return s.open(t, installation) },
		Spec:       specFor,
		Unmeasured: true, // this cluster has no metrics server
	})
}

// bench is an installation with its driver.
type bench struct {
	appSite
	*kubernetes.Driver
}

func newBench(t testing.TB, change ...func(*kubernetes.Config)) bench {
	t.Helper()
	s := newAppSite(t)
	return bench{s, s.open(t, "test"+uuid.NewString()[:8], change...)}
}

// spec is one for somebody, which is stopped when the test ends.
func (b bench) spec(slug, behaviour string, change ...func(*apps.Spec)) apps.Spec {
	s := specFor(behaviour)
	s.ID, s.Run, s.App, s.OwnerID, s.Slug, s.Hash = uuid.NewString(), 1, "test", "owner-"+slug, slug, "0123"
	for _, c := range change {
		c(&s)
	}
	b.t.Cleanup(func() {
		if err := b.Stop(context.Background(), s.ID, 1<<40, 0); err != nil {
			b.t.Error(err)
		}
	})
	return s
}

// started starts an app of somebody.
func (b bench) started(slug, behaviour string, change ...func(*apps.Spec)) (apps.Spec, apps.Instance) {
	b.t.Helper()
	s := b.spec(slug, behaviour, change...)
	inst, err := b.Start(b.t.Context(), s, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return s, inst
}

// code is how an app ends.
func (b bench) code(slug, behaviour string, change ...func(*apps.Spec)) int {
	b.t.Helper()
	s, inst := b.started(slug, behaviour, change...)
	eventually(b.t, "the end of "+behaviour, func() bool {
		var err error
		inst, err = b.Look(b.t.Context(), s.ID)
		return err == nil && inst.Exit != nil
	})
	return *inst.Exit.Code
}

// count is how many objects of a kind the namespace has.
func (s appSite) count(group, resource string) int {
	s.t.Helper()
	var list struct {
		Items []struct{} `json:"items"`
	}
	s.get(s.path(group, resource), &list)
	return len(list.Items)
}

// Inspected as it runs: a pod has what its entry says, and no more; and the kernel sees to it.
func TestAppPodMayLittle(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s, inst := b.started("ana", "serve")
	var p struct {
		Metadata struct {
			Name   string
			Labels map[string]string
		}
		Spec corev1.PodSpec
	}
	b.get(b.path("", "pods", strings.TrimPrefix(inst.Ref, "pod "+b.namespace+"/")), &p)
	c := p.Spec.Containers[0]
	if p.Spec.HostNetwork || p.Spec.HostPID || p.Spec.HostIPC || *p.Spec.AutomountServiceAccountToken || *p.Spec.EnableServiceLinks || !*p.Spec.SecurityContext.RunAsNonRoot ||
		*p.Spec.SecurityContext.RunAsUser != 10001 || p.Spec.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || p.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("it may too much: %+v", p.Spec)
	}
	if may := c.SecurityContext; *may.Privileged || *may.AllowPrivilegeEscalation || !*may.ReadOnlyRootFilesystem || len(may.Capabilities.Add) > 0 || may.Capabilities.Drop[0] != "ALL" {
		t.Errorf("its container may too much: %+v", may)
	}
	equal(t, "memory", c.Resources.Limits.Memory().String(), "64Mi")
	equal(t, "cores", c.Resources.Limits.Cpu().String(), "500m")
	for label, want := range map[string]string{"session": s.ID, "run": "1", "app": "test", "owner": "owner-ana", "user": "ana", "spec": "0123"} {
		equal(t, "label "+label, p.Metadata.Labels["lodge/"+label], want)
	}
	equal(t, "name", p.Metadata.Name, "lodge-"+s.ID[:8]+"-test-ana")
	var policy struct{ Metadata metav1.ObjectMeta }
	b.get(b.path("networking.k8s.io", "networkpolicies", p.Metadata.Name), &policy)
	equal(t, "the policy's owner", policy.Metadata.OwnerReferences[0].Name, p.Metadata.Name)

	for behaviour, want := range map[string]int{"write:/new": 4, "write:/tmp/new": 0, "read:/var/run/secrets/kubernetes.io/serviceaccount/token": 4} {
		equal(t, behaviour, b.code("ana", behaviour), want)
	}
	// What the namespace's rule does not allow, the cluster refuses, and nothing is left of it.
	_, err := b.Start(t.Context(), b.spec("ana", "serve", func(s *apps.Spec) { s.Security.CapAdd = []string{"CHOWN"} }), nil)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Errorf("a capability: %v", err)
	}
	equal(t, "policies", b.count("networking.k8s.io", "networkpolicies"), b.count("", "pods"))
}

// A person's volume is theirs in every app and outlives it, one of an app session goes with it, and
// one that the site has made is mounted by its name.
func TestAppVolumes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.do(http.MethodPost, b.path("", "persistentvolumeclaims"), "{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}", nil)
	with := func(s *apps.Spec) {
		s.Volumes = []apps.Volume{
			{Name: "home", Path: "/home/user", Per: "user", Size: 1 << 20},
			{Name: "scratch", Path: "/scratch", Per: "session", Size: 1 << 20},
			{Name: "data", Path: "/data", Source: "claim:data", ReadOnly: true},
		}
	}
	equal(t, "writing a note", b.code("ana", "write:/home/user/note", with), 0)
	equal(t, "reading it", b.code("ana", "read:/home/user/note", with), 0)
	equal(t, "ben's reading ana's", b.code("ben", "read:/home/user/note", with), 4)
	equal(t, "writing where it may only read", b.code("ana", "write:/data/x", with), 4)
	s, _ := b.started("ana", "serve", with)
	before := b.count("", "persistentvolumeclaims")
	if err := b.Stop(t.Context(), s.ID, 1, time.Second); err != nil {
		t.Fatal(err)
	}
	equal(t, "claims after a stop", b.count("", "persistentvolumeclaims"), before)
	if err := b.Forget(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its own volume is gone", func() bool { return b.count("", "persistentvolumeclaims") == before-1 })
}

// What cannot run says why, in the kind that a start acts on.
func TestAppsThatCannotRun(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *kubernetes.Config) { c.Pull = kubernetes.PullMissing })
	greedy, inst := b.started("ana", "greedy")
	eventually(t, "it was ended for its memory", func() bool {
		var err error
		inst, err = b.Look(t.Context(), greedy.ID)
		return err == nil && inst.Exit != nil
	})
	if !inst.Exit.OOM {
		t.Errorf("it ended %s", inst.Exit)
	}
	large := b.spec("ana", "serve", func(s *apps.Spec) { s.Resources.Memory, s.Resources.MemoryRequest = 1<<50, 1<<50 })
	if err := b.Prepare(t.Context(), large, nil); !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "Insufficient memory") {
		t.Errorf("more memory than there is: %v", err)
	}
	if inst, err := b.Look(t.Context(), large.ID); err != nil || inst.Address != "" || inst.Exit != nil {
		t.Errorf("what waits for room is %+v, %v", inst, err)
	}
	// There is no registry here, nor a way to one: that is no missing image, and may be better next time.
	far := b.spec("ana", "serve", func(s *apps.Spec) { s.Image = "registry.invalid/x:1" })
	if err := b.Prepare(t.Context(), far, nil); err == nil || fault.Is(err, fault.Missing) || fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "fetch the image registry.invalid/x:1") {
		t.Errorf("a registry that cannot be reached: %v", err)
	}
	unnamed := b.spec("ana", "serve", func(s *apps.Spec) { s.Image = "UPPER/case" })
	if err := b.Prepare(t.Context(), unnamed, nil); !fault.Is(err, fault.Missing) {
		t.Errorf("no image's name: %v", err)
	}
	for what, spec := range map[string]apps.Spec{"far": far, "unnamed": unnamed} {
		if _, err := b.Look(t.Context(), spec.ID); !fault.Is(err, fault.Missing) {
			t.Errorf("%s leaves its pod: %v", what, err)
		}
	}
	if _, err := b.Start(t.Context(), b.spec("ana", "serve", func(s *apps.Spec) { s.Image = busybox; s.Security.RunAs = "image" }), nil); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "root") {
		t.Errorf("an image of root's: %v", err)
	}
	b.do(http.MethodPost, b.path("", "resourcequotas"), `{metadata: {name: none}, spec: {hard: {pods: "0"}}}`, nil)
	var err error
	eventually(t, "the quota holds", func() bool {
		_, err = b.Start(t.Context(), b.spec("ben", "serve"), nil)
		return err != nil
	})
	if !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "quota") {
		t.Errorf("beyond the quota: %v", err)
	}
}

// Where Lodge has no rights, or nothing to have them on, its health says what to do.
func TestAppsWithoutRights(t *testing.T) {
	t.Parallel()
	s := newAppSite(t)
	elsewhere := s.open(t, "elsewhere", func(c *kubernetes.Config) { c.Namespace = "default" })
	if _, err := elsewhere.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "may not do what it must in the namespace default: create pods") {
		t.Errorf("without rights: %v", err)
	}
	if _, err := s.open(t, "here").Health(t.Context()); err != nil {
		t.Errorf("with the role of deploy: %v", err)
	}
	s.kubeconfig = filepath.Join(theSite.folder, "kubeconfig") // the administrator's
	nowhere := s.open(t, "nowhere", func(c *kubernetes.Config) { c.Namespace = "nowhere" })
	if _, err := nowhere.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "has no namespace nowhere") {
		t.Errorf("without the namespace: %v", err)
	}
	if _, err := nowhere.Start(t.Context(), specFor("serve"), nil); err == nil {
		t.Error("a pod runs in no namespace")
	}
}

// A pod that is removed from outside, and one that ends while the API server is away, are told of.
func TestAppsEndUnseen(t *testing.T) {
	b := newBench(t)
	removed, first := b.started("ana", "serve")
	ending, second := b.started("ben", "serve")
	died := make(chan string, 10)
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := b.Watch(ctx, func(id string) { died <- id }); err != nil {
			t.Error(err)
		}
	})
	defer watching.Wait()
	defer stop()
	heard := func(id string) {
		t.Helper()
		began := time.Now()
		for got := ""; got != id; {
			select {
			case got = <-died:
			case <-time.After(patience):
				t.Fatalf("nothing is told of %s", id)
			}
		}
		t.Logf("told of after %s", time.Since(began).Round(100*time.Millisecond))
	}
	b.do(http.MethodDelete, b.path("", "pods", strings.TrimPrefix(first.Ref, "pod "+b.namespace+"/")), nil, nil)
	heard(removed.ID)
	eventually(t, "it is gone", func() bool {
		_, err := b.Look(t.Context(), removed.ID)
		return fault.Is(err, fault.Missing)
	})
	eventually(t, "its policy went too", func() bool { return b.count("networking.k8s.io", "networkpolicies") == 1 })

	eventually(t, "the other answers", func() bool { return says(second.Address, "/") != "" })
	restart(t, "kube-apiserver")
	_ = says(second.Address, "/exit")
	heard(ending.ID)
	if inst, err := b.Look(t.Context(), ending.ID); err != nil || inst.Exit == nil || *inst.Exit.Code != 7 {
		t.Errorf("it ended as %+v, %v", inst, err)
	}
}

// says is what an app answers; "" is nothing.
func says(address, path string) string {
	client := http.Client{Timeout: 3 * time.Second}
	resp, err := client.Get("http://" + address + path)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}
