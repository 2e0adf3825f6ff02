// Command mkimage packs a folder as a container image of one layer, in the form that docker save
// writes and ctr and docker load read: no daemon, no base image, the same bytes each time.
//
//	mkimage -name lodge.test/hello:1 -entrypoint /hello -o hello.tar FOLDER
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	var i image
	var out string
	flag.StringVar(&i.name, "name", "", "the image's whole name with its tag")
	flag.StringVar(&i.user, "user", "", "the user that it runs as")
	flag.StringVar(&i.entrypoint, "entrypoint", "", "what it runs, words apart by blanks")
	flag.StringVar(&out, "o", "", "the file to write")
	flag.Parse()
	if i.name == "" || out == "" || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := i.write(out, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

type image struct{ name, user, entrypoint string }

func (i image) write(out, folder string) (err error) {
	layer, err := pack(folder)
	if err != nil {
		return err
	}
	type settings struct {
		Entrypoint []string `json:",omitempty"`
		Env        []string
		User       string `json:",omitempty"`
	}
	config, err := json.Marshal(map[string]any{
		"os":           "linux",
		"architecture": runtime.GOARCH,
		"config":       settings{strings.Fields(i.entrypoint), []string{"PATH=/bin:/usr/bin"}, i.user},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
	})
	if err != nil {
		return err
	}
	configName := strings.TrimPrefix(digest(config), "sha256:") + ".json"
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": configName, "RepoTags": []string{i.name}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range []struct {
		name string
		text []byte
	}{{configName, config}, {"layer.tar", layer}, {"manifest.json", manifest}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.text))}); err != nil {
			return err
		}
		if _, err := w.Write(f.text); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(out, archive.Bytes(), 0o644)
}

// pack writes a folder as a layer. Owners and times are left out, so that the same files give the
// same image.
func pack(folder string) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		return add(w, folder, path, entry)
	})
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return layer.Bytes(), nil
}

func add(w *tar.Writer, folder, path string, entry fs.DirEntry) error {
	name, err := filepath.Rel(folder, path)
	if err != nil {
		return err
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	var target string
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	from, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	head := &tar.Header{Typeflag: from.Typeflag, Name: name, Linkname: target, Mode: from.Mode, Size: from.Size}
	if entry.IsDir() {
		head.Name += "/"
	}
	if err := w.WriteHeader(head); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, f.Close())
}

func digest(text []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(text)) }
