package main

import (
	"errors"
	"testing"
)

func TestEvaluate(t *testing.T) {
	t.Parallel()
	names := map[string]string{"tasks.a.outputs.parameters.o": "from a", "tasks.b.outputs.parameters.my-o": "from b"}
	lookup := func(name string) (string, error) {
		if v, ok := names[name]; ok {
			return v, nil
		}
		return "", errors.New("no " + name)
	}
	for text, want := range map[string]any{
		`7 >= 5`:              true,
		`-1 < 1e2`:            true,
		`10 <= 9`:             false,
		`"10" < "9"`:          true,
		`!(7 >= 5)`:           false,
		`!!true`:              true,
		`"a\"b\\c" != "a"`:    true,
		`'it' == "it"`:        true,
		`"x\n" == "x"`:        false,
		`"7" == 7`:            false,
		`(1 == 1) == (2 > 1)`: true,
		`7 >= 5 ? tasks.a.outputs.parameters.o : tasks.none.o`:         "from a",
		`7 < 5 ? tasks.none.o : tasks.b.outputs.parameters['my-o']`:    "from b",
		`1 == 2 ? "x" : 1 == 1 ? 5 : tasks.none.o`:                     5.0,
		`1 == 1 ? "" : (1 < tasks.none.o)`:                             "",
		`1 == 2 ? !tasks.none.o : tasks.a.outputs.parameters.o == "x"`: false,
	} {
		got, err := evaluate(text, lookup)
		if err != nil || got != want {
			t.Errorf("%s: got %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		``, `1 ==`, `(1`, `1 1`, `"open`, `1 == 1 ? 2`, `"a" < 1`, `true < false`, `5 ? 1 : 2`, `!5`, `tasks.none.o`, `a[b]`, `a['b'`, `1 = 1`,
	} {
		if got, err := evaluate(text, lookup); err == nil {
			t.Errorf("%s: got %v, want an error", text, got)
		}
	}
	if yes, err := holds(`5`); err == nil {
		t.Errorf("5 holds: %v", yes)
	}
}
