package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// published is an OpenAPI document of somebody else's, to hold answers against.
type published struct {
	doc map[string]any
	// nullable are properties that may be null though the document's types do not say so: its own
	// descriptions do, or its own server answers so.
	nullable []string
}

func readPublished(t testing.TB, path string, nullable ...string) *published {
	t.Helper()
	text, err := os.ReadFile(path)
	noError(t, err)
	p := &published{nullable: nullable}
	noError(t, yaml.Unmarshal(text, &p.doc))
	p.doc, _ = named(p.doc).(map[string]any)
	return p
}

// named makes all keys texts: statuses are numbers in YAML.
func named(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, one := range v {
			v[key] = named(one)
		}
	case map[any]any:
		out := map[string]any{}
		for key, one := range v {
			out[fmt.Sprint(key)] = named(one)
		}
		return out
	case []any:
		for i, one := range v {
			v[i] = named(one)
		}
	}
	return v
}

// at follows names from the top.
func (p *published) at(names ...string) map[string]any {
	var here any = p.doc
	for _, name := range names {
		m, ok := here.(map[string]any)
		if !ok {
			return nil
		}
		here = m[name]
	}
	m, _ := here.(map[string]any)
	return m
}

// check holds an answer against what the document says of the operation, whose path is a template.
func (p *published) check(a answer, method, template string) error {
	operation := p.at("paths", template, strings.ToLower(method))
	if operation == nil {
		return fmt.Errorf("the document has no %s %s", method, template)
	}
	responses, _ := operation["responses"].(map[string]any)
	said, ok := responses[strconv.Itoa(a.status)].(map[string]any)
	if !ok {
		if a.status >= 400 {
			return nil // it describes few failures
		}
		return fmt.Errorf("the document knows no %d, only %v", a.status, responses)
	}
	content, _ := said["content"].(map[string]any)
	media, ok := content["application/json"].(map[string]any)
	if !ok {
		if a.status < 400 && strings.TrimSpace(a.body) != "" {
			return fmt.Errorf("%d has the body %s, and should have none", a.status, a.body)
		}
		return nil
	}
	var value any
	if err := json.Unmarshal([]byte(a.body), &value); err != nil {
		return err
	}
	return p.fits(value, media["schema"], "answer")
}

// fits says where a value differs from a schema.
func (p *published) fits(value, schema any, where string) error {
	s, ok := schema.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: no schema", where)
	}
	if ref, ok := s["$ref"].(string); ok {
		return p.fits(value, p.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...), where)
	}
	if value == nil && slices.Contains(p.nullable, where[strings.LastIndexByte(where, '.')+1:]) {
		return nil
	}
	if err := ofType(value, s["type"], where); err != nil {
		return err
	}
	for _, all := range listOf(s["allOf"]) {
		if err := p.fits(value, all, where); err != nil {
			return err
		}
	}
	if by, ok := s["discriminator"].(map[string]any); ok {
		kinds, _ := by["mapping"].(map[string]any)
		object, _ := value.(map[string]any)
		kind := fmt.Sprint(object[fmt.Sprint(by["propertyName"])])
		if kinds[kind] == nil {
			return fmt.Errorf("%s: %q is none of %v", where, kind, kinds)
		}
		return p.fits(value, map[string]any{"$ref": kinds[kind]}, where)
	}
	if allowed := listOf(s["enum"]); len(allowed) > 0 && !slices.Contains(allowed, value) {
		return fmt.Errorf("%s: %v is none of %v", where, value, allowed)
	}
	if text, ok := value.(string); ok && s["format"] == "date-time" {
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return p.parts(value, s, where)
}

// parts looks into lists and objects.
func (p *published) parts(value any, s map[string]any, where string) error {
	for i, one := range listOf(value) {
		if s["items"] != nil {
			if err := p.fits(one, s["items"], fmt.Sprintf("%s[%d]", where, i)); err != nil {
				return err
			}
		}
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	for _, name := range listOf(s["required"]) {
		if _, there := object[fmt.Sprint(name)]; !there {
			return fmt.Errorf("%s: %v is missing", where, name)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for name, one := range object {
		schema := properties[name]
		if schema == nil {
			schema = s["additionalProperties"]
		}
		if _, ok := schema.(map[string]any); !ok {
			continue
		}
		if err := p.fits(one, schema, where+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func listOf(v any) []any {
	list, _ := v.([]any)
	return list
}

func ofType(value, wanted any, where string) error {
	allowed := listOf(wanted)
	switch {
	case wanted == nil:
		return nil
	case allowed == nil:
		allowed = []any{wanted}
	}
	var is string
	switch value.(type) {
	case nil:
		is = "null"
	case bool:
		is = "boolean"
	case float64:
		is = "number"
	case string:
		is = "string"
	case []any:
		is = "array"
	default:
		is = "object"
	}
	if !slices.Contains(allowed, any(is)) {
		return fmt.Errorf("%s: is %s, want %v", where, is, allowed)
	}
	return nil
}
