package access

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lodge/internal/fault"
	"lodge/internal/spelling"
)

// How long the columns are, in characters.
const (
	maxText        = 255
	maxRole        = 100
	maxGroup       = 191
	maxDescription = 1000
)

// clean makes a text fit for a column: valid, on one line, without control
// characters, and not longer than the column. For what is shown, never for what identifies.
func clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	if utf8.RuneCountInString(text) > limit {
		runes := []rune(text)
		text = strings.TrimSpace(string(runes[:limit-1])) + "…"
	}
	return text
}

// checkIdentity refuses what could not be stored exactly: shortened or mended,
// one subject could become another.
func checkIdentity(issuer, subject string) error {
	var found []fault.Field
	for name, v := range map[string]string{"issuer": issuer, "subject": subject} {
		problem := ""
		switch {
		case v == "":
			problem = "must not be empty"
		case !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl):
			problem = "must be text without control characters"
		case utf8.RuneCountInString(v) > maxText:
			problem = "must be at most 255 characters"
		default:
			continue
		}
		found = append(found, fault.Field{Loc: []string{"body", name}, Type: "value", Message: problem})
	}
	if len(found) == 0 {
		return nil
	}
	slices.SortFunc(found, func(a, b fault.Field) int { return cmp.Compare(a.Loc[1], b.Loc[1]) })
	return fault.InvalidFields(found...)
}

// checkRole allows any visible name that can stand in an address, since roles may
// come from other people's issuers. The edge refuses a slash hidden in an address.
func checkRole(r Role) error {
	if r == "." || r == ".." {
		return fault.InvalidFields(fault.Field{Loc: []string{"body", "role"}, Type: "value", Message: "the role must not be dots alone", Input: string(r)})
	}
	return checkName("role", string(r), maxRole, func(c rune) bool {
		return c == ' ' || unicode.IsGraphic(c) && !unicode.IsSpace(c) && c != '/' && c != '\\'
	})
}

// checkGroup allows what names projects and the like. A star is a group alone, and never part of one.
func checkGroup(g Group) error {
	if g == Everywhere {
		return nil
	}
	return checkName("group", string(g), maxGroup, func(c rune) bool {
		return unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c) || strings.ContainsRune("._:@/+-~=", c)
	})
}

func checkName(what, name string, limit int, good func(rune) bool) error {
	problem := ""
	switch bad := strings.IndexFunc(name, func(c rune) bool { return c == utf8.RuneError || !good(c) }); {
	case name == "":
		problem = "must not be empty"
	case utf8.RuneCountInString(name) > limit:
		problem = "is too long"
	case bad >= 0:
		problem = fmt.Sprintf("must not contain %q", []rune(name[bad:])[0])
	case strings.TrimSpace(name) != name:
		problem = "must not begin or end with a space"
	}
	if problem == "" {
		return nil
	}
	if what == "group" && strings.Contains(name, "*") {
		problem = `must be "*" alone for everywhere, or contain no star`
	}
	return fault.InvalidFields(fault.Field{Loc: []string{"body", what}, Type: "value", Message: "the " + what + " " + problem, Input: name})
}

// checkAction refuses what is not in the catalogue, and says what it may have meant.
func (s *Service) checkAction(a Action) error {
	_, found := slices.BinarySearchFunc(s.catalogue, a, func(i ActionInfo, a Action) int { return cmp.Compare(i.Action, a) })
	if found {
		return nil
	}
	message := "there is no such action; GET /api/v1/actions lists them all"
	if near := s.nearActions(a); len(near) > 0 {
		message = "there is no such action; did you mean " + strings.Join(near, ", ") + "?"
	}
	return fault.InvalidFields(fault.Field{Loc: []string{"body", "action"}, Type: "value", Message: message, Input: string(a)})
}

// nearActions gives up to five actions that are spelt much like a, the nearest first.
func (s *Service) nearActions(a Action) []string {
	type near struct {
		name string
		far  int
	}
	text := strings.ToLower(clean(string(a), 100))
	var list []near
	for _, i := range s.catalogue {
		name := string(i.Action)
		far := spelling.Distance(text, name)
		if text != "" && (strings.HasPrefix(name, text) || strings.HasSuffix(name, "."+text)) {
			far = min(far, 1)
		}
		if far <= max(2, len(name)/3) {
			list = append(list, near{name, far})
		}
	}
	slices.SortStableFunc(list, func(a, b near) int { return cmp.Compare(a.far, b.far) })
	names := make([]string, 0, 5)
	for _, n := range list[:min(len(list), 5)] {
		names = append(names, n.name)
	}
	return names
}

// uniqueRoles gives the roles in order, each once.
func uniqueRoles(list []Role) []Role {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	if sorted == nil {
		sorted = []Role{}
	}
	return sorted
}

// without gives the roles of list that are not in other.
func without(list, other []Role) []Role {
	rest := make([]Role, 0, len(list))
	for _, r := range list {
		if !slices.Contains(other, r) {
			rest = append(rest, r)
		}
	}
	return rest
}

func join(roles []Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}
