//go:build kube

package kube

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// workflow is one that runs.
type workflow struct {
	caller
	namespace, name string
}

// state is what can be seen of it.
type state struct {
	object
	Status struct {
		Phase      string          `json:"phase"`
		Message    string          `json:"message"`
		StartedAt  time.Time       `json:"startedAt"`
		FinishedAt time.Time       `json:"finishedAt"`
		Progress   string          `json:"progress"`
		Nodes      map[string]node `json:"nodes"`
	} `json:"status"`
}

type node struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	DisplayName   string     `json:"displayName"`
	Type          string     `json:"type"`
	Phase         string     `json:"phase"`
	Message       string     `json:"message"`
	TemplateName  string     `json:"templateName"`
	TemplateScope string     `json:"templateScope"`
	BoundaryID    string     `json:"boundaryID"`
	Children      []string   `json:"children"`
	StartedAt     time.Time  `json:"startedAt"`
	FinishedAt    *time.Time `json:"finishedAt"`
	Progress      string     `json:"progress"`
	HostNodeName  string     `json:"hostNodeName"`
	Inputs        values     `json:"inputs"`
	Outputs       values     `json:"outputs"`
}

type values struct {
	ExitCode   string `json:"exitCode"`
	Parameters []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"parameters"`
	Artifacts []struct {
		Name string `json:"name"`
		S3   struct {
			Key string `json:"key"`
		} `json:"s3"`
	} `json:"artifacts"`
}

func (v values) parameter(name string) string {
	for _, p := range v.Parameters {
		if p.Name == name {
			return p.Value
		}
	}
	return "(no " + name + ")"
}

// golden reads one of the Workflows that Lodge's transpiler is held to, to be made in a namespace.
func golden(t *testing.T, name, namespace string) (w map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "internal", "workflows", "argo", "testdata", name+".golden.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	meta := w["metadata"].(map[string]any)
	meta["namespace"] = namespace
	delete(meta, "name") // which several tests would use
	meta["generateName"] = "w-"
	return w
}

// submit sends one of Lodge's golden files with other values for its parameters.
func submit(t *testing.T, namespace, file string, with map[string]string) workflow {
	t.Helper()
	w := golden(t, file, namespace)
	unused := maps.Clone(with)
	if args, ok := w["spec"].(map[string]any)["arguments"].(map[string]any); ok {
		for _, one := range args["parameters"].([]any) {
			p := one.(map[string]any)
			if v, ok := with[p["name"].(string)]; ok {
				p["value"] = v
				delete(unused, p["name"].(string))
			}
		}
	}
	if len(unused) > 0 {
		t.Fatalf("%s has no parameters %v", file, unused)
	}
	var made object
	c := admin(t)
	c.do(http.MethodPost, "/apis/argoproj.io/v1alpha1/namespaces/"+namespace+"/workflows", w, &made)
	return workflow{c, namespace, made.Metadata.Name}
}

func (w workflow) path() string {
	return "/apis/argoproj.io/v1alpha1/namespaces/" + w.namespace + "/workflows/" + w.name
}

// state is how it is now. While the API server is away there is none.
func (w workflow) state() (s state, ok bool) {
	_, err := w.try(http.MethodGet, w.path(), nil, &s)
	return s, err == nil
}

// end waits for its end.
func (w workflow) end() (s state) {
	w.t.Helper()
	began := time.Now()
	eventually(w.t, "the end of "+w.name, func() bool {
		now, ok := w.state()
		if ok {
			s = now
		}
		return ok && !s.Status.FinishedAt.IsZero()
	})
	if test, ok := w.t.(*testing.T); ok {
		test.Logf("%s: %s %q after %s, progress %s", w.name, s.Status.Phase, s.Status.Message, time.Since(began).Round(100*time.Millisecond), s.Status.Progress)
	}
	return s
}

// begun waits until a node's pod runs.
func (w workflow) begun(display string) {
	w.t.Helper()
	eventually(w.t, display+" to run", func() bool {
		s, ok := w.state()
		return ok && s.find(display).Phase == "Running"
	})
}

func (s state) find(display string) node {
	for _, n := range s.Status.Nodes {
		if n.DisplayName == display {
			return n
		}
	}
	return node{}
}

// phases are those of all nodes, by name.
func (s state) phases() string {
	var all []string
	for _, n := range s.Status.Nodes {
		all = append(all, strings.TrimPrefix(n.Name, s.Metadata.Name)+" "+n.Phase)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// ended checks what is true of every workflow that has ended, and of all its nodes.
func (w workflow) ended(s state, phase, message string) {
	t := w.t
	t.Helper()
	equal(t, "phase", s.Status.Phase, phase)
	equal(t, "message", s.Status.Message, message)
	equal(t, "label completed", s.Metadata.Labels["workflows.argoproj.io/completed"], "true")
	equal(t, "label phase", s.Metadata.Labels["workflows.argoproj.io/phase"], phase)
	if _, ok := s.Status.Nodes[w.name]; !ok {
		t.Errorf("no node has the id %s of the root", w.name)
	}
	for id, n := range s.Status.Nodes {
		equal(t, "id of "+n.Name, n.ID, id)
		equal(t, "scope of "+n.Name, n.TemplateScope, "local/"+w.name)
		if n.FinishedAt == nil || n.FinishedAt.Before(n.StartedAt) {
			t.Errorf("%s ends at %v and began at %v", n.Name, n.FinishedAt, n.StartedAt)
		}
		if id != w.name {
			if _, ok := s.Status.Nodes[n.BoundaryID]; !ok {
				t.Errorf("%s is within %q, which there is not", n.Name, n.BoundaryID)
			}
		}
		for _, child := range n.Children {
			if _, ok := s.Status.Nodes[child]; !ok {
				t.Errorf("%s has the child %q, which there is not", n.Name, child)
			}
		}
		if n.Type == "Pod" {
			equal(t, "progress of "+n.Name, n.Progress, "1/1")
			equal(t, "host of "+n.Name, n.HostNodeName, "lodge-node")
		}
	}
}

// pods are the workflow's, by the name of their node.
func (w workflow) pods() map[string]pod {
	w.t.Helper()
	var list struct {
		Items []pod `json:"items"`
	}
	w.get("/api/v1/namespaces/"+w.namespace+"/pods?labelSelector=workflows.argoproj.io/workflow="+w.name, &list)
	all := map[string]pod{}
	for _, p := range list.Items {
		all[strings.TrimPrefix(p.Metadata.Annotations["workflows.argoproj.io/node-name"], w.name)] = p
	}
	return all
}

// artifact reads a file from where artifacts are kept.
func artifact(t *testing.T, key string) string {
	t.Helper()
	f, err := os.Open(filepath.Join(theSite.folder, "artifacts", key))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(zip)
	if _, err := archive.Next(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(archive)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return string(text)
}
