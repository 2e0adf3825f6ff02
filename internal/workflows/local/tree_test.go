package local

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lodge/internal/workflows"
	"lodge/internal/workflows/argo"
	"lodge/internal/workflows/spec"
)

// lists collects which outputs of which components are lists, wherever in a document they stand.
func lists(doc any, into map[string]bool) {
	switch v := doc.(type) {
	case []any:
		for _, one := range v {
			lists(one, into)
		}
	case map[string]any:
		uid, _ := v["uid"].(string)
		outputs, _ := v["outputs"].([]any)
		for _, o := range outputs {
			d, _ := o.(map[string]any)
			name, _ := d["name"].(string)
			into[uid+"."+name] = d["type"] == "parameter_array"
		}
		for _, one := range v {
			lists(one, into)
		}
	}
}

// grow plays a job whose steps all succeed, until nothing more begins. A list has two elements.
func grow(t *testing.T, tr *tree, isList map[string]bool) (steps int) {
	t.Helper()
	for ready := tr.take(); len(ready) > 0; ready = tr.take() {
		for _, n := range ready {
			if steps++; steps > 10_000 {
				t.Fatal("it does not end")
			}
			if _, wrong, err := containerOf(n.template.Container, tr.inner(n)); err != nil {
				t.Fatalf("%s: %v %v", n.name, wrong, err)
			}
			if n.template.Outputs != nil {
				for _, p := range n.template.Outputs.Parameters {
					n.out.params[p.Name] = "5"
					if isList[n.template.Name[:36]+"."+p.Name] {
						n.out.params[p.Name] = `["5","6"]`
					}
				}
				for _, a := range n.template.Outputs.Artifacts {
					n.out.files[a.Name] = file{Key: n.key() + "/" + a.Name, Name: "f"}
				}
			}
			tr.at = tr.at.Add(time.Second)
			tr.end(n, workflows.Succeeded, "")
		}
	}
	return steps
}

// TestEveryGolden plays every case that the transpiler is held to, to its end: whatever Argo is given
// can be run here, with all its outputs.
func TestEveryGolden(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("../argo/testdata/*.json")
	if err != nil || len(cases) < 46 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
			t.Parallel()
			w, isList := transpiled(t, path)
			if strings.HasSuffix(path, "graph-text-as-list.json") {
				// A text is gone through as a list there.
				for port := range isList {
					isList[port] = true
				}
			}
			tr, err := plant(w, 1000, time.Unix(0, 0))
			if err != nil {
				t.Fatal(err)
			}
			steps := grow(t, tr, isList)
			if tr.root.phase != workflows.Succeeded || steps == 0 {
				t.Fatalf("%s after %d steps: %s", tr.root.phase, steps, tr.root.message)
			}
			if out := tr.root.template.Outputs; out != nil {
				for _, p := range out.Parameters {
					if _, there := tr.root.out.params[p.Name]; !there {
						t.Errorf("no output %s", p.Name)
					}
				}
			}
			for _, n := range tr.nodes {
				if !over(n.phase) {
					t.Errorf("%s is %s", n.name, n.phase)
				}
			}
			// The same again, as after a restart, gives the same nodes.
			second, err := plant(w, 1000, time.Unix(0, 0))
			if err != nil {
				t.Fatal(err)
			}
			grow(t, second, isList)
			if len(second.nodes) != len(tr.nodes) {
				t.Errorf("%d nodes, and then %d", len(tr.nodes), len(second.nodes))
			}
		})
	}
}

// transpiled reads a case of package argo.
func transpiled(t *testing.T, path string) (*argo.Workflow, map[string]bool) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Job        json.RawMessage   `json:"job"`
		Components []json.RawMessage `json:"components"`
		Tags       []string          `json:"tags"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	var all []*spec.Component
	for _, one := range c.Components {
		read, findings := spec.ReadComponent(one)
		if len(findings) > 0 {
			t.Fatal(findings)
		}
		all = append(all, read)
	}
	j, findings := spec.ReadJob(c.Job)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	lib, err := spec.Gather(j.Workflow.Component, spec.Shelf(all...))
	if err != nil {
		t.Fatal(err)
	}
	w, err := argo.Transpile(j, lib, c.Tags)
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	isList := map[string]bool{}
	lists(doc, isList)
	return w, isList
}
