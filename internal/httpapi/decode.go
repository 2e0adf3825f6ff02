package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"

	"lodge/internal/fault"
)

// Decode reads a request into a struct. Its fields carry the tags path, query or header, and one
// field named Body takes JSON; see Doc.Request. Schema tags (minimum, maxLength, enum, pattern,
// format, …) are checked, and every finding is reported at once as fault.Invalid with its Fields.
//
// Parameters are optional unless tagged required:"true" (path parameters always are); default
// gives the value of an absent one, and a pointer stays nil. In the body, fields are required
// unless their json tag says omitempty or omitzero; unknown and repeated fields are refused. A
// Body that is a pointer may be left out.
func Decode[T any](r *http.Request) (T, error) {
	var req T
	p, err := planFor(r, reflect.TypeFor[T]())
	if err != nil {
		return req, err
	}
	v := reflect.ValueOf(&req).Elem()
	findings := p.decodeParams(r, v)
	if p.body != nil {
		more, err := p.decodeBody(r, v)
		if err != nil {
			return req, err
		}
		findings = append(findings, more...)
	}
	if len(findings) > 0 {
		var zero T
		return zero, fault.InvalidFields(findings...)
	}
	return req, nil
}

// planFor finds the plan that Mount made, or makes one for a handler that a test calls directly.
func planFor(r *http.Request, t reflect.Type) (*plan, error) {
	x := exchangeFrom(r.Context())
	if x == nil || x.server == nil {
		return newPlan(t, newRegistry())
	}
	return x.server.plan(t)
}

func (s *Server) plan(t reflect.Type) (*plan, error) {
	if p, ok := s.plans.Load(t); ok {
		return p.(*plan), nil
	}
	p, err := newPlan(t, newRegistry())
	if err != nil {
		return nil, err
	}
	s.plans.Store(t, p)
	return p, nil
}

// decodeParams fills the fields from path, query and headers.
func (p *plan) decodeParams(r *http.Request, v reflect.Value) []fault.Field {
	var findings []fault.Field
	var query url.Values
	if p.query && r.URL.RawQuery != "" {
		var err error
		if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			findings = append(findings, fault.Field{Loc: []string{"query"}, Type: "invalid", Message: "the query is not well formed"})
		}
	}
	for i := range p.params {
		par := &p.params[i]
		findings = append(findings, par.decode(par.sent(r, query), v.FieldByIndex(par.index), p.registry)...)
	}
	return findings
}

// sent is what the request says for the parameter, nil for nothing.
func (par *param) sent(r *http.Request, query url.Values) []string {
	switch par.in {
	case "path":
		return []string{r.PathValue(par.name)}
	case "query":
		return query[par.name]
	default:
		return r.Header.Values(par.name)
	}
}

// finding is one finding about the parameter.
func (par *param) finding(kind, message string, input any) []fault.Field {
	return []fault.Field{{Loc: []string{par.in, par.name}, Type: kind, Message: message, Input: input}}
}

// decode reads, checks and stores one parameter.
func (par *param) decode(sent []string, field reflect.Value, reg registry) []fault.Field {
	if len(sent) == 0 {
		switch {
		case par.required:
			return par.finding("missing", "is required", nil)
		case !par.hasDefault:
			return nil
		}
		sent = par.defaults
	}
	if !par.list && len(sent) > 1 {
		return par.finding("repeated", "is given more than once", sent)
	}
	target := field
	if field.Kind() == reflect.Pointer {
		target = reflect.New(field.Type().Elem()).Elem()
	}
	var checked any
	if par.list {
		list := reflect.MakeSlice(target.Type(), len(sent), len(sent))
		values := make([]any, len(sent))
		for i, text := range sent {
			var err error
			if values[i], err = par.parse(text, list.Index(i)); err != nil {
				return par.finding("invalid", err.Error(), text)
			}
		}
		target.Set(list)
		checked = values
	} else {
		var err error
		if checked, err = par.parse(sent[0], target); err != nil {
			return par.finding("invalid", err.Error(), sent[0])
		}
	}
	if field.Kind() == reflect.Pointer {
		field.Set(target.Addr())
	}
	return reg.validate(par.schema, []string{par.in, par.name}, checked)
}

// errExpected is a parser's finding.
func errExpected(what string) error { return fmt.Errorf("expected %s", what) }
