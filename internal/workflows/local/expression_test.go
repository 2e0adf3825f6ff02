package local

import (
	"errors"
	"strings"
	"testing"
)

// known is a scope of a few names.
func known(name string) (string, error) {
	values := map[string]string{
		"inputs.parameters.n": "7", "inputs.parameters.text": `it's "{{x}}"`, "inputs.parameters.empty": "",
		"tasks.nodeTrue.outputs.parameters.out": "yes", "tasks.node-False.outputs.parameters.out-1": "no",
	}
	if v, ok := values[name]; ok {
		return v, nil
	}
	return "", errors.New("there is no " + name)
}

func TestHolds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{{inputs.parameters.n}} >= 5`: "true", `!({{inputs.parameters.n}} >= 5)`: "false", `!(!(7.0 == {{inputs.parameters.n}}))`: "true",
		`10 < 9`: "false", `"10" < "9"`: "true", `-1.5e2 < 0`: "true", `1 != 1`: "false", `2 <= 2`: "true", `3 > 2`: "true",
		`"{{inputs.parameters.text}}" == "it's \"{{x}}\""`: "there is no x", `"a{{inputs.parameters.n}}b" == "a7b"`: "true",
		`"{{inputs.parameters.empty}}" == ""`: "true", `"\\" != "\n"`: "true",
		`{{inputs.parameters.text}} > 5`: "is no number", `{{inputs.parameters.none}} == 1`: "there is no inputs.parameters.none",
		``: "a value is expected", `1`: "an operator is expected", `1 == `: "a value is expected", `1 == 1 2`: "there is more", `!(1 == 1`: `")" is expected`,
		`"open == 1`: "not closed", `{{open == 1`: "", `1 == 1 || 2 == 2`: "there is more", `1e999 == 1`: "is no number", `"\x" == ""`: "cannot be read",
		strings.Repeat("!(", 200) + "1 == 1" + strings.Repeat(")", 200): "too deep",
	} {
		got, err := holds(text, known)
		said := map[bool]string{true: "true", false: "false"}[got]
		if err != nil {
			said = err.Error()
		}
		if !strings.Contains(said, want) || err == nil && said != want {
			t.Errorf("%s: %s, want %s", text, said, want)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{{inputs.parameters.n}} > 5 ? tasks.nodeTrue.outputs.parameters.out : tasks.none.outputs.parameters.x`:        "yes",
		`{{inputs.parameters.n}} > 9 ? tasks.none.outputs.parameters.x : tasks.node-False.outputs.parameters['out-1']`: "no",
		`{{inputs.parameters.n}} > 9 ? tasks.none.outputs.parameters.x : ""`:                                           "",
		`{{inputs.parameters.n}} > 9 ? "a" : "b{{inputs.parameters.n}}"`:                                               "b7",
		`{{inputs.parameters.n}} > 5 ? tasks.none.outputs.parameters.x : ""`:                                           "!there is no tasks.none",
		`1 == 1 ? 2`: "!\":\" is expected", `1 == 1`: "!\"?\" is expected", `1 == 1 ? 2 : 3 4`: "!there is more", `1 == 1 ? : 3`: "!a value is expected", `x`: "!there is no x",
	} {
		got, err := choose(text, known)
		if problem, fails := strings.CutPrefix(want, "!"); fails != (err != nil) || fails && !strings.Contains(err.Error(), problem) || !fails && got != want {
			t.Errorf("%s: %q, %v, want %s", text, got, err, want)
		}
	}
}

// FuzzExpression reads anything without a panic, and decides by values, whatever they look like.
func FuzzExpression(f *testing.F) {
	f.Add(`{{inputs.parameters.n}} >= 5`, "7")
	f.Add(`!("{{inputs.parameters.n}}" == "a\"b")`, `a"b`)
	f.Add(`1 < 2 ? tasks.a.outputs.parameters.x : ""`, `" == "" ? "x" : "`)
	f.Add(`"{{a}}{{b}}" != "{{`, `}}`)
	f.Fuzz(func(t *testing.T, text, value string) {
		look := func(string) (string, error) { return value, nil }
		a, errA := holds(text, look)
		b, errB := holds("!("+text+")", look)
		if errA == nil && errB == nil && a == b {
			t.Errorf("%q and its contrary are both %v", text, a)
		}
		_, _ = choose(text, look)
		_, _ = fill(text, look)
		// No value changes what is meant.
		if is, err := holds(`"{{inputs.parameters.v}}" == "x"`, look); err != nil || is != (value == "x") {
			t.Errorf("%q: %v, %v", value, is, err)
		}
		if got, err := choose(`"{{v}}" != "x" ? "a{{v}}" : "b"`, look); err != nil || value != "x" && got != "a"+value {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	})
}

func TestQuantities(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{`"64Mi"`: 64 << 20, `"1.5G"`: 1_500_000_000, `1024`: 1024, `"2Ki"`: 2048, ``: 0} {
		if got, err := memoryOf([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	if got, err := cpuOf([]byte(`"250m"`)); err != nil || got != 0.25 {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{`"x"`, `"-1"`, `"1Zi"`, `""`, `"Mi"`, `"1e400"`} {
		if got, err := memoryOf([]byte(text)); err == nil {
			t.Errorf("%s is %d", text, got)
		}
	}
}

func TestAggregate(t *testing.T) {
	t.Parallel()
	for want, list := range map[string][]string{
		`[]`: {}, `["1","2"]`: {"1", "2"}, `[[1],{"a":2}]`: {"[1]", ` {"a":2} `}, `["[1]","x"]`: {"[1]", "x"}, `["[1"]`: {"[1"}, `["<&>"]`: {"<&>"},
	} {
		if got := aggregate(list); got != want {
			t.Errorf("%v: %s, want %s", list, got, want)
		}
	}
}
