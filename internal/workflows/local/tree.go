package local

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"lodge/internal/workflows"
	"lodge/internal/workflows/argo"
)

// The phases that single nodes can have beside those of jobs.
const (
	skipped workflows.Phase = "Skipped"
	omitted workflows.Phase = "Omitted"
)

// Kinds of nodes, as Argo names them.
const (
	kindDAG     = "DAG"
	kindGroup   = "TaskGroup"
	kindPod     = "Pod"
	kindSkipped = "Skipped"
)

// file is a file that was stored: an artifact.
type file struct {
	// Key is the object, Name what the file was called where it was written.
	Key, Name string
	Size      int64
}

// values are what a node gets or gives.
type values struct {
	params map[string]string
	files  map[string]file
}

func newValues() values { return values{map[string]string{}, map[string]file{}} }

// node is one thing that happens in a job: a template at work, or a group of the same per element.
type node struct {
	id, name, display, kind string
	template                *argo.Template
	parent                  *node
	task                    int // which of the parent's tasks it is, or which element
	phase                   workflows.Phase
	message                 string
	started, finished       time.Time
	in, out                 values
	children                []*node
	tasks                   []task // of a DAG
	index                   map[string]int
	running                 int // children that have not ended
	failure                 workflows.Phase
	attempt                 int
}

// task is a place in a DAG.
type task struct {
	*argo.Task
	waiting    int
	dependents []int
	node       *node // once it has begun, or never will
}

// key names a node in rows and folders. Ids are shorter, as clients know them, and may in theory
// repeat.
func (n *node) key() string { return workflows.StepKey(n.name) }

// tree is a job as it goes on: it decides what runs next, and knows neither rows nor processes. What
// it decides depends on the manifest and on how steps end alone, so that it can be done again.
type tree struct {
	w         *argo.Workflow
	templates map[string]*argo.Template
	root      *node
	nodes     []*node // in the order of their beginning
	ids       map[string]bool
	limit     int // of nodes
	// ready are the steps to be run next.
	ready []*node
	at    time.Time // when what is happening happens
}

func plant(w *argo.Workflow, limit int, at time.Time) (*tree, error) {
	t := &tree{w: w, limit: limit, templates: map[string]*argo.Template{}, ids: map[string]bool{}, at: at}
	for _, one := range w.Spec.Templates {
		t.templates[one.Name] = one
	}
	in := newValues()
	if w.Spec.Arguments != nil {
		for _, p := range w.Spec.Arguments.Parameters {
			if p.Value != nil {
				in.params[p.Name] = *p.Value
			}
		}
	}
	template := t.templates[w.Spec.Entrypoint]
	if template == nil {
		return nil, fmt.Errorf("there is no template %s", w.Spec.Entrypoint)
	}
	t.root = t.begin(nil, 0, w.Metadata.Name, w.Metadata.Name, template, in)
	return t, nil
}

// begin makes a node for a template at work.
func (t *tree) begin(parent *node, place int, name, display string, template *argo.Template, in values) *node {
	n := t.add(parent, place, name, display, kindPod)
	n.template, n.in = template, in
	if template.DAG == nil {
		t.ready = append(t.ready, n)
		return n
	}
	n.kind, n.phase = kindDAG, workflows.Running
	n.tasks = make([]task, len(template.DAG.Tasks))
	n.index = make(map[string]int, len(n.tasks))
	for i := range n.tasks {
		n.tasks[i].Task = &template.DAG.Tasks[i]
		n.index[n.tasks[i].Name] = i
	}
	for i := range n.tasks {
		for _, d := range n.tasks[i].Dependencies {
			from, ok := n.index[d]
			if !ok {
				t.end(n, workflows.Errored, fmt.Sprintf("the node %s waits for %s, which is not there", n.tasks[i].Name, d))
				return n
			}
			n.tasks[i].waiting++
			n.tasks[from].dependents = append(n.tasks[from].dependents, i)
		}
	}
	// One more runs while tasks are begun, so that the graph does not end among them.
	n.running++
	for i := range n.tasks {
		if n.tasks[i].waiting == 0 {
			t.try(n, i)
		}
	}
	n.running--
	t.settle(n)
	return n
}

func (t *tree) add(parent *node, place int, name, display, kind string) *node {
	n := &node{
		name: name, display: display, kind: kind, parent: parent, task: place, phase: workflows.Pending, started: t.at, in: newValues(), out: newValues(), attempt: 1,
	}
	n.id = t.name(name)
	if parent != nil {
		parent.children = append(parent.children, n)
		parent.running++
		if parent.kind == kindDAG {
			parent.tasks[place].node = n
		}
	}
	t.nodes = append(t.nodes, n)
	return n
}

// name makes a node's id as Argo does.
func (t *tree) name(name string) string {
	job := t.w.Metadata.Name
	if name == job {
		return job
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // it never fails
	id := fmt.Sprintf("%s-%d", job, h.Sum32())
	if t.ids[id] {
		id = job + "-" + workflows.StepKey(name)
	}
	t.ids[id] = true
	return id
}

// look is what names mean in a DAG.
func (n *node) look(item *string) scope {
	return func(name string) (string, error) {
		if name == "item" && item != nil {
			return *item, nil
		}
		if port, ok := strings.CutPrefix(name, "inputs.parameters."); ok {
			if v, there := n.in.params[port]; there {
				return v, nil
			}
		}
		if strings.Contains(name, ".outputs.artifacts.") || strings.HasPrefix(name, "inputs.artifacts.") {
			return name, nil // files are named, not put in
		}
		if task, port, ok := output(name, "parameters"); ok {
			if from := n.find(task); from != nil {
				if v, there := from.out.params[port]; there {
					return v, nil
				}
			}
			return "", fmt.Errorf("the node %s has no output %s", task, port)
		}
		return "", fmt.Errorf("there is no %s", name)
	}
}

// output takes tasks.NODE.outputs.KIND.PORT apart.
func output(name, kind string) (task, port string, ok bool) {
	rest, ok := strings.CutPrefix(name, "tasks.")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ".outputs."+kind+".")
}

// find is the node of a task that has begun.
func (n *node) find(name string) *node {
	if i, ok := n.index[name]; ok {
		return n.tasks[i].node
	}
	return nil
}

// stored finds the file that a name means in a DAG; without one it is false.
func (n *node) stored(name string) (file, bool) {
	if port, ok := strings.CutPrefix(name, "inputs.artifacts."); ok {
		f, there := n.in.files[port]
		return f, there
	}
	if task, port, ok := output(name, "artifacts"); ok {
		if from := n.find(task); from != nil {
			f, there := from.out.files[port]
			return f, there
		}
	}
	return file{}, false
}

// try begins a task, or says that it never will.
func (t *tree) try(n *node, place int) {
	d := &n.tasks[place]
	if d.node != nil {
		return
	}
	name := n.name + "." + d.Name
	for _, dependency := range d.Dependencies {
		if from := n.find(dependency); from == nil || !good(from.phase) {
			t.end(t.add(n, place, name, d.Name, kindSkipped), omitted, "omitted: what it waits for did not succeed")
			return
		}
	}
	if n.failure != "" {
		return // nothing new begins after a failure
	}
	if d.When != "" {
		is, err := holds(d.When, n.look(nil))
		if err != nil || !is {
			if err != nil {
				t.end(t.add(n, place, name, d.Name, kindSkipped), workflows.Errored, err.Error())
			} else {
				t.end(t.add(n, place, name, d.Name, kindSkipped), skipped, "the condition does not hold")
			}
			return
		}
	}
	if len(t.nodes) >= t.limit {
		t.end(t.add(n, place, name, d.Name, kindSkipped), workflows.Errored, t.tooMany())
		return
	}
	template := t.templates[d.Template]
	if template == nil {
		t.end(t.add(n, place, name, d.Name, kindSkipped), workflows.Errored, "there is no template "+d.Template)
		return
	}
	if d.WithParam != "" {
		t.spread(n, place, name, template)
		return
	}
	in, err := n.arguments(d.Task, nil)
	if err != nil {
		t.end(t.add(n, place, name, d.Name, kindSkipped), workflows.Errored, err.Error())
		return
	}
	t.begin(n, place, name, d.Name, template, in)
}

func (t *tree) tooMany() string { return fmt.Sprintf("the job has more than %d nodes", t.limit) }

// arguments are what a task's node gets.
func (n *node) arguments(d *argo.Task, item *string) (values, error) {
	in := newValues()
	if d.Arguments == nil {
		return in, nil
	}
	look := n.look(item)
	for _, p := range d.Arguments.Parameters {
		if p.Value == nil {
			continue
		}
		v, err := fill(*p.Value, look)
		if err != nil {
			return in, fmt.Errorf("the input %s: %w", p.Name, err)
		}
		in.params[p.Name] = v
	}
	for _, a := range d.Arguments.Artifacts {
		name := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(a.From, "{{"), "}}"))
		f, ok := n.stored(name)
		if !ok {
			return in, fmt.Errorf("the input %s: there is no file %s", a.Name, name)
		}
		in.files[a.Name] = f
	}
	return in, nil
}

// spread begins a task once per element of a list.
func (t *tree) spread(n *node, place int, name string, template *argo.Template) {
	d := &n.tasks[place]
	group := t.add(n, place, name, d.Name, kindGroup)
	group.phase, group.template = workflows.Running, template
	text, err := fill(d.WithParam, n.look(nil))
	if err != nil {
		t.end(group, workflows.Errored, err.Error())
		return
	}
	items, err := elements(text)
	if err != nil {
		t.end(group, workflows.Errored, err.Error())
		return
	}
	if len(t.nodes)+len(items) > t.limit {
		t.end(group, workflows.Errored, t.tooMany())
		return
	}
	// One more runs while they are begun, so that the group does not end among them.
	group.running++
	for i, item := range items {
		in, err := n.arguments(d.Task, &item)
		child := fmt.Sprintf("(%d:%s)", i, shortItem(item))
		if err != nil {
			failed := t.add(group, i, name+child, d.Name+child, kindSkipped)
			t.end(failed, workflows.Errored, err.Error())
			continue
		}
		t.begin(group, i, name+child, d.Name+child, template, in)
	}
	group.running--
	t.settle(group)
}

// elements are those of a list in JSON: texts as they are, everything else as JSON.
func elements(text string) ([]string, error) {
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("%q is no list", shorten(text))
	}
	items := make([]string, len(list))
	for i, one := range list {
		if len(one) > 0 && one[0] == '"' {
			if err := json.Unmarshal(one, &items[i]); err != nil {
				return nil, err
			}
			continue
		}
		items[i] = string(one)
	}
	return items, nil
}

// shortItem is an element as it stands in names.
func shortItem(item string) string {
	item = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, item)
	if r := []rune(item); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return item
}

func good(p workflows.Phase) bool { return p == workflows.Succeeded || p == skipped }

func over(p workflows.Phase) bool { return p.Final() || p == skipped || p == omitted }

// end ends a node and tells its parent.
func (t *tree) end(n *node, phase workflows.Phase, message string) {
	if over(n.phase) {
		return
	}
	n.phase, n.message, n.finished = phase, message, t.at
	p := n.parent
	if p == nil {
		return
	}
	if phase == workflows.Failed || phase == workflows.Errored {
		if p.failure == "" || phase == workflows.Errored {
			p.failure = phase
		}
		if p.message == "" {
			p.message = because(n)
		}
	}
	if p.kind == kindDAG {
		for _, next := range p.tasks[n.task].dependents {
			if p.tasks[next].waiting--; p.tasks[next].waiting == 0 {
				t.try(p, next)
			}
		}
	}
	p.running--
	t.settle(p)
}

// because says which step a failure came from.
func because(n *node) string {
	if n.kind == kindDAG || n.kind == kindGroup {
		return n.message
	}
	_, name, ok := strings.Cut(n.name, ".")
	if !ok {
		return n.message
	}
	return name + ": " + n.message
}

// settle ends a DAG or a group of which nothing runs any more.
func (t *tree) settle(n *node) {
	if over(n.phase) || n.running > 0 || n.kind != kindDAG && n.kind != kindGroup {
		return
	}
	if n.failure != "" {
		t.end(n, n.failure, n.message)
		return
	}
	if n.kind == kindGroup {
		n.gather()
		t.end(n, workflows.Succeeded, "")
		return
	}
	for i := range n.tasks {
		if n.tasks[i].node == nil {
			// Only what waits for itself is left. That is refused when a job is submitted.
			if !n.begun(i) {
				t.end(n, workflows.Errored, "the node "+n.tasks[i].Name+" waits for itself")
			}
			return
		}
	}
	if err := n.give(); err != nil {
		t.end(n, workflows.Errored, err.Error())
		return
	}
	t.end(n, workflows.Succeeded, "")
}

// begun says whether a task could still begin.
func (n *node) begun(place int) bool { return n.tasks[place].waiting == 0 }

// gather makes a group's outputs: lists of those of its elements.
func (n *node) gather() {
	if n.template.Outputs == nil {
		return
	}
	for _, p := range n.template.Outputs.Parameters {
		list := []string{}
		for _, c := range n.children {
			if v, there := c.out.params[p.Name]; there {
				list = append(list, v)
			}
		}
		n.out.params[p.Name] = aggregate(list)
	}
}

// aggregate writes a list as Argo does: of values if all are lists or objects, and of texts otherwise.
func aggregate(list []string) string {
	inner := make([]json.RawMessage, 0, len(list))
	for _, text := range list {
		trimmed := strings.TrimSpace(text)
		if !strings.HasPrefix(trimmed, "[") && !strings.HasPrefix(trimmed, "{") || !json.Valid([]byte(trimmed)) {
			return encode(list)
		}
		inner = append(inner, json.RawMessage(trimmed))
	}
	if len(inner) == 0 {
		return "[]"
	}
	return encode(inner)
}

func encode(v any) string {
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "null" // lists of texts can always be written
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// give makes a DAG's outputs.
func (n *node) give() error {
	if n.template.Outputs == nil {
		return nil
	}
	look := n.look(nil)
	for _, p := range n.template.Outputs.Parameters {
		if p.ValueFrom == nil {
			continue
		}
		var err error
		if p.ValueFrom.Expression != "" {
			n.out.params[p.Name], err = choose(p.ValueFrom.Expression, look)
		} else {
			n.out.params[p.Name], err = fill(p.ValueFrom.Parameter, look)
		}
		if err != nil {
			return fmt.Errorf("the output %s: %w", p.Name, err)
		}
	}
	for _, a := range n.template.Outputs.Artifacts {
		name := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(a.From, "{{"), "}}"))
		if a.FromExpression != "" {
			var err error
			if name, err = choose(a.FromExpression, look); err != nil {
				return fmt.Errorf("the output %s: %w", a.Name, err)
			}
			if name == "" {
				continue // there is no other node, and this one did not run
			}
		}
		f, ok := n.stored(name)
		if !ok {
			return fmt.Errorf("the output %s: there is no file %s", a.Name, name)
		}
		n.out.files[a.Name] = f
	}
	return nil
}

// take gives the steps to be run next.
func (t *tree) take() []*node {
	steps := t.ready
	t.ready = nil
	return steps
}

// inner is what names mean in a step's container.
func (t *tree) inner(n *node) scope {
	return func(name string) (string, error) {
		if port, ok := strings.CutPrefix(name, "inputs.parameters."); ok {
			if v, there := n.in.params[port]; there {
				return v, nil
			}
		}
		if port, ok := strings.CutPrefix(name, "inputs.artifacts."); ok {
			if port, ok = strings.CutSuffix(port, ".path"); ok {
				return argo.ArtifactPath(port), nil
			}
		}
		switch name {
		case "workflow.name", "workflow.uid":
			return t.w.Metadata.Name, nil
		case "workflow.namespace":
			return t.w.Metadata.Namespace, nil
		case "pod.name":
			return n.id, nil
		case "retries":
			return strconv.Itoa(n.attempt - 1), nil
		}
		return "", fmt.Errorf("there is no %s", name)
	}
}
