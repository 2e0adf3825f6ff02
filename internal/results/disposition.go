package results

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// disposition is what a Content-Disposition header says of a part.
type disposition struct {
	name        string
	hasName     bool
	filename    string
	hasFilename bool
}

// parseDisposition reads the header as the original does. mime.ParseMediaType is not used, because it
// refuses what browsers and scripts send (bytes that are no ASCII, names said twice), and the part's
// own FileName, because it cuts folders off: "../x/y.txt" has to stay what it is. Whoever uses the
// name must know that.
func parseDisposition(header string) disposition {
	var d disposition
	star := map[string]bool{}
	_, rest, _ := strings.Cut(header, ";")
	for rest != "" {
		var name, value string
		name, value, rest = nextParameter(rest)
		name, extended := strings.CutSuffix(name, "*")
		if star[name] && !extended {
			continue // the extended form says it better
		}
		if extended {
			star[name] = true
			value = decodeExtended(value)
		}
		switch name {
		case "name":
			d.name, d.hasName = toText(value), true
		case "filename":
			d.filename, d.hasFilename = toText(value), true
		}
	}
	return d
}

// nextParameter takes name=value or name="value" off the beginning of s. What has no = is passed over.
func nextParameter(s string) (name, value, rest string) {
	end := strings.IndexAny(s, ";=")
	if end < 0 {
		return "", "", ""
	}
	if s[end] == ';' {
		return "", "", s[end+1:]
	}
	name = strings.ToLower(strings.TrimSpace(s[:end]))
	s = strings.TrimLeft(s[end+1:], " \t")
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		return name, strings.TrimSpace(value), rest
	}
	var text strings.Builder
	i := 1
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		text.WriteByte(s[i])
	}
	_, rest, _ = strings.Cut(s[min(i+1, len(s)):], ";")
	return name, text.String(), rest
}

// decodeExtended reads charset'language'percent-encoded. What is not of this form stays as it is.
func decodeExtended(value string) string {
	if parts := strings.SplitN(value, "'", 3); len(parts) == 3 {
		value = parts[2]
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return value
	}
	return decoded
}

// toText decodes UTF-8, or Latin-1 where it is no UTF-8.
func toText(raw string) string {
	if utf8.ValidString(raw) {
		return raw
	}
	runes := make([]rune, len(raw))
	for i := range len(raw) {
		runes[i] = rune(raw[i])
	}
	return string(runes)
}
