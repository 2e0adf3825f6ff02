package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"lodge/tools/kube/internal/step"
)

// resync is how often everything is looked at without an event: also pods that straggle.
const resync = 10 * time.Second

func workflowsResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "workflows"}
}

// controller runs the cluster's workflows.
type controller struct {
	log       *slog.Logger
	client    kubernetes.Interface
	dynamic   dynamic.Interface
	store     string
	now       func() time.Time
	queue     workqueue.TypedRateLimitingInterface[cache.ObjectName]
	workflows cache.GenericLister
	pods      listers.PodLister
}

func (c *controller) run(ctx context.Context) error {
	c.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](200*time.Millisecond, 10*time.Second))
	workflows := dynamicinformer.NewDynamicSharedInformerFactory(c.dynamic, resync)
	ofWorkflows := workflows.ForResource(workflowsResource())
	pods := informers.NewSharedInformerFactoryWithOptions(c.client, resync, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.LabelSelector = labelWorkflow
	}))
	c.workflows, c.pods = ofWorkflows.Lister(), pods.Core().V1().Pods().Lister()
	for informer, key := range map[cache.SharedIndexInformer]func(metav1.Object) string{
		ofWorkflows.Informer():             metav1.Object.GetName,
		pods.Core().V1().Pods().Informer(): func(o metav1.Object) string { return o.GetLabels()[labelWorkflow] },
	} {
		add := func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if m, ok := o.(metav1.Object); ok {
				c.queue.Add(cache.NewObjectName(m.GetNamespace(), key(m)))
			}
		}
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: add, UpdateFunc: func(_, o any) { add(o) }, DeleteFunc: add,
		}); err != nil {
			return err
		}
	}
	workflows.Start(ctx.Done())
	pods.Start(ctx.Done())
	workflows.WaitForCacheSync(ctx.Done())
	pods.WaitForCacheSync(ctx.Done())
	c.log.Info("ready")
	go func() {
		<-ctx.Done()
		c.queue.ShutDown()
	}()
	for {
		key, stop := c.queue.Get()
		if stop {
			return nil
		}
		if err := c.process(ctx, key); err != nil {
			c.log.Warn("will try again", "workflow", key.String(), "error", err)
			c.queue.AddRateLimited(key)
		} else {
			c.queue.Forget(key)
		}
		c.queue.Done(key)
	}
}

// process brings one workflow forward.
func (c *controller) process(ctx context.Context, key cache.ObjectName) error {
	found, err := c.workflows.ByNamespace(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	object, ok := found.(*unstructured.Unstructured)
	if err != nil || !ok {
		return fmt.Errorf("look up: %w", err)
	}
	if object.GetDeletionTimestamp() != nil || object.GetLabels()[labelCompleted] == "true" {
		return nil
	}
	w, err := read(object)
	if w == nil {
		return err
	}
	before, _, _ := unstructured.NestedString(object.Object, "status", "phase")
	o := &operation{workflow: w, now: metav1.NewTime(c.now()), pods: reader{ctx, c, key.Namespace}, store: c.store}
	if err != nil {
		o.finish(errored, err.Error())
	} else if err := o.run(); err != nil {
		return err
	}
	if err := c.act(ctx, o); err != nil {
		return err
	}
	next, err := w.written()
	if err != nil || reflect.DeepEqual(next.Object, object.Object) {
		return err
	}
	_, err = c.dynamic.Resource(workflowsResource()).Namespace(key.Namespace).Update(ctx, next, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil && before != w.status.Phase {
		c.log.Info("workflow", "name", key.String(), "phase", w.status.Phase, "message", w.status.Message)
	}
	return err
}

// act does in the cluster what an operation asks for. All of it may be done twice.
func (c *controller) act(ctx context.Context, o *operation) error {
	pods := c.client.CoreV1().Pods(o.object.GetNamespace())
	for _, p := range o.create {
		if _, err := pods.Create(ctx, p, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create pod: %w", err)
		}
	}
	for _, p := range o.kill {
		var err error
		if p.Spec.NodeName == "" { // no kubelet will ever end it
			err = pods.Delete(ctx, p.Name, metav1.DeleteOptions{})
		} else if p.Spec.ActiveDeadlineSeconds == nil {
			// The kubelet ends it, and unlike a deleted pod it keeps its logs.
			_, err = pods.Patch(ctx, p.Name, types.MergePatchType, []byte(`{"spec":{"activeDeadlineSeconds":1}}`), metav1.PatchOptions{})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("end pod: %w", err)
		}
	}
	for _, p := range o.ended {
		patch := fmt.Sprintf(`{"metadata":{"labels":{%q:"true"}}}`, labelCompleted)
		if _, err := pods.Patch(ctx, p.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("label pod: %w", err)
		}
	}
	return nil
}

// reader reads the pods of a namespace.
type reader struct {
	ctx       context.Context //nolint:containedctx // lives for one call of process
	c         *controller
	namespace string
}

func (r reader) pod(name string) (*corev1.Pod, error) {
	p, err := r.c.pods.Pods(r.namespace).Get(name)
	if apierrors.IsNotFound(err) { // or not seen yet
		p, err = r.c.client.CoreV1().Pods(r.namespace).Get(r.ctx, name, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // as podReader says
	}
	return p, err
}

func (r reader) result(pod *corev1.Pod) (*step.Result, error) {
	if s := container(pod, waitName); s == nil || s.State.Terminated == nil {
		return nil, nil //nolint:nilnil // it never ran
	}
	text, err := r.c.client.CoreV1().Pods(r.namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: waitName}).DoRaw(r.ctx)
	if err != nil {
		return nil, fmt.Errorf("the result of %s: %w", pod.Name, err)
	}
	for line := range bytes.Lines(text) {
		if !strings.HasPrefix(string(line), "{") {
			continue
		}
		var result step.Result
		return &result, json.Unmarshal(line, &result)
	}
	return nil, nil //nolint:nilnil // it was ended early
}
