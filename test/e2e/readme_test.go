package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme runs the tour of the README as it stands there, beside a server as `make run` starts it.
func TestReadme(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	noError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	noError(t, err)
	_, tour, found := strings.Cut(string(text), "\n## Five minutes\n")
	if !found {
		t.Fatal("the README has no tour")
	}
	var script strings.Builder
	// Whatever becomes of it, what it started ends with it.
	script.WriteString("set -euo pipefail\nset -m\ntrap 'jobs -p | xargs -r kill 2>&- || true' EXIT\n")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(tour, -1)
	if len(blocks) < 4 {
		t.Fatalf("the tour has %d blocks of commands", len(blocks))
	}
	for _, block := range blocks {
		script.WriteString(block[1])
	}

	home := newPlace(t, append(packageSettings(), "LODGE_FLEET_SIMULATOR_SPEED=20")...)
	server := home.serve(t, theBinary(t), "serve", "--listen", "127.0.0.1:0")
	for _, name := range []string{"README.md", "go.sum"} {
		noError(t, os.Symlink(filepath.Join(root, name), filepath.Join(home.workDir(), name)))
	}
	// A copy: the tour installs the stock client in it.
	for _, name := range []string{"package.json", "package-lock.json", "follow.mjs"} {
		text, err := os.ReadFile(filepath.Join(root, "examples", "fleet", name))
		noError(t, err)
		noError(t, os.MkdirAll(filepath.Join(home.workDir(), "examples", "fleet"), 0o700))
		noError(t, os.WriteFile(filepath.Join(home.workDir(), "examples", "fleet", name), text, 0o600))
	}
	noError(t, os.Mkdir(filepath.Join(home.workDir(), "bin"), 0o700))
	noError(t, os.Symlink(theBinary(t), filepath.Join(home.workDir(), "bin", "lodge")))
	commands := strings.NewReplacer(
		"http://127.0.0.1:8080", server.url, "127.0.0.1:8081", reservedHub(t).address, "127.0.0.1:9090", reservedHub(t).address,
	).Replace(script.String())

	tool := exec.CommandContext(t.Context(), "bash", "-c", commands)
	tool.Dir, tool.Env = home.workDir(), home.env
	said, err := tool.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, said, server.logs())
	}
	sums := regexp.MustCompile(`(?m)^([0-9a-f]{64})  (?:-|go\.sum)$`).FindAllStringSubmatch(string(said), -1)
	if len(sums) != 2 || sums[0][1] != sums[1][1] {
		t.Errorf("the file came back changed:\n%s", said)
	}
	for _, want := range []string{`"filename":"go.sum"`, "the same", "202 http", "\n204\n", `"linked":1`, `"state":"delivered"`, "patrol.dispatch", "completed carrier", "GET /hello HTTP/1.1", "X-Lodge-User: operator", "stopped 204"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("the tour did not show %q:\n%s", want, said)
		}
	}
}

// packageSettings tell npm where packages are, as whoever runs the tests has set it.
func packageSettings() []string {
	settings := []string{"npm_config_userconfig=" + filepath.Join(os.Getenv("HOME"), ".npmrc")}
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(strings.ToLower(pair), "=")
		if strings.HasPrefix(name, "npm_config_") || name == "node_extra_ca_certs" || strings.HasSuffix(name, "_proxy") {
			settings = append(settings, pair)
		}
	}
	return settings
}
