package kubernetes

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lodge/internal/cluster"
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

// rights are those that deploy/kubernetes/lodge-workflows.yaml gives.
func (e *Engine) rights() []cluster.Right {
	return []cluster.Right{
		{Group: "argoproj.io", Resource: "workflows", Verbs: "get list watch create update patch delete deletecollection"},
		{Resource: "pods", Verbs: "get delete"},
		{Resource: "pods/log", Verbs: "get"},
		{Resource: "secrets", Verbs: "create"},
		{Resource: "secrets", Name: argo.SecretName, Verbs: "get patch"},
		{Resource: "namespaces", Verbs: "get create patch delete"},
		{Namespace: e.cfg.Namespace, Resource: "configmaps", Verbs: "get list watch create patch delete"},
	}
}

// Examine looks for what Check cannot see: rights that are needed later. It gives one sentence for each
// kind of object that something is missing for.
func (e *Engine) Examine(ctx context.Context) (missing []string, err error) {
	denied, err := cluster.Denied(ctx, e.core.AuthorizationV1().SelfSubjectAccessReviews(), e.rights())
	for _, r := range denied {
		what := r.Resource
		if r.Name != "" {
			what += " " + r.Name
		}
		if r.Namespace != "" {
			what += " in " + r.Namespace
		}
		missing = append(missing, fmt.Sprintf("Lodge may not %s %s", strings.ReplaceAll(r.Verbs, " ", ", "), what))
	}
	return missing, err
}
