package apps

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lodge/internal/access"
)

// ServiceHub is what a servicehub.conf says, as the program that Lodge replaces meant it.
type ServiceHub struct {
	LogLevel string
	// Lifetime is how long an app may idle.
	Lifetime time.Duration
	// Remove says that what has ended is removed.
	Remove bool
	Apps   []App
	// Notices are for the log: what was read differently from how it stands there.
	Notices []string
}

const (
	maxServiceHubFile = 1 << 20
	// servicehubLifetime holds where [session] lifetime is absent.
	servicehubLifetime = 21600 * time.Second
)

// section is one section of an INI file: keys in lower case.
type section map[string]string

// ParseServiceHub reads servicehub.conf files as they are; of several the later ones win. It takes
// what Python's ConfigParser takes: sections, "=" or ":", comments, values over several lines.
func ParseServiceHub(files ...[]byte) (ServiceHub, error) {
	merged := map[string]section{}
	for _, text := range files {
		if err := readINI(string(text), merged); err != nil {
			return ServiceHub{}, err
		}
	}
	var hub ServiceHub
	var wrong []error
	get := func(in, key string) string { return unquote(merged[in][key]) }

	// The examples say loglevel, the program read logging_level: both act.
	hub.LogLevel = strings.ToLower(cmp.Or(get("application", "logging_level"), get("application", "loglevel")))
	switch hub.LogLevel {
	case "", "debug", "info", "error":
	case "warning", "warn":
		hub.LogLevel = "warn"
	case "critical", "fatal":
		hub.LogLevel = "error"
	default:
		hub.Notices = append(hub.Notices, fmt.Sprintf("the log level %q is not known; info holds", hub.LogLevel))
		hub.LogLevel = ""
	}
	hub.Lifetime = servicehubLifetime
	if text := get("session", "lifetime"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("[session] lifetime: %q is no number of seconds", text))
		}
		hub.Lifetime = time.Duration(seconds) * time.Second
	}
	for _, key := range []struct{ section, name string }{{"session", "remove"}, {"image", "remove"}} {
		text := strings.ToLower(get(key.section, key.name))
		switch text {
		case "1", "yes", "true", "on":
			hub.Remove = true
		case "", "0", "no", "false", "off":
		default:
			wrong = append(wrong, fmt.Errorf("[%s] %s: %q is neither true nor false", key.section, key.name, text))
		}
	}
	apps, err := hub.apps(merged)
	hub.Apps = apps
	if err := errors.Join(append(wrong, err)...); err != nil {
		return ServiceHub{}, fmt.Errorf("servicehub.conf: %w", err)
	}
	return hub, nil
}

// apps makes the catalogue: one app of [image], or one for each line of [images].
func (h *ServiceHub) apps(merged map[string]section) ([]App, error) {
	images := map[string]string{}
	for name, image := range merged["images"] {
		images[name] = unquote(image)
	}
	if len(images) == 0 {
		name := unquote(merged["image"]["name"])
		if name == "" {
			return nil, errors.New("[image] name is missing: it says what to start")
		}
		label := cmp.Or(unquote(merged["image"]["label"]), "latest")
		if !strings.ContainsAny(name[strings.LastIndexByte(name, '/')+1:], ":@") {
			name += ":" + label
		}
		images[name] = name
	}
	names := make([]string, 0, len(images))
	for name := range images {
		names = append(names, name)
	}
	slices.Sort(names)
	var list []App
	var wrong []error
	taken := map[AppID]bool{}
	for _, name := range names {
		id := idFrom(name)
		if string(id) != name && len(merged["images"]) > 0 {
			h.Notices = append(h.Notices, fmt.Sprintf("the image %q is the app %q here", name, id))
		}
		a := App{
			ID: id, Name: string(id), Image: images[name], Group: DefaultGroup, Autostart: true,
			IdleTimeout: Duration(h.Lifetime), NeverIdle: h.Lifetime == 0,
			Identity: IdentityRule{Headers: []string{"userid"}},
			// ServiceHub let everybody in whom Apache had let in.
			Allow: Allow{Users: []string{"*"}},
		}.withDefaults()
		found := a.check()
		if taken[id] {
			found = append(found, finding{"id", "two images would have the same id"})
		}
		taken[id] = true
		if len(found) > 0 {
			wrong = append(wrong, fmt.Errorf("image %q: %w", images[name], &specError{found}))
			continue
		}
		list = append(list, a)
	}
	return list, errors.Join(wrong...)
}

// idFrom makes an app's id of an image's name: its last part without the tag, as far as an id can hold it.
func idFrom(image string) AppID {
	image = image[strings.LastIndexByte(image, '/')+1:]
	if at := strings.IndexAny(image, ":@"); at >= 0 {
		image = image[:at]
	}
	id := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(image))
	for strings.Contains(id, "--") {
		id = strings.ReplaceAll(id, "--", "-")
	}
	id = strings.TrimLeft(id, "-0123456789")
	id = strings.Trim(id[:min(len(id), maxAppID)], "-")
	if !validID(AppID(id)) {
		return "app"
	}
	return AppID(id)
}

// readINI reads one file over what was read before.
func readINI(text string, into map[string]section) error {
	if len(text) > maxServiceHubFile {
		return errors.New("the file is larger than any configuration")
	}
	var at section
	var key string
	for n, line := range strings.Split(strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n"), "\n") {
		bare := strings.TrimSpace(line)
		switch {
		case bare == "" || bare[0] == '#' || bare[0] == ';':
			continue
		case (line[0] == ' ' || line[0] == '\t') && key != "":
			at[key] += "\n" + bare
		case bare[0] == '[':
			name, rest, closed := strings.Cut(bare[1:], "]")
			if !closed || strings.TrimSpace(name) == "" {
				return fmt.Errorf("line %d: %.60q opens no section", n+1, bare)
			}
			if rest = strings.TrimSpace(rest); rest != "" && rest[0] != '#' && rest[0] != ';' {
				return fmt.Errorf("line %d: %.60q stands behind a section", n+1, rest)
			}
			name = strings.TrimSpace(name)
			if into[name] == nil {
				into[name] = section{}
			}
			at, key = into[name], ""
		default:
			split := strings.IndexAny(bare, "=:")
			if split <= 0 {
				return fmt.Errorf("line %d: %.60q is no \"key = value\"", n+1, bare)
			}
			if at == nil {
				return fmt.Errorf("line %d: %.60q stands before any section", n+1, bare)
			}
			key = strings.ToLower(strings.TrimSpace(bare[:split]))
			at[key] = strings.TrimSpace(bare[split+1:])
		}
	}
	return nil
}

// unquote takes off the quotes that the original's template has around a value.
func unquote(text string) string {
	text = strings.TrimSpace(text)
	if len(text) >= 2 && (text[0] == '\'' || text[0] == '"') && text[len(text)-1] == text[0] {
		return text[1 : len(text)-1]
	}
	return text
}

// anyone in Allow.Users is every known caller.
const anyone = "*"

// admits reports whether the entry's own list lets a caller use it, and whether it says anything at all.
// The names of accounts, which are their own there, stand for people of the issuer named accounts; a name
// from elsewhere is what its bearer chose.
func (a Allow) admits(c *access.Caller, accounts string) (listed, admitted bool) {
	for _, r := range a.DenyRoles {
		if slices.Contains(c.Roles, r) {
			return true, false
		}
	}
	if len(a.Roles)+len(a.Users) == 0 {
		return false, false
	}
	for _, r := range a.Roles {
		if slices.Contains(c.Roles, r) {
			return true, true
		}
	}
	for _, u := range a.Users {
		if u == anyone || u == c.Issuer+"|"+c.Subject || u == c.Name && accounts != "" && c.Issuer == accounts {
			return true, true
		}
	}
	return true, false
}
