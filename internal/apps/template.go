package apps

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// place is where and for whom an app is to run: what templates may name.
type place struct {
	owner   Owner
	name    string // of a named app session
	session string
	host    string // public host of the app session
	prefix  string // "" unless in path mode
}

var placeholder = regexp.MustCompile(`\{[a-z][a-z0-9_.-]*\}`)

// late placeholders are filled in by the driver, which alone knows them.
var late = []string{"port", "socket", "home"}

// Filled is a text of the catalogue in which all placeholders are known but those that only the
// driver can fill in: {port}, {socket}, {home}.
type Filled string

// With puts in what the driver knows. The values are its own, so nothing needs to be checked.
func (f Filled) With(port int, socket, home string) string {
	return strings.NewReplacer("{port}", strconv.Itoa(port), "{socket}", socket, "{home}", home).Replace(string(f))
}

// expand replaces each {word} by its value. Braces around anything else stay as they are, so that
// JSON needs no escaping. A word that is not known is an error.
func expand(text string, values map[string]string, check func(text string) error) (Filled, error) {
	var unknown error
	out := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		word := found[1 : len(found)-1]
		if slices.Contains(late, word) {
			return found
		}
		value, ok := values[word]
		if !ok && unknown == nil {
			unknown = fmt.Errorf("there is no placeholder %s", found)
		}
		// A value must not bring placeholders of its own.
		return strings.NewReplacer("{", "", "}", "").Replace(value)
	})
	if unknown != nil {
		return "", unknown
	}
	return Filled(out), check(out)
}

// plainText is the grammar of environment values and arguments: one line that every system takes.
func plainText(text string) error {
	if len(text) > 32<<10 || !utf8.ValidString(text) || strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' }) >= 0 {
		return fmt.Errorf("%.40q has characters that cannot be passed on, or is too long", text)
	}
	return nil
}

// argument is the grammar of a command's argument: a value from outside must not become an option.
func argument(template string) func(string) error {
	return func(text string) error {
		if strings.HasPrefix(text, "-") && !strings.HasPrefix(template, "-") {
			return fmt.Errorf("%.40q would be read as an option", text)
		}
		return plainText(text)
	}
}

// values lists what templates may name.
func (p place) values(app AppID, options map[string]string) map[string]string {
	v := map[string]string{
		"user": p.owner.Name, "user.slug": p.owner.Slug, "user.email": p.owner.Email, "user.id": p.owner.ID,
		"app": string(app), "session": p.session, "prefix": p.prefix, "host": p.host, "name": p.name,
	}
	for id, value := range options {
		v["options."+id] = value
	}
	return v
}

// value checks what somebody chose and gives it as text.
func (o Option) value(chosen any) (string, error) {
	switch o.Type {
	case "choice":
		text, _ := chosen.(string)
		if _, ok := o.Choices[text]; ok {
			return text, nil
		}
		offered := make([]string, 0, len(o.Choices))
		for name := range o.Choices {
			offered = append(offered, name)
		}
		slices.Sort(offered)
		return "", fmt.Errorf("is one of %s", strings.Join(offered, ", "))
	case "boolean":
		if b, ok := chosen.(bool); ok {
			return strconv.FormatBool(b), nil
		}
		return "", fmt.Errorf("is true or false")
	case "number":
		n, ok := chosen.(float64)
		if i, isInt := chosen.(int); isInt {
			n, ok = float64(i), true
		}
		if !ok || math.IsNaN(n) || math.IsInf(n, 0) || o.Min != nil && n < *o.Min || o.Max != nil && n > *o.Max {
			return "", fmt.Errorf("is a number within its limits")
		}
		return strconv.FormatFloat(n, 'f', -1, 64), nil
	default:
		text, ok := chosen.(string)
		if !ok || len(text) > 255 || plainText(text) != nil || strings.ContainsAny(text, "\n{}") {
			return "", fmt.Errorf("is one line of at most 255 characters")
		}
		pattern := o.Pattern
		if pattern == "" {
			pattern = `[A-Za-z0-9][A-Za-z0-9 ._@/-]*`
		}
		re, err := regexp.Compile(`^(?:` + pattern + `)$`)
		if err != nil || !re.MatchString(text) || strings.Contains(text, "..") {
			return "", fmt.Errorf("does not fit %s", pattern)
		}
		return text, nil
	}
}

// choose checks the whole launch form: every option gets a value, and nothing else may be there.
func (a App) choose(chosen map[string]any) (map[string]string, Resources, []finding) {
	f := &findings{}
	values, resources := map[string]string{}, a.Resources
	for key := range chosen {
		if !slices.ContainsFunc(a.Options, func(o Option) bool { return o.ID == key }) {
			f.add(key, "is no option of this app")
		}
	}
	for _, o := range a.Options {
		value, given := chosen[o.ID]
		if !given {
			value = o.Default
		}
		if value == nil {
			values[o.ID] = ""
			if o.Type == "choice" {
				f.add(o.ID, "must be chosen")
			}
			continue
		}
		text, err := o.value(value)
		if err != nil {
			f.add(o.ID, "%v", err)
			continue
		}
		values[o.ID] = text
		if o.Type == "choice" {
			resources = o.Choices[text].over(resources)
		}
	}
	return values, resources, f.list
}
