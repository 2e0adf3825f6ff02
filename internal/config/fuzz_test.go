package config

import (
	"os"
	"path/filepath"
	"testing"
)

// Whatever a file holds, it is read or refused, and what was read can be shown.
func FuzzFile(f *testing.F) {
	f.Add(Example())
	f.Add("listen: 127.0.0.1:1\nlog: {level: debug}\n")
	f.Add("identity:\n  issuers:\n    - issuer: https://a\n      audiences: [b, c]\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(_ *testing.T, text string) {
		l := newLoader()
		l.parseFile("lodge.yaml", []byte(text))
		l.validate()
		_ = l.findings.Error()
		l.Items()
	})
}

// The same for variables and for a .env file.
func FuzzEnvironment(f *testing.F) {
	f.Add("LODGE_LISTEN", "127.0.0.1:1", "MINIO__ENDPOINT=x")
	f.Add("LODGE_IDENTITY_ISSUERS", "[{issuer: x}]", `CRYPTO__ECDH_PRIVATE_KEY="a\nb"`)
	f.Add("POSTGRES__HOST", "::", "POSTGRES__USER=$X")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, name, value, dotenv string) {
		path := filepath.Join(dir, ".env")
		if err := os.WriteFile(path, []byte(dotenv), 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := Load(Input{Environ: []string{name + "=" + value}, DotEnv: path}); err == nil {
			l.Items()
		}
	})
}
