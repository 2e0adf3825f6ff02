// Package words holds the pages of the repository to what they say: that every test, setting, link
// and dependency that they name is there.
package words

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lodge/internal/config"
)

const root = "../.."

// pages gives the text of every page by its path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md", "console/*.md", "internal/*/README.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			found[strings.TrimPrefix(filepath.ToSlash(name), root+"/")] = read(t, name)
		}
	}
	if len(found) < 20 {
		t.Fatalf("only %d pages are found", len(found))
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sources calls visit for every Go file of ours, with its path.
func sources(t *testing.T, visit func(name string)) {
	t.Helper()
	for _, top := range []string{"cmd", "internal", "console", "test"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata"):
				return fs.SkipDir
			case strings.HasSuffix(name, ".go"):
				visit(name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

var (
	testNamed   = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z][A-Za-z0-9]+`)
	testDefined = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
)

func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	defined := map[string]bool{}
	sources(t, func(name string) {
		if strings.HasSuffix(name, "_test.go") {
			for _, m := range testDefined.FindAllStringSubmatch(read(t, name), -1) {
				defined[m[1]] = true
			}
		}
	})
	for page, text := range pages(t) {
		for _, name := range testNamed.FindAllString(text, -1) {
			if !defined[name] {
				t.Errorf("%s names %s, which is no test", page, name)
			}
		}
	}
}

var (
	code = regexp.MustCompile("`[^`\n]+`")
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

func TestLinksLead(t *testing.T) {
	t.Parallel()
	for page, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, path.Dir(page), target)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, m[1])
			}
		}
	}
}

var settingNamed = regexp.MustCompile("`((?:http|tls|log|objects|identity|audit|results)(?:\\.[a-z0-9_]+)+)")

// TestNamedSettingsExist also lets pages name a block of settings.
func TestNamedSettingsExist(t *testing.T) {
	t.Parallel()
	var keys []string
	for _, item := range config.Default().Items() {
		keys = append(keys, item.Key)
	}
	for page, text := range pages(t) {
		for _, m := range settingNamed.FindAllStringSubmatch(text, -1) {
			name := m[1]
			// A file of that name, such as results.go, is no setting.
			if path.Ext(name) == ".go" || path.Ext(name) == ".md" || slices.ContainsFunc([]string{"read", "write", "delete", "uploads"}, func(end string) bool {
				return strings.HasPrefix(name, "results."+end) || name == "audit."+end
			}) {
				continue
			}
			if !slices.ContainsFunc(keys, func(key string) bool { return key == name || strings.HasPrefix(key, name+".") }) {
				t.Errorf("%s names the setting %s, which is none", page, name)
			}
		}
	}
}

var required = regexp.MustCompile(`(?m)^\t([a-z0-9.]+\.[a-z]+/\S+) v\S+`)

// TestEveryDependencyIsExplained looks at what our own code imports.
func TestEveryDependencyIsExplained(t *testing.T) {
	t.Parallel()
	page, modules := read(t, root+"/docs/dependencies.md"), []string{}
	for _, m := range required.FindAllStringSubmatch(read(t, root+"/go.mod"), -1) {
		modules = append(modules, m[1])
	}
	slices.SortFunc(modules, func(a, b string) int { return len(b) - len(a) }) // the longest fits best
	used := map[string]bool{}
	sources(t, func(name string) {
		for _, imported := range imports(t, name) {
			if at := slices.IndexFunc(modules, func(m string) bool { return imported == m || strings.HasPrefix(imported, m+"/") }); at >= 0 {
				used[modules[at]] = true
			}
		}
	})
	for module := range used {
		if !strings.Contains(page, "`"+module+"`") {
			t.Errorf("docs/dependencies.md does not say why %s is here", module)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z.]+\\.[a-z]+/\\S+)` \\|").FindAllStringSubmatch(page, -1) {
		if !used[m[1]] {
			t.Errorf("docs/dependencies.md explains %s, which nothing imports", m[1])
		}
	}
}

func imports(t *testing.T, name string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, spec := range file.Imports {
		list = append(list, strings.Trim(spec.Path.Value, `"`))
	}
	return list
}
