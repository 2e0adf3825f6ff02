package httpapi

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"lodge/internal/fault"
)

// registry holds the schemas of a document or a plan. Types of the same name from different
// packages get their package's name in front.
type registry struct{ huma.Registry }

func newRegistry() registry {
	names := map[string]reflect.Type{}
	return registry{huma.NewMapRegistry("#/components/schemas/", func(t reflect.Type, hint string) string {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		name := huma.DefaultSchemaNamer(t, hint)
		if other, taken := names[name]; taken && other != t {
			pkg := t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:]
			if pkg != "" {
				name = strings.ToUpper(pkg[:1]) + pkg[1:] + name
			}
		}
		names[name] = t
		return name
	})}
}

// validate checks a value and returns every finding, in a stable order.
func (reg registry) validate(schema *huma.Schema, loc []string, value any) []fault.Field {
	var result huma.ValidateResult
	huma.Validate(reg.Registry, schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, value, &result)
	if len(result.Errors) == 0 {
		return nil
	}
	findings := make([]fault.Field, 0, len(result.Errors))
	for _, err := range result.Errors {
		findings = append(findings, fieldOf(loc, err))
	}
	slices.SortStableFunc(findings, func(a, b fault.Field) int { return slices.Compare(a.Loc, b.Loc) })
	return findings
}

// fieldOf turns the schema library's finding into ours: the place as a list, and a type.
func fieldOf(loc []string, err error) fault.Field {
	f := fault.Field{Loc: slices.Clone(loc), Type: "invalid", Message: err.Error()}
	var detail *huma.ErrorDetail
	if !errors.As(err, &detail) {
		return f
	}
	f.Loc = append(f.Loc, splitLocation(detail.Location)...)
	f.Message, f.Input = detail.Message, detail.Value
	if name, ok := strings.CutPrefix(detail.Message, "expected required property "); ok {
		f.Loc = append(f.Loc, strings.TrimSuffix(name, " to be present"))
		f.Type, f.Message, f.Input = "missing", "is required", nil
	}
	if detail.Message == "unexpected property" {
		f.Type, f.Message, f.Input = "unexpected", "is not known here", nil
	}
	return f
}

// splitLocation cuts "items[3].name" into its names and indexes.
func splitLocation(location string) []string {
	return strings.FieldsFunc(location, func(c rune) bool { return c == '.' || c == '[' || c == ']' })
}
