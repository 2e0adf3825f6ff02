package apps

import (
	"net/http"
	"slices"
	"strings"
)

// identityHeaders are those that Lodge sets for apps that list them, and takes from everybody else.
var identityHeaders = []string{
	"userid", "x-lodge-user", "x-lodge-name", "x-lodge-email", "x-lodge-roles", "x-lodge-app", "x-lodge-session",
}

// hopByHop headers belong to one connection.
var hopByHop = []string{
	"connection", "proxy-connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
}

func isHopByHop(name string) bool { return slices.Contains(hopByHop, strings.ToLower(name)) }

// spelling makes one name of all spellings that some server takes for the same.
func spelling(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '_' || r == '.' || r == ' ':
			return '-'
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// speaksOfIdentity reports whether some app would believe a header of this name about who calls.
func speaksOfIdentity(name string) bool {
	if name == "" || strings.IndexByte("uxro", name[0]|0x20) < 0 {
		return false // as most do, which need no other spelling made of them
	}
	name = spelling(name)
	switch name {
	case "userid", "x-remote-user", "remote-user", "x-webauth-user", "x-real-ip",
		"x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-access-token", "x-forwarded-preferred-username":
		return true
	}
	return strings.HasPrefix(name, "x-lodge-") || strings.HasPrefix(name, "oidc-") || strings.HasPrefix(name, "x-auth-request-")
}

// cleanHeaders takes from a request's header what an app must not see from outside: names that tell
// of identity, in any spelling, and names with an underscore, which some servers read as a hyphen.
func cleanHeaders(h http.Header, underscores []string) {
	for name := range h {
		if speaksOfIdentity(name) ||
			strings.IndexByte(name, '_') >= 0 && !slices.ContainsFunc(underscores, func(allowed string) bool { return strings.EqualFold(allowed, name) }) {
			delete(h, name)
		}
	}
}

// ownCookie reports whether a cookie is one of Lodge's, whatever the prefix that it has behind TLS.
func ownCookie(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	name = strings.TrimPrefix(strings.TrimPrefix(name, "__host-"), "__secure-")
	return name == "lodge" || strings.HasPrefix(name, "lodge-") || strings.HasPrefix(name, "lodge_")
}

// cleanCookies takes Lodge's cookies out and leaves the others as they are, byte for byte and in order.
func cleanCookies(h http.Header) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	kept := lines[:0:0]
	for _, line := range lines {
		parts := strings.Split(line, ";")
		out, changed := parts[:0:0], false
		for _, part := range parts {
			name, _, _ := strings.Cut(part, "=")
			if ownCookie(name) {
				changed = true
				continue
			}
			out = append(out, part)
		}
		if changed {
			line = strings.TrimLeft(strings.Join(out, ";"), " ")
		}
		if strings.TrimSpace(line) != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}
