package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"lodge/tools/kube/internal/step"
)

// world plays the cluster: a pod ends in the round after the one in which it was created, with the
// parameters that give says.
type world struct {
	pods map[string]*corev1.Pod
	give func(p *corev1.Pod) (map[string]string, int32)
}

func (w *world) pod(name string) (*corev1.Pod, error) { return w.pods[name], nil }

func (w *world) result(p *corev1.Pod) (*step.Result, error) {
	out, _ := w.give(p)
	return &step.Result{Parameters: out}, nil
}

func (w *world) end(p *corev1.Pod) {
	_, code := w.give(p)
	p.Status.Phase = corev1.PodSucceeded
	if code != 0 {
		p.Status.Phase = corev1.PodFailed
	}
	p.Spec.NodeName = "n"
	p.Status.ContainerStatuses = []corev1.ContainerStatus{
		{Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error"}}},
	}
}

// echo gives the first argument for every parameter.
func echo(p *corev1.Pod) (map[string]string, int32) {
	var plan step.Plan
	if err := json.Unmarshal([]byte(p.Spec.InitContainers[0].Env[0].Value), &plan); err != nil {
		return nil, 1
	}
	out := map[string]string{}
	for _, f := range plan.Parameters {
		out[f.Name] = strings.Join(p.Spec.Containers[1].Args, ",")
	}
	return out, 0
}

// object reads a workflow, with what the API server would add.
func object(t *testing.T, text []byte) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &o.Object); err != nil {
		t.Fatal(err)
	}
	o.SetName("w")
	o.SetUID("u")
	return o
}

// play works on a workflow to its end. Each round begins with nothing but the object and the pods, as
// after a restart.
func play(t *testing.T, o *unstructured.Unstructured, w *world, between func(round int, o *unstructured.Unstructured)) *workflow {
	t.Helper()
	if w.pods == nil {
		w.pods = map[string]*corev1.Pod{}
	}
	for round := range 20 {
		read, err := read(o)
		if err != nil {
			t.Fatal(err)
		}
		op := &operation{workflow: read, now: metav1.NewTime(time.Unix(int64(1000+round), 0)), pods: w, store: "/store"}
		if err := op.run(); err != nil {
			t.Fatal(err)
		}
		for _, p := range w.pods {
			if p.Status.Phase == "" {
				w.end(p)
			}
		}
		for _, p := range op.create {
			if w.pods[p.Name] != nil {
				t.Fatalf("round %d creates %s again", round, p.Name)
			}
			w.pods[p.Name] = p
		}
		if o, err = read.written(); err != nil {
			t.Fatal(err)
		}
		if read.status.FinishedAt != nil {
			return read
		}
		if between != nil {
			between(round, o)
		}
	}
	t.Fatalf("no end: %v", phases(o))
	return nil
}

func phases(o *unstructured.Unstructured) string {
	nodes, _, _ := unstructured.NestedMap(o.Object, "status", "nodes")
	var all []string
	for _, n := range nodes {
		m := n.(map[string]any)
		all = append(all, strings.TrimPrefix(m["name"].(string), "w")+" "+m["phase"].(string))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func golden(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "test", "kube", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return object(t, text)
}

func written(t *testing.T, w *workflow) *unstructured.Unstructured {
	t.Helper()
	o, err := w.written()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestFailureStopsWhatIsNotBegun(t *testing.T) {
	t.Parallel()
	w := &world{give: func(p *corev1.Pod) (map[string]string, int32) {
		out, code := echo(p)
		if strings.Contains(p.Annotations[noteNodeName], ".A") {
			code = 3
		}
		return out, code
	}}
	got := play(t, golden(t, "b-graph.yaml"), w, nil)
	if s := got.status; s.Phase != failed || s.Message != "main: Error (exit code 3)" {
		t.Errorf("got %s %q", s.Phase, s.Message)
	}
	if got := phases(written(t, got)); got != " Failed, .A Failed, .B Omitted" {
		t.Errorf("got %s", got)
	}
}

func TestLabelsAtTheEnd(t *testing.T) {
	t.Parallel()
	o := written(t, play(t, golden(t, "c-map.yaml"), &world{give: echo}, nil))
	want := map[string]string{labelCompleted: "true", labelPhase: succeeded}
	if got := o.GetLabels(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	out, _, _ := unstructured.NestedSlice(o.Object, "status", "nodes", "w", "outputs", "parameters")
	if value := fmt.Sprint(out[0].(map[string]any)["value"]); value != `["6,A","6,B"]` {
		t.Errorf("got %s", value)
	}
}

func TestPodDeleted(t *testing.T) {
	t.Parallel()
	w := &world{give: echo}
	got := play(t, golden(t, "b-graph.yaml"), w, func(round int, _ *unstructured.Unstructured) {
		if round == 0 {
			clear(w.pods)
		}
	})
	if s := got.status; s.Phase != errored || s.Message != "pod deleted" {
		t.Errorf("got %s %q", s.Phase, s.Message)
	}
}

// A finished node is not looked at again: its pod may be gone.
func TestPodDeletedAfterItsEnd(t *testing.T) {
	t.Parallel()
	w := &world{give: echo}
	got := play(t, golden(t, "b-graph.yaml"), w, func(_ int, o *unstructured.Unstructured) {
		for name, p := range w.pods {
			if strings.Contains(phases(o), ".A Succeeded") && strings.HasSuffix(p.Annotations[noteNodeName], ".A") {
				delete(w.pods, name)
			}
		}
	})
	if got.status.Phase != succeeded {
		t.Errorf("got %s %q", got.status.Phase, got.status.Message)
	}
}

func TestShutdownBeginsNothing(t *testing.T) {
	t.Parallel()
	w := &world{give: echo}
	got := play(t, golden(t, "b-graph.yaml"), w, func(_ int, o *unstructured.Unstructured) {
		if err := unstructured.SetNestedField(o.Object, "Terminate", "spec", "shutdown"); err != nil {
			t.Error(err)
		}
	})
	if s := got.status; s.Phase != failed || s.Message != "Stopped with strategy 'Terminate'" {
		t.Errorf("got %s %q", s.Phase, s.Message)
	}
	if len(w.pods) != 1 {
		t.Errorf("%d pods were made", len(w.pods))
	}
}

func TestEmptyListIsSkipped(t *testing.T) {
	t.Parallel()
	o := golden(t, "c-map.yaml")
	text, err := json.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	got := play(t, object(t, []byte(strings.Replace(string(text), `[\"A\",\"B\"]`, `[]`, 1))), &world{give: echo}, nil)
	if got, want := phases(written(t, got)), " Succeeded, .mapnode Skipped"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	if w, err := read(object(t, []byte("{spec: {entrypoint: a, hooks: {}}}"))); err == nil || w == nil {
		t.Errorf("got %v (%v), want the workflow and an error", w, err)
	}
	if _, err := read(object(t, []byte("{status: {nodes: 5}}"))); err == nil {
		t.Error("a status of another kind was read")
	}
}

func TestPodOfAStep(t *testing.T) {
	t.Parallel()
	w := &world{give: echo}
	play(t, golden(t, "b-graph.yaml"), w, nil)
	looked := 0
	for _, p := range w.pods {
		if !strings.HasSuffix(p.Annotations[noteNodeName], ".B") {
			continue
		}
		looked++
		main := p.Spec.Containers[1]
		if want := []string{step.Program, "run", "--", "run"}; !slices.Equal(main.Command, want) {
			t.Errorf("got %q, want %q", main.Command, want)
		}
		if want := []string{"1", "/artifacts/b"}; !slices.Equal(main.Args, want) {
			t.Errorf("got %q, want %q", main.Args, want)
		}
		if o := p.OwnerReferences; len(o) != 1 || o[0].Kind != "Workflow" || o[0].UID != "u" {
			t.Errorf("got %v", o)
		}
	}
	if looked != 1 {
		t.Errorf("B had %d pods", looked)
	}
}
