package argo

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Problem is something for which Argo would refuse a Workflow.
type Problem struct {
	// Pointer is the place in the Workflow.
	Pointer, Message string
}

// String is the problem on one line.
func (p Problem) String() string { return p.Pointer + ": " + p.Message }

var (
	fieldName    = regexp.MustCompile(`^[a-zA-Z0-9][-a-zA-Z0-9]*$`) // templates and tasks
	valueName    = regexp.MustCompile(`^[-a-zA-Z0-9_]+$`)           // parameters and artifacts
	objectName   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)
	namespace    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	tag          = regexp.MustCompile(`\{\{([^{}]*)\}\}`)
	inExpression = regexp.MustCompile(`tasks\.([-a-zA-Z0-9]+)\.outputs\.(parameters|artifacts)(?:\.([a-zA-Z0-9_]+)|\['([-a-zA-Z0-9_]+)'\])`)
)

const maxNameLength = 128

// Check finds everything in a Workflow that Argo's validator, or the API server, would refuse. It
// covers what Transpile writes: a finding means that Transpile was given what spec.CheckJob would
// have refused, or that there is a gap between the two.
func Check(w *Workflow) []Problem {
	k := &check{w: w, templates: make(map[string]*Template, len(w.Spec.Templates))}
	k.object()
	k.names()
	k.entrypoint()
	for i, t := range w.Spec.Templates {
		at := fmt.Sprintf("/spec/templates/%d", i)
		k.template(at, t)
	}
	k.recursion()
	return k.problems
}

type check struct {
	w         *Workflow
	templates map[string]*Template
	problems  []Problem
}

func (k *check) find(at, format string, args ...any) {
	k.problems = append(k.problems, Problem{at, fmt.Sprintf(format, args...)})
}

func (k *check) object() {
	w := k.w
	if w.APIVersion != apiVersion || w.Kind != "Workflow" {
		k.find("/kind", "is not a Workflow of %s", apiVersion)
	}
	switch m := w.Metadata; {
	case m.Name == "" && m.GenerateName == "":
		k.find("/metadata/name", "name or generateName is required")
	case m.Name != "" && (!objectName.MatchString(m.Name) || len(m.Name) > 63):
		k.find("/metadata/name", "%q is no name of at most 63 small letters, digits, - and .", m.Name)
	case m.Namespace != "" && (!namespace.MatchString(m.Namespace) || len(m.Namespace) > 63):
		k.find("/metadata/namespace", "%q is no namespace", m.Namespace)
	}
	text, err := w.JSON()
	switch {
	case err != nil:
		k.find("", "cannot be written: %v", err)
	case len(text) > MaxSize:
		k.find("", "the workflow is %d bytes large and the cluster takes %d: split it into several workflows, or let parts of it refer to the same component", len(text), MaxSize)
	}
	seen := map[string]bool{}
	for i, v := range w.Spec.Volumes {
		at := fmt.Sprintf("/spec/volumes/%d/name", i)
		if seen[v.Name] {
			k.find(at, "the name %q is not unique", v.Name)
		}
		if !namespace.MatchString(v.Name) || len(v.Name) > 63 {
			k.find(at, "%q is no name of at most 63 small letters, digits and -", v.Name)
		}
		seen[v.Name] = true
	}
}

func (k *check) names() {
	for i, t := range k.w.Spec.Templates {
		at := fmt.Sprintf("/spec/templates/%d/name", i)
		if k.templates[t.Name] != nil {
			k.find(at, "the template name %q is not unique", t.Name)
		}
		k.field(at, t.Name)
		k.templates[t.Name] = t
	}
}

func (k *check) field(at, name string) {
	if !fieldName.MatchString(name) || len(name) > maxNameLength {
		k.find(at, "%q is no name of at most %d letters, digits and -", name, maxNameLength)
	}
}

func (k *check) entrypoint() {
	given := map[string]bool{}
	for i, p := range k.w.Spec.Arguments.orEmpty().Parameters {
		at := fmt.Sprintf("/spec/arguments/parameters/%d", i)
		if given[p.Name] {
			k.find(at, "the name %q is not unique", p.Name)
		}
		if p.Value == nil {
			k.find(at, "spec.arguments.%s.value is required", p.Name)
		}
		given[p.Name] = true
	}
	t := k.templates[k.w.Spec.Entrypoint]
	if t == nil {
		k.find("/spec/entrypoint", "the template %q is not defined", k.w.Spec.Entrypoint)
		return
	}
	for _, p := range t.Inputs.orEmpty().Parameters {
		if !given[p.Name] && !defaulted(p) {
			k.find("/spec/arguments", "inputs.parameters.%s was not supplied", p.Name)
		}
	}
	for _, a := range t.Inputs.orEmpty().Artifacts {
		k.find("/spec/arguments", "inputs.artifacts.%s was not supplied", a.Name)
	}
}

// defaulted says whether a parameter has a value of its own. The mark of lists is none.
func defaulted(p Parameter) bool { return p.Value != nil && *p.Value != "{{item}}" }

func (a *Arguments) orEmpty() *Arguments {
	if a == nil {
		return &Arguments{}
	}
	return a
}

func (k *check) template(at string, t *Template) {
	if (t.DAG == nil) == (t.Container == nil) {
		k.find(at, "a template has one type: container or dag")
		return
	}
	k.arguments(at+"/inputs", t.Inputs)
	k.arguments(at+"/outputs", t.Outputs)
	if t.DAG != nil {
		k.dag(at, t)
		return
	}
	k.container(at, t)
}

// arguments checks the names of inputs or outputs.
func (k *check) arguments(at string, a *Arguments) {
	parameters, artifacts := map[string]bool{}, map[string]bool{}
	for i, p := range a.orEmpty().Parameters {
		k.value(fmt.Sprintf("%s/parameters/%d/name", at, i), p.Name, parameters)
	}
	for i, p := range a.orEmpty().Artifacts {
		k.value(fmt.Sprintf("%s/artifacts/%d/name", at, i), p.Name, artifacts)
	}
}

func (k *check) value(at, name string, seen map[string]bool) {
	if !valueName.MatchString(name) || len(name) > maxNameLength {
		k.find(at, "%q is no name of letters, digits, - and _", name)
	}
	if seen[name] {
		k.find(at, "the name %q is not unique", name)
	}
	seen[name] = true
}

func (k *check) container(at string, t *Template) {
	var image string
	if err := json.Unmarshal(orNull(t.Container.Get("image")), &image); err != nil || image == "" {
		k.find(at+"/container/image", "may not be empty")
	}
	paths := map[string]bool{}
	scope := map[string]bool{}
	for i, a := range t.Inputs.orEmpty().Artifacts {
		at := fmt.Sprintf("%s/inputs/artifacts/%d/path", at, i)
		if a.Path == "" {
			k.find(at, "must be specified")
		} else if paths[a.Path] {
			k.find(at, "%s is mounted twice", a.Path)
		}
		paths[a.Path] = true
		scope["inputs.artifacts."+a.Name+".path"] = true
	}
	for _, p := range t.Inputs.orEmpty().Parameters {
		scope["inputs.parameters."+p.Name] = true
	}
	for i, p := range t.Outputs.orEmpty().Parameters {
		if p.ValueFrom == nil || p.ValueFrom.Path == "" {
			k.find(fmt.Sprintf("%s/outputs/parameters/%d", at, i), "valueFrom.path must be specified: nothing writes %s", p.Name)
			continue
		}
		scope["outputs.parameters."+p.Name+".path"] = true
	}
	for i, a := range t.Outputs.orEmpty().Artifacts {
		if a.Path == "" {
			k.find(fmt.Sprintf("%s/outputs/artifacts/%d", at, i), "path must be specified: nothing writes %s", a.Name)
		}
		scope["outputs.artifacts."+a.Name+".path"] = true
	}
	k.mounts(at, t)
	text, err := t.Container.MarshalJSON()
	if err != nil {
		k.find(at+"/container", "cannot be written: %v", err)
	}
	k.resolve(at+"/container", string(text), func(name string) string {
		if scope[name] || name == "inputs.parameters" || name == "pod.name" || name == "retries" {
			return ""
		}
		return "failed to resolve {{" + name + "}}"
	})
}

func orNull(text json.RawMessage) json.RawMessage {
	if text == nil {
		return json.RawMessage("null")
	}
	return text
}

func (k *check) mounts(at string, t *Template) {
	var mounts []struct{ Name, MountPath string }
	if err := json.Unmarshal(orNull(t.Container.Get("volumeMounts")), &mounts); err != nil {
		k.find(at+"/container/volumeMounts", "cannot be read: %v", err)
		return
	}
	seen := map[string]bool{}
	for i, m := range mounts {
		at := fmt.Sprintf("%s/container/volumeMounts/%d", at, i)
		known := false
		for _, v := range k.w.Spec.Volumes {
			known = known || v.Name == m.Name
		}
		if !known {
			k.find(at, "the volume %q is not defined", m.Name)
		}
		if seen[m.MountPath] {
			k.find(at, "%s is mounted twice", m.MountPath)
		}
		seen[m.MountPath] = true
	}
}

// resolve checks every {{…}} of a text. What Argo knows of the workflow itself is always there.
func (k *check) resolve(at, text string, known func(string) string) {
	for _, found := range tag.FindAllStringSubmatch(text, -1) {
		name := strings.TrimSpace(found[1])
		if strings.HasPrefix(name, "workflow.") || strings.HasPrefix(name, "=") {
			continue
		}
		if wrong := known(name); wrong != "" {
			k.find(at, "%s", wrong)
		}
	}
}

// dagCheck is one graph being checked.
type dagCheck struct {
	*check
	t     *Template
	tasks map[string]*Task
	// above are a task's dependencies, direct or not; worked out only when one is asked for.
	above map[string]map[string]bool
}

func (k *check) dag(at string, t *Template) {
	d := &dagCheck{check: k, t: t, tasks: make(map[string]*Task, len(t.DAG.Tasks)), above: map[string]map[string]bool{}}
	if len(t.DAG.Tasks) == 0 {
		k.find(at+"/dag/tasks", "at least one task is required")
	}
	for i := range t.DAG.Tasks {
		task := &t.DAG.Tasks[i]
		at := fmt.Sprintf("%s/dag/tasks/%d/name", at, i)
		k.field(at, task.Name)
		if d.tasks[task.Name] != nil {
			k.find(at, "the task name %q is not unique", task.Name)
		}
		d.tasks[task.Name] = task
	}
	if d.cycle(at) {
		return // a task's ancestors could not be told
	}
	for i := range t.DAG.Tasks {
		d.task(fmt.Sprintf("%s/dag/tasks/%d", at, i), &t.DAG.Tasks[i])
	}
	for i, p := range t.Outputs.orEmpty().Parameters {
		at := fmt.Sprintf("%s/outputs/parameters/%d", at, i)
		switch {
		case p.ValueFrom == nil || p.ValueFrom.Parameter == "" && p.ValueFrom.Expression == "":
			k.find(at, "valueFrom type unspecified: nothing feeds %s", p.Name)
		case p.ValueFrom.Parameter != "":
			k.resolve(at, p.ValueFrom.Parameter, func(name string) string { return d.reference(name, nil) })
		default:
			d.expression(at, p.ValueFrom.Expression)
		}
	}
	for i, a := range t.Outputs.orEmpty().Artifacts {
		at := fmt.Sprintf("%s/outputs/artifacts/%d", at, i)
		switch {
		case a.From == "" && a.FromExpression == "":
			k.find(at, "from must be specified: nothing feeds %s", a.Name)
		case a.From != "":
			k.resolve(at, a.From, func(name string) string { return d.reference(name, nil) })
		default:
			d.expression(at, a.FromExpression)
		}
	}
}

// cycle finds tasks that wait for each other.
func (d *dagCheck) cycle(at string) bool {
	const open, done = 1, 2
	state := make(map[string]int, len(d.tasks))
	found := false
	for i := range d.t.DAG.Tasks {
		type frame struct {
			task *Task
			next int
		}
		stack := []frame{{task: &d.t.DAG.Tasks[i]}}
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			if f.next == 0 {
				if state[f.task.Name] == done {
					stack = stack[:len(stack)-1]
					continue
				}
				state[f.task.Name] = open
			}
			if f.next == len(f.task.Dependencies) {
				state[f.task.Name] = done
				stack = stack[:len(stack)-1]
				continue
			}
			name := f.task.Dependencies[f.next]
			f.next++
			switch next := d.tasks[name]; {
			case next == nil:
				d.find(at+"/dag", "the dependency %q of %q is not defined", name, f.task.Name)
				found = true
			case state[name] == open:
				d.find(at+"/dag", "cycle detected: %s → %s", f.task.Name, name)
				found = true
			case state[name] == 0:
				stack = append(stack, frame{task: next})
			}
		}
	}
	return found
}

func (d *dagCheck) task(at string, task *Task) {
	called := d.templates[task.Template]
	if called == nil {
		d.find(at+"/template", "the template %q is not defined", task.Template)
		return
	}
	d.arguments(at+"/arguments", task.Arguments)
	known := func(name string) string { return d.reference(name, task) }
	parameters, artifacts := map[string]bool{}, map[string]bool{}
	for i, p := range task.Arguments.orEmpty().Parameters {
		at := fmt.Sprintf("%s/arguments/parameters/%d", at, i)
		parameters[p.Name] = true
		if p.Value == nil {
			d.find(at, "the argument %s has no value", p.Name)
			continue
		}
		d.resolve(at, *p.Value, known)
	}
	for i, a := range task.Arguments.orEmpty().Artifacts {
		artifacts[a.Name] = true
		d.resolve(fmt.Sprintf("%s/arguments/artifacts/%d", at, i), a.From, known)
	}
	for _, p := range called.Inputs.orEmpty().Parameters {
		if !parameters[p.Name] && !defaulted(p) {
			d.find(at+"/arguments", "inputs.parameters.%s was not supplied", p.Name)
		}
	}
	for _, a := range called.Inputs.orEmpty().Artifacts {
		if !artifacts[a.Name] {
			d.find(at+"/arguments", "inputs.artifacts.%s was not supplied", a.Name)
		}
	}
	d.resolve(at+"/withParam", task.WithParam, known)
	d.resolve(at+"/when", task.When, known)
}

// reference says what is wrong with a name in a task, or in the outputs when there is none.
func (d *dagCheck) reference(name string, task *Task) string {
	wrong := "failed to resolve {{" + name + "}}"
	parts := strings.Split(name, ".")
	switch {
	case name == "item":
		if task != nil && task.WithParam != "" {
			return ""
		}
	case len(parts) == 3 && parts[0] == "inputs":
		if has(d.t.Inputs, parts[1], parts[2]) {
			return ""
		}
	case len(parts) == 5 && parts[0] == "tasks" && parts[2] == "outputs":
		from := d.tasks[parts[1]]
		if from == nil || d.templates[from.Template] == nil || !has(d.templates[from.Template].Outputs, parts[3], parts[4]) {
			return wrong
		}
		if task != nil && !slices.Contains(task.Dependencies, parts[1]) && !d.ancestors(task)[parts[1]] {
			return wrong + ": " + task.Name + " does not wait for " + parts[1]
		}
		return ""
	}
	return wrong
}

func has(a *Arguments, kind, name string) bool {
	if kind == "parameters" {
		return slices.ContainsFunc(a.orEmpty().Parameters, func(p Parameter) bool { return p.Name == name })
	}
	return kind == "artifacts" && slices.ContainsFunc(a.orEmpty().Artifacts, func(p Artifact) bool { return p.Name == name })
}

// ancestors are the tasks that a task waits for.
func (d *dagCheck) ancestors(task *Task) map[string]bool {
	if all := d.above[task.Name]; all != nil {
		return all
	}
	all := map[string]bool{}
	next := slices.Clone(task.Dependencies)
	for len(next) > 0 {
		name := next[len(next)-1]
		next = next[:len(next)-1]
		if !all[name] && d.tasks[name] != nil {
			all[name] = true
			next = append(next, d.tasks[name].Dependencies...)
		}
	}
	d.above[task.Name] = all
	return all
}

// expression checks what an output's expression names.
func (d *dagCheck) expression(at, text string) {
	d.resolve(at, text, func(name string) string { return d.reference(name, nil) })
	for _, found := range inExpression.FindAllStringSubmatch(text, -1) {
		from := d.tasks[found[1]]
		if from == nil || d.templates[from.Template] == nil || !has(d.templates[from.Template].Outputs, found[2], found[3]+found[4]) {
			d.find(at, "failed to resolve %s", found[0])
		}
	}
}

// recursion finds templates that run themselves: Argo would go on for ever.
func (k *check) recursion() {
	const open, done = 1, 2
	state := map[string]int{}
	var visit func(t *Template) bool
	visit = func(t *Template) bool {
		state[t.Name] = open
		defer func() { state[t.Name] = done }()
		if t.DAG == nil {
			return false
		}
		for _, task := range t.DAG.Tasks {
			next := k.templates[task.Template]
			if next != nil && (state[next.Name] == open || state[next.Name] == 0 && visit(next)) {
				return true
			}
		}
		return false
	}
	for i, t := range k.w.Spec.Templates {
		if state[t.Name] == 0 && visit(t) {
			k.find(fmt.Sprintf("/spec/templates/%d", i), "the template runs itself")
		}
	}
}
