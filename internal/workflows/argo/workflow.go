// Package argo writes a job as an Argo Workflow, with the meaning that the
// job's documents have, and checks the result by the rules of Argo's own
// validator that touch what is written here. The same job gives the same bytes.
//
// The types are the part of argoproj.io/v1alpha1 that is used, and no more.
package argo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"lodge/internal/workflows/spec"
)

const (
	apiVersion = "argoproj.io/v1alpha1"
	// SecretName is the Kubernetes Secret that holds a workspace's secrets.
	SecretName = "flowify-default"
	// TagsAnnotation is where a job's tags stand, joined by semicolons.
	TagsAnnotation = "flowify.io/tags"
	// MaxSize is how large a Workflow may be as JSON: the API server takes 1.5 MiB, and Argo writes
	// its status into the same object.
	MaxSize = 1_400_000
)

// Workflow is what Argo runs.
type Workflow struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   Metadata `json:"metadata"`
	Spec       Spec     `json:"spec"`
}

// Metadata names a Workflow.
type Metadata struct {
	Name         string            `json:"name,omitempty"`
	GenerateName string            `json:"generateName,omitempty"`
	Namespace    string            `json:"namespace,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// Spec is what is to be run.
type Spec struct {
	Entrypoint string `json:"entrypoint"`
	// ActiveDeadlineSeconds ends the workflow after so long.
	ActiveDeadlineSeconds int               `json:"activeDeadlineSeconds,omitempty"`
	Arguments             *Arguments        `json:"arguments,omitempty"`
	Volumes               []spec.KubeVolume `json:"volumes,omitempty"`
	Templates             []*Template       `json:"templates"`
}

// Arguments are what a workflow, a template or a task gets or gives.
type Arguments struct {
	Parameters []Parameter `json:"parameters,omitempty"`
	Artifacts  []Artifact  `json:"artifacts,omitempty"`
}

// Parameter is a text.
type Parameter struct {
	Name      string     `json:"name"`
	Value     *string    `json:"value,omitempty"`
	ValueFrom *ValueFrom `json:"valueFrom,omitempty"`
}

// ValueFrom is where an output parameter comes from.
type ValueFrom struct {
	Path       string `json:"path,omitempty"`
	Parameter  string `json:"parameter,omitempty"`
	Expression string `json:"expression,omitempty"`
}

// Artifact is a file.
type Artifact struct {
	Name           string `json:"name"`
	Path           string `json:"path,omitempty"`
	From           string `json:"from,omitempty"`
	FromExpression string `json:"fromExpression,omitempty"`
}

// Template is a container or a graph of tasks.
type Template struct {
	Name      string     `json:"name"`
	Inputs    *Arguments `json:"inputs,omitempty"`
	Outputs   *Arguments `json:"outputs,omitempty"`
	Container Object     `json:"container,omitempty"`
	DAG       *DAG       `json:"dag,omitempty"`
	// RetryStrategy runs a container that fails again.
	RetryStrategy *RetryStrategy `json:"retryStrategy,omitempty"`
}

// RetryStrategy is how often something that fails is run again.
type RetryStrategy struct {
	Limit int `json:"limit"`
}

// Limit sets what a job's options bound: its time, and how often its steps may fail.
func (w *Workflow) Limit(o spec.JobOptions) {
	w.Spec.ActiveDeadlineSeconds = o.Timeout
	for _, t := range w.Spec.Templates {
		if t.Container != nil && o.Retries > 0 {
			t.RetryStrategy = &RetryStrategy{o.Retries}
		}
	}
}

// DAG is a graph of tasks.
type DAG struct {
	Tasks []Task `json:"tasks"`
}

// Task is a template's place in a graph.
type Task struct {
	Name         string     `json:"name"`
	Template     string     `json:"template"`
	Dependencies []string   `json:"dependencies,omitempty"`
	When         string     `json:"when,omitempty"`
	WithParam    string     `json:"withParam,omitempty"`
	Arguments    *Arguments `json:"arguments,omitempty"`
}

// Object is a JSON object whose members keep their order.
type Object []Member

// Member is one of an object.
type Member struct {
	Name  string
	Value json.RawMessage
}

// Get finds a member.
func (o Object) Get(name string) json.RawMessage {
	for _, m := range o {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// MarshalJSON writes the members in their order.
func (o Object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := spec.Encode(m.Name)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(m.Value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// UnmarshalJSON reads an object.
func (o *Object) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return err
	}
	for *o = nil; d.More(); {
		name, err := d.Token()
		if err != nil {
			return err
		}
		m := Member{Name: fmt.Sprint(name)}
		if err := d.Decode(&m.Value); err != nil {
			return err
		}
		*o = append(*o, m)
	}
	return nil
}

// JSON is the Workflow as it is submitted.
func (w *Workflow) JSON() ([]byte, error) { return spec.Encode(w) }

// YAML is the Workflow as people read it.
func (w *Workflow) YAML() ([]byte, error) {
	text, err := w.JSON()
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	node, err := yamlNode(d)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(node); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

// number are numbers and dates of YAML 1.1.
var number = regexp.MustCompile(`(?i)^[-+]?(0b[01_]+|0x[0-9a-f_]+|0o[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])*(\.[0-9_]*)?(e[-+]?[0-9]+)?|\.[0-9_]+(e[-+]?[0-9]+)?|\.(inf|nan))$|^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([t \t].*)?$`)

// ambiguous says whether a reader of YAML 1.1, which Kubernetes has, could take a text for something else.
func ambiguous(text string) bool {
	switch strings.ToLower(text) {
	case "", "y", "yes", "n", "no", "on", "off", "true", "false", "null", "~":
		return true
	}
	return number.MatchString(text)
}

// yamlNode turns JSON into YAML and keeps the order of its members.
func yamlNode(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	scalar := func(tag, text string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
	}
	switch v := token.(type) {
	case string:
		node := scalar("!!str", v)
		if ambiguous(v) {
			node.Style = yaml.DoubleQuotedStyle
		}
		return node, nil
	case json.Number:
		tag := "!!int"
		if _, err := v.Int64(); err != nil {
			tag = "!!float"
		}
		return scalar(tag, v.String()), nil
	case bool:
		return scalar("!!bool", fmt.Sprint(v)), nil
	case nil:
		return scalar("!!null", "null"), nil
	case json.Delim:
		node := &yaml.Node{Kind: yaml.SequenceNode}
		if v == '{' {
			node.Kind = yaml.MappingNode
		}
		for d.More() {
			child, err := yamlNode(d)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		if len(node.Content) == 0 {
			node.Style = yaml.FlowStyle
		}
		_, err := d.Token()
		return node, err
	default:
		return nil, fmt.Errorf("unexpected %T: %w", token, io.ErrUnexpectedEOF)
	}
}
