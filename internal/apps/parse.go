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

// wrongKeys reads an entry key by key, so that every value that cannot be read is named and not only
// the first. It is empty for what is no object.
func wrongKeys(data []byte) []finding {
	var entry map[string]json.RawMessage
	if json.Unmarshal(data, &entry) != nil {
		return nil
	}
	f := &findings{}
	for _, key := range slices.Sorted(maps.Keys(entry)) {
		one, err := json.Marshal(map[string]json.RawMessage{key: entry[key]})
		if err != nil {
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(one))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(new(App))
		var kind *json.UnmarshalTypeError
		switch {
		case err == nil:
		case errors.As(err, &kind):
			f.add(kind.Field, "is no %s", typeWord(kind.Type))
		default:
			unknown, found := strings.CutPrefix(err.Error(), "json: unknown field ")
			switch name := strings.Trim(unknown, `"`); {
			case !found:
				f.add(key, "%v", err)
			case name == key:
				f.add(key, "an app has no such key")
			default:
				f.add(key, "has no key %q", name)
			}
		}
	}
	return f.list
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
