package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// content is the name in an archive of the file or folder that an artifact is.
const content = "artifact"

// pack writes a file or a folder as a .tgz, which is how Argo keeps artifacts.
func pack(path, to string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	zip := gzip.NewWriter(out)
	archive := tar.NewWriter(zip)
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || !entry.IsDir() && !info.Mode().IsRegular() {
			return err
		}
		head, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(path, name)
		if err != nil {
			return err
		}
		head.Name = filepath.Join(content, inside)
		if err := archive.WriteHeader(head); err != nil || entry.IsDir() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(archive, f)
		return errors.Join(err, f.Close())
	})
	return errors.Join(err, archive.Close(), zip.Close(), out.Close())
}

// unpack reads what pack wrote.
func unpack(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	zip, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	for archive := tar.NewReader(zip); ; {
		head, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case !filepath.IsLocal(head.Name):
			return fmt.Errorf("%q leads out of the archive", head.Name)
		}
		inside, err := filepath.Rel(content, head.Name)
		if err != nil {
			return err
		}
		if err := extract(archive, head, filepath.Join(to, inside)); err != nil {
			return err
		}
	}
}

func extract(archive io.Reader, head *tar.Header, to string) error {
	if head.Typeflag == tar.TypeDir {
		return os.MkdirAll(to, 0o777)
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, archive)
	return errors.Join(err, out.Close())
}
