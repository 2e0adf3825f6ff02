package client

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lodge/internal/fault"
)

// sink is where a download goes: a writer that cannot be taken back, or PATH.part beside
// PATH.part.etag, which says which version of the file the part belongs to.
type sink struct {
	out    io.Writer
	device io.Closer // out, if it is ours to close
	path   string
	part   *os.File
	size   int64
	etag   string
	err    error // of writing, as opposed to reading
}

func openSink(o GetOptions, sum io.Writer) (*sink, error) {
	if o.Out == "-" {
		if o.Stdout == nil {
			return nil, fault.New(fault.Invalid, "There is nowhere to write to.")
		}
		return &sink{out: o.Stdout}, nil
	}
	info, err := os.Stat(o.Out)
	switch {
	case err != nil || info.Mode().IsRegular():
		return openPart(o.Out, sum)
	case info.IsDir():
		return nil, fault.New(fault.Invalid, "%s is a folder.", o.Out)
	}
	f, err := os.OpenFile(o.Out, os.O_WRONLY, 0) // a device or a pipe
	if err != nil {
		return nil, fault.Wrap(errors.Unwrap(err), fault.Invalid, "%s cannot be written", o.Out)
	}
	return &sink{out: f, device: f}, nil
}

// openPart opens what an earlier download left and adds it to sum; a part whose
// version is not known is of no use.
func openPart(path string, sum io.Writer) (*sink, error) {
	f, err := os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(errors.Unwrap(err), fault.Invalid, "%s cannot be written", path)
	}
	s := &sink{path: path, part: f}
	tag, err := os.ReadFile(s.tagFile())
	if err != nil || !strings.HasPrefix(string(tag), `"`) {
		return s, s.restart()
	}
	if s.size, err = io.Copy(sum, f); err != nil {
		s.close()
		return nil, fault.Wrap(err, fault.Invalid, "%s.part cannot be read", path)
	}
	s.etag = string(tag)
	return s, nil
}

func (s *sink) tagFile() string { return s.path + ".part.etag" }

func (s *sink) Write(p []byte) (int, error) {
	var w io.Writer = s.part
	if s.part == nil {
		w = s.out
	}
	n, err := w.Write(p)
	s.size += int64(n)
	if err != nil {
		s.err = err
	}
	return n, err
}

// remember notes the version that the part belongs to.
func (s *sink) remember(etag string) error {
	if s.part == nil {
		return nil
	}
	s.etag = etag
	if etag == "" {
		_ = os.Remove(s.tagFile())
		return nil
	}
	if err := os.WriteFile(s.tagFile(), []byte(etag), 0o600); err != nil {
		return fault.Wrap(errors.Unwrap(err), fault.Full, "%s cannot be written", s.path)
	}
	return nil
}

func (s *sink) restart() error {
	if s.part == nil {
		return nil
	}
	s.size, s.etag = 0, ""
	_ = os.Remove(s.tagFile())
	if err := s.part.Truncate(0); err != nil {
		return fmt.Errorf("empty %s.part: %w", s.path, err)
	}
	if _, err := s.part.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("go back in %s.part: %w", s.path, err)
	}
	return nil
}

// finish gives the whole file its name.
func (s *sink) finish() error {
	if s.part == nil {
		return nil
	}
	err := errors.Join(s.part.Sync(), s.part.Close())
	s.part = nil
	if err == nil {
		err = os.Rename(s.path+".part", s.path)
	}
	if err != nil {
		return fault.Wrap(err, fault.Full, "%s cannot be written", s.path)
	}
	_ = os.Remove(s.tagFile())
	if dir, err := os.Open(filepath.Dir(s.path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

// discard removes a part that is good for nothing.
func (s *sink) discard() {
	s.close()
	if s.path != "" {
		_ = os.Remove(s.path + ".part")
		_ = os.Remove(s.tagFile())
	}
}

// close leaves a part for later, but no empty one.
func (s *sink) close() {
	if s.device != nil {
		_ = s.device.Close()
		s.device = nil
	}
	if s.part == nil {
		return
	}
	_ = s.part.Close()
	s.part = nil
	if s.size == 0 {
		_ = os.Remove(s.path + ".part")
		_ = os.Remove(s.tagFile())
	}
}
