package objects

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

func TestTemporaryFolders(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	tmp, err := openTemporary(parent, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for range perFolder + 1 {
		f, err := tmp.create()
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		if err := os.Remove(f.Name()); err != nil {
			t.Fatal(err)
		}
		seen[filepath.Dir(f.Name())]++
	}
	if len(seen) != 2 {
		t.Errorf("%d files were made in %d folders, want 2", perFolder+1, len(seen))
	}
	if err := tmp.close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("closing left %v, %v", left, err)
	}
}
