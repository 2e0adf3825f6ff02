package main

import (
	"fmt"
	"slices"
)

// graph runs a DAG's tasks.
type graph struct {
	*operation
	node     *node
	template *template
	visited  map[string]*node
}

func (g *graph) run() error {
	g.visited = map[string]*node{}
	// What runs already comes first: when it has failed, nothing new is begun.
	for _, begun := range []bool{true, false} {
		for i := range g.template.DAG.Tasks {
			t := &g.template.DAG.Tasks[i]
			if begun && g.status.Nodes[g.nodeID(g.taskName(t))] == nil {
				continue
			}
			if _, err := g.task(t.Name); err != nil {
				return err
			}
		}
	}
	g.assess()
	return nil
}

func (g *graph) taskName(t *task) string { return g.node.Name + "." + t.Name }

// task looks after a task and those that it waits for. It is nil as long as the task is not begun.
func (g *graph) task(name string) (*node, error) {
	i := slices.IndexFunc(g.template.DAG.Tasks, func(t task) bool { return t.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: there is no task %s", errUnsupported, name)
	}
	t := &g.template.DAG.Tasks[i]
	if n := g.visited[name]; n != nil {
		return n, nil
	}
	waits, blocked := false, false
	for _, d := range t.Dependencies {
		n, err := g.task(d)
		if err != nil {
			return nil, err
		}
		waits = waits || n == nil || !n.done()
		blocked = blocked || n != nil && n.done() && !n.good()
	}
	n := g.status.Nodes[g.nodeID(g.taskName(t))]
	if n == nil {
		if waits || !blocked && (g.broken() || g.stopping()) {
			return nil, nil //nolint:nilnil // not begun
		}
		if blocked {
			n = g.notRun(t, g.taskName(t), t.Name, omitted, "omitted: depends condition not met")
			g.connect(t, n)
			g.visited[name] = n
			return n, nil
		}
	}
	n, err := g.begin(t)
	g.visited[name] = n
	return n, err
}

// broken says whether a task has failed.
func (g *graph) broken() bool {
	for _, n := range g.visited {
		if n.done() && !n.good() {
			return true
		}
	}
	return false
}

// begin begins a task whose time has come, or looks how far it is.
func (g *graph) begin(t *task) (n *node, err error) {
	s := g.scope()
	begun := g.status.Nodes[g.nodeID(g.taskName(t))] != nil
	if t.WithParam == "" && t.WithItems == nil {
		n, err = g.one(t, s, g.taskName(t), t.Name)
	} else {
		n, err = g.group(t, s)
	}
	if err == nil && !begun {
		g.connect(t, n)
	}
	return n, err
}

// connect makes a node the child of what it came after.
func (g *graph) connect(t *task, n *node) {
	if len(t.Dependencies) == 0 {
		g.node.Children = append(g.node.Children, n.ID)
	}
	for _, d := range t.Dependencies {
		for _, id := range g.outbound(g.visited[d]) {
			before := g.status.Nodes[id]
			before.Children = append(before.Children, n.ID)
		}
	}
}

// outbound are the last nodes of what a node stands for.
func (g *graph) outbound(n *node) []string {
	switch {
	case n.Type == kindDAG && len(n.OutboundNodes) > 0:
		return n.OutboundNodes
	case n.Type == kindGroup && len(n.Children) > 0:
		var all []string
		for _, id := range n.Children {
			all = append(all, g.outbound(g.status.Nodes[id])...)
		}
		return all
	default:
		return []string{n.ID}
	}
}

// one runs a task once.
func (g *graph) one(t *task, s *scope, name, display string) (*node, error) {
	if n := g.status.Nodes[g.nodeID(name)]; n != nil && n.done() {
		return n, nil
	}
	inner := g.templates[t.Template]
	if inner == nil {
		return g.notRun(t, name, display, errored, "template "+t.Template+" undefined"), nil
	}
	args, skip, err := g.ask(t, s)
	if err != nil {
		return g.notRun(t, name, display, errored, err.Error()), nil
	}
	if skip != "" {
		return g.notRun(t, name, display, skipped, skip), nil
	}
	return g.operation.template(name, display, inner, args, g.node.ID)
}

// notRun makes the node of a task that does not come to run.
func (g *graph) notRun(t *task, name, display, phase, message string) *node {
	n := g.add(name, display, kindSkipped, phase, t.Template, g.node.ID)
	n.Message = message
	return n
}

// ask gives a task's arguments, or why it is not to be run.
func (g *graph) ask(t *task, s *scope) (args arguments, skip string, err error) {
	if t.When != "" {
		condition, err := s.fill(t.When)
		if err != nil {
			return args, "", err
		}
		yes, err := holds(condition)
		if err != nil {
			return args, "", err
		}
		if !yes {
			return args, fmt.Sprintf("when '%s' evaluated false", condition), nil
		}
	}
	args, err = s.arguments(t.Arguments)
	return args, "", err
}

// group runs a task once per element.
func (g *graph) group(t *task, s *scope) (*node, error) {
	n := g.status.Nodes[g.nodeID(g.taskName(t))]
	if n != nil && n.done() {
		return n, nil
	}
	list, err := g.list(t, s)
	if err != nil {
		return g.notRun(t, g.taskName(t), t.Name, errored, err.Error()), nil
	}
	if len(list) == 0 {
		return g.notRun(t, g.taskName(t), t.Name, skipped, "Skipped, empty params"), nil
	}
	if n == nil {
		n = g.add(g.taskName(t), t.Name, kindGroup, running, t.Template, g.node.ID)
	}
	n.Children = nil
	all, phase := true, succeeded
	for i, one := range list {
		suffix := fmt.Sprintf("(%d:%s)", i, one)
		child, err := g.one(t, s.with(one), g.taskName(t)+suffix, t.Name+suffix)
		if err != nil {
			return nil, err
		}
		n.Children = append(n.Children, child.ID)
		all = all && child.done()
		if child.done() && !child.good() && phase != errored {
			phase = child.Phase
		}
	}
	if all {
		g.set(n, phase, "")
	}
	return n, nil
}

func (g *graph) list(t *task, s *scope) ([]string, error) {
	if t.WithItems != nil {
		all := make([]string, len(t.WithItems))
		for i, raw := range t.WithItems {
			all[i] = element(raw)
		}
		return all, nil
	}
	text, err := s.fill(t.WithParam)
	if err != nil {
		return nil, err
	}
	return elements(text)
}

// scope is what tasks may name: the graph's inputs and what ended tasks gave.
func (g *graph) scope() *scope {
	s := g.scopeOf(g.node)
	for i := range g.template.DAG.Tasks {
		t := &g.template.DAG.Tasks[i]
		n := g.status.Nodes[g.nodeID(g.taskName(t))]
		if n == nil || !n.done() {
			continue
		}
		prefix := "tasks." + t.Name + ".outputs."
		switch {
		case n.Type == kindGroup:
			g.together(s, prefix, n)
		case n.Type == kindSkipped && (t.WithParam != "" || t.WithItems != nil) && n.good():
			for _, p := range g.templates[t.Template].Outputs.Parameters {
				s.values[prefix+"parameters."+p.Name] = "[]"
			}
		case n.Outputs != nil:
			for _, p := range n.Outputs.Parameters {
				if p.Value != nil {
					s.values[prefix+"parameters."+p.Name] = *p.Value
				}
			}
			for _, a := range n.Outputs.Artifacts {
				s.artifacts[prefix+"artifacts."+a.Name] = a
			}
		}
	}
	return s
}

// together puts into the scope what the runs of a task gave, each output as a list.
func (g *graph) together(s *scope, prefix string, n *node) {
	lists := map[string][]string{}
	for _, id := range n.Children {
		child := g.status.Nodes[id]
		if child.Outputs == nil {
			continue
		}
		for _, p := range child.Outputs.Parameters {
			if p.Value != nil {
				lists[p.Name] = append(lists[p.Name], *p.Value)
			}
		}
	}
	for name, values := range lists {
		s.values[prefix+"parameters."+name] = aggregate(values)
	}
}

// assess ends the graph when all that could run has.
func (g *graph) assess() {
	phase := succeeded
	waited := map[string]bool{}
	begun := 0
	for i := range g.template.DAG.Tasks {
		t := &g.template.DAG.Tasks[i]
		for _, d := range t.Dependencies {
			waited[d] = true
		}
		n := g.visited[t.Name]
		if n == nil {
			continue
		}
		begun++
		if !n.done() {
			return
		}
		if n.Phase == errored || n.Phase == failed && phase != errored {
			phase = n.Phase
		}
	}
	if begun < len(g.template.DAG.Tasks) && phase == succeeded {
		if !g.stopping() {
			return
		}
		phase = failed
	}
	g.node.OutboundNodes = nil
	for i := range g.template.DAG.Tasks {
		if n := g.visited[g.template.DAG.Tasks[i].Name]; n != nil && !waited[g.template.DAG.Tasks[i].Name] {
			g.node.OutboundNodes = append(g.node.OutboundNodes, g.outbound(n)...)
		}
	}
	if phase != succeeded {
		g.set(g.node, phase, "")
		return
	}
	out, err := g.outputs()
	if err != nil {
		g.set(g.node, errored, err.Error())
		return
	}
	g.node.Outputs = out
	g.set(g.node, succeeded, "")
}

// outputs are the graph's own, from its tasks'.
func (g *graph) outputs() (*outputs, error) {
	s := g.scope()
	var made outputs
	for _, p := range g.template.Outputs.Parameters {
		one, err := s.parameter(p)
		if err != nil {
			return nil, err
		}
		made.Parameters = append(made.Parameters, one)
	}
	for _, a := range g.template.Outputs.Artifacts {
		one, err := s.artifact(a)
		if err != nil {
			return nil, err
		}
		made.Artifacts = append(made.Artifacts, one)
	}
	if made.Parameters == nil && made.Artifacts == nil {
		return nil, nil //nolint:nilnil // no outputs are no object
	}
	return &made, nil
}
