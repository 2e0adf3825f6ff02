package kubernetes

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lodge/internal/workflows"
	"lodge/internal/workflows/spec"
)

// stepContainer is the container of a pod that runs the step itself.
const stepContainer = "main"

// What Argo writes into a Workflow beside its status.
const (
	labelCompleted = "workflows.argoproj.io/completed"
	labelPhase     = "workflows.argoproj.io/phase"
	labelArchiving = "workflows.argoproj.io/workflow-archiving-status"
	notePodNames   = "workflows.argoproj.io/pod-name-format"
)

// seen is what a Workflow says of its job.
type seen struct {
	state workflows.State
	steps []step
}

// step is a node that is a pod.
type step struct {
	name, pod string
	// life tells a node's lives apart: one that is run again begins at another time.
	life         string
	begun, ended bool
	finished     time.Time
}

// read reads a Workflow. The object stays as it is: it is the cache's.
func read(u *unstructured.Unstructured) (seen, error) {
	var s seen
	status, err := statusOf(u)
	if err != nil {
		return s, err
	}
	s.state = workflows.State{
		Phase: phaseOf(status), Message: text(status, "message"), Started: stamp(status, "startedAt"), Finished: stamp(status, "finishedAt"),
	}
	nodes := members(status, "nodes")
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		if n := members(nodes, id); text(n, "type") == "Pod" {
			s.steps = append(s.steps, stepOf(u, id, n))
		}
	}
	if root := members(nodes, u.GetName()); s.state.Phase == workflows.Succeeded && root["outputs"] != nil {
		status["outputs"] = root["outputs"] // where readers look for what a job gives
	}
	shown := maps.Clone(u.Object)
	shown["status"] = status
	meta := maps.Clone(members(u.Object, "metadata"))
	delete(meta, "managedFields")
	shown["metadata"] = meta
	s.state.Object, err = spec.Encode(shown)
	return s, err
}

// phaseOf is where the job stands. A Workflow that no controller has looked at yet waits.
func phaseOf(status map[string]any) workflows.Phase {
	return workflows.Phase(cmp.Or(text(status, "phase"), string(workflows.Pending)))
}

func stepOf(u *unstructured.Unstructured, id string, n map[string]any) step {
	s := step{name: text(n, "name"), pod: podOf(u, id, n), life: id + "@" + text(n, "startedAt")}
	switch text(n, "phase") {
	case "Pending", "":
	case "Running":
		s.begun = true
	default:
		s.begun, s.ended = true, true
	}
	if at := stamp(n, "finishedAt"); at != nil {
		s.finished = *at
	}
	return s
}

// podOf is the name of a node's pod, as Argo makes it: of the template's name, too, unless the Workflow
// was run by one that did not do that yet.
func podOf(u *unstructured.Unstructured, id string, n map[string]any) string {
	workflow, name := u.GetName(), text(n, "name")
	if name == workflow || u.GetAnnotations()[notePodNames] == "v1" {
		return id
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // it never fails
	return fmt.Sprintf("%s-%s-%d", workflow, text(n, "templateName"), h.Sum32())
}

// statusOf is a Workflow's status, a copy at its top, with its nodes, which Argo packs when they are many.
func statusOf(u *unstructured.Unstructured) (map[string]any, error) {
	status := maps.Clone(members(u.Object, "status"))
	if status == nil {
		status = map[string]any{}
	}
	packed := text(status, "compressedNodes")
	if packed == "" {
		return status, nil
	}
	nodes, err := unpack(packed)
	if err != nil {
		return nil, fmt.Errorf("the packed nodes of %s cannot be read: %w", u.GetName(), err)
	}
	delete(status, "compressedNodes")
	status["nodes"] = nodes
	return status, nil
}

// maxUnpacked bounds what packed nodes may grow to.
const maxUnpacked = 64 << 20

func unpack(packed string) (nodes map[string]any, err error) {
	raw, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		return nil, err
	}
	zip, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(zip, maxUnpacked+1))
	if err == nil && len(plain) > maxUnpacked {
		err = errors.New("they are too large")
	}
	if err != nil {
		return nil, err
	}
	return nodes, json.Unmarshal(plain, &nodes)
}

// text is a member that is a text, and otherwise "".
func text(of map[string]any, name string) string {
	v, _ := of[name].(string)
	return v
}

// members are those of a member that is an object.
func members(of map[string]any, name string) map[string]any {
	v, _ := of[name].(map[string]any)
	return v
}

func stamp(of map[string]any, name string) *time.Time {
	at, err := time.Parse(time.RFC3339, text(of, name))
	if err != nil {
		return nil
	}
	return &at
}
