package argo

import (
	"fmt"
	"slices"
	"strings"

	"lodge/internal/workflows/spec"
)

// wiring is a graph with what leads into each node, and what secrets and volumes each node has.
type wiring struct {
	t     *transpiler
	c     *spec.Component
	own   binding
	index map[string]int
	nodes []wiredNode
	out   map[string]spec.Port // by own output
}

type wiredNode struct {
	spec.Node
	c        *spec.Component
	mappings []spec.Edge
	edges    []spec.Edge
	bound    *binding
	binding  bool // being worked out
}

// wire sorts a graph's edges by the node that they lead to. Nested graphs that volumes pass through
// are looked at more than once, and wired once.
func (t *transpiler) wire(c *spec.Component, g *spec.Graph, b binding) (*wiring, error) {
	k := keyOf(c, b)
	if w := t.graphs[k]; w != nil {
		return w, nil
	}
	w := &wiring{t: t, c: c, own: b, index: make(map[string]int, len(g.Nodes)), nodes: make([]wiredNode, len(g.Nodes)), out: map[string]spec.Port{}}
	for i, n := range g.Nodes {
		inner, err := t.of(n.Node)
		if err != nil {
			return nil, err
		}
		if _, twice := w.index[n.ID]; twice {
			return nil, fmt.Errorf("two nodes have the id %q in component %s", n.ID, c.UID)
		}
		w.index[n.ID] = i
		w.nodes[i] = wiredNode{Node: n, c: inner}
	}
	for _, e := range g.InputMappings {
		n, err := w.node(e.Target.Node)
		if err != nil {
			return nil, err
		}
		n.mappings = append(n.mappings, e)
	}
	for _, e := range g.Edges {
		n, err := w.node(e.Target.Node)
		if err != nil {
			return nil, err
		}
		n.edges = append(n.edges, e)
	}
	for _, e := range g.OutputMappings {
		w.out[e.Target.Port] = e.Source
	}
	t.graphs[k] = w
	return w, nil
}

func (w *wiring) node(id string) (*wiredNode, error) {
	i, ok := w.index[id]
	if !ok {
		return nil, fmt.Errorf("there is no node %q in component %s", id, w.c.UID)
	}
	return &w.nodes[i], nil
}

// bind works out a node's secrets and volumes. Secrets come by mappings alone; a volume may also
// come along an edge from a node that hands it on.
func (w *wiring) bind(n *wiredNode) (binding, error) {
	if n.bound != nil {
		return *n.bound, nil
	}
	if n.binding {
		return binding{}, fmt.Errorf("the node %q waits for itself in component %s", n.ID, w.c.UID)
	}
	n.binding = true
	b := passed(w.own, n.c, n.mappings)
	for _, e := range n.edges {
		if d, ok := n.c.Input(e.Target.Port); !ok || d.Type != spec.VolumeType {
			continue
		}
		from, err := w.node(e.Source.Node)
		if err != nil {
			return binding{}, err
		}
		inner, err := w.bind(from)
		if err != nil {
			return binding{}, err
		}
		volume, err := w.t.handedOn(from.c, inner, e.Source.Port)
		if err != nil {
			return binding{}, err
		}
		b.volumes[e.Target.Port] = volume
	}
	n.bound = &b
	return b, nil
}

// passed is what mappings bring from a component to one in it.
func passed(own binding, inner *spec.Component, mappings []spec.Edge) binding {
	b := newBinding()
	for _, e := range mappings {
		switch d, _ := inner.Input(e.Target.Port); d.Type {
		case spec.EnvSecret:
			b.secrets[d.Name] = own.secrets[e.Source.Port]
		case spec.VolumeType:
			b.volumes[d.Name] = own.volumes[e.Source.Port]
		case spec.Parameter, spec.ParameterArray, spec.Artifact:
		}
	}
	return b
}

// maxTrace bounds through how many components a volume is followed: more than can stand in each other.
const maxTrace = 10_000

// handedOn is the volume that comes out of a component's output.
func (t *transpiler) handedOn(c *spec.Component, b binding, output string) (string, error) {
	if t.traced++; t.traced > maxTrace {
		return "", fmt.Errorf("the volume at the output %q of component %s comes from itself", output, c.UID)
	}
	defer func() { t.traced-- }()
	switch i := c.Implementation.(type) {
	case *spec.Brick:
		for _, r := range i.Results {
			if v, ok := r.Source.(spec.VolumeResult); ok && r.Target.Port == output {
				return b.volumes[v.Volume], nil
			}
		}
	case *spec.Graph:
		w, err := t.wire(c, i, b)
		if err != nil {
			return "", err
		}
		source, ok := w.out[output]
		if !ok {
			break
		}
		n, err := w.node(source.Node)
		if err != nil {
			return "", err
		}
		inner, err := w.bind(n)
		if err != nil {
			return "", err
		}
		return t.handedOn(n.c, inner, source.Port)
	}
	return "", fmt.Errorf("the component %s hands on no volume at its output %q", c.UID, output)
}

// graph writes a node as a task.
func (t *transpiler) graph(made *Template, c *spec.Component, g *spec.Graph, b binding) error {
	w, err := t.wire(c, g, b)
	if err != nil {
		return err
	}
	made.DAG = &DAG{Tasks: make([]Task, len(w.nodes))}
	for i := range w.nodes {
		n := &w.nodes[i]
		inner, err := w.bind(n)
		if err != nil {
			return err
		}
		task := &made.DAG.Tasks[i]
		task.Name = n.ID
		if task.Template, err = t.template(n.c, inner); err != nil {
			return err
		}
		var args Arguments
		if err := mapped(task, &args, c, n.c, n.mappings); err != nil {
			return err
		}
		for _, e := range n.edges {
			if err := edged(task, &args, n.c, e); err != nil {
				return err
			}
		}
		task.Arguments = args.orNil()
	}
	for _, d := range c.Outputs {
		source, ok := w.out[d.Name]
		if !ok {
			continue
		}
		output(made, d, source.Node, source.Port)
	}
	return nil
}

// output takes an output from a task's.
func output(made *Template, d spec.Data, task, port string) {
	switch d.Type {
	case spec.Parameter, spec.ParameterArray:
		made.Outputs.Parameters = append(made.Outputs.Parameters, Parameter{Name: d.Name, ValueFrom: &ValueFrom{Parameter: "{{tasks." + task + ".outputs.parameters." + port + "}}"}})
	case spec.Artifact:
		made.Outputs.Artifacts = append(made.Outputs.Artifacts, Artifact{Name: d.Name, From: "{{tasks." + task + ".outputs.artifacts." + port + "}}"})
	case spec.EnvSecret, spec.VolumeType:
	}
}

// mapped writes what input mappings bring to a task.
func mapped(task *Task, args *Arguments, c, inner *spec.Component, mappings []spec.Edge) error {
	for _, e := range mappings {
		source, ok := c.Input(e.Source.Port)
		target, there := inner.Input(e.Target.Port)
		if !ok || !there {
			return fmt.Errorf("unrecognized input mapping %s to %s in component %s", e.Source.Port, e.Target.Port, c.UID)
		}
		from := "{{inputs.parameters." + e.Source.Port + "}}"
		switch {
		case (target.Type == spec.Artifact) != (source.Type == spec.Artifact):
			return fmt.Errorf("unrecognized input mapping target type: %s to %s in component %s", source.Type, target.Type, c.UID)
		case target.Type == spec.Artifact:
			args.Artifacts = append(args.Artifacts, Artifact{Name: target.Name, From: "{{inputs.artifacts." + e.Source.Port + "}}"})
		case spec.SpreadsMapping(source.Type, target.Type):
			if err := spread(task, from); err != nil {
				return err
			}
			args.parameter(target.Name, "{{item}}")
		case target.Type == spec.Parameter, target.Type == spec.ParameterArray:
			args.parameter(target.Name, from)
		}
	}
	return nil
}

// edged writes what an edge brings to a task.
func edged(task *Task, args *Arguments, inner *spec.Component, e spec.Edge) error {
	if !slices.Contains(task.Dependencies, e.Source.Node) {
		task.Dependencies = append(task.Dependencies, e.Source.Node)
	}
	target, ok := inner.Input(e.Target.Port)
	from := "{{tasks." + e.Source.Node + ".outputs.parameters." + e.Source.Port + "}}"
	switch {
	case !ok || target.Type == spec.EnvSecret:
		return fmt.Errorf("unrecognized edge target-type at %s.%s", e.Target.Node, e.Target.Port)
	case target.Type == spec.Artifact:
		args.Artifacts = append(args.Artifacts, Artifact{Name: target.Name, From: strings.Replace(from, ".parameters.", ".artifacts.", 1)})
	case spec.SpreadsEdge(inner, target.Type):
		if err := spread(task, from); err != nil {
			return err
		}
		args.parameter(target.Name, "{{item}}")
	case target.Type == spec.Parameter, target.Type == spec.ParameterArray:
		args.parameter(target.Name, from)
	}
	return nil
}

func (a *Arguments) parameter(name, value string) {
	a.Parameters = append(a.Parameters, Parameter{Name: name, Value: &value})
}

// spread makes a task run once per element. It can do so over one list.
func spread(task *Task, list string) error {
	if task.WithParam != "" && task.WithParam != list {
		return fmt.Errorf("the node %q would run once per element of two lists", task.Name)
	}
	task.WithParam = list
	return nil
}

// mapping writes a map: one task that runs once per element.
func (t *transpiler) mapping(made *Template, c *spec.Component, m *spec.Map, b binding) error {
	inner, err := t.of(m.Node)
	if err != nil {
		return err
	}
	task := Task{Name: spec.MapNode}
	if task.Template, err = t.template(inner, passed(b, inner, m.InputMappings)); err != nil {
		return err
	}
	var args Arguments
	if err := mapped(&task, &args, c, inner, m.InputMappings); err != nil {
		return err
	}
	task.Arguments = args.orNil()
	made.DAG = &DAG{Tasks: []Task{task}}
	for _, e := range m.OutputMappings {
		if d, ok := c.Output(e.Target.Port); ok {
			output(made, d, spec.MapNode, e.Source.Port)
		}
	}
	return nil
}

// conditional writes both nodes as tasks, of which one runs.
func (t *transpiler) conditional(made *Template, c *spec.Component, x *spec.Conditional, b binding) error {
	condition := Condition(x.Expression)
	made.DAG = &DAG{}
	for _, child := range spec.Children(c) {
		inner, err := t.of(child.Ref)
		if err != nil {
			return err
		}
		task := Task{Name: child.Node, When: condition}
		if child.Node == spec.FalseNode {
			task.When = "!(" + condition + ")"
		}
		if task.Template, err = t.template(inner, passed(b, inner, x.InputMappings)); err != nil {
			return err
		}
		var args Arguments
		if err := mapped(&task, &args, c, inner, x.InputMappings); err != nil {
			return err
		}
		if task.WithParam != "" {
			return fmt.Errorf("a conditional does not go over lists: component %s", c.UID)
		}
		task.Arguments = args.orNil()
		made.DAG.Tasks = append(made.DAG.Tasks, task)
	}
	for _, e := range x.OutputMappings {
		d, ok := c.Output(e.Target.Port)
		if !ok {
			continue
		}
		choice := func(kind string) string {
			otherwise := `""`
			if x.NodeFalse != nil {
				otherwise = member("tasks."+spec.FalseNode+".outputs."+kind, e.Source.Port)
			}
			return condition + " ? " + member("tasks."+spec.TrueNode+".outputs."+kind, e.Source.Port) + " : " + otherwise
		}
		switch d.Type {
		case spec.Parameter, spec.ParameterArray:
			made.Outputs.Parameters = append(made.Outputs.Parameters, Parameter{Name: d.Name, ValueFrom: &ValueFrom{Expression: choice("parameters")}})
		case spec.Artifact:
			made.Outputs.Artifacts = append(made.Outputs.Artifacts, Artifact{Name: d.Name, FromExpression: choice("artifacts")})
		case spec.EnvSecret, spec.VolumeType:
		}
	}
	return nil
}

// member is a member's name in an expression, where a dash would be a minus.
func member(of, name string) string {
	if strings.Contains(name, "-") {
		return of + "['" + name + "']"
	}
	return of + "." + name
}

// Condition is an expression as Argo decides it. Numbers stand bare, so that they are compared as
// numbers; texts are quoted, or they would be taken for names.
func Condition(e spec.Expression) string {
	numeric := e.Numeric()
	operand := func(o spec.Operand) string {
		text := ""
		switch o := o.(type) {
		case spec.Data:
			text = "{{inputs.parameters." + o.Name + "}}"
		case spec.Literal:
			text = string(o)
			if !numeric {
				text = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(text)
			}
		}
		if numeric {
			return text
		}
		return `"` + text + `"`
	}
	return operand(e.Left) + " " + e.Operator + " " + operand(e.Right)
}
