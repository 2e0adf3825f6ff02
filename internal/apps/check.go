package apps

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lodge/internal/access"
)

// DefaultGroup is the access group of apps that name none.
const DefaultGroup access.Group = "apps"

var (
	idPattern   = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	namePattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	envPattern  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	headPattern = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	imageText   = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$`)
)

// reservedIDs would read like addresses of Lodge itself.
var reservedIDs = []string{"-", "api", "auth", "idp", "hub"}

const (
	maxAppID       = 20
	maxSlug        = 20
	maxSessionName = 15
)

// validID checks an app's id.
func validID(id AppID) bool {
	return len(id) <= maxAppID && idPattern.MatchString(string(id)) && !slices.Contains(reservedIDs, string(id))
}

// validName checks the name of a named app session; "" is the unnamed one.
func validName(name string) bool {
	return name == "" || len(name) <= maxSessionName && namePattern.MatchString(name)
}

// finding is one fault of an entry, at a key.
type finding struct{ key, message string }

// findings collects faults.
type findings struct{ list []finding }

func (f *findings) add(key, format string, args ...any) {
	f.list = append(f.list, finding{key, fmt.Sprintf(format, args...)})
}

// check reports everything that is wrong with an entry that has its defaults.
func (a App) check() []finding {
	f := &findings{}
	if !validID(a.ID) {
		f.add("id", "%q is no id: lower-case letters, digits and single hyphens, beginning with a letter, %d at most, and none of %s",
			a.ID, maxAppID, strings.Join(reservedIDs, ", "))
	}
	if a.Image == "" && len(a.Command) == 0 {
		f.add("image", "an app needs an image or a command")
	}
	if a.Image != "" && !imageText.MatchString(a.Image) {
		f.add("image", "%q is no image reference", a.Image)
	}
	if a.Port < 0 || a.Port > 65535 {
		f.add("port", "%d is no port", a.Port)
	}
	if a.Group == "" || a.Group == access.Everywhere || len(a.Group) > 191 {
		f.add("group", "%q is no group", a.Group)
	}
	a.checkEnv(f)
	a.checkVolumes(f)
	a.checkOptions(f)
	a.checkWords(f)
	a.checkLimits(f)
	a.checkTemplates(f)
	return f.list
}

func (a App) checkEnv(f *findings) {
	for name := range a.Env {
		if !envPattern.MatchString(name) {
			f.add("env", "%q is no name of a variable", name)
		}
		if strings.HasPrefix(name, "LODGE_") || name == "LD_PRELOAD" {
			f.add("env."+name, "is Lodge's own")
		}
		if _, twice := a.SecretEnv[name]; twice {
			f.add("secret_env."+name, "stands in env too")
		}
	}
	for name, from := range a.SecretEnv {
		if !envPattern.MatchString(name) || strings.HasPrefix(name, "LODGE_") {
			f.add("secret_env", "%q is no name of a variable, or Lodge's own", name)
		}
		if !path.IsAbs(from.File) {
			f.add("secret_env."+name, "needs the absolute path of a file")
		}
	}
}

func (a App) checkVolumes(f *findings) {
	seen := map[string]bool{}
	for i, v := range a.Volumes {
		key := fmt.Sprintf("volumes[%d]", i)
		if len(v.Name) > 30 || !namePattern.MatchString(v.Name) {
			f.add(key+".name", "%q is no name: lower-case letters, digits and single hyphens", v.Name)
		}
		if seen[v.Name] {
			f.add(key+".name", "%q is used twice", v.Name)
		}
		seen[v.Name] = true
		if !path.IsAbs(v.Path) || path.Clean(v.Path) != v.Path || v.Path == "/" {
			f.add(key+".path", "%q is no clean absolute path", v.Path)
		}
		if claim, is := v.Claim(); is && claim == "" {
			f.add(key+".source", "names no claim")
		} else if !is && v.Source != "" && (!path.IsAbs(v.Source) || path.Clean(v.Source) != v.Source) {
			f.add(key+".source", "%q is neither a clean absolute path nor claim:NAME", v.Source)
		}
		if !slices.Contains([]string{"user", "session", "app", "shared"}, v.Per) {
			f.add(key+".per", "is one of user, session, app, shared")
		}
	}
}

func (a App) checkOptions(f *findings) {
	seen := map[string]bool{}
	for i, o := range a.Options {
		key := fmt.Sprintf("options[%d]", i)
		if len(o.ID) > 30 || !idPattern.MatchString(o.ID) || seen[o.ID] {
			f.add(key+".id", "%q is no id, or stands twice", o.ID)
		}
		seen[o.ID] = true
		switch o.Type {
		case "choice":
			if len(o.Choices) == 0 {
				f.add(key+".choices", "offers nothing to choose")
			}
		case "text", "number", "boolean":
		default:
			f.add(key+".type", "is one of choice, text, number, boolean")
		}
		if _, err := regexp.Compile(o.Pattern); err != nil {
			f.add(key+".pattern", "is no regular expression: %v", err)
		}
		if o.Default != nil {
			if _, err := o.value(o.Default); err != nil {
				f.add(key+".default", "%v", err)
			}
		}
	}
}

func (a App) checkWords(f *findings) {
	word := func(key, is string, among ...string) {
		if !slices.Contains(among, is) {
			f.add(key, "%q is none of %s", is, strings.Join(among, ", "))
		}
	}
	word("activity.http", a.Activity.HTTP, "any", "user", "none")
	word("activity.websocket", a.Activity.WebSocket, "any", "input", "open", "none")
	word("security.egress", a.Security.Egress, "none", "internet", "all")
	if a.Security.RunAs == "image" && !a.Security.AllowRoot && a.Image == "" {
		f.add("security.run_as", "only an image has a user of its own")
	}
	for _, name := range a.Identity.Headers {
		if !slices.Contains(identityHeaders, strings.ToLower(name)) {
			f.add("identity.headers", "%q is no header that Lodge sets: %s", name, strings.Join(identityHeaders, ", "))
		}
	}
	for _, origin := range a.AllowedOrigins {
		if u, err := url.Parse(origin); err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" {
			f.add("allowed_origins", "%q is no origin such as https://example.org", origin)
		}
	}
	for name := range a.Responses.Set {
		if !headPattern.MatchString(name) || isHopByHop(name) || strings.EqualFold(name, "Set-Cookie") {
			f.add("response_headers.set", "%q is no header that can be set", name)
		}
	}
	if _, err := parseStatuses(a.Ready.Status); err != nil {
		f.add("ready.status", "%v", err)
	}
	for _, p := range append([]string{a.Ready.Path}, a.Activity.Ignore...) {
		if !strings.HasPrefix(p, "/") {
			f.add("ready.path", "%q does not begin with a slash", p)
		}
	}
	if a.Activity.Probe != "" && !strings.HasPrefix(a.Activity.Probe, "/") {
		f.add("activity.probe", "%q does not begin with a slash", a.Activity.Probe)
	}
}

func (a App) checkLimits(f *findings) {
	if a.Resources.CPU < 0 || a.Resources.PIDs < 0 || a.Resources.GPU < 0 {
		f.add("resources", "cannot be less than nothing")
	}
	if a.Named < 0 || a.Named > 100 {
		f.add("named", "must lie between 0 and 100")
	}
	if time.Duration(a.Ready.Timeout) > time.Duration(a.StartTimeout) {
		f.add("ready.timeout", "is longer than start_timeout")
	}
	if a.MaxConnections < 0 || a.MaxWebSockets < 0 {
		f.add("max_connections", "cannot be less than nothing")
	}
}

// checkTemplates expands every template with sample values, so that a typing mistake is found when
// the catalogue is read and not at a launch.
func (a App) checkTemplates(f *findings) {
	if len(f.list) > 0 {
		return
	}
	owner := Owner{ID: "00000000-0000-4000-8000-000000000000", Name: "ana", Email: "ana@example.org", Slug: "ana"}
	if _, err := a.resolve(place{owner: owner, host: "example.org", session: owner.ID}, nil, false); err != nil {
		for _, one := range err.list {
			f.add(one.key, "%s", one.message)
		}
	}
}

// statusRange is an inclusive range of statuses.
type statusRange struct{ from, to int }

func parseStatuses(list []any) ([]statusRange, error) {
	var out []statusRange
	for _, one := range list {
		text := fmt.Sprint(one)
		first, last, ranged := strings.Cut(text, "-")
		if !ranged {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || from < 100 || to > 599 || from > to {
			return nil, fmt.Errorf("%q is neither a status nor a range such as 200-399", text)
		}
		out = append(out, statusRange{from, to})
	}
	return out, nil
}
