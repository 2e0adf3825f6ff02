package spec

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// The builders below write components as short as the contract's examples do: ports as "n:P s:S",
// edges as "A.v>B.a".

var shortTypes = map[string]DataType{"P": Parameter, "PA": ParameterArray, "A": Artifact, "S": EnvSecret, "V": VolumeType}

func uidOf(n int) uuid.UUID { return uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012d", n)) }

func data(text string) []Data {
	var all []Data
	for _, f := range strings.Fields(text) {
		name, short, _ := strings.Cut(f, ":")
		all = append(all, Data{Name: name, Type: shortTypes[short]})
	}
	return all
}

func comp(n int, in, out string, impl Implementation) *Component {
	return &Component{
		Metadata: Metadata{UID: uidOf(n), Name: fmt.Sprintf("c%d", n), Version: Version{Current: 1}},
		Inputs:   data(in), Outputs: data(out), Implementation: impl,
	}
}

func addr(text string) Port {
	if node, port, ok := strings.Cut(text, "."); ok {
		return Port{Port: port, Node: node}
	}
	return Port{Port: text}
}

func conn(text string) []Edge {
	var all []Edge
	for _, f := range strings.Fields(text) {
		from, to, _ := strings.Cut(f, ">")
		all = append(all, Edge{addr(from), addr(to)})
	}
	return all
}

// brickOf uses inputs "p" as arguments of their types, and takes each output from a file.
func brickOf(n int, in, out string) *Component {
	b := &Brick{Container: Container{Name: "main", Image: "img"}}
	c := comp(n, in, out, b)
	for _, d := range c.Inputs {
		t := d.Type
		if t == EnvSecret {
			continue
		}
		if t == ParameterArray {
			t = Parameter
		}
		b.Args = append(b.Args, Arg{Source: Port{Port: d.Name}, Target: ArgTarget{Type: t, Prefix: map[bool]string{true: "/mnt"}[t == VolumeType]}})
	}
	for _, d := range c.Outputs {
		var from ResultSource = FileResult{"/tmp/" + d.Name}
		if d.Type == VolumeType {
			from = VolumeResult{c.Inputs[0].Name}
		}
		b.Results = append(b.Results, Result{Source: from, Target: Port{Port: d.Name}})
	}
	return c
}

// graphOf is a graph of nodes "id" → component.
func graphOf(n int, in, out string, nodes []Node, edges, inputs, outputs string) *Component {
	return comp(n, in, out, &Graph{Nodes: nodes, Edges: conn(edges), InputMappings: conn(inputs), OutputMappings: conn(outputs)})
}

func nodes(pairs ...any) []Node {
	var all []Node
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, Node{ID: pairs[i].(string), Node: pairs[i+1].(Ref)})
	}
	return all
}

func mapOf(n int, in, out string, node Ref, inputs, outputs string) *Component {
	return comp(n, in, out, &Map{Node: node, InputMappings: conn(inputs), OutputMappings: conn(outputs)})
}

func ifOf(n int, in, out string, yes, no Ref, e Expression, inputs, outputs string) *Component {
	return comp(n, in, out, &Conditional{NodeTrue: yes, NodeFalse: no, Expression: e, InputMappings: conn(inputs), OutputMappings: conn(outputs)})
}

func when(left Operand, operator string, right Operand) Expression {
	return Expression{Left: left, Operator: operator, Right: right}
}

func param(name string) Data { return Data{Name: name, Type: Parameter} }

// shelf loads from a list, as a store would.
func shelf(list ...*Component) Loader {
	return func(r CRefVersion) (*Component, error) {
		var best *Component
		for _, c := range list {
			if c.UID == r.UID && (r.Version == c.Version.Current || r.Version == 0 && (best == nil || best.Version.Current < c.Version.Current)) {
				best = c
			}
		}
		return best, nil
	}
}

func version(c *Component, n int) *Component {
	c.Version.Current = n
	return c
}
