package kubernetes

import (
	"context"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Logs implements apps.Driver. They go with the pod; the end of them is kept in the row.
func (d *Driver) Logs(ctx context.Context, id string, tail int, follow bool) (io.ReadCloser, error) {
	p, err := d.find(ctx, id)
	if err != nil {
		return nil, err
	}
	text, err := d.streams.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: container, TailLines: new(int64(tail)), Follow: follow}).Stream(ctx)
	if apierrors.IsBadRequest(err) { // its container is not there yet, and has written nothing
		return io.NopCloser(strings.NewReader("")), nil
	}
	if err != nil {
		return nil, plain(ctx, err, "read the log")
	}
	return &logReader{text, ctx}, nil
}

// logReader ends quietly when nobody reads on.
type logReader struct {
	io.ReadCloser
	ctx context.Context // whose end is the log's
}

// Read implements io.Reader.
func (l *logReader) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if err != nil && l.ctx.Err() != nil {
		err = io.EOF
	}
	return n, err
}
