package main

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lodge/tools/kube/internal/step"
)

// operation looks at one workflow and its pods, says how far it is, and what is to be done. It goes
// by the object and the pods alone, so the controller may be killed at any moment.
type operation struct {
	*workflow
	now    metav1.Time
	pods   podReader
	store  string // the folder of the artifacts on the node
	create []*corev1.Pod
	kill   []*corev1.Pod
	ended  []*corev1.Pod
	fresh  map[string]bool // nodes made just now
}

// podReader knows the cluster's pods.
type podReader interface {
	// pod is nil if there is none of that name.
	pod(name string) (*corev1.Pod, error)
	// result is what a pod's wait container has written. It is nil if it wrote nothing.
	result(pod *corev1.Pod) (*step.Result, error)
}

// run brings the status up to date. An error is one of the cluster, and passes.
func (o *operation) run() error {
	s := &o.status
	o.fresh = map[string]bool{}
	if s.Nodes == nil {
		s.Nodes = map[string]*node{}
	}
	if s.Phase == "" {
		s.Phase, s.StartedAt = running, &o.now
	}
	top := o.templates[o.spec.Entrypoint]
	if top == nil {
		o.finish(failed, fmt.Sprintf("invalid spec: template %s undefined", o.spec.Entrypoint))
		return nil
	}
	root, err := o.template(o.name(), o.name(), top, o.spec.Arguments, "")
	if err != nil {
		return err
	}
	done, all := 0, 0
	for _, n := range s.Nodes {
		if n.Type == kindPod {
			all++
			if n.done() {
				done++
			}
		}
	}
	s.Progress = fmt.Sprintf("%d/%d", done, all)
	switch {
	case !root.done():
	case root.good():
		o.finish(succeeded, "")
	case o.spec.Shutdown != "":
		o.finish(failed, fmt.Sprintf("Stopped with strategy '%s'", o.spec.Shutdown))
	default:
		o.finish(root.Phase, o.reason(root))
	}
	return nil
}

func (o *operation) finish(phase, message string) {
	o.status.Phase, o.status.Message, o.status.FinishedAt = phase, message, &o.now
	if o.status.StartedAt == nil {
		o.status.StartedAt = &o.now
	}
}

// reason is the message of the node that failed first.
func (o *operation) reason(root *node) string {
	first := root
	for _, n := range o.status.Nodes {
		if n.Message == "" || n.Phase != failed && n.Phase != errored {
			continue
		}
		if first.Message == "" || n.FinishedAt.Before(first.FinishedAt) {
			first = n
		}
	}
	return first.Message
}

func (o *operation) stopping() bool { return o.spec.Shutdown != "" }

func hash(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return h.Sum32()
}

func (o *operation) nodeID(name string) string {
	if name == o.name() {
		return name
	}
	return fmt.Sprintf("%s-%d", o.name(), hash(name))
}

func (o *operation) podName(n *node) string {
	if n.Name == o.name() {
		return n.Name
	}
	return fmt.Sprintf("%s-%s-%d", o.name(), n.TemplateName, hash(n.Name))
}

// add makes a node.
func (o *operation) add(name, display, kind, phase, template, boundary string) *node {
	n := &node{
		ID: o.nodeID(name), Name: name, DisplayName: display, Type: kind, TemplateName: template,
		TemplateScope: "local/" + o.name(), BoundaryID: boundary, StartedAt: &o.now,
	}
	o.status.Nodes[n.ID], o.fresh[n.ID] = n, true
	o.set(n, phase, "")
	return n
}

func (o *operation) set(n *node, phase, message string) {
	n.Phase, n.Message = phase, message
	if n.done() {
		n.FinishedAt = &o.now
	}
	switch {
	case n.Type == kindSkipped:
	case n.done():
		n.Progress = "1/1"
	default:
		n.Progress = "0/1"
	}
}

// template runs a template, or looks how far it is.
func (o *operation) template(name, display string, t *template, args arguments, boundary string) (*node, error) {
	n := o.status.Nodes[o.nodeID(name)]
	if n == nil {
		kind, phase := kindPod, pending
		if t.DAG != nil {
			kind, phase = kindDAG, running
		}
		n = o.add(name, display, kind, phase, t.Name, boundary)
		in, err := inputs(t, args)
		switch {
		case err != nil:
			o.set(n, errored, err.Error())
		case o.stopping():
			o.set(n, failed, o.shutdownMessage())
		default:
			n.Inputs = in
		}
	}
	if n.done() {
		return n, nil
	}
	if t.DAG != nil {
		return n, (&graph{operation: o, node: n, template: t}).run()
	}
	return n, o.container(n, t)
}

func (o *operation) shutdownMessage() string {
	return "workflow shutdown with strategy:  " + o.spec.Shutdown
}

// inputs are a template's, from the arguments that it was given and its own defaults.
func inputs(t *template, args arguments) (*arguments, error) {
	var made arguments
	for _, p := range t.Inputs.Parameters {
		i := slices.IndexFunc(args.Parameters, func(a parameter) bool { return a.Name == p.Name })
		if i >= 0 {
			p.Value = args.Parameters[i].Value
		}
		if p.Value == nil {
			return nil, fmt.Errorf("inputs.parameters.%s was not supplied", p.Name)
		}
		made.Parameters = append(made.Parameters, parameter{Name: p.Name, Value: p.Value})
	}
	for _, a := range t.Inputs.Artifacts {
		i := slices.IndexFunc(args.Artifacts, func(b artifact) bool { return a.Name == b.Name })
		if i < 0 {
			return nil, fmt.Errorf("inputs.artifacts.%s was not supplied", a.Name)
		}
		made.Artifacts = append(made.Artifacts, artifact{Name: a.Name, Path: a.Path, S3: args.Artifacts[i].S3})
	}
	if made.Parameters == nil && made.Artifacts == nil {
		return nil, nil //nolint:nilnil // no inputs are no object
	}
	return &made, nil
}

// scopeOf is what a node's own template may name.
func (o *operation) scopeOf(n *node) *scope {
	s := newScope()
	s.values["workflow.name"], s.values["workflow.namespace"] = o.name(), o.object.GetNamespace()
	s.values["workflow.uid"] = string(o.object.GetUID())
	if n.Inputs == nil {
		return s
	}
	for _, p := range n.Inputs.Parameters {
		s.values["inputs.parameters."+p.Name] = *p.Value
	}
	for _, a := range n.Inputs.Artifacts {
		s.values["inputs.artifacts."+a.Name+".path"] = a.Path
		s.artifacts["inputs.artifacts."+a.Name] = a
	}
	return s
}

// container starts a pod, or looks how far it is.
func (o *operation) container(n *node, t *template) error {
	pod, err := o.pods.pod(o.podName(n))
	switch {
	case err != nil:
		return err
	case pod != nil:
		return o.observe(n, t, pod)
	case o.stopping():
		o.set(n, failed, o.shutdownMessage())
	case !o.fresh[n.ID]:
		o.set(n, errored, "pod deleted")
	default:
		if pod, err = o.newPod(n, t); err != nil {
			o.set(n, errored, err.Error())
			return nil
		}
		o.create = append(o.create, pod)
	}
	return nil
}

var errUnsupported = errors.New("the stand-in cannot do that")
