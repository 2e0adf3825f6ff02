package spec

import (
	"encoding/json"
	"regexp"

	"github.com/google/uuid"
)

// maxNesting bounds how deep components may stand in components.
const maxNesting = 500

var (
	portName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9_]*$`)
	nodeID   = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]*$`)
)

const (
	portWords = "begin with a letter, go on with letters, digits, - and _"
	nodeWords = "begin with a letter, go on with letters, digits and -"
)

var metadataNames = []string{"name", "description", "modifiedBy", "uid", "version", "timestamp"}

func withMetadata(names ...string) []string {
	return append(append(make([]string, 0, len(metadataNames)+len(names)), names...), metadataNames...)
}

// read parses a text and reads the document in it.
func read[T any](text []byte, how func(*reader, *place, *value) T) (T, Findings) {
	var r reader
	v, err := parse(text)
	if err != nil {
		var none T
		return none, Findings{{"", CodeJSON, Error, err.Error()}}
	}
	doc := how(&r, &place{}, v)
	return doc, r.findings
}

// ReadComponent reads a component. Without findings it is whole.
func ReadComponent(text []byte) (*Component, Findings) {
	return read(text, (*reader).outer)
}

// ReadWorkflow reads a workflow.
func ReadWorkflow(text []byte) (*Workflow, Findings) { return read(text, (*reader).workflow) }

// ReadJob reads a job.
func ReadJob(text []byte) (*Job, Findings) { return read(text, (*reader).job) }

// ReadVolume reads a volume.
func ReadVolume(text []byte) (*Volume, Findings) { return read(text, (*reader).volume) }

// ComponentRequest reads what is posted for a component.
func ComponentRequest(text []byte) (*Component, Findings) {
	return read(text, func(r *reader, at *place, v *value) *Component {
		return request(r, at, v, "component", (*reader).outer)
	})
}

// WorkflowRequest reads what is posted for a workflow.
func WorkflowRequest(text []byte) (*Workflow, Findings) {
	return read(text, func(r *reader, at *place, v *value) *Workflow {
		return request(r, at, v, "workflow", (*reader).workflow)
	})
}

// JobOptions are what is posted beside a job.
type JobOptions struct {
	Tags []string `json:"tags,omitempty"`
	// Timeout ends the job after so many seconds; 0 is never.
	Timeout int `json:"timeout,omitempty"`
	// Retries is how often a step that fails is run again.
	Retries int `json:"retries,omitempty"`
}

// maxRetries is more than anybody can want.
const maxRetries = 100

func (r *reader) jobOptions(at *place, v *value) JobOptions {
	o := r.object(at, v, false)
	options := JobOptions{Tags: o.texts("tags"), Timeout: o.count("timeout"), Retries: o.count("retries")}
	if options.Retries > maxRetries {
		r.wrong(at.at("retries"), "a step is run again %d times at most", maxRetries)
	}
	return options
}

// JobRequest reads what is posted for a job, with its options.
func JobRequest(text []byte) (*Job, JobOptions, Findings) {
	var options JobOptions
	job, findings := read(text, func(r *reader, at *place, v *value) *Job {
		job := request(r, at, v, "job", (*reader).job)
		if v.kind == isObject && v.get("options") != nil && v.get("options").kind == isObject {
			options = r.jobOptions(at.at("options"), v.get("options"))
		}
		return job
	})
	return job, options, findings
}

// request reads {NAME, options?}, which is closed.
func request[T any](r *reader, at *place, v *value, name string, how func(*reader, *place, *value) T) T {
	o := r.object(at, v, true, name, "options")
	o.free("options")
	where, inner := o.member(name, true)
	if inner == nil {
		var none T
		return none
	}
	return how(r, where, inner)
}

// Document is what a file can hold: one of them is not nil.
type Document struct {
	Component *Component
	Workflow  *Workflow
	Job       *Job
	Options   JobOptions
}

// ReadDocument reads a component, a workflow or a job, bare or as it is posted.
func ReadDocument(text []byte) (Document, Findings) {
	var doc Document
	_, findings := read(text, func(r *reader, at *place, v *value) any {
		if v.kind == isObject && v.get("type") == nil {
			for _, name := range []string{"component", "workflow", "job"} {
				if inner := v.get(name); inner != nil {
					r.names(at, v, true, []string{name, "options"})
					if options := v.get("options"); options != nil && name == "job" && r.is(at.at("options"), options, isObject) {
						doc.Options = r.jobOptions(at.at("options"), options)
					}
					at, v = at.at(name), inner
					break
				}
			}
		}
		o := r.object(at, v, false)
		switch o.choice("type", "component", "workflow", "job") {
		case "component":
			doc.Component = r.outer(at, v)
		case "workflow":
			doc.Workflow = r.workflow(at, v)
		case "job":
			doc.Job = r.job(at, v)
		}
		return nil
	})
	return doc, findings
}

func (r *reader) metadata(o object) Metadata {
	m := Metadata{
		Name: o.text("name", false), Description: o.text("description", false),
		UID: o.uid(), Timestamp: o.instant("timestamp"),
	}
	if at, v := o.member("modifiedBy", false); v != nil {
		by := r.object(at, v, false)
		m.ModifiedBy = ModifiedBy{OID: by.text("oid", true), Email: by.text("email", false)}
	}
	if at, v := o.member("version", false); v != nil {
		version := r.object(at, v, false)
		m.Version = Version{Current: version.count("current"), Tags: version.texts("tags")}
		if at, v := version.member("previous", false); v != nil {
			previous := r.object(at, v, false)
			m.Version.Previous = Previous{previous.count("version"), previous.uid()}
		}
	}
	return m
}

func (r *reader) outer(at *place, v *value) *Component { return r.component(at, v, 0) }

var componentNames = withMetadata("type", "inputs", "outputs", "implementation")

func (r *reader) component(at *place, v *value, depth int) *Component {
	o := r.object(at, v, true, componentNames...)
	if depth > maxNesting {
		r.find(at, CodeSize, Error, "components stand in each other deeper than %d levels", maxNesting)
		return &Component{Implementation: &Any{}}
	}
	o.constant("type", "component")
	c := &Component{Metadata: r.metadata(o), Inputs: list(o, "inputs", (*reader).data), Outputs: list(o, "outputs", (*reader).data)}
	distinct(o, "inputs", c.Inputs, dataName)
	distinct(o, "outputs", c.Outputs, dataName)
	c.Implementation = &Any{}
	if at, v := o.member("implementation", true); v != nil {
		c.Implementation = r.implementation(at, v, depth)
	}
	return c
}

func dataName(d Data) string { return d.Name }

func (r *reader) data(at *place, v *value) Data {
	o := r.object(at, v, false)
	return Data{
		Name:      o.word("name", portName, portWords),
		Type:      DataType(o.choice("type", string(Parameter), string(ParameterArray), string(Artifact), string(EnvSecret), string(VolumeType))),
		Mediatype: o.texts("mediatype"), Userdata: o.free("userdata"),
	}
}

func (r *reader) implementation(at *place, v *value, depth int) Implementation {
	o := r.object(at, v, false)
	switch o.choice("type", KindAny, KindBrick, KindGraph, KindMap, KindConditional) {
	case KindBrick:
		r.names(at, v, true, []string{"type", "container", "args", "results"})
		b := &Brick{Args: list(o, "args", (*reader).arg), Results: list(o, "results", (*reader).result)}
		if at, v := o.member("container", true); v != nil {
			b.Container = r.container(at, v)
		}
		return b
	case KindGraph:
		r.names(at, v, true, []string{"type", "nodes", "edges", "inputMappings", "outputMappings"})
		return &Graph{
			Nodes: list(o, "nodes", func(r *reader, at *place, v *value) Node { return r.node(at, v, depth) }),
			Edges: edges(o, "edges"), InputMappings: edges(o, "inputMappings"), OutputMappings: edges(o, "outputMappings"),
		}
	case KindMap:
		r.names(at, v, true, []string{"type", "node", "inputMappings", "outputMappings"})
		return &Map{Node: r.refMember(o, "node", true, depth), InputMappings: edges(o, "inputMappings"), OutputMappings: edges(o, "outputMappings")}
	case KindConditional:
		r.names(at, v, true, []string{"type", "nodeTrue", "nodeFalse", "expression", "inputMappings", "outputMappings"})
		c := &Conditional{
			NodeTrue: r.refMember(o, "nodeTrue", true, depth), NodeFalse: r.refMember(o, "nodeFalse", false, depth),
			InputMappings: edges(o, "inputMappings"), OutputMappings: edges(o, "outputMappings"),
		}
		if at, v := o.member("expression", true); v != nil {
			c.Expression = r.expression(at, v)
		}
		return c
	default:
		r.names(at, v, true, []string{"type"})
		return &Any{}
	}
}

func edges(o object, name string) []Edge { return list(o, name, (*reader).edge) }

func (r *reader) edge(at *place, v *value) Edge {
	o := r.object(at, v, true, "source", "target")
	var e Edge
	if at, v := o.member("source", true); v != nil {
		e.Source = r.port(at, v)
	}
	if at, v := o.member("target", true); v != nil {
		e.Target = r.port(at, v)
	}
	return e
}

func (r *reader) port(at *place, v *value) Port {
	o := r.object(at, v, false)
	return Port{Port: o.text("port", true), Node: o.text("node", false)}
}

func (r *reader) node(at *place, v *value, depth int) Node {
	o := r.object(at, v, false)
	return Node{ID: o.word("id", nodeID, nodeWords), Node: r.refMember(o, "node", true, depth), Userdata: o.free("userdata")}
}

func (r *reader) refMember(o object, name string, required bool, depth int) Ref {
	at, v := o.member(name, required)
	if v == nil {
		return nil
	}
	return r.ref(at, v, depth)
}

// ref tells the three forms of a reference apart.
func (r *reader) ref(at *place, v *value, depth int) Ref {
	switch {
	case v.kind == isString:
		return CRef(r.parseUID(at, v.text))
	case v.kind == isObject && (v.get("type") != nil || v.get("implementation") != nil):
		return r.component(at, v, depth+1)
	case v.kind == isObject:
		o := r.object(at, v, true, "uid", "version")
		return CRefVersion{UID: o.uid(), Version: o.count("version")}
	default:
		r.wrong(at, "expected a component: its uid, {\"uid\", \"version\"}, or the component itself; but got %s", kindNames[v.kind])
		return CRef(uuid.Nil)
	}
}

func (r *reader) arg(at *place, v *value) Arg {
	o := r.object(at, v, true, "source", "target", "description")
	a := Arg{Description: o.text("description", false), Source: Literal("")}
	if at, v := o.member("source", true); v != nil {
		switch v.kind {
		case isString:
			a.Source = Literal(v.text)
		case isObject:
			a.Source = r.port(at, v)
		default:
			r.wrong(at, "expected a string or a port, but got %s", kindNames[v.kind])
		}
	}
	if at, v := o.member("target", false); v != nil {
		t := r.object(at, v, false)
		a.Target = ArgTarget{DataType(t.text("type", true)), t.text("prefix", false), t.text("suffix", false)}
	}
	return a
}

func (r *reader) result(at *place, v *value) Result {
	o := r.object(at, v, true, "source", "target", "description")
	x := Result{Description: o.text("description", false), Source: Literal("")}
	if at, v := o.member("source", true); v != nil {
		switch {
		case v.kind == isString:
			x.Source = Literal(v.text)
		case v.kind == isObject && v.get("volume") != nil:
			x.Source = VolumeResult{r.object(at, v, true, "volume").text("volume", true)}
		default:
			x.Source = FileResult{r.object(at, v, true, "file").text("file", true)}
		}
	}
	if at, v := o.member("target", true); v != nil {
		x.Target = r.port(at, v)
	}
	return x
}

func (r *reader) expression(at *place, v *value) Expression {
	o := r.object(at, v, true, "left", "right", "operator")
	return Expression{
		Left: r.operand(o, "left"), Right: r.operand(o, "right"),
		Operator: o.choice("operator", "==", "!=", "<", ">", "<=", ">="),
	}
}

func (r *reader) operand(o object, name string) Operand {
	at, v := o.member(name, true)
	switch {
	case v == nil:
		return Literal("")
	case v.kind == isObject:
		return r.data(at, v)
	case v.kind == isNumber:
		r.wrong(at, "numbers are written as strings here: \"%s\"", clip(string(v.raw)))
		return Literal("")
	default:
		r.is(at, v, isString)
		return Literal(v.text)
	}
}

var workflowNames = withMetadata("type", "component", "workspace")

func (r *reader) workflow(at *place, v *value) *Workflow {
	o := r.object(at, v, true, workflowNames...)
	o.constant("type", "workflow")
	w := &Workflow{Metadata: r.metadata(o), Workspace: o.text("workspace", true), Component: &Component{Implementation: &Any{}}}
	if at, v := o.member("component", true); v != nil {
		w.Component = r.component(at, v, 0)
	}
	return w
}

var jobNames = withMetadata("type", "workflow", "inputValues", "events")

func (r *reader) job(at *place, v *value) *Job {
	o := r.object(at, v, true, jobNames...)
	o.constant("type", "job")
	j := &Job{
		Metadata: r.metadata(o), InputValues: list(o, "inputValues", (*reader).inputValue),
		Events:   list(o, "events", func(_ *reader, _ *place, v *value) json.RawMessage { return json.RawMessage(v.raw) }),
		Workflow: &Workflow{Component: &Component{Implementation: &Any{}}},
	}
	distinct(o, "inputValues", j.InputValues, func(v Value) string { return v.Target })
	if at, v := o.member("workflow", true); v != nil {
		j.Workflow = r.workflow(at, v)
	}
	return j
}

func (r *reader) inputValue(at *place, v *value) Value {
	o := r.object(at, v, false)
	x := Value{Target: o.text("target", true)}
	switch at, v := o.member("value", true); {
	case v == nil:
	case v.kind == isString:
		x.Value.Text = v.text
	case v.kind == isArray && len(v.items) > 0:
		x.Value.List = o.texts("value")
	case v.kind == isArray:
		r.wrong(at, "must have at least one element")
	default:
		r.wrong(at, "expected a string or a list of strings, but got %s", kindNames[v.kind])
	}
	return x
}

func (r *reader) volume(at *place, v *value) *Volume {
	o := r.object(at, v, true, "uid", "workspace", "volume")
	x := &Volume{UID: o.uid(), Workspace: o.text("workspace", true)}
	if at, v := o.member("volume", true); v != nil {
		x.Volume = r.kubeVolume(at, v)
	}
	return x
}
