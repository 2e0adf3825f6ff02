package local

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"lodge/internal/workflows"
	"lodge/internal/workflows/argo"
	"lodge/internal/workflows/spec"
)

// What follows is a Workflow with its status as Argo writes it, as far as pages look at it.

type object struct {
	Kind       string          `json:"kind"`
	APIVersion string          `json:"apiVersion"`
	Metadata   objectMetadata  `json:"metadata"`
	Spec       json.RawMessage `json:"spec"`
	Status     status          `json:"status"`
}

type objectMetadata struct {
	argo.Metadata
	UID               string `json:"uid"`
	CreationTimestamp string `json:"creationTimestamp"`
}

type status struct {
	Phase      workflows.Phase        `json:"phase"`
	StartedAt  string                 `json:"startedAt"`
	FinishedAt *string                `json:"finishedAt"`
	Progress   string                 `json:"progress"`
	Message    string                 `json:"message,omitempty"`
	Nodes      map[string]*nodeStatus `json:"nodes"`
	Outputs    *given                 `json:"outputs,omitempty"`
}

type nodeStatus struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	DisplayName  string          `json:"displayName"`
	Type         string          `json:"type"`
	TemplateName string          `json:"templateName,omitempty"`
	Phase        workflows.Phase `json:"phase"`
	BoundaryID   string          `json:"boundaryID,omitempty"`
	Message      string          `json:"message,omitempty"`
	StartedAt    string          `json:"startedAt"`
	FinishedAt   *string         `json:"finishedAt"`
	Inputs       *given          `json:"inputs,omitempty"`
	Outputs      *given          `json:"outputs,omitempty"`
	Children     []string        `json:"children,omitempty"`
}

type given struct {
	Parameters []namedText `json:"parameters,omitempty"`
	Artifacts  []namedFile `json:"artifacts,omitempty"`
}

type namedText struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type namedFile struct {
	Name string `json:"name"`
	Path string `json:"path,omitempty"`
	Size int64  `json:"size"`
	S3   struct {
		Key string `json:"key"`
	} `json:"s3"`
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func stampOrNil(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := stamp(t)
	return &text
}

func givenOf(v values) *given {
	if len(v.params)+len(v.files) == 0 {
		return nil
	}
	g := &given{}
	for _, name := range slices.Sorted(maps.Keys(v.params)) {
		g.Parameters = append(g.Parameters, namedText{name, v.params[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(v.files)) {
		f := namedFile{Name: name, Path: v.files[name].Name, Size: v.files[name].Size}
		f.S3.Key = v.files[name].Key
		g.Artifacts = append(g.Artifacts, f)
	}
	return g
}

// snapshot is the job as listeners are told of it.
func (r *run) snapshot(phase workflows.Phase, message string, finished time.Time) (json.RawMessage, error) {
	t := r.tree
	o := object{Kind: "Workflow", APIVersion: t.w.APIVersion, Spec: r.spec}
	o.Metadata = objectMetadata{Metadata: t.w.Metadata, UID: t.w.Metadata.Name, CreationTimestamp: stamp(r.started)}
	o.Metadata.Annotations = map[string]string{}
	for k, v := range t.w.Metadata.Annotations {
		o.Metadata.Annotations[k] = v
	}
	if note := r.engine.cfg.Note; note != "" {
		o.Metadata.Annotations["lodge/note"] = note
	}
	s := &o.Status
	s.Phase, s.Message, s.StartedAt, s.FinishedAt = phase, message, stamp(r.started), stampOrNil(finished)
	s.Nodes = make(map[string]*nodeStatus, len(t.nodes))
	var done, all int
	for _, n := range t.nodes {
		one := &nodeStatus{
			ID: n.id, Name: n.name, DisplayName: n.display, Type: n.kind, Phase: n.phase, Message: n.message,
			StartedAt: stamp(n.started), FinishedAt: stampOrNil(n.finished), Inputs: givenOf(n.in), Outputs: givenOf(n.out),
		}
		if n.template != nil {
			one.TemplateName = n.template.Name
		}
		if b := n.boundary(); b != nil {
			one.BoundaryID = b.id
		}
		one.Children = n.next()
		s.Nodes[n.id] = one
		if n.kind == kindPod {
			if all++; over(n.phase) {
				done++
			}
		}
	}
	s.Progress = fmt.Sprintf("%d/%d", done, all)
	if phase == workflows.Succeeded {
		s.Outputs = givenOf(t.root.out)
	}
	return spec.Encode(o)
}

// boundary is the graph that a node stands in.
func (n *node) boundary() *node {
	for p := n.parent; p != nil; p = p.parent {
		if p.kind == kindDAG {
			return p
		}
	}
	return nil
}

// next are the ids of the nodes that pages draw after this one: a graph's first, what waits for a
// task, a group's elements.
func (n *node) next() []string {
	var ids []string
	switch n.kind {
	case kindDAG:
		for i := range n.tasks {
			if d := &n.tasks[i]; d.node != nil && len(d.Dependencies) == 0 {
				ids = append(ids, d.node.id)
			}
		}
	case kindGroup:
		for _, c := range n.children {
			ids = append(ids, c.id)
		}
	}
	if p := n.parent; p != nil && p.kind == kindDAG {
		for _, next := range p.tasks[n.task].dependents {
			if d := p.tasks[next].node; d != nil {
				ids = append(ids, d.id)
			}
		}
	}
	return ids
}
