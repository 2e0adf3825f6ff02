package fleet

import (
	"bytes"
	"encoding/json"
)

// envelope takes a message apart into its type and data, without reading the data: whoever knows
// its type does that, and finds out then whether it is JSON. What stands around it is checked.
func envelope(raw []byte) (kind, data json.RawMessage, ok bool) {
	rest := skipSpace(raw)
	if len(rest) == 0 || rest[0] != '{' {
		return nil, nil, false
	}
	rest = skipSpace(rest[1:])
	if len(rest) > 0 && rest[0] == '}' {
		return nil, nil, len(skipSpace(rest[1:])) == 0
	}
	for {
		name, after, good := skipValue(rest)
		if !good || name[0] != '"' {
			return nil, nil, false
		}
		if after = skipSpace(after); len(after) == 0 || after[0] != ':' {
			return nil, nil, false
		}
		value, after, good := skipValue(skipSpace(after[1:]))
		if !good {
			return nil, nil, false
		}
		switch string(name) {
		case `"type"`:
			kind = value
		case `"data"`:
			data = value
		}
		if after = skipSpace(after); len(after) == 0 {
			return nil, nil, false
		}
		switch after[0] {
		case '}':
			return kind, data, len(skipSpace(after[1:])) == 0
		case ',':
			rest = skipSpace(after[1:])
		default:
			return nil, nil, false
		}
	}
}

func skipSpace(text []byte) []byte { return bytes.TrimLeft(text, " \t\r\n") }

// skipValue cuts a value off the beginning of text by its quotes and brackets alone.
func skipValue(text []byte) (value, after []byte, ok bool) {
	level := 0
	for i := 0; i < len(text); {
		switch text[i] {
		case '"':
			end := endOfString(text[i:])
			if end < 0 {
				return nil, nil, false
			}
			i += end
		case '{', '[':
			level++
			i++
			continue
		case '}', ']':
			if level--; level < 0 {
				return nil, nil, false
			}
			i++
		default:
			// A number or a word, or what stands between values.
			for i++; i < len(text) && !delimits(text[i]); i++ {
			}
			if i == len(text) {
				return nil, nil, false
			}
		}
		if level == 0 {
			return text[:i], text[i:], true
		}
	}
	return nil, nil, false
}

// delimits says whether a number or a word ends before the character.
func delimits(c byte) bool {
	switch c {
	case '"', '{', '}', '[', ']', ',', ':', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

// endOfString is where the string at the beginning of text ends, -1 if it does not.
func endOfString(text []byte) int {
	for i := 1; ; {
		next := bytes.IndexByte(text[i:], '"')
		if next < 0 {
			return -1
		}
		i += next + 1
		slashes := 0
		for text[i-2-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
}
