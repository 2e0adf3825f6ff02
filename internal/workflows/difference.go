package workflows

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxDifferences is how many places a conflict names.
const maxDifferences = 10

// differences names the places in which two documents differ, as JSON pointers. What the server
// sets by itself is left out.
func differences(a, b document) []string {
	x, err := plainOf(a)
	y, other := plainOf(b)
	if err != nil || other != nil {
		return []string{"/"}
	}
	for _, doc := range []any{x, y} {
		if o, ok := doc.(map[string]any); ok {
			for _, name := range []string{"timestamp", "modifiedBy", "version"} {
				delete(o, name)
			}
		}
	}
	var found []string
	differ("", x, y, &found)
	if len(found) == 0 {
		return []string{"nothing but its time"}
	}
	if len(found) > maxDifferences {
		found = append(found[:maxDifferences], "and more")
	}
	return found
}

func plainOf(d document) (v any, err error) {
	text, err := asJSON(d.body())
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	return v, dec.Decode(&v)
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

func differ(at string, a, b any, found *[]string) {
	if len(*found) > maxDifferences {
		return
	}
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			*found = append(*found, at)
			return
		}
		names := maps.Clone(x)
		maps.Copy(names, y)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			one, there := x[name]
			other, too := y[name]
			if there != too {
				*found = append(*found, at+"/"+escapePointer.Replace(name))
				continue
			}
			differ(at+"/"+escapePointer.Replace(name), one, other, found)
		}
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			*found = append(*found, at)
			return
		}
		for i := range x {
			differ(fmt.Sprintf("%s/%d", at, i), x[i], y[i], found)
		}
	default:
		if a != b {
			*found = append(*found, at)
		}
	}
}
