package spec

import (
	"fmt"
	"slices"
	"strings"
)

// maxName is how long a node's id may be: Argo takes no longer ones.
const maxName = 128

// graphCheck is one graph being checked.
type graphCheck struct {
	*checker
	feeds feeds
	at    *place
	own   *ports
	c     *Component
	g     *Graph
	index map[string]int
	nodes []*Component // nil where a reference leads nowhere
	fans  []string     // by node: what it runs once per element of
	used  map[string]bool
}

func (k *checker) graph(at *place, c *Component, g *Graph) {
	x := &graphCheck{
		checker: k, feeds: k.feeds(), at: at, own: k.portsOf(c), c: c, g: g,
		index: make(map[string]int, len(g.Nodes)), nodes: make([]*Component, len(g.Nodes)), fans: make([]string, len(g.Nodes)), used: map[string]bool{},
	}
	if len(g.Nodes) == 0 {
		k.find(at.at("nodes"), CodeMissing, Unready, "the graph has no nodes: there is nothing to run")
	}
	for i, n := range g.Nodes {
		at := at.at("nodes").nth(i)
		if first, there := x.index[n.ID]; there {
			k.find(at.at("id"), CodeName, Error, "there are two nodes with the id %q (the other is number %d): rename one", n.ID, first)
		} else {
			x.index[n.ID] = i
		}
		if len(n.ID) > maxName {
			k.find(at.at("id"), CodeName, Error, "the id is longer than %d characters", maxName)
		}
		x.nodes[i] = k.child(at.at("node"), n.Node)
	}
	x.spread()
	x.inputMappings()
	x.edges()
	x.outputMappings()
	x.unfedInputs()
	k.unused(at, c, x.used)
	k.unfed(at, c, x.feeds)
	x.order()
}

// spread finds the nodes that run once per element of a list. What they put out is then a list.
func (x *graphCheck) spread() {
	for i, e := range x.g.InputMappings {
		if n, ok := x.index[e.Target.Node]; ok && x.nodes[n] != nil && SpreadsMapping(x.own.in[e.Source.Port], x.portsOf(x.nodes[n]).in[e.Target.Port]) {
			x.fan(x.at.at("inputMappings").nth(i), n, fmt.Sprintf("the input %q", e.Source.Port))
		}
	}
	for i, e := range x.g.Edges {
		if n, ok := x.index[e.Target.Node]; ok && x.nodes[n] != nil && SpreadsEdge(x.nodes[n], x.portsOf(x.nodes[n]).in[e.Target.Port]) {
			x.fan(x.at.at("edges").nth(i), n, fmt.Sprintf("the output %q of node %q", e.Source.Port, e.Source.Node))
		}
	}
}

// SpreadsMapping says whether a mapping from an own input makes a node run once per element.
func SpreadsMapping(source, target DataType) bool {
	return source == ParameterArray && target == Parameter
}

// SpreadsEdge says whether an edge into a port of this type makes a node run once per element.
func SpreadsEdge(node *Component, target DataType) bool {
	_, brick := node.Implementation.(*Brick)
	return brick && target == ParameterArray
}

func (x *graphCheck) fan(at *place, n int, by string) {
	if x.fans[n] != "" && x.fans[n] != by {
		x.find(at, CodeMap, Error, "the node %q would run once per element of two lists, %s and %s: a node can go over one list only", x.g.Nodes[n].ID, x.fans[n], by)
		return
	}
	x.fans[n] = by
}

func (x *graphCheck) inputMappings() {
	for i, e := range x.g.InputMappings {
		at := x.at.at("inputMappings").nth(i)
		source, there := x.ownInput(at.at("source"), e.Source)
		target, ok := x.nodeInput(at.at("target"), e.Target)
		if !ok {
			continue
		}
		x.feeds.feed(at, e.Target.Node, e.Target.Port, fmt.Sprintf("the input %q", e.Source.Port))
		if there {
			x.used[e.Source.Port] = true
			x.fits(at, source, target, fmt.Sprintf("the input %q", e.Source.Port), fmt.Sprintf("the input %q of node %q", e.Target.Port, e.Target.Node))
		}
	}
}

func (k *checker) noNode(at *place, p Port, what string) {
	if p.Node != "" {
		k.find(at.at("node"), CodePort, Error, "%s: leave node out", what)
	}
}

func (x *graphCheck) ownInput(at *place, p Port) (DataType, bool) {
	x.noNode(at, p, "an input mapping begins at the graph's own inputs")
	t, there := x.own.in[p.Port]
	if !there {
		x.find(at.at("port"), CodePort, Error, "the graph has no input %q", p.Port)
	}
	return t, there
}

// node finds a node by the address of a port.
func (x *graphCheck) node(at *place, p Port) (int, bool) {
	if p.Node == "" {
		x.find(at.at("node"), CodePort, Error, "name the node: the graph's own ports belong into inputMappings and outputMappings")
		return 0, false
	}
	n, there := x.index[p.Node]
	if !there {
		x.find(at.at("node"), CodePort, Error, "there is no node %q", clip(p.Node))
	}
	return n, there && x.nodes[n] != nil
}

func (x *graphCheck) nodeInput(at *place, p Port) (DataType, bool) {
	n, ok := x.node(at, p)
	if !ok {
		return "", false
	}
	t, there := x.portsOf(x.nodes[n]).in[p.Port]
	if !there {
		x.find(at.at("port"), CodePort, Error, "the node %q (component %s) has no input %q", p.Node, called(x.nodes[n]), clip(p.Port))
	}
	return t, there
}

// nodeOutput is what comes out of a node: a list, if the node runs once per element.
func (x *graphCheck) nodeOutput(at *place, p Port) (DataType, bool) {
	n, ok := x.node(at, p)
	if !ok {
		return "", false
	}
	t, there := x.portsOf(x.nodes[n]).out[p.Port]
	switch {
	case !there:
		x.find(at.at("port"), CodePort, Error, "the node %q (component %s) has no output %q", p.Node, called(x.nodes[n]), clip(p.Port))
	case x.fans[n] == "":
	case t == Parameter:
		t = ParameterArray
	case t == Artifact:
		x.find(at, CodeMap, Error, "the node %q runs once per element, and artifacts cannot be collected: make %q a parameter", p.Node, p.Port)
	}
	if _, graph := x.nodes[n].Implementation.(*Graph); t == VolumeType && there && !graph {
		if _, brick := x.nodes[n].Implementation.(*Brick); !brick {
			x.find(at, CodeType, Error, "the node %q is a %s, which cannot hand on a volume", p.Node, x.nodes[n].Implementation.Kind())
		}
	}
	return t, there
}

func (x *graphCheck) edges() {
	for i, e := range x.g.Edges {
		at := x.at.at("edges").nth(i)
		source, known := x.nodeOutput(at.at("source"), e.Source)
		target, ok := x.nodeInput(at.at("target"), e.Target)
		if !ok {
			continue
		}
		from := fmt.Sprintf("the output %q of node %q", e.Source.Port, e.Source.Node)
		x.feeds.feed(at, e.Target.Node, e.Target.Port, from)
		if known {
			x.fits(at, source, target, from, fmt.Sprintf("the input %q of node %q", e.Target.Port, e.Target.Node))
		}
	}
}

func (x *graphCheck) outputMappings() {
	for i, e := range x.g.OutputMappings {
		at := x.at.at("outputMappings").nth(i)
		source, known := x.nodeOutput(at.at("source"), e.Source)
		x.ownOutput(at, e, source, known, x.own, x.feeds)
	}
}

// ownOutput checks the end of an output mapping.
func (k *checker) ownOutput(at *place, e Edge, source DataType, known bool, own *ports, f feeds) {
	k.noNode(at.at("target"), e.Target, "an output mapping ends at the component's own outputs")
	target, there := own.out[e.Target.Port]
	if !there {
		k.find(at.at("target").at("port"), CodePort, Error, "there is no output %q", clip(e.Target.Port))
		return
	}
	from := fmt.Sprintf("the output %q of node %q", e.Source.Port, e.Source.Node)
	if e.Source.Node == "" {
		from = fmt.Sprintf("the inner output %q", e.Source.Port)
	}
	f.feed(at, "", e.Target.Port, from)
	if known {
		k.fits(at, source, target, from, fmt.Sprintf("the output %q", e.Target.Port))
	}
}

func (x *graphCheck) unfedInputs() {
	for i, c := range x.nodes {
		if c == nil || x.index[x.g.Nodes[i].ID] != i {
			continue
		}
		for _, d := range c.Inputs {
			if !x.feeds.fed(x.g.Nodes[i].ID, d.Name) {
				x.find(x.at.at("nodes").nth(i), CodeMissing, Error, "nothing feeds the input %q (%s) of node %q: connect it", d.Name, d.Type, x.g.Nodes[i].ID)
			}
		}
	}
}

// unused finds own inputs that lead nowhere.
func (k *checker) unused(at *place, c *Component, used map[string]bool) {
	for i, d := range c.Inputs {
		if !used[d.Name] {
			k.find(at.parent.at("inputs").nth(i), CodeMissing, Warning, "the input %q is connected with nothing", d.Name)
		}
	}
}

// order finds cycles, what waits for them for ever, and nodes that nothing is connected with.
func (x *graphCheck) order() {
	n := len(x.g.Nodes)
	next, waits, connected := make([][]int, n), make([]int, n), make([]bool, n)
	for _, e := range x.g.Edges {
		from, a := x.index[e.Source.Node]
		to, b := x.index[e.Target.Node]
		if a && b {
			next[from] = append(next[from], to)
			waits[to]++
			connected[from], connected[to] = true, true
		}
	}
	for _, e := range slices.Concat(x.g.InputMappings, x.g.OutputMappings) {
		for _, p := range []Port{e.Source, e.Target} {
			if i, there := x.index[p.Node]; there && p.Node != "" {
				connected[i] = true
			}
		}
	}
	ready := make([]int, 0, n)
	for i := range n {
		if waits[i] == 0 {
			ready = append(ready, i)
		}
		if !connected[i] && n > 1 {
			x.find(x.at.at("nodes").nth(i), CodeUnreachable, Warning, "nothing is connected with the node %q: it runs, and nobody sees what it does", x.g.Nodes[i].ID)
		}
	}
	for len(ready) > 0 {
		i := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		for _, j := range next[i] {
			if waits[j]--; waits[j] == 0 {
				ready = append(ready, j)
			}
		}
	}
	x.cycles(next, waits)
}

// cycles reports each group of nodes that wait for each other, and every node that waits for one.
func (x *graphCheck) cycles(next [][]int, waits []int) {
	stuck := func(i int) bool { return waits[i] > 0 }
	if !slices.ContainsFunc(waits, func(w int) bool { return w > 0 }) {
		return
	}
	for i, members := range components(next, stuck) {
		switch {
		case !stuck(i) || len(members) > 0 && members[0] != i:
		case len(members) > 0:
			at := x.at.at("nodes").nth(i)
			x.find(at, CodeCycle, Error, "these nodes wait for each other for ever: %s; remove one of the edges", x.loop(next, members))
		default:
			x.find(x.at.at("nodes").nth(i), CodeUnreachable, Error, "the node %q can never run: it waits for nodes that wait for each other", x.g.Nodes[i].ID)
		}
	}
}

// loop names one way round.
func (x *graphCheck) loop(next [][]int, members []int) string {
	in := map[int]bool{}
	for _, m := range members {
		in[m] = true
	}
	seen, way := map[int]int{}, []string{}
	for i := members[0]; ; {
		if first, there := seen[i]; there {
			way = way[first:]
			if len(way) > 10 {
				way = append(way[:10], "…")
			}
			return strings.Join(append(way, x.g.Nodes[i].ID), " → ")
		}
		seen[i] = len(way)
		way = append(way, x.g.Nodes[i].ID)
		i = next[i][slices.IndexFunc(next[i], func(j int) bool { return in[j] })]
	}
}

// components are the strongly connected groups among the stuck nodes, by node and sorted; nil for a
// node that is in no cycle. It is Tarjan's algorithm without recursion.
func components(next [][]int, stuck func(int) bool) [][]int {
	n := len(next)
	order, low, on, group := make([]int, n), make([]int, n), make([]bool, n), make([][]int, n)
	var stack []int
	count := 0
	type frame struct{ node, edge int }
	for root := range n {
		if order[root] != 0 || !stuck(root) {
			continue
		}
		frames := []frame{{root, 0}}
		for len(frames) > 0 {
			f := &frames[len(frames)-1]
			i := f.node
			if f.edge == 0 {
				count++
				order[i], low[i], on[i] = count, count, true
				stack = append(stack, i)
			}
			descended := false
			for f.edge < len(next[i]) {
				j := next[i][f.edge]
				f.edge++
				if !stuck(j) {
					continue
				}
				if order[j] == 0 {
					frames = append(frames, frame{j, 0})
					descended = true
					break
				}
				if on[j] {
					low[i] = min(low[i], order[j])
				}
			}
			if descended {
				continue
			}
			frames = frames[:len(frames)-1]
			if len(frames) > 0 {
				p := frames[len(frames)-1].node
				low[p] = min(low[p], low[i])
			}
			if low[i] == order[i] {
				var members []int
				for {
					j := stack[len(stack)-1]
					stack = stack[:len(stack)-1]
					on[j] = false
					members = append(members, j)
					if j == i {
						break
					}
				}
				if len(members) > 1 || slices.Contains(next[i], i) {
					slices.Sort(members)
					for _, j := range members {
						group[j] = members
					}
				}
			}
		}
	}
	return group
}
