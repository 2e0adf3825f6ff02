//go:build kube

package kube

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStandInRunsAGraph(t *testing.T) {
	t.Parallel()
	w := submit(t, admin(t).namespace(), "b-graph", map[string]string{"seed": "7"})
	s := w.end()
	w.ended(s, "Succeeded", "")
	equal(t, "nodes", s.phases(), " Succeeded, .A Succeeded, .B Succeeded")
	equal(t, "progress", s.Status.Progress, "2/2")

	root, a, b := s.Status.Nodes[w.name], s.find("A"), s.find("B")
	equal(t, "kind of the root", root.Type, "DAG")
	equal(t, "kind of A", a.Type, "Pod")
	equal(t, "what A is in", a.BoundaryID, w.name)
	equal(t, "children of the root", strings.Join(root.Children, ","), a.ID)
	equal(t, "children of A", strings.Join(a.Children, ","), b.ID)
	equal(t, "input of A", a.Inputs.parameter("x"), "7")
	equal(t, "exit code of A", a.Outputs.ExitCode, "0")
	equal(t, "output of A", a.Outputs.parameter("v"), "7")
	// B was given A's parameter and the content of A's artifact.
	equal(t, "output of B", b.Outputs.parameter("r"), "7,7\n")
	equal(t, "output of the workflow", root.Outputs.parameter("res"), "7,7\n")
	equal(t, "artifact of the workflow", artifact(t, root.Outputs.Artifacts[0].S3.Key), "7,7\n\n")

	p := w.pods()[".A"]
	if !strings.HasPrefix(p.Metadata.Name, w.name+"-"+a.TemplateName+"-") || !strings.HasPrefix(a.ID, w.name+"-") {
		t.Errorf("the pod is %s and its node %s", p.Metadata.Name, a.ID)
	}
	equal(t, "init containers", p.Spec.InitContainers[0].Name, "init")
	equal(t, "containers", p.Spec.Containers[0].Name+","+p.Spec.Containers[1].Name, "wait,main")
	log := w.log(w.namespace, p.Metadata.Name, "main")
	contains(t, "log of A", log, "run 7 as 0 with PW=secret of KEY\n")
	contains(t, "log of A", log, "argo=true\n")
}

func TestStandInTellsAFailure(t *testing.T) {
	t.Parallel()
	w := submit(t, admin(t).namespace(), "b-graph", map[string]string{"seed": "exit=3"})
	s := w.end()
	w.ended(s, "Failed", "main: Error (exit code 3)")
	equal(t, "nodes", s.phases(), " Failed, .A Failed, .B Omitted")
	equal(t, "exit code", s.find("A").Outputs.ExitCode, "3")
	equal(t, "message", s.find("A").Message, "main: Error (exit code 3)")
	contains(t, "log", w.log(w.namespace, w.pods()[".A"].Metadata.Name, "main"), "run exit=3 as 0")
}

func TestStandInRunsAMap(t *testing.T) {
	t.Parallel()
	w := submit(t, admin(t).namespace(), "c-map", map[string]string{"k": "6", "items": `["A","B","c d"]`})
	s := w.end()
	w.ended(s, "Succeeded", "")
	equal(t, "nodes", s.phases(), " Succeeded, .mapnode Succeeded, .mapnode(0:A) Succeeded, .mapnode(1:B) Succeeded, .mapnode(2:c d) Succeeded")
	equal(t, "kind", s.find("mapnode").Type, "TaskGroup")
	equal(t, "children", len(s.find("mapnode").Children), 3)
	equal(t, "all outputs", s.Status.Nodes[w.name].Outputs.parameter("all"), `["6,A","6,B","6,c d"]`)
}

func TestStandInChoosesABranch(t *testing.T) {
	t.Parallel()
	ns := admin(t).namespace()
	for _, c := range []struct{ v, phases, message string }{
		{"7", " Succeeded, .nodeFalse Skipped, .nodeTrue Succeeded", "when '!(7 >= 5)' evaluated false"},
		{"4", " Succeeded, .nodeFalse Succeeded, .nodeTrue Skipped", "when '4 >= 5' evaluated false"},
	} {
		w := submit(t, ns, "e-conditional", map[string]string{"v": c.v})
		s := w.end()
		w.ended(s, "Succeeded", "")
		equal(t, "nodes", s.phases(), c.phases)
		equal(t, "pods", len(w.pods()), 1)
		root := s.Status.Nodes[w.name]
		equal(t, "output", root.Outputs.parameter("o"), c.v)
		equal(t, "artifact", artifact(t, root.Outputs.Artifacts[0].S3.Key), c.v+"\n")
		for _, n := range s.Status.Nodes {
			if n.Phase == "Skipped" {
				equal(t, "kind", n.Type, "Skipped")
				equal(t, "message", n.Message, c.message)
			}
		}
	}
}

func TestStandInNestsAConditionalInAMap(t *testing.T) {
	t.Parallel()
	w := submit(t, admin(t).namespace(), "if-in-map", map[string]string{"l": `["1","9"]`})
	s := w.end()
	w.ended(s, "Succeeded", "")
	equal(t, "nodes", s.phases(), " Succeeded, .mapnode Succeeded, "+
		".mapnode(0:1) Succeeded, .mapnode(0:1).nodeFalse Succeeded, .mapnode(0:1).nodeTrue Skipped, "+
		".mapnode(1:9) Succeeded, .mapnode(1:9).nodeFalse Skipped, .mapnode(1:9).nodeTrue Succeeded")
	equal(t, "outputs", s.Status.Nodes[w.name].Outputs.parameter("r"), `["1","9"]`)
}

func TestStandInMountsAVolume(t *testing.T) {
	t.Parallel()
	c := admin(t)
	ns := c.namespace()
	c.do(http.MethodPost, "/api/v1/namespaces/"+ns+"/persistentvolumeclaims",
		"{metadata: {name: pvc1}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}", nil)
	w := submit(t, ns, "f-volume", nil)
	s := w.end()
	w.ended(s, "Succeeded", "")
	pods := w.pods()
	contains(t, "A", c.log(ns, pods[".A"].Metadata.Name, "main"), `lines before: ""`)
	contains(t, "q in B", c.log(ns, pods[".B.q"].Metadata.Name, "main"), `lines before: "/mnt/in/sub\n"`)
	contains(t, "C", c.log(ns, pods[".C"].Metadata.Name, "main"), `lines before: "/mnt/in/sub\n/data/i\n"`)
	// What comes after a nested graph is the child of the last node in it.
	if q := s.find("q"); !slices.Contains(q.Children, s.find("C").ID) {
		t.Errorf("the children of q are %v", q.Children)
	}
}

func TestStandInTerminates(t *testing.T) {
	t.Parallel()
	w := submit(t, admin(t).namespace(), "b-graph", map[string]string{"seed": "pause=600"})
	w.begun("A")
	began := time.Now()
	w.do(http.MethodPatch, w.path(), map[string]any{"spec": map[string]any{"shutdown": "Terminate"}}, nil)
	s := w.end()
	t.Logf("from the patch to the end: %s", time.Since(began).Round(100*time.Millisecond))
	w.ended(s, "Failed", "Stopped with strategy 'Terminate'")
	equal(t, "A", s.find("A").Phase, "Failed")
	equal(t, "B", s.find("B").Phase, "Omitted")
	p := w.pods()[".A"]
	equal(t, "the pod", p.Status.Phase, "Failed")
	contains(t, "the log, which stays", w.log(w.namespace, p.Metadata.Name, "main"), "run pause=600")
}

// Deleting a workflow deletes its pods: Kubernetes' own garbage collector does it.
func TestStandInLeavesPodsToTheCollector(t *testing.T) {
	t.Parallel()
	w := submit(t, admin(t).namespace(), "c-map", nil)
	w.end()
	equal(t, "pods", len(w.pods()), 2)
	w.do(http.MethodDelete, w.path(), nil, nil)
	eventually(t, "the end of the pods", func() bool { return len(w.pods()) == 0 })
}

// What the stand-in does not know it refuses, or a test could pass without having tested.
func TestStandInRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	c := admin(t)
	ns := c.namespace()
	for spec, message := range map[string]string{
		"{entrypoint: a, retryStrategy: {limit: 3}, templates: []}":                                                   `unknown field "retryStrategy"`,
		"{entrypoint: a, templates: [{name: a, container: {image: img}}]}":                                            "run an image's own command",
		"{entrypoint: a, templates: [{name: a, inputs: {parameters: [{name: p}]}, container: {image: img}}]}":         "inputs.parameters.p was not supplied",
		"{entrypoint: b, templates: [{name: a, container: {image: img, command: [run]}}]}":                            "template b undefined",
		"{entrypoint: a, templates: [{name: a, dag: {tasks: [{name: t, template: a, withParam: 'no', when: 'x'}]}}]}": "could not be parsed as a JSON list",
	} {
		var made object
		c.do(http.MethodPost, "/apis/argoproj.io/v1alpha1/namespaces/"+ns+"/workflows",
			"{apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {generateName: odd-}, spec: "+spec+"}", &made)
		s := workflow{c, ns, made.Metadata.Name}.end()
		if s.Status.Phase == "Succeeded" {
			t.Errorf("%s succeeded", spec)
		}
		contains(t, spec, s.Status.Message, message)
	}
}
