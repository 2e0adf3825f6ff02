package objects_test

import (
	"log/slog"
	"testing"

	"lodge/internal/drivertest"
	"lodge/internal/objects"
)

func TestFiles(t *testing.T) {
	drivertest.Bucket(t, func(t *testing.T) objects.Bucket { return openFiles(t, t.TempDir()) })
}

func openFiles(t *testing.T, dir string) *objects.Files {
	t.Helper()
	files, err := objects.OpenFiles(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := files.Close(); err != nil {
			t.Error(err)
		}
	})
	return files
}
