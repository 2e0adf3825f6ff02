package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What a Workflow, its nodes and its pods are marked with.
const (
	labelCompleted  = "workflows.argoproj.io/completed"
	labelPhase      = "workflows.argoproj.io/phase"
	labelWorkflow   = "workflows.argoproj.io/workflow"
	noteNodeName    = "workflows.argoproj.io/node-name"
	noteNodeID      = "workflows.argoproj.io/node-id"
	notePodNames    = "workflows.argoproj.io/pod-name-format"
	defaultMainName = "main"
)

// Phases of workflows and nodes.
const (
	pending   = "Pending"
	running   = "Running"
	succeeded = "Succeeded"
	failed    = "Failed"
	errored   = "Error"
	skipped   = "Skipped"
	omitted   = "Omitted"
)

// Kinds of nodes.
const (
	kindPod     = "Pod"
	kindDAG     = "DAG"
	kindGroup   = "TaskGroup"
	kindSkipped = "Skipped"
)

// spec is the part of a Workflow that Lodge writes. What is not here is refused, so that nothing that
// Lodge comes to use is passed over in silence.
type spec struct {
	Entrypoint string          `json:"entrypoint"`
	Arguments  arguments       `json:"arguments"`
	Volumes    []corev1.Volume `json:"volumes"`
	Templates  []template      `json:"templates"`
	Shutdown   string          `json:"shutdown"`
	// ServiceAccountName is what the pods run as.
	ServiceAccountName string `json:"serviceAccountName"`
}

type arguments struct {
	Parameters []parameter `json:"parameters,omitempty"`
	Artifacts  []artifact  `json:"artifacts,omitempty"`
}

type parameter struct {
	Name      string     `json:"name"`
	Value     *string    `json:"value,omitempty"`
	ValueFrom *valueFrom `json:"valueFrom,omitempty"`
}

type valueFrom struct {
	Path       string `json:"path,omitempty"`
	Parameter  string `json:"parameter,omitempty"`
	Expression string `json:"expression,omitempty"`
}

type artifact struct {
	Name           string `json:"name"`
	Path           string `json:"path,omitempty"`
	From           string `json:"from,omitempty"`
	FromExpression string `json:"fromExpression,omitempty"`
	S3             *s3    `json:"s3,omitempty"` // in a status: where the store has it
}

type s3 struct {
	Key string `json:"key"`
}

type template struct {
	Name      string            `json:"name"`
	Inputs    arguments         `json:"inputs"`
	Outputs   arguments         `json:"outputs"`
	Container *corev1.Container `json:"container"`
	DAG       *struct {
		Tasks []task `json:"tasks"`
	} `json:"dag"`
}

type task struct {
	Name         string            `json:"name"`
	Template     string            `json:"template"`
	Dependencies []string          `json:"dependencies"`
	When         string            `json:"when"`
	WithParam    string            `json:"withParam"`
	WithItems    []json.RawMessage `json:"withItems"`
	Arguments    arguments         `json:"arguments"`
}

// status is what Argo writes into the same object.
type status struct {
	Phase      string           `json:"phase,omitempty"`
	Message    string           `json:"message,omitempty"`
	StartedAt  *metav1.Time     `json:"startedAt,omitempty"`
	FinishedAt *metav1.Time     `json:"finishedAt,omitempty"`
	Progress   string           `json:"progress,omitempty"`
	Nodes      map[string]*node `json:"nodes,omitempty"`
}

// node is one run of a template, or one that did not come to run.
type node struct {
	ID            string       `json:"id"`
	Name          string       `json:"name"`
	DisplayName   string       `json:"displayName"`
	Type          string       `json:"type"`
	TemplateName  string       `json:"templateName,omitempty"`
	TemplateScope string       `json:"templateScope,omitempty"`
	Phase         string       `json:"phase"`
	BoundaryID    string       `json:"boundaryID,omitempty"`
	Message       string       `json:"message,omitempty"`
	StartedAt     *metav1.Time `json:"startedAt"`
	FinishedAt    *metav1.Time `json:"finishedAt"`
	Progress      string       `json:"progress,omitempty"`
	Inputs        *arguments   `json:"inputs,omitempty"`
	Outputs       *outputs     `json:"outputs,omitempty"`
	Children      []string     `json:"children,omitempty"`
	OutboundNodes []string     `json:"outboundNodes,omitempty"`
	HostNodeName  string       `json:"hostNodeName,omitempty"`
}

type outputs struct {
	ExitCode string `json:"exitCode,omitempty"`
	arguments
}

func (n *node) done() bool {
	switch n.Phase {
	case succeeded, failed, errored, skipped, omitted:
		return true
	}
	return false
}

// good says whether what waits for the node may go on.
func (n *node) good() bool { return n.Phase == succeeded || n.Phase == skipped }

// workflow is one, read.
type workflow struct {
	object    *unstructured.Unstructured
	spec      spec
	status    status
	templates map[string]*template
}

func (w *workflow) name() string { return w.object.GetName() }

// read takes a Workflow apart. The object stays as it is.
func read(object *unstructured.Unstructured) (*workflow, error) {
	w := &workflow{object: object, templates: map[string]*template{}}
	if err := part(object, "status", &w.status, false); err != nil {
		return nil, err
	}
	if err := part(object, "spec", &w.spec, true); err != nil {
		return w, err
	}
	for i := range w.spec.Templates {
		w.templates[w.spec.Templates[i].Name] = &w.spec.Templates[i]
	}
	return w, nil
}

func part(object *unstructured.Unstructured, name string, into any, strict bool) error {
	text, err := json.Marshal(object.Object[name])
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the stand-in cannot read %s: %w", name, err)
	}
	return nil
}

// written is the object with its new status and what marks it.
func (w *workflow) written() (*unstructured.Unstructured, error) {
	text, err := json.Marshal(w.status)
	if err != nil {
		return nil, err
	}
	var made map[string]any
	if err := json.Unmarshal(text, &made); err != nil {
		return nil, err
	}
	next := w.object.DeepCopy()
	next.Object["status"] = made
	notes, labels := next.GetAnnotations(), next.GetLabels()
	if notes == nil {
		notes = map[string]string{}
	}
	if labels == nil {
		labels = map[string]string{}
	}
	notes[notePodNames] = "v2"
	labels[labelPhase] = w.status.Phase
	if w.status.FinishedAt != nil {
		labels[labelCompleted] = "true"
	}
	next.SetAnnotations(notes)
	next.SetLabels(labels)
	return next, nil
}
