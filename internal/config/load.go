package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"lodge/internal/spelling"
)

// Source says where the value of a setting came from, such as "default" or "lodge.yaml:12".
type Source string

// Loaded is a configuration together with the origin of every value and what deserves a warning.
type Loaded struct {
	Config
	// Sources is by dotted key; a key that is not in it has its default.
	Sources map[string]Source
	// Notices are about old spellings and ignored variables, for the log.
	Notices []string
}

// Input is everything that a configuration is made from.
type Input struct {
	// File is the path given by --config; empty means lodge.yaml in the working directory, if there is one.
	File string
	// ServiceHub is the path of a servicehub.conf that is read before everything else, if it is given.
	ServiceHub string
	// Environ holds NAME=value pairs, as os.Environ gives them.
	Environ []string
	// DotEnv is the path of a .env file that the originals' variables are read from, if it exists.
	DotEnv string
	// Flags are values by dotted key, given on the command line.
	Flags map[string]string
}

// Errors are all findings about a configuration.
type Errors []error

// Error lists them, one a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = "  " + err.Error()
	}
	return fmt.Sprintf("the configuration has %d error(s):\n%s", len(e), strings.Join(lines, "\n"))
}

// loader collects values and findings.
type loader struct {
	Loaded
	byKey    map[string]setting
	findings Errors
}

// Load joins all sources. It fails with Errors that list everything that is wrong.
func Load(in Input) (*Loaded, error) {
	l := newLoader()
	if in.ServiceHub != "" {
		l.loadServiceHub(in.ServiceHub)
	}
	l.loadFile(in.File)
	l.loadOriginals(in.Environ, in.DotEnv)
	l.loadEnvironment(in.Environ)
	for _, key := range slices.Sorted(maps.Keys(in.Flags)) {
		l.set(key, in.Flags[key], Source("flag --"+strings.ReplaceAll(key, "_", "-")))
	}
	if in.ServiceHub != "" {
		l.trustServiceHubsProxy()
	}
	l.validate()
	if len(l.findings) > 0 {
		return nil, l.findings
	}
	return &l.Loaded, nil
}

// Default is the configuration without any source.
func Default() *Loaded { return &newLoader().Loaded }

func newLoader() *loader {
	l := &loader{byKey: map[string]setting{}}
	l.Sources = map[string]Source{}
	for _, s := range settings("", reflect.ValueOf(&l.Config).Elem()) {
		l.byKey[s.key] = s
		setDefault(s)
	}
	return l
}

func setDefault(s setting) {
	text, ok := s.tag.Lookup("default")
	if !ok {
		return
	}
	if err := s.set(text); err != nil {
		panic("config: default of " + s.key + ": " + err.Error()) // a mistake in config.go, seen by every test
	}
}

func (l *loader) fail(format string, args ...any) {
	l.findings = append(l.findings, fmt.Errorf(format, args...))
}

func (l *loader) set(key, text string, from Source) {
	s, ok := l.byKey[key]
	if !ok {
		l.fail("%s: there is no setting %q%s", from, key, nearest(key, slices.Sorted(maps.Keys(l.byKey))))
		return
	}
	if err := s.set(text); err != nil {
		if s.secret() {
			err = errors.New("the value is not valid")
		}
		l.fail("%s: %s: %w", from, key, err)
		return
	}
	l.Sources[key] = from
}

// nearest suggests what was probably meant, of the candidates.
func nearest(name string, candidates []string) string {
	best, distance := "", 4
	for _, known := range candidates {
		if d := spelling.Distance(strings.ToLower(name), strings.ToLower(known)); d < distance {
			best, distance = known, d
		}
	}
	if best == "" {
		return "; `lodge config example` lists them all"
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// loadEnvironment reads LODGE_… variables. An unknown one is refused, so that a typing error is seen.
func (l *loader) loadEnvironment(environ []string) {
	names := map[string]setting{}
	for _, s := range l.byKey {
		names[s.environment()] = s
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "LODGE_") || strings.HasPrefix(name, "LODGE_TEST_") || isClientVariable(name) {
			continue
		}
		s, ok := names[name]
		switch {
		case !ok:
			l.fail("environment: %s names no setting%s", name, nearest(name, slices.Sorted(maps.Keys(names))))
		case s.isList():
			l.setList(s, []byte(value), "environment: "+name, Source(name))
		default:
			l.set(s.key, value, Source(name))
		}
	}
}

// isClientVariable says whether a variable belongs to the commands that call a server.
func isClientVariable(name string) bool {
	return name == "LODGE_SERVER" || name == "LODGE_TOKEN" || name == "LODGE_CONFIG" || name == "LODGE_CLIENT_SECRET"
}

// loadFile reads the YAML file. Without a name, a lodge.yaml in the working directory is used if it is there.
func (l *loader) loadFile(name string) {
	explicit := name != ""
	if !explicit {
		name = "lodge.yaml"
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) && !explicit {
		return
	}
	if err != nil {
		l.fail("%s: %w", name, err)
		return
	}
	l.parseFile(filepath.Base(name), text)
}
