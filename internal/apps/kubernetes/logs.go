package kubernetes

import (
	"context"
	"io"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// rawSerializer is for answers that are read as they are; only the API server's errors have a type.
func rawSerializer() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(schema.GroupVersion{Version: "v1"}, &metav1.Status{})
	return serializer.NewCodecFactory(scheme).WithoutConversion()
}

// Logs implements apps.Driver. They go with the pod; the end of them is kept in the row.
func (d *Driver) Logs(ctx context.Context, id string, tail int, follow bool) (io.ReadCloser, error) {
	p, err := d.find(ctx, id)
	if err != nil {
		return nil, err
	}
	text, err := d.api.raw.Get().AbsPath("/api/v1/namespaces", p.Namespace, "pods", p.Name, "log").
		Param("container", container).Param("tailLines", strconv.Itoa(tail)).Param("follow", strconv.FormatBool(follow)).Stream(ctx)
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
