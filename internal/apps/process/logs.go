package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"lodge/internal/fault"
)

const (
	// maxLog is how long a log may become before its older half is put aside.
	maxLog = 10 << 20
	// maxTail is how much of a log is read to find its last lines.
	maxTail    = 1 << 20
	followTick = 100 * time.Millisecond
)

// Logs implements apps.Driver.
func (d *Driver) Logs(ctx context.Context, id string, tail int, follow bool) (io.ReadCloser, error) {
	if !safeID(id) {
		return nil, fault.New(fault.Missing, "no such instance")
	}
	f, err := os.Open(d.path(id, logFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.New(fault.Missing, "there is no log")
	}
	if err != nil {
		return nil, err
	}
	last, err := lastLines(f, tail)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !follow {
		return io.NopCloser(bytes.NewReader(last)), f.Close()
	}
	r, w := io.Pipe()
	go func() {
		defer func() { _ = f.Close() }()
		_, err := w.Write(last)
		for err == nil {
			found, missing := d.find(id) // before the copy, so that nothing written before the end is left out
			if _, err = io.Copy(w, f); err != nil {
				break
			}
			if missing != nil || found.Exit != nil {
				err = io.EOF
				break
			}
			select {
			case <-ctx.Done():
				err = io.EOF
			case <-time.After(followTick):
			}
			if at, seek := f.Seek(0, io.SeekCurrent); seek == nil {
				if info, stat := f.Stat(); stat == nil && info.Size() < at {
					_, _ = f.Seek(0, io.SeekStart) // it was cut
				}
			}
		}
		_ = w.CloseWithError(err)
	}()
	return r, nil
}

// lastLines reads the end of a file and leaves it at its end.
func lastLines(f *os.File, lines int) ([]byte, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	text := make([]byte, min(size, maxTail))
	n, err := f.ReadAt(text, size-int64(len(text)))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	text = text[:n]
	end := len(text)
	if end > 0 && text[end-1] == '\n' {
		end--
	}
	for range lines {
		at := bytes.LastIndexByte(text[:end], '\n')
		if at < 0 {
			return text, nil
		}
		end = at
	}
	return text[end+1:], nil
}

// trimLogs puts aside what is too long. The process writes on at the end of the file, wherever that is.
func (d *Driver) trimLogs() {
	entries, err := os.ReadDir(d.cfg.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		path := d.path(e.Name(), logFile)
		info, err := os.Stat(path)
		if err != nil || info.Size() < maxLog {
			continue
		}
		if err := putAside(path, d.path(e.Name(), oldLogFile)); err != nil {
			d.log.Warn("a log could not be cut", "session", e.Name(), "error", err)
		}
	}
}

func putAside(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, maxLog))
	return errors.Join(err, out.Close(), os.Truncate(from, 0))
}
