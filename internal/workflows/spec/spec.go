// Package spec is the language that workflows are written in: components,
// workflows, jobs and volumes as JSON documents. It reads them exactly, with
// every finding at once, and checks what a schema cannot: references, cycles,
// ports and types. It knows neither HTTP nor SQL nor any engine, and does no
// input or output.
//
// A document is written with encoding/json as it stands; none of the types that
// contain each other has a MarshalJSON of its own, so that the time to write
// one grows with its length and not with its depth.
package spec

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Latest is the tag that the server moves: it is always on the newest version.
const Latest = "latest"

// Metadata is what components, workflows and jobs have in common.
type Metadata struct {
	Name        string     `json:"name,omitempty"`
	Description string     `json:"description,omitempty"`
	ModifiedBy  ModifiedBy `json:"modifiedBy"`
	UID         uuid.UUID  `json:"uid"`
	Version     Version    `json:"version"`
	Timestamp   Timestamp  `json:"timestamp"`
}

// ModifiedBy is who wrote a document last.
type ModifiedBy struct {
	OID   string `json:"oid"`
	Email string `json:"email,omitempty"`
}

// Version is a document's place among those with its uid.
type Version struct {
	Current  int      `json:"current"`
	Tags     []string `json:"tags,omitempty"`
	Previous Previous `json:"previous"`
}

// Previous is the version that this one was made from.
type Previous struct {
	Version int       `json:"version,omitempty"`
	UID     uuid.UUID `json:"uid"`
}

// Timestamp is a time to the millisecond, written as clients of the original know it.
type Timestamp struct{ time.Time }

// At makes a timestamp.
func At(t time.Time) Timestamp { return Timestamp{t.UTC().Truncate(time.Millisecond)} }

// MarshalJSON writes the time in UTC, without trailing zeros.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return nil, fmt.Errorf("the year %d cannot be written", y)
	}
	return t.UTC().AppendFormat(nil, `"2006-01-02T15:04:05.999Z"`), nil
}

// UnmarshalJSON reads RFC 3339.
func (t *Timestamp) UnmarshalJSON(text []byte) error {
	var v time.Time
	if err := v.UnmarshalJSON(text); err != nil {
		return err
	}
	*t = At(v)
	return nil
}

// DataType is what passes through a port.
type DataType string

// The types of ports.
const (
	Parameter      DataType = "parameter"
	ParameterArray DataType = "parameter_array"
	Artifact       DataType = "artifact"
	EnvSecret      DataType = "env_secret"
	VolumeType     DataType = "volume"
)

// Data is a port of a component.
type Data struct {
	Name      string          `json:"name"`
	Type      DataType        `json:"type"`
	Mediatype []string        `json:"mediatype,omitempty"`
	Userdata  json.RawMessage `json:"userdata,omitempty"`
}

// Component is a building block with inputs and outputs.
type Component struct {
	Metadata
	Type           componentKind  `json:"type"`
	Inputs         []Data         `json:"inputs,omitempty"`
	Outputs        []Data         `json:"outputs,omitempty"`
	Implementation Implementation `json:"implementation"`
}

// Input finds an input by name.
func (c *Component) Input(name string) (Data, bool) { return find(c.Inputs, name) }

// Output finds an output by name.
func (c *Component) Output(name string) (Data, bool) { return find(c.Outputs, name) }

func find(list []Data, name string) (Data, bool) {
	if i := slices.IndexFunc(list, func(d Data) bool { return d.Name == name }); i >= 0 {
		return list[i], true
	}
	return Data{}, false
}

// Implementation is one of *Any, *Brick, *Graph, *Map and *Conditional.
type Implementation interface {
	// Kind is the implementation's type as it is written.
	Kind() string
}

// Any is a placeholder, which cannot be run.
type Any struct {
	Type anyKind `json:"type"`
}

// Brick runs a container.
type Brick struct {
	Type      brickKind `json:"type"`
	Container Container `json:"container"`
	Args      []Arg     `json:"args,omitempty"`
	Results   []Result  `json:"results,omitempty"`
}

// Graph runs its nodes as their edges order them.
type Graph struct {
	Type           graphKind `json:"type"`
	Nodes          []Node    `json:"nodes,omitempty"`
	Edges          []Edge    `json:"edges,omitempty"`
	InputMappings  []Edge    `json:"inputMappings,omitempty"`
	OutputMappings []Edge    `json:"outputMappings,omitempty"`
}

// Map runs its node once for each element of a list.
type Map struct {
	Type           mapKind `json:"type"`
	Node           Ref     `json:"node"`
	InputMappings  []Edge  `json:"inputMappings,omitempty"`
	OutputMappings []Edge  `json:"outputMappings,omitempty"`
}

// Conditional runs one of its nodes. NodeFalse may be nil.
type Conditional struct {
	Type           conditionalKind `json:"type"`
	NodeTrue       Ref             `json:"nodeTrue"`
	NodeFalse      Ref             `json:"nodeFalse,omitempty"`
	Expression     Expression      `json:"expression"`
	InputMappings  []Edge          `json:"inputMappings,omitempty"`
	OutputMappings []Edge          `json:"outputMappings,omitempty"`
}

// Ref names a component: CRef, CRefVersion, or the *Component itself.
type Ref interface{ ref() }

// CRef is the newest version of a component.
type CRef uuid.UUID

// CRefVersion is one version of a component; version 0 is the newest.
type CRefVersion struct {
	UID     uuid.UUID `json:"uid"`
	Version int       `json:"version,omitempty"`
}

func (CRef) ref()        {}
func (CRefVersion) ref() {}
func (*Component) ref()  {}

// MarshalText writes the uid.
func (r CRef) MarshalText() ([]byte, error) { return uuid.UUID(r).MarshalText() }

// Node is a component's place in a graph.
type Node struct {
	ID       string          `json:"id"`
	Node     Ref             `json:"node"`
	Userdata json.RawMessage `json:"userdata,omitempty"`
}

// Port is the address of a port. Without a node the enclosing component is meant.
type Port struct {
	Port string `json:"port"`
	Node string `json:"node,omitempty"`
}

// Edge leads from one port to another. Mappings are edges over a component's border.
type Edge struct {
	Source Port `json:"source"`
	Target Port `json:"target"`
}

// Arg is an argument of a brick's container: a text, or what a port brings.
type Arg struct {
	Source      ArgSource `json:"source"`
	Target      ArgTarget `json:"target"`
	Description string    `json:"description,omitempty"`
}

// ArgSource is a Literal or a Port.
type ArgSource interface{ argSource() }

// Literal is a text that stands for itself.
type Literal string

func (Literal) argSource() {}
func (Port) argSource()    {}

// ArgTarget says how what a port brings becomes an argument.
type ArgTarget struct {
	Type   DataType `json:"type"`
	Prefix string   `json:"prefix,omitempty"`
	Suffix string   `json:"suffix,omitempty"`
}

// Result says where an output of a brick comes from.
type Result struct {
	Source      ResultSource `json:"source"`
	Target      Port         `json:"target"`
	Description string       `json:"description,omitempty"`
}

// ResultSource is a Literal, which has no effect, a FileResult or a VolumeResult.
type ResultSource interface{ resultSource() }

// FileResult is a file of the container.
type FileResult struct {
	File string `json:"file"`
}

// VolumeResult is an input volume, handed on.
type VolumeResult struct {
	Volume string `json:"volume"`
}

func (Literal) resultSource()      {}
func (FileResult) resultSource()   {}
func (VolumeResult) resultSource() {}

// Expression compares two operands.
type Expression struct {
	Left     Operand `json:"left"`
	Right    Operand `json:"right"`
	Operator string  `json:"operator"`
}

// Operand is a Literal, or a Data that names an input.
type Operand interface{ operand() }

func (Literal) operand() {}
func (Data) operand()    {}

// Workflow is a component in a workspace.
type Workflow struct {
	Metadata
	Type      workflowKind `json:"type"`
	Component *Component   `json:"component"`
	Workspace string       `json:"workspace"`
}

// Job is one run of a workflow.
type Job struct {
	Metadata
	Type        jobKind           `json:"type"`
	Workflow    *Workflow         `json:"workflow"`
	InputValues []Value           `json:"inputValues,omitempty"`
	Events      []json.RawMessage `json:"events,omitempty"`
}

// Value is what an input of the job's component gets: a text or a list of texts.
type Value struct {
	Target string    `json:"target"`
	Value  InputText `json:"value"`
}

// InputText is a text, or a list if List is not nil.
type InputText struct {
	Text string
	List []string
}

// MarshalJSON writes the text or the list.
func (v InputText) MarshalJSON() ([]byte, error) {
	if v.List != nil {
		return encode(v.List)
	}
	return encode(v.Text)
}

// Volume is a volume that a workspace offers.
type Volume struct {
	UID       uuid.UUID  `json:"uid"`
	Workspace string     `json:"workspace"`
	Volume    KubeVolume `json:"volume"`
}

// The discriminators are types, so that a document cannot be written with a wrong one.
type (
	componentKind   struct{}
	workflowKind    struct{}
	jobKind         struct{}
	anyKind         struct{}
	brickKind       struct{}
	graphKind       struct{}
	mapKind         struct{}
	conditionalKind struct{}
)

// MarshalText writes the discriminator.
func (componentKind) MarshalText() ([]byte, error) { return []byte("component"), nil }

// MarshalText writes the discriminator.
func (workflowKind) MarshalText() ([]byte, error) { return []byte("workflow"), nil }

// MarshalText writes the discriminator.
func (jobKind) MarshalText() ([]byte, error) { return []byte("job"), nil }

// MarshalText writes the discriminator.
func (anyKind) MarshalText() ([]byte, error) { return []byte(KindAny), nil }

// MarshalText writes the discriminator.
func (brickKind) MarshalText() ([]byte, error) { return []byte(KindBrick), nil }

// MarshalText writes the discriminator.
func (graphKind) MarshalText() ([]byte, error) { return []byte(KindGraph), nil }

// MarshalText writes the discriminator.
func (mapKind) MarshalText() ([]byte, error) { return []byte(KindMap), nil }

// MarshalText writes the discriminator.
func (conditionalKind) MarshalText() ([]byte, error) { return []byte(KindConditional), nil }

// The kinds of implementations.
const (
	KindAny         = "any"
	KindBrick       = "brick"
	KindGraph       = "graph"
	KindMap         = "map"
	KindConditional = "conditional"
)

// Kind is "any".
func (*Any) Kind() string { return KindAny }

// Kind is "brick".
func (*Brick) Kind() string { return KindBrick }

// Kind is "graph".
func (*Graph) Kind() string { return KindGraph }

// Kind is "map".
func (*Map) Kind() string { return KindMap }

// Kind is "conditional".
func (*Conditional) Kind() string { return KindConditional }
