package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// right is something that Lodge must be allowed to do in its namespace.
type right struct{ group, resource, sub, verbs string }

// rights are all of them; deploy/kubernetes/lodge-apps.yaml grants them, and no more.
func rights() []right {
	return []right{
		{"", "pods", "", "create get list watch delete"},
		{"", "pods", "log", "get"},
		{"", "events", "", "list watch"},
		{"", "persistentvolumeclaims", "", "create list delete"},
		{"networking.k8s.io", "networkpolicies", "", "create get list patch delete"},
	}
}

// sureFor is how long rights that are there are not asked for again.
const sureFor = time.Minute

// Health implements apps.Driver.
func (d *Driver) Health(ctx context.Context) (apps.Health, error) {
	text, err := d.api.raw.Get().AbsPath("/version").Timeout(answerTime).DoRaw(ctx)
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
	_, err := d.api.spaces.get(ctx, space)
	switch {
	case apierrors.IsNotFound(err):
		return fault.New(fault.Unavailable, "the cluster has no namespace %s: make it and give Lodge its rights there, as deploy/kubernetes/lodge-apps.yaml does", space)
	case err != nil && !apierrors.IsForbidden(err): // to look is no right that Lodge needs
		return plain(ctx, err, "look at the namespace "+space)
	}
	var missing []string
	for _, r := range rights() {
		for verb := range strings.FieldsSeq(r.verbs) {
			may, err := d.may(ctx, r, verb)
			if err != nil {
				return plain(ctx, err, "ask for Lodge's rights")
			}
			if !may {
				missing = append(missing, verb+" "+strings.TrimSuffix(r.resource+"/"+r.sub, "/"))
			}
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

// may asks the cluster for one right.
func (d *Driver) may(ctx context.Context, r right, verb string) (bool, error) {
	answer, err := d.api.reviews.create(ctx, &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: d.cfg.Namespace, Group: r.group, Resource: r.resource, Subresource: r.sub, Verb: verb},
	}})
	if err != nil {
		return false, err
	}
	return answer.Status.Allowed, nil
}
