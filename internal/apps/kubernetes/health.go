package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lodge/internal/apps"
	"lodge/internal/cluster"
	"lodge/internal/fault"
)

// rights are all that Lodge must be allowed to do in its namespace; deploy/kubernetes/lodge-apps.yaml
// grants them, and no more.
func rights(namespace string) []cluster.Right {
	return []cluster.Right{
		{Namespace: namespace, Resource: "pods", Verbs: "create get list watch delete"},
		{Namespace: namespace, Resource: "pods/log", Verbs: "get"},
		{Namespace: namespace, Resource: "events", Verbs: "list watch"},
		{Namespace: namespace, Resource: "persistentvolumeclaims", Verbs: "create list delete"},
		{Namespace: namespace, Group: "networking.k8s.io", Resource: "networkpolicies", Verbs: "create get list patch delete"},
	}
}

// sureFor is how long rights that are there are not asked for again.
const sureFor = time.Minute

// Health implements apps.Driver.
func (d *Driver) Health(ctx context.Context) (apps.Health, error) {
	text, err := d.core.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return apps.Health{}, plain(ctx, err, "ask the cluster for its version")
	}
	var version struct {
		Git string `json:"gitVersion"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return apps.Health{}, fmt.Errorf("the cluster's version: %w", err)
	}
	if err := d.mayWork(ctx); err != nil {
		return apps.Health{}, err
	}
	return apps.Health{
		Version: strings.TrimPrefix(version.Git, "v"),
		Enforced: map[string]string{
			"memory": "enforced", "cpu": "enforced", "read_only_root": "enforced",
			"pids":   "by the nodes alone: podPidsLimit in the kubelet's configuration",
			"disk":   "enforced, unless the nodes do not count what is on their disks; volumes by their storage system",
			"egress": "by the cluster's network plug-in, if it enforces network policies, which Lodge cannot see",
		},
		Warnings: []string{"whether the cluster's network plug-in enforces network policies cannot be seen: docs/apps.md says how to try. Without, people's apps reach each other"},
	}, nil
}

// mayWork says what keeps Lodge from running anything, and what to do about it.
func (d *Driver) mayWork(ctx context.Context) error {
	d.mu.Lock()
	sure := !d.allowed.IsZero() && d.now().Sub(d.allowed) < sureFor
	d.mu.Unlock()
	if sure {
		return nil
	}
	space := d.cfg.Namespace
	_, err := d.core.CoreV1().Namespaces().Get(ctx, space, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fault.New(fault.Unavailable, "the cluster has no namespace %s: make it and give Lodge its rights there, as deploy/kubernetes/lodge-apps.yaml does", space)
	case err != nil && !apierrors.IsForbidden(err): // to look is no right that Lodge needs
		return plain(ctx, err, "look at the namespace "+space)
	}
	denied, err := cluster.Denied(ctx, d.core.AuthorizationV1().SelfSubjectAccessReviews(), rights(space))
	if err != nil {
		return plain(ctx, err, "ask for Lodge's rights")
	}
	var missing []string
	for _, r := range denied {
		for verb := range strings.FieldsSeq(r.Verbs) {
			missing = append(missing, verb+" "+r.Resource)
		}
	}
	if len(missing) > 0 {
		return fault.New(fault.Unavailable, "Lodge may not do what it must in the namespace %s: %s. deploy/kubernetes/lodge-apps.yaml has the role that it needs", space, strings.Join(missing, ", "))
	}
	d.mu.Lock()
	d.allowed = d.now()
	d.mu.Unlock()
	return nil
}
