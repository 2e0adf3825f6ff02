package argo

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"lodge/internal/workflows/spec"
)

// Transpile writes a job, which spec.CheckJob has let pass, as a Workflow. What is wrong with a job
// all the same is an error and never a panic.
func Transpile(j *spec.Job, lib *spec.Library, tags []string) (*Workflow, error) {
	t := &transpiler{
		lib: lib, memo: map[key]string{}, open: map[key]bool{}, names: map[uuid.UUID]map[string]string{},
		graphs: map[key]*wiring{},
	}
	c := j.Workflow.Component
	// The top component's template has its uid in any case: clients look for it.
	t.names[c.UID] = map[string]string{"": c.UID.String()}
	w := &Workflow{APIVersion: apiVersion, Kind: "Workflow"}
	w.Metadata = Metadata{Name: j.UID.String(), Namespace: j.Workflow.Workspace}
	if j.UID == uuid.Nil {
		w.Metadata.Name, w.Metadata.GenerateName = "", generateName(cmp.Or(j.Workflow.Name, c.Name))
	}
	if len(tags) > 0 {
		w.Metadata.Annotations = map[string]string{TagsAnnotation: strings.Join(tags, ";")}
	}
	b, err := t.values(w, j)
	if err != nil {
		return nil, err
	}
	if w.Spec.Entrypoint, err = t.template(c, b); err != nil {
		return nil, err
	}
	w.Spec.Templates = t.emitted()
	return w, nil
}

// generateName makes a name for Kubernetes to finish.
func generateName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		default:
			return '-'
		}
	}, name)
	name = strings.Trim(name[:min(len(name), 40)], "-")
	return cmp.Or(name, "workflow") + "-"
}

// binding is what a component's secrets and volumes are, by input.
type binding struct {
	secrets map[string]string // the key in the workspace's Secret
	volumes map[string]string // the name among the Workflow's volumes
}

func newBinding() binding { return binding{map[string]string{}, map[string]string{}} }

// key is a component with its binding: the same key gives the same template.
type key struct {
	c     *spec.Component
	bound string
}

func keyOf(c *spec.Component, b binding) key {
	var bound strings.Builder
	for _, d := range c.Inputs {
		fmt.Fprintf(&bound, "%s\x00%s\x00", b.secrets[d.Name], b.volumes[d.Name])
	}
	return key{c, bound.String()}
}

type transpiler struct {
	lib       *spec.Library
	templates []*Template // in the order in which they are begun; nil for repetitions
	memo      map[key]string
	open      map[key]bool
	// names are those given, by the component's uid and the template's content.
	names  map[uuid.UUID]map[string]string
	graphs map[key]*wiring
	traced int // how deep a volume is being followed
}

// values sets the workflow's arguments and volumes, and binds the top component.
func (t *transpiler) values(w *Workflow, j *spec.Job) (binding, error) {
	b, c := newBinding(), j.Workflow.Component
	volumes := map[string]string{}
	for _, v := range j.InputValues {
		d, ok := c.Input(v.Target)
		if !ok {
			continue
		}
		switch d.Type {
		case spec.Parameter:
			w.argument(Parameter{Name: d.Name, Value: &v.Value.Text})
		case spec.ParameterArray:
			text, err := spec.Encode(append([]string{}, v.Value.List...))
			if err != nil {
				return b, err
			}
			list := string(text)
			w.argument(Parameter{Name: d.Name, Value: &list})
		case spec.EnvSecret:
			b.secrets[d.Name] = v.Value.Text
		case spec.VolumeType:
			volume, findings := spec.ReadKubeVolume([]byte(v.Value.Text))
			if len(findings) > 0 {
				return b, fmt.Errorf("could not create the volume %q: %s", d.Name, findings)
			}
			text, err := spec.Encode(volume)
			if err != nil {
				return b, err
			}
			if other, there := volumes[volume.Name]; there && other != string(text) {
				return b, fmt.Errorf("two different volumes have the name %q", volume.Name)
			} else if !there {
				w.Spec.Volumes = append(w.Spec.Volumes, volume)
			}
			volumes[volume.Name] = string(text)
			b.volumes[d.Name] = volume.Name
		case spec.Artifact:
			return b, fmt.Errorf("the input %q is an artifact, which a job cannot be given", d.Name)
		}
	}
	return b, nil
}

func (w *Workflow) argument(p Parameter) {
	if w.Spec.Arguments == nil {
		w.Spec.Arguments = &Arguments{}
	}
	w.Spec.Arguments.Parameters = append(w.Spec.Arguments.Parameters, p)
}

// template writes a component and what is in it, and gives the template's name.
func (t *transpiler) template(c *spec.Component, b binding) (string, error) {
	k := keyOf(c, b)
	if name, done := t.memo[k]; done {
		return name, nil
	}
	if t.open[k] {
		return "", fmt.Errorf("the component %s contains itself", c.UID)
	}
	if c.UID == uuid.Nil {
		return "", fmt.Errorf("component (%s) uid (%s) is required to be unique and non-zero in transpilation", c.Name, c.UID)
	}
	t.open[k] = true
	defer delete(t.open, k)

	slot := len(t.templates)
	t.templates = append(t.templates, nil)
	made := &Template{Inputs: inputs(c), Outputs: &Arguments{}}
	var err error
	switch i := c.Implementation.(type) {
	case *spec.Brick:
		err = t.brick(made, c, i, b)
	case *spec.Graph:
		err = t.graph(made, c, i, b)
	case *spec.Map:
		err = t.mapping(made, c, i, b)
	case *spec.Conditional:
		err = t.conditional(made, c, i, b)
	default:
		err = fmt.Errorf("the component %s has an unrecognized implementation type", c.UID)
	}
	if err != nil {
		return "", err
	}
	if len(made.Outputs.Parameters)+len(made.Outputs.Artifacts) == 0 {
		made.Outputs = nil
	}
	content, err := spec.Encode(made)
	if err != nil {
		return "", err
	}
	name, repeated := t.name(c.UID, string(content), slot == 0)
	if !repeated {
		made.Name = name
		t.templates[slot] = made
	}
	t.memo[k] = name
	return name, nil
}

// name names a template: the uid for the first content of a component, and then with a number.
func (t *transpiler) name(id uuid.UUID, content string, top bool) (name string, repeated bool) {
	given := t.names[id]
	if given == nil {
		given = map[string]string{}
		t.names[id] = given
	}
	if name, repeated = given[content]; repeated {
		return name, true
	}
	name = id.String()
	if n := len(given) + 1; n > 1 && !top {
		name = fmt.Sprintf("%s-%d", id, n)
	}
	given[content] = name
	return name, false
}

func (t *transpiler) emitted() []*Template {
	all := make([]*Template, 0, len(t.templates))
	for _, one := range t.templates {
		if one != nil {
			all = append(all, one)
		}
	}
	return all
}

var errUnresolved = errors.New("a node's component could not be found")

func (t *transpiler) of(r spec.Ref) (*spec.Component, error) {
	if c := t.lib.Of(r); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("%w: %v", errUnresolved, r)
}

// inputs are a template's: parameters and artifacts.
func inputs(c *spec.Component) *Arguments {
	a := &Arguments{}
	for _, d := range c.Inputs {
		switch d.Type {
		case spec.Parameter:
			a.Parameters = append(a.Parameters, Parameter{Name: d.Name})
		case spec.ParameterArray:
			a.Parameters = append(a.Parameters, Parameter{Name: d.Name, Value: text("{{item}}")})
		case spec.Artifact:
			one := Artifact{Name: d.Name}
			if _, brick := c.Implementation.(*spec.Brick); brick {
				one.Path = ArtifactPath(d.Name)
			}
			a.Artifacts = append(a.Artifacts, one)
		case spec.EnvSecret, spec.VolumeType:
		}
	}
	return a.orNil()
}

// ArtifactPath is where a container finds an input artifact.
func ArtifactPath(input string) string { return "/artifacts/" + input }

func (a *Arguments) orNil() *Arguments {
	if len(a.Parameters)+len(a.Artifacts) == 0 {
		return nil
	}
	return a
}

func text(s string) *string { return &s }
