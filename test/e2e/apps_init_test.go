package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The wizard asks what is needed, refuses what cannot be, and writes settings that the server takes.
func TestConfigInit(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	answer := func(lines ...string) (string, error) {
		wizard := exec.CommandContext(t.Context(), theBinary(t), "config", "init", "--force")
		wizard.Dir, wizard.Env, wizard.Stdin = p.workDir(), p.env, strings.NewReader(strings.Join(lines, "\n")+"\n")
		said, err := wizard.CombinedOutput()
		return string(said), err
	}
	read := func() string {
		text, err := os.ReadFile(filepath.Join(p.workDir(), "lodge.yaml"))
		noError(t, err)
		return string(text)
	}
	said, err := answer("https://lodge.example.org", "lodge.example.org", "nonsense", "proxy", "10.0.0.5", "https://login.example.org", "", "hush", "ana", "quay.io/lab/jupyter:1", "jupyter", "8888", "scientist")
	if err != nil || !strings.Contains(said, "without https://") || !strings.Contains(said, "choose one of") || !strings.Contains(said, "/auth/callback") {
		t.Errorf("%v\n%s", err, said)
	}
	if shown := p.run(t, "config", "show").ok(); strings.Contains(shown, "hush") || !strings.Contains(shown, "[jupyter]") || !strings.Contains(shown, "https://lodge.example.org") {
		t.Errorf("what was written reads as\n%s", shown)
	}
	info, err := os.Stat(filepath.Join(p.workDir(), "lodge.yaml"))
	noError(t, err)
	equal(t, "mode of a file with a secret", info.Mode().Perm(), 0o600)
	p.run(t, "config", "init", "--yes").fails("is there already")
	p.run(t, "config", "init", "--yes", "--force", "--domain", "lodge.example.org").fails("Certificate file")
	if _, err := answer("lodge.example.org"); err == nil {
		t.Error("half of the answers were enough")
	}
	p.run(t, "config", "init", "--yes", "--force", "--domain", "lodge.example.org", "--tls", "acme", "--email", "it@example.org").ok()
	if text := read(); !strings.Contains(text, "routing: path") {
		t.Errorf("apps would have hosts without a certificate:\n%s", text)
	}
	p.run(t, "config", "init", "--yes", "--force").ok()
	server := p.serve(t, theBinary(t), "serve", "--listen", "127.0.0.1:0", "--no-simulator")
	server.kill()
}
