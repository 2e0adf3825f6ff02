package workflows

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lodge/internal/secret"
)

func TestSecretKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	key, err := OpenSecretKey(path)
	noError(t, err)
	info, err := os.Stat(path)
	noError(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the key: %v", info.Mode())
	}
	sealed, err := key.seal("w", "k", secret.String("s3cret"))
	noError(t, err)
	twice, err := key.seal("w", "k", secret.String("s3cret"))
	noError(t, err)
	if sealed == twice {
		t.Error("the same secret is sealed alike")
	}
	again, err := OpenSecretKey(path)
	noError(t, err)
	value, err := again.open("w", "k", sealed)
	noError(t, err)
	if value.Reveal() != "s3cret" {
		t.Errorf("got %q", value.Reveal())
	}
	other, err := NewSecretKey([]byte(strings.Repeat("x", 32)))
	noError(t, err)
	for name, open := range map[string]func() (secret.String, error){
		"another workspace": func() (secret.String, error) { return key.open("v", "k", sealed) },
		"another name":      func() (secret.String, error) { return key.open("w", "l", sealed) },
		"another key":       func() (secret.String, error) { return other.open("w", "k", sealed) },
		"cut off":           func() (secret.String, error) { return key.open("w", "k", sealed[:30]) },
		"altered":           func() (secret.String, error) { return key.open("w", "k", sealed[:len(sealed)-6]+"AAAAA=") },
		"no such form":      func() (secret.String, error) { return key.open("w", "k", "s3cret") },
		"a later form":      func() (secret.String, error) { return key.open("w", "k", "v2"+sealed[2:]) },
	} {
		if v, err := open(); err == nil || v != "" {
			t.Errorf("%s: opened", name)
		}
	}
	for name, text := range map[string]string{"short": hex.EncodeToString(make([]byte, 31)), "no hex": strings.Repeat("x", 64), "empty": ""} {
		bad := filepath.Join(t.TempDir(), name)
		noError(t, os.WriteFile(bad, []byte(text), 0o600))
		if _, err := OpenSecretKey(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
