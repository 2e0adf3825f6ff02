package results

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"lodge/internal/fault"
)

// newID makes an id for something that Lodge stores. It is of version 7, unlike the random ones of
// the service that this part replaces: the sweep tells by it what is Lodge's own to remove.
func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return id.String(), nil
}

// isOwnID says whether newID could have made the id.
func isOwnID(id string) bool {
	parsed, err := uuid.Parse(id)
	return err == nil && parsed.Version() == 7 && parsed.String() == id
}

// parseUUID reads the spellings that pydantic reads: with hyphens, 32 digits, in braces, as a URN; in
// any case. The result is the canonical one.
func parseUUID(text string) (string, bool) {
	switch len(text) {
	case 32:
		return canonicalUUID(text)
	case 36:
	case 38:
		if text[0] != '{' || text[37] != '}' {
			return "", false
		}
		text = text[1:37]
	case 45:
		if !strings.EqualFold(text[:9], "urn:uuid:") {
			return "", false
		}
		text = text[9:]
	default:
		return "", false
	}
	for _, at := range []int{8, 13, 18, 23} {
		if text[at] != '-' {
			return "", false
		}
	}
	return canonicalUUID(strings.ReplaceAll(text, "-", ""))
}

// canonicalOr is the canonical spelling of a UUID, and of any other text the text itself.
func canonicalOr(text string) string {
	if id, ok := parseUUID(text); ok {
		return id
	}
	return text
}

func canonicalUUID(digits string) (string, bool) {
	var id uuid.UUID
	if len(digits) != 32 {
		return "", false
	}
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return "", false
	}
	return id.String(), true
}

// badUUID is the finding about a text that parseUUID does not read, in pydantic's words.
func badUUID(in, name, text string) fault.Field {
	return fault.Field{
		Loc: []string{in, name}, Type: "uuid_parsing", Message: "Input should be a valid UUID, " + uuidFlaw(text), Input: text,
	}
}

// uuidFlaw says what is wrong with the text.
func uuidFlaw(text string) string {
	inner, offset, simple := text, 0, true
	if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") && len(text) > 1 {
		inner, offset, simple = text[1:len(text)-1], 1, false
	} else if rest, ok := strings.CutPrefix(text, "urn:uuid:"); ok {
		inner, offset, simple = rest, len(text)-len(rest), false
	}
	var bounds []int
	for i, c := range inner {
		switch {
		case c == '-':
			bounds = append(bounds, i)
		case c >= utf8.RuneSelf || !strings.ContainsRune("0123456789abcdefABCDEF", c):
			return fmt.Sprintf("invalid character: found `%c` at %d", c, i+offset+1)
		}
	}
	if len(bounds) == 0 && simple {
		return fmt.Sprintf("invalid length: expected length 32 for simple format, found %d", len(text))
	}
	if len(bounds) != 4 {
		return fmt.Sprintf("invalid group count: expected 5, found %d", len(bounds)+1)
	}
	starts, lengths := []int{0, 9, 14, 19, 24}, []int{8, 4, 4, 4, 12}
	for i, bound := range bounds {
		if bound != starts[i+1]-1 {
			return fmt.Sprintf("invalid group length in group %d: expected %d, found %d", i, lengths[i], bound-starts[i])
		}
	}
	return fmt.Sprintf("invalid group length in group 4: expected 12, found %d", len(inner)-starts[4])
}
