package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth bounds how deep JSON may nest, and with it the stack. A component in a component takes
// five levels of JSON.
const maxDepth = 5000

// kind is the kind of a JSON value.
type kind byte

const (
	isNull kind = iota
	isBool
	isNumber
	isString
	isArray
	isObject
)

var kindNames = map[kind]string{
	isNull: "null", isBool: "a boolean", isNumber: "a number", isString: "a string", isArray: "an array", isObject: "an object",
}

// value is a JSON value with its text. Everything is read once into such a tree, so that the time
// to read a document does not grow with its depth.
type value struct {
	kind    kind
	raw     []byte
	text    string // of a string
	items   []value
	members []member
}

type member struct {
	name  string
	value value
}

// get finds a member.
func (v *value) get(name string) *value {
	for i := range v.members {
		if v.members[i].name == name {
			return &v.members[i].value
		}
	}
	return nil
}

// parse reads a JSON text.
func parse(text []byte) (*value, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("it is empty")
	}
	if !json.Valid(text) {
		var any json.RawMessage
		return nil, errors.New(syntax(text, json.Unmarshal(text, &any)))
	}
	p := parser{text: text}
	v, err := p.value(0)
	return &v, err
}

// syntax says where JSON is wrong, as an editor counts.
func syntax(text []byte, err error) string {
	var wrong *json.SyntaxError
	if !errors.As(err, &wrong) {
		return "it is not valid JSON: " + fmt.Sprint(err)
	}
	before := text[:min(max(wrong.Offset-1, 0), int64(len(text)))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fmt.Sprintf("it is not valid JSON: line %d, column %d: %s", line, column, wrong.Error())
}

// parser walks over a text that is known to be valid JSON.
type parser struct {
	text []byte
	at   int
}

func (p *parser) space() {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\n' || p.text[p.at] == '\t' || p.text[p.at] == '\r') {
		p.at++
	}
}

func (p *parser) value(depth int) (v value, err error) {
	if depth > maxDepth {
		return v, fmt.Errorf("it nests deeper than %d levels", maxDepth)
	}
	p.space()
	start := p.at
	switch p.text[p.at] {
	case '{':
		v.kind = isObject
		err = p.object(&v, depth)
	case '[':
		v.kind = isArray
		err = p.array(&v, depth)
	case '"':
		v.kind = isString
		v.text, err = p.string()
	case 't', 'f':
		v.kind = isBool
		p.word()
	case 'n':
		p.word()
	default:
		v.kind = isNumber
		p.word()
	}
	v.raw = p.text[start:p.at]
	return v, err
}

// word passes over a number, true, false or null.
func (p *parser) word() {
	for ; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case ' ', '\n', '\t', '\r', ',', ']', '}':
			return
		}
	}
}

func (p *parser) string() (string, error) {
	start, plain := p.at, true
	for p.at++; p.text[p.at] != '"'; p.at++ {
		if p.text[p.at] == '\\' {
			plain = false
			p.at++
		}
	}
	p.at++
	if plain {
		return string(p.text[start+1 : p.at-1]), nil
	}
	var text string
	err := json.Unmarshal(p.text[start:p.at], &text)
	return text, err
}

func (p *parser) array(v *value, depth int) error {
	p.at++
	for p.space(); p.text[p.at] != ']'; p.space() {
		if p.text[p.at] == ',' {
			p.at++
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		v.items = append(v.items, item)
	}
	p.at++
	return nil
}

func (p *parser) object(v *value, depth int) error {
	p.at++
	for p.space(); p.text[p.at] != '}'; p.space() {
		if p.text[p.at] == ',' {
			p.at++
			p.space()
		}
		name, err := p.string()
		if err != nil {
			return err
		}
		p.space()
		p.at++ // the colon
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		v.members = append(v.members, member{name, item})
	}
	p.at++
	return nil
}

// encode writes JSON without escaping HTML, as it stands in answers.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// Encode writes a document as it stands in answers: compact and without escaping HTML.
func Encode(v any) ([]byte, error) { return encode(v) }
