// Package kubernetes runs jobs on a Kubernetes cluster: it hands Argo's controller a Workflow for each,
// as package argo writes it, and tells the part what becomes of it. Argo's own Go types are not needed:
// a Workflow is plain data for the dynamic client.
//
// A Workflow has the job's uid as its name, so that handing it over may be done again. What has been
// seen of it is told as the local engine tells it: the same rows, objects and news. So a job that has
// ended needs its cluster no more, and its Workflow is deleted after a while.
//
// One replica watches, by a lease; every replica hands over.
package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"lodge/internal/fault"
	"lodge/internal/work"
	"lodge/internal/workflows"
	"lodge/internal/workflows/argo"
	"lodge/internal/workflows/spec"
)

// Config says how jobs are handed over. Installation must be given.
type Config struct {
	// Installation marks what is ours.
	Installation string
	// Namespace holds the ConfigMaps that make namespaces workspaces; "" is "lodge".
	Namespace string
	// ServiceAccount is what steps run as; "" is the default one of their namespace.
	ServiceAccount string
	// Keep is how long the Workflow of a job that has ended stays in the cluster.
	Keep time.Duration
	// MaxLog bounds what is kept of a step's log in bytes; 0 is 16 MiB.
	MaxLog int64
}

// The marks of everything that is ours.
const (
	labelInstallation = "lodge.installation"
	labelJob          = "lodge.workflows.job"
	// noteRound says which of a job's rounds a Workflow is in: 0, and one more each time it was retried.
	noteRound = "lodge/round"
)

// patience is how long a call to the cluster may take.
const patience = 20 * time.Second

// Engine runs jobs on a cluster. It is safe for concurrent use.
type Engine struct {
	cfg     Config
	objects dynamic.Interface
	core    clientset.Interface
	queue   *work.Queue
	svc     *workflows.Service
	// open opens the log of a pod's step.
	open func(ctx context.Context, namespace, pod string, follow bool) (io.ReadCloser, error)
	now  func() time.Time
	log  *slog.Logger
}

// New makes the engine. It asks no server; Attach comes before Run.
func New(cfg Config, access *rest.Config, queue *work.Queue, now func() time.Time, log *slog.Logger) (*Engine, error) {
	objects, err := dynamic.NewForConfig(access)
	if err != nil {
		return nil, err
	}
	core, err := clientset.NewForConfig(access)
	if err != nil {
		return nil, err
	}
	return newEngine(cfg, objects, core, queue, now, log), nil
}

func newEngine(cfg Config, objects dynamic.Interface, core clientset.Interface, queue *work.Queue, now func() time.Time, log *slog.Logger) *Engine {
	if cfg.MaxLog <= 0 {
		cfg.MaxLog = 16 << 20
	}
	if cfg.Namespace == "" {
		cfg.Namespace = "lodge"
	}
	e := &Engine{cfg: cfg, objects: objects, core: core, queue: queue, now: now, log: log}
	e.open = func(ctx context.Context, namespace, pod string, follow bool) (io.ReadCloser, error) {
		return core.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{Container: stepContainer, Follow: follow}).Stream(ctx)
	}
	return e
}

// Attach says whose jobs these are.
func (e *Engine) Attach(svc *workflows.Service) { e.svc = svc }

// workflowResource is what Argo calls its objects.
func workflowResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "workflows"}
}

func (e *Engine) in(namespace string) dynamic.ResourceInterface {
	return e.objects.Resource(workflowResource()).Namespace(namespace)
}

// Prepare writes the job as a Workflow. What Argo or the API server would refuse is a finding.
func (e *Engine) Prepare(o workflows.Order) ([]byte, spec.Findings, error) {
	w, err := argo.Transpile(o.Job, o.Library, o.Options.Tags)
	if err != nil {
		return nil, spec.Findings{{Code: spec.CodeValue, Severity: spec.Error, Message: err.Error()}}, nil //nolint:nilerr // it is about the job
	}
	w.Limit(o.Options)
	if findings := argo.Findings(w, false); len(findings) > 0 {
		return nil, findings, nil
	}
	text, err := w.JSON()
	return text, nil, err
}

// Start hands the job over, unless it has been. What the cluster refuses for good ends the job.
func (e *Engine) Start(ctx context.Context, o workflows.Order) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	in, name := e.in(o.Job.Workflow.Workspace), o.Job.UID.String()
	there, err := in.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if there, err = e.first(ctx, o); err != nil {
			return err
		}
		if there, err = in.Create(ctx, there, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
			there, err = in.Get(ctx, name, metav1.GetOptions{}) // an earlier attempt, or another replica
		}
	}
	switch {
	case err != nil:
		return plain(err)
	case !e.owns(there):
		return fault.New(fault.Invalid, "there is a Workflow %s in the namespace %s already, which is not ours", name, o.Job.Workflow.Workspace)
	case roundOf(there) >= o.Round:
		return nil
	}
	return e.again(ctx, there, o)
}

// first makes the object of a job that the cluster does not have: the manifest, or of a job that is
// retried how it stood last.
func (e *Engine) first(ctx context.Context, o workflows.Order) (*unstructured.Unstructured, error) {
	text := o.Manifest
	if o.Round > 0 {
		last, err := e.svc.LastObject(ctx, o.Job.UID)
		if err != nil {
			return nil, err
		}
		if last != nil {
			text = last
		}
	}
	made := &unstructured.Unstructured{}
	if err := made.UnmarshalJSON(text); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the manifest cannot be read")
	}
	bare(made)
	if o.Round > 0 {
		pods, err := revive(made)
		if err == nil {
			err = e.clear(ctx, made.GetNamespace(), pods) // the cluster may not have come to it yet
		}
		if err != nil {
			return nil, err
		}
	}
	return made, e.mark(made, o)
}

// mark makes an object ours.
func (e *Engine) mark(u *unstructured.Unstructured, o workflows.Order) error {
	labels, notes := u.GetLabels(), u.GetAnnotations()
	if labels == nil {
		labels = map[string]string{}
	}
	if notes == nil {
		notes = map[string]string{}
	}
	labels[labelInstallation], labels[labelJob] = e.cfg.Installation, o.Job.UID.String()
	notes[noteRound] = strconv.Itoa(o.Round)
	u.SetLabels(labels)
	u.SetAnnotations(notes)
	if e.cfg.ServiceAccount == "" {
		return nil
	}
	return unstructured.SetNestedField(u.Object, e.cfg.ServiceAccount, "spec", "serviceAccountName")
}

func (e *Engine) owns(u *unstructured.Unstructured) bool {
	labels := u.GetLabels()
	return labels[labelInstallation] == e.cfg.Installation && labels[labelJob] == u.GetName()
}

func roundOf(u *unstructured.Unstructured) int {
	n, err := strconv.Atoi(u.GetAnnotations()[noteRound])
	if err != nil {
		return 0
	}
	return n
}

// again has a Workflow that has ended go on, from what succeeded in it.
func (e *Engine) again(ctx context.Context, there *unstructured.Unstructured, o workflows.Order) error {
	next := there.DeepCopy()
	pods, err := revive(next)
	if err != nil {
		return err
	}
	if err := e.clear(ctx, next.GetNamespace(), pods); err != nil {
		return err
	}
	if err := e.mark(next, o); err != nil {
		return err
	}
	_, err = e.in(next.GetNamespace()).Update(ctx, next, metav1.UpdateOptions{})
	return plain(err)
}

// clear removes the pods of steps that are run again: a pod of the same name will be made for each.
func (e *Engine) clear(ctx context.Context, namespace string, pods []string) error {
	for _, pod := range pods {
		at := int64(0)
		err := e.core.CoreV1().Pods(namespace).Delete(ctx, pod, metav1.DeleteOptions{GracePeriodSeconds: &at})
		if err != nil && !apierrors.IsNotFound(err) {
			return plain(err)
		}
	}
	return nil
}

// Stop ends a job soon. That it is to end stands in its row: a cluster that does not answer is asked
// again by whoever watches.
func (e *Engine) Stop(ctx context.Context, job uuid.UUID) error {
	at, err := e.svc.Standing(ctx, job)
	if fault.Is(err, fault.Missing) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := e.shut(ctx, at.Workspace, job.String()); err != nil {
		e.log.WarnContext(ctx, "a job is stopped a little later", "job", job.String(), "error", err)
	}
	return nil
}

func (e *Engine) shut(ctx context.Context, namespace, name string) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	_, err := e.in(namespace).Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"shutdown":"Terminate"}}`), metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return plain(err)
}

// Forget deletes the Workflow of a job that has ended, and by that its pods.
func (e *Engine) Forget(ctx context.Context, job uuid.UUID) error {
	at, err := e.svc.Standing(ctx, job)
	if fault.Is(err, fault.Missing) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	there, err := e.in(at.Workspace).Get(ctx, job.String(), metav1.GetOptions{})
	if err == nil && e.owns(there) {
		err = e.remove(ctx, there)
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return plain(err)
}

// remove deletes a Workflow as it was seen: one that has changed since stays.
func (e *Engine) remove(ctx context.Context, u *unstructured.Unstructured) error {
	how, id, version := metav1.DeletePropagationBackground, u.GetUID(), u.GetResourceVersion()
	return e.in(u.GetNamespace()).Delete(ctx, u.GetName(), metav1.DeleteOptions{
		PropagationPolicy: &how, Preconditions: &metav1.Preconditions{UID: &id, ResourceVersion: &version},
	})
}

// plain says what an error of the API server means for a job.
func plain(err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case apierrors.IsRequestEntityTooLargeError(err), strings.Contains(err.Error(), "request is too large"):
		return fault.Wrap(err, fault.TooLarge, "the job is larger than the cluster takes: split it into several workflows, or let parts of it refer to the same component")
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsForbidden(err), apierrors.IsMethodNotSupported(err):
		return fault.Wrap(err, fault.Invalid, "the cluster refused it")
	case errors.As(err, &status) && strings.Contains(err.Error(), "denied the request"):
		return fault.Wrap(err, fault.Invalid, "the cluster refused it")
	case apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces":
		return fault.Wrap(err, fault.Invalid, "the cluster has no namespace %s", status.Status().Details.Name)
	case apierrors.IsNotFound(err):
		return fault.Wrap(err, fault.Unavailable, "the cluster does not know Workflows: install Argo Workflows there")
	default:
		return fault.Wrap(err, fault.Unavailable, "the cluster does not answer")
	}
}

// object reads a Workflow from JSON.
func object(text json.RawMessage) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("a stored Workflow cannot be read: %w", err)
	}
	return u, nil
}
