package apps

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

var slugPattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Owner is the person that an app session belongs to.
type Owner struct {
	// ID is the row in users.
	ID              string
	Issuer, Subject string
	Name, Email     string
	// Slug stands for the person in host names; it is given once and never again to somebody else.
	Slug string
}

// slugs proposes the names under which somebody may stand in a host name, best first. The name
// itself serves if a host name can hold it as it is; else a few of its letters and a part of a hash
// over who the issuer says it is, so that names that look alike stay apart.
func slugs(name, issuer, subject string) []string {
	sum := sha256.Sum256([]byte(issuer + "\x00" + subject))
	mark := hex.EncodeToString(sum[:])
	letters := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	letters = letters[:min(len(letters), maxSlug-9)]
	if letters == "" {
		letters = "u"
	}
	hashed := letters + "-" + mark[:8]
	// A last resort when even the hashed one is somebody else's name.
	last := "u-" + mark[8:8+maxSlug-2]
	if len(name) <= maxSlug && slugPattern.MatchString(name) && !looksHashed(name) {
		return []string{name, hashed, last}
	}
	return []string{hashed, last}
}

// looksHashed keeps names that read like another person's hashed slug from being one.
func looksHashed(name string) bool {
	at := strings.LastIndexByte(name, '-')
	if at < 0 || len(name)-at-1 < 8 {
		return false
	}
	return strings.Trim(name[at+1:], "0123456789abcdef") == ""
}
