package httpapi

import (
	"net/url"
	"strings"
)

// cleanPath reports whether a request's escaped path has one meaning only: to us, to a proxy in
// front that cleans paths, and to one that does not. All others are answered with 404, never with
// a redirect to what they might have meant: dot segments, empty segments, and separators or
// control characters hidden by escaping.
func cleanPath(escaped string) bool {
	if escaped == "" || escaped[0] != '/' {
		return false
	}
	for rest := escaped[1:]; rest != ""; {
		segment, after, more := strings.Cut(rest, "/")
		if segment == "" || !cleanSegment(segment) {
			return false
		}
		if rest = after; !more {
			return true
		}
	}
	return true
}

func cleanSegment(segment string) bool {
	if strings.IndexByte(segment, '%') >= 0 {
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			return false
		}
		segment = decoded
	}
	if segment == "." || segment == ".." {
		return false
	}
	for _, c := range []byte(segment) {
		if c < ' ' || c == 0x7f || c == '/' || c == '\\' {
			return false
		}
	}
	return true
}
