package spec

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// values checks a job's input values against the inputs of its component.
func (k *checker) values(at *place, j *Job) {
	c := j.Workflow.Component
	in, given, volumes := k.portsOf(c).in, map[string]bool{}, map[string]string{}
	for i, v := range j.InputValues {
		at := at.at("inputValues").nth(i)
		t, there := in[v.Target]
		if !there {
			k.find(at.at("target"), CodeValue, Warning, "the workflow has no input %q; the value is ignored", clip(v.Target))
			continue
		}
		if given[v.Target] {
			k.find(at.at("target"), CodeFed, Error, "the input %q is given twice", v.Target)
		}
		given[v.Target] = true
		switch list := v.Value.List != nil; {
		case t == ParameterArray && !list:
			k.find(at.at("value"), CodeValue, Error, "the input %q wants a list of texts", v.Target)
		case t != ParameterArray && list:
			k.find(at.at("value"), CodeValue, Error, "the input %q wants one text, not a list", v.Target)
		case t == EnvSecret && v.Value.Text == "":
			k.find(at.at("value"), CodeValue, Error, "name the secret that the input %q gets", v.Target)
		case t == VolumeType:
			k.volumeValue(at.at("value"), v, volumes)
		}
	}
	for i, d := range c.Inputs {
		switch {
		case given[d.Name]:
		case d.Type == Artifact:
			k.find(at.at("workflow").at("component").at("inputs").nth(i), CodeValue, Error,
				"the input %q is an artifact, and nothing can feed an artifact to a whole workflow: make it a parameter or a volume", d.Name)
		default:
			k.find(at.at("inputValues"), CodeMissing, Error, "the input %q (%s) has no value", d.Name, d.Type)
		}
	}
}

// volumeName is how Kubernetes names volumes.
var volumeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// volumeValue checks a volume. named are those of other inputs, by name: one name is one volume.
func (k *checker) volumeValue(at *place, v Value, named map[string]string) {
	if !json.Valid([]byte(v.Value.Text)) {
		k.find(at, CodeValue, Error, "the value of the volume %q must be a Kubernetes volume as JSON text", v.Target)
		return
	}
	volume, findings := ReadKubeVolume([]byte(v.Value.Text))
	for _, f := range findings {
		k.find(at, CodeValue, Error, "could not create the volume %q: %s", v.Target, f)
	}
	if len(findings) > 0 {
		return
	}
	if volume.Source == "" {
		k.find(at, CodeValue, Warning, "the volume %q has no source, so it is an empty folder", v.Target)
	}
	if !volumeName.MatchString(volume.Name) {
		k.find(at, CodeName, Error, "%q is no name for a volume: use at most 63 small letters, digits and -", clip(volume.Name))
	}
	text, err := encode(volume)
	if other, there := named[volume.Name]; err == nil && there && other != string(text) {
		k.find(at, CodeName, Error, "two different volumes have the name %q: rename one", volume.Name)
	}
	named[volume.Name] = string(text)
}

// InputVolumes are the volumes that a job names, by input.
func InputVolumes(j *Job) (map[string]KubeVolume, error) {
	volumes := map[string]KubeVolume{}
	for _, v := range j.InputValues {
		if d, ok := j.Workflow.Component.Input(v.Target); ok && d.Type == VolumeType {
			volume, findings := ReadKubeVolume([]byte(v.Value.Text))
			if len(findings) > 0 {
				return nil, fmt.Errorf("could not create the volume %q: %s", v.Target, findings)
			}
			volumes[v.Target] = volume
		}
	}
	return volumes, nil
}
