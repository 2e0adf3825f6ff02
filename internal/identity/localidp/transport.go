package localidp

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// inProcess answers requests by a handler in this process, as if it had been asked over a network.
type inProcess struct{ handler http.Handler }

// maxAnswer bounds what is kept of an answer.
const maxAnswer = 1 << 20

// RoundTrip runs the handler.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	asked := r.Clone(r.Context())
	asked.RequestURI, asked.RemoteAddr, asked.Host = r.URL.RequestURI(), "127.0.0.1:0", r.URL.Host
	if asked.Body == nil {
		asked.Body = http.NoBody
	}
	w := &answer{header: http.Header{}}
	t.handler.ServeHTTP(w, asked)
	if w.failed != nil {
		return nil, w.failed
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// answer collects what a handler answers.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	failed error
}

// Header is the answer's.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader takes the first status.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write collects the body.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.body.Len()+len(p) > maxAnswer {
		a.failed = errors.New("the identity provider's answer is too long")
		return 0, a.failed
	}
	return a.body.Write(p)
}
