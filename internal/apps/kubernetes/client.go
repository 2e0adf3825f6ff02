package kubernetes

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// api is what the driver uses of the cluster. The typed client of client-go knows every resource that
// there is, and links them all in; these few are converted by hand.
type api struct {
	namespace string
	pods      objects[corev1.Pod]
	claims    objects[corev1.PersistentVolumeClaim]
	events    objects[corev1.Event]
	policies  objects[networkingv1.NetworkPolicy]
	reviews   objects[authorizationv1.SelfSubjectAccessReview]
	spaces    objects[corev1.Namespace]
	// raw is for what is no resource: logs, measurements, the version.
	raw rest.Interface
}

func newAPI(access *rest.Config, namespace string) (*api, error) {
	client, err := dynamic.NewForConfig(access)
	if err != nil {
		return nil, err
	}
	plain := rest.CopyConfig(access)
	plain.NegotiatedSerializer = rawSerializer()
	plain.GroupVersion = &schema.GroupVersion{}
	raw, err := rest.UnversionedRESTClientFor(plain)
	if err != nil {
		return nil, err
	}
	all := func(group, name string) dynamic.NamespaceableResourceInterface {
		return client.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: name})
	}
	in := func(group, name string) dynamic.ResourceInterface { return all(group, name).Namespace(namespace) }
	return &api{
		namespace: namespace,
		pods:      objects[corev1.Pod]{in("", "pods"), "v1", "Pod"},
		claims:    objects[corev1.PersistentVolumeClaim]{in("", "persistentvolumeclaims"), "v1", "PersistentVolumeClaim"},
		events:    objects[corev1.Event]{in("", "events"), "v1", "Event"},
		policies:  objects[networkingv1.NetworkPolicy]{in("networking.k8s.io", "networkpolicies"), "networking.k8s.io/v1", "NetworkPolicy"},
		reviews: objects[authorizationv1.SelfSubjectAccessReview]{
			all("authorization.k8s.io", "selfsubjectaccessreviews"), "authorization.k8s.io/v1", "SelfSubjectAccessReview",
		},
		spaces: objects[corev1.Namespace]{all("", "namespaces"), "v1", "Namespace"},
		raw:    raw,
	}, nil
}

// objects are a kind of object as their Go type.
type objects[T any] struct {
	dynamic.ResourceInterface
	version, kind string
}

// read gives an object its type.
func (r objects[T]) read(u *unstructured.Unstructured) (*T, error) {
	var one T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &one); err != nil {
		return nil, err
	}
	return &one, nil
}

func (r objects[T]) get(ctx context.Context, name string) (*T, error) {
	ctx, done := context.WithTimeout(ctx, answerTime)
	defer done()
	u, err := r.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return r.read(u)
}

func (r objects[T]) list(ctx context.Context, selector string) ([]*T, error) {
	ctx, done := context.WithTimeout(ctx, answerTime)
	defer done()
	found, err := r.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	all := make([]*T, 0, len(found.Items))
	for i := range found.Items {
		one, err := r.read(&found.Items[i])
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func (r objects[T]) create(ctx context.Context, one *T) (*T, error) {
	ctx, done := context.WithTimeout(ctx, answerTime)
	defer done()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(one)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: fields}
	u.SetAPIVersion(r.version)
	u.SetKind(r.kind)
	made, err := r.Create(ctx, u, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return r.read(made)
}

func (r objects[T]) remove(ctx context.Context, name string, options metav1.DeleteOptions) error {
	ctx, done := context.WithTimeout(ctx, answerTime)
	defer done()
	return r.Delete(ctx, name, options)
}
