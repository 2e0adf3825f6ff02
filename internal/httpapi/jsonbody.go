package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"lodge/internal/fault"
)

const (
	// defaultJSONBody bounds a JSON body where the route sets no limit: it is read into memory.
	defaultJSONBody = 1 << 20
	// maxDepth bounds how deep JSON may nest, and with it the stack.
	maxDepth = 64
)

// decodeBody reads the field Body. Findings are about what the JSON says; an error ends the request.
func (p *plan) decodeBody(r *http.Request, v reflect.Value) ([]fault.Field, error) {
	text, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		if p.body.optional {
			return nil, nil
		}
		return bodyFinding("missing", "a JSON body is required"), nil
	}
	if err := jsonMedia(r); err != nil {
		return nil, err
	}
	if !utf8.Valid(text) {
		return bodyFinding("json_invalid", "the body is not UTF-8"), nil
	}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		return bodyFinding("json_invalid", syntaxMessage(text, err)), nil
	}
	reader := jsonReader{dec: json.NewDecoder(bytes.NewReader(text)), loc: []string{"body"}}
	generic, err := reader.value()
	if err != nil {
		return bodyFinding("json_invalid", syntaxMessage(text, err)), nil
	}
	findings := append(reader.findings, p.registry.validate(p.body.schema, []string{"body"}, generic)...)
	if len(findings) > 0 {
		return findings, nil
	}
	if err := json.Unmarshal(text, v.FieldByIndex(p.body.index).Addr().Interface()); err != nil {
		return bodyFinding("invalid", typeMessage(err)), nil
	}
	return nil, nil
}

func bodyFinding(kind, message string) []fault.Field {
	return []fault.Field{{Loc: []string{"body"}, Type: kind, Message: message}}
}

// readBody reads the whole body within the limit.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	limit := int64(defaultJSONBody)
	if x := exchangeFrom(r.Context()); x != nil && x.bodyLimit > 0 {
		limit = x.bodyLimit
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if int64(len(text)) > limit {
		return nil, fault.New(fault.TooLarge, "the body is larger than the limit of %d bytes", limit)
	}
	return text, nil
}

// jsonMedia refuses bodies that are not announced as JSON: a page of a foreign site can send all others.
func jsonMedia(r *http.Request) error {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return fault.New(fault.Unsupported, "send the body uncompressed")
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return fault.New(fault.Unsupported, "send the body as Content-Type: application/json")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return fault.New(fault.Unsupported, "send the body as UTF-8")
	}
	return nil
}

// syntaxMessage says where JSON is wrong, as an editor counts.
func syntaxMessage(text []byte, err error) string {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return "the body is not valid JSON: " + err.Error()
	}
	before := text[:min(max(syntax.Offset-1, 0), int64(len(text)))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fmt.Sprintf("the body is not valid JSON: line %d, column %d: %s", line, column, syntax.Error())
}

// typeMessage says what a Go type could not take although the schema did.
func typeMessage(err error) string {
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		return fmt.Sprintf("%s: a %s does not fit here", typed.Field, typed.Value)
	}
	return "the body does not fit: " + err.Error()
}

// jsonReader reads valid JSON into maps and lists as schemas check them. It finds what the
// standard library lets pass: the same name twice, where the schema would check one value and Go
// would take the other, also when only case differs.
type jsonReader struct {
	dec      *json.Decoder
	loc      []string
	findings []fault.Field
}

func (j *jsonReader) value() (any, error) {
	token, err := j.dec.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if len(j.loc) > maxDepth {
		return nil, fmt.Errorf("it nests deeper than %d levels", maxDepth)
	}
	if delim == '[' {
		return j.array()
	}
	return j.object()
}

func (j *jsonReader) array() (any, error) {
	list := []any{}
	for j.dec.More() {
		item, err := j.at(strconv.Itoa(len(list)))
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	_, err := j.dec.Token()
	return list, err
}

func (j *jsonReader) object() (any, error) {
	object := map[string]any{}
	folded := map[string]bool{}
	for j.dec.More() {
		token, err := j.dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		value, err := j.at(name)
		if err != nil {
			return nil, err
		}
		fold := strings.Map(foldRune, name)
		if folded[fold] {
			loc := append(append([]string{}, j.loc...), name)
			j.findings = append(j.findings, fault.Field{Loc: loc, Type: "repeated", Message: "is given more than once"})
		}
		folded[fold] = true
		object[name] = value
	}
	_, err := j.dec.Token()
	return object, err
}

// foldRune is the same rune for all that differ in case only, as encoding/json compares names.
func foldRune(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}

// at reads the value of a name or index.
func (j *jsonReader) at(name string) (any, error) {
	j.loc = append(j.loc, name)
	value, err := j.value()
	j.loc = j.loc[:len(j.loc)-1]
	return value, err
}
