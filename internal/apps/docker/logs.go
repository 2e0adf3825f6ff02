package docker

import (
	"context"
	"io"
	"strconv"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Logs implements apps.Driver. They go with the container; the end of them is kept in the row.
func (d *Driver) Logs(ctx context.Context, id string, tail int, follow bool) (io.ReadCloser, error) {
	c, err := d.find(ctx, id)
	if err != nil {
		return nil, err
	}
	both, err := d.engine.ContainerLogs(ctx, c.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(tail), Follow: follow})
	if err != nil {
		return nil, plain(err, "read the log")
	}
	r, w := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(w, w, both)
		if ctx.Err() != nil {
			err = nil
		}
		_ = w.CloseWithError(err)
		_ = both.Close()
	}()
	return &logReader{r, both}, nil
}

// logReader ends the engine's answer when nobody reads on.
type logReader struct {
	*io.PipeReader
	source io.Closer
}

// Close implements io.Closer.
func (l *logReader) Close() error {
	_ = l.PipeReader.Close() // it never fails
	return l.source.Close()
}
