package local_test

import (
	"image/png"
	"os"
	"strings"
	"testing"

	"lodge/internal/workflows/spec"
)

// TestExamples runs every example as it stands, and looks at what it gives.
func TestExamples(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	must(t, s.svc.CreateWorkspace(s.ctx, sandbox()))
	for name, want := range map[string]map[string]string{
		"hello":         {"greeting": "Hello, Ada!"},
		"count-words":   {"words": `["3","2"]`, "total": "5"},
		"check-reading": {"verdict": "fine: 21.5 is not above 40"},
		"fit-curve":     {"coefficients": "3.0012 -1.7215 -1.0618 0.3948"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := *s
			s.t = t
			text, err := os.ReadFile("../../../examples/workflows/" + name + ".json")
			must(t, err)
			j, findings := spec.ReadJob(text)
			if len(findings) > 0 {
				t.Fatal(findings)
			}
			must(t, s.svc.Submit(s.ctx, j, spec.JobOptions{}))
			s.workspace = "sandbox"
			o := s.wait(j.UID)
			for port, value := range want {
				if got := o.output(port); got != value {
					t.Errorf("%s is %q, want %q: %s", port, got, value, o.Status.Message)
				}
			}
			if name != "fit-curve" {
				return
			}
			picture, err := png.Decode(strings.NewReader(s.artifact(o, "plot")))
			must(t, err)
			// Points and curve are there, and most of it is paper.
			colours := map[[3]uint32]int{}
			size := picture.Bounds()
			for x := range size.Dx() {
				for y := range size.Dy() {
					r, g, b, _ := picture.At(x, y).RGBA()
					colours[[3]uint32{r >> 8, g >> 8, b >> 8}]++
				}
			}
			if size.Dx() != 480 || size.Dy() != 320 || colours[[3]uint32{34, 98, 173}] < 500 || colours[[3]uint32{214, 58, 48}] < 300 || colours[[3]uint32{255, 255, 255}] < 100_000 {
				t.Errorf("%v: %v", size, colours)
			}
		})
	}
	list, err := os.ReadDir("../../../examples/workflows")
	must(t, err)
	if len(list) != 4 {
		t.Errorf("%d examples are there, and 4 are run", len(list))
	}
}
