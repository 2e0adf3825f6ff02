package results

import (
	"crypto/rand"
	"math"
	"math/big"
	mathrand "math/rand/v2"
	"testing"

	"lodge/internal/fault"
)

func TestPrivacyScale(t *testing.T) {
	t.Parallel()
	got, err := privacy{epsilon: .5, sensitivity: 2}.scale()
	noError(t, err)
	equal(t, got, 4)
	inf, nan := math.Inf(1), math.NaN()
	for _, p := range []privacy{
		{0, 1},
		{1, 0},
		{-1, -1},
		{-1, 1},
		{1, -1},
		{inf, 1},
		{1, inf},
		{nan, 1},
		{1, nan},
		{math.Copysign(0, -1), 1},
		{1e300, 5e-324}, // the scale would round to nothing, and the raw value would leave
		{5e-324, 1e300}, // the scale is no number
	} {
		if _, err := p.scale(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func TestStepsAreExact(t *testing.T) {
	t.Parallel()
	for _, f := range []float64{0, 5e-324, 1e-310, 2.2250738585072014e-308, 1, -1, .1, 1e16, -123.456, math.MaxFloat64, -math.MaxFloat64} {
		exact := new(big.Float).SetInt(steps(f))
		got, accuracy := exact.SetMantExp(exact, finest).Float64()
		if got != f || accuracy != big.Exact {
			t.Errorf("%v comes back as %v (%v)", f, got, accuracy)
		}
	}
}

// TestNoiseIsLaplace draws from a fixed stream and compares the empirical distribution with the
// true one at many points (Kolmogorov–Smirnov: 1.63/√n is the bound at 1%).
func TestNoiseIsLaplace(t *testing.T) {
	t.Parallel()
	const n = 20_000
	for _, test := range []struct{ value, scale float64 }{{0, 1}, {100, 7.5}, {-3, .01}, {0, 1e-300}, {5, 1e12}} {
		random := mathrand.NewChaCha8([32]byte{4})
		below := make([]int, 41)
		point := func(i int) float64 { return test.value + test.scale*float64(i-20)/4 }
		var sum float64
		for range n {
			x, err := addNoise(random, test.value, test.scale)
			noError(t, err)
			sum += (x - test.value) / test.scale
			for i := range below {
				if x <= point(i) {
					below[i]++
				}
			}
		}
		for i, count := range below {
			z := (point(i) - test.value) / test.scale
			want := math.Exp(z) / 2
			if z >= 0 {
				want = 1 - math.Exp(-z)/2
			}
			if got := float64(count) / n; math.Abs(got-want) > 1.63/math.Sqrt(n) {
				t.Errorf("scale %v: %.4f of the draws lie below %v scales, should be %.4f", test.scale, got, z, want)
			}
		}
		if mean := sum / n; math.Abs(mean) > 4*math.Sqrt(2.0/n) {
			t.Errorf("scale %v: the noise is off its middle by %v scales", test.scale, mean)
		}
	}
}

// TestBernoulliExp compares the frequency with exp(-n/d).
func TestBernoulliExp(t *testing.T) {
	t.Parallel()
	random := mathrand.NewChaCha8([32]byte{5})
	const draws = 40_000
	for _, n := range []int64{0, 1, 5, 9, 10} {
		hits := 0
		for range draws {
			hit, err := bernoulliExp(random, big.NewInt(n), big.NewInt(10))
			noError(t, err)
			if hit {
				hits++
			}
		}
		want := math.Exp(-float64(n) / 10)
		if got := float64(hits) / draws; math.Abs(got-want) > 4*math.Sqrt(want*(1-want)/draws)+1e-9 {
			t.Errorf("exp(-%d/10): %.4f of the draws, should be %.4f", n, got, want)
		}
	}
}

func TestNoiseNeverRepeatsTheValue(t *testing.T) {
	t.Parallel()
	seen := map[float64]bool{}
	for range 200 {
		x, err := addNoise(rand.Reader, 42, 1)
		noError(t, err)
		seen[x] = true
	}
	if len(seen) < 200 || seen[42] {
		t.Errorf("%d different values in 200 draws", len(seen))
	}
}

func BenchmarkNoise(b *testing.B) {
	for b.Loop() {
		if _, err := addNoise(rand.Reader, 1.5, 2); err != nil {
			b.Fatal(err)
		}
	}
}
