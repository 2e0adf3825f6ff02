package fastapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"lodge/internal/fault"
)

// Read reads a request into a struct; everything that is wrong with it comes back as Findings.
func Read[T any](r *http.Request) (T, error) {
	var req T
	var d decoder
	v := reflect.ValueOf(&req).Elem()
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		query = url.Values{}
	}
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Anonymous {
			continue
		}
		if f.Name == "Body" {
			if err := d.body(r, v.FieldByIndex(f.Index), f.Tag); err != nil {
				return req, err
			}
			continue
		}
		d.param(r, query, v.FieldByIndex(f.Index), f.Tag)
	}
	return req, d.found.Err()
}

// param reads one parameter. Of several with a name the last one counts, as there.
func (d *decoder) param(r *http.Request, query url.Values, v reflect.Value, tag reflect.StructTag) {
	if name := tag.Get("path"); name != "" {
		d.value(quote(r.PathValue(name)), v, tag, []any{"path", name})
		return
	}
	name := tag.Get("query")
	if name == "" {
		return
	}
	loc := []any{"query", name}
	sent := query[name]
	if len(sent) == 0 {
		if def, there := tag.Lookup("default"); there {
			d.value(quote(def), v, tag, loc)
		} else if tag.Get("required") == "true" {
			d.found = append(d.found, Missing(loc...))
		}
		return
	}
	d.value(quote(sent[len(sent)-1]), v, tag, loc)
}

// quote makes the JSON text that a parameter is to pydantic.
func quote(text string) json.RawMessage {
	buf := new(bytes.Buffer)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a text can always be encoded
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// body reads the JSON body. A pointer may be left out.
func (d *decoder) body(r *http.Request, v reflect.Value, tag reflect.StructTag) error {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	loc := []any{"body"}
	raw = bytes.TrimSpace(raw)
	optional := v.Kind() == reflect.Pointer
	switch {
	case len(raw) == 0 && optional:
		return nil
	case len(raw) == 0:
		d.found = append(d.found, Missing(loc...))
		return nil
	case !isJSON(r.Header.Get("Content-Type")):
		// The text is what it is given; and a page of a foreign site cannot send JSON unasked.
		d.find("model_attributes_type", "Input should be a valid dictionary or object to extract fields from", loc, quote(string(raw)), nil)
		return nil
	case !utf8.Valid(raw) || !json.Valid(raw):
		d.found = append(d.found, syntax(raw))
		return nil
	case isNull(raw) && !optional:
		d.found = append(d.found, Missing(loc...))
		return nil
	case depth(raw) > maxDepth:
		return fault.New(fault.Invalid, "the body nests deeper than %d levels", maxDepth)
	}
	d.value(raw, v, tag, loc)
	return nil
}

// maxDepth bounds how deep a body may nest.
const maxDepth = 64

// depth is how deep valid JSON nests.
func depth(raw []byte) (deepest int) {
	level, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

func sorted(m map[string]json.RawMessage) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
