package local_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lodge/internal/workflows/local"
)

// BenchmarkNodes runs a job of a thousand steps that do nothing, and says how long a step takes above
// the bare process.
func BenchmarkNodes(b *testing.B) {
	const nodes = 1000
	s := newSite(b, func(set *setup) { set.cfg = local.Config{Parallelism: 4} })
	list := make([]string, nodes)
	for i := range list {
		list[i] = fmt.Sprintf("%q", fmt.Sprint(i))
	}
	text := job(mapping("xs[]", "", "xs>x", "", brick("x", "", "true")), "xs", "["+strings.Join(list, ",")+"]")
	for b.Loop() {
		began := time.Now()
		s.run(text)
		took := time.Since(began)
		began = time.Now()
		for range nodes {
			if err := exec.CommandContext(b.Context(), "sh", "-ec", "true", "step").Run(); err != nil {
				b.Fatal(err)
			}
		}
		bare := time.Since(began)
		b.ReportMetric(float64(took.Microseconds())/1000/nodes, "ms/node")
		b.ReportMetric(float64((took-bare).Microseconds())/1000/nodes, "ms/node-above-process")
	}
}

// BenchmarkJobsTogether runs a hundred jobs of five steps at once, and says how far the first to end is
// from the last.
func BenchmarkJobsTogether(b *testing.B) {
	s := newSite(b, func(set *setup) { set.cfg = local.Config{Parallelism: 4} })
	text := job(mapping("xs[]", "", "xs>x", "", brick("x", "", "true")), "xs", `["1","2","3","4","5"]`)
	for b.Loop() {
		ids := make([]uuid.UUID, 100)
		for i := range ids {
			ids[i] = s.submit(text)
		}
		for _, id := range ids {
			s.wait(id)
		}
	}
}
