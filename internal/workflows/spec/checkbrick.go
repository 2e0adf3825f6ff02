package spec

import (
	"path"
	"slices"
)

// MountPath is where a volume argument is mounted: prefix, port and suffix as one absolute path.
func MountPath(port string, t ArgTarget) string {
	return path.Join("/", t.Prefix, port, t.Suffix)
}

// brick checks a container with its arguments and results.
func (k *checker) brick(at *place, c *Component, b *Brick) {
	if b.Container.Image == "" {
		k.find(at.at("container").at("image"), CodeContainer, Unready, "the container has no image: name the one to run")
	}
	used := k.args(at, c, b)
	for i, d := range c.Inputs {
		in := at.parent.at("inputs")
		switch {
		case d.Type == EnvSecret && slices.Contains(b.Container.Env, d.Name):
			k.find(in.nth(i).at("name"), CodeName, Error, "the secret %q would be an environment variable that the container sets already: rename one", d.Name)
		case d.Type == EnvSecret || used[d.Name]:
		case d.Type == Artifact:
			k.find(in.nth(i), CodeMissing, Warning, "no argument names the input %q; the container finds it at /artifacts/%s", d.Name, d.Name)
		case d.Type == VolumeType && k.handedOn(b, d.Name):
		default:
			k.find(in.nth(i), CodeMissing, Warning, "no argument uses the input %q", d.Name)
		}
	}
	k.results(at, c, b)
}

func (k *checker) handedOn(b *Brick, input string) bool {
	return slices.ContainsFunc(b.Results, func(r Result) bool { return r.Source == VolumeResult{input} })
}

// args checks arguments, and says which inputs they use.
func (k *checker) args(at *place, c *Component, b *Brick) map[string]bool {
	used, mounts := map[string]bool{}, map[string]string{}
	for _, m := range b.Container.Mounts {
		mounts[path.Clean(m.Path)] = "the container itself"
	}
	in := k.portsOf(c).in
	for i, a := range b.Args {
		at := at.at("args").nth(i)
		port, isPort := a.Source.(Port)
		if !isPort {
			continue
		}
		if port.Node != "" {
			k.find(at.at("source").at("node"), CodePort, Error, "an argument comes from the component's own inputs: leave node out")
		}
		given, there := in[port.Port]
		if !there {
			k.find(at.at("source").at("port"), CodePort, Error, "there is no input %q", port.Port)
			continue
		}
		used[port.Port] = true
		switch wanted := a.Target.Type; {
		case wanted != Parameter && wanted != Artifact && wanted != VolumeType:
			k.find(at.at("target").at("type"), CodeType, Error, "unrecognized argument target type %q: choose parameter, artifact or volume", clip(string(wanted)))
		case wanted != given && (wanted != Parameter || given != ParameterArray):
			k.find(at.at("target").at("type"), CodeType, Error, "the input %q is of type %s, so it cannot be an argument of type %s", port.Port, given, wanted)
		case wanted == VolumeType:
			where := MountPath(port.Port, a.Target)
			if first, there := mounts[where]; there {
				k.find(at, CodeName, Error, "%s is mounted twice, by %s and by the input %q", where, first, port.Port)
			}
			mounts[where] = "the input \"" + port.Port + "\""
		}
	}
	return used
}

// results checks where outputs come from.
func (k *checker) results(at *place, c *Component, b *Brick) {
	p, f := k.portsOf(c), k.feeds()
	for i, r := range b.Results {
		at := at.at("results").nth(i)
		if r.Target.Node != "" {
			k.find(at.at("target").at("node"), CodePort, Error, "a result goes to the component's own outputs: leave node out")
		}
		given, there := p.out[r.Target.Port]
		if !there {
			k.find(at.at("target").at("port"), CodePort, Error, "there is no output %q", r.Target.Port)
			continue
		}
		switch s := r.Source.(type) {
		case Literal:
			k.find(at.at("source"), CodePort, Warning, "a text has no effect here: name a file or a volume")
			continue
		case FileResult:
			f.feed(at, "", r.Target.Port, "the file "+s.File)
			if given != Parameter && given != ParameterArray && given != Artifact {
				k.find(at, CodeType, Error, "a file cannot be the output %q of type %s", r.Target.Port, given)
			}
			if !path.IsAbs(s.File) {
				k.find(at.at("source").at("file"), CodeContainer, Error, "%q is no absolute path", clip(s.File))
			}
		case VolumeResult:
			f.feed(at, "", r.Target.Port, "the volume "+s.Volume)
			if p.in[s.Volume] != VolumeType {
				k.find(at.at("source").at("volume"), CodePort, Error, "there is no input %q of type volume", s.Volume)
			}
			if given != VolumeType {
				k.find(at, CodeType, Error, "a volume cannot be the output %q of type %s", r.Target.Port, given)
			}
		}
	}
	k.unfed(at, c, f)
}

// unfed finds outputs that nothing feeds.
func (k *checker) unfed(at *place, c *Component, f feeds) {
	for i, d := range c.Outputs {
		if !f.fed("", d.Name) {
			k.find(at.parent.at("outputs").nth(i), CodeMissing, Error, "nothing feeds the output %q", d.Name)
		}
	}
}
