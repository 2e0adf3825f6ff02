package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWorkflow(t *testing.T) {
	t.Parallel()
	hello, err := os.ReadFile("../../examples/workflows/count-words.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	brick := `{"type":"component","uid":"8a4e2b9c-5f0f-4c7e-9b64-3a1f0c6d2e09","implementation":{"type":"brick","container":{"name":"c","image":"i"}}}`
	uses := `{"type":"component","uid":"8a4e2b9c-5f0f-4c7e-9b64-3a1f0c6d2e08","implementation":{"type":"graph","nodes":[{"id":"a","node":"8a4e2b9c-5f0f-4c7e-9b64-3a1f0c6d2e09"}]}}`
	for name, test := range map[string]struct {
		args  []string
		in    string
		want  string // printed, or after "!" the error
		wants int    // lines at least
	}{
		"validate":              {[]string{"validate", "../../examples/workflows/count-words.json"}, "", "count-words.json is valid.", 1},
		"validate input":        {[]string{"validate", "-"}, string(hello), "- is valid.", 1},
		"what is wrong":         {[]string{"validate", "-"}, strings.Replace(string(hello), `"port": "texts"`, `"port": "nothing"`, 1), "!- is not valid", 0},
		"a reference":           {[]string{"validate", write("uses.json", uses)}, "", "!is not valid", 0},
		"a reference that is":   {[]string{"validate", write("uses.json", uses), "--with", write("brick.json", brick)}, "", "is valid", 1},
		"no file":               {[]string{"validate", filepath.Join(dir, "nothing.json")}, "", "!no such file", 0},
		"transpile":             {[]string{"transpile", "../../examples/workflows/count-words.json"}, "", "withParam: '{{inputs.parameters.texts}}'", 40},
		"transpile with others": {[]string{"transpile", "-", "--with", write("brick.json", brick)}, uses, "template: 8a4e2b9c-5f0f-4c7e-9b64-3a1f0c6d2e09", 10},
		"not to be run":         {[]string{"transpile", "-"}, uses, "!cannot be run:\n/implementation/nodes/0/node: there is no component", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			term := &terminal{in: strings.NewReader(test.in), out: &out, errors: &errs, getenv: func(string) string { return "" }}
			err := run(t.Context(), append([]string{"workflow"}, test.args...), term)
			want, fails := strings.CutPrefix(test.want, "!")
			got := out.String()
			if fails != (err != nil) {
				t.Fatalf("error %v; printed %s", err, got)
			}
			if fails {
				got = err.Error()
			}
			if !strings.Contains(got, want) || strings.Count(got, "\n") < test.wants {
				t.Errorf("want %q, got %s", want, got)
			}
		})
	}
}
