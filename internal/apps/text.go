package apps

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that is written as people write it: "90s", "1h30m".
type Duration time.Duration

// MarshalText writes the duration without the zero parts at its end.
func (d Duration) MarshalText() ([]byte, error) {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return []byte(text), nil
}

// UnmarshalText reads "90s"; a bare 0 needs no unit.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no time span such as 90s, 5m or 1h30m", text)
	}
	*d = Duration(v)
	return nil
}

// UnmarshalJSON takes the number 0 as well, because that is how YAML writes "never".
func (d *Duration) UnmarshalJSON(data []byte) error {
	return unmarshalText(data, func(text string) error { return d.UnmarshalText([]byte(text)) })
}

// Size is a number of bytes, written as "512Mi" or "2Gi". Unlimited is written out.
type Size int64

// Unlimited is the Size of what has no bound.
const Unlimited Size = -1

var units = []struct {
	suffix string
	factor int64
}{
	{"Ki", 1 << 10},
	{"Mi", 1 << 20},
	{"Gi", 1 << 30},
	{"Ti", 1 << 40},
	{"k", 1e3},
	{"K", 1e3},
	{"M", 1e6},
	{"G", 1e9},
	{"T", 1e12},
}

// MarshalText writes the size in the largest unit that fits evenly.
func (s Size) MarshalText() ([]byte, error) {
	if s == Unlimited {
		return []byte("unlimited"), nil
	}
	for i := 3; i >= 0; i-- {
		if u := units[i]; s != 0 && int64(s)%u.factor == 0 {
			return []byte(strconv.FormatInt(int64(s)/u.factor, 10) + u.suffix), nil
		}
	}
	return []byte(strconv.FormatInt(int64(s), 10)), nil
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	number, factor := strings.TrimSuffix(string(text), "B"), int64(1)
	if number == "unlimited" {
		*s = Unlimited
		return nil
	}
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, factor = rest, u.factor
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v < 0 || math.IsNaN(v) || v*float64(factor) > math.MaxInt64/2 {
		return fmt.Errorf("%q is no size such as 512Mi, 2Gi or unlimited", text)
	}
	*s = Size(v * float64(factor))
	return nil
}

// UnmarshalJSON takes a number of bytes as well.
func (s *Size) UnmarshalJSON(data []byte) error {
	return unmarshalText(data, func(text string) error { return s.UnmarshalText([]byte(text)) })
}

func unmarshalText(data []byte, read func(string) error) error {
	var text string
	if len(data) > 0 && data[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	} else if text = string(data); text == "null" {
		return nil
	}
	return read(text)
}

// RunAs is who an app runs as in a container: a number, or "image" for the image's own user.
type RunAs string

// UnmarshalJSON takes a number or a text.
func (u *RunAs) UnmarshalJSON(data []byte) error {
	return unmarshalText(data, func(text string) error {
		if text == "image" || text == "" {
			*u = RunAs(text)
			return nil
		}
		if n, err := strconv.ParseUint(text, 10, 31); err != nil {
			return fmt.Errorf("%q is neither a user number nor \"image\"", text)
		} else if n == 0 {
			return errors.New("apps do not run as root")
		}
		*u = RunAs(text)
		return nil
	})
}
