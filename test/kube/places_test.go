//go:build kube

package kube

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

const configMaps = "/api/v1/namespaces/lodge/configmaps"

// config writes the ConfigMap that makes a namespace a workspace, as cluster administrators do.
func config(name, roles string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": name, "labels": map[string]string{"app.kubernetes.io/component": "workspace-config"}},
		"data":     map[string]string{"roles": roles, "hideForUnauthorized": "true"},
	}
}

// sees says whether somebody sees a workspace.
func (p jobCaller) sees(workspace string) bool {
	_, text := p.try(http.MethodGet, "/workspaces/", nil)
	return strings.Contains(text, `"name":"`+workspace+`"`)
}

func (p jobCaller) may(workspace string) bool {
	status, _ := p.try(http.MethodPost, "/jobs/", jobOf(workspace, double(), nil))
	return status != http.StatusForbidden && status != http.StatusNotFound
}

// Workspaces are what the cluster says, at once: who belongs to them, with alternatives of several
// roles, and whether there are any.
func TestWorkspacesFollowConfigMaps(t *testing.T) {
	t.Parallel()
	l := startJobSite(t)
	c := admin(t)
	ns := c.namespace()
	t.Cleanup(func() { _, _ = c.try(http.MethodDelete, configMaps+"/"+ns, nil, nil) })
	both, one, none := l.person("both", "--role", "a", "--role", "b"), l.person("one", "--role", "a"), l.person("none", "--role", "c")
	c.do(http.MethodPost, configMaps, config(ns, `[["a","b"],["c"]]`), nil)
	eventually(t, "the workspace", func() bool { return both.sees(ns) && none.sees(ns) })
	if one.sees(ns) || one.may(ns) {
		t.Error("who has one of two roles belongs to it")
	}
	j := both.run(ns, double(), map[string]any{"x": "a"})
	if status, _ := one.try(http.MethodGet, "/jobs/"+j.id, nil); status != http.StatusNotFound {
		t.Errorf("who does not belong to it gets %d for its job", status)
	}
	c.do(http.MethodPatch, configMaps+"/"+ns, map[string]any{"data": map[string]string{"roles": `["a"]`}}, nil)
	eventually(t, "the other roles", func() bool { return one.sees(ns) && !none.sees(ns) })
	c.do(http.MethodPatch, configMaps+"/"+ns, map[string]any{"data": map[string]string{"roles": `nonsense`}}, nil)
	eventually(t, "nobody belongs to what cannot be read", func() bool { return !one.sees(ns) && !l.root.sees(ns) })
	c.do(http.MethodPatch, configMaps+"/"+ns, map[string]any{"data": map[string]string{"roles": `["a"]`}}, nil)
	eventually(t, "it comes back, with its jobs", func() bool {
		status, _ := one.try(http.MethodGet, "/jobs/"+j.id, nil)
		return status == http.StatusOK
	})
	c.do(http.MethodDelete, configMaps+"/"+ns, nil, nil)
	eventually(t, "the workspace to go", func() bool { return !one.sees(ns) })
	c.get("/api/v1/namespaces/"+ns, nil)
}

// Lodge makes namespaces and deletes those that it has made, and no others.
func TestWorkspaceIsANamespace(t *testing.T) {
	t.Parallel()
	l := startJobSite(t)
	c := admin(t)
	ws := l.workspace("a")
	var made object
	c.get("/api/v1/namespaces/"+ws, &made)
	c.get(configMaps+"/"+ws, &made)
	equal(t, "what the ConfigMap is", made.Metadata.Labels["app.kubernetes.io/component"], "workspace-config")
	c.get("/apis/rbac.authorization.k8s.io/v1/namespaces/"+ws+"/rolebindings/lodge-steps", nil)

	l.root.do(http.MethodPut, "/secrets/"+ws+"/KEY.1", map[string]any{"key": "KEY.1", "value": "hush"}, http.StatusCreated)
	l.root.do(http.MethodPut, "/secrets/"+ws+"/OTHER", map[string]any{"key": "OTHER", "value": "hush"}, http.StatusCreated)
	l.root.do(http.MethodDelete, "/secrets/"+ws+"/OTHER", nil, anyStatus)
	var secret struct{ Data map[string]string }
	c.get("/api/v1/namespaces/"+ws+"/secrets/flowify-default", &secret)
	equal(t, "the secrets", fmt.Sprint(secret.Data), "map[KEY.1:aHVzaA==]")
	contains(t, "their names", l.root.get("/secrets/"+ws+"/"), "KEY.1")

	theirs := c.namespace()
	for _, name := range []string{theirs, "kube-public", ws} {
		if status, text := l.root.try(http.MethodPost, "/workspaces/", map[string]any{"name": name, "roles": []string{"a"}}); status < 400 || status >= 500 {
			t.Errorf("a workspace %s is made with %d: %s", name, status, text)
		}
		_, _ = l.root.try(http.MethodDelete, "/workspaces/", map[string]any{"name": theirs})
	}
	c.get("/api/v1/namespaces/"+theirs, nil)
	l.root.do(http.MethodDelete, "/workspaces/", map[string]any{"name": ws}, anyStatus)
	eventually(t, "the end of the namespace", func() bool {
		status, _ := c.try(http.MethodGet, "/api/v1/namespaces/"+ws, nil, nil)
		return status == http.StatusNotFound
	})
	if status, _ := c.try(http.MethodGet, configMaps+"/"+ws, nil, nil); status != http.StatusNotFound {
		t.Errorf("the ConfigMap answers with %d", status)
	}
}

// The administrator's command says what a cluster lacks.
func TestDoctorLooksAtTheCluster(t *testing.T) {
	t.Parallel()
	l := startJobSite(t)
	said, _ := l.command("doctor")
	contains(t, "with the rights", said, "Lodge has the rights that it needs")
	l.env = append(l.env, "LODGE_WORKFLOWS_ARGO_NAMESPACE=default")
	said, _ = l.command("doctor")
	contains(t, "without some", said, "Lodge may not get, list, watch, create, patch, delete configmaps in default: give its account the rights of deploy/kubernetes/lodge-workflows.yaml")
	l.env = append(l.env, "LODGE_KUBERNETES_KUBECONFIG="+filepath.Join(l.dir, "none"))
	said, _ = l.command("doctor")
	contains(t, "without a file", said, "read the kubeconfig")
}

// A real API server takes everything that is transpiled.
func TestAPIServerTakesEveryGolden(t *testing.T) {
	t.Parallel()
	c := admin(t)
	ns := c.namespace()
	files, err := filepath.Glob("../../internal/workflows/argo/testdata/*.golden.yaml")
	if err != nil || len(files) < 46 {
		t.Fatalf("there are %d goldens (%v)", len(files), err)
	}
	for _, file := range files {
		w := golden(t, strings.TrimSuffix(filepath.Base(file), ".golden.yaml"), ns)
		if _, err := c.try(http.MethodPost, "/apis/argoproj.io/v1alpha1/namespaces/"+ns+"/workflows?dryRun=All&fieldValidation=Strict", w, nil); err != nil {
			t.Error(err)
		}
	}
}
