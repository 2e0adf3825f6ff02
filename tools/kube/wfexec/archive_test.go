package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestArchive(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	for name, text := range map[string]string{"file": "a file", "folder/a": "a", "folder/b/c": "c"} {
		name = filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for packed, want := range map[string]map[string]string{
		"file":   {"": "a file"},
		"folder": {"a": "a", "b/c": "c"},
	} {
		archive, to := filepath.Join(t.TempDir(), "x.tgz"), filepath.Join(t.TempDir(), "to")
		if err := pack(filepath.Join(from, packed), archive); err != nil {
			t.Fatal(err)
		}
		if err := unpack(archive, to); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			if got, err := os.ReadFile(filepath.Join(to, name)); string(got) != text {
				t.Errorf("%s: got %q (%v), want %q", name, got, err, text)
			}
		}
	}
	if err := pack(filepath.Join(from, "none"), filepath.Join(from, "x")); !os.IsNotExist(err) {
		t.Errorf("got %v for what is not there", err)
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3, "kill -9 $$": 137} {
		if got, err := exitCode(exec.CommandContext(t.Context(), "sh", "-c", script).Run()); got != want || err != nil {
			t.Errorf("%s: got %d (%v), want %d", script, got, err, want)
		}
	}
	if _, err := exitCode(os.ErrInvalid); err == nil {
		t.Error("what is no exit has a code")
	}
}
