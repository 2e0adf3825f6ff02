package cluster

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorization "k8s.io/client-go/kubernetes/typed/authorization/v1"
)

// Right is something that Lodge must be allowed to do in the cluster.
type Right struct {
	// Namespace is where; "" is everywhere.
	Namespace string
	Group     string
	// Resource may end in a part of it: pods/log.
	Resource string
	// Name is of one object; "" means any.
	Name string
	// Verbs are separated by spaces.
	Verbs string
}

// Denied asks the cluster for rights, and gives those that are missing, each with the verbs that are.
func Denied(ctx context.Context, reviews authorization.SelfSubjectAccessReviewInterface, rights []Right) ([]Right, error) {
	var denied []Right
	for _, r := range rights {
		resource, sub, _ := strings.Cut(r.Resource, "/")
		var verbs []string
		for verb := range strings.FieldsSeq(r.Verbs) {
			answer, err := reviews.Create(ctx, &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: r.Namespace, Group: r.Group, Resource: resource, Subresource: sub, Name: r.Name, Verb: verb,
				},
			}}, metav1.CreateOptions{})
			if err != nil {
				return nil, fmt.Errorf("ask the cluster for our rights: %w", err)
			}
			if !answer.Status.Allowed {
				verbs = append(verbs, verb)
			}
		}
		if len(verbs) > 0 {
			r.Verbs = strings.Join(verbs, " ")
			denied = append(denied, r)
		}
	}
	return denied, nil
}
