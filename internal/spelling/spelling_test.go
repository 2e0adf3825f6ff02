package spelling

import "testing"

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		far  int
	}{{"", "", 0}, {"listen", "lisen", 1}, {"listen", "listen", 0}, {"results.read", "results.raed", 2}, {"abc", "", 3}} {
		if got := Distance(c.a, c.b); got != c.far {
			t.Errorf("%q and %q: %d, want %d", c.a, c.b, got, c.far)
		}
	}
}

func FuzzDistance(f *testing.F) {
	f.Add("results.read", "results.raed")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 200 || len(b) > 200 {
			return
		}
		d := Distance(a, b)
		if d != Distance(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) {
			t.Errorf("distance of %q and %q is %d", a, b, d)
		}
	})
}
