package spec

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Check finds everything that is wrong with a component that was read, together with what it refers
// to. What stands in the library is checked too, once each; a finding in it is reported where it is
// referred to.
func Check(c *Component, lib *Library) Findings {
	k := newChecker(lib)
	k.component(&place{}, c)
	return k.findings
}

// CheckWorkflow checks a workflow's component.
func CheckWorkflow(w *Workflow, lib *Library) Findings {
	k := newChecker(lib)
	k.workflow(&place{}, w)
	return k.findings
}

// CheckJob checks a job: its workflow, whether it can be run, and its input values.
func CheckJob(j *Job, lib *Library) Findings {
	k := newChecker(lib)
	at := &place{}
	k.workflow(at.at("workflow"), j.Workflow)
	k.values(at, j)
	return k.findings
}

// checker walks over components and collects what is wrong.
type checker struct {
	reader
	lib *Library
	// state of the library's components: being checked, or checked.
	state map[*Component]int
	path  []string // the names of those being checked
	depth int
	ports map[*Component]*ports
}

const (
	checking = 1
	checked  = 2
)

func newChecker(lib *Library) *checker {
	return &checker{lib: lib, state: map[*Component]int{}, ports: map[*Component]*ports{}}
}

// ports are a component's ports by name.
type ports struct{ in, out map[string]DataType }

func (k *checker) portsOf(c *Component) *ports {
	if p := k.ports[c]; p != nil {
		return p
	}
	p := &ports{make(map[string]DataType, len(c.Inputs)), make(map[string]DataType, len(c.Outputs))}
	for _, d := range c.Inputs {
		p.in[d.Name] = d.Type
	}
	for _, d := range c.Outputs {
		p.out[d.Name] = d.Type
	}
	k.ports[c] = p
	return p
}

// called is a component's name for people.
func called(c *Component) string {
	if c.Name != "" {
		return fmt.Sprintf("%q", clip(c.Name))
	}
	return c.UID.String()
}

func (k *checker) workflow(at *place, w *Workflow) {
	if w.Workspace == "" {
		k.wrong(at.at("workspace"), "name the workspace that the workflow belongs to")
	}
	k.component(at.at("component"), w.Component)
}

func (k *checker) component(at *place, c *Component) {
	if c.UID == uuid.Nil {
		k.find(at.at("uid"), CodeReference, Unready, "component (%s) uid (%s) is required to be unique and non-zero to be run: give it one", clip(c.Name), c.UID)
	}
	k.unique(at.at("inputs"), "input", c.Inputs)
	k.unique(at.at("outputs"), "output", c.Outputs)
	for i, d := range c.Outputs {
		if d.Type == EnvSecret {
			k.find(at.at("outputs").nth(i), CodeType, Error, "the output %q is a secret: secrets are handed in, never out", d.Name)
		}
	}
	inside := at.at("implementation")
	switch i := c.Implementation.(type) {
	case *Any:
		k.find(inside, CodeReference, Unready, "the component %s is a placeholder of type any: put a brick, a graph, a map or a conditional in its place", called(c))
	case *Brick:
		k.brick(inside, c, i)
	case *Graph:
		k.graph(inside, c, i)
	case *Map:
		k.mapping(inside, c, i)
	case *Conditional:
		k.conditional(inside, c, i)
	}
}

func (k *checker) unique(at *place, what string, list []Data) {
	seen := make(map[string]int, len(list))
	for i, d := range list {
		if first, there := seen[d.Name]; there {
			k.find(at.nth(i).at("name"), CodeName, Error, "there are two %ss named %q (the other is number %d): rename one", what, d.Name, first)
			continue
		}
		seen[d.Name] = i
	}
}

// child checks what a reference names, and gives it. It is nil when there is no such component.
func (k *checker) child(at *place, r Ref) *Component {
	if inline, ok := r.(*Component); ok {
		k.component(at, inline)
		return inline
	}
	c := k.lib.Of(r)
	if c == nil {
		k.find(at, CodeReference, Error, "there is no component %s: it was deleted, or the uid is wrong", refText(r))
		return nil
	}
	switch k.state[c] {
	case checked:
		return c
	case checking:
		k.find(at, CodeReference, Error, "the component %s contains itself: %s → %s", called(c), strings.Join(k.path, " → "), called(c))
		return c
	}
	if k.depth++; k.depth > maxNesting {
		k.find(at, CodeSize, Error, "components stand in each other deeper than %d levels", maxNesting)
		k.depth--
		return c
	}
	k.state[c] = checking
	k.path = append(k.path, called(c))
	// What is wrong in there is said here, where it can be seen.
	outside := k.findings
	k.findings = nil
	k.component(&place{}, c)
	inside := k.findings
	k.findings = outside
	for _, f := range inside {
		k.find(at, f.Code, f.Severity, "in the component %s (%s), at %s: %s", called(c), CRefVersion{c.UID, c.Version.Current}, f.Pointer, f.Message)
	}
	k.path = k.path[:len(k.path)-1]
	k.depth--
	k.state[c] = checked
	return c
}

func refText(r Ref) string {
	switch r := r.(type) {
	case CRef:
		return uuid.UUID(r).String()
	case CRefVersion:
		return r.String()
	default:
		return "here"
	}
}

// fits says how something of one type goes into a port of another.
func (k *checker) fits(at *place, source, target DataType, from, to string) bool {
	switch {
	case source == target, source == ParameterArray && target == Parameter:
	case source == Parameter && target == ParameterArray:
		k.find(at, CodeType, Warning, "%s is a single parameter and %s is a list: the text must hold a JSON list", from, to)
	default:
		k.find(at, CodeType, Error, "%s is of type %s and does not fit into %s of type %s", from, source, to, target)
		return false
	}
	return true
}

// feeds counts what feeds each port.
type feeds struct {
	*checker
	by map[[2]string]string
}

func (k *checker) feeds() feeds { return feeds{k, map[[2]string]string{}} }

// feed notes that a port is fed, and says so when it is already.
func (f feeds) feed(at *place, node, port string, by string) {
	key := [2]string{node, port}
	if first, there := f.by[key]; there {
		where := fmt.Sprintf("the input %q of node %q", port, node)
		if node == "" {
			where = fmt.Sprintf("the output %q", port)
		}
		f.find(at, CodeFed, Error, "%s is fed twice: by %s and by %s; remove one", where, first, by)
		return
	}
	f.by[key] = by
}

func (f feeds) fed(node, port string) bool { _, there := f.by[[2]string{node, port}]; return there }
