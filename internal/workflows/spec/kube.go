package spec

import (
	"encoding/json"
	"errors"
	"strconv"
)

// Container is a Kubernetes container. What Lodge works with is taken out of it; all of it is kept
// as it was written, also what Lodge does not know.
type Container struct {
	raw           json.RawMessage
	Name, Image   string
	Command, Args []string
	Env           []string // the names
	Mounts        []Mount
}

// Mount is where a container has a volume.
type Mount struct{ Name, Path string }

// MarshalJSON writes the container as it was read.
func (c Container) MarshalJSON() ([]byte, error) {
	if c.raw == nil {
		return encode(map[string]string{"name": c.Name, "image": c.Image})
	}
	return c.raw, nil
}

// Members are the container's members as they were written.
func (c Container) Members() (map[string]json.RawMessage, error) {
	text, err := c.MarshalJSON()
	if err != nil {
		return nil, err
	}
	members := map[string]json.RawMessage{}
	return members, json.Unmarshal(text, &members)
}

// KubeVolume is a Kubernetes volume, kept as it was written.
type KubeVolume struct {
	raw  json.RawMessage
	Name string
	// Source is what kind it is, such as "persistentVolumeClaim"; empty for none.
	Source string
}

// MarshalJSON writes the volume as it was read.
func (v KubeVolume) MarshalJSON() ([]byte, error) {
	if v.raw == nil {
		return encode(map[string]string{"name": v.Name})
	}
	return v.raw, nil
}

// UnmarshalJSON reads a volume that was written before.
func (v *KubeVolume) UnmarshalJSON(text []byte) error {
	read, findings := ReadKubeVolume(text)
	if len(findings) > 0 {
		return errors.New(findings.String())
	}
	*v = read
	return nil
}

// ReadKubeVolume reads a Kubernetes volume.
func ReadKubeVolume(text []byte) (KubeVolume, Findings) {
	return read(text, (*reader).kubeVolume)
}

// form is what a value of Kubernetes may look like. Objects may have members that are not in it:
// Kubernetes grows.
type form struct {
	kind     kind
	loose    bool // strings of Kubernetes that may be numbers as well
	integer  bool
	required []string
	members  map[string]*form
	every    *form // of an array's items, or of all of an object's members
}

func formOf(members map[string]*form, required ...string) *form {
	return &form{kind: isObject, members: members, required: required}
}

func formList(of *form) *form { return &form{kind: isArray, every: of} }

// forms are those of a container and of a volume.
type forms struct{ container, volume *form }

func kubeForms() forms {
	text, truth, number := &form{kind: isString}, &form{kind: isBool}, &form{kind: isNumber, integer: true}
	quantity, thing := &form{kind: isString, loose: true}, &form{kind: isObject}
	texts, quantities := formList(text), &form{kind: isObject, every: quantity}
	action := formOf(map[string]*form{
		"exec":      formOf(map[string]*form{"command": texts}),
		"httpGet":   formOf(map[string]*form{"host": text, "path": text, "port": quantity, "scheme": text, "httpHeaders": formList(formOf(map[string]*form{"name": text, "value": text}, "name", "value"))}, "port"),
		"tcpSocket": formOf(map[string]*form{"host": text, "port": quantity}, "port"),
	})
	probe := formOf(map[string]*form{
		"exec": action.members["exec"], "httpGet": action.members["httpGet"], "tcpSocket": action.members["tcpSocket"],
		"failureThreshold": number, "initialDelaySeconds": number, "periodSeconds": number, "successThreshold": number,
		"terminationGracePeriodSeconds": number, "timeoutSeconds": number,
	})
	source := func(required ...string) *form {
		return formOf(map[string]*form{"name": text, "key": text, "optional": truth}, required...)
	}
	container := formOf(map[string]*form{
		"name": text, "image": text, "imagePullPolicy": text, "workingDir": text, "command": texts, "args": texts,
		"stdin": truth, "stdinOnce": truth, "tty": truth, "terminationMessagePath": text, "terminationMessagePolicy": text, "restartPolicy": text,
		"env": formList(formOf(map[string]*form{"name": text, "value": text, "valueFrom": formOf(map[string]*form{
			"configMapKeyRef": source("key"), "secretKeyRef": source("key"),
			"fieldRef": formOf(map[string]*form{"apiVersion": text, "fieldPath": text}, "fieldPath"), "resourceFieldRef": thing,
		})}, "name")),
		"envFrom": formList(formOf(map[string]*form{"prefix": text, "configMapRef": source(), "secretRef": source()})),
		"ports": formList(formOf(map[string]*form{
			"containerPort": number, "hostIP": text, "hostPort": number, "name": text, "protocol": text,
		}, "containerPort")),
		"resources": formOf(map[string]*form{"limits": quantities, "requests": quantities, "claims": formList(thing)}),
		"volumeMounts": formList(formOf(map[string]*form{
			"name": text, "mountPath": text, "mountPropagation": text, "readOnly": truth, "subPath": text, "subPathExpr": text,
		}, "name", "mountPath")),
		"volumeDevices": formList(formOf(map[string]*form{"name": text, "devicePath": text}, "name", "devicePath")),
		"livenessProbe": probe, "readinessProbe": probe, "startupProbe": probe,
		"lifecycle": formOf(map[string]*form{"postStart": action, "preStop": action}),
		"securityContext": formOf(map[string]*form{
			"allowPrivilegeEscalation": truth, "privileged": truth, "procMount": text, "readOnlyRootFilesystem": truth,
			"runAsGroup": number, "runAsNonRoot": truth, "runAsUser": number,
			"capabilities":   formOf(map[string]*form{"add": texts, "drop": texts}),
			"seLinuxOptions": thing, "seccompProfile": thing, "windowsOptions": thing,
		}),
	}, "name")
	volume := formOf(map[string]*form{
		"name":                  text,
		"emptyDir":              formOf(map[string]*form{"medium": text, "sizeLimit": quantity}),
		"hostPath":              formOf(map[string]*form{"path": text, "type": text}, "path"),
		"persistentVolumeClaim": formOf(map[string]*form{"claimName": text, "readOnly": truth}, "claimName"),
		"nfs":                   formOf(map[string]*form{"server": text, "path": text, "readOnly": truth}, "server", "path"),
		"csi": formOf(map[string]*form{
			"driver": text, "fsType": text, "readOnly": truth, "nodePublishSecretRef": source(), "volumeAttributes": {kind: isObject, every: text},
		}, "driver"),
		"configMap": formOf(map[string]*form{"name": text, "defaultMode": number, "optional": truth, "items": formList(thing)}),
		"secret":    formOf(map[string]*form{"secretName": text, "defaultMode": number, "optional": truth, "items": formList(thing)}),
	}, "name")
	return forms{container, volume}
}

var kube = kubeForms()

// fits checks a value against a form.
func (r *reader) fits(at *place, v *value, f *form) {
	if f.loose && v.kind == isNumber {
		return
	}
	if !r.is(at, v, f.kind) {
		return
	}
	switch v.kind {
	case isNumber:
		if _, err := strconv.ParseInt(string(v.raw), 10, 64); f.integer && err != nil {
			r.wrong(at, "expected an integer, but got %s", clip(string(v.raw)))
		}
	case isArray:
		for i := range v.items {
			r.fits(at.nth(i), &v.items[i], f.every)
		}
	case isObject:
		r.fitMembers(at, v, f)
	default:
	}
}

func (r *reader) fitMembers(at *place, v *value, f *form) {
	r.names(at, v, false, nil)
	for _, name := range f.required {
		if v.get(name) == nil {
			r.wrong(at.at(name), "is required")
		}
	}
	for i := range v.members {
		m := &v.members[i]
		switch known := f.members[m.name]; {
		case known != nil:
			r.fits(at.at(m.name), &m.value, known)
		case f.every != nil:
			r.fits(at.at(m.name), &m.value, f.every)
		}
	}
}

func (r *reader) container(at *place, v *value) Container {
	r.fits(at, v, kube.container)
	c := Container{raw: json.RawMessage(v.raw)}
	if v.kind != isObject {
		return Container{}
	}
	c.Name, c.Image = v.get("name").string(), v.get("image").string()
	c.Command, c.Args = v.get("command").strings(), v.get("args").strings()
	for _, e := range v.get("env").elements() {
		c.Env = append(c.Env, e.get("name").string())
	}
	for _, m := range v.get("volumeMounts").elements() {
		c.Mounts = append(c.Mounts, Mount{m.get("name").string(), m.get("mountPath").string()})
	}
	return c
}

func (r *reader) kubeVolume(at *place, v *value) KubeVolume {
	r.fits(at, v, kube.volume)
	x := KubeVolume{raw: json.RawMessage(v.raw), Name: v.get("name").string()}
	for _, m := range v.members {
		if m.name == "name" {
			continue
		}
		if x.Source != "" {
			r.wrong(at.at(m.name), "a volume has one source, and this one has %s already", x.Source)
		}
		x.Source = m.name
	}
	return x
}

// string is a string's text; of anything else it is empty.
func (v *value) string() string {
	if v == nil || v.kind != isString {
		return ""
	}
	return v.text
}

func (v *value) elements() []value {
	if v == nil {
		return nil
	}
	return v.items
}

func (v *value) strings() []string {
	var all []string
	for i := range v.elements() {
		all = append(all, v.items[i].string())
	}
	return all
}
