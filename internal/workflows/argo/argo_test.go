package argo

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"lodge/internal/workflows/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testCase is a file of testdata: a job, with the components that it refers to and its tags.
type testCase struct {
	Job        json.RawMessage
	Components []json.RawMessage
	Tags       []string
}

func load(t testing.TB, file string) (*spec.Job, *spec.Library, []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c testCase
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	job, findings := spec.ReadJob(c.Job)
	if len(findings) > 0 {
		t.Fatalf("%s:\n%s", file, findings)
	}
	byUID := map[uuid.UUID]map[int]*spec.Component{}
	for _, one := range c.Components {
		c, findings := spec.ReadComponent(one)
		if len(findings) > 0 {
			t.Fatalf("%s:\n%s", file, findings)
		}
		if byUID[c.UID] == nil {
			byUID[c.UID] = map[int]*spec.Component{}
		}
		byUID[c.UID][c.Version.Current] = c
		if newest := byUID[c.UID][0]; newest == nil || newest.Version.Current < c.Version.Current {
			byUID[c.UID][0] = c
		}
	}
	lib, err := spec.Gather(job.Workflow.Component, func(r spec.CRefVersion) (*spec.Component, error) { return byUID[r.UID][r.Version], nil })
	if err != nil {
		t.Fatal(err)
	}
	return job, lib, c.Tags
}

// TestGolden transpiles every case: twice the same bytes, those of the golden file, as Argo accepts them.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d cases: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			var texts [2][]byte
			for i := range texts {
				job, lib, tags := load(t, file)
				// The contract's first case has a top-level artifact, which is worth writing and no job can have.
				if wrong := spec.CheckJob(job, lib).KeepFromRunning(); len(wrong) > 0 && !strings.Contains(file, "a-brick") {
					t.Fatalf("not fit to run:\n%s", wrong)
				}
				w := transpile(t, job, lib, tags)
				var err error
				if texts[i], err = w.YAML(); err != nil {
					t.Fatal(err)
				}
				for _, p := range Check(w) {
					if !strings.Contains(p.Message, "inputs.artifacts.f was not supplied") {
						t.Errorf("%s", p)
					}
				}
				sameInBoth(t, w, texts[i])
			}
			if !bytes.Equal(texts[0], texts[1]) {
				t.Error("the same job gives other bytes")
			}
			compare(t, strings.TrimSuffix(file, ".json")+".golden.yaml", texts[0])
		})
	}
}

// transpile writes a job. A top-level artifact is left out of the values, as there can be none.
func transpile(t testing.TB, job *spec.Job, lib *spec.Library, tags []string) *Workflow {
	t.Helper()
	w, err := Transpile(job, lib, tags)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func compare(t *testing.T, golden string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got:\n%s", golden, got)
	}
}

// sameInBoth reads the YAML again and compares it with the JSON.
func sameInBoth(t *testing.T, w *Workflow, text []byte) {
	t.Helper()
	var fromYAML, fromJSON any
	if err := yaml.Unmarshal(text, &fromYAML); err != nil {
		t.Fatal(err)
	}
	raw, err := w.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &fromJSON); err != nil {
		t.Fatal(err)
	}
	one, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	other, err := json.Marshal(fromJSON)
	if err != nil {
		t.Fatal(err)
	}
	if string(one) != string(other) {
		t.Errorf("YAML and JSON differ:\n%s\n%s", one, other)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	job, lib, _ := load(t, "testdata/c-map.json")
	job.UID = uuid.MustParse("44763f88-7f51-11ec-a8a3-0242ac120002")
	w := transpile(t, job, lib, []string{"a", "b"})
	if w.Metadata.Name != job.UID.String() || w.Metadata.GenerateName != "" || w.Metadata.Annotations[TagsAnnotation] != "a;b" || w.Metadata.Namespace != "ws1" {
		t.Errorf("%+v", w.Metadata)
	}
	for name, want := range map[string]string{"My Flow!": "my-flow-", "": "workflow-", "ÄÖ": "workflow-", strings.Repeat("x", 99): strings.Repeat("x", 40) + "-"} {
		if got := generateName(name); got != want {
			t.Errorf("%q gives %q, not %q", name, got, want)
		}
	}
}

// TestAmbiguous quotes what an older reader of YAML would take for a truth or a number.
func TestAmbiguous(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"no": true, "Yes": true, "off": true, "": true, "1:20": true, "0o7": true, "1e3": true, ".5": true, "-1": true, "0x1F": true, ".inf": true, "2001-01-01": true,
		"none": false, "/tmp": false, "a1": false, "{{item}}": false, "--fast": false, "00000000-0000-4000-8000-000000000009": false, "1.2.3": false, "-x y": false,
	} {
		if got := ambiguous(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestCondition(t *testing.T) {
	t.Parallel()
	v := spec.Data{Name: "v", Type: spec.Parameter}
	for _, test := range []struct {
		e    spec.Expression
		want string
	}{
		{spec.Expression{Left: v, Operator: ">=", Right: spec.Literal("5")}, `{{inputs.parameters.v}} >= 5`},
		{spec.Expression{Left: v, Operator: "==", Right: spec.Literal("yes")}, `"{{inputs.parameters.v}}" == "yes"`},
		{spec.Expression{Left: spec.Literal(`a"b\`), Operator: "!=", Right: v}, `"a\"b\\" != "{{inputs.parameters.v}}"`},
		{spec.Expression{Left: v, Operator: "<", Right: v}, `{{inputs.parameters.v}} < {{inputs.parameters.v}}`},
	} {
		if got := Condition(test.e); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// TestRefuses transpiles what the checks before would have refused.
func TestRefuses(t *testing.T) {
	t.Parallel()
	uid := func(n int) string { return fmt.Sprintf(`"uid":"00000000-0000-4000-8000-%012d","type":"component"`, n) }
	brick := func(n int, more string) string {
		return `{` + uid(n) + more + `,"implementation":{"type":"brick","container":{"name":"c","image":"i"}}}`
	}
	graph := func(nodes, edges, inputs, more string) string {
		return `{` + uid(1) + more + `,"implementation":{"type":"graph","nodes":[` + nodes + `],"edges":[` + edges + `],"inputMappings":[` + inputs + `]}}`
	}
	in := func(t string) string { return `,"inputs":[{"name":"p","type":"` + t + `"}]` }
	edge := func(from, to string) string {
		return `{"source":{"node":"` + from + `","port":"o"},"target":{"node":"` + to + `","port":"p"}}`
	}
	mapped := `{"source":{"port":"p"},"target":{"node":"a","port":"p"}}`
	for name, test := range map[string]struct{ component, values, want string }{
		"no uid":                  {`{"type":"component","implementation":{"type":"any"}}`, ``, "is required to be unique and non-zero in transpilation"},
		"a placeholder":           {`{` + uid(1) + `,"implementation":{"type":"any"}}`, ``, "unrecognized implementation type"},
		"no secret":               {brick(1, in("env_secret")), ``, `missing secret "p"`},
		"a nested secret":         {graph(`{"id":"a","node":`+brick(2, in("env_secret"))+`}`, "", "", ""), ``, `missing secret "p"`},
		"no volume":               {`{` + uid(1) + in("volume") + `,"implementation":{"type":"brick","container":{"name":"c"},"args":[{"source":{"port":"p"},"target":{"type":"volume"}}]}}`, ``, "no such volume"},
		"an odd argument":         {`{` + uid(1) + in("volume") + `,"implementation":{"type":"brick","container":{"name":"c"},"args":[{"source":{"port":"p"}}]}}`, ``, "unrecognized argument target type"},
		"no JSON":                 {brick(1, in("volume")), `{"target":"p","value":"x"}`, "could not create the volume"},
		"an artifact":             {brick(1, in("artifact")), `{"target":"p","value":"x"}`, "a job cannot be given"},
		"no component":            {graph(`{"id":"a","node":"00000000-0000-4000-8000-000000000009"}`, "", "", ""), ``, "could not be found"},
		"nodes twice":             {graph(`{"id":"a","node":`+brick(2, "")+`},{"id":"a","node":`+brick(2, "")+`}`, "", "", ""), ``, "two nodes"},
		"an edge from nobody":     {graph(`{"id":"a","node":`+brick(2, in("volume"))+`}`, edge("b", "a"), "", ""), ``, `no node "b"`},
		"an edge to nobody":       {graph(`{"id":"a","node":`+brick(2, "")+`}`, edge("a", "b"), "", ""), ``, `no node "b"`},
		"an edge to no port":      {graph(`{"id":"a","node":`+brick(2, "")+`}`, edge("a", "a"), "", ""), ``, "unrecognized edge target-type"},
		"volumes in a circle":     {graph(`{"id":"a","node":`+brick(2, in("volume"))+`}`, edge("a", "a"), "", ""), ``, "waits for itself"},
		"a volume of nobody":      {graph(`{"id":"a","node":`+brick(2, in("volume"))+`},{"id":"b","node":`+brick(3, "")+`}`, edge("b", "a"), "", ""), ``, "hands on no volume"},
		"artifact onto parameter": {graph(`{"id":"a","node":`+brick(2, in("parameter"))+`}`, "", mapped, in("artifact")), ``, "unrecognized input mapping target type"},
		"a volume from itself": {
			`{` + uid(1) + `,"outputs":[{"name":"o","type":"volume"}],"implementation":{"type":"graph","nodes":[{"id":"b","node":` + brick(2, in("volume")) +
				`},{"id":"a","node":"00000000-0000-4000-8000-000000000001"}],"edges":[` + edge("a", "b") + `],"outputMappings":[{"source":{"node":"a","port":"o"},"target":{"port":"o"}}]}}`, ``, "comes from itself",
		},
		"in itself": {`{` + uid(1) + `,"implementation":{"type":"map","node":"00000000-0000-4000-8000-000000000001"}}`, ``, "contains itself"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job, findings := spec.ReadJob([]byte(`{"type":"job","workflow":{"type":"workflow","workspace":"w","component":` + test.component + `},"inputValues":[` + test.values + `]}`))
			if len(findings) > 0 {
				t.Fatal(findings)
			}
			c := job.Workflow.Component
			lib, err := spec.Gather(c, func(r spec.CRefVersion) (*spec.Component, error) {
				if r.UID == c.UID {
					return c, nil
				}
				return nil, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Transpile(job, lib, nil); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestCheck breaks a good Workflow in every way that Argo would refuse.
func TestCheck(t *testing.T) {
	t.Parallel()
	one := func(w *Workflow, name string) *Template {
		for _, t := range w.Spec.Templates {
			if strings.HasSuffix(t.Name, name) {
				return t
			}
		}
		panic(name)
	}
	for name, test := range map[string]struct {
		file   string
		change func(*Workflow)
		want   string
	}{
		"another kind":        {"b-graph", func(w *Workflow) { w.Kind = "CronWorkflow" }, "/kind: is not a Workflow"},
		"no name":             {"b-graph", func(w *Workflow) { w.Metadata.GenerateName = "" }, "name or generateName is required"},
		"a bad name":          {"b-graph", func(w *Workflow) { w.Metadata.Name = "A_b" }, "/metadata/name"},
		"a long name":         {"b-graph", func(w *Workflow) { w.Metadata.Name = strings.Repeat("a", 64) }, "/metadata/name"},
		"a bad namespace":     {"b-graph", func(w *Workflow) { w.Metadata.Namespace = "a.b" }, "/metadata/namespace"},
		"too large":           {"b-graph", func(w *Workflow) { *w.Spec.Arguments.Parameters[0].Value = strings.Repeat("x", MaxSize) }, "the cluster takes"},
		"volumes of a name":   {"f-volume", func(w *Workflow) { w.Spec.Volumes = append(w.Spec.Volumes, w.Spec.Volumes[0]) }, "/spec/volumes/1/name: the name \"vol\" is not unique"},
		"a volume's name":     {"f-volume", func(w *Workflow) { w.Spec.Volumes[0].Name = "A" }, "/spec/volumes/0/name"},
		"no volume":           {"f-volume", func(w *Workflow) { w.Spec.Volumes = nil }, `the volume "vol" is not defined`},
		"templates of a name": {"b-graph", func(w *Workflow) { w.Spec.Templates[2].Name = w.Spec.Templates[1].Name }, "/spec/templates/2/name"},
		"a template's name":   {"b-graph", func(w *Workflow) { w.Spec.Templates[2].Name = "a b" }, "/spec/templates/2/name"},
		"no entrypoint":       {"b-graph", func(w *Workflow) { w.Spec.Entrypoint = "x" }, "/spec/entrypoint"},
		"arguments of a name": {"b-graph", func(w *Workflow) {
			w.Spec.Arguments.Parameters = append(w.Spec.Arguments.Parameters, w.Spec.Arguments.Parameters[0])
		}, "is not unique"},
		"an argument's value": {"b-graph", func(w *Workflow) { w.Spec.Arguments.Parameters[0].Value = nil }, "value is required"},
		"no arguments":        {"b-graph", func(w *Workflow) { w.Spec.Arguments = nil }, "inputs.parameters.seed was not supplied"},
		"no list":             {"c-map", func(w *Workflow) { w.Spec.Arguments = nil }, "inputs.parameters.items was not supplied"},
		"both types":          {"b-graph", func(w *Workflow) { w.Spec.Templates[0].Container = Object{} }, "has one type"},
		"no type":             {"b-graph", func(w *Workflow) { w.Spec.Templates[0].DAG = nil }, "has one type"},
		"inputs of a name":    {"c-map", func(w *Workflow) { one(w, "1").Inputs.Parameters[1].Name = "k" }, "is not unique"},
		"an input's name":     {"c-map", func(w *Workflow) { one(w, "1").Inputs.Parameters[1].Name = "a.b" }, "is no name of letters"},
		"no image":            {"b-graph", func(w *Workflow) { one(w, "1").Container[1].Value = json.RawMessage(`""`) }, "image: may not be empty"},
		"an artifact's path":  {"b-graph", func(w *Workflow) { one(w, "2").Inputs.Artifacts[0].Path = "" }, "must be specified"},
		"a path twice": {"b-graph", func(w *Workflow) {
			a := one(w, "2").Inputs
			a.Artifacts = append(a.Artifacts, Artifact{Name: "z", Path: a.Artifacts[0].Path})
		}, "is mounted twice"},
		"an output's file": {"b-graph", func(w *Workflow) { one(w, "2").Outputs.Parameters[0].ValueFrom = nil }, "nothing writes r"},
		"an output's path": {"b-graph", func(w *Workflow) { one(w, "2").Outputs.Artifacts[0].Path = "" }, "nothing writes g"},
		"an unknown input": {"b-graph", func(w *Workflow) { one(w, "2").Inputs.Parameters[0].Name = "q" }, "failed to resolve {{inputs.parameters.a}}"},
		"bad mounts": {"f-volume", func(w *Workflow) {
			one(w, "1").Container = append(one(w, "1").Container[:1], Member{"volumeMounts", json.RawMessage(`1`)})
		}, "cannot be read"},
		"mounted twice": {"f-volume", func(w *Workflow) {
			one(w, "1").Container[3].Value = json.RawMessage(`[{"name":"vol","mountPath":"/x"},{"name":"vol","mountPath":"/x"}]`)
		}, "is mounted twice"},
		"no tasks":        {"b-graph", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks = nil }, "at least one task"},
		"tasks of a name": {"b-graph", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[1].Name = "A" }, "is not unique"},
		"a task's name":   {"b-graph", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[1].Name = "B_" }, "is no name"},
		"no dependency":   {"b-graph", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[1].Dependencies = []string{"X"} }, `the dependency "X" of "B" is not defined`},
		"a cycle":         {"b-graph", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[0].Dependencies = []string{"B"} }, "cycle detected"},
		"itself":          {"b-graph", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[0].Dependencies = []string{"A"} }, "cycle detected: A → A"},
		"does not wait":   {"b-graph", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[1].Dependencies = nil }, "B does not wait for A"},
		"no template":     {"b-graph", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[1].Template = "x" }, `the template "x" is not defined`},
		"no argument":     {"b-graph", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[1].Arguments = nil }, "inputs.parameters.a was not supplied"},
		"no artifact":     {"b-graph", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[1].Arguments = nil }, "inputs.artifacts.b was not supplied"},
		"no value":        {"b-graph", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[1].Arguments.Parameters[0].Value = nil }, "has no value"},
		"an unknown output": {"b-graph", func(w *Workflow) {
			w.Spec.Templates[0].DAG.Tasks[1].Arguments.Parameters[0].Value = text("{{tasks.A.outputs.parameters.zz}}")
		}, "failed to resolve"},
		"an unknown reference": {"b-graph", func(w *Workflow) {
			w.Spec.Templates[0].DAG.Tasks[1].Arguments.Parameters[0].Value = text("{{steps.A.x}}")
		}, "failed to resolve"},
		"an item of nothing":   {"c-map", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[0].WithParam = "" }, "failed to resolve {{item}}"},
		"an unknown list":      {"c-map", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[0].WithParam = "{{inputs.parameters.q}}" }, "/withParam: failed to resolve"},
		"an unknown condition": {"e-conditional", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[0].When = "{{inputs.parameters.q}}" }, "/when: failed to resolve"},
		"an output of nothing": {"b-graph", func(w *Workflow) { w.Spec.Templates[0].Outputs.Parameters[0].ValueFrom = nil }, "nothing feeds res"},
		"an artifact of none":  {"b-graph", func(w *Workflow) { w.Spec.Templates[0].Outputs.Artifacts[0].From = "" }, "nothing feeds file"},
		"an unknown source":    {"b-graph", func(w *Workflow) { w.Spec.Templates[0].Outputs.Artifacts[0].From = "{{tasks.X.outputs.artifacts.g}}" }, "failed to resolve"},
		"an expression":        {"e-conditional", func(w *Workflow) { one(w, "1").Outputs.Parameters[0].Name = "other" }, "failed to resolve tasks.nodeTrue.outputs.parameters.out"},
		"a fromExpression":     {"e-conditional", func(w *Workflow) { one(w, "2").Outputs.Artifacts[0].Name = "other" }, "failed to resolve tasks.nodeFalse.outputs.artifacts.art"},
		"recursion":            {"c-map", func(w *Workflow) { w.Spec.Templates[0].DAG.Tasks[0].Template = w.Spec.Entrypoint }, "runs itself"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job, lib, _ := load(t, "testdata/"+test.file+".json")
			w := transpile(t, job, lib, nil)
			test.change(w)
			found := Check(w)
			for _, p := range found {
				if strings.Contains(p.String(), test.want) {
					return
				}
			}
			t.Errorf("%q is not among %v", test.want, found)
		})
	}
}

// FuzzTranspile transpiles whatever can be read: nothing panics, and what passes the checks passes Argo's.
func FuzzTranspile(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		job, _, _ := load(f, file)
		text, err := spec.Encode(job)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		job, findings := spec.ReadJob(text)
		if len(findings) > 0 {
			return
		}
		c := job.Workflow.Component
		lib, err := spec.Gather(c, func(r spec.CRefVersion) (*spec.Component, error) {
			if r.UID == c.UID {
				return c, nil
			}
			return nil, nil
		})
		if err != nil {
			return
		}
		wrong := spec.CheckJob(job, lib).KeepFromRunning()
		w, err := Transpile(job, lib, nil)
		if len(wrong) > 0 {
			return
		}
		if err != nil {
			t.Fatalf("passes the checks, and yet: %v", err)
		}
		w.Metadata = Metadata{GenerateName: "x-"}
		for _, p := range Check(w) {
			if !strings.Contains(p.Message, "failed to resolve") {
				t.Fatalf("passes the checks, and Argo would refuse it: %s\n%s", p, text)
			}
		}
	})
}

func BenchmarkTranspile(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 5000} {
		b.Run(fmt.Sprint("wide", n), func(b *testing.B) { benchmark(b, chain(n, false)) })
	}
	b.Run("deep200", func(b *testing.B) { benchmark(b, chain(200, true)) })
}

func benchmark(b *testing.B, text string) {
	b.ReportAllocs()
	for b.Loop() {
		job, _ := spec.ReadJob([]byte(text))
		if wrong := spec.CheckJob(job, nil); len(wrong) > 0 {
			b.Fatal(wrong)
		}
		w, err := Transpile(job, nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := w.JSON(); err != nil {
			b.Fatal(err)
		}
	}
}

// chain is a job of n bricks in a row, or each in a graph of its own.
func chain(n int, deep bool) string {
	uid := func(i int) string {
		return fmt.Sprintf(`"uid":"00000000-0000-4000-8000-%012d","type":"component","inputs":[{"name":"p","type":"parameter"}],"outputs":[{"name":"o","type":"parameter"}]`, i)
	}
	brick := func(i int) string {
		return `{` + uid(i) + `,"implementation":{"type":"brick","container":{"name":"c","image":"i","command":["run"]},"args":[{"source":{"port":"p"},"target":{"type":"parameter"}}],"results":[{"source":{"file":"/o"},"target":{"port":"o"}}]}}`
	}
	var c string
	if deep {
		c = brick(0)
		for i := range n {
			c = `{` + uid(i+1) + `,"implementation":{"type":"graph","nodes":[{"id":"a","node":` + c + `}],"inputMappings":[{"source":{"port":"p"},"target":{"node":"a","port":"p"}}],"outputMappings":[{"source":{"node":"a","port":"o"},"target":{"port":"o"}}]}}`
		}
	} else {
		var nodes, edges []string
		for i := range n {
			nodes = append(nodes, fmt.Sprintf(`{"id":"n%d","node":%s}`, i, brick(i+1)))
			if i > 0 {
				edges = append(edges, fmt.Sprintf(`{"source":{"node":"n%d","port":"o"},"target":{"node":"n%d","port":"p"}}`, i-1, i))
			}
		}
		c = `{` + uid(0) + `,"implementation":{"type":"graph","nodes":[` + strings.Join(nodes, ",") + `],"edges":[` + strings.Join(edges, ",") +
			fmt.Sprintf(`],"inputMappings":[{"source":{"port":"p"},"target":{"node":"n0","port":"p"}}],"outputMappings":[{"source":{"node":"n%d","port":"o"},"target":{"port":"o"}}]}}`, n-1)
		c = strings.Replace(c, "00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-999999999999", 1)
	}
	if deep {
		c = strings.Replace(c, `"uid":"00000000-0000-4000-8000-000000000000"`, `"uid":"00000000-0000-4000-8000-999999999998"`, 1)
	}
	return `{"type":"job","workflow":{"type":"workflow","workspace":"w","component":` + c + `},"inputValues":[{"target":"p","value":"1"}]}`
}
