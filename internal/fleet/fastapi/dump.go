package fastapi

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// JSON is v as compact JSON without HTML escapes.
func JSON(v any) ([]byte, error) {
	var buf bytes.Buffer // written once, so that it has the right size
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Dump is v as compact JSON without the declared fields that are null; nulls inside of what nobody
// looks into stay.
func Dump(v any) ([]byte, error) {
	buf := bytes.NewBuffer(make([]byte, 0, 512))
	err := dump(buf, reflect.ValueOf(v))
	return buf.Bytes(), err
}

func dump(buf *bytes.Buffer, v reflect.Value) error {
	if _, own := v.Interface().(json.Marshaler); own {
		return dumpLeaf(buf, v)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return dump(buf, v.Elem())
		}
	case reflect.Struct:
		return dumpStruct(buf, v)
	case reflect.Slice:
		if !v.IsNil() {
			return dumpList(buf, v)
		}
	default:
	}
	return dumpLeaf(buf, v)
}

func dumpStruct(buf *bytes.Buffer, v reflect.Value) error {
	buf.WriteByte('{')
	first := true
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		f := v.Field(i)
		if name == "" || name == "-" || nothing(f) {
			continue
		}
		if !first {
			buf.WriteByte(',')
		}
		first = false
		buf.Write(quote(name))
		buf.WriteByte(':')
		if err := dump(buf, f); err != nil {
			return err
		}
	}
	buf.WriteByte('}')
	return nil
}

// nothing says that a field is null.
func nothing(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map:
		return v.IsNil()
	case reflect.Slice:
		if raw, ok := v.Interface().(json.RawMessage); ok {
			return isNull(raw)
		}
		return v.IsNil()
	default:
		return false
	}
}

func dumpList(buf *bytes.Buffer, v reflect.Value) error {
	buf.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			buf.WriteByte(',')
		}
		if err := dump(buf, v.Index(i)); err != nil {
			return err
		}
	}
	buf.WriteByte(']')
	return nil
}

func dumpLeaf(buf *bytes.Buffer, v reflect.Value) error {
	text, err := JSON(v.Interface())
	buf.Write(text)
	return err
}

// Complete makes empty lists of those that are required and nil, so that they are never null.
func Complete(v any) { complete(reflect.ValueOf(v), false) }

func complete(v reflect.Value, optional bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			complete(v.Elem(), optional)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag; tag.Get("json") != "" {
				complete(v.Field(i), tag.Get("required") == "false")
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		if v.IsNil() && !optional {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			complete(v.Index(i), false)
		}
	default:
	}
}
