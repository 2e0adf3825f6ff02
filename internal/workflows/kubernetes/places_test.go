package kubernetes

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lodge/internal/fault"
	"lodge/internal/workflows"
)

func workspaceMap(name, roles string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "lodge", Labels: map[string]string{labelComponent: workspaceComponent}},
		Data:       map[string]string{dataRoles: roles, dataHidden: "true", dataDescription: "d"},
	}
}

func TestConfigMapsAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][][]string{
		`["a","b"]`:               {{"a", "b"}},
		`[["a","b"],["c"]]`:       {{"a", "b"}, {"c"}},
		`["a[b"]`:                 {{"a[b"}},
		`["ws-owner","a"]`:        {{"a"}},
		`["x@y--$owner"]`:         {{"x@y--$owner"}},
		`[]`:                      nil,
		`[["ws-collaborator"]]`:   nil,
		`"a"`:                     nil,
		`[["a"],"b"]`:             nil,
		``:                        nil,
		`{"a":"b"}`:               nil,
		`[["a",["deeper still"]]`: nil,
	} {
		w, err := workspaceOf(workspaceMap("w", text))
		if !reflect.DeepEqual(w.Roles, want) || (err == nil) != (want != nil) {
			t.Errorf("%s is read as %v (%v)", text, w.Roles, err)
		}
		if want == nil {
			continue
		}
		data, err := dataOf(w)
		must(t, err)
		again, err := workspaceOf(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "w"}, Data: data})
		must(t, err)
		if !reflect.DeepEqual(w, again) || !w.Hidden || w.Description != "d" {
			t.Errorf("%s comes back as %v", text, again)
		}
	}
}

// names are those of all workspaces that the test may see.
func (s *site) names() string {
	s.t.Helper()
	list, err := s.svc.Workspaces(s.ctx)
	must(s.t, err)
	var all []string
	for _, w := range list {
		all = append(all, w.Name)
	}
	return strings.Join(all, " ")
}

// Workspaces are where the ConfigMaps say, as soon as they say it. One that the database had before
// gets a place.
func TestWorkspacesFollow(t *testing.T) {
	t.Parallel()
	s := newSite(t, newCluster(t))
	maps := s.engine.core.CoreV1().ConfigMaps("lodge")
	s.eventually("the first workspace has its place", func() bool {
		_, err := maps.Get(s.ctx, "w", metav1.GetOptions{})
		return err == nil
	})
	for _, c := range []*corev1.ConfigMap{workspaceMap("x", `[["a"],["b","c"]]`), workspaceMap("odd", "nonsense"), workspaceMap("default", `["a"]`), workspaceMap("site", `["a"]`), workspaceMap("with.dots", `["a"]`)} {
		_, err := maps.Create(s.ctx, c, metav1.CreateOptions{})
		must(t, err)
	}
	s.eventually("a workspace is found", func() bool { return s.names() == "w x" })
	_, err := maps.Update(s.ctx, workspaceMap("x", `["d"]`), metav1.UpdateOptions{})
	must(t, err)
	s.eventually("its roles change", func() bool {
		d, err := s.svc.Workspace(s.ctx, "x")
		return err == nil && reflect.DeepEqual(d.Roles, [][]string{{"d"}})
	})
	must(t, maps.Delete(s.ctx, "x", metav1.DeleteOptions{}))
	s.eventually("it is gone", func() bool { return s.names() == "w" })
}

func TestWorkspaceIsMadeAndGoes(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s := newSite(t, c)
	spaces := c.core.CoreV1().Namespaces()
	for _, name := range []string{"kube-system", "theirs"} {
		_, err := spaces.Create(s.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		must(t, err)
	}
	text := "what it is for"
	must(t, s.svc.CreateWorkspace(s.ctx, workflows.WorkspaceChange{Name: "x", Roles: [][]string{{"a"}}, Description: &text, Labels: map[string]string{"team": "t"}}))
	space, err := spaces.Get(s.ctx, "x", metav1.GetOptions{})
	must(t, err)
	if space.Labels["team"] != "t" || space.Labels[labelInstallation] != "here" {
		t.Errorf("its labels are %v", space.Labels)
	}
	if _, err := c.core.RbacV1().RoleBindings("x").Get(s.ctx, stepsRole, metav1.GetOptions{}); err != nil {
		t.Errorf("its steps: %v", err)
	}
	for name, change := range map[string]workflows.WorkspaceChange{
		"there already":    {Name: "x", Roles: [][]string{{"a"}}},
		"somebody else's":  {Name: "theirs", Roles: [][]string{{"a"}}},
		"the cluster's":    {Name: "kube-system", Roles: [][]string{{"a"}}},
		"odd labels":       {Name: "y", Roles: [][]string{{"a"}}, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"}},
		"somebody's label": {Name: "y", Roles: [][]string{{"a"}}, Labels: map[string]string{labelInstallation: "elsewhere"}},
	} {
		if err := s.svc.CreateWorkspace(s.ctx, change); !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The description of a workspace outlives an edit of something else.
	must(t, s.svc.EditWorkspace(s.ctx, workflows.WorkspaceChange{Name: "x", Roles: [][]string{{"b"}}}))
	d, err := s.svc.Workspace(s.ctx, "x")
	must(t, err)
	if d.Description != text || !reflect.DeepEqual(d.Roles, [][]string{{"b"}}) {
		t.Errorf("it is %v", d)
	}
	// A namespace that somebody else has made stays.
	_, err = c.core.CoreV1().ConfigMaps("lodge").Create(s.ctx, workspaceMap("theirs", `["a"]`), metav1.CreateOptions{})
	must(t, err)
	s.eventually("theirs is a workspace", func() bool { return strings.Contains(s.names(), "theirs") })
	must(t, s.svc.DeleteWorkspace(s.ctx, "theirs"))
	must(t, s.svc.DeleteWorkspace(s.ctx, "x"))
	s.eventually("both are gone", func() bool { return s.names() == "w" })
	if _, err := spaces.Get(s.ctx, "x", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace x: %v", err)
	}
	for _, name := range []string{"kube-system", "theirs"} {
		if _, err := spaces.Get(s.ctx, name, metav1.GetOptions{}); err != nil {
			t.Errorf("the namespace %s: %v", name, err)
		}
	}
}

// Secrets are keys of one Secret; others' keys stay.
func TestSecretsAreTheClusters(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s := newSite(t, c)
	names := func() []string {
		list, err := s.svc.SecretNames(s.ctx, "w")
		must(t, err)
		return list
	}
	isNew, err := s.svc.PutSecret(s.ctx, "w", "A", "1")
	must(t, err)
	again, err := s.svc.PutSecret(s.ctx, "w", "A", "2")
	must(t, err)
	_, err = s.svc.PutSecret(s.ctx, "w", "B.c-d", "3")
	must(t, err)
	if !isNew || again || !slices.Equal(names(), []string{"A", "B.c-d"}) {
		t.Errorf("new %v, again %v, there are %v", isNew, again, names())
	}
	there, err := c.core.CoreV1().Secrets("w").Get(s.ctx, "flowify-default", metav1.GetOptions{})
	must(t, err)
	if string(there.Data["A"]) != "2" || string(there.Data["B.c-d"]) != "3" {
		t.Errorf("the Secret is %v", there.Data)
	}
	var rows int
	must(t, s.db.QueryRow(t.Context(), "SELECT COUNT(*) FROM wf_secrets").Scan(&rows))
	if rows != 0 {
		t.Error("the value is in the database too")
	}
	must(t, s.svc.DeleteSecret(s.ctx, "w", "A"))
	if err := s.svc.DeleteSecret(s.ctx, "w", "A"); !fault.Is(err, fault.Missing) {
		t.Errorf("deleting it again: %v", err)
	}
	if !slices.Equal(names(), []string{"B.c-d"}) {
		t.Errorf("there are %v", names())
	}
}
