package apps

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ParseApp reads one entry as JSON. Keys that nobody knows are errors; the entry has its defaults
// and was checked.
func ParseApp(data []byte) (App, error) {
	var a App
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a); err != nil {
		if wrong := wrongKeys(data); len(wrong) > 0 {
			err = &specError{wrong}
		}
		return App{}, fmt.Errorf("app %s: %w", a.ID, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return App{}, errors.New("an app is one object")
	}
	var raw struct {
		Idle *Duration `json:"idle_timeout"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return App{}, fmt.Errorf("app %s: %w", a.ID, err)
	}
	if raw.Idle != nil && *raw.Idle == 0 {
		a.NeverIdle = true
	}
	a = a.withDefaults()
	if wrong := a.check(); len(wrong) > 0 {
		return App{}, fmt.Errorf("app %s: %w", a.ID, &specError{wrong})
	}
	return a, nil
}

// maxFindings is how many pieces that cannot be read are named at most.
const maxFindings = 50

// wrongKeys reads an entry piece by piece, so that every value that cannot be read is named and not
// only the first. It is empty for what is no object.
func wrongKeys(data []byte) []finding {
	f := &findings{}
	f.probe(data, "", func(piece json.RawMessage) json.RawMessage { return piece })
	return f.list
}

// probe looks for the smallest pieces of a value that cannot be read. within puts a piece back where
// it stands in an otherwise empty entry.
func (f *findings) probe(piece json.RawMessage, key string, within func(json.RawMessage) json.RawMessage) {
	fails := func(text json.RawMessage) error {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		return decoder.Decode(new(App))
	}
	err := fails(within(piece))
	if err == nil || len(f.list) >= maxFindings {
		return
	}
	if fails(within(json.RawMessage("null"))) != nil {
		f.add(key, "an app has no such key") // null is nothing to any key that there is
		return
	}
	known := len(f.list)
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case json.Unmarshal(piece, &object) == nil:
		for _, name := range slices.Sorted(maps.Keys(object)) {
			f.probe(object[name], strings.TrimPrefix(key+"."+name, "."), func(inner json.RawMessage) json.RawMessage {
				quoted, _ := json.Marshal(name) // a text can be written
				return within(slices.Concat([]byte("{"), quoted, []byte(":"), inner, []byte("}")))
			})
		}
	case json.Unmarshal(piece, &list) == nil:
		for i, one := range list {
			f.probe(one, fmt.Sprintf("%s[%d]", key, i), func(inner json.RawMessage) json.RawMessage {
				return within(slices.Concat([]byte("["), inner, []byte("]")))
			})
		}
	}
	if len(f.list) > known || key == "" {
		return // it was the pieces
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		f.add(key, "is no %s", typeWord(kind.Type))
		return
	}
	f.add(key, "%v", err)
}

// typeWord names what a value should have been, in the words of whoever writes an entry.
func typeWord(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "list"
	case reflect.Map, reflect.Struct:
		return "object"
	case reflect.String:
		return "text"
	default:
		return "number"
	}
}

// ParseCatalogue reads the list of entries as YAML, and reports everything wrong with it at once.
func ParseCatalogue(text []byte) ([]App, error) {
	var entries []map[string]any
	if err := yaml.Unmarshal(text, &entries); err != nil {
		return nil, fmt.Errorf("the catalogue: %w", err)
	}
	var list []App
	var wrong []error
	seen := map[AppID]bool{}
	for i, entry := range entries {
		data, err := json.Marshal(entry)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("app %d of the catalogue: %w", i+1, err))
			continue
		}
		a, err := ParseApp(data)
		switch {
		case err != nil:
			wrong = append(wrong, err)
		case seen[a.ID]:
			wrong = append(wrong, fmt.Errorf("app %s stands twice in the catalogue", a.ID))
		default:
			seen[a.ID] = true
			list = append(list, a)
		}
	}
	return list, errors.Join(wrong...)
}
