package kubernetes

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lodge/internal/workflows"
)

// bare takes from a Workflow what belongs to the object that it once was.
func bare(u *unstructured.Unstructured) {
	made := &unstructured.Unstructured{Object: map[string]any{}}
	made.SetName(u.GetName())
	made.SetNamespace(u.GetNamespace())
	made.SetLabels(u.GetLabels())
	made.SetAnnotations(u.GetAnnotations())
	u.Object["metadata"] = made.Object["metadata"]
}

// revive makes a Workflow that has ended one that goes on, as Argo's own retry does: what succeeded
// stays, graphs and groups that failed run again, and of everything else there is no trace. It gives the
// names of the pods that must be gone before.
func revive(u *unstructured.Unstructured) (pods []string, err error) {
	status, err := statusOf(u)
	if err != nil {
		return nil, err
	}
	nodes, kept := members(status, "nodes"), map[string]any{}
	for id := range nodes {
		n := members(nodes, id)
		switch text(n, "phase") {
		case "Succeeded", "Skipped":
			kept[id] = n
			continue
		}
		switch text(n, "type") {
		case "DAG", "TaskGroup", "Steps", "StepGroup":
			n["phase"], n["finishedAt"] = "Running", nil
			delete(n, "message")
			delete(n, "outputs")
			kept[id] = n
		case "Pod":
			pods = append(pods, podOf(u, id, n))
		}
	}
	for id := range kept {
		for _, list := range []string{"children", "outboundNodes"} {
			n := members(kept, id)
			if next, ok := n[list].([]any); ok {
				n[list] = slices.DeleteFunc(next, func(child any) bool {
					id, ok := child.(string)
					return !ok || kept[id] == nil
				})
			}
		}
	}
	status["nodes"] = kept
	status["phase"], status["finishedAt"] = string(workflows.Running), nil
	for _, past := range []string{"message", "outputs", "conditions", "progress"} {
		delete(status, past)
	}
	if len(nodes) == 0 {
		delete(u.Object, "status") // it never began
	} else {
		u.Object["status"] = status
	}
	if what := members(u.Object, "spec"); what != nil {
		delete(what, "shutdown")
		delete(what, "activeDeadlineSeconds") // it counts from the first beginning
	}
	labels := u.GetLabels()
	for _, past := range []string{labelCompleted, labelPhase, labelArchiving} {
		delete(labels, past)
	}
	u.SetLabels(labels)
	slices.Sort(pods)
	return pods, nil
}
