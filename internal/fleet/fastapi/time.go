package fastapi

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

func (d *decoder) time(raw json.RawMessage, v reflect.Value, loc []any) {
	text := string(raw)
	switch raw[0] {
	case '{', '[', 't', 'f', 'n':
		d.find("datetime_type", "Input should be a valid datetime", loc, raw, nil)
		return
	case '"':
		_ = json.Unmarshal(raw, &text)
	}
	at, reason := ParseTime(text)
	if reason != "" {
		d.find("datetime_from_date_parsing", "Input should be a valid datetime or date, "+reason, loc, raw, map[string]any{"error": reason})
		return
	}
	v.Set(reflect.ValueOf(at))
}

// ParseTime reads a time as pydantic does: ISO 8601, a date alone, or a Unix number, in seconds or,
// when it is large, milliseconds. Without an offset it is UTC. Otherwise it says why not.
func ParseTime(text string) (at time.Time, reason string) {
	text = strings.TrimSpace(text)
	if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
		if math.Abs(f) > 2e10 {
			f /= 1000
		}
		if f < -62135596800 || f > 253402300799 {
			return at, "dates after 9999 are not supported as unix timestamps"
		}
		return time.UnixMicro(int64(math.Round(f * 1e6))).UTC(), ""
	}
	if len(text) < len("2006-01-02") {
		return at, "input is too short"
	}
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, ""
	}
	plain := strings.Replace(strings.Replace(text, " ", "T", 1), "t", "T", 1)
	plain = strings.Replace(plain, "z", "Z", 1)
	for _, layout := range []string{
		"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999",
		"2006-01-02T15:04Z07:00", "2006-01-02T15:04Z0700", "2006-01-02T15:04",
	} {
		if at, err := time.Parse(layout, plain); err == nil {
			return at.UTC(), ""
		}
	}
	return at, why(plain)
}

// why says what is wrong with a time that could not be read.
func why(text string) string {
	number := func(from, to int) bool {
		_, err := strconv.ParseUint(text[from:to], 10, 16)
		return err == nil
	}
	switch {
	case !number(0, 4):
		return "invalid character in year"
	case text[4] != '-' || text[7] != '-':
		return "invalid date separator, expected `-`"
	case !number(5, 7):
		return "invalid character in month"
	case text[5:7] < "01" || text[5:7] > "12":
		return "month value is outside expected range of 1-12"
	case !number(8, 10):
		return "invalid character in day"
	}
	if _, err := time.Parse(time.DateOnly, text[:10]); err != nil {
		return "day value is outside expected range"
	}
	if len(text) > 10 && text[10] != 'T' {
		return "invalid datetime separator, expected `T`, `t`, `_` or space"
	}
	if len(text) < len("2006-01-02T15:04") {
		return "input is too short"
	}
	switch {
	case !number(11, 13):
		return "invalid character in hour"
	case text[11:13] > "23":
		return "hour value is outside expected range of 0-23"
	case !number(14, 16):
		return "invalid character in minute"
	case text[14:16] > "59":
		return "minute value is outside expected range of 0-59"
	}
	return "unexpected extra characters at the end of the input"
}
