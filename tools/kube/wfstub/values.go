package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// scope is what the templates' {{…}} may name where they stand.
type scope struct {
	values    map[string]string
	artifacts map[string]artifact
}

func newScope() *scope {
	return &scope{values: map[string]string{}, artifacts: map[string]artifact{}}
}

// with is the scope and the element that a task runs for.
func (s *scope) with(item string) *scope {
	inner := newScope()
	for k, v := range s.values {
		inner.values[k] = v
	}
	inner.artifacts = s.artifacts
	inner.values["item"] = item
	return inner
}

func (s *scope) lookup(name string) (string, error) {
	if v, ok := s.values[name]; ok {
		return v, nil
	}
	return "", fmt.Errorf("failed to resolve {{%s}}", name)
}

var reference = regexp.MustCompile(`\{\{\s*([^{}]+?)\s*\}\}`)

// fill puts values in the places of their names, once: what a value itself says stays.
func (s *scope) fill(text string) (string, error) {
	var missing error
	filled := reference.ReplaceAllStringFunc(text, func(m string) string {
		v, err := s.lookup(reference.FindStringSubmatch(m)[1])
		if err != nil {
			missing = err
		}
		return v
	})
	return filled, missing
}

// fillJSON does the same in all the texts of a value.
func (s *scope) fillJSON(value, into any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return err
	}
	if tree, err = s.fillTree(tree); err != nil {
		return err
	}
	if text, err = json.Marshal(tree); err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (s *scope) fillTree(tree any) (_ any, err error) {
	switch v := tree.(type) {
	case string:
		return s.fill(v)
	case []any:
		for i := range v {
			if v[i], err = s.fillTree(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = s.fillTree(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return tree, nil
}

// arguments are a task's, with their values.
func (s *scope) arguments(a arguments) (arguments, error) {
	var made arguments
	for _, p := range a.Parameters {
		if p.Value == nil {
			return made, fmt.Errorf("the argument %s has no value", p.Name)
		}
		v, err := s.fill(*p.Value)
		if err != nil {
			return made, err
		}
		made.Parameters = append(made.Parameters, parameter{Name: p.Name, Value: &v})
	}
	for _, one := range a.Artifacts {
		from, err := s.artifact(one)
		if err != nil {
			return made, err
		}
		made.Artifacts = append(made.Artifacts, from)
	}
	return made, nil
}

// artifact finds the artifact that from or fromExpression names.
func (s *scope) artifact(a artifact) (artifact, error) {
	named := strings.Trim(a.From, "{} ")
	if a.FromExpression != "" {
		text, err := s.fill(a.FromExpression)
		if err != nil {
			return artifact{}, err
		}
		v, err := evaluate(text, func(name string) (string, error) { return name, nil })
		if err != nil {
			return artifact{}, err
		}
		named = fmt.Sprint(v)
	}
	found, ok := s.artifacts[named]
	if !ok {
		return artifact{}, fmt.Errorf("failed to resolve {{%s}}", named)
	}
	return artifact{Name: a.Name, S3: found.S3}, nil
}

// parameter works out an output parameter of a graph.
func (s *scope) parameter(p parameter) (parameter, error) {
	made := parameter{Name: p.Name, ValueFrom: p.ValueFrom}
	var text string
	var err error
	switch from := p.ValueFrom; {
	case from == nil:
		return made, fmt.Errorf("the output %s comes from nowhere", p.Name)
	case from.Parameter != "":
		text, err = s.fill(from.Parameter)
	case from.Expression != "":
		if text, err = s.fill(from.Expression); err != nil {
			return made, err
		}
		var v any
		v, err = evaluate(text, s.lookup)
		text = plain(v)
	default:
		return made, fmt.Errorf("the output %s of a graph comes from a path", p.Name)
	}
	made.Value = &text
	return made, err
}

func plain(v any) string {
	if n, ok := v.(float64); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// elements reads the list that a task runs over.
func elements(list string) ([]string, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(list), &raw); err != nil {
		return nil, fmt.Errorf("withParam value could not be parsed as a JSON list: %s: %w", list, err)
	}
	all := make([]string, len(raw))
	for i, one := range raw {
		all[i] = element(one)
	}
	return all, nil
}

// element is a text without its quotes, and anything else as it stands.
func element(raw json.RawMessage) string {
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		return text
	}
	return string(raw)
}

// aggregate is what the runs of a task gave for one output: a list of texts, or of what the texts say
// if each is a list or an object.
func aggregate(values []string) string {
	structured := make([]json.RawMessage, 0, len(values))
	for _, v := range values {
		v = strings.TrimSpace(v)
		if v != "" && (v[0] == '[' || v[0] == '{') && json.Valid([]byte(v)) {
			structured = append(structured, json.RawMessage(v))
		}
	}
	var list any = values
	if len(values) > 0 && len(structured) == len(values) {
		list = structured
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "[]" // texts can always be written
	}
	return string(text)
}
