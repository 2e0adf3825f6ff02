package httpapi

import (
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// tellNulls says of every property of the document that may be null that it may. The schema library
// says so of pointers to numbers and texts and of lists, but neither of pointers to objects nor of maps,
// and leaves null out of enumerations; clients that are generated from the document would then choke on
// what they are sent.
func (reg registry) tellNulls() {
	for name, schema := range reg.Map() {
		t := reg.TypeFromRef("#/components/schemas/" + name)
		for t != nil && t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t == nil || t.Kind() != reflect.Struct {
			continue
		}
		for _, field := range reflect.VisibleFields(t) {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			property := schema.Properties[name]
			if property == nil || strings.Contains(options, "omit") || field.Tag.Get("nullable") == "false" {
				continue
			}
			schema.Properties[name] = orNull(property, field.Type)
		}
	}
}

// orNull is the schema of a field of the type, with null if it can be that.
func orNull(schema *huma.Schema, t reflect.Type) *huma.Schema {
	pointer := t.Kind() == reflect.Pointer
	switch {
	case pointer && schema.Ref != "":
		return &huma.Schema{Description: schema.Description, AnyOf: []*huma.Schema{{Ref: schema.Ref}, {Type: "null"}}}
	case schema.Type == huma.TypeObject && (pointer || t.Kind() == reflect.Map || t.Kind() == reflect.Slice):
		schema.Nullable = true
	}
	if schema.Nullable && len(schema.Enum) > 0 && !slices.Contains(schema.Enum, nil) {
		schema.Enum = append(slices.Clone(schema.Enum), nil)
	}
	return schema
}
