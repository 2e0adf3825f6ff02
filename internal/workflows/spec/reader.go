package spec

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// reader turns trees into documents and collects what is wrong on the way. What it could not read
// it leaves empty, and goes on.
type reader struct{ findings Findings }

// maxFindings bounds a report: a document of another kind altogether is wrong everywhere.
const maxFindings = 1000

func (r *reader) find(at *place, code Code, severity Severity, format string, args ...any) {
	if len(r.findings) < maxFindings {
		r.findings = append(r.findings, Finding{at.String(), code, severity, fmt.Sprintf(format, args...)})
	}
}

func (r *reader) wrong(at *place, format string, args ...any) {
	r.find(at, CodeSchema, Error, format, args...)
}

// is checks the kind of a value that is there.
func (r *reader) is(at *place, v *value, want kind) bool {
	if v.kind == want {
		return true
	}
	hint := ""
	if v.kind == isNull {
		hint = "; leave the member out instead"
	}
	r.wrong(at, "expected %s, but got %s%s", kindNames[want], kindNames[v.kind], hint)
	return false
}

// object is an object whose members are being read.
type object struct {
	*reader
	at *place
	v  *value
	// nothing says that it is no object at all, so that its members are not missed.
	nothing bool
}

// object begins to read an object. Unknown members of a closed one, and repeated members, are findings.
func (r *reader) object(at *place, v *value, closed bool, known ...string) object {
	o := object{reader: r, at: at, v: v}
	if v == nil || !r.is(at, v, isObject) {
		o.nothing = true
		return o
	}
	r.names(at, v, closed, known)
	return o
}

// names checks an object's names.
func (r *reader) names(at *place, v *value, closed bool, known []string) {
	var seen map[string]bool
	if len(v.members) > 16 {
		seen = make(map[string]bool, len(v.members))
	}
	for i := range v.members {
		name := v.members[i].name
		switch {
		case seen != nil && seen[name], seen == nil && v.get(name) != &v.members[i].value:
			r.wrong(at.at(name), "is given more than once")
		case closed && !slices.Contains(known, name):
			r.find(at.at(name), CodeUnknown, Error, "does not validate: the member %q is not allowed here%s", clip(name), meant(name, known))
		}
		if seen != nil {
			seen[name] = true
		}
	}
}

// meant suggests the known name that a wrong one is probably a slip of.
func meant(name string, known []string) string {
	flat := func(s string) string { return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s)) }
	for _, k := range known {
		if a, b := flat(name), flat(k); a == b || a+"s" == b || a == b+"s" {
			return fmt.Sprintf("; did you mean %q?", k)
		}
	}
	return ""
}

// clip shortens a text that is quoted to a client.
func clip(text string) string {
	if r := []rune(text); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return text
}

// member finds a member; a required one that is missing is a finding.
func (o object) member(name string, required bool) (*place, *value) {
	at := o.at.at(name)
	if o.nothing {
		return at, nil
	}
	v := o.v.get(name)
	if v == nil && required {
		o.wrong(at, "is required")
	}
	return at, v
}

// sent is a member of the kind, or nil. Places are made only for what is wrong: most members are right.
func (o object) sent(name string, want kind) *value {
	if o.nothing {
		return nil
	}
	v := o.v.get(name)
	if v == nil || v.kind != want && !o.is(o.at.at(name), v, want) {
		return nil
	}
	return v
}

// text reads a string.
func (o object) text(name string, required bool) string {
	v := o.sent(name, isString)
	if v == nil {
		if required {
			o.member(name, true)
		}
		return ""
	}
	return v.text
}

// word reads a string that has a form.
func (o object) word(name string, form *regexp.Regexp, words string) string {
	text := o.text(name, true)
	if (text != "" || o.isText(name)) && !form.MatchString(text) {
		o.wrong(o.at.at(name), "%q is no good name: %s", clip(text), words)
	}
	return text
}

// choice reads a string that is one of a few.
func (o object) choice(name string, of ...string) string {
	text := o.text(name, true)
	if (text != "" || o.isText(name)) && !slices.Contains(of, text) {
		o.wrong(o.at.at(name), "%q is none of %s", clip(text), strings.Join(of, ", "))
	}
	return text
}

func (o object) isText(name string) bool {
	return !o.nothing && o.v.get(name) != nil && o.v.get(name).kind == isString
}

// constant checks a discriminator.
func (o object) constant(name, want string) { o.choice(name, want) }

// count reads an integer that is not negative.
func (o object) count(name string) int {
	v := o.sent(name, isNumber)
	if v == nil {
		return 0
	}
	n, err := strconv.ParseInt(string(v.raw), 10, 32)
	if err != nil || n < 0 {
		o.wrong(o.at.at(name), "expected an integer from 0 to 2147483647, but got %s", clip(string(v.raw)))
		return 0
	}
	return int(n)
}

// uid reads the member uid.
func (o object) uid() uuid.UUID {
	v := o.sent("uid", isString)
	if v == nil {
		return uuid.Nil
	}
	return o.parseUID(o.at.at("uid"), v.text)
}

// parseUID takes the form of 36 characters only.
func (r *reader) parseUID(at *place, text string) uuid.UUID {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		r.wrong(at, "%q is no uuid of 36 characters, such as 44763f88-7f51-11ec-a8a3-0242ac120002", clip(text))
		return uuid.Nil
	}
	return id
}

// instant reads a timestamp.
func (o object) instant(name string) Timestamp {
	v := o.sent(name, isString)
	if v == nil {
		return Timestamp{}
	}
	t, err := time.Parse(time.RFC3339Nano, v.text)
	if err != nil {
		o.wrong(o.at.at(name), "%q is no time such as 2023-04-14T08:22:33.966Z", clip(v.text))
	}
	return At(t)
}

// free reads an object that nobody looks into, as it was written.
func (o object) free(name string) json.RawMessage {
	v := o.sent(name, isObject)
	if v == nil {
		return nil
	}
	return json.RawMessage(v.raw)
}

// texts reads a list of strings.
func (o object) texts(name string) []string {
	return list(o, name, func(r *reader, at *place, v *value) string {
		r.is(at, v, isString)
		return v.text
	})
}

// list reads an array.
func list[T any](o object, name string, read func(*reader, *place, *value) T) []T {
	v := o.sent(name, isArray)
	if v == nil || len(v.items) == 0 {
		return nil
	}
	at := o.at.at(name)
	all := make([]T, len(v.items))
	for i := range v.items {
		all[i] = read(o.reader, at.nth(i), &v.items[i])
	}
	return all
}

// distinct finds array members that are equal. What has the same name may be.
func distinct[T any](o object, list string, items []T, name func(T) string) {
	seen := make(map[string]int, len(items))
	for i := range items {
		first, there := seen[name(items[i])]
		if !there {
			seen[name(items[i])] = i
			continue
		}
		one, err := encode(items[first])
		other, again := encode(items[i])
		if err == nil && again == nil && string(one) == string(other) {
			o.wrong(o.at.at(list).nth(i), "is the same as number %d; leave one of them out", first)
		}
	}
}
