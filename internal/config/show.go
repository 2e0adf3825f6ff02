package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"lodge/internal/secret"
)

// An Item is one setting as it is in effect, with secrets masked.
type Item struct {
	Key    string `json:"key" example:"listen"`
	Value  string `json:"value" example:"127.0.0.1:8080"`
	Source string `json:"source" doc:"Where the value came from" example:"lodge.yaml:3"`
}

// Items lists every setting in the order of its declaration; those of lists by their index.
func (l *Loaded) Items() []Item {
	var items []Item
	for _, s := range settings("", reflect.ValueOf(l.Config)) {
		source := "default"
		if from, ok := l.Sources[s.key]; ok {
			source = string(from)
		}
		if !s.isList() {
			items = append(items, Item{s.key, s.text(), source})
			continue
		}
		if s.value.Len() == 0 {
			items = append(items, Item{s.key, "[]", source})
		}
		for i := range s.value.Len() {
			for _, leaf := range settings(fmt.Sprintf("%s[%d].", s.key, i), s.value.Index(i)) {
				if !leaf.value.IsZero() {
					items = append(items, Item{leaf.key, leaf.text(), source})
				}
			}
		}
	}
	return items
}

// text is the setting's value as a file would hold it; a secret is masked.
func (s setting) text() string {
	switch v := s.value.Interface().(type) {
	case secret.String:
		return v.String()
	case time.Duration:
		return duration(v)
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	case string:
		return v
	case Document:
		return v.names()
	}
	return fmt.Sprint(s.value.Interface())
}

// names lists the ids of a document's entries: what else stands in them may be nobody else's business.
func (d Document) names() string {
	var entries []struct {
		ID string `yaml:"id"`
	}
	if yaml.Unmarshal([]byte(d), &entries) != nil {
		return "…"
	}
	ids := make([]string, 0, len(entries))
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	if d == "" {
		return ""
	}
	return "[" + strings.Join(ids, ", ") + "]"
}

// duration drops the zeros that Go prints: 12h, not 12h0m0s.
func duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Example is a lodge.yaml with every setting, commented out and explained, so that it changes
// nothing as it is.
func Example() string {
	var b strings.Builder
	b.WriteString("# Every setting of Lodge with its default, commented out: a bare start needs none of them.\n" +
		"# Each can also be a variable: LODGE_ and the path in capitals, such as LODGE_RESULTS_HUB_URL.\n")
	exampleBlock(&b, reflect.TypeFor[Config](), "")
	return b.String()
}

// exampleBlock writes the fields of a block. The names of blocks stand as they are, so that
// a setting is turned on by taking away one #.
func exampleBlock(b *strings.Builder, t reflect.Type, indent string) {
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Type.Kind() == reflect.Struct:
			fmt.Fprintf(b, "\n%s%s:\n", indent, f.Tag.Get("key"))
			exampleBlock(b, f.Type, indent+"  ")
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s# %s\n%s#%s:\n", indent, f.Tag.Get("help"), indent, f.Tag.Get("key"))
			exampleList(b, f.Type.Elem(), indent)
		default:
			fmt.Fprintf(b, "%s# %s\n%s#%s: %s\n", indent, help(f.Tag), indent, f.Tag.Get("key"), sample(f.Tag))
		}
	}
}

// exampleList writes one item of a list of blocks.
func exampleList(b *strings.Builder, t reflect.Type, indent string) {
	for i := range t.NumField() {
		tag, bullet := t.Field(i).Tag, "    "
		if i == 0 {
			bullet = "  - "
		}
		fmt.Fprintf(b, "%s#     # %s\n%s#%s%s: %s\n", indent, help(tag), indent, bullet, tag.Get("key"), sample(tag))
	}
}

func help(tag reflect.StructTag) string {
	text := tag.Get("help")
	if enum := tag.Get("enum"); enum != "" {
		text += " One of " + strings.ReplaceAll(enum, ",", ", ") + "."
	}
	return text
}

// sample is the default, or what a value could look like.
func sample(tag reflect.StructTag) string {
	if value, ok := tag.Lookup("default"); ok {
		return value
	}
	return tag.Get("example")
}
