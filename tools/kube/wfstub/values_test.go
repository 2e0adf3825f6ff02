package main

import (
	"encoding/json"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestFillOnce(t *testing.T) {
	t.Parallel()
	s := newScope()
	s.values["inputs.parameters.a"] = `"{{item}}" \`
	var got corev1.Container
	err := s.with("x").fillJSON(corev1.Container{Name: "n", Args: []string{"{{ inputs.parameters.a }}-{{item}}", "{}"}}, &got)
	if want := []string{`"{{item}}" \-x`, "{}"}; err != nil || !slices.Equal(got.Args, want) {
		t.Errorf("got %q (%v), want %q", got.Args, err, want)
	}
	if _, err := s.fill("{{item}}"); err == nil {
		t.Error("an element was found outside of its task")
	}
}

func TestAggregate(t *testing.T) {
	t.Parallel()
	for want, values := range map[string][]string{
		`[]`:               {},
		`["1","2"]`:        {"1", "2"},
		`["a b",""]`:       {"a b", ""},
		`[["1"],["2"]]`:    {`["1"]`, ` ["2"] `},
		`[{"a":1}]`:        {`{"a":1}`},
		`["[\"1\"]","2"]`:  {`["1"]`, "2"},
		`["[not a list]"]`: {"[not a list]"},
	} {
		if got := aggregate(values); got != want {
			t.Errorf("%q: got %s, want %s", values, got, want)
		}
	}
}

func TestElements(t *testing.T) {
	t.Parallel()
	got, err := elements(`["a b", 1.50, {"x": [1]}, true, ""]`)
	if want := []string{"a b", "1.50", `{"x": [1]}`, "true", ""}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	for _, text := range []string{"", "a", `{"a":1}`, `["a"`} {
		if got, err := elements(text); err == nil {
			t.Errorf("%s: got %q, want an error", text, got)
		}
	}
	if got := element(json.RawMessage(`"\u00e9"`)); got != "é" {
		t.Errorf("got %q", got)
	}
}
