package objects

import (
	"strings"

	"lodge/internal/fault"
)

const (
	maxKey     = 1024 // what S3 allows
	maxSegment = 255  // what filesystems allow
)

// CheckKey accepts keys that mean the same thing in every store and cannot lead out of one:
// segments of letters, digits, ".", "_" and "-", joined by single slashes, none of them "." or "..".
func CheckKey(key string) error {
	if len(key) > maxKey {
		return fault.New(fault.Invalid, "an object key of %d bytes is too long: %d at most", len(key), maxKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." || len(segment) > maxSegment || !plain(segment) {
			return fault.New(fault.Invalid, "%q is not an object key", key)
		}
	}
	return nil
}

// CheckPrefix accepts what a key can begin with, and "".
func CheckPrefix(prefix string) error {
	folder, start := splitPrefix(prefix)
	if len(prefix) > maxKey || !plain(start) || folder != "" && CheckKey(folder) != nil {
		return fault.New(fault.Invalid, "%q is not the beginning of an object key", prefix)
	}
	return nil
}

// CheckRange accepts what can be asked of an object of any size.
func CheckRange(offset, length int64) error {
	if offset < 0 || length < -1 {
		return fault.New(fault.Invalid, "there is no range of %d bytes from %d", length, offset)
	}
	return nil
}

// PastEnd is the error for a range that begins past the last byte.
func PastEnd(offset, size int64) error {
	return fault.New(fault.Invalid, "the range begins at byte %d of %d", offset, size)
}

// splitPrefix parts a prefix into whole segments and the beginning of the next.
func splitPrefix(prefix string) (folder, start string) {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return "", prefix
	}
	if i == 0 {
		return "/", prefix[1:] // no key: CheckKey refuses it
	}
	return prefix[:i], prefix[i+1:]
}

func plain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
