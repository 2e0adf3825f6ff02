package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// evaluate works out an expression of the kind that Lodge writes for conditions and for outputs of
// conditionals: numbers, quoted texts and names; comparisons, !, parentheses and a ? b : c.
// Only the chosen side of ?: is looked up, for the other one's task did not run.
func evaluate(text string, lookup func(name string) (string, error)) (any, error) {
	tokens, err := scan(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	p := &parser{tokens: tokens, lookup: lookup, live: true}
	v, err := p.choice()
	if err == nil && p.at < len(p.tokens) {
		err = fmt.Errorf("unexpected %q", p.tokens[p.at].text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	return v, nil
}

// holds decides a condition.
func holds(text string) (bool, error) {
	v, err := evaluate(text, func(name string) (string, error) { return "", fmt.Errorf("there is no %q", name) })
	if err != nil {
		return false, err
	}
	yes, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("%s is neither true nor false", text)
	}
	return yes, nil
}

type tokenKind int

const (
	mark tokenKind = iota
	name
	literal
)

type token struct {
	kind  tokenKind
	text  string
	value any
}

func scan(text string) ([]token, error) {
	var all []token
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		one, rest, err := first(text)
		if err != nil {
			return nil, err
		}
		all, text = append(all, one), rest
	}
	return all, nil
}

func first(text string) (token, string, error) {
	for _, m := range []string{"==", "!=", ">=", "<=", "<", ">", "!", "(", ")", "?", ":", "[", "]"} {
		if rest, ok := strings.CutPrefix(text, m); ok {
			return token{kind: mark, text: m}, rest, nil
		}
	}
	if c := text[0]; c == '"' || c == '\'' {
		return quoted(text)
	}
	end := strings.IndexFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-+", r)
	})
	if end < 0 {
		end = len(text)
	}
	if end == 0 {
		return token{}, "", fmt.Errorf("unexpected %q", text[:1])
	}
	word := text[:end]
	if n, err := strconv.ParseFloat(word, 64); err == nil {
		return token{literal, word, n}, text[end:], nil
	}
	switch word {
	case "true", "false":
		return token{literal, word, word == "true"}, text[end:], nil
	}
	return token{kind: name, text: word}, text[end:], nil
}

func quoted(text string) (token, string, error) {
	var value strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == text[0]:
			return token{literal, text[:i+1], value.String()}, text[i+1:], nil
		case c == '\\' && i+1 < len(text):
			i++
			if plain, ok := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r'}[text[i]]; ok {
				value.WriteByte(plain)
			} else {
				value.WriteByte(text[i])
			}
		default:
			value.WriteByte(c)
		}
	}
	return token{}, "", fmt.Errorf("%s has no end", text)
}

type parser struct {
	tokens []token
	at     int
	lookup func(string) (string, error)
	live   bool // false on the side of ?: that was not chosen
}

func (p *parser) take(marks ...string) string {
	if p.at < len(p.tokens) && p.tokens[p.at].kind == mark {
		for _, m := range marks {
			if p.tokens[p.at].text == m {
				p.at++
				return m
			}
		}
	}
	return ""
}

func (p *parser) need(m string) error {
	if p.take(m) == "" {
		return fmt.Errorf("%q is missing", m)
	}
	return nil
}

func (p *parser) choice() (any, error) {
	condition, err := p.comparison()
	if err != nil || p.take("?") == "" {
		return condition, err
	}
	yes, ok := condition.(bool)
	if !ok && p.live {
		return nil, fmt.Errorf("%v is neither true nor false", condition)
	}
	live := p.live
	p.live = live && yes
	a, err := p.choice()
	if err != nil {
		return nil, err
	}
	if err := p.need(":"); err != nil {
		return nil, err
	}
	p.live = live && !yes
	b, err := p.choice()
	p.live = live
	if yes {
		return a, err
	}
	return b, err
}

func (p *parser) comparison() (any, error) {
	a, err := p.operand()
	if err != nil {
		return nil, err
	}
	m := p.take("==", "!=", ">=", "<=", ">", "<")
	if m == "" {
		return a, nil
	}
	b, err := p.operand()
	if err != nil || !p.live {
		return false, err
	}
	return compare(a, b, m)
}

func compare(a, b any, how string) (bool, error) {
	switch how {
	case "==":
		return a == b, nil
	case "!=":
		return a != b, nil
	}
	order := 0
	switch x := a.(type) {
	case float64:
		y, ok := b.(float64)
		if !ok {
			return false, fmt.Errorf("cannot compare %v %s %v", a, how, b)
		}
		if x < y {
			order = -1
		} else if x > y {
			order = 1
		}
	case string:
		y, ok := b.(string)
		if !ok {
			return false, fmt.Errorf("cannot compare %v %s %v", a, how, b)
		}
		order = strings.Compare(x, y)
	default:
		return false, fmt.Errorf("cannot compare %v %s %v", a, how, b)
	}
	switch how {
	case ">=":
		return order >= 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	default:
		return order < 0, nil
	}
}

func (p *parser) operand() (any, error) {
	if p.take("!") != "" {
		v, err := p.operand()
		yes, ok := v.(bool)
		if err == nil && !ok && p.live {
			err = fmt.Errorf("%v is neither true nor false", v)
		}
		return !yes, err
	}
	if p.take("(") != "" {
		v, err := p.choice()
		if err != nil {
			return nil, err
		}
		return v, p.need(")")
	}
	if p.at == len(p.tokens) || p.tokens[p.at].kind == mark {
		return nil, fmt.Errorf("a value is missing")
	}
	t := p.tokens[p.at]
	p.at++
	if t.kind == literal {
		return t.value, nil
	}
	full := t.text
	for p.take("[") != "" { // of['a-name'] is of.a-name
		if p.at == len(p.tokens) || p.tokens[p.at].kind != literal {
			return nil, fmt.Errorf("a name is missing")
		}
		full += "." + fmt.Sprint(p.tokens[p.at].value)
		p.at++
		if err := p.need("]"); err != nil {
			return nil, err
		}
	}
	if !p.live {
		return "", nil
	}
	return p.lookup(full)
}
