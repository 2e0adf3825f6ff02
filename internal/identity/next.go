package identity

import (
	"net/url"
	"strings"
)

// safeNext gives where to go after a login: next if it is certainly a place of ours, else "/".
// Browsers, proxies and servers read odd addresses differently, so an odd one is not mended but
// left out: only a path that begins with one slash, in plain characters, is followed.
func safeNext(next string) string {
	const home = "/"
	if len(next) > 2048 || !strings.HasPrefix(next, "/") {
		return home
	}
	for _, c := range []byte(next) {
		// No control characters, spaces, backslashes or bytes beyond ASCII: those travel escaped.
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\\\"<>^`{|}", c) >= 0 {
			return home
		}
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return home
	}
	// What is decoded once more on the way must be no other address either.
	path := next
	if at := strings.IndexAny(path, "?#"); at >= 0 {
		path = path[:at]
	}
	for range 4 {
		if !plainPath(path) {
			return home
		}
		decoded, err := url.PathUnescape(path)
		if err != nil {
			return home
		}
		if decoded == path {
			break
		}
		path = decoded
	}
	if strings.HasPrefix(path, "/auth/") || strings.HasPrefix(path, "/idp") {
		return home // round in a circle
	}
	return next
}

// plainPath accepts paths that everybody reads alike.
func plainPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || strings.Contains(path, "/ ") || strings.Contains(path, "\\") {
		return false
	}
	for _, part := range strings.Split(path[1:], "/") {
		if part == "." || part == ".." {
			return false
		}
	}
	for _, r := range path {
		switch {
		case r < ' ', r == 0x7f, r >= 0x80 && r <= 0xa0, r == 0xfffd:
			return false
		case strings.ContainsRune("⁄∕╱⧸／＼﹨․．。｡：︓﹕＠﹫", r): // what looks like, or is folded to, one of ours
			return false
		case r >= 0x2000 && r <= 0x206f, r == 0xfeff, r == 0x3000, r == 0x1680, r == 0x180e:
			return false
		}
	}
	return true
}
