package fastapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Object is a JSON object that nobody looks into; it stays as it was sent.
type Object json.RawMessage

// MarshalJSON writes the object as it is; nil is null.
func (o Object) MarshalJSON() ([]byte, error) { return json.RawMessage(o).MarshalJSON() }

// UnmarshalJSON keeps the object; null is nil.
func (o *Object) UnmarshalJSON(raw []byte) error {
	*o = nil
	if !isNull(raw) {
		*o = bytes.Clone(raw)
	}
	return nil
}

// Schema describes any object.
func (Object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// Float is a number that is written with a decimal point, as clients know it; what is no number is
// null.
type Float float64

// MarshalJSON writes the number.
func (f Float) MarshalJSON() ([]byte, error) {
	v := float64(f)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	if abs := math.Abs(v); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.AppendFloat(make([]byte, 0, 24), v, 'e', -1, 64), nil
	}
	text := strconv.AppendFloat(make([]byte, 0, 24), v, 'f', -1, 64)
	if bytes.IndexByte(text, '.') < 0 {
		text = append(text, ".0"...)
	}
	return text, nil
}

// UnmarshalJSON reads a number; null, as bridges write what is no number, is 0.
func (f *Float) UnmarshalJSON(raw []byte) error {
	if isNull(raw) {
		*f = 0
		return nil
	}
	return json.Unmarshal(raw, (*float64)(f))
}

func isNull(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

// decoder collects what is wrong on the way.
type decoder struct{ found Findings }

func (d *decoder) find(kind, msg string, loc []any, input json.RawMessage, ctx map[string]any) {
	var short bytes.Buffer
	if json.Compact(&short, input) == nil {
		input = short.Bytes()
	}
	d.found = append(d.found, Finding{Type: kind, Loc: append([]any{}, loc...), Msg: msg, Input: input, Ctx: ctx})
}

// Unmarshal reads JSON into what v points to, coercing what pydantic coerces.
func Unmarshal(raw []byte, v any) Findings {
	raw = bytes.TrimSpace(raw)
	if !json.Valid(raw) {
		return Findings{syntax(raw)}
	}
	var d decoder
	d.value(raw, reflect.ValueOf(v).Elem(), "", nil)
	return d.found
}

// syntax is the finding about what is no JSON.
func syntax(raw []byte) Finding {
	var at int64
	reason := "Expecting value"
	var bad *json.SyntaxError
	var whole json.RawMessage
	if errors.As(json.Unmarshal(raw, &whole), &bad) {
		at = max(bad.Offset-1, 0)
		switch text := bad.Error(); {
		case strings.Contains(text, "after top-level value"):
			reason = "Extra data"
		case strings.Contains(text, "looking for beginning of object key"):
			reason = "Expecting property name enclosed in double quotes"
		case strings.Contains(text, "after object key:value pair"), strings.Contains(text, "after array element"):
			reason = "Expecting ',' delimiter"
		case strings.Contains(text, "after object key"):
			reason = "Expecting ':' delimiter"
		case strings.Contains(text, "in string"):
			reason = "Invalid control character at"
		}
	}
	return Finding{
		Type: "json_invalid", Loc: []any{"body", at}, Msg: "JSON decode error", Input: json.RawMessage("{}"),
		Ctx: map[string]any{"error": reason},
	}
}

// value reads raw into v by its type. The tag is that of the field that v is, if it is one.
func (d *decoder) value(raw json.RawMessage, v reflect.Value, tag reflect.StructTag, loc []any) {
	raw = bytes.TrimSpace(raw)
	if isNull(raw) && (tag.Get("required") == "false" || v.Kind() == reflect.Pointer || v.Type() == reflect.TypeFor[json.RawMessage]()) {
		if v.Type() == reflect.TypeFor[json.RawMessage]() && tag.Get("required") != "false" {
			v.SetBytes([]byte("null"))
			return
		}
		v.SetZero()
		return
	}
	switch v.Interface().(type) {
	case json.RawMessage:
		v.SetBytes(bytes.Clone(raw))
		return
	case Object:
		if raw[0] != '{' {
			d.find("dict_type", "Input should be a valid dictionary", loc, raw, nil)
			return
		}
		v.SetBytes(bytes.Clone(raw))
		return
	case time.Time:
		d.time(raw, v, loc)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(raw, v.Elem(), tag, loc)
	case reflect.Struct:
		d.object(raw, v, loc)
	case reflect.Slice:
		d.list(raw, v, tag, loc)
	case reflect.Map:
		d.dict(raw, v, loc)
	case reflect.String:
		d.text(raw, v, tag, loc)
	case reflect.Bool:
		d.truth(raw, v, loc)
	case reflect.Float64:
		d.float(raw, v, tag, loc)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		d.integer(raw, v, tag, loc)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		d.integer(raw, v, tag, loc)
	default:
		panic(fmt.Sprintf("fastapi: a %s cannot be read", v.Type()))
	}
}

func (d *decoder) object(raw json.RawMessage, v reflect.Value, loc []any) {
	var fields map[string]json.RawMessage
	if raw[0] != '{' || json.Unmarshal(raw, &fields) != nil {
		d.find("model_attributes_type", "Input should be a valid dictionary or object to extract fields from", loc, raw, nil)
		return
	}
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		at := append(loc[:len(loc):len(loc)], name)
		sent, there := fields[name]
		switch {
		case there:
			d.value(sent, v.Field(i), f.Tag, at)
		case f.Tag.Get("required") != "false":
			d.find("missing", "Field required", at, raw, nil)
		}
	}
}

func (d *decoder) list(raw json.RawMessage, v reflect.Value, tag reflect.StructTag, loc []any) {
	var items []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &items) != nil {
		d.find("list_type", "Input should be a valid list", loc, raw, nil)
		return
	}
	before := len(d.found)
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		d.value(item, v.Index(i), itemTag(tag), append(loc[:len(loc):len(loc)], i))
	}
	if n, err := strconv.Atoi(tag.Get("minItems")); err == nil && len(items) < n && len(d.found) == before {
		d.find("too_short", fmt.Sprintf("List should have at least %d item after validation, not %d", n, len(items)), loc, raw,
			map[string]any{"field_type": "List", "min_length": n, "actual_length": len(items)})
	}
}

// itemTag is what a list's tag says of its items.
func itemTag(tag reflect.StructTag) reflect.StructTag {
	if item := tag.Get("items"); item != "" {
		return reflect.StructTag(item)
	}
	return ""
}

func (d *decoder) dict(raw json.RawMessage, v reflect.Value, loc []any) {
	var fields map[string]json.RawMessage
	if raw[0] != '{' || json.Unmarshal(raw, &fields) != nil {
		d.find("dict_type", "Input should be a valid dictionary", loc, raw, nil)
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(fields)))
	for _, name := range sorted(fields) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(fields[name], item, "", append(loc[:len(loc):len(loc)], name))
		v.SetMapIndex(reflect.ValueOf(name), item)
	}
}

func (d *decoder) text(raw json.RawMessage, v reflect.Value, tag reflect.StructTag, loc []any) {
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		d.find("string_type", "Input should be a valid string", loc, raw, nil)
		return
	}
	if kind, msg, ctx := checkEnum(s, tag); kind != "" {
		d.find(kind, msg, loc, raw, ctx)
		return
	}
	v.SetString(s)
}

// checkEnum gives the finding about a text that is none of those permitted.
func checkEnum(s string, tag reflect.StructTag) (kind, msg string, ctx map[string]any) {
	list, limited := tag.Lookup("enum")
	if !limited {
		return "", "", nil
	}
	words := strings.Split(list, ",")
	for i, w := range words {
		if w == s {
			return "", "", nil
		}
		words[i] = "'" + w + "'"
	}
	last := len(words) - 1
	if last == 0 {
		return "literal_error", "Input should be " + words[0], map[string]any{"expected": words[0]}
	}
	expected := strings.Join(words[:last], ", ") + " or " + words[last]
	return "enum", "Input should be " + expected, map[string]any{"expected": expected}
}

// truth reads the texts that count as booleans.
func truth(s string) (is, ok bool) {
	switch strings.ToLower(s) {
	case "1", "true", "t", "yes", "y", "on":
		return true, true
	case "0", "false", "f", "no", "n", "off":
		return false, true
	}
	return false, false
}

func (d *decoder) truth(raw json.RawMessage, v reflect.Value, loc []any) {
	text := string(raw)
	switch raw[0] {
	case '{', '[', 'n':
		d.find("bool_type", "Input should be a valid boolean", loc, raw, nil)
		return
	case '"':
		_ = json.Unmarshal(raw, &text)
	default:
		text = strings.TrimSuffix(text, ".0")
	}
	is, ok := truth(text)
	if !ok {
		d.find("bool_parsing", "Input should be a valid boolean, unable to interpret input", loc, raw, nil)
		return
	}
	v.SetBool(is)
}

func (d *decoder) float(raw json.RawMessage, v reflect.Value, tag reflect.StructTag, loc []any) {
	text := string(raw)
	switch raw[0] {
	case '{', '[', 'n':
		d.find("float_type", "Input should be a valid number", loc, raw, nil)
		return
	case 't':
		text = "1"
	case 'f':
		text = "0"
	case '"':
		_ = json.Unmarshal(raw, &text)
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		d.find("float_parsing", "Input should be a valid number, unable to parse string as a number", loc, raw, nil)
		return
	}
	if d.inRange(f, raw, tag, loc) {
		v.SetFloat(f)
	}
}

func (d *decoder) integer(raw json.RawMessage, v reflect.Value, tag reflect.StructTag, loc []any) {
	text := string(raw)
	switch raw[0] {
	case '{', '[', 'n':
		d.find("int_type", "Input should be a valid integer", loc, raw, nil)
		return
	case 't':
		text = "1"
	case 'f':
		text = "0"
	case '"':
		_ = json.Unmarshal(raw, &text)
		n, ok := parseInt(text)
		if !ok {
			d.find("int_parsing", intParsing, loc, raw, nil)
			return
		}
		d.setInt(n, raw, v, tag, loc)
		return
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		d.setInt(n, raw, v, tag, loc)
		return
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err == nil && f != math.Trunc(f):
		d.find("int_from_float", "Input should be a valid integer, got a number with a fractional part", loc, raw, nil)
	case err != nil || math.Abs(f) > 1<<62:
		d.find("int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size", loc, raw, nil)
	default:
		d.setInt(int64(f), raw, v, tag, loc)
	}
}

const intParsing = "Input should be a valid integer, unable to parse string as an integer"

// parseInt reads a text as pydantic does: with a sign, underscores between digits and zeros behind
// the point.
func parseInt(text string) (int64, bool) {
	text = strings.TrimSpace(text)
	if whole, zeros, ok := strings.Cut(text, "."); ok && strings.Trim(zeros, "0") == "" {
		text = whole
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

func (d *decoder) setInt(n int64, raw json.RawMessage, v reflect.Value, tag reflect.StructTag, loc []any) {
	if !d.inRange(float64(n), raw, tag, loc) {
		return
	}
	if v.CanUint() {
		if n < 0 || v.OverflowUint(uint64(n)) {
			d.outOfType(n < 0, v, raw, loc)
			return
		}
		v.SetUint(uint64(n))
		return
	}
	if v.OverflowInt(n) {
		d.outOfType(n < 0, v, raw, loc)
		return
	}
	v.SetInt(n)
}

// outOfType is a number that the type cannot hold.
func (d *decoder) outOfType(low bool, v reflect.Value, raw json.RawMessage, loc []any) {
	bits := v.Type().Bits()
	lowest, highest := int64(0), int64(1)<<bits-1
	if v.CanInt() {
		lowest, highest = -1<<(bits-1), 1<<(bits-1)-1
	}
	if low {
		d.atLeast(lowest, raw, loc)
		return
	}
	d.atMost(highest, raw, loc)
}

func (d *decoder) atLeast(n any, raw json.RawMessage, loc []any) {
	d.find("greater_than_equal", fmt.Sprintf("Input should be greater than or equal to %v", n), loc, raw, map[string]any{"ge": n})
}

func (d *decoder) atMost(n any, raw json.RawMessage, loc []any) {
	d.find("less_than_equal", fmt.Sprintf("Input should be less than or equal to %v", n), loc, raw, map[string]any{"le": n})
}

// inRange checks the limits of the tag.
func (d *decoder) inRange(f float64, raw json.RawMessage, tag reflect.StructTag, loc []any) bool {
	limit := func(name string) (float64, any, bool) {
		text, there := tag.Lookup(name)
		if !there {
			return 0, nil, false
		}
		v, err := strconv.ParseFloat(text, 64)
		return v, json.Number(text), err == nil
	}
	if low, n, ok := limit("minimum"); ok && f < low {
		d.atLeast(n, raw, loc)
		return false
	}
	if low, n, ok := limit("exclusiveMinimum"); ok && f <= low {
		d.find("greater_than", fmt.Sprintf("Input should be greater than %v", n), loc, raw, map[string]any{"gt": n})
		return false
	}
	if high, n, ok := limit("maximum"); ok && f > high {
		d.atMost(n, raw, loc)
		return false
	}
	return true
}
