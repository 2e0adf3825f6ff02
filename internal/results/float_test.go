package results

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestParseFloat(t *testing.T) {
	t.Parallel()
	inf := math.Inf(1)
	for text, want := range map[string]float64{
		"1": 1, " 1.5\n": 1.5, "\t\v\f\r 2 ": 2, "-3": -3, "+4": 4, "1_000": 1000, "1_0.0_1e1_0": 10.01e10,
		".5": .5, "5.": 5, "1e3": 1000, "1E-3": .001, "1e+3": 1000, "00012": 12, "-0": math.Copysign(0, -1),
		"inf": inf, "-Infinity": -inf, "+INF": inf, "1e999": inf, "-1e999": -inf, "1e-999": 0, "0.1": .1,
	} {
		got, ok := parseFloat([]byte(text))
		if !ok || got != want || math.Signbit(got) != math.Signbit(want) {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"nan", "NaN", "-nan", " +NAN "} {
		if got, ok := parseFloat([]byte(text)); !ok || !math.IsNaN(got) {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"", " ", "\n", "x", "1x", "0x1p4", "0x10", "1,5", "1,000", "1 2", "_1", "1_", "1__0", "1_.5", "1._5", "1e_5", "1e5_",
		"1_e5", ".", "-", "+", "e5", ".e5", "1e", "1e+", "--1", "1.2.3", "1\x00", "\x001", "infinit", "in", "nano", "infinityy",
		"\u0661", "\u00a01", "1\u2009", "1.0f", "0b1", "0o7", "true", "1d5", "\xff", "i\u0307nf",
	} {
		if got, ok := parseFloat([]byte(text)); ok {
			t.Errorf("%q is accepted as %v", text, got)
		}
	}
}

// TestFormatFloat has what Python's repr prints.
func TestFormatFloat(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]float64{
		"3.0": 3, "0.0": 0, "-0.0": math.Copysign(0, -1), "0.1": .1, "1000000000000000.0": 1e15, "1e+16": 1e16,
		"9999999999999998.0": 9999999999999998, "1.2345678901234568e+17": 123456789012345678, "0.0001": 1e-4, "1e-05": 1e-5,
		"1.5e-05": 1.5e-5, "5e-324": 5e-324, "1.7976931348623157e+308": math.MaxFloat64, "-2.5": -2.5, "123456.789": 123456.789,
		"inf": math.Inf(1), "-inf": math.Inf(-1), "nan": math.NaN(), "1e+100": 1e100, "1e-100": 1e-100, "-1e+22": -1e22,
	} {
		equal(t, formatFloat(f), want)
	}
}

func FuzzParseFloat(f *testing.F) {
	for _, s := range []string{"1", " 1_0.5e-3 ", "inf", "-nan", "0x1", "1e999", "_", "5.", ".5"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := parseFloat(text)
		if !ok || math.IsNaN(got) { // strconv has no signed nan
			return
		}
		plain := strings.ReplaceAll(strings.Trim(string(text), " \t\n\r\f\v"), "_", "")
		want, err := strconv.ParseFloat(plain, 64)
		if err != nil && !math.IsInf(want, 0) {
			t.Fatalf("%q is accepted as %v, but is no number: %v", text, got, err)
		}
		if math.Float64bits(got) != math.Float64bits(want) && !math.IsNaN(got) {
			t.Fatalf("%q: %v, want %v", text, got, want)
		}
		if strings.ContainsAny(plain, "xXpP") {
			t.Fatalf("%q is hexadecimal", text)
		}
		again, ok := parseFloat([]byte(formatFloat(got)))
		if !ok || (math.Float64bits(again) != math.Float64bits(got) && !math.IsNaN(got)) {
			t.Fatalf("%q prints as %s, which reads back as %v", text, formatFloat(got), again)
		}
	})
}
