package kubernetes

import (
	"context"
	"fmt"
	"strings"

	authorization "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lodge/internal/fault"
	"lodge/internal/workflows/argo"
)

// Check says whether jobs can be handed over and seen: it asks for Workflows, as watching does.
func (e *Engine) Check(ctx context.Context) error {
	_, err := e.objects.Resource(workflowResource()).List(ctx, metav1.ListOptions{Limit: 1, LabelSelector: labelInstallation + "=" + e.cfg.Installation})
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		return fault.Wrap(err, fault.Denied, "Lodge may not list Workflows in the cluster: give its account the rights of deploy/kubernetes/lodge-workflows.yaml")
	case apierrors.IsUnauthorized(err):
		return fault.Wrap(err, fault.Denied, "the cluster does not know who Lodge is: renew the credentials in kubernetes.kubeconfig")
	case apierrors.IsNotFound(err):
		return fault.Wrap(err, fault.Unavailable, "the cluster does not know Workflows: install Argo Workflows there")
	default:
		return fault.Wrap(err, fault.Unavailable, "the cluster cannot be reached; check kubernetes.kubeconfig")
	}
}

// right is something that Lodge must be allowed to do.
type right struct{ verb, group, resource, sub, name, namespace string }

// rights are those that deploy/kubernetes/lodge-workflows.yaml gives.
func (e *Engine) rights() []right {
	var all []right
	need := func(namespace, group, resource, name string, verbs ...string) {
		resource, sub, _ := strings.Cut(resource, "/")
		for _, verb := range verbs {
			all = append(all, right{verb, group, resource, sub, name, namespace})
		}
	}
	need("", "argoproj.io", "workflows", "", "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
	need("", "", "pods", "", "get", "delete")
	need("", "", "pods/log", "", "get")
	need("", "", "secrets", "", "create")
	need("", "", "secrets", argo.SecretName, "get", "patch")
	need("", "", "namespaces", "", "get", "create", "patch", "delete")
	need(e.cfg.Namespace, "", "configmaps", "", "get", "list", "watch", "create", "patch", "delete")
	return all
}

// Examine looks for what Check cannot see: rights that are needed later. It gives one sentence for each
// kind of object that something is missing for.
func (e *Engine) Examine(ctx context.Context) (missing []string, err error) {
	var names []string
	denied := map[string][]string{}
	for _, r := range e.rights() {
		answer, err := e.core.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorization.SelfSubjectAccessReview{
			Spec: authorization.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorization.ResourceAttributes{
				Verb: r.verb, Group: r.group, Resource: r.resource, Subresource: r.sub, Name: r.name, Namespace: r.namespace,
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			return nil, fmt.Errorf("ask the cluster for our rights: %w", err)
		}
		if answer.Status.Allowed {
			continue
		}
		name := r.resource
		if r.sub != "" {
			name += "/" + r.sub
		}
		if r.namespace != "" {
			name += " in " + r.namespace
		}
		if denied[name] == nil {
			names = append(names, name)
		}
		denied[name] = append(denied[name], r.verb)
	}
	for _, name := range names {
		missing = append(missing, fmt.Sprintf("Lodge may not %s %s", strings.Join(denied[name], ", "), name))
	}
	return missing, nil
}
