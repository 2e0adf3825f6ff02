package config

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files") // flags of a test program have no better place

// The example in the repository is what `lodge config example` prints.
func TestExampleGolden(t *testing.T) {
	t.Parallel()
	const path = "../../examples/lodge.yaml"
	if *update {
		if err := os.WriteFile(path, []byte(Example()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != Example() {
		t.Errorf("%s is not what `lodge config example` prints (%v): run make golden", path, err)
	}
}
