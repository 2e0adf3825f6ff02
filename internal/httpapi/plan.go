package httpapi

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// plan says how to read requests into one type. It is made once per type; reading shares it.
type plan struct {
	registry registry
	params   []param
	query    bool
	body     *bodyPlan
}

// param is one field that comes from the path, the query or a header.
type param struct {
	in, name   string
	index      []int
	field      reflect.StructField
	schema     *huma.Schema
	required   bool
	list       bool
	hasDefault bool
	defaults   []string
	// parse stores the text in a value and returns it in the form that schemas check.
	parse func(text string, into reflect.Value) (any, error)
}

// bodyPlan is the field Body.
type bodyPlan struct {
	index    []int
	schema   *huma.Schema
	optional bool
}

// newPlan reads the tags of a request type.
func newPlan(t reflect.Type, reg registry) (p *plan, err error) {
	defer func() {
		if bad := recover(); bad != nil { // how the schema library reports wrong tags
			p, err = nil, fmt.Errorf("request type %s: %v", t, bad)
		}
	}()
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("request type %s: want a struct", t)
	}
	p = &plan{registry: reg}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			continue // its fields are visible themselves
		}
		if f.Name == "Body" {
			schema := reg.Schema(f.Type, true, t.Name()+"Body")
			p.body = &bodyPlan{index: f.Index, schema: schema, optional: f.Type.Kind() == reflect.Pointer}
			continue
		}
		par, err := newParam(f, reg)
		if err != nil {
			return nil, fmt.Errorf("request type %s: field %s: %w", t, f.Name, err)
		}
		p.query = p.query || par.in == "query"
		p.params = append(p.params, par)
	}
	return p, nil
}

func newParam(f reflect.StructField, reg registry) (param, error) {
	par := param{index: f.Index, field: f}
	for _, in := range []string{"path", "query", "header"} {
		if name := f.Tag.Get(in); name != "" {
			par.in, par.name = in, name
		}
	}
	if par.in == "" || !f.IsExported() {
		return par, errors.New("want one of the tags path, query and header, or the name Body")
	}
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Slice && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		par.list, t = true, t.Elem()
	}
	if par.parse = parser(t, par.in); par.parse == nil {
		return par, fmt.Errorf("type %s cannot be a parameter", f.Type)
	}
	par.required = par.in == "path" || f.Tag.Get("required") == "true"
	par.schema = huma.SchemaFromField(reg, f, f.Name)
	par.schema.Nullable = false
	if def, ok := f.Tag.Lookup("default"); ok {
		par.hasDefault, par.defaults = true, []string{def}
		if par.list {
			par.defaults = strings.Split(def, ",")
		}
		for _, text := range par.defaults {
			if _, err := par.parse(text, reflect.New(t).Elem()); err != nil {
				return par, fmt.Errorf("default %q: %w", text, err)
			}
		}
	}
	return par, nil
}

// parser knows how to read text into a type, or is nil.
func parser(t reflect.Type, in string) func(string, reflect.Value) (any, error) {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return func(text string, into reflect.Value) (any, error) { return parseTime(text, in, into) }
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return func(text string, into reflect.Value) (any, error) {
			u, _ := into.Addr().Interface().(encoding.TextUnmarshaler)
			return text, u.UnmarshalText([]byte(text))
		}
	}
	switch t.Kind() {
	case reflect.String:
		return func(text string, into reflect.Value) (any, error) {
			into.SetString(text)
			return text, nil
		}
	case reflect.Bool:
		return func(text string, into reflect.Value) (any, error) {
			v, err := strconv.ParseBool(text)
			if err != nil {
				return nil, errExpected("true or false")
			}
			into.SetBool(v)
			return v, nil
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return func(text string, into reflect.Value) (any, error) {
			v, err := strconv.ParseInt(text, 10, t.Bits())
			if err != nil {
				return nil, errExpected("integer")
			}
			into.SetInt(v)
			return float64(v), nil // as schemas keep numbers, also in enums
		}
	case reflect.Float64:
		return func(text string, into reflect.Value) (any, error) {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, errExpected("number")
			}
			into.SetFloat(v)
			return v, nil
		}
	default:
		return nil
	}
}

func parseTime(text, in string, into reflect.Value) (any, error) {
	if in == "header" {
		v, err := http.ParseTime(text)
		if err != nil {
			return nil, errExpected("a date as HTTP writes them")
		}
		into.Set(reflect.ValueOf(v))
		return v.UTC().Format(time.RFC1123), nil
	}
	v, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil, errExpected("a time such as 2026-01-31T12:00:00Z")
	}
	into.Set(reflect.ValueOf(v))
	return text, nil
}
