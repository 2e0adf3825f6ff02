// Package fleet_test compares what the fleet part serves with the API that clients were generated from:
// the document with a list, and every operation with its description, through a generated client.
package fleet_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// schema is as much of JSON Schema as the document uses.
type schema struct {
	Ref                  string             `json:"$ref"`
	Type                 any                `json:"type"`
	Format               string             `json:"format"`
	Enum                 []any              `json:"enum"`
	Items                *schema            `json:"items"`
	Properties           map[string]*schema `json:"properties"`
	Required             []string           `json:"required"`
	AdditionalProperties any                `json:"additionalProperties"`
	AnyOf                []*schema          `json:"anyOf"`
	Default              any                `json:"default"`
}

// document is what clients are generated from.
type document struct {
	Paths      map[string]map[string]operation
	Components struct {
		Schemas         map[string]*schema
		SecuritySchemes map[string]struct{ Type, OpenIDConnectURL string }
	}
}

type operation struct {
	OperationID string
	Parameters  []struct {
		Name, In string
		Required bool
		Schema   *schema
	}
	RequestBody *struct {
		Required bool
		Content  map[string]struct{ Schema *schema }
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema *schema }
	}
	Security []map[string][]string
}

// types are the types that a schema allows.
func (s *schema) types() []string {
	switch t := s.Type.(type) {
	case string:
		return []string{t}
	case []any:
		var all []string
		for _, one := range t {
			all = append(all, fmt.Sprint(one))
		}
		return all
	}
	return nil
}

// nullable says that the value may be null: by its type, as one of several schemas, or because nothing is said.
func (s *schema) nullable() bool {
	return s.anything() || slices.Contains(s.types(), "null") || slices.ContainsFunc(s.AnyOf, (*schema).nullable)
}

func (s *schema) anything() bool { return s.Ref == "" && s.Type == nil && s.AnyOf == nil }

// values is the schema of a map's values.
func (s *schema) values(t testing.TB) *schema {
	if _, there := s.AdditionalProperties.(map[string]any); !there {
		return nil
	}
	text, err := json.Marshal(s.AdditionalProperties)
	noError(t, err)
	of := new(schema)
	noError(t, json.Unmarshal(text, of))
	return of
}

// text is a schema in the notation of models.txt, without what is said of null.
func (d *document) text(t testing.TB, s *schema) string {
	if len(s.AnyOf) > 0 {
		return d.text(t, s.AnyOf[0])
	}
	if s.Ref != "" {
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		if named(t)[name] {
			return name
		}
		s = d.Components.Schemas[name]
	}
	if s.anything() {
		return "any"
	}
	if len(s.Enum) > 0 {
		var words []string
		for _, word := range s.Enum {
			if word != nil {
				words = append(words, fmt.Sprint(word))
			}
		}
		return strings.Join(words, "|")
	}
	switch s.types()[0] {
	case "string":
		if s.Format == "date-time" {
			return "time"
		}
		return "str"
	case "integer":
		return "int"
	case "number":
		return "float"
	case "boolean":
		return "bool"
	case "array":
		return "[" + d.text(t, s.Items) + "]"
	}
	if of := s.values(t); of != nil {
		return "{" + d.text(t, of) + "}"
	}
	if len(s.Properties) == 0 {
		return "object"
	}
	return "{" + strings.Join(d.fields(t, s), ",") + "}"
}

// fields are an object's fields in the notation of models.txt, in alphabetical order.
func (d *document) fields(t testing.TB, s *schema) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		field := s.Properties[name]
		text := name + ":" + d.text(t, field)
		switch required := slices.Contains(s.Required, name); {
		case !required:
			text += "?"
		case field.nullable() && !field.anything():
			text += "|null"
		}
		all = append(all, text)
	}
	return all
}

// lines reads a list of this folder.
func lines(t testing.TB, file string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	noError(t, err)
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}

// named are the models that models.txt has, and ScheduledTask, which has fields that the original lacks.
func named(t testing.TB) map[string]bool {
	all := map[string]bool{"ScheduledTask": true, "TaskDispatchResponse": true, "TaskDiscovery": true}
	for _, line := range lines(t, "models.txt") {
		name, _, _ := strings.Cut(line, " ")
		all[name] = true
	}
	return all
}

// additions are the fields and values that the original lacks; who does not know them does not meet them.
var additions = map[string]string{"PostScheduledTaskRequest.paused:bool?": "", "PostScheduledTaskRequest.time_zone:str?": "", "Schedule.on_day:int?": "", "Schedule.period": "|month"}

// compareModels says where a model is not as the list has it.
func compareModels(t *testing.T, d *document) {
	for _, line := range lines(t, "models.txt") {
		words := strings.Fields(line)
		served := d.Components.Schemas[words[0]]
		if served == nil {
			t.Errorf("the document has no %s", words[0])
			continue
		}
		want := slices.Sorted(slices.Values(words[1:]))
		var got []string
		for _, field := range d.fields(t, served) {
			name, _, _ := strings.Cut(field, ":")
			if _, added := additions[words[0]+"."+field]; !added {
				got = append(got, strings.TrimSuffix(field, cmp.Or(additions[words[0]+"."+name], "no such end")))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\nis   %v\nwant %v", words[0], got, want)
		}
		for name, field := range served.Properties {
			if !slices.Contains(served.Required, name) && !field.nullable() && !emptyInstead(words[0], name) {
				t.Errorf("%s.%s may be missing, but is not said to be null then", words[0], name)
			}
		}
	}
}

// emptyInstead are fields that have an empty value when they are left out.
func emptyInstead(model, field string) bool { return model == "Schedule" && field != "every" }

// compareOperations says where an operation is not as the list has it.
func compareOperations(t *testing.T, d *document) {
	for _, line := range lines(t, "operations.txt") {
		words := strings.Fields(line)
		method, path, id := strings.ToLower(words[0]), words[1], words[2]
		op, there := d.Paths[path][method]
		if !there || op.OperationID != id {
			t.Errorf("%s %s is %q, not %s", words[0], path, op.OperationID, id)
			continue
		}
		var got []string
		for _, p := range op.Parameters {
			text := p.Name + ":" + d.text(t, p.Schema)
			if p.Schema.Default != nil {
				text += "=" + fmt.Sprint(p.Schema.Default)
			}
			if p.Required {
				text += "!"
			}
			if p.In == "query" && !ours(path, p.Name) {
				got = append(got, text)
			}
			if p.In == "path" && !strings.Contains(path, "{"+p.Name+"}") {
				t.Errorf("%s has the parameter %s, but not in its path", id, p.Name)
			}
		}
		if b := op.RequestBody; b != nil {
			text := "body:" + d.text(t, b.Content["application/json"].Schema)
			if !b.Required {
				text += "?"
			}
			got = append(got, text)
		}
		for status, answer := range op.Responses {
			if status < "300" {
				got = append(got, status+":"+d.text(t, answer.Content["application/json"].Schema))
			}
		}
		if want := words[3:]; !slices.Equal(got, want) {
			t.Errorf("%s\nis   %v\nwant %v", id, got, want)
		}
		public := path == "/time" || path == "/socket.io"
		if public != !slices.ContainsFunc(op.Security, func(s map[string][]string) bool { return s["OpenIdConnect"] != nil }) {
			t.Errorf("%s: security %v", id, op.Security)
		}
	}
	if s := d.Components.SecuritySchemes["OpenIdConnect"]; s.Type != "openIdConnect" {
		t.Errorf("the security scheme is %+v", s)
	}
}

// ours says that a parameter is one that the original lacks.
func ours(path, name string) bool {
	switch name {
	case "total":
		return true
	case "limit", "offset", "order_by":
		return path != "/tasks" && path != "/scheduled_tasks" && path != "/admin/users"
	}
	return false
}

// conforms says what about a value is not as its schema says.
func (d *document) conforms(t testing.TB, s *schema, v any, at string) []string {
	t.Helper()
	if s.anything() || v == nil && s.nullable() {
		return nil
	}
	if len(s.AnyOf) > 0 {
		return d.conforms(t, s.AnyOf[0], v, at)
	}
	if s.Ref != "" {
		return d.conforms(t, d.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]], v, at)
	}
	wrong := []string{fmt.Sprintf("%s is %v, not %v", at, v, s.Type)}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		return wrong
	}
	switch v := v.(type) {
	case string:
		if !slices.Contains(s.types(), "string") {
			return wrong
		}
	case bool:
		if !slices.Contains(s.types(), "boolean") {
			return wrong
		}
	case float64:
		if !slices.Contains(s.types(), "number") && (!slices.Contains(s.types(), "integer") || v != float64(int64(v))) {
			return wrong
		}
	case []any:
		if !slices.Contains(s.types(), "array") {
			return wrong
		}
		var all []string
		for i, item := range v {
			all = append(all, d.conforms(t, s.Items, item, fmt.Sprintf("%s[%d]", at, i))...)
		}
		return all
	case map[string]any:
		if !slices.Contains(s.types(), "object") {
			return wrong
		}
		return d.conformsObject(t, s, v, at)
	default:
		return wrong
	}
	return nil
}

func (d *document) conformsObject(t testing.TB, s *schema, v map[string]any, at string) (all []string) {
	of := s.values(t)
	for name, value := range v {
		switch field := s.Properties[name]; {
		case field != nil:
			all = append(all, d.conforms(t, field, value, at+"."+name)...)
		case of != nil:
			all = append(all, d.conforms(t, of, value, at+"."+name)...)
		case s.AdditionalProperties == false:
			all = append(all, at+"."+name+" is not described")
		}
	}
	for _, name := range s.Required {
		if _, there := v[name]; !there {
			all = append(all, at+"."+name+" is missing")
		}
	}
	return all
}
