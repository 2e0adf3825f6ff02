package results

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// parseFloat reads a number as Python's float() does for bytes: ASCII only, surrounding white
// space, single underscores between digits, inf and nan in any case; no hexadecimal, no commas.
// A number too large for a double is infinite, as there.
func parseFloat(text []byte) (float64, bool) {
	text = bytes.Trim(text, " \t\n\r\f\v")
	unsigned := text
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		unsigned = text[1:]
	}
	switch strings.ToLower(string(unsigned[:min(len(unsigned), len("infinity")+1)])) {
	case "inf", "infinity":
		if text[0] == '-' {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	case "nan":
		return math.NaN(), true
	}
	if !isDecimal(unsigned) {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(string(text), "_", ""), 64)
	return f, err == nil || math.IsInf(f, 0)
}

// isDecimal recognises digits, at most one point with a digit on some side of it, and an exponent.
func isDecimal(s []byte) bool {
	whole, s := digits(s)
	fraction := 0
	if len(s) > 0 && s[0] == '.' {
		fraction, s = digits(s[1:])
	}
	if whole < 0 || fraction < 0 || whole+fraction == 0 {
		return false
	}
	if len(s) == 0 {
		return true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return false
	}
	s = s[1:]
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	exponent, s := digits(s)
	return exponent > 0 && len(s) == 0
}

// digits counts the digits at the beginning of s and returns what follows them. The count is -1
// when an underscore does not stand between two digits.
func digits(s []byte) (int, []byte) {
	n := 0
	for i, c := range s {
		switch {
		case '0' <= c && c <= '9':
			n++
		case c == '_':
			if i == 0 || s[i-1] == '_' || i+1 == len(s) || s[i+1] < '0' || s[i+1] > '9' {
				return -1, s
			}
		default:
			return n, s[i:]
		}
	}
	return n, nil
}

// formatFloat writes a number as Python's repr() does: the shortest text that reads back as the
// same double, with a decimal point or an exponent always.
func formatFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(f, 'g', -1, 64)), "+")
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
