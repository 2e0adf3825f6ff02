package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// mapping checks a map: one list that it goes over, and outputs that can be collected.
func (k *checker) mapping(at *place, c *Component, m *Map) {
	inner := k.child(at.at("node"), m.Node)
	f := k.feeds()
	if inner == nil {
		return
	}
	looped := ""
	k.into(at, c, inner, m.InputMappings, f, func(at *place, source string, from, to DataType) {
		if !SpreadsMapping(from, to) {
			return
		}
		if looped != "" && looped != source {
			k.find(at, CodeMap, Error, "the map would go over two lists, %q and %q: it can go over one only", looped, source)
		}
		looped = source
	})
	if looped == "" {
		k.find(at.at("inputMappings"), CodeMap, Error, "the map has no list to go over: map an input of type parameter_array to an input of type parameter of the inner component")
	}
	own, out := k.portsOf(c), k.feeds()
	for i, e := range m.OutputMappings {
		at := at.at("outputMappings").nth(i)
		t, there := k.portsOf(inner).out[e.Source.Port]
		switch {
		case !there:
			k.find(at.at("source").at("port"), CodePort, Error, "the inner component %s has no output %q", called(inner), clip(e.Source.Port))
		case t == Parameter || t == ParameterArray:
			t = ParameterArray
		default:
			k.find(at, CodeMap, Error, "a map collects parameters only: %q is of type %s", e.Source.Port, t)
			there = false
		}
		k.ownOutput(at, Edge{Port{Port: e.Source.Port}, Port{Port: e.Target.Port}}, t, there, own, out)
	}
	k.unfed(at, c, out)
}

// into checks the input mappings of maps and conditionals, whose ports name no node.
func (k *checker) into(at *place, c, inner *Component, mappings []Edge, f feeds, seen func(at *place, source string, from, to DataType)) {
	own, in, used := k.portsOf(c).in, k.portsOf(inner).in, map[string]bool{}
	for i, e := range mappings {
		at := at.at("inputMappings").nth(i)
		source, there := own[e.Source.Port]
		if !there {
			k.find(at.at("source").at("port"), CodePort, Error, "there is no input %q", clip(e.Source.Port))
		}
		target, ok := in[e.Target.Port]
		if !ok {
			k.find(at.at("target").at("port"), CodePort, Error, "the inner component %s has no input %q", called(inner), clip(e.Target.Port))
			continue
		}
		f.feed(at, MapNode, e.Target.Port, fmt.Sprintf("the input %q", e.Source.Port))
		if !there {
			continue
		}
		used[e.Source.Port] = true
		if k.fits(at, source, target, fmt.Sprintf("the input %q", e.Source.Port), fmt.Sprintf("the inner input %q", e.Target.Port)) && seen != nil {
			seen(at, e.Source.Port, source, target)
		}
	}
	for _, d := range inner.Inputs {
		if !f.fed(MapNode, d.Name) {
			k.find(at.at("inputMappings"), CodeMissing, Error, "nothing feeds the inner input %q (%s): map an input to it", d.Name, d.Type)
		}
	}
	if cond, ok := c.Implementation.(*Conditional); ok {
		for _, o := range []Operand{cond.Expression.Left, cond.Expression.Right} {
			if d, ok := o.(Data); ok {
				used[d.Name] = true
			}
		}
	}
	k.unused(at, c, used)
}

// conditional checks that both nodes look alike and that the condition can be decided.
func (k *checker) conditional(at *place, c *Component, x *Conditional) {
	yes := k.child(at.at("nodeTrue"), x.NodeTrue)
	var no *Component
	if x.NodeFalse != nil {
		if no = k.child(at.at("nodeFalse"), x.NodeFalse); no != nil && yes != nil {
			k.alike(at.at("nodeFalse"), "input", yes.Inputs, no.Inputs)
			k.alike(at.at("nodeFalse"), "output", yes.Outputs, no.Outputs)
		}
	}
	k.condition(at.at("expression"), c, x.Expression)
	if yes == nil {
		return
	}
	k.into(at, c, yes, x.InputMappings, k.feeds(), func(at *place, source string, from, to DataType) {
		if SpreadsMapping(from, to) {
			k.find(at, CodeMap, Error, "a conditional does not go over lists: put a map around it, or in it, for %q", source)
		}
	})
	own, out := k.portsOf(c), k.feeds()
	for i, e := range x.OutputMappings {
		at := at.at("outputMappings").nth(i)
		t, there := k.portsOf(yes).out[e.Source.Port]
		switch {
		case !there:
			k.find(at.at("source").at("port"), CodePort, Error, "the inner component %s has no output %q", called(yes), clip(e.Source.Port))
		case t == VolumeType:
			k.find(at, CodeType, Error, "a conditional cannot hand on a volume")
			there = false
		case t == Artifact && x.NodeFalse == nil:
			k.find(at, CodeCondition, Error, "when the condition does not hold there is no artifact %q: add a nodeFalse that makes one", e.Source.Port)
		case x.NodeFalse == nil:
			k.find(at, CodeCondition, Warning, "when the condition does not hold, %q is an empty text", e.Target.Port)
		}
		k.ownOutput(at, Edge{Port{Port: e.Source.Port}, Port{Port: e.Target.Port}}, t, there, own, out)
	}
	k.unfed(at, c, out)
}

// alike checks that the ports of both nodes are the same.
func (k *checker) alike(at *place, what string, yes, no []Data) {
	for _, d := range yes {
		switch other, there := find(no, d.Name); {
		case !there:
			k.find(at, CodeCondition, Error, "both nodes must have the same %ss: nodeFalse has no %s %q", what, what, d.Name)
		case other.Type != d.Type:
			k.find(at, CodeCondition, Error, "both nodes must have the same %ss: %q is of type %s in nodeTrue and %s in nodeFalse", what, d.Name, d.Type, other.Type)
		}
	}
	for _, d := range no {
		if _, there := find(yes, d.Name); !there {
			k.find(at, CodeCondition, Error, "both nodes must have the same %ss: nodeTrue has no %s %q", what, what, d.Name)
		}
	}
}

// Operators are those of conditions.
var operators = []string{"==", "!=", "<", ">", "<=", ">="}

func (k *checker) condition(at *place, c *Component, e Expression) {
	if !slices.Contains(operators, e.Operator) {
		k.find(at.at("operator"), CodeCondition, Error, "%q is no operator", clip(e.Operator))
	}
	inputs := 0
	for i, o := range []Operand{e.Left, e.Right} {
		name := []string{"left", "right"}[i]
		d, ok := o.(Data)
		if !ok {
			continue
		}
		inputs++
		switch given, there := c.Input(d.Name); {
		case !there:
			k.find(at.at(name), CodeCondition, Error, "there is no input %q to compare", d.Name)
		case given.Type != Parameter:
			k.find(at.at(name), CodeCondition, Error, "the input %q is of type %s, and only parameters can be compared", d.Name, given.Type)
		}
	}
	if inputs == 0 {
		k.find(at, CodeCondition, Warning, "the condition compares two texts, so one of the nodes never runs")
		return
	}
	for i, o := range []Operand{e.Left, e.Right} {
		name := []string{"left", "right"}[i]
		if text, ok := o.(Literal); ok && !e.Numeric() && e.Operator != "==" && e.Operator != "!=" {
			k.find(at.at(name), CodeCondition, Warning, "%q is no number, so texts are compared by their letters", clip(string(text)))
		}
	}
}

// Numeric says whether numbers are compared: when a literal is a number, or, between two inputs,
// when the order is asked for or one is noted as a number.
func (e Expression) Numeric() bool {
	between := true
	for _, o := range []Operand{e.Left, e.Right} {
		switch o := o.(type) {
		case Literal:
			between = false
			if !isNumeric(string(o)) {
				return false
			}
		case Data:
			if slices.Contains(o.Mediatype, "number") || slices.Contains(o.Mediatype, "integer") {
				return !e.hasWord()
			}
		}
	}
	return !between || e.Operator != "==" && e.Operator != "!="
}

// hasWord says whether a literal is no number.
func (e Expression) hasWord() bool {
	for _, o := range []Operand{e.Left, e.Right} {
		if text, ok := o.(Literal); ok && !isNumeric(string(text)) {
			return true
		}
	}
	return false
}

func isNumeric(text string) bool {
	f, err := strconv.ParseFloat(text, 64)
	return err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) && len(text) > 0 && text[0] != '+' && !slices.ContainsFunc([]rune(text), func(r rune) bool {
		return r == '_' || r == 'x' || r == 'X' || r == 'p' || r == 'P'
	})
}
