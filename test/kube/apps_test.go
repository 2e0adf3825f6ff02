//go:build kube

package kube

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lodge/internal/apps"
	"lodge/internal/apps/kubernetes"
	"lodge/internal/cluster"
	"lodge/internal/drivertest"
)

const testApp = "lodge.test/testapp:1"

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
