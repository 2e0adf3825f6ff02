package argo

import (
	"strings"
	"testing"

	"lodge/internal/workflows/spec"
)

func TestManifest(t *testing.T) {
	t.Parallel()
	const uid = `"uid":"00000000-0000-4000-8000-000000000001"`
	brick := `{"type":"component",` + uid + `,"name":"Say it","inputs":[{"name":"p","type":"parameter"}],"implementation":{"type":"brick","container":{"name":"c","image":"i"},"args":[{"source":{"port":"p"},"target":{"type":"parameter"}}]}}`
	inner, findings := spec.ReadComponent([]byte(brick))
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	uses := `{"type":"component","uid":"00000000-0000-4000-8000-000000000002","inputs":[{"name":"l","type":"parameter_array"}],"implementation":{"type":"map","node":"00000000-0000-4000-8000-000000000001","inputMappings":[{"source":{"port":"l"},"target":{"port":"p"}}]}}`
	workflow := `{"type":"workflow","name":"W","workspace":"ws","component":` + uses + `}`
	for name, test := range map[string]struct {
		text  string
		shelf []*spec.Component
		want  string // of the YAML, or of the findings after "!"
	}{
		"a component":      {brick, nil, "generateName: say-it-"},
		"a request":        {`{"component":` + brick + `,"options":{}}`, nil, "generateName: say-it-"},
		"a workflow":       {workflow, []*spec.Component{inner}, "namespace: ws"},
		"a reference":      {workflow, nil, "!/component/implementation/node: there is no component"},
		"a job":            {`{"job":{"type":"job","workflow":` + workflow + `,"inputValues":[{"target":"l","value":["1"]}]},"options":{"tags":["a","b"]}}`, []*spec.Component{inner}, "flowify.io/tags: a;b"},
		"a job that lacks": {`{"type":"job","workflow":` + workflow + `}`, []*spec.Component{inner}, `!/inputValues: the input "l"`},
		"a placeholder":    {`{"type":"component",` + uid + `,"implementation":{"type":"any"}}`, nil, "!/implementation"},
		"no JSON":          {`{`, nil, "!it is not valid JSON"},
		"no document":      {`{"a":1}`, nil, "!/type: is required"},
		"a secret":         {strings.Replace(brick, `[{"name":"p"`, `[{"name":"s","type":"env_secret"},{"name":"p"`, 1), nil, `!missing secret "s"`},
		"a bad namespace":  {strings.Replace(workflow, `"ws"`, `"A B"`, 1), []*spec.Component{inner}, "!Argo would refuse this: /metadata/namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			yaml, findings, err := Manifest([]byte(test.text), spec.Shelf(test.shelf...))
			if err != nil {
				t.Fatal(err)
			}
			want, refused := strings.CutPrefix(test.want, "!")
			got := string(yaml)
			if refused {
				got = findings.String()
			}
			if !strings.Contains(got, want) || refused != (yaml == nil) {
				t.Errorf("want %q, got %s %s", test.want, yaml, findings)
			}
		})
	}
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	job, lib, tags := load(t, "testdata/c-map.json")
	text, findings, err := Prepare(job, lib, spec.JobOptions{Tags: tags})
	if err != nil || len(findings) > 0 || !strings.HasPrefix(string(text), `{"apiVersion":"argoproj.io/v1alpha1"`) {
		t.Errorf("%s %v %v", text, findings, err)
	}
	job.InputValues = nil
	if text, findings, err = Prepare(job, lib, spec.JobOptions{Tags: tags}); err != nil || text != nil || len(findings) == 0 {
		t.Errorf("%s %v %v", text, findings, err)
	}
}

// TestTooLarge refuses what the cluster would not take, with the reason.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	_, findings, err := Manifest([]byte(chain(5000, false)), spec.Shelf())
	if err != nil || len(findings) != 1 || findings[0].Code != spec.CodeSize || !strings.Contains(findings[0].Message, "the cluster takes 1400000") {
		t.Errorf("%v %v", findings, err)
	}
}
