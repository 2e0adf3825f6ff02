package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a configuration file: a larger one is a mistake.
const maxFile = 1 << 20

// parseFile reads one YAML document. Each finding names the file and the line.
func (l *loader) parseFile(name string, text []byte) {
	if len(text) > maxFile {
		l.fail("%s: the file is larger than 1 MiB", name)
		return
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		l.fail("%s: %s", name, yamlProblem(err))
		return
	}
	if len(doc.Content) == 0 {
		return // an empty file sets nothing
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		l.fail("%s:%d: the file must hold settings, as in `listen: 127.0.0.1:8080`", name, doc.Content[0].Line)
		return
	}
	l.walk(name, "", doc.Content[0], reflect.ValueOf(&l.Config).Elem())
}

// yamlProblem says in which line the parser stopped.
func yamlProblem(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`^line (\d+): (.*)`).FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("line %s: not valid YAML: %s", m[1], m[2])
	}
	return "not valid YAML: " + text
}

// walk sets the fields of the struct v from a mapping.
func (l *loader) walk(file, prefix string, node *yaml.Node, v reflect.Value) {
	fields := map[string]int{} // by name
	for i := range v.NumField() {
		fields[v.Type().Field(i).Tag.Get("key")] = i
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i].Value, node.Content[i+1]
		where := fmt.Sprintf("%s:%d", file, node.Content[i].Line)
		index, ok := fields[name]
		switch {
		case !ok:
			l.fail("%s: there is no setting %q%s", where, prefix+name, nearest(name, slices.Sorted(maps.Keys(fields))))
			continue
		case seen[name]:
			l.fail("%s: %s is set twice", where, prefix+name)
			continue
		}
		seen[name] = true
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		l.assign(file, where, prefix+name, value, v.Type().Field(index), v.Field(index))
	}
}

func (l *loader) assign(file, where, key string, value *yaml.Node, f reflect.StructField, v reflect.Value) {
	s := setting{key: key, tag: f.Tag, value: v}
	switch {
	case value.Tag == "!!null":
		return // an empty value keeps the default
	case v.Kind() == reflect.Struct:
		if value.Kind != yaml.MappingNode {
			l.fail("%s: %s must be a block of settings", where, key)
			return
		}
		l.walk(file, key+".", value, v)
		return
	case s.isList():
		l.assignList(file, where, s, value)
	case s.isDocument() && value.Kind != yaml.ScalarNode:
		text, err := yaml.Marshal(value)
		if err != nil {
			l.fail("%s: %s: %w", where, key, err)
			return
		}
		v.SetString(string(text))
	case v.Kind() == reflect.Slice:
		list, err := stringList(value)
		if err != nil {
			l.fail("%s: %s: %w", where, key, err)
			return
		}
		v.Set(reflect.ValueOf(list))
	case value.Kind != yaml.ScalarNode:
		l.fail("%s: %s must be a single value", where, key)
		return
	default:
		if err := s.set(value.Value); err != nil {
			if s.secret() {
				err = errors.New("the value is not valid")
			}
			l.fail("%s: %s: %w", where, key, err)
			return
		}
	}
	l.Sources[key] = Source(where)
}

func (l *loader) assignList(file, where string, s setting, value *yaml.Node) {
	if value.Kind == yaml.MappingNode {
		value = named(value, s.value.Type().Elem().Field(0).Tag.Get("key"))
	}
	if value.Kind != yaml.SequenceNode {
		l.fail("%s: %s must be a list", where, s.key)
		return
	}
	list := reflect.MakeSlice(s.value.Type(), 0, len(value.Content))
	for i, item := range value.Content {
		one := reflect.New(s.value.Type().Elem()).Elem()
		for _, leaf := range settings("", one) {
			setDefault(leaf)
		}
		if item.Kind != yaml.MappingNode {
			l.fail("%s:%d: %s[%d] must be a block of settings", file, item.Line, s.key, i)
			continue
		}
		l.walk(file, fmt.Sprintf("%s[%d].", s.key, i), item, one)
		list = reflect.Append(list, one)
	}
	s.value.Set(list)
}

// named makes a list of a mapping: its names become each item's first setting.
func named(mapping *yaml.Node, key string) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode, Line: mapping.Line}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		name, item := mapping.Content[i], *mapping.Content[i+1]
		if item.Kind == yaml.MappingNode {
			first := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Line: name.Line}
			item.Content = append([]*yaml.Node{first, name}, item.Content...)
		}
		list.Content = append(list.Content, &item)
	}
	return list
}

// setList reads a list of blocks from a variable that holds YAML or JSON.
func (l *loader) setList(s setting, text []byte, where string, from Source) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil || len(doc.Content) == 0 {
		l.fail("%s: must hold a list as YAML or JSON", where)
		return
	}
	l.assignList(where, where, s, doc.Content[0])
	l.Sources[s.key] = from
}

func stringList(node *yaml.Node) ([]string, error) {
	if node.Kind == yaml.ScalarNode {
		return splitList(node.Value), nil
	}
	if node.Kind != yaml.SequenceNode {
		return nil, errors.New("must be a list of texts, such as [a, b]")
	}
	list := []string{}
	for _, item := range node.Content {
		if item.Kind != yaml.ScalarNode || strings.TrimSpace(item.Value) == "" {
			return nil, fmt.Errorf("line %d: must be a text", item.Line)
		}
		list = append(list, item.Value)
	}
	return list, nil
}
