package kubernetes

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"lodge/internal/fault"
	"lodge/internal/secret"
	"lodge/internal/workflows"
	"lodge/internal/workflows/argo"
	"lodge/internal/workflows/spec"
)

// A ConfigMap with this label makes the namespace of its name a workspace.
const (
	labelComponent     = "app.kubernetes.io/component"
	workspaceComponent = "workspace-config"
	labelPartOf        = "app.kubernetes.io/part-of"
)

// What a workspace's ConfigMap says.
const (
	dataRoles       = "roles"
	dataHidden      = "hideForUnauthorized"
	dataDescription = "description"
	dataName        = "projectName"
)

// stepsRole is what steps may do in a namespace that is ours: tell Argo what they gave.
const stepsRole = "lodge-steps"

// dataOf is what a workspace's ConfigMap says of it.
func dataOf(w workflows.Workspace) (map[string]string, error) {
	var roles any = w.Roles
	if len(w.Roles) == 1 {
		roles = w.Roles[0]
	}
	text, err := spec.Encode(roles)
	if err != nil {
		return nil, err
	}
	return map[string]string{dataRoles: string(text), dataHidden: strconv.FormatBool(w.Hidden), dataDescription: w.Description, dataName: w.Name}, nil
}

// workspaceOf reads a workspace's ConfigMap.
func workspaceOf(c *corev1.ConfigMap) (workflows.Workspace, error) {
	w := workflows.Workspace{Name: c.Name, Description: c.Data[dataDescription], Labels: map[string]string{}}
	w.Hidden, _ = strconv.ParseBool(strings.TrimSpace(c.Data[dataHidden])) // what cannot be read hides nothing
	var err error
	w.Roles, err = workflows.ReadRoles(c.Data[dataRoles])
	return w, err
}

// spaceLabels are those of a namespace. The cluster's own say what may run there, and are for its
// administrators.
func (e *Engine) spaceLabels(w workflows.Workspace) (map[string]string, error) {
	all := map[string]string{}
	for name, value := range w.Labels {
		if domain, _, ok := strings.Cut(name, "/"); ok && (strings.HasSuffix(domain, "kubernetes.io") || strings.HasSuffix(domain, "k8s.io")) || name == labelInstallation {
			return nil, fault.New(fault.Invalid, "the label %s is not for workspaces to set", name)
		}
		all[name] = value
	}
	all[labelInstallation] = e.cfg.Installation
	return all, nil
}

// CreateWorkspace makes a namespace that is ours, and the ConfigMap that makes it a workspace. What
// cannot be finished is undone.
func (e *Engine) CreateWorkspace(ctx context.Context, w workflows.Workspace) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	data, err := dataOf(w)
	if err != nil {
		return err
	}
	marks, err := e.spaceLabels(w)
	if err != nil {
		return err
	}
	spaces := e.core.CoreV1().Namespaces()
	_, err = spaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Name, Labels: marks}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		there, failed := spaces.Get(ctx, w.Name, metav1.GetOptions{})
		if failed != nil {
			return plain(failed)
		}
		if there.Labels[labelInstallation] != e.cfg.Installation || there.DeletionTimestamp != nil {
			return fault.New(fault.Conflict, "there is a namespace %s in the cluster already: to make it a workspace, its administrators give it a ConfigMap in %s", w.Name, e.cfg.Namespace)
		}
		err = nil // an earlier attempt did not get to its end
	}
	if err != nil {
		return plain(err)
	}
	if err := e.createConfigMap(ctx, w.Name, data); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return fault.New(fault.Conflict, "there is a workspace %s already", w.Name)
		}
		undoing, done := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer done()
		if failed := spaces.Delete(undoing, w.Name, metav1.DeleteOptions{}); failed != nil {
			e.log.WarnContext(ctx, "the namespace of a workspace that was not made stays", "namespace", w.Name, "error", failed)
		}
		return plain(err)
	}
	e.allowSteps(ctx, w.Name)
	return nil
}

func (e *Engine) createConfigMap(ctx context.Context, name string, data map[string]string) error {
	c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{labelComponent: workspaceComponent, labelPartOf: "flowify", labelInstallation: e.cfg.Installation},
	}, Data: data}
	here := e.core.CoreV1().ConfigMaps(e.cfg.Namespace)
	_, err := here.Create(ctx, c, metav1.CreateOptions{})
	if apierrors.IsNotFound(err) {
		home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: e.cfg.Namespace}}
		if _, err := e.core.CoreV1().Namespaces().Create(ctx, home, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		_, err = here.Create(ctx, c, metav1.CreateOptions{})
	}
	return err
}

// allowSteps lets the steps of a namespace tell Argo what they gave. A site may have done it another way.
func (e *Engine) allowSteps(ctx context.Context, namespace string) {
	account := e.cfg.ServiceAccount
	if account == "" {
		account = "default"
	}
	meta := metav1.ObjectMeta{Name: stepsRole, Labels: map[string]string{labelInstallation: e.cfg.Installation}}
	_, err := e.core.RbacV1().Roles(namespace).Create(ctx, &rbac.Role{ObjectMeta: meta, Rules: []rbac.PolicyRule{
		{APIGroups: []string{"argoproj.io"}, Resources: []string{"workflowtaskresults"}, Verbs: []string{"create", "patch"}},
	}}, metav1.CreateOptions{})
	if err == nil || apierrors.IsAlreadyExists(err) {
		_, err = e.core.RbacV1().RoleBindings(namespace).Create(ctx, &rbac.RoleBinding{
			ObjectMeta: meta, RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: stepsRole},
			Subjects: []rbac.Subject{{Kind: rbac.ServiceAccountKind, Name: account, Namespace: namespace}},
		}, metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		e.log.WarnContext(ctx, "steps of a workspace may not tell Argo what they gave, unless somebody else allows them", "workspace", namespace, "error", err)
	}
}

// EditWorkspace changes what a workspace's ConfigMap says, and nothing else in it.
func (e *Engine) EditWorkspace(ctx context.Context, w workflows.Workspace) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	data, err := dataOf(w)
	if err != nil {
		return err
	}
	if err := patch(map[string]any{"data": data}, func(text []byte) error {
		_, err := e.core.CoreV1().ConfigMaps(e.cfg.Namespace).Patch(ctx, w.Name, types.MergePatchType, text, metav1.PatchOptions{})
		return err
	}); err != nil {
		return err
	}
	space, err := e.core.CoreV1().Namespaces().Get(ctx, w.Name, metav1.GetOptions{})
	if err != nil || space.Labels[labelInstallation] != e.cfg.Installation || len(w.Labels) == 0 {
		return plain(err)
	}
	marks, err := e.spaceLabels(w)
	if err != nil {
		return err
	}
	return patch(map[string]any{"metadata": map[string]any{"labels": marks}}, func(text []byte) error {
		_, err := e.core.CoreV1().Namespaces().Patch(ctx, w.Name, types.MergePatchType, text, metav1.PatchOptions{})
		return err
	})
}

func patch(change any, apply func([]byte) error) error {
	text, err := json.Marshal(change)
	if err != nil {
		return err
	}
	return plain(apply(text))
}

// DeleteWorkspace removes a workspace's ConfigMap, and its namespace if that is ours. In a namespace
// that is not ours what Lodge has put there goes.
func (e *Engine) DeleteWorkspace(ctx context.Context, name string) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	here := e.core.CoreV1().ConfigMaps(e.cfg.Namespace)
	there, err := here.Get(ctx, name, metav1.GetOptions{})
	if err == nil && there.Labels[labelComponent] == workspaceComponent {
		err = here.Delete(ctx, name, metav1.DeleteOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return plain(err)
	}
	space, err := e.core.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return plain(err)
	case space.Labels[labelInstallation] == e.cfg.Installation:
		id := space.UID
		err = e.core.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &id}})
	default:
		err = e.in(name).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: labelInstallation + "=" + e.cfg.Installation})
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return plain(err)
}

// SecretNames lists the keys of a workspace's Secret.
func (e *Engine) SecretNames(ctx context.Context, workspace string) ([]string, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	s, err := e.core.CoreV1().Secrets(workspace).Get(ctx, argo.SecretName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, plain(err)
	}
	return slices.Sorted(maps.Keys(s.Data)), nil
}

// PutSecret sets a key of a workspace's Secret. Keys that others set meanwhile stay.
func (e *Engine) PutSecret(ctx context.Context, workspace, name string, value secret.String) (bool, error) {
	names, err := e.SecretNames(ctx, workspace)
	if err != nil {
		return false, err
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	secrets := e.core.CoreV1().Secrets(workspace)
	set := func() error {
		encoded := base64.StdEncoding.EncodeToString([]byte(value.Reveal()))
		text, err := json.Marshal(map[string]any{"data": map[string]any{name: encoded}})
		if err == nil {
			_, err = secrets.Patch(ctx, argo.SecretName, types.MergePatchType, text, metav1.PatchOptions{})
		}
		return err
	}
	if err = set(); apierrors.IsNotFound(err) {
		_, err = secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: argo.SecretName, Labels: map[string]string{labelInstallation: e.cfg.Installation}},
			Type:       corev1.SecretTypeOpaque, Data: map[string][]byte{name: []byte(value.Reveal())},
		}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			err = set()
		}
	}
	return !slices.Contains(names, name), plain(err)
}

// DeleteSecret removes a key of a workspace's Secret, and says whether it was there.
func (e *Engine) DeleteSecret(ctx context.Context, workspace, name string) (bool, error) {
	names, err := e.SecretNames(ctx, workspace)
	if err != nil || !slices.Contains(names, name) {
		return false, err
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	return true, patch(map[string]any{"data": map[string]any{name: nil}}, func(text []byte) error {
		_, err := e.core.CoreV1().Secrets(workspace).Patch(ctx, argo.SecretName, types.MergePatchType, text, metav1.PatchOptions{})
		return err
	})
}

// followPlaces has the database follow the ConfigMaps.
func (w *watch) followPlaces(ctx context.Context) {
	chosen := labels.Set{labelComponent: workspaceComponent}
	factory := informers.NewSharedInformerFactoryWithOptions(w.core, 0, informers.WithNamespace(w.cfg.Namespace), informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.LabelSelector = chosen.String()
	}))
	chart := factory.Core().V1().ConfigMaps()
	news := make(chan struct{}, 1)
	tell := func(any) {
		select {
		case news <- struct{}{}:
		default:
		}
	}
	informer := chart.Informer()
	if err := informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) {
		w.log.Warn("workspaces' ConfigMaps are not seen for now; trying again", "error", err)
	}); err != nil {
		w.log.Error("workspaces are not followed", "error", err)
		return
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: tell, UpdateFunc: func(_, o any) { tell(o) }, DeleteFunc: tell}); err != nil {
		w.log.Error("workspaces are not followed", "error", err)
		return
	}
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return
	}
	again := time.NewTicker(sweep)
	defer again.Stop()
	for {
		list, err := chart.Lister().List(chosen.AsSelector())
		if err == nil {
			err = w.svc.FollowWorkspaces(ctx, w.workspaces(list))
		}
		if err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "workspaces could not be brought up to date; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-news:
		case <-again.C:
		}
	}
}

// workspaces reads ConfigMaps. One that cannot be read makes no workspace.
func (w *watch) workspaces(list []*corev1.ConfigMap) []workflows.Workspace {
	var all []workflows.Workspace
	for _, c := range list {
		one, err := workspaceOf(c)
		if err != nil {
			w.log.Warn("a ConfigMap makes no workspace", "namespace", c.Namespace, "name", c.Name, "error", err)
			continue
		}
		all = append(all, one)
	}
	return all
}
