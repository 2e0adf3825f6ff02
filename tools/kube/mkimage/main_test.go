package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func files(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	all := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[head.Name] = string(text) + head.Linkname
	}
}

func TestImage(t *testing.T) {
	t.Parallel()
	folder, out := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "bin", "hello"), []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("hello", filepath.Join(folder, "bin", "hi")); err != nil {
		t.Fatal(err)
	}
	i := image{name: "a.test/hello:1", user: "65532", entrypoint: "/bin/hello you"}
	var written [2][]byte
	for n := range written {
		name := filepath.Join(out, "x.tar")
		if err := i.write(name, folder); err != nil {
			t.Fatal(err)
		}
		var err error
		if written[n], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(written[0], written[1]) {
		t.Error("the same folder gave two images")
	}
	archive := files(t, written[0])
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal([]byte(archive["manifest.json"]), &manifest); err != nil {
		t.Fatal(err)
	}
	var config struct {
		Config struct {
			Entrypoint []string
			User       string
		} `json:"config"`
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal([]byte(archive[manifest[0].Config]), &config); err != nil {
		t.Fatal(err)
	}
	layer := archive[manifest[0].Layers[0]]
	switch {
	case !slices.Equal(manifest[0].RepoTags, []string{i.name}):
		t.Errorf("got the name %q", manifest[0].RepoTags)
	case !slices.Equal(config.Config.Entrypoint, []string{"/bin/hello", "you"}) || config.Config.User != i.user:
		t.Errorf("got %+v", config.Config)
	case !slices.Equal(config.RootFS.DiffIDs, []string{digest([]byte(layer))}):
		t.Errorf("the layer is not %q", config.RootFS.DiffIDs)
	}
	inside := files(t, []byte(layer))
	if inside["bin/"] != "" || inside["bin/hello"] != "#!" || inside["bin/hi"] != "hello" || len(inside) != 3 {
		t.Errorf("got %q", inside)
	}
}
