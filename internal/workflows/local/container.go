package local

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"lodge/internal/secret"
	"lodge/internal/workflows/argo"
	"lodge/internal/workflows/spec"
)

// kubeContainer is the part of a Kubernetes container that runs here. Names in it are those of the API.
type kubeContainer struct {
	Name, Image, WorkingDir string
	Command, Args           []string
	Env                     []struct {
		Name, Value string
		ValueFrom   *struct {
			SecretKeyRef *struct{ Name, Key string }
		}
	}
	EnvFrom      []json.RawMessage
	VolumeMounts []struct {
		Name, MountPath, SubPath string
		ReadOnly                 bool
	}
	Resources struct {
		Limits map[string]json.RawMessage
	}
	SecurityContext *struct {
		RunAsUser                *int64
		Privileged               *bool
		AllowPrivilegeEscalation *bool
	}
}

// network is the variable by which a component asks for the network.
const network = "LODGE_NETWORK"

// containerOf reads a template's container with its references filled in. What cannot be run here is
// said in plain words.
func containerOf(o argo.Object, look scope) (c Container, wrong []string, err error) {
	text, err := spec.Encode(o)
	if err != nil {
		return c, nil, err
	}
	var k kubeContainer
	if err := json.Unmarshal(text, &k); err != nil {
		return c, nil, fmt.Errorf("the container cannot be read: %w", err)
	}
	c = Container{Name: k.Name, Image: k.Image, WorkingDir: k.WorkingDir, Command: k.Command, Args: k.Args}
	for _, e := range k.Env {
		v := Variable{Name: e.Name, Value: secret.String(e.Value)}
		switch {
		case e.ValueFrom == nil:
		case e.ValueFrom.SecretKeyRef != nil && e.ValueFrom.SecretKeyRef.Name == argo.SecretName:
			v.Secret = e.ValueFrom.SecretKeyRef.Key
		default:
			wrong = append(wrong, fmt.Sprintf("the variable %s takes its value from the cluster", e.Name))
		}
		if e.Name == network && e.Value == "on" {
			c.Network = true
		}
		if e.Name == "" || strings.ContainsAny(e.Name, "=\x00") {
			wrong = append(wrong, fmt.Sprintf("%q is no name for a variable", shorten(e.Name)))
		}
		c.Env = append(c.Env, v)
	}
	if len(k.EnvFrom) > 0 {
		wrong = append(wrong, "envFrom takes variables from the cluster")
	}
	for _, m := range k.VolumeMounts {
		if !path.IsAbs(m.MountPath) || path.Clean(m.MountPath) == "/" || m.SubPath != "" && !inside(m.SubPath) {
			wrong = append(wrong, fmt.Sprintf("the volume %s cannot be mounted at %q", m.Name, m.MountPath))
		}
		c.Mounts = append(c.Mounts, Mount{Volume: m.Name, Path: path.Clean(m.MountPath), SubPath: m.SubPath, ReadOnly: m.ReadOnly})
	}
	if c.CPU, err = cpuOf(k.Resources.Limits["cpu"]); err != nil {
		wrong = append(wrong, "the limit of cpu: "+err.Error())
	}
	if c.Memory, err = memoryOf(k.Resources.Limits["memory"]); err != nil {
		wrong = append(wrong, "the limit of memory: "+err.Error())
	}
	if x := k.SecurityContext; x != nil {
		if x.RunAsUser != nil {
			c.User = *x.RunAsUser
		}
		if x.RunAsUser != nil && *x.RunAsUser == 0 || x.Privileged != nil && *x.Privileged || x.AllowPrivilegeEscalation != nil && *x.AllowPrivilegeEscalation {
			wrong = append(wrong, "it asks for privileges, which no step has here")
		}
	}
	return c, wrong, c.fill(look)
}

// inside says whether a relative path stays where it is.
func inside(name string) bool {
	clean := path.Clean(name)
	return !path.IsAbs(clean) && clean != ".." && !strings.HasPrefix(clean, "../")
}

// fill puts values into the container's texts.
func (c *Container) fill(look scope) (err error) {
	put := func(text string) string {
		if err != nil {
			return ""
		}
		text, err = fill(text, look)
		return text
	}
	for i := range c.Command {
		c.Command[i] = put(c.Command[i])
	}
	for i := range c.Args {
		c.Args[i] = put(c.Args[i])
	}
	for i, v := range c.Env {
		c.Env[i].Value = secret.String(put(v.Value.Reveal()))
	}
	c.WorkingDir, c.Image = put(c.WorkingDir), put(c.Image)
	return err
}

// quantity reads a number with one of Kubernetes' suffixes.
func quantity(raw json.RawMessage, suffixes map[string]float64) (float64, error) {
	if len(raw) == 0 {
		return 0, nil
	}
	text := strings.Trim(string(raw), `"`)
	end := strings.LastIndexAny(text, "0123456789.") + 1
	factor, known := suffixes[text[end:]]
	n, err := number(text[:end])
	if err != nil || !known || n < 0 {
		return 0, fmt.Errorf("%q is no quantity", shorten(text))
	}
	return n * factor, nil
}

func cpuOf(raw json.RawMessage) (float64, error) {
	return quantity(raw, map[string]float64{"": 1, "m": 1e-3})
}

func memoryOf(raw json.RawMessage) (int64, error) {
	n, err := quantity(raw, map[string]float64{
		"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "m": 1e-3,
	})
	return int64(min(n, 1<<62)), err
}
