package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"lodge/internal/secret"
)

// Size is a number of bytes, written as 512, 64KiB, 10MiB or 2GiB.
type Size int64

type unit struct {
	name  string
	bytes int64
}

func units() []unit {
	return []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}
}

// ParseSize reads a size.
func ParseSize(text string) (Size, error) {
	number, factor := strings.TrimSpace(text), int64(1)
	for _, u := range units() {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, factor = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return 0, fmt.Errorf("%q is not a size: write a number of bytes, or one with KiB, MiB, GiB or TiB, such as 64MiB", text)
	}
	return Size(n * factor), nil
}

// String writes a size in the largest unit that fits exactly.
func (s Size) String() string {
	for _, u := range units() {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Document is a part of the configuration that another package reads, as YAML or JSON text.
type Document string

// A setting is one leaf of Config: its dotted key, its tags and its place in the struct.
type setting struct {
	key   string
	tag   reflect.StructTag
	value reflect.Value
}

// settings lists every leaf of the struct v in the order of its declaration.
func settings(prefix string, v reflect.Value) []setting {
	var all []setting
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := prefix + f.Tag.Get("key")
		if f.Type.Kind() == reflect.Struct {
			all = append(all, settings(key+".", v.Field(i))...)
			continue
		}
		all = append(all, setting{key: key, tag: f.Tag, value: v.Field(i)})
	}
	return all
}

// isList says whether the setting is a list of blocks, which only a file can hold in lines of its own.
func (s setting) isList() bool {
	return s.value.Kind() == reflect.Slice && s.value.Type().Elem().Kind() == reflect.Struct
}

// isDocument says whether the setting holds text that another package reads.
func (s setting) isDocument() bool { return s.value.Type() == reflect.TypeFor[Document]() }

func (s setting) secret() bool { return s.value.Type() == reflect.TypeFor[secret.String]() }

// environment is the name of the setting's variable.
func (s setting) environment() string {
	return "LODGE_" + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// set parses text into the setting. The error says what is wrong and what would be right.
func (s setting) set(text string) error {
	switch s.value.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is not a duration: write a number with a unit, such as 500ms, 30s, 10m or 12h", text)
		}
		s.value.SetInt(int64(d))
		return nil
	case Size:
		n, err := ParseSize(text)
		if err != nil {
			return err
		}
		s.value.SetInt(int64(n))
		return nil
	case []string:
		s.value.Set(reflect.ValueOf(splitList(text)))
		return nil
	case Document:
		s.value.SetString(text)
		return nil
	}
	switch s.value.Kind() { // Config has no other kinds
	case reflect.String:
		if err := s.allowed(text); err != nil {
			return err
		}
		s.value.SetString(text)
	case reflect.Bool:
		b, err := parseBool(text)
		if err != nil {
			return err
		}
		s.value.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		if least, err := strconv.Atoi(s.tag.Get("min")); err == nil && n < least {
			return fmt.Errorf("%d is too small: the least is %d", n, least)
		}
		if err := s.allowed(text); err != nil {
			return err
		}
		s.value.SetInt(int64(n))
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return fmt.Errorf("%q is not a number", text)
		}
		if least, err := strconv.ParseFloat(s.tag.Get("min"), 64); err == nil && n < least {
			return fmt.Errorf("%g is too small: the least is %g", n, least)
		}
		s.value.SetFloat(n)
	default:
		return fmt.Errorf("cannot be set from text")
	}
	return nil
}

func (s setting) allowed(text string) error {
	enum := s.tag.Get("enum")
	if enum == "" {
		return nil
	}
	for _, one := range strings.Split(enum, ",") {
		if one == text {
			return nil
		}
	}
	return fmt.Errorf("%q is not allowed: choose one of %s", text, strings.ReplaceAll(enum, ",", ", "))
}

// parseBool takes what the originals took.
func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "1", "true", "yes", "on", "t", "y":
		return true, nil
	case "0", "false", "no", "off", "f", "n":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}

func splitList(text string) []string {
	text = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "["), "]")
	var list []string
	for _, one := range strings.Split(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			list = append(list, one)
		}
	}
	return list
}
