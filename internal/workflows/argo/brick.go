package argo

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"lodge/internal/workflows/spec"
)

// brick writes a container. What the container says itself comes first, and what the component adds
// after it.
func (t *transpiler) brick(made *Template, c *spec.Component, i *spec.Brick, b binding) error {
	members, err := i.Container.Members()
	if err != nil {
		return fmt.Errorf("the container of %s: %w", c.UID, err)
	}
	args, mounts, err := arguments(c, i, b)
	if err != nil {
		return err
	}
	var env []any
	for _, d := range c.Inputs {
		if d.Type != spec.EnvSecret {
			continue
		}
		secret := b.secrets[d.Name]
		if secret == "" {
			return fmt.Errorf("missing secret %q for component %s", d.Name, c.UID)
		}
		env = append(env, envVar{d.Name, envSource{keyRef{SecretName, secret}}})
	}
	for name, more := range map[string][]any{"args": args, "env": env, "volumeMounts": mounts} {
		if err := appendMember(members, name, more); err != nil {
			return fmt.Errorf("the container of %s: %w", c.UID, err)
		}
	}
	made.Container = ordered(members)
	return results(made, c, i)
}

type (
	envVar struct {
		Name      string    `json:"name"`
		ValueFrom envSource `json:"valueFrom"`
	}
	envSource struct {
		SecretKeyRef keyRef `json:"secretKeyRef"`
	}
	keyRef struct {
		Name string `json:"name"`
		Key  string `json:"key"`
	}
	mount struct {
		Name      string `json:"name"`
		MountPath string `json:"mountPath"`
	}
)

// arguments are a brick's arguments and the mounts among them.
func arguments(c *spec.Component, i *spec.Brick, b binding) (args, mounts []any, err error) {
	for _, a := range i.Args {
		port, ok := a.Source.(spec.Port)
		if !ok {
			args = append(args, a.Source)
			continue
		}
		switch a.Target.Type {
		case spec.Parameter:
			args = append(args, a.Target.Prefix+"{{inputs.parameters."+port.Port+"}}"+a.Target.Suffix)
		case spec.Artifact:
			args = append(args, a.Target.Prefix+"{{inputs.artifacts."+port.Port+".path}}"+a.Target.Suffix)
		case spec.VolumeType:
			volume := b.volumes[port.Port]
			if volume == "" {
				return nil, nil, fmt.Errorf("no such volume %q for component %s", port.Port, c.UID)
			}
			mounts = append(mounts, mount{volume, spec.MountPath(port.Port, a.Target)})
		default:
			return nil, nil, fmt.Errorf("unrecognized argument target type %q in component %s", a.Target.Type, c.UID)
		}
	}
	return args, mounts, nil
}

// results writes where outputs come from.
func results(made *Template, c *spec.Component, i *spec.Brick) error {
	files := map[string]string{}
	for _, r := range i.Results {
		if f, ok := r.Source.(spec.FileResult); ok {
			files[r.Target.Port] = f.File
		}
	}
	for _, d := range c.Outputs {
		switch d.Type {
		case spec.Parameter, spec.ParameterArray:
			p := Parameter{Name: d.Name}
			if file := files[d.Name]; file != "" {
				p.ValueFrom = &ValueFrom{Path: file}
			}
			made.Outputs.Parameters = append(made.Outputs.Parameters, p)
		case spec.Artifact:
			made.Outputs.Artifacts = append(made.Outputs.Artifacts, Artifact{Name: d.Name, Path: files[d.Name]})
		case spec.EnvSecret, spec.VolumeType:
		}
	}
	return nil
}

// appendMember adds to a list that a container may have already.
func appendMember(members map[string]json.RawMessage, name string, more []any) error {
	if len(more) == 0 {
		return nil
	}
	var list []json.RawMessage
	if there := members[name]; there != nil {
		if err := json.Unmarshal(there, &list); err != nil {
			return err
		}
	}
	for _, x := range more {
		text, err := spec.Encode(x)
		if err != nil {
			return err
		}
		list = append(list, text)
	}
	text, err := spec.Encode(list)
	members[name] = text
	return err
}

// ordered puts what people look for first.
func ordered(members map[string]json.RawMessage) Object {
	var o Object
	first := []string{"name", "image", "command", "args", "env"}
	for _, name := range first {
		if v, there := members[name]; there {
			o = append(o, Member{name, v})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(first, name) {
			o = append(o, Member{name, members[name]})
		}
	}
	return o
}
