package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A scope finds what a name such as inputs.parameters.x stands for.
type scope func(name string) (string, error)

// reference is {{name}} in a text.
var reference = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

// fill replaces the references of a text, once: a value that looks like a reference stays as it is.
func fill(text string, look scope) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	var failed error
	filled := reference.ReplaceAllStringFunc(text, func(found string) string {
		value, err := look(strings.TrimSpace(found[2 : len(found)-2]))
		failed = errors.Join(failed, err)
		return value
	})
	return filled, failed
}

// A parser reads a condition or a choice as package argo writes them:
//
//	choice     = condition "?" operand ":" operand
//	condition  = "!(" condition ")" | operand operator operand
//	operand    = quoted text | number | {{name}} | tasks.NODE.outputs…
//
// It reads before the values are put in, so that no value can change what is meant.
type parser struct {
	text string
	at   int
	look scope
	// depth bounds how deep conditions stand in each other.
	depth int
}

const maxDepth = 100

// holds decides a condition.
func holds(text string, look scope) (bool, error) {
	p := &parser{text: text, look: look}
	is, err := p.condition()
	if err == nil {
		err = p.end()
	}
	return is, explain(text, err)
}

// choose evaluates the expression of an output. What it does not choose is not looked at.
func choose(text string, look scope) (string, error) {
	p := &parser{text: text, look: look}
	is, err := p.condition()
	if err != nil {
		return "", explain(text, err)
	}
	if err := p.word("?"); err != nil {
		return "", explain(text, err)
	}
	first, err := p.operand(is)
	if err != nil {
		return "", explain(text, err)
	}
	if err := p.word(":"); err != nil {
		return "", explain(text, err)
	}
	second, err := p.operand(!is)
	if err != nil {
		return "", explain(text, err)
	}
	if err := p.end(); err != nil {
		return "", explain(text, err)
	}
	if is {
		return first.text, nil
	}
	return second.text, nil
}

func explain(text string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the expression %q cannot be decided: %w", shorten(text), err)
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) peek() byte {
	p.space()
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) word(w string) error {
	p.space()
	if !strings.HasPrefix(p.text[p.at:], w) {
		return fmt.Errorf("%q is expected at position %d", w, p.at)
	}
	p.at += len(w)
	return nil
}

func (p *parser) end() error {
	if p.peek() != 0 || p.at < len(p.text) {
		return fmt.Errorf("there is more at position %d", p.at)
	}
	return nil
}

func (p *parser) condition() (bool, error) {
	if p.depth++; p.depth > maxDepth {
		return false, errors.New("it is too deep")
	}
	defer func() { p.depth-- }()
	if p.peek() == '!' && p.at+1 < len(p.text) && p.text[p.at+1] == '(' {
		p.at += 2
		is, err := p.condition()
		if err != nil {
			return false, err
		}
		return !is, p.word(")")
	}
	left, err := p.operand(true)
	if err != nil {
		return false, err
	}
	operator, err := p.operator()
	if err != nil {
		return false, err
	}
	right, err := p.operand(true)
	if err != nil {
		return false, err
	}
	return compare(left, operator, right)
}

func (p *parser) operator() (string, error) {
	p.space()
	for _, o := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if strings.HasPrefix(p.text[p.at:], o) {
			p.at += len(o)
			return o, nil
		}
	}
	return "", fmt.Errorf("an operator is expected at position %d", p.at)
}

// operand is a value; quoted ones are texts whatever they look like.
type operand struct {
	text   string
	quoted bool
}

var (
	bareNumber = regexp.MustCompile(`^[-+]?[0-9.][0-9.eE]*(?:[eE][-+]?[0-9]+)?`)
	bareName   = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]*(?:\.[a-zA-Z0-9_][-a-zA-Z0-9_]*|\['[-a-zA-Z0-9_]+'\])*`)
	indexed    = regexp.MustCompile(`\['([-a-zA-Z0-9_]+)'\]`)
)

// operand reads a value, and looks up what it names if it is wanted.
func (p *parser) operand(wanted bool) (operand, error) {
	p.space()
	rest := p.text[p.at:]
	switch {
	case strings.HasPrefix(rest, `"`):
		return p.quoted(wanted)
	case strings.HasPrefix(rest, "{{"):
		found := reference.FindString(rest)
		if !strings.HasPrefix(rest, found) || found == "" {
			return operand{}, fmt.Errorf("a name is not closed at position %d", p.at)
		}
		p.at += len(found)
		return p.named(strings.TrimSpace(found[2:len(found)-2]), wanted)
	}
	if n := bareNumber.FindString(rest); n != "" {
		p.at += len(n)
		return operand{text: n}, nil
	}
	if name := bareName.FindString(rest); name != "" {
		p.at += len(name)
		return p.named(indexed.ReplaceAllString(name, ".$1"), wanted)
	}
	return operand{}, fmt.Errorf("a value is expected at position %d", p.at)
}

func (p *parser) named(name string, wanted bool) (operand, error) {
	if !wanted {
		return operand{}, nil
	}
	value, err := p.look(name)
	return operand{text: value}, err
}

// quoted reads a text in quotes and fills in its references.
func (p *parser) quoted(wanted bool) (operand, error) {
	end := p.at + 1
	for end < len(p.text) && p.text[end] != '"' {
		if p.text[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(p.text) {
		return operand{}, fmt.Errorf("a text is not closed at position %d", p.at)
	}
	inside := p.text[p.at : end+1]
	p.at = end + 1
	if !wanted {
		return operand{quoted: true}, nil
	}
	var text string
	if err := json.Unmarshal([]byte(inside), &text); err != nil {
		return operand{}, fmt.Errorf("a text cannot be read at position %d", p.at)
	}
	filled, err := fill(text, p.look)
	return operand{text: filled, quoted: true}, err
}

// compare compares texts by their bytes if either is quoted, and numbers otherwise.
func compare(left operand, operator string, right operand) (bool, error) {
	order := strings.Compare(left.text, right.text)
	if !left.quoted && !right.quoted {
		a, err := number(left.text)
		if err != nil {
			return false, err
		}
		b, err := number(right.text)
		if err != nil {
			return false, err
		}
		switch {
		case a < b:
			order = -1
		case a > b:
			order = 1
		default:
			order = 0
		}
	}
	switch operator {
	case "==":
		return order == 0, nil
	case "!=":
		return order != 0, nil
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	default:
		return order >= 0, nil
	}
}

func number(text string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || n != n {
		return 0, fmt.Errorf("%q is no number", shorten(text))
	}
	return n, nil
}

func shorten(text string) string {
	if r := []rune(text); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return text
}
